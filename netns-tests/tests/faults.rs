//! Lines that fail, and a router that is killed.
//!
//! ```text
//!  h1 .21 --+                                    wan1 -- 10.77.1.1 --+
//!           +-- lan -- lan0 192.168.10.1 [potato]                    [internet] 203.0.113.1: echo servers
//!                                                wan2 -- 10.77.2.1 --+
//! ```

use std::io::ErrorKind;
use std::net::Ipv4Addr;

use netns_tests::connection::Connection;
use netns_tests::programs::run;
use netns_tests::sockets::{seen_from, udp};
use netns_tests::{Capture, Must, SERVER, World, binary, over_both_captures};

over_both_captures!(
    an_uplink_deleted_and_made_again_recovers,
    an_uplink_without_carrier_gets_no_new_flows,
    connections_outlive_a_killed_router,
    a_second_instance_is_refused,
    a_gateway_with_a_new_mac_is_found_again,
);

fn an_uplink_deleted_and_made_again_recovers(capture: Capture) {
    let mut world = World::new(capture, 1, 2);
    let [mut first, mut second] = Connection::on_each_uplink(&world);
    world.lab.delete_uplink(1).must();
    world.wait_for_state(1, "missing");
    second.still_works();
    assert_eq!(first.end(), ErrorKind::ConnectionReset);
    run(world.host(1), "ping -c 2 -i 0.05 -W 2 203.0.113.1");
    world.lab.remake_uplink(1).must();
    world.wait_for_state(1, "up");
    second.still_works();
    assert_eq!((first.uplink, second.uplink), (1, 2));
    // New flows go there again.
    let fresh = Connection::on_each_uplink(&world);
    assert_eq!(fresh[0].uplink, 1);
    world.finish();
}

fn an_uplink_without_carrier_gets_no_new_flows(capture: Capture) {
    let mut world = World::new(capture, 1, 2);
    let [mut first, mut second] = Connection::on_each_uplink(&world);
    world.internet().ip(&["link set isp1 down".to_owned()]).must();
    world.wait_for_state(1, "no-carrier");
    second.still_works();
    let listening = udp(world.internet(), SERVER, 7000);
    for port in 20_000..20_008 {
        let socket = udp(world.host(1), Ipv4Addr::UNSPECIFIED, port);
        let external = seen_from(&socket, &listening, "new");
        assert_eq!(external.ip(), Ipv4Addr::new(10, 77, 2, 2));
    }
    assert_eq!(first.end(), ErrorKind::ConnectionReset);
    world.internet().ip(&["link set isp1 up".to_owned()]).must();
    world.wait_for_state(1, "up");
    second.still_works();
    world.finish();
}

fn connections_outlive_a_killed_router(capture: Capture) {
    let mut world = World::new(capture, 1, 2);
    let mut connections = Connection::on_each_uplink(&world);
    let listening = udp(world.internet(), SERVER, 7001);
    let socket = udp(world.host(1), Ipv4Addr::UNSPECIFIED, 6000);
    let external = seen_from(&socket, &listening, "before");
    world.router.kill().must();
    world.router = world.lab.start_router(binary(), capture).must();
    connections.iter_mut().for_each(Connection::still_works);
    // The server may speak first, too: the mapping is still there.
    listening.send_to(b"hello", external).must();
    netns_tests::sockets::expect(&socket, "hello");
    assert_eq!(seen_from(&socket, &listening, "after"), external);
    world.finish();
}

fn a_second_instance_is_refused(capture: Capture) {
    let mut world = World::new(capture, 1, 1);
    let config = world.lab.config(capture).must();
    let arguments = ["10", &binary().to_string_lossy(), "run", "--config", &config.to_string_lossy()];
    let output = world.lab.router().command("timeout", &arguments).output().must();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    let process = world.router.process().id().to_string();
    assert!(said.contains(&process), "it names the process {process} that runs: {said}");
    run(world.host(1), "ping -c 2 -i 0.05 -W 2 203.0.113.1");
    world.finish();
}

// Another modem, the same address: it says so (RFC 5227 announcements are what modems send when they start).
fn a_gateway_with_a_new_mac_is_found_again(capture: Capture) {
    let world = World::new(capture, 1, 1);
    run(world.host(1), "ping -c 1 -W 2 203.0.113.1");
    world.internet().ip(&["link set isp1 address 02:00:00:00:77:01".to_owned()]).must();
    netns_tests::programs::scapy(
        world.internet(),
        "sendp(Ether(src='02:00:00:00:77:01', dst='ff:ff:ff:ff:ff:ff')/\
         ARP(op=1, hwsrc='02:00:00:00:77:01', psrc='10.77.1.1', pdst='10.77.1.1'), iface='isp1')",
    );
    netns_tests::waiting::wait_for("an answer by the new address", || {
        world.host(1).exec("ping", &["-c", "1", "-W", "1", "203.0.113.1"]).map_err(|error| error.to_string())
    });
    let moved = world.wait_for_event("gateway-moved", "02:00:00:00:77:01");
    assert_eq!((&moved["uplink"], &moved["cause"]), (&"dsl1".into(), &"gateway 10.77.1.1".into()), "{moved}");
    world.finish();
}
