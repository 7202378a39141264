//! Lines that some hosts have for themselves: by the configuration and by order, by Ethernet address, address and name.
//!
//! ```text
//!  h1 .21 --+                                    wan1 -- 10.77.1.1 --+
//!  h2 .22 --+-- lan -- lan0 192.168.10.1 [potato] wan2 -- 10.77.2.1 --[internet] 203.0.113.1: servers
//!  h3 .23 --+                                    wan3 -- 10.77.3.1 --+
//! ```

use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use netns_tests::connection::Connection;
use netns_tests::sockets::{connect, seen_from, udp};
use netns_tests::waiting::{SOON, wait_for};
use netns_tests::world::lab;
use netns_tests::{Capture, LabOptions, Must, SERVER, World, binary, over_both_captures};

over_both_captures!(lines_are_reserved_by_configuration_and_by_order_and_the_hosts_return_to_them);

/// The world, and a server in it that sees where flows come from.
struct Office {
    world: World,
    listening: UdpSocket,
}

impl Office {
    /// The line of a new flow of a host, as the server sees it.
    fn line_of(&self, host: u8) -> u8 {
        let socket = udp(self.world.host(host), Ipv4Addr::UNSPECIFIED, 0);
        let IpAddr::V4(external) = seen_from(&socket, &self.listening, "new").ip() else { unreachable!() };
        external.octets()[2]
    }

    /// Asserts that new flows of a host get this line and no other.
    #[track_caller]
    fn only(&self, host: u8, line: u8) {
        let lines: Vec<u8> = (0..8).map(|_| self.line_of(host)).collect();
        assert_eq!(lines, [line; 8], "host {host}");
    }

    /// Asserts that new flows of a host do not get this line.
    #[track_caller]
    fn never(&self, host: u8, line: u8) {
        let lines: Vec<u8> = (0..8).map(|_| self.line_of(host)).collect();
        assert!(!lines.contains(&line), "host {host}: {lines:?}");
    }

    /// Asserts that a new flow of a host gets this line, sooner or later: others have fewer flows, perhaps.
    #[track_caller]
    fn also(&self, host: u8, line: u8) {
        assert!((0..100).any(|_| self.line_of(host) == line), "host {host} does not get line {line}");
    }
}

/// Runs a command that is to go well, and gives what it said.
#[track_caller]
fn order(world: &World, arguments: &[&str]) -> String {
    let (status, said, error) = world.potato(arguments);
    assert_eq!((status, error.as_str()), (Some(0), ""), "{arguments:?}: {said}");
    said
}

/// A router with three lines, of which the third is host 1's by its Ethernet address.
fn office(capture: Capture) -> Office {
    let lab = lab(LabOptions::new(3, 3));
    let leases = lab.directory().join("dnsmasq.leases");
    let mac = |host: u8| lab.host(host).exec("cat", &["/sys/class/net/eth0/address"]).must().trim().to_owned();
    fs::write(&leases, format!("1795618331 {} 192.168.10.23 Printer *\n", mac(3))).must();
    let text = lab.configuration(capture).replace("tun = ", &format!("leases = \"{}\"\ntun = ", leases.display()));
    let text = format!("{text}\n[[reserve]]\nuplink = \"dsl3\"\nhosts = [\"{}\"]\n", mac(1));
    let mut world = World::configured(lab, &text);
    world.router.wait_until_up(3).must();
    let listening = udp(world.internet(), SERVER, 7001);
    Office { world, listening }
}

fn lines_are_reserved_by_configuration_and_by_order_and_the_hosts_return_to_them(capture: Capture) {
    let mut office = office(capture);
    // The router hears of a host when that asks for the router.
    office.world.host(1).exec("ping", &["-c", "1", "-W", "2", "192.168.10.1"]).must();
    office.world.wait_for_uplink(3, SOON, "known to be host 1's", |uplink| {
        uplink["reserved"][0]["addresses"][0] == "192.168.10.21"
    });
    office.only(1, 3);
    office.never(2, 3);
    under_another_address(&mut office);
    by_order_for_a_time(&office);
    over_restart_and_reload(&mut office);
    while_the_line_is_down(&mut office);
    refused_while_the_line_is_down(&mut office);
    office.world.finish();
}

/// The host stays the same.
fn under_another_address(office: &mut Office) {
    let commands = ["address del 192.168.10.21/24 dev eth0", "address add 192.168.10.91/24 dev eth0"];
    let route = "route add default via 192.168.10.1";
    office.world.host(1).ip(&[commands[0], commands[1], route].map(str::to_owned)).must();
    office.world.host(1).exec("ping", &["-c", "1", "-W", "2", "192.168.10.1"]).must();
    let is_known =
        |uplink: &serde_json::Value| uplink["reserved"][0]["addresses"].to_string().contains("192.168.10.91");
    office.world.wait_for_uplink(3, SOON, "known to be host 1's under its new address", is_known);
    office.only(1, 3);
}

