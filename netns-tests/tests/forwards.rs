//! Ports of the lines that somebody inside answers.
//!
//! ```text
//!  h1 .21 the server --+                                    wan1 -- 10.77.1.1 --+
//!                      +-- lan -- lan0 192.168.10.1 [potato] ...                [internet] 203.0.113.1, .2: strangers
//!  h2 .22 a neighbour -+                                    wan6 -- 10.77.6.1 --+
//! ```

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use netns_tests::programs::{run, wait_for_listener};
use netns_tests::sniffer::Capturing;
use netns_tests::sockets::{PATIENCE, expect, listener, udp};
use netns_tests::waiting::wait_for;
use netns_tests::world::lab;
use netns_tests::{Capture, LabOptions, Must, SERVER, World, over_both_captures};
use potato::demo::lab::Namespace;
use socket2::{Domain, Protocol, Socket, Type};

over_both_captures!(
    six_lines_at_once_lead_to_one_server,
    a_neighbour_and_the_router_are_reached_by_the_lines_addresses
);

const ANY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
const OTHER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
/// How long somebody waits who is not let in.
const NOT_LET_IN: Duration = Duration::from_millis(700);

/// The outside ports of the first and of the last have other owners among two workers than the inside ones.
const FORWARDS: &str = r#"
[[forward]]
name = "web"
uplink = "any"
protocol = "tcp"
port = 8080
to = "192.168.10.21:82"

[[forward]]
uplink = "any"
protocol = "udp"
port = "8000-8010"
to = "192.168.10.21:9000"

[[forward]]
uplink = ["dsl1"]
protocol = "tcp"
port = 8443
to = "192.168.10.21:443"
source = ["203.0.113.2", "198.51.100.0/24"]

[[forward]]
uplink = "any"
protocol = ["tcp", "udp"]
port = 2220
to = "router:22"
"#;

fn at(line: u8, port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(10, 77, line, 2), port))
}

/// A router with `lines` lines and these forwards.
fn world(capture: Capture, lines: u8) -> World {
    let mut options = LabOptions::new(2, lines);
    options.workers = Some(2);
    let lab = lab(options);
    let text = lab.configuration(capture) + FORWARDS;
    let mut world = World::configured(lab, &text);
    world.router.wait_until_up(lines.into()).must();
    world
}

fn try_connect(
    namespace: &Namespace,
    from: Ipv4Addr,
    to: SocketAddr,
    patience: Duration,
) -> std::io::Result<TcpStream> {
    let work = || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.bind(&SocketAddr::from((from, 0)).into())?;
        socket.connect_timeout(&to.into(), patience)?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(stream)
    };
    namespace.run(work).must()
}

/// Both ends of a connection through the router.
struct Ends {
    client: TcpStream,
    server: TcpStream,
    /// Where the server saw it come from.
    seen: SocketAddr,
}

impl Ends {
    #[track_caller]
    fn connect(namespace: &Namespace, from: Ipv4Addr, to: SocketAddr, listening: &TcpListener) -> Self {
        let client = try_connect(namespace, from, to, PATIENCE).must();
        let (server, seen) = listening.accept().must();
        server.set_read_timeout(Some(PATIENCE)).must();
        let mut ends = Self { client, server, seen };
        ends.still_work();
        ends
    }

    #[track_caller]
    fn still_work(&mut self) {
        let mut bytes = [0; 5];
        self.client.write_all(b"there").must();
        self.server.read_exact(&mut bytes).must();
        assert_eq!(&bytes, b"there");
        self.server.write_all(b"again").must();
        self.client.read_exact(&mut bytes).must();
        assert_eq!(&bytes, b"again");
    }
}

#[track_caller]
fn reload(world: &World, text: &str) -> String {
    world.lab.write_config(text).must();
    let (status, said, error) = world.potato(&["reload"]);
    assert_eq!((status, error.as_str()), (Some(0), ""), "{said}");
    said
}

