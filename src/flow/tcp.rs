//! The life of a TCP connection as a router in its middle sees it (RFC 7857 figure 1, RFC 5382), with window tracking.
//!
//! ```text
//!            SYN            SYN+ACK              ACK               FIN            FIN          last ACK
//!  Fresh ---------> SynSent -------> SynReceived -----> Established ---> HalfClosed ---> Closing -------> TimeWait
//!                      | SYN from the other side  ^ both have answered
//!                      +----> SimultaneousOpen ---+       any of them: RST at the exact sequence number ---> Reset
//!                                                         any of them: ended by us ---> Aborted
//! ```
//!
//! A segment moves the state only when it fits the windows that both sides have offered (see `side`), so nobody who
//! does not see the connection can close it or prolong it. Three cases need more care than that:
//!
//! - **RST** counts only at exactly the sequence number that its receiver waits for (RFC 5961, RFC 7857 section 2).
//!   Elsewhere in the window it is forwarded, for its receiver to challenge, and changes nothing. After a reset the flow
//!   is kept a while, and data revives it.
//! - **SYN amid a connection** is judged by its answer: the receiver alone knows whether its old connection still
//!   lives. A challenge ACK leaves the flow as it is; SYN+ACK starts it afresh; RST ends it. A connection that is over
//!   is opened again at once.
//! - **A flow picked up midstream** (its start was not seen) is taken to use the largest window scale.
//!
//! The tracker never drops what a real endpoint sends in response to what it received, however it was delayed,
//! repeated or merged on the way. It reads no checksum and holds no time: the caller restarts [`TcpTracker::timeout`]
//! with every segment that is forwarded.

mod repeat;
mod segment;
mod side;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::time::Duration;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::direction::Direction;
use crate::wire::{TcpFlags, TcpSegment};
pub use repeat::{Payload, QUESTION_BYTES};
use side::{LARGEST_WINDOW, Side, is_before};
pub use side::{MORE_PAST, Windows};

/// RFC 5382 REQ-5: an established connection is kept for at least 2 hours and 4 minutes.
const ESTABLISHED: Duration = Duration::from_secs(7_440);
/// RFC 5382 REQ-5: one that opens or closes, for at least 4 minutes.
const TRANSITORY: Duration = Duration::from_secs(240);
/// RFC 7857 section 2.2: one that was reset, for 4 minutes.
const AFTER_RESET: Duration = Duration::from_secs(240);
/// One that we have ended is remembered, to tell a host that did not hear it: for about as long as hosts send again what
/// nobody acknowledges (Linux gives up after 15 minutes).
const AFTER_ABORT: Duration = Duration::from_secs(900);

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum TcpState {
    /// No segment yet. Leaves by: SYN of the original direction -> `SynSent`.
    Fresh = 0,
    /// SYN seen. Leaves by: SYN+ACK -> `SynReceived`; SYN from the other side -> `SimultaneousOpen`; RST -> `Reset`.
    SynSent = 1,
    /// SYN seen from both sides. Leaves by: acknowledged by both -> `Established`; RST -> `Reset`.
    SimultaneousOpen = 2,
    /// SYN and SYN+ACK seen. Leaves by: ACK -> `Established`; RST -> `Reset`.
    SynReceived = 3,
    /// Picked up midstream, not answered yet. Leaves by: a fitting answer -> `Established`; RST -> `Reset`.
    PickedUp = 4,
    /// Open both ways. Leaves by: FIN -> `HalfClosed`; RST -> `Reset`.
    Established = 5,
    /// One side has said FIN, the other may send on for as long as it likes. Leaves by: FIN -> `Closing`; RST -> `Reset`.
    HalfClosed = 6,
    /// Both sides have said FIN. Leaves by: both acknowledged -> `TimeWait`; RST -> `Reset`.
    Closing = 7,
    /// Over. Leaves by: a new SYN -> the caller makes a new flow; RST -> `Reset`.
    TimeWait = 8,
    /// Reset. Leaves by: data -> the state before; a SYN -> the caller makes a new flow.
    Reset = 9,
    /// We have ended it, for its line is lost. Leaves by: a new SYN -> the caller makes a new flow.
    Aborted = 10,
}

