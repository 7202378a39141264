//! Ending a line's flows, a page at a time.

use super::super::accounts::Account;
use super::super::outbox::Outbox;
use super::super::worker::{Context, Worker, mapping_of};
use crate::flow::record::{FLAG_HAIRPIN, FLAG_INBOUND, FLAG_SHORTCUT, Tick};
use crate::flow::{Direction, FlowId, FlowKey, FlowV4, Protocol, TcpState, Timestamp};
use crate::nat::{Ending, Mapping};
use crate::placement::{Demand, Reason, Snapshot, Tiers, UplinkId, UplinkSet, candidates, choose_other, takes_flows};

/// Records looked at in one call: some 0.3 ms.
const PAGE_RECORDS: u32 = 16_384;
/// Flows ended in one call, with at most two packets each: some 0.1 ms, and fewer packets than a worker keeps buffers for.
const PAGE_FLOWS: usize = 128;

/// Where the ending of a line's flows stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailOverStep {
    /// To be called again with this cursor.
    More(u32),
    /// No flow of the line is left that could be ended.
    #[default]
    Done,
    /// The line carries again, or no other can take its flows: they are kept.
    Kept,
}

/// What one page came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FailOverPage {
    /// How to go on.
    pub step: FailOverStep,
    /// Connections whose host got a reset.
    pub reset: u32,
    /// Datagram flows whose host got an error.
    pub told: u32,
    /// Flows that go on over another line.
    pub moved: u32,
    /// Connections whose SYN opens them on another line when it is sent again.
    pub rescued: u32,
    /// Flows that wait for their line, for no other is meant for them.
    pub kept: u32,
}

/// What becomes of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Its host is told by a reset.
    Reset,
    /// It is forgotten, and opens anew.
    Rescue,
    /// It goes on over another line if it may, else its host is told by an error.
    Move,
    /// Nobody waits for it.
    Forget,
}

impl Fate {
    fn of(record: &FlowV4, now: Timestamp) -> Self {
        if record.body.expires <= Tick::at(now) {
            return Self::Forget;
        }
        match Protocol::from_number(record.body.protocol) {
            Some(Protocol::Tcp) => match record.body.tcp.state() {
                TcpState::SynSent if !record.has(FLAG_INBOUND) => Self::Rescue,
                TcpState::Fresh | TcpState::SynSent | TcpState::TimeWait | TcpState::Reset | TcpState::Aborted => {
                    Self::Forget
                }
                _ => Self::Reset,
            },
            Some(Protocol::Udp) => Self::Move,
            Some(Protocol::Icmp) | None => Self::Forget,
        }
    }
}

impl FailOverPage {
    /// Whether packets were sent, so that the caller should leave the worker alone for a moment.
    #[must_use]
    pub const fn has_sent(&self) -> bool {
        self.reset + self.told > 0
    }
}

impl Worker {
    /// Ends the flows of a line that takes no new ones, so that their hosts know at once. `cursor` is 0 at first, then what
    /// [`FailOverStep::More`] says. As soon as the line takes flows again, or no other does, the rest is kept.
    pub fn fail_over(
        &mut self,
        now: Timestamp,
        snapshot: &Snapshot,
        uplink: UplinkId,
        cursor: u32,
        out: &mut Outbox,
    ) -> FailOverPage {
        let mut page = FailOverPage::default();
        let carries = takes_flows(&snapshot.uplinks, uplink);
        let can_go = || choose_other(&snapshot.uplinks, &self.load, Demand::Little, &Tiers::ANY, uplink).is_some();
        if carries || !can_go() {
            page.step = FailOverStep::Kept;
            return page;
        }
        let (keys, step) = self.flows_of(uplink, cursor);
        page.step = step;
        let context = Context::new(now, snapshot);
        for key in keys {
            if let Some(id) = self.table.find(&key) {
                self.let_go(context, id, out, &mut page);
            }
        }
        page
    }

    /// The next flows of a line that are to be ended.
    fn flows_of(&self, uplink: UplinkId, cursor: u32) -> (Vec<FlowKey>, FailOverStep) {
        let end = cursor.saturating_add(PAGE_RECORDS);
        let mut keys = Vec::new();
        for (at, record) in self.table.records_from(cursor) {
            if at >= end || keys.len() >= PAGE_FLOWS {
                return (keys, FailOverStep::More(at));
            }
            let body = &record.body;
            let is_ended = body.tcp.state() == TcpState::Aborted || record.has(FLAG_HAIRPIN);
            keys.extend(record.key().filter(|_| body.uplink == uplink.0 && !is_ended));
        }
        (keys, FailOverStep::Done)
    }

