//! Lines that fail behind their gateways, and lines that are full, seen from outside.
//!
//! ```text
//!  h1 .21 --+                                    wan1 -- 10.77.1.1 [modem 1] --+
//!           +-- lan -- lan0 192.168.10.1 [potato]                              [internet] 203.0.113.1, 192.0.2.53
//!                                                wan2 -- 10.77.2.1 [modem 2] --+
//! ```

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use netns_tests::connection::Connection;
use netns_tests::programs::{iperf, iperf_server};
use netns_tests::sniffer::Capturing;
use netns_tests::sockets::{listener, seen_from, udp};
use netns_tests::waiting::SOON;
use netns_tests::{Capture, FarEnd, LabOptions, Must, SERVER, World, over_both_captures};
use potato::nat::ports::PROBE_PORTS;
use potato::sys::clock;
use serde_json::Value;

over_both_captures!(
    a_black_hole_behind_the_gateway_is_left_within_a_second_and_a_half,
    a_line_that_passes_questions_and_drops_data_is_left_within_seconds,
    probes_leave_by_their_own_line,
);

/// The most that new connections may fail for.
const NOTICED_WITHIN: Duration = Duration::from_millis(1_500);
/// The most that data may be lost for on a line that passes everything else.
const DATA_MISSED_WITHIN: Duration = Duration::from_secs(6);
/// How long an attempt to connect may take on a line that works.
const ATTEMPT: Duration = Duration::from_millis(150);
/// How long lines are kept full. `SATURATE_SECONDS` is for whoever wants to know it of a longer time.
const FULL_SECONDS: u64 = 20;

fn with_targets(targets: &[&str], far_end: FarEnd) -> LabOptions {
    let mut options = LabOptions::new(1, 2);
    options.health_targets = targets.iter().map(|&target| target.to_owned()).collect();
    options.uplinks.iter_mut().for_each(|uplink| uplink.far_end = far_end);
    options
}

fn events(world: &World, uplink: &str) -> Vec<(String, String, String)> {
    let told: Value = serde_json::from_str(&world.potato(&["events", "--json"]).1).must();
    let told = told["events"].as_array().cloned().unwrap_or_default();
    let text = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
    let changes = told.iter().filter(|event| event["event"] == "uplink-changed" && event["uplink"] == uplink);
    changes.map(|event| (text(event, "from"), text(event, "to"), text(event, "cause"))).collect()
}

/// The lines that eight new flows get, without repetition.
fn lines_of_new_flows(world: &World) -> BTreeSet<u8> {
    let listening = udp(world.internet(), SERVER, 7001);
    let line = |_| {
        let socket = udp(world.host(1), Ipv4Addr::UNSPECIFIED, 0);
        let SocketAddr::V4(external) = seen_from(&socket, &listening, "new") else { unreachable!() };
        // Modem N is 198.51.100.(2N + 1).
        external.ip().octets()[3] / 2
    };
    (0..8).map(line).collect()
}

fn a_black_hole_behind_the_gateway_is_left_within_a_second_and_a_half(capture: Capture) {
    let mut world = World::with(capture, with_targets(&["gateway", "192.0.2.53"], FarEnd::Modem));
    assert_eq!(lines_of_new_flows(&world), BTreeSet::from([1, 2]));
    let listening = listener(world.internet(), SERVER, 7000);
    // The modem is there and forwards nothing, and says nothing about it.
    world.lab.far_end(1).sysctl(&[("net/ipv4/ip_forward", "0")]).must();
    let hole = clock::monotonic();
    let (mut failed, mut last_failure, mut in_a_row) = (0, Duration::ZERO, 0);
    while in_a_row < 20 {
        let began = clock::monotonic() - hole;
        assert!(began < SOON, "new connections still fail {last_failure:?} after the line died");
        let attempt = || TcpStream::connect_timeout(&SocketAddr::from((SERVER, 7000)), ATTEMPT);
        match world.host(1).run(attempt).must() {
            Ok(_) => {
                in_a_row += 1;
                drop(listening.accept().must());
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
                (failed, last_failure, in_a_row) = (failed + 1, began, 0);
            }
        }
    }
    println!("{failed} attempts failed, the last one began {last_failure:?} after the line died");
    assert!(last_failure < NOTICED_WITHIN, "new connections failed for {last_failure:?}");
    world.wait_for_state(1, "lame");
    assert_eq!(lines_of_new_flows(&world), BTreeSet::from([2]));
    let silent = ("up".to_owned(), "lame".to_owned(), "no answer from 192.0.2.53".to_owned());
    assert_eq!(events(&world, "dsl1").last(), Some(&silent));

    world.lab.far_end(1).sysctl(&[("net/ipv4/ip_forward", "1")]).must();
    world.wait_for_state(1, "up");
    assert!(lines_of_new_flows(&world).contains(&1));
    let back = ("lame".to_owned(), "up".to_owned(), "targets answer".to_owned());
    assert_eq!(events(&world, "dsl1").last(), Some(&back));
    assert_eq!(events(&world, "dsl2").last().map(|change| change.1.as_str()), Some("up"));
    world.finish();
}

