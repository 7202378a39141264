//! The programs against the engine: the same packets through both must come out the same, and leave the same behind.

use std::net::Ipv4Addr;
use std::num::NonZeroU32;

use etherparse::{PacketBuilder, TcpHeader};
use proptest::prelude::*;

use super::*;
use crate::engine::{self, Counter, EngineConfig, FlowFilter, FlowListing, Outbox, Settings, UplinkIdentity, Worker};
use crate::flow::Timestamp;
use crate::placement::{
    AddressOwner, Availability, DhcpAnswers, Lan, LanId, LanLink, NextHop, Snapshot, Uplink, UplinkId,
};
use crate::sys::clock;
use crate::wire::{MacAddress, PacketBuffer};

const HOST: Ipv4Addr = Ipv4Addr::new(192, 168, 10, 20);
const EXTERNAL: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 2);
const SERVER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
const HOST_MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 20]);
/// Test runs see every frame on the loopback interface, whose address this is.
const OWN_MAC: MacAddress = MacAddress([0; 6]);
const GATEWAY_MAC: MacAddress = MacAddress([2, 0, 0, 0, 1, 1]);
const LAN: LanId = LanId(1);
const LOOPBACK: u32 = 1;
const TC_ACT_REDIRECT: u32 = 7;
const PORT: u16 = 40_000;
const REMOTE_PORT: u16 = 443;
const SYN: u8 = 2;
const ACK: u8 = 16;
const FIN: u8 = 1;
const RST: u8 = 4;
const PSH: u8 = 8;

fn snapshot(lan: LanLink) -> Snapshot {
    let lans = [(LanId::TUN, LanLink::Tun), (LAN, lan)];
    let lan =
        |(id, link)| Some(Lan { id, interface: LOOPBACK, link, address: Ipv4Addr::new(192, 168, 10, 1), mtu: 1400 });
    Snapshot {
        generation: 1,
        uplinks: vec![Uplink {
            id: UplinkId(0),
            name: "dsl1".into(),
            interface: Some(LOOPBACK),
            availability: Availability::Usable,
            external: Some(EXTERNAL),
            mtu: 1300,
            weight: NonZeroU32::MIN,
            next_hop: Some(NextHop::Ethernet { gateway: GATEWAY_MAC, own: OWN_MAC }),
            dhcp: DhcpAnswers::Unwanted,
            probed: std::sync::Arc::default(),
            owner: AddressOwner::Router,
        }],
        lans: lans.into_iter().map(lan).collect(),
        kernel_networks: vec!["192.168.10.0/24".parse().unwrap()],
        policy: std::sync::Arc::default(),
        forwards: std::sync::Arc::default(),
    }
}

/// A router.
struct Router {
    worker: Worker,
    snapshot: Snapshot,
    out: Outbox,
    lan: LanId,
}

/// What became of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fate {
    Sent(Vec<u8>),
    Dropped,
}

fn now() -> Timestamp {
    Timestamp::from(clock::monotonic())
}

impl Router {
    fn new(lan: LanId, shortcut: Option<ShortcutTable>) -> Self {
        let config = EngineConfig {
            file: None,
            boot_id: [7; 16],
            workers: 1,
            flows: 100,
            uplinks: vec![UplinkIdentity { name: "dsl1".into(), external: Some(EXTERNAL) }],
            seed: [9; 32],
            settings: Settings::default(),
            shortcut,
        };
        let worker = engine::open(&config, now()).unwrap().remove(0);
        Self { worker, snapshot: snapshot(LanLink::Ethernet(OWN_MAC)), out: Outbox::new(8), lan }
    }

    fn carry(&mut self, hook: Hook, packet: &[u8]) -> Fate {
        let mut buffer = PacketBuffer::new();
        buffer.fill(packet);
        if hook != Hook::Tun {
            buffer.set_link_header(&link_header(hook));
        }
        let batch = &mut vec![buffer];
        match hook {
            Hook::Uplink => self.worker.handle_uplink(now(), &self.snapshot, UplinkId(0), batch, &mut self.out),
            Hook::Lan | Hook::Tun => self.worker.handle_lan(now(), &self.snapshot, self.lan, batch, &mut self.out),
        }
        let (lan, uplink) = (self.lan.index(), 0);
        let queue = if hook == Hook::Uplink { &mut self.out.lans[lan] } else { &mut self.out.uplinks[uplink] };
        let sent = queue.pop().map(|buffer| [buffer.link_header(), buffer.packet()].concat());
        self.out.lans.iter_mut().chain(&mut self.out.uplinks).for_each(Vec::clear);
        sent.map_or(Fate::Dropped, Fate::Sent)
    }

    fn listing(&self) -> Vec<FlowListing> {
        self.worker.list_flows(now(), &self.snapshot, &FlowFilter::default(), 0).flows
    }
}

