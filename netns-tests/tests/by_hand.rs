//! Lines that people take down and put back, and to which they give other roles.
//!
//! ```text
//!  h1 .21 --+                                    wan1 -- 10.77.1.1 --+
//!           +-- lan -- lan0 192.168.10.1 [potato]                    [internet] 203.0.113.1: echo servers
//!                                                wan2 -- 10.77.2.1 --+
//! ```

use std::fs;
use std::net::Ipv4Addr;

use netns_tests::connection::Connection;
use netns_tests::sockets::{seen_from, udp};
use netns_tests::world::lab;
use netns_tests::{Capture, LabOptions, Must, SERVER, World, binary, over_both_captures};
use serde_json::{Value, json};
use socket2::SockRef;

over_both_captures!(
    a_line_taken_down_by_hand_gets_no_new_flows,
    a_line_that_is_down_by_hand_stays_so_over_a_restart,
    a_line_made_standby_by_hand_gets_no_new_flows_and_keeps_so_over_a_restart,
);

/// The uplinks that eight new flows get, without repetition.
fn lines_of_new_flows(world: &World) -> Vec<u8> {
    let listening = udp(world.internet(), SERVER, 7001);
    let flow = |_| {
        let socket = udp(world.host(1), Ipv4Addr::UNSPECIFIED, 0);
        let std::net::IpAddr::V4(external) = seen_from(&socket, &listening, "new").ip() else { unreachable!() };
        external.octets()[2]
    };
    let mut lines: Vec<u8> = (0..8).map(flow).collect();
    lines.sort_unstable();
    lines.dedup();
    lines
}

fn a_line_taken_down_by_hand_gets_no_new_flows(capture: Capture) {
    let mut world = World::new(capture, 1, 2);
    let mut connections = Connection::on_each_uplink(&world);
    let down = "dsl1 is down: it gets no new connections, and those that it has go on\n";
    assert_eq!(world.potato(&["link", "down", "dsl1"]), (Some(0), down.to_owned(), String::new()));
    assert_eq!(world.uplink(1)["state"], "down");
    let by = world.uplink(1)["taken_down_by"].as_str().unwrap_or_default().to_owned();
    assert!(by.starts_with("uid 0, pid "), "{by}");
    let log = world.router.log();
    assert!(log.contains("taken down by hand") && log.contains("by=uid 0, pid "), "{log}");
    let said = world.potato(&["status"]).1;
    assert!(said.contains(" down ") && said.contains("`potato link up dsl1` puts it back"), "{said}");
    assert_eq!(lines_of_new_flows(&world), [2]);
    connections.iter_mut().for_each(Connection::still_works);

    // Once more is no mistake; the last line may go, too, and that is said.
    assert_eq!(world.potato(&["link", "down", "dsl1"]).1, "dsl1 was down already\n");
    let (status, _, warning) = world.potato(&["link", "down", "dsl2"]);
    assert_eq!(status, Some(0));
    assert!(warning.contains("no uplink is up"), "{warning}");
    assert!(world.host(1).exec("ping", &["-c", "1", "-W", "1", "203.0.113.1"]).is_err());
    connections.iter_mut().for_each(Connection::still_works);

    // What becomes of its cable meanwhile does not bring it back.
    world.internet().ip(&["link set isp1 down".to_owned(), "link set isp1 up".to_owned()]).must();
    let up = "dsl2 is up: it gets its share of new connections again\n";
    assert_eq!(world.potato(&["link", "up", "dsl2"]).1, up);
    assert_eq!(lines_of_new_flows(&world), [2]);
    assert_eq!(world.uplink(1)["state"], "down");
    assert_eq!(world.potato(&["link", "up", "dsl1", "--json"]).0, Some(0));
    world.wait_for_state(1, "up");
    assert!(lines_of_new_flows(&world).contains(&1), "it has fewer flows than the other, so it is the first choice");
    connections.iter_mut().for_each(Connection::still_works);

    let (status, said, error) = world.potato(&["link", "down", "dsl7"]);
    assert_eq!((status, said.as_str()), (Some(1), ""));
    assert_eq!(error, "there is no uplink named \"dsl7\"; there are dsl1, dsl2\n");
    world.finish();
}

