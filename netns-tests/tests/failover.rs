//! Lines that die under their users, and what those see of it, with the times that it takes.
//!
//! ```text
//!  h1 .21 --+                                    wan1 -- 10.77.1.1 --+
//!           +-- lan -- lan0 192.168.10.1 [potato]                    [internet] 203.0.113.1: echo servers
//!                                                wan2 -- 10.77.2.1 --+
//! ```

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::thread::{ScopedJoinHandle, scope};
use std::time::Duration;

use netns_tests::connection::Connection;
use netns_tests::sockets::{PATIENCE, connect, listener, udp};
use netns_tests::waiting::{SOON, wait_for};
use netns_tests::world::lab;
use netns_tests::{Capture, LabOptions, Must, SERVER, World, over_both_captures};
use potato::sys::clock;
use serde_json::Value;

over_both_captures!(
    a_lost_carrier_is_told_to_every_kind_of_client,
    busy_transfers_over_a_lost_line_end_at_once,
    a_syn_into_a_black_hole_is_rescued,
    a_syn_that_waits_on_a_lost_line_is_rescued,
    a_standby_line_carries_when_it_must_and_drains_afterwards,
    all_lines_gone_and_back,
);

/// The kernel tells of the first change of a carrier at once, and of those in the second after it later.
const LINKS_REST: Duration = Duration::from_millis(1_200);
/// Times that hosts wait at most here. The targets are 100 ms and 1.1 s; a machine that does much else takes longer.
const AT_ONCE: Duration = Duration::from_millis(1_000);

/// Takes the carrier of a line away, and gives when.
fn lose(world: &World, line: usize) -> Duration {
    let ready = clock::monotonic() + LINKS_REST;
    wait_for("links at rest", || if clock::monotonic() < ready { Err(String::new()) } else { Ok(()) });
    let start = clock::monotonic();
    world.internet().ip(&[format!("link set isp{line} down")]).must();
    start
}

fn give_back(world: &mut World, line: usize) {
    world.internet().ip(&[format!("link set isp{line} up")]).must();
    world.wait_for_state(line, "up");
}

fn line_of(external: SocketAddr) -> usize {
    let IpAddr::V4(address) = external.ip() else { unreachable!("the lab is IPv4") };
    address.octets()[2].into()
}

/// Answers every datagram on a port of the server's, and says in the answer by which line it came.
fn echo(world: &World, port: u16) -> UdpSocket {
    let socket = udp(world.internet(), SERVER, port);
    socket.set_read_timeout(Some(Duration::from_millis(20))).must();
    socket
}

fn answer(socket: &UdpSocket) {
    let mut bytes = [0; 64];
    if let Ok((_, source)) = socket.recv_from(&mut bytes) {
        socket.send_to(&[u8::try_from(line_of(source)).must()], source).must();
    }
}

/// A connected socket of the host's to a port of the server's, over this line.
fn client_on(world: &World, echo: &UdpSocket, line: usize) -> UdpSocket {
    for _ in 0..20 {
        let socket = udp(world.host(1), Ipv4Addr::UNSPECIFIED, 0);
        socket.connect(echo.local_addr().must()).must();
        if ask(&socket, echo) == Some(line) {
            return socket;
        }
    }
    panic!("20 sockets use both lines");
}

/// Which line the server sees the socket come by; `None`: no answer.
fn ask(socket: &UdpSocket, echo: &UdpSocket) -> Option<usize> {
    socket.send(b"?").ok()?;
    answer(echo);
    let mut bytes = [0; 1];
    socket.set_read_timeout(Some(Duration::from_millis(20))).must();
    let heard = socket.recv(&mut bytes).ok().map(|_| bytes[0].into());
    socket.set_read_timeout(Some(PATIENCE)).must();
    heard
}

/// How long after `start` a blocked receiver is told, and what.
fn time_of<'s, T: Send + 's>(
    scope: &'s std::thread::Scope<'s, '_>,
    work: impl FnOnce() -> T + Send + 's,
) -> ScopedJoinHandle<'s, (Duration, T)> {
    scope.spawn(|| {
        let value = work();
        (clock::monotonic(), value)
    })
}

/// Connects until that works: a SYN that is lost is not waited for, another try is made.
fn connect_somehow(world: &World, port: u16) -> TcpStream {
    let server = SocketAddr::from((SERVER, port));
    wait_for("a new connection", || {
        let tried = world.host(1).run(|| TcpStream::connect_timeout(&server, Duration::from_millis(20))).must();
        tried.map_err(|error| error.to_string())
    })
}

