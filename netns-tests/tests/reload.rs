//! Another configuration for a router that runs.
//!
//! ```text
//!  h1 .21 --+                                    wan1 -- 10.77.1.1 --+
//!           +-- lan -- lan0 192.168.10.1 [potato] wan2 -- 10.77.2.1 --[internet] 203.0.113.1: servers
//!                                                wan3 -- 10.77.3.1 --+
//! ```

use std::net::{IpAddr, Ipv4Addr};
use std::thread;

use netns_tests::connection::Connection;
use netns_tests::programs::{iperf, iperf_server, run};
use netns_tests::sockets::{seen_from, udp};
use netns_tests::waiting::{SOON, wait_for};
use netns_tests::world::lab;
use netns_tests::{Capture, LabOptions, Must, SERVER, World, binary, over_both_captures};
use potato::demo::lab::Router;

over_both_captures!(
    lines_come_go_and_change_beside_traffic_that_notices_nothing,
    a_line_with_another_gateway_is_a_new_line,
    what_a_reload_has_made_outlives_a_killed_router,
);

/// The whole configuration of a lab with three lines, but with these lines only, by their numbers.
fn with_lines(world: &World, capture: Capture, lines: &[usize]) -> String {
    text_with_lines(&world.lab.configuration(capture), lines)
}

fn text_with_lines(whole: &str, lines: &[usize]) -> String {
    let parts: Vec<&str> = whole.split("\n[[uplink]]").collect();
    lines.iter().fold(parts[0].to_owned(), |text, line| text + "\n[[uplink]]" + parts[*line])
}

/// A router that knows the first two of three lines.
fn two_of_three(capture: Capture) -> World {
    let lab = lab(LabOptions::new(1, 3));
    let text = text_with_lines(&lab.configuration(capture), &[1, 2]);
    let mut world = World::configured(lab, &text);
    world.router.wait_until_up(2).must();
    world
}

/// Writes a configuration and has it applied; gives what `potato reload` said.
#[track_caller]
fn reload(world: &World, text: &str) -> String {
    world.lab.write_config(text).must();
    let (status, said, error) = world.potato(&["reload"]);
    assert_eq!((status, error.as_str()), (Some(0), ""), "{said}");
    said
}

/// The uplinks that twelve new flows get, without repetition.
fn lines_of_new_flows(world: &World) -> Vec<u8> {
    let listening = udp(world.internet(), SERVER, 7001);
    let flow = |_| {
        let socket = udp(world.host(1), Ipv4Addr::UNSPECIFIED, 0);
        let IpAddr::V4(external) = seen_from(&socket, &listening, "new").ip() else { unreachable!() };
        external.octets()[2]
    };
    let mut lines: Vec<u8> = (0..12).map(flow).collect();
    lines.sort_unstable();
    lines.dedup();
    lines
}

fn lines_come_go_and_change_beside_traffic_that_notices_nothing(capture: Capture) {
    let mut world = two_of_three(capture);
    let mut connections = Connection::on_each_uplink(&world);
    let _server = iperf_server(world.internet());
    let measured = thread::scope(|scope| {
        let near = world.host(1);
        let stream = scope.spawn(move || iperf(near, "-u -b 20M -l 1200 -t 4"));
        wait_for("the stream's flow", || match world.router.flows(&["--protocol", "udp"]).must()["flows"].as_array() {
            Some(flows) if !flows.is_empty() => Ok(()),
            _ => Err("no flow".to_owned()),
        });
        assert_eq!(reload(&world, &with_lines(&world, capture, &[1, 2, 3])), "added dsl3; 2 uplinks unchanged\n");
        let weighty = with_lines(&world, capture, &[1, 2, 3]).replace("\"dsl2\"\n", "\"dsl2\"\nweight = 3\n");
        assert_eq!(reload(&world, &weighty), "dsl2: weight 1 -> 3; 2 uplinks unchanged\n");
        assert_eq!(reload(&world, &weighty), "3 uplinks unchanged\n");
        stream.join().expect("iperf3 has ended")
    });
    assert!(measured.lost_percent <= 0.0, "{measured:?}");
    assert_eq!(world.uplink(2)["weight"], 3);
    world.wait_for_state(3, "up");
    assert_eq!(lines_of_new_flows(&world), [1, 2, 3]);

    let said = reload(&world, &with_lines(&world, capture, &[1, 2]));
    assert!(said.starts_with("removed dsl3 (") && said.contains("connection"), "{said}");
    assert!(said.contains("dsl2: weight 3 -> 1; 1 uplink unchanged"), "{said}");
    let removed = world.wait_for_event("uplink-removed", "dsl3");
    assert!(removed["count"].as_u64().is_some_and(|count| count > 0), "{removed}");
    assert!(removed["by"].as_str().is_some_and(|by| by.starts_with("uid 0, pid ")), "{removed}");
    assert_eq!(world.router.status().must()["uplinks"].as_array().map(Vec::len), Some(2));
    assert_eq!(run(world.lab.router(), "tc filter show dev wan3 ingress"), "", "it is the kernel's again");
    assert_eq!(lines_of_new_flows(&world), [1, 2]);
    let said = world.potato(&["flows", "--uplink", "dsl3"]);
    assert!(said.0 == Some(1) && said.2.contains("there are dsl1, dsl2"), "{said:?}");

    // Again, in the same place: nothing is left of the one before.
    assert_eq!(reload(&world, &with_lines(&world, capture, &[1, 2, 3])), "added dsl3; 2 uplinks unchanged\n");
    world.wait_for_state(3, "up");
    assert_eq!((&world.uplink(3)["flows"], &world.uplink(3)["out"]["packets"]), (&0.into(), &0.into()));
    assert!(lines_of_new_flows(&world).contains(&3));
    connections.iter_mut().for_each(Connection::still_works);
    world.finish();
}

