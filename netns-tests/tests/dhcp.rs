//! Lines whose address comes by DHCP, from dnsmasq at the provider's end.
//!
//! ```text
//!  h1 .21 --+                                    wan1 (dhcp) -- 10.77.1.1, dnsmasq --+
//!           +-- lan -- lan0 192.168.10.1 [potato]                                    [internet] 203.0.113.1
//!                                                wan2 10.77.2.2 -- 10.77.2.1 --------+  (where there are two)
//! ```

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use netns_tests::connection::Connection as PlainConnection;
use netns_tests::programs::{run, shell};
use netns_tests::provider::Provider;
use netns_tests::sniffer::Capturing;
use netns_tests::sockets::{connect, listener, seen_from, udp};
use netns_tests::waiting::SOON;
use netns_tests::world::lab;
use netns_tests::{Addressing, Capture, Lab, LabOptions, Must, Offloads, SERVER, World, binary, over_both_captures};
use serde_json::json;

over_both_captures!(a_lease_carries_traffic);

const RANGE: (&str, &str) = ("10.77.1.50", "10.77.1.60");
/// So that a lease is renewed every three seconds, and every server asked after six.
const IMPATIENT: [&str; 2] = ["--dhcp-option=option:T1,3", "--dhcp-option=option:T2,6"];

/// A lab whose first uplink of `uplinks` is leased.
fn leased_lab(uplinks: u8) -> Lab {
    let mut options = LabOptions::new(1, uplinks);
    options.uplinks[0].addressing = Addressing::Dhcp;
    lab(options)
}

/// A world with a leased line and its provider, both up.
fn leased(capture: Capture, range: (&str, &str), options: &[&str]) -> (World, Provider) {
    let lab = leased_lab(1);
    let provider = Provider::start(&lab, 1, range, options);
    let mut world = World::launched(capture, lab);
    world.wait_for_state(1, "up");
    (world, provider)
}

/// Our address on the leased line.
fn address(world: &World) -> Ipv4Addr {
    let uplink = world.uplink(1);
    let text = uplink["address"].as_str().unwrap_or_else(|| panic!("no address: {uplink}"));
    text.strip_suffix("/24").unwrap_or_else(|| panic!("{text} is no /24")).parse().must()
}

fn ping(world: &World) {
    run(world.host(1), "ping -c 2 -i 0.05 -W 2 203.0.113.1");
}

/// A TCP connection through the router, both its ends.
struct Connection {
    near: TcpStream,
    far: TcpStream,
    external: SocketAddr,
}

impl Connection {
    fn open(world: &World) -> Self {
        let listening = listener(world.internet(), SERVER, 7000);
        let near = connect(world.host(1), 0, SocketAddr::from((SERVER, 7000))).must();
        let (far, external) = listening.accept().must();
        far.set_read_timeout(Some(Duration::from_secs(15))).must();
        near.set_read_timeout(Some(Duration::from_secs(15))).must();
        Self { near, far, external }
    }

    #[track_caller]
    fn still_works(&mut self) {
        let mut bytes = [0; 5];
        self.near.write_all(b"there").must();
        self.far.read_exact(&mut bytes).must();
        self.far.write_all(b"again").must();
        self.near.read_exact(&mut bytes).must();
        assert_eq!(&bytes, b"again");
    }
}