fn number(world: &World, line: usize, name: &str) -> u64 {
    world.uplink(line)[name].as_u64().unwrap_or_default()
}

/// Events of a kind, as the router has kept them.
fn events(world: &World, kind: &str) -> Vec<Value> {
    let (status, said, error) = world.potato(&["events", "--json"]);
    assert_eq!(status, Some(0), "{error}");
    let report: Value = serde_json::from_str(&said).must();
    report["events"].as_array().into_iter().flatten().filter(|event| event["event"] == kind).cloned().collect()
}

fn a_lost_carrier_is_told_to_every_kind_of_client(capture: Capture) {
    let mut world = World::new(capture, 1, 2);
    let [mut first, mut second] = Connection::on_each_uplink(&world);
    let (datagrams, tunnel) = (echo(&world, 7001), echo(&world, 51_820));
    let (lost, kept) = (client_on(&world, &datagrams, 1), client_on(&world, &datagrams, 2));
    let moving = client_on(&world, &tunnel, 1);
    let accepting = listener(world.internet(), SERVER, 7002);
    let (carrier, told, refused, connected, moved) = scope(|scope| {
        let told = time_of(scope, || first.end());
        let refused = time_of(scope, || lost.recv(&mut [0; 1]).expect_err("nobody says anything").kind());
        let start = lose(&world, 1);
        let moved = time_of(scope, || {
            wait_for("an answer over the other line", || match ask(&moving, &tunnel) {
                Some(2) => Ok(()),
                other => Err(format!("{other:?}")),
            });
        });
        let connected = time_of(scope, || connect_somehow(&world, 7002));
        let ends = (told.join().unwrap(), refused.join().unwrap(), connected.join().unwrap(), moved.join().unwrap());
        (start, ends.0, ends.1, ends.2, ends.3)
    });
    let after = |time: Duration| time.saturating_sub(carrier);
    println!(
        "carrier lost: new connection after {:?}, TCP client told after {:?}, UDP client told after {:?}, WireGuard goes on after {:?}",
        after(connected.0),
        after(told.0),
        after(refused.0),
        after(moved.0)
    );
    assert_eq!((told.1, refused.1), (ErrorKind::ConnectionReset, ErrorKind::ConnectionRefused));
    for time in [connected.0, told.0, refused.0, moved.0] {
        assert!(after(time) < AT_ONCE, "{:?}", after(time));
    }
    assert_eq!(line_of(accepting.accept().must().1), 2);
    // Nothing has happened to flows of the other line.
    second.still_works();
    assert_eq!(ask(&kept, &datagrams), Some(2));
    assert_eq!(ask(&lost, &datagrams), Some(2), "the same socket goes on when it tries again");
    let counts = ["flows_reset", "flows_told", "flows_moved"].map(|name| number(&world, 1, name));
    assert!(counts[0] >= 1 && counts[1] >= 1 && counts[2] == 1, "{counts:?}");
    assert_eq!(["flows_reset", "flows_told", "flows_moved"].map(|name| number(&world, 2, name)), [0, 0, 0]);
    let ended = events(&world, "flows-ended");
    assert_eq!((ended.len(), &ended[0]["uplink"]), (1, &Value::from("dsl1")), "{ended:?}");
    assert!(ended[0]["cause"].as_str().is_some_and(|why| why.contains(", 1 flow moved")), "{ended:?}");
    // The line is back: what was moved stays where it is.
    give_back(&mut world, 1);
    assert_eq!(ask(&moving, &tunnel), Some(2));
    assert_eq!(number(&world, 1, "flows"), 0);
    world.finish();
}

/// A connection on the line, both ends.
fn connection_on(world: &World, line: usize) -> (TcpStream, TcpStream) {
    let listening = listener(world.internet(), SERVER, 7003);
    // Those on other lines stay for the moment: new ones go where there are fewer.
    let mut others = Vec::new();
    for _ in 0..20 {
        let near = connect(world.host(1), 0, SocketAddr::from((SERVER, 7003))).must();
        let (far, external) = listening.accept().must();
        if line_of(external) == line {
            return (near, far);
        }
        others.push((near, far));
    }
    panic!("20 connections use both lines");
}

