//! Forwards: connections from outside, hairpins to them, and what a reload does to both. Workers' shares of the ports differ
//! outside and inside wherever that can be.

use std::sync::Arc;

use super::*;
use crate::flow::{EndpointV4, Protocol};
use crate::placement::{Door, Forward, Forwards, UplinkSet};

const DSL: [UplinkId; 2] = [UplinkId(0), UplinkId(1)];
const WEB: (Ipv4Addr, u16) = (HOST_B, 80);
const REMOTE: (Ipv4Addr, u16) = (SERVER, 33_000);
const RST: u8 = 0x04;
const FIN_ACK: u8 = 0x11;

fn forward(uplinks: &[UplinkId], protocol: Protocol, port: u16, to: (Ipv4Addr, u16)) -> Forward {
    Forward {
        uplinks: uplinks.iter().copied().collect(),
        protocol,
        ports: port..=port,
        to: EndpointV4 { address: to.0, port: to.1 },
        sources: Vec::new(),
        door: Door::Open,
    }
}

fn external(line: UplinkId, port: u16) -> (Ipv4Addr, u16) {
    (Ipv4Addr::new(10, 77, line.0, 2), port)
}

impl Router {
    fn forwarding(workers: u8, open: Vec<Forward>) -> Self {
        let mut router = Self::with(&engine_config(workers, 2));
        router.set_forwards(open);
        router
    }

    /// As a reload does it.
    fn set_forwards(&mut self, open: Vec<Forward>) {
        self.snapshot.forwards = Arc::new(Forwards::new(open, &self.snapshot.forwards, UplinkSet::ALL));
    }

    /// Sends from an uplink what must come to the LAN, and returns it.
    #[track_caller]
    fn in_one(&mut self, line: UplinkId, packet: &[u8]) -> Sent {
        let mut sent = self.send_from_uplink(line, packet);
        assert_eq!(sent.len(), 1, "{sent:?} {:?}", self.dropped());
        assert!(matches!(sent[0].egress, Egress::Lan(_)), "{sent:?}");
        sent[0].assert_checksums();
        sent.remove(0)
    }

    /// A connection from `remote` by a forward to `inside`, answered.
    fn accept(&mut self, line: UplinkId, remote: (Ipv4Addr, u16), port: u16, inside: (Ipv4Addr, u16)) {
        let syn = self.in_one(line, &tcp(remote, external(line, port), SYN, (100, 0)));
        assert_eq!(ends(&syn), (remote, inside));
        let answer = self.out_one(&tcp(inside, remote, SYN_ACK, (900, 101)));
        assert_eq!((answer.uplink(), ends(&answer)), (line, (external(line, port), remote)));
        self.talk_on(line, remote, port, inside);
    }

    /// Both ends of a connection say something, and hear it.
    fn talk_on(&mut self, line: UplinkId, remote: (Ipv4Addr, u16), port: u16, inside: (Ipv4Addr, u16)) {
        let heard = self.in_one(line, &tcp(remote, external(line, port), ACK, (101, 901)));
        assert_eq!(ends(&heard), (remote, inside));
        let answer = self.out_one(&tcp(inside, remote, ACK, (901, 101)));
        assert_eq!((answer.uplink(), ends(&answer)), (line, (external(line, port), remote)));
    }
}

/// Source and destination.
fn ends(sent: &Sent) -> ((Ipv4Addr, u16), (Ipv4Addr, u16)) {
    let (ip, ports) = (sent.ip(), sent.ports());
    ((ip.source, ports.0), (ip.destination, ports.1))
}

#[test]
fn stranger_reaches_the_server_by_every_line_and_answers_keep_it() {
    for workers in 1..=3 {
        for inside in 80..86 {
            let to = (HOST_B, inside);
            let mut router = Router::forwarding(workers, vec![forward(&DSL, Protocol::Tcp, 8080, to)]);
            for (n, line) in (0..).zip(DSL) {
                router.accept(line, (SERVER, 33_000 + n), 8080, to);
            }
            // Whatever placement prefers by now.
            router.snapshot.uplinks[1].availability = Availability::Standby;
            router.talk_on(DSL[1], (SERVER, 33_001), 8080, to);
            assert_eq!(router.workers.iter().map(|worker| worker.counters().flows.value()).sum::<u64>(), 2);
        }
    }
}