fn a_lease_carries_traffic(capture: Capture) {
    let options = ["--dhcp-option=option:dns-server,192.0.2.53", "--dhcp-option=option:mtu,1400"];
    let (world, provider) = leased(capture, RANGE, &options);
    let world = world.with_servers();
    let uplink = world.uplink(1);
    assert_eq!((&uplink["kind"], &uplink["gateway"]), (&json!("dhcp"), &json!("10.77.1.1")));
    let lease = &uplink["lease"];
    assert_eq!((&lease["server"], &lease["mtu"]), (&json!("10.77.1.1"), &json!(1400)));
    assert_eq!(lease["name_servers"], json!(["192.0.2.53"]));
    assert!(lease["expires_in_seconds"].as_u64().is_some_and(|left| (60..=120).contains(&left)), "{lease}");
    assert!((50..=60).contains(&address(&world).octets()[3]), "{uplink}");
    ping(&world);
    // The line's MTU is the lease's: the router says so to whoever sends more.
    let said = shell(world.host(1), "ping -c 1 -W 2 -M do -s 1400 203.0.113.1 2>&1 || true");
    assert!(said.contains("1400"), "{said}");
    assert!(said.contains("Frag needed") || said.contains("message too long"), "{said}");
    let fetch = "curl --silent --show-error --max-time 30 http://203.0.113.1/bytes/3000000 | sha256sum";
    assert_eq!(shell(world.host(1), fetch), shell(world.internet(), fetch));
    assert_eq!(Connection::open(&world).external.ip(), address(&world));
    assert_eq!((provider.count("DHCPDISCOVER"), provider.count("DHCPDECLINE")), (1, 0), "{}", provider.log());
    world.finish();
}

#[test]
fn a_lease_is_renewed_under_traffic() {
    let (world, provider) = leased(Capture::Packet, RANGE, &IMPATIENT);
    let mut connection = Connection::open(&world);
    let before = address(&world);
    // The first is from the beginning.
    provider.wait_for("DHCPACK", 3);
    connection.still_works();
    assert_eq!((address(&world), provider.count("DHCPDISCOVER")), (before, 1), "{}", provider.log());
    assert_eq!(world.router.log().matches("lease obtained").count(), 1);
    world.finish();
}

#[test]
fn a_provider_with_another_network_gives_a_new_address() {
    let (mut world, provider) = leased(Capture::Packet, RANGE, &IMPATIENT);
    let mut connection = Connection::open(&world);
    // Busy enough for the shortcut.
    (0..100).for_each(|_| connection.still_works());
    provider.stop();
    let commands = ["address del 10.77.1.1/24 dev isp1", "address add 10.78.1.1/24 dev isp1"];
    world.internet().ip(&commands.map(str::to_owned)).must();
    let provider = Provider::start(&world.lab, 1, ("10.78.1.50", "10.78.1.60"), &IMPATIENT);
    let is_there = |uplink: &serde_json::Value| {
        uplink["state"] == "up" && uplink["address"].as_str().is_some_and(|address| address.starts_with("10.78.1."))
    };
    world.wait_for_uplink(1, SOON * 2, "with the new network", is_there);
    assert!(provider.count("DHCPNAK") > 0, "{}", provider.log());
    world.wait_for_event("lease-ended", "taken it back");
    // The old connection was not moved: it is gone, and nothing of it leaves with the new address.
    let flows = world.router.flows(&[]).must().to_string();
    assert!(!flows.contains(":7000"), "{flows}");
    let file = world.lab.directory().join("old.pcap");
    let watching = Capturing::start(world.internet(), "isp1", "in", "tcp port 7000", 128, &file);
    connection.near.write_all(b"still there?").must();
    ping(&world);
    assert!(watching.finish().is_empty(), "something of the old connection left");
    let fresh = Connection::open(&world);
    assert_eq!(fresh.external.ip(), address(&world));
    world.finish();
}

#[test]
fn a_dead_server_costs_the_lease_and_a_new_one_brings_it_back() {
    let (mut world, provider) = leased(Capture::Packet, RANGE, &[]);
    let before = address(&world);
    provider.stop();
    // Two minutes is dnsmasq's shortest lease. Until its end the line works.
    ping(&world);
    let ended = world.wait_for_uplink(1, Duration::from_secs(140), "without its lease", |uplink| {
        uplink["state"] == "connecting" && uplink["address"].is_null() && uplink["gateway"].is_null()
    });
    assert!(ended["lease"].is_null(), "{ended}");
    assert!(world.host(1).exec("ping", &["-c", "1", "-W", "1", "203.0.113.1"]).is_err());
    let _provider = Provider::start(&world.lab, 1, RANGE, &[]);
    world.wait_for_uplink(1, SOON * 3, "up again", |uplink| uplink["state"] == "up");
    assert_eq!(address(&world), before);
    ping(&world);
    world.finish();
}

