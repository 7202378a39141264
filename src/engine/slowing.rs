//! Senders of long transfers slowed down while their line is full ([`super::short_queue`]): which packets are watched for that.

use super::drop_reason::DropReason;
use super::outbound::FlowPacket;
use super::parse::Way;
use super::short_queue::Moved;
use super::worker::{Context, Worker};
use crate::flow::record::{FLAG_HAIRPIN, FLAG_TRANSFER, MARK_ISOLATED};
use crate::flow::{FlowId, FlowV4, Protocol, Timestamp};
use crate::placement::{Load, UplinkId, is_full};
use crate::wire::tcp::Timestamps;
use crate::wire::{PacketBuffer, ipv4};

/// A transfer is watched from so many bytes on.
const WATCHED_FROM: u64 = 128 * 1024;

impl Worker {
    /// To be called before a packet of the flow is followed: marks it if its sender is to slow down and wants to hear of it so.
    ///
    /// # Errors
    /// When its sender is to slow down by losing it.
    #[inline]
    pub(super) fn keep_queue_short(
        &mut self,
        context: Context<'_>,
        id: FlowId,
        way: Way,
        flow: &FlowPacket<'_>,
        packet: &mut PacketBuffer,
    ) -> Result<(), DropReason> {
        let record = self.table.record(id);
        // What the record says first: it is at hand.
        if !is_watched(record) || !is_watchable(&self.load, record) {
            return Ok(());
        }
        match flow.stamps(packet) {
            Some(stamps) if self.is_to_slow_down(context.now, id, way, stamps) => self.slow_down(id, flow, packet),
            _ => Ok(()),
        }
    }

    fn is_to_slow_down(&mut self, now: Timestamp, id: FlowId, way: Way, stamps: Timestamps) -> bool {
        let body = &self.table.record(id).body;
        let (uplink, moved) = (UplinkId(body.uplink), Moved { out: body.out_bytes, back: body.in_bytes });
        let is_due = self.short_queues.observe(now, id, (way, stamps), moved) && is_full(uplink, &self.load);
        if is_due {
            self.short_queues.take(now, id);
        }
        is_due
    }

    fn slow_down(&mut self, id: FlowId, flow: &FlowPacket<'_>, packet: &mut PacketBuffer) -> Result<(), DropReason> {
        if ipv4::mark_congestion(packet.packet_mut()) {
            return Ok(());
        }
        self.short_queues.owe(id, flow.parsed.wire_load(packet.vnet.segmentation).0);
        Err(DropReason::QueueKeptShort)
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
