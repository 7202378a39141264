//! Flows in the middle of a transfer: what a line is busy with, as opposed to what it merely remembers.
//!
//! Theory of operation. Most flows that a line has carry nothing at the moment, so their number says little about how soon a
//! new one would be done. A flow counts as a transfer from its first packet on (TCP, QUIC), or once it has had a number of
//! packets (others), for as long as it moves bytes: each is looked at four times a second, and one that has hardly moved any no longer counts.
//! So does a connection whose both sides have said FIN, at once. One that goes on counts again.
//!
//! The numbers stand in [`Load`](crate::placement::Load), where every worker sees those of all. Transfers beyond [`MOST`] of one
//! worker do not count.

use std::collections::VecDeque;
use std::time::Duration;

use super::worker::Worker;
use crate::flow::record::{FLAG_SHORTCUT, FLAG_TRANSFER};
use crate::flow::{FlowId, FlowV4, Protocol, TcpState, Timestamp};
use crate::placement::{Demand, UplinkId};

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
struct Look {
    id: FlowId,
    bytes: u64,
    next: Timestamp,
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
    /// When the next look is due; `None`: when a transfer has begun, not before.
    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        self.looks.front().map(|look| look.next)
    }

    fn add(&mut self, now: Timestamp, id: FlowId, bytes: u64) -> bool {
        let has_room = self.looks.len() < MOST;
        if has_room {
            self.looks.push_back(Look { id, bytes, next: now + LOOK_INTERVAL });
        }
        has_room
    }

    fn next_due(&mut self, now: Timestamp) -> Option<Look> {
        self.looks.front().is_some_and(|look| look.next <= now).then(|| self.looks.pop_front()).flatten()
    }
}

impl Worker {
    /// To be called when a flow has been made.
    pub(super) fn open_transfer(&mut self, now: Timestamp, id: FlowId) {
        let demand = self.table.record(id).key().map(|key| Demand::of(&key));
        if demand == Some(Demand::Transfer) {
            self.begin_transfer(now, id);
        }
    }

    /// To be called after a packet of the flow was followed, `packets` as the wire counts.
    #[inline]
    pub(super) fn review_transfer(&mut self, now: Timestamp, id: FlowId, packets: u64) {
        let record = self.table.record(id);
        let total = record.body.out_packets + record.body.in_packets;
        if record.has(FLAG_TRANSFER) {
            if is_over(record) {
                self.end_transfer(id);
            }
        } else if total / PACKETS != total.saturating_sub(packets) / PACKETS && !is_over(record) {
            self.begin_transfer(now, id);
        }
    }

    fn begin_transfer(&mut self, now: Timestamp, id: FlowId) {
        let body = &mut self.table.record_mut(id).body;
        if self.transfers.add(now, id, body.out_bytes + body.in_bytes) {
            body.flags |= FLAG_TRANSFER;
            self.load.begin_transfer(UplinkId(body.uplink));
        }
    }

    /// The flow counts as a transfer no more; nothing happens if it did not.
    pub(super) fn end_transfer(&mut self, id: FlowId) {
        let record = self.table.record_mut(id);
        if record.has(FLAG_TRANSFER) {
            record.body.flags &= !FLAG_TRANSFER;
            self.load.end_transfer(UplinkId(record.body.uplink));
        }
    }

    /// Looks at the transfers that are due.
    pub(super) fn review_transfers(&mut self, now: Timestamp) {
        while let Some(look) = self.transfers.next_due(now) {
            // A free record has no flags. One that is another flow's by now is looked at a time too many.
            if !self.table.record(look.id).has(FLAG_TRANSFER) {
                continue;
            }
            if self.table.record(look.id).has(FLAG_SHORTCUT) {
                self.catch_up(look.id);
            }
            let body = &self.table.record(look.id).body;
            let bytes = body.out_bytes + body.in_bytes;
            if bytes.saturating_sub(look.bytes) < LEAST_BYTES || !self.transfers.add(now, look.id, bytes) {
                self.end_transfer(look.id);
            }
        }
    }
}

/// Whether the two ends have said that nothing more will come.
fn is_over(record: &FlowV4) -> bool {
    record.body.protocol == Protocol::Tcp as u8
        && matches!(
            record.body.tcp.state(),
            TcpState::Closing | TcpState::TimeWait | TcpState::Reset | TcpState::Aborted
        )
}