#[test]
fn server_is_found_by_the_kernel_at_first_and_then_by_its_own_address() {
    let mut router = Router::forwarding(2, vec![forward(&DSL, Protocol::Tcp, 8082, WEB)]);
    router.snapshot.uplinks[0].mtu = 1_400;
    let syn = router.in_one(DSL[0], &tcp(REMOTE, external(DSL[0], 8082), SYN, (100, 0)));
    // The kernel counts the hop of what it routes.
    assert_eq!((syn.egress, syn.ip().ttl, syn.link.len()), (Egress::Lan(LanId::TUN), 64, 0));
    assert_eq!(syn.packet[40..44], [2, 4, 0x05, 0x50], "a segment fits in 1400 bytes");
    router.out_one(&tcp(WEB, REMOTE, SYN_ACK, (900, 101)));
    let next = router.in_one(DSL[0], &tcp(REMOTE, external(DSL[0], 8082), ACK, (101, 901)));
    assert_eq!((next.egress, next.ip().ttl, &next.link[..6]), (Egress::Lan(LAN), 63, &MAC_A.0[..]));
}

#[test]
fn ranges_lead_to_ranges_and_protocols_are_apart() {
    let range = Forward { ports: 8000..=8010, ..forward(&DSL, Protocol::Udp, 8000, (HOST_B, 9000)) };
    let mut router = Router::forwarding(2, vec![range]);
    for offset in [0, 3, 10] {
        let heard = router.in_one(DSL[1], &udp(REMOTE, external(DSL[1], 8000 + offset), b"hello"));
        assert_eq!(ends(&heard), (REMOTE, (HOST_B, 9000 + offset)));
        let answer = router.out_one(&udp((HOST_B, 9000 + offset), REMOTE, b"hello"));
        assert_eq!((answer.uplink(), ends(&answer)), (DSL[1], (external(DSL[1], 8000 + offset), REMOTE)));
    }
    router.assert_dropped(DropReason::NoMapping, |router| {
        router.send_from_uplink(DSL[1], &udp(REMOTE, external(DSL[1], 8011), b"hello"))
    });
    router.assert_dropped(DropReason::NoMapping, |router| {
        router.send_from_uplink(DSL[1], &tcp(REMOTE, external(DSL[1], 8003), SYN, (1, 0)))
    });
}

#[test]
fn only_whom_the_forward_admits_gets_in() {
    let limited = Forward { sources: vec!["203.0.113.2/31".parse().unwrap()], ..forward(&DSL, Protocol::Tcp, 22, WEB) };
    let mut router = Router::forwarding(2, vec![limited]);
    let syn = |source| tcp(source, external(DSL[0], 22), SYN, (100, 0));
    router.assert_dropped(DropReason::Filtered, |router| router.send_from_uplink(DSL[0], &syn(REMOTE)));
    router.accept(DSL[0], (OTHER_SERVER, 33_000), 22, WEB);
    // Segments of no connection, and packets from an address of our own or of nobody.
    router.assert_dropped(DropReason::TcpNoConnection, |router| {
        router.send_from_uplink(DSL[0], &tcp((OTHER_SERVER, 9), external(DSL[0], 22), ACK, (100, 1)))
    });
    router.set_forwards(vec![forward(&DSL, Protocol::Tcp, 22, WEB)]);
    for liar in [external(DSL[1], 5), (Ipv4Addr::new(127, 0, 0, 1), 5)] {
        router.assert_dropped(DropReason::BadSource, |router| router.send_from_uplink(DSL[0], &syn(liar)));
    }
}

#[test]
fn lan_host_meets_the_server_at_the_lines_address_and_both_see_that() {
    for (workers, port, inside) in [(1, 8080, 80), (2, 8080, 82), (2, 8082, 82), (3, 8080, 84)] {
        let server = (HOST_B, inside);
        let mut router = Router::forwarding(workers, vec![forward(&DSL[1..], Protocol::Tcp, port, server)]);
        let client = (HOST_A, 40_000);
        // The client's port leads elsewhere already.
        router.out_one(&tcp(client, (OTHER_SERVER, 443), SYN, (1, 0)));
        let sent = router.send_from_lan(&tcp(client, external(DSL[1], port), SYN, (100, 0)));
        assert_eq!(sent.len(), 1, "{:?}", router.dropped());
        sent[0].assert_checksums();
        // RFC 4787 REQ-9a: the external source address and port.
        assert_eq!(ends(&sent[0]), (external(DSL[1], 40_000), server));
        let answer = router.send_from_lan(&tcp(server, external(DSL[1], 40_000), SYN_ACK, (900, 101)));
        assert_eq!(ends(&answer[0]), (external(DSL[1], port), client));
        answer[0].assert_checksums();
        let next = router.send_from_lan(&tcp(client, external(DSL[1], port), ACK, (101, 901)));
        assert_eq!(ends(&next[0]), (external(DSL[1], 40_000), server));
        // Where the line has no forward, it is as from outside.
        router.assert_dropped(DropReason::NoMapping, |router| {
            router.send_from_lan(&tcp(client, external(DSL[0], port), SYN, (100, 0)))
        });
        let counters = router.workers.iter().map(Worker::counters);
        let tried: u64 = counters.map(|counters| counters.uplink(DSL[1]).connections_tried.value()).sum();
        assert!(tried <= 1, "a hairpin tries no line");
    }
}

