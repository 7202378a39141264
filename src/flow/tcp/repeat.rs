//! Data that is sent again, and whether the other side acknowledges any.
//!
//! A segment with data repeats what was sent when it ends at or before the highest byte that its sender has sent: it, or
//! something behind it, has passed here before. A single byte is no data here: it is how hosts ask whether the other
//! side still lives (RFC 9293 section 3.8.4) or has room again (section 3.8.6.1).

use super::TcpTracker;
use super::side::is_before;
use crate::flow::direction::Direction;
use crate::wire::TcpSegment;

/// Repetitions without an acknowledgement by which a side is stuck: one alone is every lost segment.
const STUCK: u8 = 2;
/// Bytes of the longest payload that may be a question instead of data.
pub const QUESTION_BYTES: u32 = 1;

/// The data of a segment, as a router in the middle sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// There is none.
    Empty,
    /// Some of it has not passed here before.
    New,
    /// All of it is at or before the highest byte that has.
    Again,
}

impl TcpTracker {
    /// What data a segment carries that has not been observed yet.
    #[must_use]
    pub fn payload(&self, direction: Direction, segment: &TcpSegment) -> Payload {
        let newest = self.pair(direction).0.end;
        match segment.payload_length {
            0 => Payload::Empty,
            1..=QUESTION_BYTES => Payload::New,
            _ if is_before(newest, segment.end()) => Payload::New,
            _ => Payload::Again,
        }
    }

    /// Whether a segment that has not been observed yet acknowledges more data. A byte more may be a FIN.
    #[must_use]
    pub fn is_heard(&self, direction: Direction, segment: &TcpSegment) -> bool {
        let silent_up_to = self.acknowledged(direction).wrapping_add(QUESTION_BYTES);
        segment.is_acknowledging() && is_before(silent_up_to, segment.acknowledgement)
    }

    /// The highest acknowledgement that the sender of `direction` has sent.
    #[must_use]
    pub fn acknowledged(&self, direction: Direction) -> u32 {
        self.pair(direction).0.acknowledged
    }

    /// The side that the caller watches has sent again. Whether it is stuck from now on: it has done so before, and nothing
    /// was acknowledged since.
    pub fn note_repetition(&mut self) -> bool {
        self.repetitions = self.repetitions.saturating_add(1);
        self.repetitions == STUCK
    }

    /// Data of that side was acknowledged.
    pub fn note_heard(&mut self) {
        self.repetitions = 0;
    }
}