fn six_lines_at_once_lead_to_one_server(capture: Capture) {
    let world = world(capture, 6);
    let file = world.lab.directory().join("answers.pcap");
    let answers =
        Capturing::start(world.internet(), "any", "in", "src port 8080 or src portrange 8000-8010", 64, &file);
    let web = listener(world.host(1), ANY, 82);
    let mut connections: Vec<Ends> =
        (1..=6).map(|line| Ends::connect(world.internet(), SERVER, at(line, 8080), &web)).collect();
    for ends in &mut connections {
        // The server sees who it is.
        assert_eq!(ends.seen, ends.client.local_addr().must());
        ends.still_work();
    }
    let inside = udp(world.host(1), ANY, 9003);
    for line in 1..=6 {
        let outside = udp(world.internet(), SERVER, 7000 + u16::from(line));
        outside.send_to(b"hello", at(line, 8003)).must();
        assert_eq!(expect(&inside, "hello"), outside.local_addr().must());
        inside.send_to(b"answer", outside.local_addr().must()).must();
        assert_eq!(expect(&outside, "answer"), at(line, 8003));
    }
    each_answer_has_come_by_its_own_line(&world, answers);

    // A limit, on one line only.
    let limited = listener(world.host(1), ANY, 443);
    let _admitted = Ends::connect(world.internet(), OTHER, at(1, 8443), &limited);
    for (from, to, reason) in [(SERVER, at(1, 8443), "filtered"), (OTHER, at(2, 8443), "no_mapping")] {
        let before = world.drops(reason);
        assert!(try_connect(world.internet(), from, to, NOT_LET_IN).is_err());
        assert!(world.drops(reason) > before, "{reason}");
    }

    let flows = world.router.flows(&["--protocol", "tcp", "--host", "192.168.10.21"]).must();
    let flows = flows["flows"].as_array().cloned().unwrap_or_default();
    assert!(flows.len() == 7 && flows.iter().all(|flow| flow["direction"] == "inbound"), "{flows:#?}");

    // Taken out: who is in stays, nobody else comes in. And back.
    let with = world.lab.configuration(capture) + FORWARDS;
    let without = with.replace("port = 8080", "port = 8081");
    assert_eq!(reload(&world, &without), "[[forward]] set: 4 forwards; 6 uplinks unchanged\n");
    connections.iter_mut().for_each(Ends::still_work);
    assert!(try_connect(world.internet(), SERVER, at(3, 8080), NOT_LET_IN).is_err());
    drop(Ends::connect(world.internet(), SERVER, at(3, 8081), &web));
    assert_eq!(reload(&world, &with), "[[forward]] set: 4 forwards; 6 uplinks unchanged\n");
    connections.push(Ends::connect(world.internet(), SERVER, at(3, 8080), &web));
    connections.iter_mut().for_each(Ends::still_work);

    // A line dies with its connections, and with no others.
    world.internet().ip(&["link set isp3 down".to_owned()]).must();
    for (line, ends) in [1, 2, 3, 4, 5, 6, 3].into_iter().zip(&mut connections) {
        if line == 3 {
            let told = ends.server.read(&mut [0]).expect_err("nobody says anything").kind();
            assert_eq!(told, std::io::ErrorKind::ConnectionReset);
        } else {
            ends.still_work();
        }
    }
    for line in [2, 4] {
        drop(Ends::connect(world.internet(), SERVER, at(line, 8080), &web));
    }
    world.finish();
}