fn link_header(hook: Hook) -> [u8; 14] {
    let mut header = [0; 14];
    header[6..12].copy_from_slice(&if hook == Hook::Lan { HOST_MAC.0 } else { GATEWAY_MAC.0 });
    header[12..].copy_from_slice(&[8, 0]);
    header
}

/// Two routers that are to be one: an engine alone, and an engine with the shortcut before it.
struct Pair {
    alone: Router,
    helped: Router,
    hooks: [(Hook, Program); 2],
    table: ShortcutTable,
    carried: usize,
}

impl Pair {
    fn new(out: Hook) -> Self {
        let shortcut = Shortcut::create([0x9e37_79b9_7f4a_7c15, 0xc2b2_ae3d_27d4_eb4f]).unwrap();
        shortcut.table().set_generation(1);
        let lan = if out == Hook::Tun { LanId::TUN } else { LAN };
        let hooks = [out, Hook::Uplink].map(|hook| (hook, shortcut.whole_program(hook, "test").unwrap()));
        let table = shortcut.table();
        let helped = Router::new(lan, Some(table.clone()));
        Self { alone: Router::new(lan, None), helped, hooks, table, carried: 0 }
    }

    /// Sends the packet through both and asserts that they agree.
    fn carry(&mut self, outbound: bool, packet: &[u8]) -> Fate {
        let (hook, program) = &self.hooks[usize::from(!outbound)];
        let expected = self.alone.carry(*hook, packet);
        let frame = if *hook == Hook::Tun { packet.to_vec() } else { [&link_header(*hook), packet].concat() };
        // A test run needs a link header's length of bytes in any case, and takes it off where the hook sees none.
        let outcome = program.test_run(&frame).unwrap();
        let fate = if outcome.result == TC_ACT_REDIRECT {
            self.carried += 1;
            // The way to the TUN device takes the link header off.
            let skip = if *hook == Hook::Uplink && self.helped.lan == LanId::TUN { 14 } else { 0 };
            Fate::Sent(outcome.frame[skip..].to_vec())
        } else {
            assert_eq!((outcome.result, &outcome.frame), (TC_ACT_OK as u32, &frame), "in doubt, nothing is touched");
            self.helped.carry(*hook, packet)
        };
        assert_eq!(fate, expected, "{packet:02x?}");
        fate
    }

    fn table(&self) -> ShortcutTable {
        self.table.clone()
    }

    fn assert_alike(&mut self) {
        self.helped.worker.settle(now());
        let of = |router: &Router| {
            let seen = |flow: FlowListing| (flow.tuple, flow.external, flow.state, flow.out, flow.back);
            router.listing().into_iter().map(seen).collect::<Vec<_>>()
        };
        assert_eq!(of(&self.helped), of(&self.alone));
        let counters = [&self.alone, &self.helped].map(|router| {
            let counters = router.worker.counters();
            let uplink = counters.uplink(UplinkId(0));
            let all = [&uplink.out_packets, &uplink.out_bytes, &uplink.in_packets, &uplink.in_bytes];
            let data = [&uplink.out_data, &uplink.in_data];
            let repeated = [&uplink.out_repeated, &uplink.in_repeated].map(Counter::value);
            (all.map(Counter::value), data.map(Counter::value), repeated)
        });
        let [alone, helped] = counters;
        assert_eq!((alone.0, alone.1), (helped.0, helped.1));
        if self.helped.lan == LAN {
            assert_eq!(alone.2, helped.2);
        } else {
            // The router's own traffic may end its life here, which is the engine's: what of that a host sends again the
            // programs take for new.
            assert!((0..2).all(|way| helped.2[way] <= alone.2[way]), "{counters:?}");
        }
    }

    /// Segments with data, and those sent again, out and in.
    fn data(&mut self) -> [[u64; 2]; 2] {
        self.helped.worker.settle(now());
        let counters = self.helped.worker.counters();
        let uplink = counters.uplink(UplinkId(0));
        [[&uplink.out_data, &uplink.out_repeated], [&uplink.in_data, &uplink.in_repeated]]
            .map(|both| both.map(Counter::value))
    }
}

fn ends(outbound: bool) -> [(Ipv4Addr, u16); 2] {
    if outbound { [(HOST, PORT), (SERVER, REMOTE_PORT)] } else { [(SERVER, REMOTE_PORT), (EXTERNAL, PORT)] }
}

fn udp(outbound: bool, ttl: u8, payload: usize) -> Vec<u8> {
    let [from, to] = ends(outbound);
    let mut packet = Vec::new();
    let builder = PacketBuilder::ipv4(from.0.octets(), to.0.octets(), ttl).udp(from.1, to.1);
    builder.write(&mut packet, &vec![7; payload]).unwrap();
    packet
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    flags: u8,
    sequence: u32,
    acknowledgement: u32,
    window: u16,
    payload: usize,
    ttl: u8,
    with_options: bool,
}