fn a_line_with_another_gateway_is_a_new_line(capture: Capture) {
    let mut world = World::new(capture, 1, 2);
    let [first, mut second] = Connection::on_each_uplink(&world);
    world.internet().ip(&["address add 10.77.1.254/24 dev isp1".to_owned()]).must();
    let text = world.lab.configuration(capture).replace("\"10.77.1.1\"", "\"10.77.1.254\"");
    let said = reload(&world, &text);
    let expected = "dsl1: 10.77.1.2/24 by 10.77.1.1 -> 10.77.1.2/24 by 10.77.1.254, as a new line (1 connection ended); \
                    1 uplink unchanged\n";
    assert_eq!(said, expected);
    world.wait_for_uplink(1, SOON, "by the new gateway", |uplink| {
        uplink["state"] == "up" && uplink["gateway"] == "10.77.1.254" && uplink["flows"] == 0
    });
    second.still_works();
    assert_eq!(lines_of_new_flows(&world), [1, 2]);
    drop(first);
    world.finish();
}

fn what_a_reload_has_made_outlives_a_killed_router(capture: Capture) {
    let mut world = two_of_three(capture);
    let mut second = Connection::on_each_uplink(&world).into_iter().nth(1).expect("there are two");
    // The third gets the place of the first.
    let text = with_lines(&world, capture, &[2, 3]);
    let said = reload(&world, &text);
    assert!(said.contains("removed dsl1") && said.contains("added dsl3; 1 uplink unchanged"), "{said}");
    world.wait_for_uplink(2, SOON, "dsl3 up", |uplink| uplink["name"] == "dsl3" && uplink["state"] == "up");
    let listening = udp(world.internet(), SERVER, 7002);
    let sockets: Vec<_> = (0..6).map(|_| udp(world.host(1), Ipv4Addr::UNSPECIFIED, 0)).collect();
    let seen: Vec<_> = sockets.iter().map(|socket| seen_from(socket, &listening, "before")).collect();
    assert!(seen.iter().any(|external| external.ip() == Ipv4Addr::new(10, 77, 3, 2)), "{seen:?}");
    world.router.kill().must();
    let config = world.lab.write_config(&text).must();
    world.router = Router::start(world.lab.router(), binary(), &config, world.lab.directory()).must();
    world.router.wait_until_up(2).must();
    second.still_works();
    let after: Vec<_> = sockets.iter().map(|socket| seen_from(socket, &listening, "after")).collect();
    assert_eq!(seen, after);
    world.finish();
}

#[test]
fn a_file_that_cannot_be_applied_changes_nothing_and_says_why() {
    let mut world = World::new(Capture::Packet, 1, 2);
    let mut connections = Connection::on_each_uplink(&world);
    let right = world.lab.configuration(Capture::Packet);
    let before = world.router.status().must()["uplinks"].clone();
    let config = world.lab.write_config(&right.replace("10.77.2.1\"", "10.99.2.1\"")).must();
    let (status, said, error) = world.potato(&["reload"]);
    assert_eq!((status, said.as_str()), (Some(2), ""), "{error}");
    let arguments = ["check", &config.to_string_lossy()];
    let checked = world.lab.router().command(&binary().to_string_lossy(), &arguments).output().must();
    assert_eq!(error, String::from_utf8_lossy(&checked.stderr), "as potato check says it");
    assert!(error.contains("`gateway`: 10.99.2.1 is outside 10.77.2.0/24"), "{error}");
    let event = world.wait_for_event("reload-ordered", "not applied");
    assert!(event["cause"].as_str().is_some_and(|cause| cause.contains("10.99.2.1")), "{event}");

    let needs_restart =
        right.replace("workers = \"auto\"", "workers = 7").replace("\"dsl2\"\n", "\"dsl2\"\nweight = 3\n");
    world.lab.write_config(&needs_restart).must();
    let (status, _, error) = world.potato(&["reload"]);
    assert!(status == Some(2) && error.contains("[router] workers cannot change from auto to 7"), "{error}");
    assert!(error.contains("restart the router"), "{error}");
    let after = world.router.status().must()["uplinks"].clone();
    for uplink in [0, 1] {
        for key in ["name", "state", "weight", "gateway", "flows"] {
            assert_eq!(before[uplink][key], after[uplink][key].clone(), "{key}");
        }
    }
    // A signal is an order like any other.
    world.router.process().signal(libc::SIGHUP).must();
    wait_for("the signal's event", || {
        let events = world.events();
        let is_it = |event: &&serde_json::Value| event["event"] == "reload-ordered" && event["by"] == "SIGHUP";
        events.iter().find(is_it).map(drop).ok_or_else(|| format!("{events:?}"))
    });
    world.lab.write_config(&right.replace("\"dsl2\"\n", "\"dsl2\"\nweight = 3\n")).must();
    world.router.process().signal(libc::SIGHUP).must();
    let set = world.wait_for_event("uplink-set", "weight 1 -> 3");
    assert_eq!((&set["uplink"], &set["by"]), (&"dsl2".into(), &"SIGHUP".into()));
    assert_eq!(world.uplink(2)["weight"], 3);
    connections.iter_mut().for_each(Connection::still_works);
    world.finish();
}