impl TcpState {
    /// All of them, at their number.
    const ALL: [Self; 11] = [
        Self::Fresh,
        Self::SynSent,
        Self::SimultaneousOpen,
        Self::SynReceived,
        Self::PickedUp,
        Self::Established,
        Self::HalfClosed,
        Self::Closing,
        Self::TimeWait,
        Self::Reset,
        Self::Aborted,
    ];

    /// How long the flow is remembered after its last segment.
    #[must_use]
    pub const fn timeout(self) -> Duration {
        match self {
            Self::Established | Self::HalfClosed => ESTABLISHED,
            Self::Reset => AFTER_RESET,
            Self::Aborted => AFTER_ABORT,
            _ => TRANSITORY,
        }
    }
}

/// What becomes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpVerdict {
    /// It belongs to the connection.
    Forward,
    /// A SYN on a connection that is over. The tracker is unchanged: the caller makes a new flow, or asks its filter.
    Reopen,
    /// No real endpoint can have sent it now.
    OutOfWindow,
    /// It makes no sense in this state, or its flags make none at all.
    BadState,
    /// We have ended the connection; its sender does not know.
    Aborted,
}

/// What a reset must say for one end of a connection to believe it (RFC 5961 section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResetNumbers {
    /// What that end expects next, by the last acknowledgement that it has sent.
    pub sequence: u32,
    /// What it expects next if all that was sent to it has arrived: it may not have acknowledged that yet.
    pub newest_sequence: u32,
    /// What it has sent up to now.
    pub acknowledgement: u32,
}

/// The tracker of one connection: plain data of fixed size, to lie in a flow record. All zero is a fresh one.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct TcpTracker {
    sides: [Side; 2],
    second_syn: SecondSyn,
    state: u8,
    picked_up: u8,
    /// What it knows of windows is old: see [`TcpTracker::forget_windows`].
    adrift: u8,
    /// How often the side that the caller watches has sent again since data of it was acknowledged: see `repeat`.
    repetitions: u8,
}

/// A SYN that came amid the connection and waits for its answer.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
struct SecondSyn {
    sequence: u32,
    window: u16,
    payload_length: u16,
    /// [`SecondSyn::NO_SCALE`]: it carried none.
    scale: u8,
    /// 0: there is no such SYN; else who answers it: 1 the original direction, 2 the reply direction.
    answered_by: u8,
    reserved: [u8; 2],
}

impl SecondSyn {
    const NO_SCALE: u8 = u8::MAX;

    fn of(segment: &TcpSegment, direction: Direction) -> Self {
        Self {
            sequence: segment.sequence,
            window: segment.window,
            payload_length: u16::try_from(segment.payload_length).unwrap_or(u16::MAX),
            scale: segment.offered_scale().unwrap_or(Self::NO_SCALE),
            answered_by: Self::answerer(direction.opposite()),
            reserved: [0; 2],
        }
    }

    const fn answerer(direction: Direction) -> u8 {
        direction as u8 + 1
    }

    fn segment(self) -> TcpSegment {
        TcpSegment {
            sequence: self.sequence,
            window: self.window,
            flags: TcpFlags::SYN,
            payload_length: self.payload_length.into(),
            window_scale: (self.scale != Self::NO_SCALE).then_some(self.scale),
            ..TcpSegment::default()
        }
    }

    fn is_answered_by(self, direction: Direction, segment: &TcpSegment) -> bool {
        self.answered_by == Self::answerer(direction)
            && segment.is_acknowledging()
            && acknowledges_syn(segment, self.sequence.wrapping_add(1), self.segment().end())
    }
}

/// Whether it acknowledges a SYN, and of the data that came with it any part.
fn acknowledges_syn(segment: &TcpSegment, first: u32, end: u32) -> bool {
    !is_before(segment.acknowledgement, first) && !is_before(end, segment.acknowledgement)
}