/// Tries to send `length` bytes to one of the servers. Gives the line, whether they arrived, and the two ends.
fn deliver(world: &World, listening: &TcpListener, attempt: u8, length: usize) -> (u8, bool, [TcpStream; 2]) {
    let server = Ipv4Addr::new(203, 0, 113, 1 + attempt % 9);
    let connect = || TcpStream::connect_timeout(&SocketAddr::from((server, 7000)), SOON);
    let mut sending = world.host(1).run(connect).must().must();
    let (mut receiving, from) = listening.accept().must();
    let SocketAddr::V4(from) = from else { unreachable!() };
    sending.write_all(&vec![7; length]).must();
    receiving.set_read_timeout(Some(ATTEMPT)).must();
    let arrived = receiving.read_exact(&mut vec![0; length]).is_ok();
    (from.ip().octets()[3] / 2, arrived, [sending, receiving])
}

fn a_line_that_passes_questions_and_drops_data_is_left_within_seconds(capture: Capture) {
    let targets = ["gateway", "192.0.2.53", "dns://192.0.2.53", "tcp://203.0.113.1:80"];
    let mut world = World::with(capture, with_targets(&targets, FarEnd::Modem)).with_servers();
    let listening = listener(world.internet(), Ipv4Addr::UNSPECIFIED, 7000);
    for attempt in 0..40 {
        assert!(deliver(&world, &listening, attempt, 1_200).1);
    }
    // Handshakes, pings and name queries pass, and what is short.
    let rules = "add table ip hole; add chain ip hole pass { type filter hook forward priority 0; }; \
                 add rule ip hole pass ip protocol tcp ip length > 652 drop";
    world.lab.far_end(1).exec("nft", &[rules]).must();
    let hole = clock::monotonic();
    let (mut kept, mut last_failure, mut in_a_row) = (Vec::new(), Duration::ZERO, 0);
    for attempt in (0..9).cycle() {
        let began = clock::monotonic() - hole;
        assert!(began < SOON, "data is still lost {last_failure:?} after the line failed");
        let (line, arrived, ends) = deliver(&world, &listening, attempt, 1_200);
        if arrived {
            in_a_row += 1;
        } else {
            assert_eq!(line, 1);
            // Hosts go on trying.
            kept.push(ends);
            (last_failure, in_a_row) = (began, 0);
        }
        if in_a_row >= 20 && world.uplink(1)["state"] == "lame" {
            break;
        }
    }
    println!("{} deliveries failed, the last one began {last_failure:?} after the line failed", kept.len());
    assert!(last_failure < DATA_MISSED_WITHIN, "data was lost for {last_failure:?}");
    assert_eq!(lines_of_new_flows(&world), BTreeSet::from([2]));
    let (from, to, cause) = events(&world, "dsl1").pop().unwrap_or_default();
    assert_eq!((from.as_str(), to.as_str()), ("up", "lame"));
    assert!(cause.starts_with("connections send ") && cause.contains(" % of their data again"), "{cause}");
    let share = |line: usize| world.uplink(line)["health"]["retransmitted_1m_percent"].as_u64();
    assert!(share(1) > Some(10) && share(2) < Some(10), "{:?} {:?}", share(1), share(2));

    // It is taken again after a while, and works.
    world.lab.far_end(1).exec("nft", &["delete table ip hole"]).must();
    drop(kept);
    world.wait_for_uplink(1, Duration::from_secs(30), "up", |uplink| uplink["state"] == "up");
    assert!((0..40).all(|attempt| deliver(&world, &listening, attempt, 1_200).1));
    assert_eq!(world.uplink(2)["state"], "up");
    world.finish();
}

