//! Busy flows, which the kernel carries as the router has written: what hosts and operators see is the same.
//!
//! ```text
//!  h1 .21 --+                                    wan1 -- 10.77.1.1 --+
//!  h2 .22 --+-- lan -- lan0 192.168.10.1 [potato]                    [internet] 203.0.113.1
//!                                                wan2 -- 10.77.2.1 --+
//! ```

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use netns_tests::capture_file::Seen;
use netns_tests::programs::{iperf, iperf_server, run, shell};
use netns_tests::sniffer::Capturing;
use netns_tests::sockets::{SILENCE, expect, seen_from, udp};
use netns_tests::waiting::{SOON, wait_for};
use netns_tests::{Capture, LabOptions, Must, Offloads, SERVER, World, binary, over_both_captures};
use serde_json::Value;

over_both_captures!(
    a_busy_flow_takes_the_shortcut_and_is_counted,
    without_the_shortcut_every_packet_comes_to_a_worker,
    datagrams_are_whole_whatever_carries_them,
    a_transfer_outlives_a_killed_router,
    a_transfer_outlives_a_router_that_starts_again,
    what_a_full_queue_drops_is_counted_by_the_shortcut,
    what_a_full_queue_drops_is_counted_by_workers,
    a_flow_whose_line_is_lost_is_not_carried_on,
    a_quiet_flow_leaves_the_shortcut,
);

fn engine(world: &World, number: &str) -> u64 {
    world.router.status().must()["engine"][number].as_u64().unwrap_or_default()
}

/// Packets both ways, as the router counts them for its lines.
fn forwarded(world: &World) -> u64 {
    let of = |way: &str| (1..=2).map(|line| world.uplink(line)[way]["packets"].as_u64().unwrap_or(0)).sum::<u64>();
    of("in") + of("out")
}

/// Sends `count` datagrams each way between a host's socket and a server's, and asserts that each arrives.
#[track_caller]
fn converse(host: &UdpSocket, server: &UdpSocket, count: usize) {
    for number in 0..count {
        let external = seen_from(host, server, &format!("there {number}"));
        server.send_to(format!("back {number}").as_bytes(), external).must();
        assert_eq!(expect(host, &format!("back {number}")), server.local_addr().must());
    }
}

fn a_busy_flow_takes_the_shortcut_and_is_counted(capture: Capture) {
    let world = World::new(capture, 1, 2);
    let _server = iperf_server(world.internet());
    for options in ["-t 1", "-t 1 -R"] {
        let before = (engine(&world, "received"), forwarded(&world));
        let measured = iperf(world.host(1), options);
        // Counters are caught up with now and then.
        std::thread::sleep(Duration::from_millis(500));
        let (received, forwarded) = (engine(&world, "received") - before.0, forwarded(&world) - before.1);
        let sent = measured.bits_per_second / 8.0 / 1_500.0;
        assert!(forwarded as f64 > sent * 0.9, "{options}: {forwarded} packets were counted, {sent} sent");
        assert!(received * 5 < forwarded, "{options}: workers had {received} of {forwarded} packets");
    }
    world.finish();
}

fn without_the_shortcut_every_packet_comes_to_a_worker(capture: Capture) {
    let mut options = LabOptions::new(1, 2);
    options.shortcut = false;
    options.host_offloads = Offloads::Off;
    let world = World::with(capture, options);
    let listening = udp(world.internet(), SERVER, 7000);
    let socket = udp(world.host(1), Ipv4Addr::UNSPECIFIED, 6000);
    converse(&socket, &listening, 200);
    assert!(engine(&world, "received") >= 400);
    assert_eq!(engine(&world, "shortcut_flows"), 0);
    world.finish();
}

/// Two hosts with the same port: one keeps it, the other's changes.
fn datagrams_are_whole_whatever_carries_them(capture: Capture) {
    let mut options = LabOptions::new(2, 1);
    (options.host_offloads, options.internet_offloads) = (Offloads::Off, Offloads::Off);
    let world = World::with(capture, options);
    let file = |name: &str| world.lab.directory().join(name);
    let at_host = Capturing::start(world.host(2), "eth0", "in", "ip", 256, &file("host.pcap"));
    let outside = Capturing::start(world.internet(), "isp1", "in", "ip", 256, &file("outside.pcap"));
    let listening = udp(world.internet(), SERVER, 7000);
    let sockets = [1, 2].map(|host| udp(world.host(host), Ipv4Addr::UNSPECIFIED, 6000));
    for socket in &sockets {
        converse(socket, &listening, 150);
    }
    let flows = world.router.flows(&["--protocol", "udp"]).must();
    let counted = |flow: &Value| (flow["out"]["packets"].clone(), flow["in"]["packets"].clone());
    wait_for("every packet counted with its flow", || {
        let flows = world.router.flows(&["--protocol", "udp"]).must();
        let all: Vec<_> = flows["flows"].as_array().into_iter().flatten().map(counted).collect();
        if all == [(150.into(), 150.into()), (150.into(), 150.into())] { Ok(()) } else { Err(format!("{all:?}")) }
    });
    let received = engine(&world, "received");
    assert!(received < 300, "{received} of 600 packets came to workers: {flows}");
    for packets in [at_host.finish(), outside.finish()] {
        let wrong: Vec<_> = packets.iter().filter(|packet| !packet.checksums_are_right()).collect();
        assert!(wrong.is_empty(), "{wrong:02x?}");
        let seen = packets.iter().filter(|packet| packet.protocol() == 17).count();
        // A busy machine's capture may miss some.
        assert!(seen >= 75, "{seen}");
        assert!(packets.iter().all(Seen::is_whole));
    }
    world.finish();
}

