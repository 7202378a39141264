//! Two simulated TCP endpoints talk through a tracker over a network that loses, delays, repeats and reorders.
//!
//! The endpoints keep to RFC 9293 where it shows on the wire: windows that open, close and are probed, data sent again
//! in other pieces, out-of-order data kept and acknowledged later, keepalives, SYN and FIN sent again. Whatever they
//! send must be forwarded, and a connection that both have closed must end in `TimeWait`.

use std::collections::VecDeque;

use proptest::prelude::*;
use proptest::test_runner::TestRng;

use super::*;

/// Longest that a segment is overtaken, in segments.
const REORDERING: usize = 5;

struct Endpoint {
    /// Next byte of the script to be sent, counted from the SYN as 0.
    next: u32,
    unacknowledged: u32,
    /// The highest that was ever sent.
    sent: u32,
    script: u32,
    first: u32,
    first_of_peer: u32,
    /// The next byte that it waits for, from the peer's SYN as 0; 0: no SYN seen.
    expected: u32,
    early: Vec<(u32, u32)>,
    peer_closes_at: Option<u32>,
    allowed: u32,
    scale: Option<u8>,
    scale_of_peer: Option<u8>,
    buffer: u32,
    unread: u32,
    opener: bool,
    owes_acknowledgement: bool,
}

impl Endpoint {
    fn new(first: u32, script: u32, buffer: u32, scale: Option<u8>, opener: bool) -> Self {
        Self {
            next: 0,
            unacknowledged: 0,
            sent: 0,
            script,
            first,
            first_of_peer: 0,
            expected: 0,
            early: Vec::new(),
            peer_closes_at: None,
            allowed: 0,
            scale,
            scale_of_peer: None,
            buffer,
            unread: 0,
            opener,
            owes_acknowledgement: false,
        }
    }

    /// Behind SYN, script and FIN.
    fn end(&self) -> u32 {
        self.script + 2
    }

    fn is_done(&self) -> bool {
        self.unacknowledged == self.end() && self.peer_closes_at == Some(self.expected)
    }

    fn segment(&self, from: u32, flags: TcpFlags, payload_length: u32) -> TcpSegment {
        let is_syn = flags.contains(TcpFlags::SYN);
        let shift = match (self.scale, self.scale_of_peer) {
            (Some(scale), Some(_)) if !is_syn => scale,
            _ => 0,
        };
        let answers = self.expected > 0;
        TcpSegment {
            sequence: self.first.wrapping_add(from),
            acknowledgement: if answers { self.first_of_peer.wrapping_add(self.expected) } else { 0 },
            window: u16::try_from((self.buffer - self.unread) >> shift).unwrap_or(u16::MAX),
            flags: if answers { flags.union(TcpFlags::ACK) } else { flags },
            payload_length,
            window_scale: self.scale.filter(|_| is_syn && (!answers || self.scale_of_peer.is_some())),
            sack_highest: self.early.iter().map(|&(_, end)| self.first_of_peer.wrapping_add(end)).max(),
        }
    }

    /// Data from `from` on, at most `most` bytes, with FIN when it reaches the end of the script.
    fn data(&mut self, from: u32, most: u32) -> TcpSegment {
        let room = self.allowed.saturating_sub(from);
        let length = (self.script + 1).saturating_sub(from).min(most).min(room);
        let closes = from + length == self.script + 1 && room > length;
        let flags = if closes { TcpFlags::FIN } else { TcpFlags(0) };
        self.next = self.next.max(from + length + u32::from(closes));
        self.sent = self.sent.max(self.next);
        self.segment(from, flags, length)
    }

