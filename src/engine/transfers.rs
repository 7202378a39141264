//! Flows in the middle of a transfer: what a line is busy with, as opposed to what it merely remembers.
//!
//! Theory of operation. Most flows that a line has carry nothing at the moment, so their number says little about how soon a
//! new one would be done. A flow counts as a transfer from its first packet on (TCP, QUIC), or once it has had a number of
//! packets (others), for as long as it moves bytes: each is looked at four times a second, and one that has hardly moved any no longer counts.
//! So does a connection whose both sides have said FIN, at once. One that goes on counts again.
//!
//! A transfer that has gone on for [`SETTLED_LOOKS`] has settled: what it moves is what it can, and the rest of the line is
//! others'. The sum of those rates stands beside the counts.
//!
//! The numbers stand in [`Load`](crate::placement::Load), where every worker sees those of all. Transfers beyond [`MOST`] of one
//! worker do not count. A transfer also tells which flows of class isolated are bulky ([`crate::placement::bulky`]).

use std::collections::VecDeque;
use std::time::Duration;

use crate::flow::record::FlowBody;
use crate::flow::{FlowId, Timestamp};
use crate::placement::{Rates, UplinkId, is_bulky};

/// How often each is looked at: the shortcut's news are younger.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// A transfer has settled at this look: TCP has found its rate by then.
pub(super) const SETTLED_LOOKS: u8 = 4;
/// What a transfer moves at least from one look to the next: three packets, as on a line of 0.15 Mbit/s.
const LEAST_BYTES: u64 = 4_500;
/// A flow that is none has this many packets until it is looked at.
const PACKETS: u64 = 32;
/// Most of one worker.
const MOST: usize = 8_192;

/// A transfer, and what it had moved at the last look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) id: FlowId,
    /// Its line at that look, which is where its rate was added.
    pub(super) uplink: UplinkId,
    /// Which look this is: records count theirs, so that one which is another flow's by now is told apart.
    pub(super) number: u8,
    /// What it moved between the last two looks; nothing before it has settled.
    pub(super) rates: Rates,
    out_bytes: u64,
    in_bytes: u64,
    at: Timestamp,
    /// When it began, and what the flow had moved by then.
    began: (Timestamp, u64),
}

impl Look {
    /// The first of a transfer that begins.
    pub(super) fn first(now: Timestamp, id: FlowId, body: &FlowBody) -> Self {
        Self {
            id,
            uplink: UplinkId(body.uplink),
            number: 0,
            rates: Rates::default(),
            out_bytes: body.out_bytes,
            in_bytes: body.in_bytes,
            at: now,
            began: (now, body.out_bytes + body.in_bytes),
        }
    }

    /// Whether its flow is bulky, by what it has moved since the transfer began.
    pub(super) fn is_bulky(&self, now: Timestamp, body: &FlowBody) -> bool {
        let (began, before) = self.began;
        is_bulky((body.out_bytes + body.in_bytes).saturating_sub(before), now.since(began))
    }

    /// The one after it, if the transfer still goes on.
    pub(super) fn next(&self, now: Timestamp, body: &FlowBody) -> Option<Self> {
        let (out, back) = (body.out_bytes.saturating_sub(self.out_bytes), body.in_bytes.saturating_sub(self.in_bytes));
        if out + back < LEAST_BYTES {
            return None;
        }
        let number = self.number.saturating_add(1);
        let span = now.since(self.at);
        let rates = if number < SETTLED_LOOKS {
            Rates::default()
        } else {
            Rates { download: rate(back, span), upload: rate(out, span) }
        };
        Some(Self { number, rates, began: self.began, ..Self::first(now, self.id, body) })
    }

    fn due(&self) -> Timestamp {
        self.at + LOOK_INTERVAL
    }
}

/// Bytes over a time, in kilobits a second.
pub(super) fn rate(bytes: u64, span: Duration) -> u32 {
    let milliseconds = u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1);
    u32::try_from(bytes.saturating_mul(8) / milliseconds).unwrap_or(u32::MAX)
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
        self.looks.front().map(Look::due)
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.looks.is_empty()
    }

    /// Takes in a look. Says whether there was room.
    pub(super) fn add(&mut self, look: Look) -> bool {
        let has_room = self.looks.len() < MOST;
        if has_room {
            self.looks.push_back(look);
        }
        has_room
    }

    /// Takes out the next one that is due.
    pub(super) fn next_due(&mut self, now: Timestamp) -> Option<Look> {
        self.looks.front().is_some_and(|look| look.due() <= now).then(|| self.looks.pop_front()).flatten()
    }
}
