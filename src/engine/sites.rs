//! A flow among its host's flows to the same site ([`crate::placement::affinity`]): from its first packet to its end.

use super::worker::Worker;
use crate::flow::record::MARK_STICKY;
use crate::flow::{FlowId, FlowKey, Timestamp};
use crate::placement::{Adhesion, UplinkId, UplinkSet};

impl Worker {
    /// The line that a new flow is to keep to: one of `candidates`, and not full while another of them is not, unless it
    /// sticks hard.
    pub(super) fn line_of_site(
        &self,
        now: Timestamp,
        key: &FlowKey,
        adhesion: Adhesion,
        candidates: UplinkSet,
    ) -> Option<UplinkId> {
        self.affinity.line_among(now, key, adhesion, candidates, &self.load)
    }

    /// Counts a flow among its host's to the site; they go where it goes from now on.
    pub(super) fn join_site(&mut self, now: Timestamp, id: FlowId) {
        let record = self.table.record_mut(id);
        let Some(key) = record.key() else { return };
        if self.affinity.enter(now, &key, UplinkId(record.body.uplink)) {
            record.body.marks |= MARK_STICKY;
        }
    }

    /// The flow counts no more; nothing happens if it did not.
    pub(super) fn leave_site(&mut self, now: Timestamp, id: FlowId) {
        let record = self.table.record_mut(id);
        if record.is_marked(MARK_STICKY) {
            record.body.marks &= !MARK_STICKY;
            record.key().into_iter().for_each(|key| self.affinity.leave(now, &key));
        }
    }

    /// The flow has got another line: its host's next ones to the site go there too.
    pub(super) fn lead_site(&self, id: FlowId) {
        let record = self.table.record(id);
        if record.is_marked(MARK_STICKY) {
            record.key().into_iter().for_each(|key| self.affinity.follow(&key, UplinkId(record.body.uplink)));
        }
    }
}
