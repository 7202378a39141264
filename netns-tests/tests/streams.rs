//! Much traffic at once: iperf3 both ways, many streams, six uplinks.
//!
//! ```text
//!  h1 .21 --+                                    wan1 -- 10.77.1.1 --+
//!  h2 .22 --+-- lan -- lan0 192.168.10.1 [potato] ...                [internet] 203.0.113.1: iperf3
//!                                                wan6 -- 10.77.6.1 --+
//! ```

use netns_tests::programs::{iperf, iperf_server, run};
use netns_tests::sockets;
use netns_tests::{Capture, SERVER, World, over_both_captures};

/// So little, or so much UDP lost, is a fault however busy the machine.
const SLOWEST: f64 = 50e6;

over_both_captures!(tcp_flows_both_ways, udp_flows_both_ways, many_streams_use_six_uplinks);

fn tcp_flows_both_ways(capture: Capture) {
    let world = World::new(capture, 1, 2);
    let _server = iperf_server(world.internet());
    for options in ["-t 2", "-t 2 -R"] {
        let measured = iperf(world.host(1), options);
        assert!(measured.bits_per_second > SLOWEST, "{options}: {measured:?}");
    }
    world.finish();
}

fn udp_flows_both_ways(capture: Capture) {
    let world = World::new(capture, 1, 2);
    let _server = iperf_server(world.internet());
    for options in ["-u -b 20M -t 2 -l 1400", "-u -b 20M -t 2 -l 1400 -R", "-u -b 5M -t 1 -l 60"] {
        let measured = iperf(world.host(1), options);
        assert!(measured.lost_percent < 10.0 && measured.bits_per_second > 4e6, "{options}: {measured:?}");
    }
    world.finish();
}

fn many_streams_use_six_uplinks(capture: Capture) {
    let world = World::new(capture, 2, 6);
    let _server = iperf_server(world.internet());
    for options in ["-t 2 -P 24", "-t 2 -P 24 -R"] {
        let measured = iperf(world.host(1), options);
        assert!(measured.bits_per_second > SLOWEST, "{options}: {measured:?}");
    }
    // 49 or so flows: fewest flows first gives each uplink its share.
    for number in 1..=6 {
        let uplink = world.uplink(number);
        assert!(uplink["flows"].as_u64().unwrap_or(0) >= 4, "uplink {number} is left out: {uplink}");
        assert!(uplink["in"]["bytes"].as_u64().unwrap_or(0) > 100_000, "uplink {number} is left out: {uplink}");
        assert!(uplink["out"]["bytes"].as_u64().unwrap_or(0) > 100_000, "uplink {number} is left out: {uplink}");
    }
    // Each host and each port sees the same server whatever its line.
    let listening = sockets::udp(world.internet(), SERVER, 7000);
    for port in 20_000..20_012 {
        let socket = sockets::udp(world.host(2), std::net::Ipv4Addr::UNSPECIFIED, port);
        sockets::seen_from(&socket, &listening, &format!("from {port}"));
    }
    run(world.host(2), "ping -c 1 -W 2 203.0.113.1");
    world.finish();
}