fn busy_transfers_over_a_lost_line_end_at_once(capture: Capture) {
    let world = World::new(capture, 1, 2);
    let (mut reading, mut feeding) = connection_on(&world, 1);
    let (mut writing, mut draining) = connection_on(&world, 1);
    let (mut other, mut feeding_other) = connection_on(&world, 2);
    for stream in [&feeding, &feeding_other, &draining] {
        stream.set_write_timeout(Some(PATIENCE)).must();
        stream.set_read_timeout(Some(PATIENCE)).must();
    }
    let block = vec![7_u8; 64 * 1024];
    scope(|scope| {
        scope.spawn(|| while feeding.write_all(&block).is_ok() {});
        scope.spawn(|| while draining.read(&mut [0; 65_536]).is_ok_and(|read| read > 0) {});
        scope.spawn(|| while feeding_other.write_all(&block).is_ok() {});
        let download = time_of(scope, || {
            loop {
                if let Err(error) = reading.read(&mut [0; 65_536]) {
                    break error.kind();
                }
            }
        });
        let upload = time_of(scope, || {
            loop {
                if let Err(error) = writing.write_all(&block) {
                    break error.kind();
                }
            }
        });
        wait_for("both in the shortcut", || match world.router.status().must()["engine"]["shortcut_flows"].as_u64() {
            Some(2..) => Ok(()),
            other => Err(format!("{other:?}")),
        });
        let start = lose(&world, 1);
        let (download, upload) = (download.join().unwrap(), upload.join().unwrap());
        let after = |time: Duration| time.saturating_sub(start);
        println!("carrier lost: download ends after {:?}, upload after {:?}", after(download.0), after(upload.0));
        assert_eq!(download.1, ErrorKind::ConnectionReset);
        assert!([ErrorKind::ConnectionReset, ErrorKind::BrokenPipe].contains(&upload.1), "{:?}", upload.1);
        assert!(after(download.0) < AT_ONCE && after(upload.0) < AT_ONCE);
        // The transfer on the other line goes on.
        other.read_exact(&mut vec![0; 10_000_000]).must();
        other.shutdown(std::net::Shutdown::Both).must();
    });
    assert_eq!((number(&world, 1, "flows_reset"), number(&world, 2, "flows_reset")), (2, 0));
    world.finish();
}

/// From now on the line's far end takes ARP and nothing else.
fn black_hole(world: &World, line: usize) {
    let rules = format!(
        "table ip hole {{ chain everything {{ type filter hook prerouting priority -300; iifname isp{line} drop; }}; }}"
    );
    world.internet().exec("nft", &[&rules]).must();
}

fn a_syn_into_a_black_hole_is_rescued(capture: Capture) {
    let world = World::new(capture, 1, 2);
    black_hole(&world, 1);
    let listening = listener(world.internet(), SERVER, 7004);
    let mut longest = Duration::ZERO;
    for _ in 0..4 {
        let start = clock::monotonic();
        let _near = connect(world.host(1), 0, SocketAddr::from((SERVER, 7004))).must();
        longest = longest.max(clock::monotonic().saturating_sub(start));
        assert_eq!(line_of(listening.accept().must().1), 2);
    }
    println!("line 1 is a black hole: the longest connect took {longest:?}");
    assert!(longest > Duration::from_millis(900), "one of them went there first");
    assert!(longest < Duration::from_millis(1_900), "{longest:?}");
    assert!((1..=4).contains(&number(&world, 1, "syn_rescued")), "{}", world.uplink(1));
    assert_eq!(number(&world, 2, "syn_rescued"), 0);
    world.finish();
}

fn a_syn_that_waits_on_a_lost_line_is_rescued(capture: Capture) {
    let world = World::new(capture, 1, 2);
    let listening = listener(world.internet(), SERVER, 7005);
    black_hole(&world, 1);
    // Both lines have the same load, so the first of them gets the next flow.
    scope(|scope| {
        let ready = clock::monotonic() + LINKS_REST;
        wait_for("links at rest", || if clock::monotonic() < ready { Err(String::new()) } else { Ok(()) });
        let begun = clock::monotonic();
        let connecting = time_of(scope, || connect(world.host(1), 0, SocketAddr::from((SERVER, 7005))).must());
        wait_for("the SYN", || if number(&world, 1, "flows") == 1 { Ok(()) } else { Err("no flow".to_owned()) });
        world.internet().ip(&["link set isp1 down".to_owned()]).must();
        let (time, _near) = connecting.join().unwrap();
        println!("line lost with a SYN on it: connected after {:?}", time.saturating_sub(begun));
        assert!(time.saturating_sub(begun) < Duration::from_millis(1_900));
        assert_eq!(line_of(listening.accept().must().1), 2);
    });
    assert_eq!(number(&world, 1, "syn_rescued"), 1);
    world.finish();
}

