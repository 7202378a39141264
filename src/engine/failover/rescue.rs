//! SYNs that find a record already: of a connection that is over, or of one that nobody has answered.

use std::time::Duration;

use super::super::drop_reason::DropReason;
use super::super::outbound::FlowPacket;
use super::super::worker::{Context, Worker, mapping_of};
use crate::flow::record::{FLAG_HAIRPIN, FLAG_INBOUND, FLAG_RESCUED, FLAG_RESCUED_AGAIN, Tick};
use crate::flow::tcp::TcpState;
use crate::flow::{FlowId, FlowV4};
use crate::placement::{Demand, Reason, UplinkId, candidates, choose_other};
use crate::wire::TcpFlags;

/// A SYN that comes again this much after the line was chosen is not answered there. Hosts repeat theirs after one second
/// (RFC 6298 section 2.1); what comes sooner is a copy.
const UNANSWERED: Duration = Duration::from_millis(700);

impl Worker {
    /// Whether a SYN finds a record that is not to be used for it: it is forgotten then, and the connection gets a line like
    /// any other. One that nobody has answered may get another line in place.
    pub(in crate::engine) fn is_left_behind(
        &mut self,
        context: Context<'_>,
        id: FlowId,
        flow: &FlowPacket<'_>,
    ) -> bool {
        flow.segment.is_some_and(|segment| segment.flags.contains(TcpFlags::SYN)) && self.review_syn(context, id, flow)
    }

    fn review_syn(&mut self, context: Context<'_>, id: FlowId, flow: &FlowPacket<'_>) -> bool {
        let record = self.table.record(id);
        let uplink = UplinkId(record.body.uplink);
        let uplinks = &context.snapshot.uplinks;
        let tiers = Self::tiers_of(context.snapshot, record);
        let takes_more = candidates(uplinks, &tiers).contains(uplink);
        let is_left_behind = match record.body.tcp.state() {
            TcpState::Aborted => true,
            TcpState::TimeWait | TcpState::Reset => !takes_more,
            TcpState::SynSent if is_ours_to_place(record) => {
                if takes_more {
                    self.rescue(context, id, flow);
                    return false;
                }
                let can = choose_other(uplinks, &self.load, Demand::Transfer, &tiers, uplink).is_some();
                self.counters.uplink(uplink).syn_rescued.add(u64::from(can));
                can
            }
            _ => false,
        };
        if is_left_behind {
            self.end_flow(context.now, id);
        }
        is_left_behind
    }

    /// Sends a SYN that was not answered for a second by another line: no data exists that could be lost. A host that speaks
    /// with others by the same port stays where it is, and after two tries on other lines the far end is taken to be down.
    /// What the old line answers now comes too late and meets no mapping.
    fn rescue(&mut self, context: Context<'_>, id: FlowId, flow: &FlowPacket<'_>) {
        let record = self.table.record(id);
        let is_unanswered = flow
            .segment
            .is_some_and(|segment| segment.payload_length == 0 && record.body.tcp.is_unanswered_syn(segment))
            && context.now.since(record.body.created.timestamp()) >= UNANSWERED;
        let Some(from) = mapping_of(record).filter(|_| is_unanswered && !record.has(FLAG_RESCUED_AGAIN)) else {
            return;
        };
        if self.mappings.flows(from) != 1 {
            return;
        }
        let tiers = Self::tiers_of(context.snapshot, record);
        let Some(to) = self.mapping_elsewhere(context.snapshot, flow.key, &tiers, from.uplink) else { return };
        self.repin(context.now, id, to, Reason::Rescued);
        self.counters.uplink(from.uplink).syn_rescued.add(1);
        let body = &mut self.table.record_mut(id).body;
        body.created = Tick::at(context.now);
        body.flags |= if body.flags & FLAG_RESCUED == 0 { FLAG_RESCUED } else { FLAG_RESCUED_AGAIN };
    }

    /// Why a packet of a flow is dropped whose line has no address.
    pub(in crate::engine) fn reason_when_down(&self, id: FlowId) -> DropReason {
        match self.table.record(id).body.tcp.state() {
            TcpState::Aborted => DropReason::LineLost,
            _ => DropReason::UplinkDown,
        }
    }
}

/// Whether a connection was opened from inside and leaves by its line.
fn is_ours_to_place(record: &FlowV4) -> bool {
    !record.has(FLAG_INBOUND) && !record.has(FLAG_HAIRPIN)
}