const FETCH: &str =
    "curl --silent --show-error --limit-rate 12M --max-time 60 http://203.0.113.1/bytes/40000000 | sha256sum";

/// Fetches while `disturb` is done in its midst, and asserts that all of it arrives.
fn fetch_while(world: &mut World, disturb: impl FnOnce(&mut World)) {
    let sent = shell(world.internet(), &FETCH.replace("--limit-rate 12M", ""));
    let mut fetching = world.host(1).command("bash", &["-c", FETCH]);
    let fetching = fetching.stdout(std::process::Stdio::piped()).spawn().must();
    wait_for("the transfer to take the shortcut", || match engine(world, "shortcut_flows") {
        0 => Err("no flow did".to_owned()),
        _ => Ok(()),
    });
    disturb(world);
    let output = fetching.wait_with_output().must();
    assert_eq!(String::from_utf8_lossy(&output.stdout), sent);
}

fn a_transfer_outlives_a_killed_router(capture: Capture) {
    let mut world = World::new(capture, 1, 2).with_servers();
    fetch_while(&mut world, |world| {
        world.router.kill().must();
        world.router = world.lab.start_router(binary(), capture).must();
    });
    world.finish();
}

fn a_transfer_outlives_a_router_that_starts_again(capture: Capture) {
    let mut world = World::new(capture, 1, 2).with_servers();
    fetch_while(&mut world, |world| {
        world.router.terminate().must();
        world.router = world.lab.start_router(binary(), capture).must();
    });
    world.finish();
}

fn what_a_full_queue_drops_is_counted_by_the_shortcut(capture: Capture) {
    what_a_full_queue_drops_is_counted(capture, true);
}

fn what_a_full_queue_drops_is_counted_by_workers(capture: Capture) {
    what_a_full_queue_drops_is_counted(capture, false);
}

fn what_a_full_queue_drops_is_counted(capture: Capture, shortcut: bool) {
    let mut options = LabOptions::new(1, 1);
    options.uplinks[0].upload_mbit = Some(2);
    options.host_offloads = Offloads::Off;
    options.shortcut = shortcut;
    let world = World::with(capture, options);
    let listening = udp(world.internet(), SERVER, 7000);
    listening.set_read_timeout(Some(SILENCE * 4)).must();
    let socket = udp(world.host(1), Ipv4Addr::UNSPECIFIED, 6000);
    let sent = 2_000;
    // Read meanwhile, or the server's socket would drop some too.
    let arrived = std::thread::scope(|scope| {
        let reading = scope.spawn(|| std::iter::from_fn(|| listening.recv_from(&mut [0; 600]).ok()).count() as u64);
        for number in 0..sent {
            socket.send_to(&[0; 500], (SERVER, 7000)).must();
            if number % 10 == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        reading.join().expect("it does not panic")
    });
    assert!(arrived < sent / 2, "{arrived} of {sent} arrived: nothing was full");
    wait_for("every dropped packet counted", || {
        let dropped = world.drops("send_queue_full");
        // A frame of the router's own may be among them: it keeps asking who its gateway is.
        if (sent..sent + 5).contains(&(arrived + dropped)) {
            Ok(())
        } else {
            Err(format!("{arrived} arrived, {dropped} dropped of {sent}"))
        }
    });
    assert_eq!(engine(&world, "received") < sent / 2, shortcut, "who carried most of them");
    world.finish();
}

fn a_flow_whose_line_is_lost_is_not_carried_on(capture: Capture) {
    let mut world = World::new(capture, 1, 2);
    let listening = udp(world.internet(), SERVER, 7000);
    let socket = udp(world.host(1), Ipv4Addr::UNSPECIFIED, 6000);
    converse(&socket, &listening, 100);
    let external = seen_from(&socket, &listening, "busy");
    let std::net::IpAddr::V4(address) = external.ip() else { unreachable!("the lab is IPv4") };
    let line = usize::from(address.octets()[2]);
    world.internet().ip(&[format!("link set isp{line} down")]).must();
    world.wait_for_state(line, "no-carrier");
    world.wait_for_uplink(line, SOON, "has told its host", |uplink| uplink["flows_told"] == 1);
    // What comes now is another flow, on the other line, and stays there.
    let elsewhere = seen_from(&socket, &listening, "another");
    assert_ne!(elsewhere.ip(), external.ip());
    world.internet().ip(&[format!("link set isp{line} up")]).must();
    world.wait_for_state(line, "up");
    converse(&socket, &listening, 100);
    assert_eq!(seen_from(&socket, &listening, "again"), elsewhere);
    run(world.host(1), "ping -c 1 -W 2 203.0.113.1");
    world.finish();
}

fn a_quiet_flow_leaves_the_shortcut(capture: Capture) {
    let world = World::new(capture, 1, 1);
    let listening = udp(world.internet(), SERVER, 7000);
    let socket = udp(world.host(1), Ipv4Addr::UNSPECIFIED, 6000);
    converse(&socket, &listening, 100);
    assert_eq!(engine(&world, "shortcut_flows"), 1);
    wait_for("it to leave", || match engine(&world, "shortcut_flows") {
        0 => Ok(()),
        left => Err(format!("{left} are there")),
    });
    converse(&socket, &listening, 100);
    assert_eq!(engine(&world, "flows"), 1);
    world.finish();
}