impl TcpTracker {
    /// Starts with the first segment of a flow: a SYN, or, when `picked_up` allows it, any other that is not a reset and
    /// acknowledges something. `None`: no connection can start with this.
    #[must_use]
    pub fn open(segment: &TcpSegment, picked_up: bool) -> Option<Self> {
        let flags = segment.flags;
        if !flags.is_plausible() || segment.is_reset() {
            None
        } else if !segment.is_acknowledging() {
            Some(Self::of_syn(segment))
        } else {
            (picked_up && !segment.is_syn()).then(|| Self::of_stranger(Direction::Original, segment))
        }
    }

    fn of_syn(segment: &TcpSegment) -> Self {
        let mut tracker = Self::default();
        tracker.sides[Direction::Original.index()] = Side::of_syn(segment, 0);
        tracker.sides[Direction::Reply.index()].acknowledged = segment.sequence.wrapping_add(1);
        tracker.enter(TcpState::SynSent);
        tracker
    }

    fn of_stranger(direction: Direction, segment: &TcpSegment) -> Self {
        let mut tracker = Self { picked_up: 1, ..Self::default() };
        let (ours, theirs) = (segment.sequence, segment.acknowledgement);
        let (sender, receiver) = tracker.pair_mut(direction);
        *sender = Side::of_stranger(ours, theirs, segment.window);
        *receiver = Side::of_stranger(theirs, ours.wrapping_sub(LARGEST_WINDOW), u16::MAX);
        sender.sent(segment, receiver, true);
        tracker.enter(TcpState::PickedUp);
        tracker
    }

    /// Judges the next segment of the flow and follows it.
    pub fn observe(&mut self, direction: Direction, segment: &TcpSegment) -> TcpVerdict {
        if !segment.flags.is_plausible() {
            TcpVerdict::BadState
        } else if self.adrift != 0 && !segment.is_syn() {
            self.observe_adrift(direction, segment)
        } else if segment.is_reset() {
            self.observe_reset(direction, segment)
        } else if !segment.is_syn() {
            self.observe_ack(direction, segment)
        } else if segment.is_acknowledging() {
            self.observe_syn_ack(direction, segment)
        } else {
            self.observe_syn(direction, segment)
        }
    }

    /// The windows of both sides, original direction first, for somebody else who forwards plain segments (ACK, with or
    /// without data) for a while. `None` unless it is open both ways, seen from its start, and nothing else is going on.
    #[must_use]
    pub fn windows(&self) -> Option<[Windows; 2]> {
        let is_plain = self.state() == TcpState::Established
            && self.picked_up == 0
            && self.adrift == 0
            && self.second_syn == SecondSyn::default();
        let [original, reply] = &self.sides;
        is_plain.then(|| [original.windows(reply), reply.windows(original)])
    }

    /// Takes note of what the sender of `direction` has said while somebody else forwarded for it.
    pub fn catch_up(&mut self, direction: Direction, seen: Windows) {
        let (sender, receiver) = self.pair_mut(direction);
        sender.catch_up(seen, receiver);
    }

    /// To be called when somebody else has forwarded and cannot say what: the next segment tells where the connection is.
    pub fn forget_windows(&mut self) {
        self.adrift = 1;
    }

    /// Ends the connection, and says how to tell the end that sends in `direction`.
    pub fn abort(&mut self, direction: Direction) -> ResetNumbers {
        let (receiver, peer) = self.pair(direction);
        let numbers =
            ResetNumbers { sequence: receiver.acknowledged, newest_sequence: peer.end, acknowledgement: receiver.end };
        (self.adrift, self.second_syn) = (0, SecondSyn::default());
        self.enter(TcpState::Aborted);
        numbers
    }

    /// Whether this SYN is that of the connection, sent once more because nobody has answered.
    #[must_use]
    pub fn is_unanswered_syn(&self, segment: &TcpSegment) -> bool {
        self.state() == TcpState::SynSent
            && segment.is_syn()
            && !segment.is_acknowledging()
            && self.is_first_syn(segment)
    }

    /// Where the connection is. A record that holds no state that we know counts as reset.
    #[must_use]
    pub fn state(&self) -> TcpState {
        TcpState::ALL.get(usize::from(self.state)).copied().unwrap_or(TcpState::Reset)
    }

