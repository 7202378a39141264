//! Whatever happens to lines, flows change theirs by the named ways only, and what is sent is sound.

mod world;

use std::collections::HashMap;
use std::time::Duration;

use potato::engine::{Egress, FailOverStep, FlowFilter};
use potato::flow::{Protocol, Tuple};
use potato::placement::{Availability, UplinkId};
use proptest::prelude::*;
use world::{MOVABLE, Sent, Size, World, datagram, external, host, remote, segment, source};

/// Something that happens in the world.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// A host sends a datagram, an echo request or a SYN.
    Send {
        protocol: Protocol,
        host: u8,
        port: u16,
        far: u16,
    },
    /// The far end answers what it has last seen; a SYN by SYN+ACK.
    Answer,
    /// The host goes on with what was last answered.
    GoOn,
    Wait(u64),
    Becomes(u8, Availability),
    /// The daemon has a line's flows ended.
    FailOver(u8),
    Review,
}

const LINES: u8 = 3;

fn event() -> impl Strategy<Value = Event> {
    let protocol = prop_oneof![Just(Protocol::Udp), Just(Protocol::Tcp), Just(Protocol::Icmp)];
    let far = prop_oneof![Just(MOVABLE.get()), Just(53_u16)];
    // Few hosts and ports, so that they meet.
    let send = (protocol, 0..3_u8, 4_000..4_003_u16, far).prop_map(|(protocol, host, port, far)| Event::Send {
        protocol,
        host,
        port,
        far,
    });
    let availability = prop_oneof![
        3 => Just(Availability::Usable),
        1 => Just(Availability::NoCarrier),
        1 => Just(Availability::Lame),
        1 => Just(Availability::Standby),
        1 => Just(Availability::Down),
    ];
    prop_oneof![
        12 => send,
        6 => Just(Event::Answer),
        4 => Just(Event::GoOn),
        4 => prop_oneof![0..2_000_u64, 3_000..5_000_u64, 100_000..400_000_u64].prop_map(Event::Wait),
        4 => (0..LINES, availability).prop_map(|(line, availability)| Event::Becomes(line, availability)),
        3 => (0..LINES).prop_map(Event::FailOver),
        2 => Just(Event::Review),
    ]
}

/// The line of every flow.
fn lines(world: &World) -> HashMap<Tuple, UplinkId> {
    let all = |worker: &potato::engine::Worker| {
        worker.list_flows(world.now, &world.snapshot, &FlowFilter::default(), 0).flows
    };
    world.workers.iter().flat_map(all).map(|flow| (flow.tuple, flow.uplink)).collect()
}

/// Flows that were moved or rescued so far.
fn moves(world: &World) -> u64 {
    let of = |worker: &potato::engine::Worker| {
        let counters = worker.counters();
        let line = |line| {
            counters.uplink(UplinkId(line)).flows_moved.value() + counters.uplink(UplinkId(line)).syn_rescued.value()
        };
        (0..LINES).map(line).sum::<u64>()
    };
    world.workers.iter().map(of).sum()
}

/// The flows that the counters know of.
fn counted(world: &World) -> u64 {
    world.workers.iter().map(|worker| worker.counters().flows.value()).sum()
}

fn fail_over(world: &mut World, line: u8) -> Vec<Sent> {
    let mut sent = Vec::new();
    for worker in 0..world.workers.len() {
        let mut step = FailOverStep::More(0);
        while let FailOverStep::More(cursor) = step {
            let World { now, snapshot, workers, out, .. } = world;
            step = workers[worker].fail_over(*now, snapshot, UplinkId(line), cursor, out).step;
            sent.extend(world.collect());
        }
    }
    sent
}

fn review(world: &mut World) -> Vec<Sent> {
    let World { now, snapshot, workers, out, .. } = world;
    workers.iter_mut().for_each(|worker| worker.review_moves(*now, snapshot, out));
    world.collect()
}

/// What the far end has last seen, and what the host has last heard.
#[derive(Default)]
struct Talk {
    seen: Option<(UplinkId, Vec<u8>)>,
    heard: Option<Vec<u8>>,
}

fn numbers(packet: &[u8]) -> (u32, u32) {
    let word = |at: usize| u32::from_be_bytes([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]]);
    (word(24), word(28))
}

impl Talk {
    fn happen(&mut self, world: &mut World, event: Event) -> Vec<Sent> {
        match event {
            Event::Send { protocol, host: number, port, far } => {
                world.host_sends(&datagram(protocol, (host(number), port), (remote(0), far), 64, b""))
            }
            Event::Answer => self.answer(world),
            Event::GoOn => self.go_on(world),
            Event::Wait(milliseconds) => {
                world.wait(Duration::from_millis(milliseconds));
                Vec::new()
            }
            Event::Becomes(line, availability) => {
                world.snapshot.uplinks[usize::from(line)].availability = availability;
                world.snapshot.generation += 1;
                Vec::new()
            }
            Event::FailOver(line) => fail_over(world, line),
            Event::Review => review(world),
        }
    }

    fn answer(&self, world: &mut World) -> Vec<Sent> {
        let Some((line, packet)) = &self.seen else { return Vec::new() };
        let (host, far) = (source(packet), world::destination(packet));
        let answer = match Protocol::from_number(packet[9]) {
            Some(Protocol::Tcp) => segment(far, host, (1_000, numbers(packet).0 + 1), true, &[]),
            Some(Protocol::Udp) => datagram(Protocol::Udp, far, host, 64, b""),
            _ => world::echo_reply(far.0, host, 64, b""),
        };
        world.internet_sends(*line, &answer)
    }

    fn go_on(&self, world: &mut World) -> Vec<Sent> {
        let Some(packet) = &self.heard else { return Vec::new() };
        let (far, host) = (source(packet), world::destination(packet));
        match Protocol::from_number(packet[9]) {
            Some(Protocol::Tcp) => {
                let (sequence, acknowledgement) = numbers(packet);
                world.host_sends(&segment(host, far, (acknowledgement, sequence + 1), false, &[]))
            }
            Some(Protocol::Udp) => world.host_sends(&datagram(Protocol::Udp, host, far, 64, b"")),
            _ => Vec::new(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn flows_change_their_line_by_the_named_ways_only(
        events in proptest::collection::vec(event(), 1..200), workers in 1..3_u8,
    ) {
        let mut world = World::new(Size { workers, uplinks: LINES, ..Size::default() });
        let mut talk = Talk::default();
        for event in events {
            let (before, moves_before) = (lines(&world), moves(&world));
            let sent = talk.happen(&mut world, event);
            let after = lines(&world);
            let changed = before.iter().filter(|(flow, line)| after.get(flow).is_some_and(|now| now != *line)).count();
            prop_assert!(changed as u64 <= moves(&world) - moves_before, "{event:?} moved {changed} flows");
            prop_assert!(after.len() as u64 <= counted(&world), "a flow that is not counted");
            for Sent { egress, bytes, .. } in sent {
                prop_assert!(etherparse::SlicedPacket::from_ip(&bytes).is_ok());
                match egress {
                    Egress::Uplink(line) => {
                        prop_assert_eq!(source(&bytes).0, external(line.0), "a private address got out");
                        talk.seen = Some((line, bytes));
                    }
                    Egress::Lan(_) => talk.heard = Some(bytes),
                }
            }
        }
        // In the end nothing is left, whatever was told to whom.
        (0..3).for_each(|_| world.wait(Duration::from_secs(8_000)));
        review(&mut world);
        prop_assert_eq!(counted(&world), 0);
    }
}