    /// One thing that it might do now.
    fn act(&mut self, dice: &mut impl FnMut(u32) -> u32) -> Option<TcpSegment> {
        self.unread -= dice(self.unread + 1);
        if self.unacknowledged == 0 {
            let may = self.opener || self.expected > 0;
            self.sent = self.sent.max(1);
            self.next = self.next.max(1);
            return may.then(|| self.segment(0, TcpFlags::SYN, 0));
        }
        if self.expected == 0 {
            return None;
        }
        let longest = [1_460, 9_000][dice(2) as usize];
        let size = 1 + dice(longest);
        match dice(8) {
            0 if self.unacknowledged < self.sent => Some(self.data(self.unacknowledged, size)),
            // Keepalive with and without a byte; also the window probe of some stacks.
            1 if self.next > 1 && self.next < self.end() => {
                let length = dice(2).min(self.next - 2);
                Some(self.segment(self.next - 1, TcpFlags(0), length))
            }
            // Window probe: the byte behind the closed window.
            2 if self.allowed <= self.next && self.next <= self.script => {
                let probe = self.segment(self.next, TcpFlags(0), 1);
                self.sent = self.sent.max(self.next + 1);
                Some(probe)
            }
            3..=5 if self.next < self.end() && self.allowed > self.next => Some(self.data(self.next, size)),
            _ if self.owes_acknowledgement || dice(20) == 0 => {
                self.owes_acknowledgement = false;
                Some(self.segment(self.next, TcpFlags(0), 0))
            }
            _ => None,
        }
    }

    fn receive(&mut self, segment: &TcpSegment) {
        if segment.is_syn() && self.expected == 0 {
            self.first_of_peer = segment.sequence;
            self.scale_of_peer = segment.window_scale;
            self.expected = 1;
            self.allowed = 1 + u32::from(segment.window);
        }
        if self.expected == 0 {
            return;
        }
        self.owes_acknowledgement = true;
        if segment.is_acknowledging() {
            self.take_acknowledgement(segment);
        }
        if !segment.is_syn() {
            self.take_data(segment);
        }
    }

    fn take_acknowledgement(&mut self, segment: &TcpSegment) {
        let acknowledged = segment.acknowledgement.wrapping_sub(self.first);
        assert!(acknowledged <= self.sent, "the simulation is right");
        let shift = match (self.scale, self.scale_of_peer) {
            (Some(_), Some(scale)) if !segment.is_syn() => scale,
            _ => 0,
        };
        let window = u32::from(segment.window) << shift;
        if acknowledged >= self.unacknowledged {
            self.unacknowledged = acknowledged;
            self.next = self.next.max(acknowledged);
            self.allowed = acknowledged + window;
        }
    }

    fn take_data(&mut self, segment: &TcpSegment) {
        let from = segment.sequence.wrapping_sub(self.first_of_peer);
        let room = self.expected + self.buffer - self.unread;
        let end = (from.wrapping_add(segment.payload_length)).min(room);
        if from > room || end < self.expected {
            return;
        }
        if segment.is_fin() && from + segment.payload_length <= room {
            self.peer_closes_at = Some(from + segment.payload_length + 1);
        }
        self.early.push((from, end));
        while let Some(at) = self.early.iter().position(|&(from, _)| from <= self.expected) {
            let (_, end) = self.early.swap_remove(at);
            self.unread += end.saturating_sub(self.expected);
            self.expected = self.expected.max(end);
        }
        if self.peer_closes_at == Some(self.expected + 1) {
            self.expected += 1;
        }
    }
}

/// A path on which segments are lost, repeated and overtaken.
#[derive(Default)]
struct Path {
    segments: VecDeque<(TcpSegment, usize)>,
}

impl Path {
    fn send(&mut self, segment: TcpSegment, loss_percent: u32, dice: &mut impl FnMut(u32) -> u32) {
        if dice(100) >= loss_percent {
            self.segments.push_back((segment, 0));
        }
        if dice(100) < 5 {
            self.segments.push_back((segment, 0));
        }
    }

    /// The next segment to arrive, and how often it was overtaken.
    fn take(&mut self, dice: &mut impl FnMut(u32) -> u32) -> Option<(TcpSegment, usize)> {
        let overdue = self.segments.front().is_some_and(|&(_, overtaken)| overtaken >= REORDERING);
        let reach = self.segments.len().min(1 + REORDERING) as u32;
        let at = if overdue || reach == 0 || dice(3) > 0 { 0 } else { dice(reach) as usize };
        self.segments.iter_mut().take(at).for_each(|(_, overtaken)| *overtaken += 1);
        self.segments.remove(at)
    }
}

struct Network {
    tracker: Option<TcpTracker>,
    endpoints: [Endpoint; 2],
    /// From each endpoint to the router.
    before: [Path; 2],
    /// From the router, in each direction.
    behind: [Path; 2],
    loss_percent: u32,
}