fn a_standby_line_carries_when_it_must_and_drains_afterwards(capture: Capture) {
    let mut options = LabOptions::new(1, 2);
    options.uplinks[1].settings = "role = \"standby\"\nmetered = true\ndrain = \"2s\"\n".to_owned();
    let mut world = World::launched(capture, lab(options));
    world.wait_for_state(1, "up");
    world.wait_for_state(2, "standby");
    let listening = listener(world.internet(), SERVER, 7006);
    let open = |world: &World| {
        let near = connect_somehow(world, 7006);
        near.set_read_timeout(Some(PATIENCE)).must();
        let (far, external) = listening.accept().must();
        (near, far, line_of(external))
    };
    for _ in 0..8 {
        assert_eq!(open(&world).2, 1);
    }
    let start = lose(&world, 1);
    let (mut near, mut far, line) = open(&world);
    println!(
        "only line lost: a new connection over the standby line after {:?}",
        clock::monotonic().saturating_sub(start)
    );
    assert_eq!(line, 2);
    assert_eq!(world.uplink(2)["state"], "up");
    give_back(&mut world, 1);
    let back = clock::monotonic();
    world.wait_for_state(2, "standby");
    assert_eq!(open(&world).2, 1, "new flows go back at once");
    near.write_all(b"still").must();
    far.read_exact(&mut [0; 5]).must();
    let ended = near.read(&mut [0; 1]).expect_err("it is drained").kind();
    let lasted = clock::monotonic().saturating_sub(back);
    println!("drained after {lasted:?} (set: 2 s)");
    assert_eq!(ended, ErrorKind::ConnectionReset);
    assert!((1_500..4_000).contains(&lasted.as_millis()), "{lasted:?}");
    let changes: Vec<_> = events(&world, "uplink-changed")
        .into_iter()
        .filter(|event| event["uplink"] == "dsl2" && event["cause"].as_str().is_some_and(|why| why.contains("better")))
        .map(|event| format!("{} -> {}", event["from"].as_str().unwrap_or("?"), event["to"].as_str().unwrap_or("?")))
        .collect();
    assert!(changes.ends_with(&["standby -> up".to_owned(), "up -> standby".to_owned()]), "{changes:?}");
    let ended = events(&world, "flows-ended");
    assert!(ended.iter().any(|event| event["cause"] == "drain time over: 1 connection reset"), "{ended:?}");
    world.finish();
}

fn all_lines_gone_and_back(capture: Capture) {
    let mut world = World::new(capture, 1, 2).with_servers();
    let mut connections = Connection::on_each_uplink(&world);
    let ready = clock::monotonic() + LINKS_REST;
    wait_for("links at rest", || if clock::monotonic() < ready { Err(String::new()) } else { Ok(()) });
    world.internet().ip(&["link set isp1 down".to_owned(), "link set isp2 down".to_owned()]).must();
    world.wait_for_state(1, "no-carrier");
    world.wait_for_state(2, "no-carrier");
    wait_for("the event", || match events(&world, "no-uplink").len() {
        1 => Ok(()),
        other => Err(format!("{other} events")),
    });
    // A program that wants out is told at once.
    let start = clock::monotonic();
    let curl = ["--silent", "--show-error", "--max-time", "10", "http://203.0.113.1/bytes/1"];
    let output = world.host(1).command("curl", &curl).output().must();
    let took = clock::monotonic().saturating_sub(start);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    println!("no line: curl fails after {took:?}: {}", said.trim());
    // 7: the connection failed, not its time.
    assert_eq!(output.status.code(), Some(7), "{said}");
    assert!(took < AT_ONCE, "{took:?}: {said}");
    assert!(world.router.log().contains("no uplink works"), "{}", world.router.log_end());
    world.internet().ip(&["link set isp1 up".to_owned(), "link set isp2 up".to_owned()]).must();
    world.wait_for_state(1, "up");
    world.wait_for_state(2, "up");
    connections.iter_mut().for_each(Connection::still_works);
    assert_eq!(events(&world, "uplink-back").len(), 1);
    assert_eq!([1, 2].map(|line| number(&world, line, "flows_reset")), [0, 0]);
    world.wait_for_uplink(1, SOON, "has flows", |uplink| uplink["flows"].as_u64() > Some(0));
    world.finish();
}