fn a_line_that_is_down_by_hand_stays_so_over_a_restart(capture: Capture) {
    let mut world = World::new(capture, 1, 2);
    let mut connections = Connection::on_each_uplink(&world);
    assert_eq!(world.potato(&["link", "down", "dsl1"]).0, Some(0));
    world.router.kill().must();
    world.router = world.lab.launch_router(binary(), capture).must();
    world.wait_for_state(2, "up");
    world.wait_for_uplink(1, netns_tests::waiting::SOON, "has its gateway", |uplink| uplink["gateway_mac"].is_string());
    assert_eq!(world.uplink(1)["state"], "down");
    assert!(world.router.log().contains("uplink stays down"), "{}", world.router.log_end());
    assert_eq!(lines_of_new_flows(&world), [2]);
    connections.iter_mut().for_each(Connection::still_works);

    assert_eq!(world.potato(&["link", "up", "dsl1"]).0, Some(0));
    assert_eq!(world.uplink(1)["state"], "up");
    world.router.terminate().must();
    world.router = world.lab.start_router(binary(), capture).must();
    assert!(lines_of_new_flows(&world).contains(&1), "it has fewer flows than the other, so it is the first choice");
    world.finish();
}

#[test]
fn what_cannot_be_remembered_is_said_and_done_all_the_same() {
    let lab = lab(LabOptions::new(1, 2));
    // A file where the directory should be: nobody can write there, root neither.
    fs::write(lab.directory().join("state"), "").must();
    let mut world = World::launched(Capture::Packet, lab);
    world.router.wait_until_up(2).must();
    let (status, said, warning) = world.potato(&["link", "down", "dsl1"]);
    assert_eq!(status, Some(0), "{warning}");
    assert!(said.starts_with("dsl1 is down"), "{said}");
    assert!(warning.contains("links.json") && warning.contains("restart"), "{warning}");
    assert!(world.router.log().contains("not remembered which uplinks are down"), "{}", world.router.log_end());
    assert_eq!(lines_of_new_flows(&world), [2]);
    // Said again when there is room, it is remembered.
    fs::remove_file(world.lab.directory().join("state")).must();
    assert_eq!(world.potato(&["link", "down", "dsl1"]).2, "");
    assert!(world.lab.directory().join("state/links.json").is_file());
    world.finish();
}

/// The line that a new flow gets whose packets are marked as urgent (DSCP EF).
fn line_of_urgent_flow(world: &World) -> u8 {
    let listening = udp(world.internet(), SERVER, 7002);
    let socket = udp(world.host(1), Ipv4Addr::UNSPECIFIED, 0);
    SockRef::from(&socket).set_tos_v4(46 << 2).must();
    let std::net::IpAddr::V4(external) = seen_from(&socket, &listening, "urgent").ip() else { unreachable!() };
    external.octets()[2]
}

/// What the router says to an order on its control socket: its status and its body.
fn order(world: &World, path: &str, body: &str) -> (String, Value) {
    let socket = world.lab.directory().join("run/control.sock");
    let socket = socket.to_string_lossy();
    let url = format!("http://potato{path}");
    let words = ["-s", "-w", "\n%{http_code}", "--unix-socket", &socket, "-H", "content-type: application/json"];
    let said = world.host(1).exec("curl", &[&words[..], &["-d", body, &url]].concat()).must();
    let (body, status) = said.rsplit_once('\n').expect("the status stands behind the body");
    (status.to_owned(), serde_json::from_str(body).must())
}

