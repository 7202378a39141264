//! Datagram flows that go on over another line, in place.

use super::super::moves::{Move, Outcome};
use super::super::outbox::Outbox;
use super::super::worker::{Context, Worker, mapping_of};
use crate::flow::record::{FLAG_INBOUND, FLAG_SHORTCUT};
use crate::flow::{FlowId, Timestamp};
use crate::nat::Mapping;
use crate::placement::{Availability, Reason, Snapshot};

impl Worker {
    /// Moves a flow to another line, if its far end bears that: it has asked for nothing itself, and its port is one of
    /// those that are set. Says whether it did.
    pub(super) fn move_flow(&mut self, context: Context<'_>, id: FlowId) -> bool {
        let record = self.table.record(id);
        let (Some(key), Some(from)) = (record.key(), mapping_of(record)) else { return false };
        if record.has(FLAG_INBOUND) || !self.settings.movable.contains(key.remote.port) {
            return false;
        }
        let packets = (record.body.out_packets, record.body.in_packets);
        let tiers = Self::tiers_of(context.snapshot, self.table.record(id));
        let Some(to) = self.mapping_elsewhere(context.snapshot, key, &tiers, from.uplink) else { return false };
        self.repin(context.now, id, to, Reason::Moved);
        self.counters.uplink(from.uplink).flows_moved.add(1);
        self.moves.add(context.now, Move { key, from, to, packets, asked: None });
        true
    }

    /// Looks whether the far ends of moved flows answer. A flow whose far end does not is put back if its line works again;
    /// else its host is told.
    pub fn review_moves(&mut self, now: Timestamp, snapshot: &Snapshot, out: &mut Outbox) {
        let Some(mut moves) = self.moves.due(now) else { return };
        let context = Context::new(now, snapshot);
        moves.retain_mut(|moved| match self.review_move(now, moved) {
            Some((_, Outcome::Open)) => true,
            None | Some((_, Outcome::Answered)) => false,
            Some((id, Outcome::Unanswered)) => {
                if !self.put_back(context, id, moved) {
                    self.refuse_flow(context, id, out);
                }
                false
            }
        });
        self.moves.keep(moves);
    }

    /// What is known of a move; `None` when the flow is gone, or elsewhere by now.
    fn review_move(&mut self, now: Timestamp, moved: &mut Move) -> Option<(FlowId, Outcome)> {
        let id = self.table.find(&moved.key).filter(|&id| mapping_of(self.table.record(id)) == Some(moved.to))?;
        if self.table.record(id).has(FLAG_SHORTCUT) {
            self.catch_up(id);
        }
        let body = &self.table.record(id).body;
        Some((id, moved.review(now, (body.out_packets, body.in_packets))))
    }

    fn put_back(&mut self, context: Context<'_>, id: FlowId, moved: &Move) -> bool {
        let can = works(context.snapshot, moved.from) && self.mappings.restore(moved.from, moved.key.internal);
        if can {
            self.repin(context.now, id, moved.from, Reason::Moved);
            self.counters.uplink(moved.to.uplink).flows_moved.add(1);
        }
        can
    }
}

/// Whether flows that a line has can use it.
fn works(snapshot: &Snapshot, mapping: Mapping) -> bool {
    let uplink = snapshot.uplink(mapping.uplink);
    uplink.is_some_and(|uplink| {
        matches!(uplink.availability, Availability::Usable | Availability::Standby)
            && uplink.external.is_some()
            && uplink.next_hop.is_some()
    })
}
