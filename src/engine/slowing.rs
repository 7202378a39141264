//! Senders of long transfers slowed down while their line is full ([`super::short_queue`]): which packets are watched for that.

use super::parse::Way;
use super::short_queue::Moved;
use super::worker::{Context, Worker};
use crate::flow::record::{FLAG_HAIRPIN, FLAG_TRANSFER, MARK_ISOLATED};
use crate::flow::{FlowId, FlowV4, Protocol, Timestamp};
use crate::placement::{Load, UplinkId, is_full};
use crate::wire::tcp::Timestamps;

/// A transfer is watched from so many bytes on.
const WATCHED_FROM: u64 = 128 * 1024;

/// What is to become of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Care {
    /// It goes on.
    None,
    /// Its sender is to slow down: it is to be marked if it can be, else dropped.
    Slow,
}

impl Worker {
    /// To be called before a packet of the flow is followed.
    #[inline]
    pub(super) fn keep_queue_short(
        &mut self,
        context: Context<'_>,
        id: FlowId,
        way: Way,
        stamps: impl FnOnce() -> Option<Timestamps>,
    ) -> Care {
        let record = self.table.record(id);
        // What the record says first: the line's state is on a cache line that others write.
        if !is_watched(record) || !is_watchable(&self.load, record) {
            return Care::None;
        }
        stamps().map_or(Care::None, |stamps| self.watch(context.now, id, way, stamps))
    }

    fn watch(&mut self, now: Timestamp, id: FlowId, way: Way, stamps: Timestamps) -> Care {
        let body = &self.table.record(id).body;
        let (uplink, moved) = (UplinkId(body.uplink), Moved { out: body.out_bytes, back: body.in_bytes });
        let is_due = self.short_queues.observe(now, id, (way, stamps), moved);
        if !is_due || !is_full(uplink, &self.load) {
            return Care::None;
        }
        self.short_queues.take(now, id);
        Care::Slow
    }
}

/// Whether a flow may have to be watched, and so cannot take the shortcut, which sees no time stamps.
pub(super) fn is_watchable(load: &Load, record: &FlowV4) -> bool {
    record.body.protocol == Protocol::Tcp as u8 && load.keeps_short(UplinkId(record.body.uplink))
}

/// Whether a flow is one whose sender may be slowed down.
fn is_watched(record: &FlowV4) -> bool {
    record.has(FLAG_TRANSFER)
        && !record.has(FLAG_HAIRPIN)
        && !record.is_marked(MARK_ISOLATED)
        && record.body.out_bytes + record.body.in_bytes >= WATCHED_FROM
}