fn a_line_made_standby_by_hand_gets_no_new_flows_and_keeps_so_over_a_restart(capture: Capture) {
    let mut world = World::new(capture, 1, 2);
    let mut connections = Connection::on_each_uplink(&world);
    let (status, said, error) = world.potato(&["role", "dsl1", "standby"]);
    assert!(status == Some(0) && said.starts_with("dsl1 is standby from now on; its "), "{said}{error}");
    let uplink = world.uplink(1);
    assert_eq!((&uplink["role"], &uplink["state"]), (&json!("standby"), &json!("standby")), "{uplink}");
    assert!(uplink["role_set_by"].as_str().is_some_and(|by| by.starts_with("uid 0, pid ")), "{uplink}");
    assert_eq!((&uplink["role_configured"], &uplink["drain_seconds"]), (&json!("balanced"), &Value::Null), "{uplink}");
    let said = world.potato(&["status"]).1;
    assert!(said.contains("`potato role dsl1 configured` makes it balanced again"), "{said}");
    let event = world.wait_for_event("role-ordered", "standby");
    assert_eq!((&event["from"], &event["uplink"]), (&json!("balanced"), &json!("dsl1")), "{event}");
    assert_eq!(lines_of_new_flows(&world), [2]);
    connections.iter_mut().for_each(Connection::still_works);

    // Whoever has seen it otherwise is told who was faster.
    let late = r#"{"uplink": "dsl1", "role": "isolated", "expect": "balanced"}"#;
    let (status, said) = order(&world, "/v1/role", late);
    let detail = said["detail"].as_str().unwrap_or_default();
    assert!(status == "409" && detail.contains("dsl1 was made standby by uid 0, pid "), "{status}: {said}");
    assert_eq!(world.uplink(1)["role"], "standby");

    world.router.kill().must();
    world.router = world.lab.launch_router(binary(), capture).must();
    world.wait_for_state(2, "up");
    world.wait_for_state(1, "standby");
    assert!(world.router.log().contains("uplink keeps the role"), "{}", world.router.log_end());
    assert_eq!(lines_of_new_flows(&world), [2]);
    connections.iter_mut().for_each(Connection::still_works);

    assert_eq!(world.potato(&["role", "dsl1", "standby"]).1, "dsl1 was standby already\n");
    let (status, said, _) = world.potato(&["role", "dsl1", "configured"]);
    assert!(status == Some(0) && said.starts_with("dsl1 is balanced from now on, as configured; its "), "{said}");
    assert!(lines_of_new_flows(&world).contains(&1), "it has fewer flows than the other, so it is the first choice");
    let (status, _, error) = world.potato(&["role", "dsl7", "standby"]);
    assert_eq!((status, error.as_str()), (Some(1), "there is no uplink named \"dsl7\"; there are dsl1, dsl2\n"));
    world.finish();
}

#[test]
fn a_line_made_isolated_by_hand_takes_what_is_urgent_until_the_file_gives_it_another_role() {
    let mut world = World::new(Capture::Packet, 1, 2);
    assert_eq!(world.potato(&["role", "dsl1", "isolated"]).0, Some(0));
    assert_eq!((lines_of_new_flows(&world), line_of_urgent_flow(&world)), (vec![2], 1));
    let reload = |text: &str| {
        world.lab.write_config(text).must();
        let (status, said, error) = world.potato(&["reload"]);
        assert_eq!(status, Some(0), "{error}");
        said
    };
    // Another configuration leaves the role alone, unless it says something else of it itself.
    let text = world.lab.configuration(Capture::Packet);
    reload(&text.replace("name = \"dsl1\"\n", "name = \"dsl1\"\nupload = \"5mbit\"\n"));
    assert_eq!(world.uplink(1)["role"], "isolated");
    let said = reload(&text.replace("name = \"dsl1\"\n", "name = \"dsl1\"\nrole = \"standby\"\n"));
    assert!(
        said.contains("role balanced -> standby") && said.contains("dsl1: role isolated, which uid 0, pid "),
        "{said}"
    );
    let uplink = world.uplink(1);
    assert_eq!((&uplink["role"], &uplink["role_set_by"]), (&json!("standby"), &Value::Null), "{uplink}");
    assert!(!std::fs::read_to_string(world.lab.directory().join("state/links.json")).must().contains("roles"));
    world.router.terminate().must();
    world.router = world.lab.launch_router(binary(), Capture::Packet).must();
    world.wait_for_state(2, "up");
    world.finish();
}

#[test]
fn a_line_with_a_static_address_is_redialled_without_harm() {
    let mut world = World::new(Capture::Packet, 1, 2);
    let mut connections = Connection::on_each_uplink(&world);
    let (status, said, error) = world.potato(&["redial", "dsl1"]);
    assert!(status == Some(0) && said.contains("its gateway is asked for anew"), "{said}{error}");
    world.wait_for_event("redial-ordered", "uid 0, pid ");
    world.wait_for_event("uplink-changed", "redialled by hand");
    world.wait_for_state(1, "up");
    connections.iter_mut().for_each(Connection::still_works);
    assert_eq!(world.uplink(1)["redials"], 1);
    let (status, said) = order(&world, "/v1/redial", r#"{"uplink": "dsl1", "expect": 0}"#);
    let detail = said["detail"].as_str().unwrap_or_default();
    assert!(status == "409" && detail.contains("dsl1 was redialled by uid 0, pid "), "{status}: {said}");
    world.internet().ip(&["link set isp2 down".to_owned()]).must();
    world.wait_for_state(2, "no-carrier");
    let (status, _, error) = world.potato(&["redial", "dsl2"]);
    assert!(status == Some(1) && error.contains("dsl2 is not redialled: it has no carrier"), "{error}");
    world.finish();
}