    /// Ends one flow, or moves it.
    fn let_go(&mut self, context: Context<'_>, id: FlowId, out: &mut Outbox, page: &mut FailOverPage) {
        if self.table.record(id).has(FLAG_SHORTCUT) {
            self.leave_shortcut(context.now, id);
            self.catch_up(id);
        }
        let record = *self.table.record(id);
        let uplink = UplinkId(record.body.uplink);
        let (uplinks, tiers) = (&context.snapshot.uplinks, Self::tiers_of(context.snapshot, &record));
        if choose_other(uplinks, &self.load, Demand::Little, &tiers, uplink).is_none() {
            // No other line is for it: it waits for its own.
            page.kept += 1;
            return;
        }
        match Fate::of(&record, context.now) {
            Fate::Reset => {
                self.reset_flow(context, id, out);
                self.counters.uplink(uplink).flows_reset.add(1);
                page.reset += 1;
            }
            Fate::Rescue => {
                self.end_flow(context.now, id);
                self.counters.uplink(uplink).syn_rescued.add(1);
                page.rescued += 1;
            }
            Fate::Move if self.move_flow(context, id) => page.moved += 1,
            Fate::Move => {
                page.told += u32::from(self.refuse_flow(context, id, out));
            }
            Fate::Forget => self.end_flow(context.now, id),
        }
    }

    /// Ends a connection, and lets its host know.
    fn reset_flow(&mut self, context: Context<'_>, id: FlowId, out: &mut Outbox) {
        let record = self.table.record_mut(id);
        let host = if record.has(FLAG_INBOUND) { Direction::Reply } else { Direction::Original };
        let numbers = record.body.tcp.abort(host);
        record.body.expires = Tick::after(context.now + record.body.tcp.timeout());
        let record = *record;
        // What is left is no flow any more.
        self.end_transfer(id);
        self.leave_site(context.now, id);
        self.uncount(Account::of(&record));
        self.send_resets(context, &record, numbers, out);
    }

    /// Ends a datagram flow, and lets its host know if it has ever sent anything. Says whether it was told.
    pub(super) fn refuse_flow(&mut self, context: Context<'_>, id: FlowId, out: &mut Outbox) -> bool {
        let record = *self.table.record(id);
        let is_told = record.body.out_packets > 0 && self.send_refusal(context, &record, out);
        self.counters.uplink(UplinkId(record.body.uplink)).flows_told.add(u64::from(is_told));
        self.end_flow(context.now, id);
        is_told
    }

    /// Gives a flow another mapping, in place: its line, its port outside.
    pub(super) fn repin(&mut self, now: Timestamp, id: FlowId, to: Mapping, reason: Reason) {
        if self.table.record(id).has(FLAG_SHORTCUT) {
            self.leave_shortcut(now, id);
            self.catch_up(id);
        }
        // On its new line it counts again when it goes on.
        self.end_transfer(id);
        let record = self.table.record_mut(id);
        let Some(from) = mapping_of(record) else { return };
        let before = Account::of(record);
        record.body.uplink = to.uplink.0;
        record.body.external_port = to.external_port;
        record.body.reason = reason as u8;
        let after = Account::of(record);
        self.mappings.remove_flow(now, from, Ending::Silent);
        self.mappings.add_flow(to);
        self.mappings.hold(to, after.host.0);
        self.uncount(before);
        self.count(after);
        self.lead_site(id);
    }

    /// The mapping that a host's endpoint has on another line than `avoided`, or a new one there.
    pub(super) fn mapping_elsewhere(
        &mut self,
        snapshot: &Snapshot,
        key: FlowKey,
        tiers: &Tiers,
        avoided: UplinkId,
    ) -> Option<Mapping> {
        let others = candidates(&snapshot.uplinks, tiers).without(UplinkSet::of(avoided));
        if let Some(mapping) = self.mappings.find(key.protocol, key.internal, others) {
            return Some(mapping);
        }
        let other = choose_other(&snapshot.uplinks, &self.load, Demand::of(&key), tiers, avoided)?;
        self.mappings.heed(&snapshot.forwards);
        self.mappings.open(key.protocol, other.uplink, key.internal, tiers.all())
    }
}
