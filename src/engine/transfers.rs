//! Flows in the middle of a transfer: what a line is busy with, as opposed to what it merely remembers.
//!
//! Theory of operation. Most flows that a line has carry nothing at the moment, so their number says little about how soon a
//! new one would be done. A flow counts as a transfer from its first packet on (TCP, QUIC), or once it has had a number of
//! packets (others), for as long as it moves bytes: each is looked at four times a second, and one that has hardly moved any no longer counts.
//! So does a connection whose both sides have said FIN, at once. One that goes on counts again.
//!
//! The numbers stand in [`Load`](crate::placement::Load), where every worker sees those of all. Transfers beyond [`MOST`] of one
//! worker do not count. A transfer also tells which flows of class isolated are bulky ([`crate::placement::bulky`]).

use std::collections::VecDeque;
use std::time::Duration;

use crate::flow::{FlowId, Timestamp};
use crate::placement::is_bulky;

/// How often each is looked at: the shortcut's news are younger.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// What a transfer moves at least from one look to the next: three packets, as on a line of 0.15 Mbit/s.
const LEAST_BYTES: u64 = 4_500;
/// A flow that is none has this many packets until it is looked at.
const PACKETS: u64 = 32;
/// Most of one worker.
const MOST: usize = 16_384;

/// A transfer, and what it had moved at the last look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) id: FlowId,
    bytes: u64,
    next: Timestamp,
    /// When it began, and what the flow had moved by then.
    began: (Timestamp, u64),
}

impl Look {
    /// Whether a flow that has moved `bytes` by now goes on.
    pub(super) fn has_moved(&self, bytes: u64) -> bool {
        bytes.saturating_sub(self.bytes) >= LEAST_BYTES
    }

    /// Whether a flow that has moved `bytes` by now is bulky, by what it has moved since the transfer began.
    pub(super) fn is_bulky(&self, now: Timestamp, bytes: u64) -> bool {
        let (began, before) = self.began;
        is_bulky(bytes.saturating_sub(before), now.since(began))
    }
}

/// The transfers of one worker, those that are due first in front.
#[derive(Debug)]
pub(super) struct Transfers {
    looks: VecDeque<Look>,
}

impl Default for Transfers {
    fn default() -> Self {
        Self { looks: VecDeque::with_capacity(MOST) }
    }
}

impl Transfers {
    /// Whether a flow that is none and has had `packets` more, and `total` with them, is one now.
    pub(super) fn begins(total: u64, packets: u64) -> bool {
        total / PACKETS != total.saturating_sub(packets) / PACKETS
    }

    /// When the next look is due; `None`: when a transfer has begun, not before.
    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        self.looks.front().map(|look| look.next)
    }

    /// Takes in a transfer that has moved `bytes`. Says whether there was room.
    pub(super) fn add(&mut self, now: Timestamp, id: FlowId, bytes: u64) -> bool {
        self.keep(now, Look { id, bytes, next: now, began: (now, bytes) }, bytes)
    }

    /// Takes in one again that has been looked at, and has moved `bytes`. Says whether there was room.
    pub(super) fn keep(&mut self, now: Timestamp, look: Look, bytes: u64) -> bool {
        let has_room = self.looks.len() < MOST;
        if has_room {
            self.looks.push_back(Look { bytes, next: now + LOOK_INTERVAL, ..look });
        }
        has_room
    }

    /// Takes out the next one that is due.
    pub(super) fn next_due(&mut self, now: Timestamp) -> Option<Look> {
        self.looks.front().is_some_and(|look| look.next <= now).then(|| self.looks.pop_front()).flatten()
    }
}
