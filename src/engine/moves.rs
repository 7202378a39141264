//! Flows that were moved to another line and have not been answered there yet.

use std::collections::VecDeque;
use std::time::Duration;

use crate::flow::{FlowKey, Timestamp};
use crate::nat::Mapping;

/// How often they are looked at.
const REVIEW_INTERVAL: Duration = Duration::from_millis(500);
/// How long the far end has to answer what the host has sent over the new line: QUIC and WireGuard ask several times meanwhile.
const PATIENCE: Duration = Duration::from_secs(3);
/// Most of one worker. Those above stay moved, answered or not.
const MOST: usize = 4_096;

/// A flow that was moved.
#[derive(Clone, Copy, Debug)]
pub(super) struct Move {
    pub(super) key: FlowKey,
    pub(super) from: Mapping,
    pub(super) to: Mapping,
    /// Packets of the flow, out and in, when it was moved.
    pub(super) packets: (u64, u64),
    /// Since when an answer is waited for; `None`: the host has said nothing yet.
    pub(super) asked: Option<Timestamp>,
}

/// What is known of a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing yet.
    Open,
    /// The far end follows.
    Answered,
    /// It does not.
    Unanswered,
}

impl Move {
    /// Looks at what the flow has sent and received up to now.
    pub(super) fn review(&mut self, now: Timestamp, (out, back): (u64, u64)) -> Outcome {
        if back > self.packets.1 {
            return Outcome::Answered;
        }
        if out > self.packets.0 && now.since(*self.asked.get_or_insert(now)) >= PATIENCE {
            return Outcome::Unanswered;
        }
        Outcome::Open
    }
}

/// The moves of one worker.
#[derive(Debug, Default)]
pub(super) struct Moves {
    waiting: VecDeque<Move>,
    next_review: Timestamp,
}

impl Moves {
    /// When the next review is due; `None`: when something was moved, not before.
    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        (!self.waiting.is_empty()).then_some(self.next_review)
    }

    /// Remembers a move, if there is room.
    pub(super) fn add(&mut self, now: Timestamp, moved: Move) {
        if self.waiting.is_empty() {
            self.next_review = now + REVIEW_INTERVAL;
        }
        if self.waiting.len() < MOST {
            self.waiting.push_back(moved);
        }
    }

    /// All of them, if it is time to look at them; those still open are to be given back by [`Self::keep`].
    pub(super) fn due(&mut self, now: Timestamp) -> Option<VecDeque<Move>> {
        if self.waiting.is_empty() || now < self.next_review {
            return None;
        }
        self.next_review = now + REVIEW_INTERVAL;
        Some(std::mem::take(&mut self.waiting))
    }

    /// Takes back what is still open.
    pub(super) fn keep(&mut self, open: VecDeque<Move>) {
        self.waiting = open;
    }
}
