//! What must hold of the engine whatever comes, with oracles that are not ours: etherparse builds and pnet_packet reads.

mod world;

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use pnet_packet::Packet;
use pnet_packet::ip::IpNextHeaderProtocols;
use pnet_packet::{icmp, ipv4, tcp, udp};
use potato::engine::{Egress, Limits, UplinkCounters, Usage};
use potato::flow::Protocol;
use potato::flow::record::EndpointV4;
use potato::nat::translate::{Transport, replace_endpoint};
use potato::placement::UplinkId;
use potato::wire::{AddressField, Checksum, Segmentation, VnetHeader};
use proptest::prelude::*;
use world::{End, LAN, Sent, Size, World, datagram, destination, echo_reply, external, host, remote, segment, source};

fn protocol() -> impl Strategy<Value = Protocol> {
    prop_oneof![Just(Protocol::Udp), Just(Protocol::Tcp), Just(Protocol::Icmp)]
}

fn address() -> impl Strategy<Value = Ipv4Addr> {
    any::<u32>().prop_map(Ipv4Addr::from)
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..200)
}

/// Where the layer-4 checksum of a packet with a 20-byte IP header stands.
fn checksum_at(protocol: Protocol) -> usize {
    20 + match protocol {
        Protocol::Icmp => 2,
        Protocol::Tcp => 16,
        Protocol::Udp => 6,
    }
}

fn expected_checksum(bytes: &[u8]) -> u16 {
    let packet = ipv4::Ipv4Packet::new(bytes).unwrap();
    let (source, destination) = (packet.get_source(), packet.get_destination());
    match packet.get_next_level_protocol() {
        IpNextHeaderProtocols::Tcp => {
            tcp::ipv4_checksum(&tcp::TcpPacket::new(packet.payload()).unwrap(), &source, &destination)
        }
        IpNextHeaderProtocols::Udp => {
            udp::ipv4_checksum(&udp::UdpPacket::new(packet.payload()).unwrap(), &source, &destination)
        }
        _ => icmp::checksum(&icmp::IcmpPacket::new(packet.payload()).unwrap()),
    }
}

/// pnet_packet finds the lengths and both checksums right.
fn check_by_others(bytes: &[u8]) -> Result<(), TestCaseError> {
    let packet = ipv4::Ipv4Packet::new(bytes).unwrap();
    prop_assert_eq!(usize::from(packet.get_total_length()), bytes.len());
    prop_assert_eq!(packet.get_checksum(), ipv4::checksum(&packet));
    let at = checksum_at(Protocol::from_number(bytes[9]).unwrap());
    let found = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    prop_assert_eq!(found, expected_checksum(bytes));
    prop_assert!(etherparse::SlicedPacket::from_ip(bytes).is_ok());
    Ok(())
}

/// `after` is `before` with other endpoints, one hop less to live, and checksums to match.
fn check_only_endpoints_changed(before: &[u8], after: &[u8]) -> Result<(), TestCaseError> {
    prop_assert_eq!(before.len(), after.len());
    prop_assert_eq!(before[8] - 1, after[8]);
    let protocol = Protocol::from_number(before[9]).unwrap();
    let ports = if protocol == Protocol::Icmp { 24..26 } else { 20..24 };
    let checksum = checksum_at(protocol);
    let may_change =
        |at: usize| matches!(at, 8 | 10..20) || ports.contains(&at) || at == checksum || at == checksum + 1;
    for at in (0..before.len()).filter(|&at| !may_change(at)) {
        prop_assert_eq!(before[at], after[at], "byte {}", at);
    }
    Ok(())
}

