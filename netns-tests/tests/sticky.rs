//! One address for a customer, and a line for what is urgent, seen from outside.
//!
//! ```text
//!  h1 .21 --+                                    wan1 -- 10.77.1.1 --+
//!  h2 .22 --+-- lan -- lan0 192.168.10.1 [potato] wan2 -- 10.77.2.1 --[internet] 203.0.113.1..9
//!                                                wanN -- 10.77.N.1 --+
//! ```

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use netns_tests::programs::{iperf, iperf_server, shell};
use netns_tests::sockets::{listener, seen_from, udp};
use netns_tests::waiting::wait_for;
use netns_tests::world::lab;
use netns_tests::{Capture, LabOptions, Must, Namespace, SERVER, World};
use potato::sys::clock;

/// A web server that answers nothing at length, while `work` runs; gives the lines by which visitors have come.
fn visited(world: &World, port: u16, work: impl FnOnce()) -> BTreeSet<u8> {
    let (server, stop) = (listener(world.internet(), SERVER, port), AtomicBool::new(false));
    let lines = Mutex::new(BTreeSet::new());
    thread::scope(|scope| {
        scope.spawn(|| {
            while let Ok((mut stream, visitor)) = server.accept() {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                // The whole request: what is left unread would end the connection by a reset.
                let _ = stream.read(&mut [0; 1024]);
                let _ = stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n");
                lines.lock().must().extend(line_of(visitor));
            }
        });
        work();
        stop.store(true, Ordering::Relaxed);
        // The last visitor closes the door.
        let last = world.internet().run(|| std::net::TcpStream::connect((SERVER, port)));
        drop(last);
    });
    lines.into_inner().must()
}

fn line_of(external: SocketAddr) -> Option<u8> {
    match external.ip() {
        IpAddr::V4(address) if address.octets()[..2] == [10, 77] => Some(address.octets()[2]),
        _ => None,
    }
}

/// Visits by curl, several at once.
fn visit(host: &Namespace, port: u16, times: u32) {
    shell(
        host,
        &format!(
            "for n in $(seq {times}); do curl --silent --show-error --max-time 20 http://{SERVER}:{port}/ & done; wait"
        ),
    );
}

#[test]
fn bank_sees_one_address_of_each_host_and_pages_spread() {
    let mut options = LabOptions::new(3, 3);
    options.workers = Some(2);
    let world = World::with(Capture::Packet, options);
    let mut seen = BTreeSet::new();
    for host in 1..=3 {
        let lines = visited(&world, 443, || visit(world.host(host), 443, 12));
        assert_eq!(lines.len(), 1, "host {host}: {lines:?}");
        // Again, by a thing that the host has just thought of.
        assert_eq!(visited(&world, 443, || visit(world.host(host), 443, 3)), lines, "host {host}");
        seen.extend(lines);
    }
    assert!(seen.len() > 1, "hosts are not bound to each other");
    assert!(visited(&world, 80, || visit(world.host(1), 80, 12)).len() > 1);
    world.finish();
}

