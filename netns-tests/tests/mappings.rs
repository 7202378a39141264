//! The NAT seen from outside (RFC 4787, 5382, 5508).
//!
//! ```text
//!  h1 .21 --+                                    wan1 -- 10.77.1.1 --+
//!  h2 .22 --+-- lan -- lan0 192.168.10.1 [potato]                    [internet] 203.0.113.1..9
//!                                                wan2 -- 10.77.2.1 --+
//! ```

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};

use netns_tests::programs::{run, scapy};
use netns_tests::sockets::{connect, expect, expect_silence, listener, seen_from, udp};
use netns_tests::waiting::wait_for;
use netns_tests::{Capture, LabOptions, Must, SERVER, World, over_both_captures};

const ANY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

over_both_captures!(
    one_external_port_for_all_destinations,
    ports_are_kept_where_free,
    two_hosts_with_the_same_port_are_told_apart,
    two_hosts_connect_from_the_same_port,
    strangers_are_filtered,
    an_unsolicited_syn_meets_silence,
    changed_ports_cannot_be_guessed,
    echo_identifiers_of_two_hosts_are_told_apart,
    hosts_meet_at_their_external_addresses,
    any_number_of_workers_will_do,
);

fn server(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(203, 0, 113, last)
}

// RFC 4787 REQ-1.
fn one_external_port_for_all_destinations(capture: Capture) {
    let world = World::new(capture, 2, 2);
    let servers: Vec<_> =
        [(1, 7000), (2, 7000), (3, 8000)].map(|(last, port)| udp(world.internet(), server(last), port)).into();
    // The second host holds the same port first: the first must live with another, the same for all.
    let rival = udp(world.host(2), ANY, 5555);
    let of_rival: HashSet<_> = servers.iter().map(|server| seen_from(&rival, server, "rival")).collect();
    let socket = udp(world.host(1), ANY, 5555);
    let external: HashSet<_> = servers.iter().map(|server| seen_from(&socket, server, "one")).collect();
    assert_eq!((of_rival.len(), external.len()), (1, 1), "{of_rival:?} {external:?}");
    assert!(of_rival.is_disjoint(&external));
    world.finish();
}

// RFC 4787 REQ-3 leaves it open; hosts that expect it (games, old protocols) are served.
fn ports_are_kept_where_free(capture: Capture) {
    let world = World::new(capture, 1, 2);
    let listening = udp(world.internet(), SERVER, 7000);
    for port in [1023, 1024, 40_001, 65_535] {
        let socket = udp(world.host(1), ANY, port);
        assert_eq!(seen_from(&socket, &listening, "kept").port(), port);
    }
    world.finish();
}

// RFC 4787 REQ-3: no overloading, and answers find their way home.
fn two_hosts_with_the_same_port_are_told_apart(capture: Capture) {
    let world = World::new(capture, 2, 1);
    let listening = udp(world.internet(), SERVER, 7000);
    for port in [600, 5555, 5556] {
        let sockets = [udp(world.host(1), ANY, port), udp(world.host(2), ANY, port)];
        let seen = [0, 1].map(|index: usize| seen_from(&sockets[index], &listening, &format!("host {index}")));
        assert_ne!(seen[0], seen[1]);
        // RFC 4787 REQ-3a: privileged ports stay so.
        assert!(seen.iter().all(|external| (external.port() < 1024) == (port < 1024)), "{port}: {seen:?}");
        for (index, external) in seen.iter().enumerate() {
            listening.send_to(format!("answer {index}").as_bytes(), external).must();
        }
        for (index, socket) in sockets.iter().enumerate() {
            assert_eq!(expect(socket, &format!("answer {index}")), listening.local_addr().must());
        }
    }
    world.finish();
}

// RFC 5382 REQ-1, REQ-7.
fn two_hosts_connect_from_the_same_port(capture: Capture) {
    let world = World::new(capture, 2, 1);
    let listening = listener(world.internet(), ANY, 7000);
    let mut streams = Vec::new();
    for host in [1, 2] {
        let near = connect(world.host(host), 6001, SocketAddr::from((SERVER, 7000))).must();
        let (far, external) = listening.accept().must();
        streams.push((near, far, external));
    }
    assert_ne!(streams[0].2, streams[1].2);
    for (index, (near, far, _)) in streams.iter_mut().enumerate() {
        near.write_all(format!("from {index}").as_bytes()).must();
        let mut bytes = [0; 6];
        far.read_exact(&mut bytes).must();
        assert_eq!(bytes, format!("from {index}").as_bytes());
        far.write_all(&bytes).must();
        near.read_exact(&mut bytes).must();
        assert_eq!(bytes, format!("from {index}").as_bytes());
    }
    // The same host and port to another server: the same external port.
    let external = streams[0].2;
    let _second = connect(world.host(1), 6001, SocketAddr::from((server(2), 7000))).must();
    assert_eq!(listening.accept().must().1, external);
    world.finish();
}

// RFC 4787 REQ-8.
fn strangers_are_filtered(capture: Capture) {
    let world = World::new(capture, 1, 1);
    let listening = udp(world.internet(), SERVER, 7000);
    let strangers = [udp(world.internet(), server(2), 7000), udp(world.internet(), server(1), 7001)];
    let socket = udp(world.host(1), ANY, 5000);
    let external = seen_from(&socket, &listening, "open");
    for stranger in &strangers {
        stranger.send_to(b"let me in", external).must();
    }
    // A port that nobody has opened.
    strangers[0].send_to(b"let me in", (external.ip(), 5001)).must();
    listening.send_to(b"answer", external).must();
    // What comes first is the answer, though it was sent last, and nothing follows.
    expect(&socket, "answer");
    expect_silence(&socket);
    assert!(world.drops("filtered") >= 2, "{}", world.router.status().must());
    assert!(world.drops("no_mapping") >= 1, "{}", world.router.status().must());
    world.finish();
}