fn only(sent: Vec<Sent>) -> Result<(Egress, Vec<u8>), TestCaseError> {
    prop_assert_eq!(sent.len(), 1, "{:?}", &sent);
    let Sent { egress, bytes, .. } = sent.into_iter().next().unwrap();
    Ok((egress, bytes))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn translate_then_untranslate_is_identity(
        protocol in protocol(), ends in [(address(), any::<u16>()), (address(), any::<u16>())],
        new in (address(), any::<u16>()), payload in payload(), is_source in any::<bool>(), unfinished in any::<bool>(),
    ) {
        let before = datagram(protocol, ends[0], ends[1], 64, &payload);
        let state = if unfinished { Checksum::Unfinished { start: 20, offset: 16 } } else { Checksum::Complete };
        let (field, old) = match (is_source, protocol) {
            (true, _) => (AddressField::Source, source(&before)),
            (false, _) => (AddressField::Destination, destination(&before)),
        };
        let endpoint = |end: End| EndpointV4 { address: end.0, port: end.1 };
        let mut after = before.clone();
        let transport = Transport::Present(state);
        replace_endpoint(&mut after, 20, protocol, field, (old.0, endpoint(new)), transport);
        let there = if is_source { source(&after) } else { destination(&after) };
        prop_assert_eq!(there, new);
        replace_endpoint(&mut after, 20, protocol, field, (new.0, endpoint(old)), transport);
        prop_assert_eq!(after, before);
    }

    #[test]
    fn reply_reaches_the_host_with_its_own_endpoint(
        protocol in protocol(), port in 1..=u16::MAX, far_port in 1..=u16::MAX, payload in payload(), ttl in 2..=255_u8,
        workers in 1..4_u8,
    ) {
        let mut world = World::new(Size { workers, ..Size::default() });
        let (host, far) = ((host(0), port), (remote(0), far_port));
        let original = datagram(protocol, host, far, ttl, &payload);
        let (egress, out) = only(world.host_sends(&original))?;
        let Egress::Uplink(uplink) = egress else { return Err(TestCaseError::fail("sent to the LAN")) };
        check_only_endpoints_changed(&original, &out)?;
        check_by_others(&out)?;
        let seen = source(&out);
        prop_assert_eq!(seen.0, external(uplink.0));

        let reply = match protocol {
            Protocol::Udp => datagram(protocol, far, seen, ttl, &payload),
            Protocol::Icmp => echo_reply(far.0, seen, ttl, &payload),
            Protocol::Tcp => segment(far, seen, (5_000, 1_001 + payload.len() as u32), true, &[]),
        };
        let (egress, back) = only(world.internet_sends(uplink, &reply))?;
        prop_assert_eq!(egress, Egress::Lan(LAN));
        check_only_endpoints_changed(&reply, &back)?;
        check_by_others(&back)?;
        prop_assert_eq!(destination(&back), host);
    }

    #[test]
    fn unfinished_checksum_is_right_once_it_is_finished(
        protocol in prop_oneof![Just(Protocol::Udp), Just(Protocol::Tcp)], port in 1..=u16::MAX, payload in payload(),
    ) {
        let mut world = World::new(Size::default());
        let mut packet = datagram(protocol, (host(0), port), (remote(0), 443), 64, &payload);
        let checksum = unfinish(&mut packet);
        let sent = world.host_sends_with(&packet, VnetHeader { checksum, segmentation: Segmentation::None });
        prop_assert_eq!(sent[0].vnet.checksum, checksum);
        let (_, mut out) = only(sent)?;
        finish(&mut out);
        check_by_others(&out)?;
    }
}

/// Puts the sum of the pseudo-header where the checksum will be, as a sender with checksum offload leaves it.
fn unfinish(packet: &mut [u8]) -> Checksum {
    let protocol = Protocol::from_number(packet[9]).unwrap();
    let at = checksum_at(protocol);
    let length = u16::try_from(packet.len() - 20).unwrap();
    let (source, destination) = (source(packet).0, destination(packet).0);
    let pseudo = potato::wire::checksum::pseudo_header_v4(source, destination, protocol as u8, length);
    packet[at..at + 2].copy_from_slice(&potato::wire::checksum::unfinished(pseudo).to_be_bytes());
    Checksum::Unfinished { start: 20, offset: u16::try_from(at - 20).unwrap() }
}