#[test]
fn a_lease_in_the_lans_network_is_refused_and_explained() {
    let lab = leased_lab(2);
    lab.internet().ip(&["address add 192.168.10.254/24 dev isp1".to_owned()]).must();
    let provider = Provider::start(&lab, 1, ("192.168.10.100", "192.168.10.110"), &[]);
    let mut world = World::launched(Capture::Packet, lab);
    world.wait_for_state(2, "up");
    provider.wait_for("DHCPOFFER", 2);
    let uplink = world.uplink(1);
    assert_eq!((&uplink["state"], &uplink["address"]), (&json!("connecting"), &json!(null)));
    assert!(uplink["problem"].as_str().is_some_and(|problem| problem.contains("give the LAN another")), "{uplink}");
    let log = world.router.log();
    assert_eq!(log.matches("lease refused").count(), 1, "once: {log}");
    for part in ["192.168.10.1", "overlaps the LAN's", "give the LAN another network"] {
        assert!(log.contains(part), "should say {part}: {log}");
    }
    assert_eq!(provider.count("DHCPREQUEST"), 0);
    let refused = world.wait_for_event("lease-refused", "192.168.10.1");
    assert!(refused["cause"].as_str().is_some_and(|cause| cause.contains("give the LAN another")), "{refused}");
    // The other line carries on.
    ping(&world);
    world.finish();
}

#[test]
fn a_killed_router_has_its_lease_and_its_connections_again_at_once() {
    // A server that answers by broadcast, as some do whatever they are asked.
    let (mut world, provider) = leased(Capture::Packet, RANGE, &["--dhcp-broadcast"]);
    let mut connection = Connection::open(&world);
    let listening = udp(world.internet(), SERVER, 7001);
    let socket = udp(world.host(1), Ipv4Addr::UNSPECIFIED, 6000);
    let external = seen_from(&socket, &listening, "before");
    world.router.kill().must();
    world.router = world.lab.start_router(binary(), Capture::Packet).must();
    connection.still_works();
    assert_eq!(seen_from(&socket, &listening, "after"), external);
    assert_eq!(provider.count("DHCPDISCOVER"), 1, "{}", provider.log());
    // A clean stop gives the address back, and the start after it wishes for the same.
    assert!(world.router.terminate().must().success());
    provider.wait_for("DHCPRELEASE", 1);
    world.router = world.lab.start_router(binary(), Capture::Packet).must();
    connection.still_works();
    assert_eq!((provider.count("DHCPDISCOVER"), connection.external.ip()), (2, address(&world).into()));
    world.finish();
}

#[test]
fn a_pulled_cable_comes_back_with_its_address_and_its_connections() {
    let (mut world, provider) = leased(Capture::Packet, RANGE, &[]);
    let mut connection = Connection::open(&world);
    world.internet().ip(&["link set isp1 down".to_owned()]).must();
    world.wait_for_state(1, "no-carrier");
    assert!(world.uplink(1)["address"].is_null());
    world.internet().ip(&["link set isp1 up".to_owned()]).must();
    world.wait_for_state(1, "up");
    connection.still_works();
    assert_eq!(provider.count("DHCPDISCOVER"), 1, "{}", provider.log());
    // A stick that is pulled out and put in again has another Ethernet address here, and so another lease.
    world.lab.delete_uplink(1).must();
    world.wait_for_state(1, "missing");
    world.lab.remake_uplink(1).must();
    provider.stop();
    let provider = Provider::start(&world.lab, 1, RANGE, &[]);
    world.wait_for_uplink(1, SOON * 2, "up", |uplink| uplink["state"] == "up");
    assert!(provider.count("DHCPDISCOVER") > 1, "{}", provider.log());
    ping(&world);
    world.finish();
}

#[test]
fn a_restarted_router_with_another_address_leaves_its_connections_behind() {
    let (mut world, provider) = leased(Capture::Packet, RANGE, &[]);
    let connection = Connection::open(&world);
    assert!(world.router.flows(&[]).must().to_string().contains(":7000"));
    world.router.kill().must();
    provider.stop();
    let _provider = Provider::start(&world.lab, 1, ("10.77.1.90", "10.77.1.95"), &[]);
    world.router = world.lab.start_router(binary(), Capture::Packet).must();
    assert!(address(&world).octets()[3] >= 90);
    let flows = world.router.flows(&[]).must().to_string();
    assert!(!flows.contains(":7000"), "{flows}");
    let fresh = Connection::open(&world);
    assert_eq!(fresh.external.ip(), address(&world));
    drop(connection);
    world.finish();
}