/// Every answer was seen at the far end of the line whose address it has.
#[track_caller]
fn each_answer_has_come_by_its_own_line(world: &World, answers: Capturing) {
    let index = |line: u8| {
        let index = world.internet().exec("cat", &[&format!("/sys/class/net/isp{line}/ifindex")]).must();
        (Ipv4Addr::new(10, 77, line, 2), index.trim().parse::<u32>().must())
    };
    let interfaces: HashMap<Ipv4Addr, u32> = (1..=6).map(index).collect();
    let mut seen: HashMap<Ipv4Addr, usize> = HashMap::new();
    for packet in answers.finish() {
        assert_eq!(interfaces.get(&packet.source()), Some(&packet.interface), "{packet:?}");
        *seen.entry(packet.source()).or_default() += 1;
    }
    assert!(seen.len() == 6 && seen.values().all(|packets| *packets >= 4), "{seen:?}");
}

// RFC 4787 REQ-9.
fn a_neighbour_and_the_router_are_reached_by_the_lines_addresses(capture: Capture) {
    let world = world(capture, 2);
    let web = listener(world.host(1), ANY, 82);
    let shell = listener(world.lab.router(), ANY, 22);
    for line in [1, 2] {
        // The server is a neighbour of the client's, and each sees the line's address alone.
        let hairpin = Ends::connect(world.host(2), ANY, at(line, 8080), &web);
        assert_eq!(hairpin.seen.ip(), at(line, 0).ip());
        // The server meets itself.
        let itself = Ends::connect(world.host(1), ANY, at(line, 8080), &web);
        assert_eq!(itself.seen.ip(), at(line, 0).ip());
        let from_far = Ends::connect(world.internet(), SERVER, at(line, 2220), &shell);
        assert_eq!(from_far.seen, from_far.client.local_addr().must());
        let from_near = Ends::connect(world.host(2), ANY, at(line, 2220), &shell);
        assert_eq!(from_near.seen.ip(), at(line, 0).ip());
    }
    let datagrams = udp(world.lab.router(), ANY, 22);
    let outside = udp(world.internet(), OTHER, 7000);
    outside.send_to(b"hello", at(2, 2220)).must();
    assert_eq!(expect(&datagrams, "hello").ip(), IpAddr::V4(OTHER));
    datagrams.send_to(b"answer", outside.local_addr().must()).must();
    assert_eq!(expect(&outside, "answer"), at(2, 2220));
    // Where the line does not forward, a neighbour is refused like anybody.
    let before = world.drops("no_mapping");
    assert!(try_connect(world.host(2), ANY, at(2, 8443), NOT_LET_IN).is_err());
    assert!(world.drops("no_mapping") > before);
    world.finish();
}

#[test]
fn what_a_forward_carries_takes_the_shortcut() {
    let mut options = LabOptions::new(1, 1);
    options.workers = Some(2);
    let lab = lab(options);
    let forward = "\n[[forward]]\nuplink = \"any\"\nprotocol = \"tcp\"\nport = 5200\nto = \"192.168.10.21:5202\"\n";
    let text = lab.configuration(Capture::Packet) + forward;
    let mut world = World::configured(lab, &text);
    world.router.wait_until_up(1).must();
    let _server = world.host(1).spawn("iperf3", &["-s", "-p", "5202"]).must();
    wait_for_listener(world.host(1), 5202);
    let engine = |world: &World| world.router.status().must()["engine"].clone();
    for reversed in ["", "-R"] {
        let before = engine(&world);
        run(world.internet(), &format!("iperf3 -c 10.77.1.2 -p 5200 -n 100M {reversed}"));
        let after = engine(&world);
        let more = |key: &str| after[key].as_u64().unwrap_or(0) - before[key].as_u64().unwrap_or(0);
        let (received, handed_over) = (more("received"), more("handed_over"));
        // A hundred megabytes are 70,000 segments.
        assert!(received < 7_000 && handed_over < 7_000, "{received} {handed_over}");
    }
    let out = world.uplink(1)["out"]["bytes"].as_u64().unwrap_or(0);
    wait_for("the shortcut's counters", || {
        let out = world.uplink(1)["out"]["bytes"].as_u64().unwrap_or(0).max(out);
        if out > 100_000_000 { Ok(()) } else { Err(out.to_string()) }
    });
    world.finish();
}