/// The router's own choice of an isolated line, on its way through the lines that are left.
#[test]
fn isolated_line_is_picked_and_the_role_moves_when_it_dies() {
    let mut options = LabOptions::new(1, 4);
    for (uplink, rate) in options.uplinks.iter_mut().zip([50, 20, 5, 10]) {
        // The slowest of equals is picked.
        uplink.settings = format!("download = \"{rate}mbit\"\n");
    }
    let lab = lab(options);
    let rule = "\n[[rule]]\nname = \"echo\"\nprotocol = \"udp\"\ndestination_port = [7]\nclass = \"isolated\"\n";
    let text = lab.configuration(Capture::Packet).replace("[router]\n", "[router]\nisolated = \"auto\"\n") + rule;
    let mut world = World::configured(lab, &text);
    world.router.wait_until_up(4).must();
    let roles = |world: &World| [1, 2, 3, 4].map(|number| world.uplink(number)["role"].to_string());
    world.wait_for_event("isolated-moved", "\"to\":\"dsl3\"");
    assert_eq!(roles(&world), ["\"balanced\"", "\"balanced\"", "\"isolated (auto)\"", "\"balanced\""]);
    let listening = udp(world.internet(), SERVER, 7);
    let urgent = |world: &World| {
        let socket = udp(world.host(1), Ipv4Addr::UNSPECIFIED, 0);
        line_of(seen_from(&socket, &listening, "urgent"))
    };
    assert!((0..5).all(|_| urgent(&world) == Some(3)));
    let pages = visited(&world, 80, || visit(world.host(1), 80, 12));
    assert!(!pages.contains(&3), "nothing else goes there: {pages:?}");

    world.lab.far_end(3).ip(&["link set isp3 down".to_owned()]).must();
    let moved = world.wait_for_event("isolated-moved", "\"to\":\"dsl4\"");
    assert_eq!((&moved["from"], &moved["cause"]), (&"dsl3".into(), &"the line before does not work".into()));
    assert_eq!(urgent(&world), Some(4));
    world.lab.far_end(4).ip(&["link set isp4 down".to_owned()]).must();
    let ended = world.wait_for_event("isolated-moved", "fewer than three");
    assert_eq!((&ended["from"], &ended["to"]), (&"dsl4".into(), &serde_json::Value::Null));

    // What the configuration says goes, without a restart.
    world.lab.far_end(3).ip(&["link set isp3 up".to_owned()]).must();
    world.wait_for_state(3, "up");
    world.wait_for_event("isolated-moved", "enough lines work");
    world.lab.write_config(&text.replace("isolated = \"auto\"", "isolated = \"roles\"")).must();
    let (status, said, error) = world.potato(&["reload"]);
    assert_eq!((status, said.as_str()), (Some(0), "[router] isolated = \"roles\"; 4 uplinks unchanged\n"), "{error}");
    assert_eq!(roles(&world)[2], "\"balanced\"");
    world.finish();
}

/// Round trips of small datagrams, one after the other, in this time: the median.
fn round_trip(host: &Namespace, length: Duration) -> Duration {
    let socket = udp(host, Ipv4Addr::UNSPECIFIED, 0);
    let end = clock::monotonic() + length;
    let mut times = Vec::new();
    while clock::monotonic() < end {
        let start = clock::monotonic();
        socket.send_to(b"urgent", (SERVER, 7)).must();
        if socket.recv_from(&mut [0; 16]).is_ok() {
            times.push(clock::monotonic() - start);
        }
    }
    times.sort_unstable();
    times[times.len() / 2]
}

fn echo(socket: &UdpSocket, stop: &AtomicBool) {
    let mut bytes = [0; 64];
    while !stop.load(Ordering::Relaxed) {
        if let Ok((length, source)) = socket.recv_from(&mut bytes) {
            let _ = socket.send_to(&bytes[..length], source);
        }
    }
}