#[test]
fn limits_hold_for_lan_hosts_by_their_own_addresses() {
    let limited = |source: &str| Forward {
        sources: vec![source.parse().unwrap()],
        ..forward(&DSL, Protocol::Udp, 5_060, (HOST_B, 5_061))
    };
    let mut router = Router::forwarding(2, vec![limited("203.0.113.0/24")]);
    let hello = udp((HOST_A, 40_000), external(DSL[0], 5_060), b"hello");
    router.assert_dropped(DropReason::Filtered, |router| router.send_from_lan(&hello));
    router.set_forwards(vec![limited("192.168.10.0/24")]);
    assert_eq!(ends(&router.send_from_lan(&hello)[0]).1, (HOST_B, 5_061));
}

#[test]
fn forwarded_port_is_given_to_no_host() {
    let mut router = Router::forwarding(2, vec![forward(&DSL, Protocol::Tcp, 40_000, WEB)]);
    for host in [HOST_A, HOST_B] {
        let sent = router.out_one(&tcp((host, 40_000), (SERVER, 443), SYN, (1, 0)));
        assert_ne!(sent.ports().0, 40_000);
    }
    assert_eq!(router.out_one(&udp((HOST_A, 40_000), (SERVER, 443), b"")).ports().0, 40_000);
    // All that is left of a class is found, and none of the forwards' is given.
    let all_low = Forward { ports: 1..=1_000, ..forward(&DSL, Protocol::Tcp, 1, (HOST_B, 1)) };
    router.set_forwards(vec![all_low]);
    let seen: Vec<u16> = (0..40)
        .filter_map(|n| {
            let sent = router.send_from_lan(&tcp((HOST_A, 600), (SERVER, 1_000 + n), SYN, (1, 0)));
            sent.first().map(|sent| sent.ports().0)
        })
        .collect();
    assert!(seen.len() == 40 && seen.iter().all(|port| (1_001..1_024).contains(port)), "{seen:?}");
}

#[test]
fn host_that_had_the_port_before_keeps_its_flows_and_strangers_are_forwarded() {
    let mut router = Router::with(&engine_config(2, 1));
    let before = router.out_one(&udp((HOST_A, 40_000), (SERVER, 53), b"query"));
    assert_eq!(ends(&before).0, external(DSL[0], 40_000));
    router.set_forwards(vec![forward(&DSL[..1], Protocol::Udp, 40_000, (HOST_B, 5_062))]);
    let back = router.in_one(DSL[0], &udp((SERVER, 53), external(DSL[0], 40_000), b"answer"));
    assert_eq!(ends(&back).1, (HOST_A, 40_000));
    let stranger = router.in_one(DSL[0], &udp((OTHER_SERVER, 53), external(DSL[0], 40_000), b"hello"));
    assert_eq!(ends(&stranger).1, (HOST_B, 5_062));
    // Once its flows are over, the host's next one has another port.
    router.wait(Duration::from_secs(301));
    assert_ne!(router.out_one(&udp((HOST_A, 40_000), (SERVER, 53), b"query")).ports().0, 40_000);
}

#[test]
fn connections_of_a_forward_that_is_removed_or_leads_elsewhere_go_on() {
    let [old, new] = [(HOST_B, 80), (HOST_A, 82)];
    for workers in 1..=3 {
        let mut router = Router::forwarding(workers, vec![forward(&DSL, Protocol::Tcp, 8080, old)]);
        router.accept(DSL[0], REMOTE, 8080, old);
        router.set_forwards(vec![forward(&DSL, Protocol::Tcp, 8080, new)]);
        router.accept(DSL[0], (SERVER, 33_001), 8080, new);
        router.talk_on(DSL[0], REMOTE, 8080, old);
        router.set_forwards(Vec::new());
        router.talk_on(DSL[0], REMOTE, 8080, old);
        router.talk_on(DSL[0], (SERVER, 33_001), 8080, new);
        router.assert_dropped(DropReason::NoMapping, |router| {
            router.send_from_uplink(DSL[0], &tcp((SERVER, 33_002), external(DSL[0], 8080), SYN, (1, 0)))
        });
    }
}