fn tcp(outbound: bool, segment: Segment) -> Vec<u8> {
    let [from, to] = ends(outbound);
    let mut header = TcpHeader::new(from.1, to.1, segment.sequence, segment.window);
    header.acknowledgment_number = segment.acknowledgement;
    let has = |flag| segment.flags & flag != 0;
    (header.fin, header.syn, header.rst, header.psh, header.ack) = (has(FIN), has(SYN), has(RST), has(PSH), has(ACK));
    if has(SYN) {
        header.set_options(&[etherparse::TcpOptionElement::WindowScale(3)]).unwrap();
    } else if segment.with_options {
        header.set_options(&[etherparse::TcpOptionElement::Timestamp(1, 2)]).unwrap();
    }
    let mut packet = Vec::new();
    let builder = PacketBuilder::ipv4(from.0.octets(), to.0.octets(), segment.ttl).tcp_header(header);
    builder.write(&mut packet, &vec![7; segment.payload]).unwrap();
    packet
}

const CLIENT: u32 = 0xffff_f000;
const REMOTE: u32 = 77_000;

/// An open connection with enough packets behind it.
fn busy_connection(out: Hook) -> Pair {
    let mut pair = Pair::new(out);
    let plain = |flags, sequence, acknowledgement| Segment {
        flags,
        sequence,
        acknowledgement,
        window: 5_000,
        payload: 0,
        ttl: 64,
        with_options: false,
    };
    pair.carry(true, &tcp(true, plain(SYN, CLIENT, 0)));
    pair.carry(false, &tcp(false, plain(SYN | ACK, REMOTE, CLIENT.wrapping_add(1))));
    for _ in 0..40 {
        pair.carry(true, &tcp(true, plain(ACK, CLIENT.wrapping_add(1), REMOTE + 1)));
        pair.carry(false, &tcp(false, plain(ACK, REMOTE + 1, CLIENT.wrapping_add(1))));
    }
    assert!(pair.carried > 20, "{}", pair.carried);
    pair
}

#[test]
fn datagrams_come_out_alike() {
    for out in [Hook::Lan, Hook::Tun] {
        let mut pair = Pair::new(out);
        for number in 0..100 {
            for outbound in [true, false] {
                let fate = pair.carry(outbound, &udp(outbound, 64, 20 + number));
                assert_ne!(fate, Fate::Dropped);
            }
        }
        assert!(pair.carried > 150, "{}", pair.carried);
        let carried = pair.carried;
        // Too long for either way out, on its last hop, or without what a checksum needs.
        pair.carry(true, &udp(true, 64, 1_280));
        pair.carry(false, &udp(false, 64, 1_380));
        pair.carry(true, &udp(true, 1, 20));
        pair.carry(false, &udp(false, 1, 20));
        assert_eq!(pair.carried, carried);
        let mut unsummed = udp(true, 64, 20);
        unsummed[26..28].fill(0);
        pair.carry(true, &unsummed);
        assert_eq!(pair.carried, carried + 1);
        pair.assert_alike();
    }
}

#[test]
fn a_host_with_another_ethernet_address_is_the_engines() {
    let pair = busy_connection(Hook::Lan);
    let plain = tcp(
        true,
        Segment {
            flags: ACK,
            sequence: CLIENT.wrapping_add(1),
            acknowledgement: REMOTE + 1,
            window: 1,
            payload: 5,
            ttl: 9,
            with_options: true,
        },
    );
    let mut frame = [&link_header(Hook::Lan), plain.as_slice()].concat();
    assert_eq!(pair.hooks[0].1.test_run(&frame).unwrap().result, TC_ACT_REDIRECT);
    frame[11] ^= 1;
    assert_eq!(pair.hooks[0].1.test_run(&frame).unwrap().result, TC_ACT_OK as u32);
}