/// What a network card does: sums all from the layer-4 header on, over what stands in the field.
fn finish(packet: &mut [u8]) {
    let protocol = Protocol::from_number(packet[9]).unwrap();
    let at = checksum_at(protocol);
    let sum = pnet_packet::util::checksum(&packet[20..], usize::MAX);
    let sum = if sum == 0 && protocol == Protocol::Udp { 0xffff } else { sum };
    packet[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

#[test]
fn super_packet_crosses_whole_and_unfinished_both_ways() {
    let mut world = World::new(Size::default());
    let (host, far) = ((host(0), 40_000), (remote(0), 443));
    let (uplink, seen) = world::connect(&mut world, host, far);
    let segmentation = Segmentation::Tcp4 { size: 1_448, ecn: false };
    for (from, to, way) in [(host, far, None), (far, seen, Some(uplink))] {
        let mut packet = segment(from, to, (1_001, 1_001), false, &[0x5a; 30_000]);
        let vnet = VnetHeader { checksum: unfinish(&mut packet), segmentation };
        let sent = match way {
            None => world.host_sends_with(&packet, vnet),
            Some(uplink) => world.internet_sends_with(uplink, &packet, vnet),
        };
        let [sent] = &sent[..] else { panic!("{sent:?}") };
        assert_eq!((sent.bytes.len(), sent.vnet), (packet.len(), vnet));
        let mut finished = sent.bytes.clone();
        finish(&mut finished);
        check_by_others(&finished).unwrap();
        check_only_endpoints_changed(&packet, &finished).unwrap();
    }
}

/// The pieces of a packet without IP options, cut at multiples of eight bytes.
fn pieces(packet: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
    let payload = &packet[20..];
    let mut edges: Vec<usize> = cuts.iter().map(|cut| cut % (payload.len() / 8 + 1) * 8).collect();
    edges.extend([0, payload.len()]);
    edges.sort_unstable();
    edges.dedup();
    // The first piece holds the ports.
    let edges: Vec<usize> = edges.into_iter().filter(|&edge| edge == 0 || edge >= 8.min(payload.len())).collect();
    edges.windows(2).map(|edge| piece(packet, edge[0], edge[1])).collect()
}

fn piece(packet: &[u8], start: usize, end: usize) -> Vec<u8> {
    let mut piece = packet[..20].to_vec();
    piece.extend_from_slice(&packet[20 + start..20 + end]);
    let more = if 20 + end < packet.len() { 0x2000 } else { 0 };
    piece[2..4].copy_from_slice(&u16::try_from(20 + end - start).unwrap().to_be_bytes());
    piece[6..8].copy_from_slice(&(u16::try_from(start / 8).unwrap() | more).to_be_bytes());
    potato::wire::ipv4::write_checksum(&mut piece, 20);
    piece
}

/// Puts pieces together as a receiver does.
fn reassembled(pieces: &[Sent]) -> Vec<u8> {
    let mut pieces: Vec<&[u8]> = pieces.iter().map(|sent| &sent.bytes[..]).collect();
    let offset = |piece: &[u8]| u16::from_be_bytes([piece[6] & 0x1f, piece[7]]);
    pieces.sort_by_key(|piece| offset(piece));
    let mut packet = pieces[0][..20].to_vec();
    pieces.iter().for_each(|piece| packet.extend_from_slice(&piece[20..]));
    let length = u16::try_from(packet.len()).unwrap();
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    packet[6..8].fill(0);
    potato::wire::ipv4::write_checksum(&mut packet, 20);
    packet
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn fragments_in_any_order_are_translated(
        payload in proptest::collection::vec(any::<u8>(), 9..4_000), cuts in proptest::collection::vec(any::<usize>(), 0..9),
        seed in any::<u64>(), workers in 1..3_u8,
    ) {
        let mut world = World::new(Size { workers, ..Size::default() });
        let (host, far) = ((host(0), 40_002), (remote(0), 53));
        let mut whole = datagram(Protocol::Udp, host, far, 64, &payload);
        whole[6] = 0;
        potato::wire::ipv4::write_checksum(&mut whole, 20);
        let mut pieces = pieces(&whole, &cuts);
        let count = pieces.len();
        for at in (1..count).rev() {
            pieces.swap(at, seed.rotate_left(u32::try_from(at).unwrap()) as usize % (at + 1));
        }
        let sent: Vec<Sent> = pieces.iter().flat_map(|piece| world.host_sends(piece)).collect();
        prop_assert!(sent.len() >= count, "{} of {} pieces", sent.len(), count);
        let out = reassembled(&sent);
        check_by_others(&out)?;
        check_only_endpoints_changed(&whole, &out)?;
        prop_assert_eq!(source(&out).0, external(0));
    }

    #[test]
    fn damaged_packets_let_no_private_address_out(
        protocol in protocol(), payload in payload(), from_lan in any::<bool>(), mend in any::<bool>(),
        damage in proptest::collection::vec((0..80_usize, any::<u8>()), 1..6),
    ) {
        let mut world = World::new(Size::default());
        world.host_sends(&datagram(protocol, (host(0), 40_000), (remote(0), 53), 64, b"opens the way"));
        let (ends, uplink) = (((host(0), 40_000), (remote(0), 53)), UplinkId(0));
        let mut packet = if from_lan {
            datagram(protocol, ends.0, ends.1, 64, &payload)
        } else {
            datagram(protocol, ends.1, (external(0), 40_000), 64, &payload)
        };
        for (at, value) in damage {
            let at = at % packet.len();
            packet[at] = value;
        }
        let header_length = usize::from(packet[0] & 0x0f) * 4;
        if mend && (20..=packet.len()).contains(&header_length) {
            potato::wire::ipv4::write_checksum(&mut packet, header_length);
        }
        let sent = if from_lan { world.host_sends(&packet) } else { world.internet_sends(uplink, &packet) };
        for Sent { egress, bytes, .. } in &sent {
            let header = etherparse::Ipv4HeaderSlice::from_slice(bytes).unwrap();
            prop_assert_eq!(usize::from(header.total_len()), bytes.len());
            if let Egress::Uplink(uplink) = egress {
                prop_assert_eq!(header.source_addr(), external(uplink.0));
            }
        }
    }
}

#[test]
fn hairpinned_fragments_reach_the_other_host() {
    for workers in [1, 2] {
        let mut world = World::new(Size { uplinks: 1, workers, ..Size::default() });
        let (alice, bob, far) = ((host(0), 40_000), (host(1), 40_002), (remote(0), 53));
        // Somebody else has Alice's port, so hers must change.
        world.host_sends(&datagram(Protocol::Udp, (host(2), 40_000), far, 64, b"first"));
        let mut open =
            |end| source(&world.host_sends(&datagram(Protocol::Udp, end, far, 64, b"opens a port"))[0].bytes);
        let (seen_bob, seen_alice) = (open(bob), open(alice));
        assert_ne!(seen_alice.1, alice.1);
        // The filter lets in whom the host has sent to.
        world.host_sends(&datagram(Protocol::Udp, bob, seen_alice, 64, b"knock"));
        let whole = datagram(Protocol::Udp, alice, seen_bob, 64, &[7; 2_000]);
        let sent: Vec<Sent> = pieces(&whole, &[100, 200]).iter().flat_map(|piece| world.host_sends(piece)).collect();
        assert_eq!(sent.len(), 3, "{workers} workers, pieces on their way: {sent:?}");
        let packet = reassembled(&sent);
        assert_eq!((source(&packet), destination(&packet)), (seen_alice, bob));
    }
}

/// Something that happens in the world.
#[derive(Clone, Debug)]
enum Event {
    Send { protocol: Protocol, host: u8, port: u16, remote: u8 },
    Wait(u64),
    LineFails(u8),
    LineReturns(u8),
}

fn event() -> impl Strategy<Value = Event> {
    // Few hosts, ports and far ends, so that they meet.
    let port = prop_oneof![Just(5_060_u16), 4_000..4_004_u16, Just(80)];
    let send = (protocol(), 0..6_u8, port, 0..3_u8).prop_map(|(protocol, host, port, remote)| Event::Send {
        protocol,
        host,
        port,
        remote,
    });
    let wait = prop_oneof![0..2_000_u64, 55_000..70_000_u64, 110_000..130_000_u64, 290_000..400_000_u64];
    prop_oneof![
        20 => send,
        2 => wait.prop_map(Event::Wait),
        1 => (0..2_u8).prop_map(Event::LineFails),
        2 => (0..2_u8).prop_map(Event::LineReturns),
    ]
}

/// A flow that certainly still lives: who it is of, and until when.
type Model = HashMap<(Protocol, UplinkId, u16), HashSet<(End, u64)>>;

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn two_live_mappings_never_share_an_external_tuple(
        events in proptest::collection::vec(event(), 1..150), workers in 1..3_u8,
    ) {
        let mut world = World::new(Size { workers, ..Size::default() });
        let mut model = Model::new();
        for event in events {
            match event {
                Event::Send { protocol, host: number, port, remote: far } => {
                    let end = (host(number), port);
                    let sent = world.host_sends(&datagram(protocol, end, (remote(far), 99), 64, b"hello"));
                    // A line that is down takes no packets of its old flows.
                    let Some(Sent { egress: Egress::Uplink(uplink), bytes, .. }) = sent.first() else { continue };
                    let seen = source(bytes);
                    prop_assert_eq!(seen.0, external(uplink.0), "a private address got out");
                    // RFC 4787 REQ-3a: a port stays in its class.
                    prop_assert!(protocol == Protocol::Icmp || (seen.1 < 1_024) == (port < 1_024));
                    let now = world.now.as_millis();
                    let users = model.entry((protocol, *uplink, seen.1)).or_default();
                    users.retain(|&(_, until)| until > now);
                    for (other, _) in users.iter() {
                        prop_assert_eq!(*other, end, "{} {} shared", protocol, seen.1);
                    }
                    let lifetime = match protocol {
                        Protocol::Icmp => 60_000,
                        // Its SYN is never answered, so it may leave its line; the port rests then.
                        Protocol::Tcp => 120_000,
                        Protocol::Udp => 300_000,
                    };
                    users.insert((end, now + lifetime));
                }
                Event::Wait(milliseconds) => world.wait(Duration::from_millis(milliseconds)),
                Event::LineFails(uplink) => {
                    world.snapshot.uplinks[usize::from(uplink)].availability = potato::placement::Availability::NoCarrier;
                }
                Event::LineReturns(uplink) => {
                    world.snapshot.uplinks[usize::from(uplink)].availability = potato::placement::Availability::Usable;
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn accounts_of_all_hosts_add_up_to_the_counters_of_the_lines(
        steps in proptest::collection::vec((protocol(), 0..6_u8, 1_024..1_032_u16, 0..3_u8, payload(), 0..200_u64), 1..80),
        workers in 1..4_u8, ports in proptest::option::of(1..12_u32),
    ) {
        let mut world = World::new(Size { workers, ..Size::default() });
        let accounts = world.workers[0].accounts();
        accounts.set_limits(Limits { sessions: Some(20), new_per_second: Some(2), ports });
        for (protocol, from, port, to, payload, seconds) in steps {
            let (host, far) = ((host(from), port), (remote(to), 443));
            for sent in world.host_sends(&datagram(protocol, host, far, 64, &payload)) {
                let Egress::Uplink(uplink) = sent.egress else { continue };
                let answer = datagram(protocol, far, source(&sent.bytes), 64, &payload);
                world.internet_sends(uplink, &answer);
            }
            world.wait(Duration::from_secs(seconds));
            accounts.forget_away(world.now);
            let list = accounts.list();
            let mut sessions = 0;
            for uplink in (0..2).map(UplinkId) {
                let lines = list.iter().flat_map(|account| &account.lines).filter(|(_, on, _)| *on == uplink);
                let sum = lines.fold(Usage::default(), |sum, (.., usage)| sum.plus(*usage));
                let of = |read: fn(&UplinkCounters) -> u64| {
                    world.workers.iter().map(|worker| read(worker.counters().uplink(uplink))).sum::<u64>()
                };
                prop_assert_eq!(sum.out_bytes, of(|line| line.out_bytes.value()));
                prop_assert_eq!(sum.in_bytes, of(|line| line.in_bytes.value()));
                prop_assert_eq!(sum.flows, of(|line| line.flows.value()));
                sessions += sum.flows;
            }
            prop_assert_eq!(list.iter().map(|account| u64::from(account.sessions)).sum::<u64>(), sessions);
            prop_assert!(list.iter().all(|account| account.sessions <= 20 && account.ports <= ports.unwrap_or(u32::MAX)));
        }
    }
}