#[test]
fn forwarded_endpoint_has_its_port_for_connections_of_its_own_by_one_line() {
    let to = (HOST_B, 51_820);
    let mut router = Router::forwarding(2, vec![forward(&DSL, Protocol::Udp, 443, to)]);
    for remote in [(SERVER, 51_820), (OTHER_SERVER, 51_820), (SERVER, 9)] {
        let sent = router.out_one(&udp(to, remote, b"hello"));
        assert_eq!(ends(&sent), (external(DSL[0], 443), remote));
        assert_eq!(ends(&router.in_one(DSL[0], &udp(remote, external(DSL[0], 443), b"hello"))).1, to);
    }
    router.snapshot.uplinks[0].availability = Availability::NoCarrier;
    assert_eq!(ends(&router.out_one(&udp(to, (SERVER, 10), b"hello"))).0, external(DSL[1], 443));
}

#[test]
fn icmp_errors_about_forwarded_connections_are_translated_both_ways() {
    let mut router = Router::forwarding(2, vec![forward(&DSL, Protocol::Udp, 8080, (HOST_B, 82))]);
    let heard = router.in_one(DSL[1], &udp(REMOTE, external(DSL[1], 8080), b"hello"));
    let unreachable = |source: Ipv4Addr, quoted: &[u8]| {
        let builder = PacketBuilder::ipv4(source.octets(), quoted[12..16].try_into().unwrap(), 64);
        let kind = etherparse::Icmpv4Type::DestinationUnreachable(etherparse::icmpv4::DestUnreachableHeader::Port);
        let mut packet = Vec::new();
        builder.icmpv4(kind).write(&mut packet, quoted).unwrap();
        packet
    };
    let sent = router.out_one(&unreachable(HOST_B, &heard.packet));
    assert_eq!((sent.uplink(), sent.ip().source, sent.ip().destination), (DSL[1], external(DSL[1], 0).0, SERVER));
    assert_eq!((&sent.packet[44..48], &sent.packet[50..52]), (&[10, 77, 1, 2][..], &8080_u16.to_be_bytes()[..]));
    sent.assert_checksums();
    let answer = router.out_one(&udp((HOST_B, 82), REMOTE, b"hello"));
    let back = router.in_one(DSL[1], &unreachable(SERVER, &answer.packet));
    assert_eq!(back.ip().destination, HOST_B);
    assert_eq!((&back.packet[40..44], &back.packet[48..50]), (&HOST_B.octets()[..], &82_u16.to_be_bytes()[..]));
    router.assert_dropped(DropReason::IcmpNoFlow, |router| {
        let other = udp(external(DSL[1], 8080), (OTHER_SERVER, 5), b"hello");
        router.send_from_uplink(DSL[1], &unreachable(OTHER_SERVER, &other))
    });
}

#[test]
fn fragments_in_any_order_come_to_the_server() {
    let mut router = Router::forwarding(2, vec![forward(&DSL, Protocol::Udp, 8080, (HOST_B, 82))]);
    let mut packet = udp(REMOTE, external(DSL[0], 8080), &[7; 3000]);
    packet[6] = 0;
    crate::wire::ipv4::write_checksum(&mut packet, 20);
    let header = Ipv4::parse(&packet).unwrap();
    let mut pieces = Vec::new();
    crate::wire::fragmentation::fragment(&packet, &header, 1500, PacketBuffer::new, |piece| {
        pieces.push(piece.packet().to_vec());
    });
    for order in [[0, 1, 2], [2, 1, 0]] {
        for piece in &mut pieces {
            piece[5] += 1;
            crate::wire::ipv4::write_checksum(piece, 20);
        }
        let sent: Vec<Sent> = order.iter().flat_map(|&at| router.send_from_uplink(DSL[0], &pieces[at])).collect();
        assert_eq!(sent.len(), 3, "{:?}", router.dropped());
        assert!(sent.iter().all(|sent| sent.ip().destination == HOST_B));
    }
}