impl Network {
    fn step(&mut self, dice: &mut impl FnMut(u32) -> u32) -> Result<(), TestCaseError> {
        let direction = [Direction::Original, Direction::Reply][dice(2) as usize];
        let (from, to) = (direction.index(), direction.opposite().index());
        match dice(3) {
            0 => {
                if let Some(segment) = self.endpoints[from].act(dice) {
                    self.before[from].send(segment, self.loss_percent, dice);
                }
            }
            1 => {
                if let Some((segment, overtaken)) = self.before[from].take(dice)
                    && self.pass(direction, segment, overtaken)?
                {
                    self.behind[from].send(segment, self.loss_percent, dice);
                }
            }
            _ => {
                if let Some((segment, _)) = self.behind[from].take(dice) {
                    self.endpoints[to].receive(&segment);
                }
            }
        }
        Ok(())
    }

    /// Whether the router forwards it; fails where it should and does not.
    fn pass(&mut self, direction: Direction, segment: TcpSegment, overtaken: usize) -> Result<bool, TestCaseError> {
        let Some(tracker) = &mut self.tracker else {
            self.tracker = TcpTracker::open(&segment, false);
            prop_assert!(self.tracker.is_some(), "{segment:?} opens nothing");
            return Ok(true);
        };
        let before = *tracker;
        let verdict = tracker.observe(direction, &segment);
        let (sender, receiver) = before.pair(direction);
        let is_old =
            is_before(segment.acknowledgement, sender.acknowledged) || !is_before(receiver.acknowledged, segment.end());
        if overtaken > 0 && is_old && verdict == TcpVerdict::OutOfWindow {
            return Ok(false);
        }
        prop_assert_eq!(verdict, TcpVerdict::Forward, "{:?} {:?} after {:#?}", direction, segment, before);
        Ok(true)
    }

    fn run(&mut self, mut random: TestRng) -> Result<(), TestCaseError> {
        let mut dice = |sides: u32| if sides == 0 { 0 } else { random.random_range(0..sides) };
        for _ in 0..200_000 {
            // The opener goes first, or the flow's original direction would be the other.
            if self.tracker.is_none() {
                while self.before[0].segments.is_empty() {
                    let segment = self.endpoints[0].act(&mut dice);
                    segment.into_iter().for_each(|segment| self.before[0].segments.push_back((segment, 0)));
                }
                let segment = self.before[0].segments.remove(0).map(|(segment, _)| segment);
                let segment = segment.unwrap_or_default();
                self.pass(Direction::Original, segment, 0)?;
                self.behind[0].send(segment, self.loss_percent, &mut dice);
            }
            self.step(&mut dice)?;
            if self.endpoints.iter().all(Endpoint::is_done) {
                return Ok(());
            }
        }
        prop_assert!(false, "the connection never ended");
        Ok(())
    }
}

fn endpoint(opener: bool) -> impl Strategy<Value = Endpoint> {
    let first = prop_oneof![Just(0), Just(u32::MAX), Just(u32::MAX - 20_000), Just(0x7fff_ff00), any::<u32>()];
    let scale = prop_oneof![Just(None), (0..=8_u8).prop_map(Some)];
    (first, 0..200_000_u32, 500..200_000_u32, scale)
        .prop_map(move |(first, script, buffer, scale)| Endpoint::new(first, script, buffer, scale, opener))
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("first", &self.first)
            .field("script", &self.script)
            .field("buffer", &self.buffer)
            .field("scale", &self.scale)
            .finish_non_exhaustive()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn whatever_two_real_endpoints_send_is_forwarded(
        client in endpoint(true),
        server in any::<bool>().prop_flat_map(endpoint),
        loss_percent in 0..20_u32,
        random in any::<[u8; 32]>(),
    ) {
        let mut network = Network {
            tracker: None,
            endpoints: [client, server],
            before: Default::default(),
            behind: Default::default(),
            loss_percent,
        };
        let random = TestRng::from_seed(proptest::test_runner::RngAlgorithm::ChaCha, &random);
        network.run(random)?;
        prop_assert_eq!(network.tracker.map(|tracker| tracker.state()), Some(TcpState::TimeWait));
    }
}
