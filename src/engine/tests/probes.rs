//! The router's own ports, and what the workers count of a line's users.

use super::*;
use crate::nat::ports::PROBE_PORTS;

const PORT: u16 = PROBE_PORTS.start + 3;
const DSL1: UplinkId = UplinkId(0);

/// A router of which one line is probed by way of [`SERVER`].
fn probing() -> (Router, Ipv4Addr) {
    let mut router = Router::new();
    router.snapshot.uplinks[0].probed = [SERVER].into();
    let external = router.snapshot.uplinks[0].external.unwrap();
    (router, external)
}

/// A host unreachable that quotes a datagram of ours to `remote`.
fn unreachable(external: Ipv4Addr, remote: Ipv4Addr) -> Vec<u8> {
    let quoted = udp((external, PORT), (remote, 53), b"question");
    let mut packet = Vec::new();
    PacketBuilder::ipv4([10, 77, 0, 1], external.octets(), 64)
        .icmpv4_raw(3, 1, [0; 4])
        .write(&mut packet, &quoted)
        .unwrap();
    packet
}

#[test]
fn answers_to_probes_are_the_daemons_while_that_host_is_probed() {
    let (mut router, external) = probing();
    let answers = |remote| {
        [
            udp((remote, 53), (external, PORT), b"answer"),
            tcp((remote, 443), (external, PORT), SYN_ACK, (1, 1)),
            echo(remote, external, PORT, false),
        ]
    };
    for answer in &answers(SERVER) {
        assert!(router.send_from_uplink(DSL1, answer).is_empty());
    }
    router.send_from_uplink(DSL1, &unreachable(external, SERVER));
    assert_eq!((router.out.daemon.drain(..).count(), router.dropped()), (4, vec![]));
    // Not from others, not on other lines, not to other ports, not when nobody probes.
    for answer in &answers(OTHER_SERVER) {
        router.assert_dropped(DropReason::NoMapping, |router| router.send_from_uplink(DSL1, answer));
    }
    router.assert_dropped(DropReason::IcmpNoFlow, |router| {
        router.send_from_uplink(DSL1, &unreachable(external, OTHER_SERVER))
    });
    let elsewhere = echo(SERVER, Ipv4Addr::new(10, 77, 1, 2), PORT, false);
    router.assert_dropped(DropReason::NoMapping, |router| router.send_from_uplink(UplinkId(1), &elsewhere));
    let beside = echo(SERVER, external, PROBE_PORTS.end, false);
    router.assert_dropped(DropReason::NoMapping, |router| router.send_from_uplink(DSL1, &beside));
    router.snapshot.uplinks[0].probed = [].into();
    router.assert_dropped(DropReason::NoMapping, |router| router.send_from_uplink(DSL1, &answers(SERVER)[0]));
    assert!(router.out.daemon.is_empty());
}

#[test]
fn flood_of_answers_reaches_the_daemon_within_a_limit() {
    let (mut router, external) = probing();
    let answer = udp((SERVER, 53), (external, PORT), b"answer");
    for _ in 0..1_000 {
        router.send_from_uplink(DSL1, &answer);
    }
    assert_eq!((router.out.daemon.len(), router.dropped()), (200, vec![(DropReason::DaemonFull, 800)]));
}

#[test]
fn no_host_gets_the_port_of_a_probe() {
    let mut router = Router::new();
    for packet in [udp((HOST_A, PORT), (SERVER, 53), b""), echo(HOST_A, SERVER, PORT, true)] {
        assert!(!PROBE_PORTS.contains(&router.out_one(&packet).ports().0));
    }
}

#[test]
fn connections_tried_and_answered_are_counted_once_and_hairpins_apart() {
    let mut router = Router::new();
    let counts = |router: &Router| {
        let counters = router.workers[0].counters();
        let of = |read: fn(&UplinkCounters) -> u64| (0..2).map(|id| read(counters.uplink(UplinkId(id)))).sum::<u64>();
        let tried = of(|uplink| uplink.connections_tried.value());
        (tried, of(|uplink| uplink.connections_answered.value()), of(|uplink| uplink.hairpin_packets.value()))
    };
    let sent = router.out_one(&tcp((HOST_A, 4000), (SERVER, 80), SYN, (1, 0)));
    router.out_one(&tcp((HOST_A, 4000), (SERVER, 80), SYN, (1, 0)));
    router.out_one(&udp((HOST_A, 4001), (SERVER, 53), b""));
    assert_eq!(counts(&router), (1, 0, 0));
    let answer = tcp((SERVER, 80), (sent.ip().source, sent.ports().0), SYN_ACK, (9, 2));
    assert_eq!(router.send_from_uplink(sent.uplink(), &answer).len(), 1);
    assert_eq!(router.send_from_uplink(sent.uplink(), &answer).len(), 1);
    assert_eq!(counts(&router), (1, 1, 0));
    // Two hosts that speak by their outer addresses.
    let a = router.out_one(&udp((HOST_A, 5000), (SERVER, 53), b""));
    let b = router.out_one(&udp((HOST_B, 5001), (SERVER, 53), b""));
    router.send_from_lan(&udp((HOST_B, 5001), (a.ip().source, a.ports().0), b"first"));
    let back = router.send_from_lan(&udp((HOST_A, 5000), (b.ip().source, b.ports().0), b"through"));
    assert_eq!((back.len(), back[0].ip().destination), (1, HOST_B));
    assert_eq!(counts(&router), (1, 1, 1));
}