#[test]
fn isolated_line_stays_quick_while_the_pool_is_full_and_bulk_is_sent_away() {
    let mut options = LabOptions::new(2, 3);
    options.uplinks.iter_mut().for_each(|uplink| uplink.download_mbit = Some(20));
    options.uplinks[2].settings = "role = \"isolated\"\n".to_owned();
    let lab = lab(options);
    let rule = |name, protocol, port| {
        format!(
            "\n[[rule]]\nname = \"{name}\"\nprotocol = \"{protocol}\"\ndestination_port = [{port}]\nclass = \"isolated\"\n"
        )
    };
    let text = lab.configuration(Capture::Packet) + &rule("echo", "udp", 7) + &rule("backup", "tcp", 80);
    let mut world = World::configured(lab, &text).with_servers();
    world.router.wait_until_up(3).must();

    let fetch = format!("curl --silent --show-error --fail --max-time 60 -o /dev/null http://{SERVER}/bytes/7000000");
    let visits = |world: &World, line| world.servers().connections_from(Ipv4Addr::new(10, 77, line, 2).into());
    shell(world.host(2), &fetch);
    assert_eq!(visits(&world, 3), 1, "it is taken for urgent");
    let told = world.wait_for_event("isolated-bulky", "rule backup");
    assert!(told["cause"].as_str().is_some_and(|cause| cause.starts_with("192.168.10.22's tcp to 203.0.113.1:80")));
    shell(world.host(2), &fetch.replace("7000000", "7"));
    assert_eq!(visits(&world, 3), 1, "nobody takes it for urgent any more");
    shell(world.host(1), &fetch.replace("7000000", "7"));
    assert_eq!(visits(&world, 3), 2, "that of others is");
    assert_eq!((&world.uplink(3)["role"], &world.uplink(3)["isolated"]["bulky"]), (&"isolated".into(), &1.into()));

    let (answering, stop) = (udp(world.internet(), SERVER, 7), AtomicBool::new(false));
    answering.set_read_timeout(Some(Duration::from_millis(100))).must();
    let _server = iperf_server(world.internet());
    let (idle, loaded) = thread::scope(|scope| {
        scope.spawn(|| echo(&answering, &stop));
        let idle = round_trip(world.host(1), Duration::from_secs(1));
        let load = scope.spawn(|| iperf(world.host(2), "-R -P 6 -t 5"));
        wait_for("a full pool", || {
            let rates = [1, 2].map(|number| world.uplink(number)["in"]["bits_per_second"].as_u64().unwrap_or(0));
            if rates.iter().all(|rate| *rate > 12_000_000) { Ok(()) } else { Err(format!("{rates:?}")) }
        });
        let loaded = round_trip(world.host(1), Duration::from_secs(2));
        let measured = load.join().expect("iperf3 has ended");
        assert!(measured.bits_per_second > 25e6, "the pool was full: {measured:?}");
        stop.store(true, Ordering::Relaxed);
        (idle, loaded)
    });
    let limit = idle + Duration::from_millis(15);
    assert!(loaded <= limit, "{loaded:?} under load, {idle:?} idle");
    world.finish();
}

#[test]
fn small_packets_do_not_wait_behind_a_long_transfer_on_the_same_line() {
    let mut options = LabOptions::new(2, 1);
    options.uplinks[0].download_mbit = Some(20);
    let lab = lab(options);
    let text = lab.configuration(Capture::Packet);
    let mut world = World::configured(lab, &text.replace("[router]\n", "[router]\nshort_queues = false\n"));
    world.router.wait_until_up(1).must();
    let _server = iperf_server(world.internet());
    let (answering, stop) = (udp(world.internet(), SERVER, 7), AtomicBool::new(false));
    answering.set_read_timeout(Some(Duration::from_millis(100))).must();

    let busy = |world: &World| {
        thread::scope(|scope| {
            let load = scope.spawn(|| iperf(world.host(2), "-R -C cubic -t 6"));
            wait_for("a full line", || {
                let rate = world.uplink(1)["in"]["bits_per_second"].as_u64().unwrap_or(0);
                if rate > 16_000_000 { Ok(()) } else { Err(rate.to_string()) }
            });
            let waited = round_trip(world.host(1), Duration::from_secs(3));
            (waited, load.join().expect("iperf3 has ended").bits_per_second)
        })
    };
    let (let_be, kept) = thread::scope(|scope| {
        scope.spawn(|| echo(&answering, &stop));
        let let_be = busy(&world);
        world.lab.write_config(&text).must();
        let (status, said, error) = world.potato(&["reload"]);
        assert_eq!((status, said.as_str()), (Some(0), "[router] short_queues = true; 1 uplink unchanged\n"), "{error}");
        let kept = busy(&world);
        stop.store(true, Ordering::Relaxed);
        (let_be, kept)
    });
    assert!(kept.0 < let_be.0 / 2, "waited {let_be:?} and {kept:?} (bit/s beside)");
    assert!(kept.1 > let_be.1 * 0.9, "the line stays full: {let_be:?} and {kept:?}");
    assert!(world.uplink(1)["drops"]["queue_kept_short"].as_u64().is_some_and(|dropped| dropped > 0));
    world.finish();
}