#[test]
fn what_is_not_plain_is_the_engines() {
    let pair = busy_connection(Hook::Lan);
    let carried = pair.carried;
    let plain = Segment {
        flags: ACK,
        sequence: CLIENT.wrapping_add(1),
        acknowledgement: REMOTE + 1,
        window: 9,
        payload: 100,
        ttl: 64,
        with_options: false,
    };
    let mut fragment = tcp(true, plain);
    fragment[6] = 0x20;
    let mut with_options = tcp(true, plain);
    with_options[0] = 0x46;
    let mut cut = tcp(true, plain);
    cut.truncate(100);
    let mut long_header = tcp(true, plain);
    long_header[32] = 0xf0;
    let mut urgent = tcp(true, plain);
    urgent[33] |= 0x20;
    for packet in [fragment, with_options, cut, long_header, urgent] {
        let frame = [&link_header(Hook::Lan), packet.as_slice()].concat();
        let outcome = pair.hooks[0].1.test_run(&frame).unwrap();
        // A long data offset within the packet is only many options.
        let expected = if packet[32] == 0xf0 { TC_ACT_REDIRECT } else { TC_ACT_OK as u32 };
        assert_eq!(outcome.result, expected, "{packet:02x?}");
    }
    for flags in [SYN, SYN | ACK, FIN | ACK, RST, RST | ACK, 0] {
        let frame = [&link_header(Hook::Lan), tcp(true, Segment { flags, ..plain }).as_slice()].concat();
        assert_eq!(pair.hooks[0].1.test_run(&frame).unwrap().result, TC_ACT_OK as u32, "{flags:02x}");
    }
    assert_eq!(pair.carried, carried);
}

#[test]
fn a_new_state_of_the_world_ends_every_entry() {
    let mut pair = busy_connection(Hook::Lan);
    let plain = Segment {
        flags: ACK,
        sequence: CLIENT.wrapping_add(1),
        acknowledgement: REMOTE + 1,
        window: 9,
        payload: 1,
        ttl: 64,
        with_options: false,
    };
    let carried = pair.carried;
    pair.carry(true, &tcp(true, plain));
    assert_eq!(pair.carried, carried + 1);
    pair.helped.snapshot.generation = 2;
    pair.table().set_generation(2);
    pair.carry(true, &tcp(true, plain));
    assert_eq!(pair.carried, carried + 1);
    pair.assert_alike();
}

#[test]
fn data_sent_again_is_counted_by_programs_as_by_the_engine() {
    let mut pair = busy_connection(Hook::Lan);
    let carried = pair.carried;
    let plain = |sequence, acknowledgement, payload| Segment {
        flags: ACK,
        sequence,
        acknowledgement,
        window: 5_000,
        payload,
        ttl: 64,
        with_options: true,
    };
    let (client, remote) = (CLIENT.wrapping_add(1), REMOTE + 1);
    // New, new, again, again, in part; and a byte that asks for life, twice.
    for (offset, payload) in [(0, 100), (100, 100), (100, 100), (0, 100), (150, 100), (249, 1), (250, 1)] {
        pair.carry(true, &tcp(true, plain(client.wrapping_add(offset), remote, payload)));
    }
    for (offset, payload) in [(0, 1_000), (0, 1_000), (1_000, 0), (500, 500), (2_000, 200), (1_000, 1_000)] {
        pair.carry(false, &tcp(false, plain(remote + offset, client, payload)));
    }
    assert_eq!(pair.carried, carried + 13);
    pair.assert_alike();
    assert_eq!(pair.data(), [[7, 2], [5, 3]]);
}

#[derive(Clone, Copy, Debug)]
struct Step {
    outbound: bool,
    segment: Segment,
}

/// Mostly what two hosts would say, now and then what they would not.
fn step() -> impl Strategy<Value = (bool, u8, i64, i64, u16, usize, u8, bool)> {
    let flags =
        prop_oneof![20 => Just(ACK), 4 => Just(ACK | PSH), 1 => Just(FIN | ACK), 1 => Just(RST), 1 => Just(SYN)];
    let jump = prop_oneof![20 => Just(0_i64), 4 => -3_000..3_000_i64, 1 => -200_000..200_000_i64];
    let ttl = prop_oneof![20 => Just(64_u8), 1 => 0..3_u8];
    (any::<bool>(), flags, jump.clone(), jump, any::<u16>(), 0..1_300_usize, ttl, any::<bool>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn segments_come_out_alike(steps in prop::collection::vec(step(), 1..200), tun in any::<bool>()) {
        let mut pair = busy_connection(if tun { Hook::Tun } else { Hook::Lan });
        // What each side says next.
        let mut next = [CLIENT.wrapping_add(1), REMOTE + 1];
        for (outbound, flags, ahead, back, window, payload, ttl, with_options) in steps {
            let (own, other) = (usize::from(!outbound), usize::from(outbound));
            let segment = Segment {
                flags,
                sequence: next[own].wrapping_add(ahead as u32),
                acknowledgement: next[other].wrapping_add(back as u32),
                window,
                payload,
                ttl,
                with_options,
            };
            let step = Step { outbound, segment };
            let fate = pair.carry(step.outbound, &tcp(step.outbound, step.segment));
            if fate != Fate::Dropped && ahead == 0 && flags & (SYN | RST | FIN) == 0 {
                next[own] = next[own].wrapping_add(payload as u32);
            }
        }
        pair.assert_alike();
    }
}