#[test]
fn an_address_that_somebody_uses_is_declined() {
    let lab = leased_lab(1);
    // Somebody on the line who has the only address that there is, and then another comes free.
    lab.internet().ip(&["address add 10.77.1.50/32 dev lo".to_owned()]).must();
    let provider = Provider::start(&lab, 1, ("10.77.1.50", "10.77.1.50"), &[]);
    let mut world = World::launched(Capture::Packet, lab);
    provider.wait_for("DHCPDECLINE", 1);
    assert!(world.uplink(1)["address"].is_null());
    provider.stop();
    let _provider = Provider::start(&world.lab, 1, RANGE, &["--dhcp-host=ignored,10.77.1.50"]);
    world.wait_for_uplink(1, SOON * 3, "up", |uplink| uplink["state"] == "up");
    assert_ne!(address(&world), Ipv4Addr::new(10, 77, 1, 50));
    assert!(world.router.log().contains("lease declined"));
    world.wait_for_event("lease-declined", "10.77.1.50");
    let obtained = world.wait_for_event("lease-obtained", &address(&world).to_string());
    assert_eq!((&obtained["by"], &obtained["cause"]), (&json!("server 10.77.1.1"), &json!("gateway 10.77.1.1")));
    ping(&world);
    world.finish();
}

#[test]
fn a_state_directory_that_cannot_be_written_is_told_and_does_no_harm() {
    // And a server whose checksums are finished, as on a real wire.
    let mut options = LabOptions::new(1, 1);
    options.uplinks[0].addressing = Addressing::Dhcp;
    options.internet_offloads = Offloads::Off;
    let lab = lab(options);
    // A file where the directory should be.
    std::fs::write(lab.directory().join("state"), "").must();
    let _provider = Provider::start(&lab, 1, RANGE, &[]);
    let mut world = World::launched(Capture::Packet, lab);
    world.wait_for_state(1, "up");
    ping(&world);
    assert!(world.router.log().contains("address not remembered"), "{}", world.router.log());
    world.finish();
}

#[test]
fn a_redialled_lease_is_given_back_and_its_flows_live_on_only_if_their_address_returns() {
    let lab = leased_lab(2);
    let provider = Provider::start(&lab, 1, RANGE, &[]);
    let mut world = World::launched(Capture::Packet, lab);
    world.wait_for_state(1, "up");
    world.wait_for_state(2, "up");
    let before = address(&world);
    let [mut leased, mut beside] = PlainConnection::on_each_uplink(&world);
    let (status, said, error) = world.potato(&["redial", "dsl1"]);
    let expected = "dsl1: its lease is given back and asked for anew; its state is connecting\n";
    assert_eq!((status, said.as_str()), (Some(0), expected), "{error}");
    beside.still_works();
    leased.still_works();
    assert_eq!((provider.count("DHCPRELEASE"), provider.count("DHCPDISCOVER")), (1, 2), "{}", provider.log());
    world.wait_for_state(1, "up");
    assert_eq!(address(&world), before, "the server knows us");
    let released = world.wait_for_event("lease-ended", "given back by hand");
    assert_eq!(released["uplink"], "dsl1");

    // A server that gives another one: hosts are told at once.
    provider.stop();
    let provider = Provider::start(&world.lab, 1, ("10.77.1.70", "10.77.1.80"), &[]);
    assert_eq!(world.potato(&["redial", "dsl1"]).0, Some(0));
    assert_eq!(leased.end(), std::io::ErrorKind::ConnectionReset);
    beside.still_works();
    world.wait_for_event("flows-ended", "line has another address");
    world.wait_for_state(1, "up");
    assert!((70..=80).contains(&address(&world).octets()[3]), "{}", provider.log());
    world.finish();
}