fn probes_leave_by_their_own_line(capture: Capture) {
    let targets = ["gateway", "192.0.2.53", "dns://192.0.2.53", "tcp://203.0.113.1:80", "http://203.0.113.2/"];
    let lab = netns_tests::world::lab(with_targets(&targets, FarEnd::Internet));
    let captures = [1, 2].map(|line| {
        let (interface, file) = (format!("isp{line}"), lab.directory().join(format!("probes{line}.pcap")));
        Capturing::start(lab.internet(), &interface, "in", "icmp or udp or tcp", 128, &file)
    });
    let mut world = World::launched(capture, lab).with_servers();
    for line in [1, 2] {
        world.wait_for_uplink(line, SOON, "up, and all have answered", |uplink| {
            let answers = |target: &Value| target["unanswered_in_a_row"] == 0 && target["loss_15s_percent"].is_number();
            let targets = uplink["health"]["targets"].as_array();
            uplink["state"] == "up" && targets.is_some_and(|all| all.len() == 5 && all.iter().all(answers))
        });
    }
    let said = world.potato(&["status"]).1;
    assert!(said.contains("RTT") && said.contains(" ms ") && said.contains(" % "), "{said}");
    // Users are not in their way, nor they in users'.
    Connection::on_each_uplink(&world).iter_mut().for_each(Connection::still_works);
    for (line, capturing) in (1..).zip(captures) {
        let own = Ipv4Addr::new(10, 77, line, 2);
        let mut protocols = BTreeSet::new();
        for packet in capturing.finish() {
            assert_eq!(packet.source(), own, "by line {line}, to {}", packet.destination());
            let port = packet.ports().map(|(source, _)| source);
            let identifier = || packet.payload().get(4..6).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]));
            if port.or_else(identifier).is_some_and(|port| PROBE_PORTS.contains(&port)) {
                protocols.insert(packet.protocol());
            }
        }
        assert_eq!(protocols, BTreeSet::from([1, 6, 17]), "line {line}");
    }
    world.finish();
}

#[test]
fn lines_full_by_our_own_traffic_stay_up() {
    let seconds = std::env::var("SATURATE_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(FULL_SECONDS);
    let mut options = with_targets(&["gateway", "192.0.2.53"], FarEnd::Internet);
    for uplink in &mut options.uplinks {
        (uplink.download_mbit, uplink.upload_mbit) = (Some(8), Some(1));
    }
    let world = World::with(Capture::Auto, options);
    let before = [1, 2].map(|line| events(&world, &format!("dsl{line}")));
    // A server each: what the first has not received yet is not to be in the second's way.
    let server = iperf_server(world.internet());
    // Half of the time up, half of it down, by enough connections for both lines.
    let half = seconds / 2;
    let upload = iperf(world.host(1), &format!("-t {half} -P 8")).bits_per_second / 1e6;
    drop(server);
    let _server = iperf_server(world.internet());
    let download = iperf(world.host(1), &format!("-t {half} -P 8 -R")).bits_per_second / 1e6;
    println!("{upload:.1} Mbit/s up, {download:.1} down");
    assert!(upload > 1.2 && download > 9.0, "both lines are full: {upload} Mbit/s up, {download} down");
    for line in [1, 2] {
        println!("line {line}: {}", world.uplink(line)["health"]);
    }
    assert_eq!([1, 2].map(|line| events(&world, &format!("dsl{line}"))), before, "no line has changed");
    world.finish();
}