    /// How long the flow is to be remembered if no further segment comes.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.state().timeout()
    }

    /// A reset tells nothing, so it is left to its receiver to judge; anything else starts the tracking anew.
    fn observe_adrift(&mut self, direction: Direction, segment: &TcpSegment) -> TcpVerdict {
        if segment.is_acknowledging() && !segment.is_reset() {
            *self = Self::of_stranger(direction, segment);
        }
        TcpVerdict::Forward
    }

    fn observe_syn(&mut self, direction: Direction, segment: &TcpSegment) -> TcpVerdict {
        match (self.state(), direction) {
            (TcpState::Fresh, Direction::Original) => *self = Self::of_syn(segment),
            (TcpState::Fresh, Direction::Reply) => return TcpVerdict::BadState,
            (TcpState::SynSent, Direction::Original) if self.is_first_syn(segment) => {
                self.sides[direction.index()].repeat_syn(segment);
            }
            (TcpState::SynSent, Direction::Reply) => self.cross(segment),
            (TcpState::Reset, _) | (TcpState::PickedUp, Direction::Original) => return TcpVerdict::Reopen,
            (TcpState::Aborted, _) => return TcpVerdict::Aborted,
            // RFC 6191: a new connection counts on from the old one. Anything before may be a late duplicate.
            (TcpState::TimeWait, _) if !is_before(segment.sequence, self.sides[direction.index()].end) => {
                return TcpVerdict::Reopen;
            }
            _ => self.second_syn = SecondSyn::of(segment, direction),
        }
        TcpVerdict::Forward
    }

    fn is_first_syn(&self, segment: &TcpSegment) -> bool {
        segment.sequence.wrapping_add(1) == self.sides[Direction::Reply.index()].acknowledged
    }

    /// RFC 5382 REQ-2: a SYN meets a SYN.
    fn cross(&mut self, segment: &TcpSegment) {
        let [original, reply] = &mut self.sides;
        *reply = Side::of_syn(segment, reply.acknowledged);
        original.acknowledged = segment.sequence.wrapping_add(1);
        original.agree(reply);
        self.enter(TcpState::SimultaneousOpen);
    }

    fn observe_syn_ack(&mut self, direction: Direction, segment: &TcpSegment) -> TcpVerdict {
        match (self.state(), direction) {
            (TcpState::Fresh, _) | (TcpState::SynSent, Direction::Original) => return TcpVerdict::BadState,
            (TcpState::Aborted, _) => return TcpVerdict::Aborted,
            (TcpState::SynSent, Direction::Reply) if self.answers_first_syn(direction, segment) => {
                self.answer(direction, segment);
            }
            (TcpState::SynSent, _) if !self.answers_second_syn(direction, segment) => return TcpVerdict::OutOfWindow,
            (state, _) if state != TcpState::SynSent && self.fits(direction, segment) => {
                self.follow(direction, segment);
            }
            _ if self.answers_second_syn(direction, segment) => self.start_afresh(direction, segment),
            _ => return TcpVerdict::OutOfWindow,
        }
        TcpVerdict::Forward
    }

    /// Whether the sender's peer still waits for the answer to its SYN, and this acknowledges it.
    fn answers_first_syn(&self, direction: Direction, segment: &TcpSegment) -> bool {
        let (sender, receiver) = self.pair(direction);
        segment.is_acknowledging()
            && !receiver.has(Side::ANSWERED)
            && acknowledges_syn(segment, sender.acknowledged, receiver.end)
    }

    fn answers_second_syn(&self, direction: Direction, segment: &TcpSegment) -> bool {
        self.second_syn.is_answered_by(direction, segment)
    }

    /// The SYN of the other side is answered by SYN+ACK.
    fn answer(&mut self, direction: Direction, segment: &TcpSegment) {
        let (sender, receiver) = self.pair_mut(direction);
        *sender = Side::of_syn(segment, sender.acknowledged);
        receiver.acknowledged = segment.sequence.wrapping_add(1);
        receiver.agree(sender);
        sender.sent(segment, receiver, false);
        self.enter(TcpState::SynReceived);
    }

    /// The answer to a SYN amid the connection says that it counts.
    fn start_afresh(&mut self, direction: Direction, segment: &TcpSegment) {
        let syn = self.second_syn.segment();
        let (sender, receiver) = self.pair_mut(direction);
        *receiver = Side::of_syn(&syn, 0);
        sender.acknowledged = syn.sequence.wrapping_add(1);
        self.answer(direction, segment);
        self.second_syn = SecondSyn::default();
        self.picked_up = 0;
    }

    fn observe_ack(&mut self, direction: Direction, segment: &TcpSegment) -> TcpVerdict {
        match (self.state(), direction) {
            (TcpState::Fresh, _) | (TcpState::SynSent, Direction::Original) => TcpVerdict::BadState,
            (TcpState::Aborted, _) => TcpVerdict::Aborted,
            // RFC 9293 section 3.5.1: the answerer still has an old connection; the opener will reset that.
            (TcpState::SynSent, Direction::Reply) => TcpVerdict::Forward,
            _ if self.fits(direction, segment) => {
                self.follow(direction, segment);
                TcpVerdict::Forward
            }
            _ => TcpVerdict::OutOfWindow,
        }
    }

    fn observe_reset(&mut self, direction: Direction, segment: &TcpSegment) -> TcpVerdict {
        let (sender, receiver) = self.pair(direction);
        let is_exact = segment.sequence == sender.end || segment.sequence == receiver.acknowledged;
        let refuses = self.answers_first_syn(direction, segment) || self.answers_second_syn(direction, segment);
        match (self.state(), direction) {
            (TcpState::Fresh, _) => return TcpVerdict::BadState,
            (TcpState::Aborted, _) => return TcpVerdict::Aborted,
            // RFC 9293 section 3.10.7.3: a refusal acknowledges the SYN.
            (TcpState::SynSent, Direction::Reply) if !refuses => return TcpVerdict::OutOfWindow,
            // RFC 9293 section 3.5.1: the opener resets an old connection of the answerer, and goes on opening.
            (TcpState::SynSent, Direction::Original) if !is_exact => return TcpVerdict::Forward,
            _ if is_exact || refuses => {}
            // RFC 5961 section 3.2: the receiver will challenge it.
            _ if sender.may_send(segment, receiver) => return TcpVerdict::Forward,
            _ => return TcpVerdict::OutOfWindow,
        }
        self.enter(TcpState::Reset);
        TcpVerdict::Forward
    }

    fn fits(&self, direction: Direction, segment: &TcpSegment) -> bool {
        let (sender, receiver) = self.pair(direction);
        sender.may_send(segment, receiver) && sender.may_acknowledge(segment, receiver, self.picked_up != 0)
    }

    /// Takes note of a segment that fits.
    fn follow(&mut self, direction: Direction, segment: &TcpSegment) {
        let picked_up = self.picked_up != 0;
        let (sender, receiver) = self.pair_mut(direction);
        sender.sent(segment, receiver, picked_up);
        // RFC 7857 section 2.2: only data revives; late acknowledgements do not.
        if self.state() != TcpState::Reset || segment.payload_length > 0 {
            self.enter(self.state_of_sides());
        }
    }

    fn state_of_sides(&self) -> TcpState {
        let both = |marks| self.sides.iter().all(|side| side.has(marks));
        if !both(Side::ANSWERED) {
            return if self.state() == TcpState::Reset { TcpState::SynReceived } else { self.state() };
        }
        if both(Side::FIN_ACKNOWLEDGED) {
            TcpState::TimeWait
        } else if both(Side::FIN) {
            TcpState::Closing
        } else if self.sides.iter().any(|side| side.has(Side::FIN)) {
            TcpState::HalfClosed
        } else {
            TcpState::Established
        }
    }

    fn enter(&mut self, state: TcpState) {
        self.state = state as u8;
    }

    /// Sender and receiver of what goes in `direction`.
    fn pair(&self, direction: Direction) -> (&Side, &Side) {
        (&self.sides[direction.index()], &self.sides[direction.opposite().index()])
    }

    fn pair_mut(&mut self, direction: Direction) -> (&mut Side, &mut Side) {
        let [original, reply] = &mut self.sides;
        match direction {
            Direction::Original => (original, reply),
            Direction::Reply => (reply, original),
        }
    }
}