// RFC 5382 REQ-4: no RST and nothing else within 6 s. Two seconds show that none is made at once.
fn an_unsolicited_syn_meets_silence(capture: Capture) {
    let world = World::new(capture, 1, 1);
    let listening = listener(world.host(1), ANY, 7000);
    listening.set_nonblocking(true).must();
    // Once with no mapping on the port, once with one that another server has.
    let script = "answers, _ = sr(IP(dst='10.77.1.2')/TCP(sport=1234, dport=[7000, 22, 80], flags='S', seq=7), timeout=1)\nprint(len(answers))";
    assert_eq!(scapy(world.internet(), script).trim(), "0");
    let other = listener(world.internet(), server(2), 9000);
    let _near = connect(world.host(1), 6000, SocketAddr::from((server(2), 9000))).must();
    let (_far, external) = other.accept().must();
    let script = format!(
        "answers, _ = sr(IP(src='203.0.113.1', dst='10.77.1.2')/TCP(sport=1234, dport={}, flags='S', seq=7), timeout=1)\nprint(len(answers))",
        external.port()
    );
    assert_eq!(scapy(world.internet(), &script).trim(), "0");
    assert!(listening.accept().is_err());
    world.finish();
}

// RFC 7857 section 9, RFC 6056.
fn changed_ports_cannot_be_guessed(capture: Capture) {
    let world = World::new(capture, 2, 1);
    let listening = udp(world.internet(), SERVER, 7000);
    // All that is to be held is held first: a port that was changed may be any.
    let holders: Vec<_> = (30_000..30_100).map(|port| udp(world.host(2), ANY, port)).collect();
    for holder in &holders {
        let port = holder.local_addr().must().port();
        assert_eq!(seen_from(holder, &listening, "holder").port(), port);
    }
    let mut changed = Vec::new();
    for port in 30_000..30_100 {
        let socket = udp(world.host(1), ANY, port);
        changed.push(seen_from(&socket, &listening, "changed").port());
    }
    let distinct: HashSet<_> = changed.iter().collect();
    assert_eq!(distinct.len(), changed.len());
    let near = changed.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) <= 64).count();
    assert!(near < 10, "{near} of 99 steps are small: {changed:?}");
    let high = changed.iter().filter(|port| **port >= 32_768).count();
    assert!((20..=80).contains(&high), "{high} of 100 ports are in the upper half");
    world.finish();
}

// RFC 5508 REQ-1.
fn echo_identifiers_of_two_hosts_are_told_apart(capture: Capture) {
    let world = World::new(capture, 2, 1);
    let first = world.host(1).command("ping", &["-c", "20", "-i", "0.05", "-W", "2", "-e", "77", "203.0.113.1"]);
    let mut first = first;
    let child = first.stdout(std::process::Stdio::piped()).spawn().must();
    let said = run(world.host(2), "ping -c 20 -i 0.05 -W 2 -e 77 203.0.113.1");
    assert!(said.contains("20 received") && !said.contains("DUP"), "{said}");
    let other = child.wait_with_output().must();
    let said = String::from_utf8_lossy(&other.stdout);
    assert!(said.contains("20 received") && !said.contains("DUP"), "{said}");
    world.finish();
}

// RFC 4787 REQ-9: hairpinning, with the external source shown.
fn hosts_meet_at_their_external_addresses(capture: Capture) {
    let world = World::new(capture, 2, 2);
    let listening = udp(world.internet(), SERVER, 7000);
    let sockets = [udp(world.host(1), ANY, 5001), udp(world.host(2), ANY, 5002)];
    let external = [0, 1].map(|index: usize| seen_from(&sockets[index], &listening, "open"));
    // The filter holds between hosts, too: the first one knocks unheard, and has opened the way back to itself.
    sockets[0].send_to(b"knock", external[1]).must();
    wait_for("the filter", || if world.drops("filtered") > 0 { Ok(()) } else { Err("nothing is filtered".to_owned()) });
    for (from, to) in [(1, 0), (0, 1)] {
        sockets[from].send_to(b"hello", external[to]).must();
        assert_eq!(expect(&sockets[to], "hello"), external[from]);
    }
    world.finish();
}

fn any_number_of_workers_will_do(capture: Capture) {
    for workers in [1, 3] {
        let mut options = LabOptions::new(2, 2);
        options.workers = Some(workers);
        let world = World::with(capture, options).with_servers();
        let listening = udp(world.internet(), SERVER, 7000);
        // Two hosts with the same ports: changed ports, too, must come back to the right worker.
        for port in 5000..5016 {
            for host in [1, 2] {
                let socket = udp(world.host(host), ANY, port);
                let external = seen_from(&socket, &listening, "there");
                listening.send_to(b"back", external).must();
                expect(&socket, "back");
            }
        }
        for host in [1, 2] {
            run(world.host(host), "ping -c 3 -i 0.05 -W 2 -s 4000 203.0.113.1");
            let size = run(
                world.host(host),
                "curl --silent --show-error --max-time 20 http://203.0.113.2/bytes/3000000 -o /dev/null -w %{size_download}",
            );
            assert_eq!(size, "3000000");
        }
        world.finish();
    }
}