fn by_order_for_a_time(office: &Office) {
    let mut other = Connection::on_uplink(&office.world, 3, 1);
    let said = order(&office.world, &["reserve", "dsl1", "192.168.10.22", "--for", "5s"]);
    assert!(said.starts_with("dsl1 is reserved for 192.168.10.22 until 20"), "{said}");
    assert!(said.contains("of other hosts stay until they end"), "{said}");
    office.only(2, 1);
    office.only(3, 2);
    office.only(1, 3);
    other.still_works();
    let reserved = office.world.wait_for_event("line-reserved", "dsl1");
    assert!(reserved["by"].as_str().is_some_and(|by| by.starts_with("uid 0, pid ")), "{reserved}");
    let ended = office.world.wait_for_event("reservation-ended", "192.168.10.22");
    assert_eq!((&ended["uplink"], &ended["by"]), (&"dsl1".into(), &reserved["by"]));
    office.also(2, 2);
    office.also(3, 1);
}

fn over_restart_and_reload(office: &mut Office) {
    order(&office.world, &["reserve", "dsl1", "192.168.10.22"]);
    office.world.router.kill().must();
    office.world.router = launch(&office.world);
    office.world.router.wait_until_up(3).must();
    office.only(2, 1);
    office.only(3, 2);
    office.only(1, 3);
    assert_eq!(order(&office.world, &["reload"]), "3 uplinks unchanged\n");
    office.only(2, 1);
    office.only(3, 2);
    let status = order(&office.world, &["status"]);
    let listed = |words: [&str; 3]| status.lines().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(
        listed(["dsl1 ", "192.168.10.22", "uid 0"]) && listed(["dsl3 ", "192.168.10.91", "configuration"]),
        "{status}"
    );
    assert_eq!(
        order(&office.world, &["release", "dsl1"]),
        "dsl1 is released: new connections of all hosts get it again\n"
    );
    office.also(3, 1);

    let (status, _, error) = office.world.potato(&["release", "dsl3"]);
    assert!(status == Some(1) && error.contains("configuration reserves dsl3") && error.contains("reload"), "{error}");
    let (status, _, error) = office.world.potato(&["reserve", "dsl7", "192.168.10.22"]);
    assert!(status == Some(1) && error.contains("there are dsl1, dsl2, dsl3"), "{error}");
    assert!(office.world.wait_for_event("reservation-refused", "dsl7")["by"].is_string());
}

/// The router again, with the configuration that is there.
fn launch(world: &World) -> potato::demo::lab::Router {
    let config = world.lab.directory().join("potato.toml");
    potato::demo::lab::Router::start(world.lab.router(), binary(), &config, world.lab.directory()).must()
}

fn while_the_line_is_down(office: &mut Office) {
    let mut connection = Connection::on_uplink(&office.world, 1, 3);
    set(&office.world, 3, "down");
    office.world.wait_for_state(3, "no-carrier");
    assert_eq!(connection.end(), ErrorKind::ConnectionReset);
    office.never(1, 3);
    set(&office.world, 3, "up");
    office.world.wait_for_state(3, "up");
    office.only(1, 3);
    office.never(2, 3);
}

fn refused_while_the_line_is_down(office: &mut Office) {
    order(&office.world, &["reserve", "dsl2", "printer", "--when-down", "refuse"]);
    office.only(3, 2);
    office.only(2, 1);
    let mut connection = Connection::on_uplink(&office.world, 3, 2);
    set(&office.world, 2, "down");
    office.world.wait_for_state(2, "no-carrier");
    let refused = connect(office.world.host(3), 0, SocketAddr::from((SERVER, 7000)))
        .map(drop)
        .expect_err("the pool is not for it");
    assert_eq!(refused.kind(), ErrorKind::NetworkUnreachable);
    office.only(2, 1);
    set(&office.world, 2, "up");
    office.world.wait_for_state(2, "up");
    connection.still_works();
    office.only(3, 2);
    // The last line that is left for others may be reserved, and that is said.
    let (status, _, warning) = office.world.potato(&["reserve", "dsl1", "192.168.10.22"]);
    assert!(status == Some(0) && warning.contains("no line is left for others"), "{warning}");
    wait_for("the others' lines", || {
        match office.world.events().iter().rev().find(|event| event["event"] == "no-uplink") {
            Some(event) if event["cause"].as_str().is_some_and(|cause| cause.contains("dsl1 up and reserved")) => {
                Ok(())
            }
            other => Err(format!("{other:?}")),
        }
    });
}

/// Takes the far end of a line away, or puts it back.
fn set(world: &World, line: u8, state: &str) {
    world.internet().ip(&[format!("link set isp{line} {state}")]).must();
}