#[test]
fn far_end_may_connect_anew_from_the_same_port() {
    let mut router = Router::forwarding(2, vec![forward(&DSL, Protocol::Tcp, 8080, WEB)]);
    router.accept(DSL[0], REMOTE, 8080, WEB);
    router.in_one(DSL[0], &tcp(REMOTE, external(DSL[0], 8080), FIN_ACK, (101, 901)));
    router.out_one(&tcp(WEB, REMOTE, FIN_ACK, (901, 102)));
    router.in_one(DSL[0], &tcp(REMOTE, external(DSL[0], 8080), ACK, (102, 902)));
    for _ in 0..2 {
        router.accept(DSL[0], REMOTE, 8080, WEB);
        let listed = router
            .workers
            .iter()
            .flat_map(|worker| worker.list_flows(router.now, &router.snapshot, &FlowFilter::default(), 0).flows);
        let directions: Vec<_> = listed.map(|flow| (flow.direction, flow.external.port)).collect();
        assert_eq!(directions, [(FlowDirection::Inbound, 8080)]);
        router.out_one(&tcp(WEB, REMOTE, RST, (901, 0)));
        // By another line, for this one is over.
        router.accept(DSL[1], REMOTE, 8080, WEB);
        router.out_one(&tcp(WEB, REMOTE, RST, (901, 0)));
    }
}

#[test]
fn connection_never_crosses_lines_until_its_own_is_lost() {
    let mut router = Router::forwarding(2, vec![forward(&DSL, Protocol::Udp, 8080, WEB)]);
    let hello = |line| udp(REMOTE, external(line, 8080), b"hello");
    router.in_one(DSL[0], &hello(DSL[0]));
    router.assert_dropped(DropReason::Filtered, |router| router.send_from_uplink(DSL[1], &hello(DSL[1])));
    router.snapshot.uplinks[0].availability = Availability::NoCarrier;
    router.in_one(DSL[1], &hello(DSL[1]));
    assert_eq!(router.out_one(&udp(WEB, REMOTE, b"hello")).uplink(), DSL[1]);
}

#[test]
fn connections_of_a_lost_line_end_and_others_go_on() {
    let mut router = Router::forwarding(1, vec![forward(&DSL, Protocol::Tcp, 8080, WEB)]);
    for (n, line) in (0..).zip(DSL) {
        router.accept(line, (SERVER, 33_000 + n), 8080, WEB);
    }
    router.snapshot.uplinks[0].availability = Availability::NoCarrier;
    let (now, snapshot) = (router.now, router.snapshot.clone());
    let page = router.workers[0].fail_over(now, &snapshot, DSL[0], 0, &mut router.out);
    assert_eq!((page.step, page.reset), (FailOverStep::Done, 1));
    let resets = router.collect();
    assert_eq!(ends(&resets[0]), ((SERVER, 33_000), WEB));
    assert!(Tcp::parse(&resets[0].packet[20..]).unwrap().segment.flags.contains(crate::wire::TcpFlags::RST));
    router.talk_on(DSL[1], (SERVER, 33_001), 8080, WEB);
    // Back again, the line is as good as ever, for the same far end too.
    router.snapshot.uplinks[0].availability = Availability::Usable;
    router.accept(DSL[0], (SERVER, 33_000), 8080, WEB);
    assert_eq!(router.workers[0].counters().flows.value(), 2);
}

#[test]
fn forwarded_connections_outlive_the_program_with_other_workers() {
    let folder = tempfile::tempdir().unwrap();
    let config = |workers| EngineConfig { file: Some(folder.path().join("flows")), ..engine_config(workers, 2) };
    let forwards = || vec![forward(&DSL, Protocol::Tcp, 8080, (HOST_B, 82))];
    let mut router = Router::with(&config(2));
    router.set_forwards(forwards());
    router.accept(DSL[1], REMOTE, 8080, (HOST_B, 82));
    drop(router);
    let mut router = Router::with(&config(3));
    router.set_forwards(forwards());
    router.talk_on(DSL[1], REMOTE, 8080, (HOST_B, 82));
}

#[test]
fn busy_forwarded_flows_take_the_shortcut_whoever_owns_them() {
    use crate::engine::shortcut::table::{self, ShortcutTable};
    use crate::sys::shared_words::SharedWords;
    let table = ShortcutTable::new(SharedWords::anonymous(table::BYTES).unwrap(), [3, 5]);
    let mut router = Router::with(&EngineConfig { shortcut: Some(table), ..engine_config(2, 2) });
    router.set_forwards(vec![forward(&DSL, Protocol::Tcp, 8080, (HOST_B, 82))]);
    router.accept(DSL[1], REMOTE, 8080, (HOST_B, 82));
    for _ in 0..20 {
        router.talk_on(DSL[1], REMOTE, 8080, (HOST_B, 82));
    }
    let carried: Vec<u64> = router.workers.iter().map(|worker| worker.counters().shortcuts.value()).collect();
    assert_eq!(carried, [0, 1]);
}
