//! Busy flows: which count as transfers ([`super::transfers`]); into the shortcut and out of it ([`super::shortcut`]), and
//! their records kept true.

use super::accounts::Account;
use super::drop_reason::DropReason;
use super::repeated;
use super::shortcut::{Shortcuts, Standing, directions, is_plain};
use super::slowing::is_watchable;
use super::transfers::{Look, SETTLED_LOOKS, Transfers};
use super::worker::{Context, Worker, lifetime};
use crate::flow::direction::Direction;
use crate::flow::record::{FLAG_HAIRPIN, FLAG_REPLIED, FLAG_SHORTCUT, FLAG_TRANSFER, MARK_BULKY, MARK_ISOLATED, Tick};
use crate::flow::{FlowId, FlowV4, Protocol, TcpState, Timestamp};
use crate::placement::{RuleId, UplinkId};

impl Worker {
    /// To be called after a packet of the flow was followed, `packets` as the wire counts: lets a flow that is busy into
    /// the shortcut, and one that is no longer plain out of it.
    #[inline]
    pub(super) fn review_shortcut(&mut self, context: Context<'_>, id: FlowId, packets: u64) {
        if self.shortcuts.is_some() {
            self.review(context, id, packets);
        }
    }

    fn review(&mut self, context: Context<'_>, id: FlowId, packets: u64) {
        let Some(shortcuts) = &mut self.shortcuts else { return };
        let record = self.table.record_mut(id);
        if record.has(FLAG_SHORTCUT) {
            if !is_plain(record) || shortcuts.is_stale(id, context.snapshot.generation) {
                self.leave_shortcut(context.now, id);
            }
        } else if Shortcuts::is_time_to_offer(record.body.out_packets + record.body.in_packets, packets)
            && !is_watchable(&self.load, record)
            && shortcuts.offer(context.now, context.snapshot, id, record)
        {
            record.body.flags |= FLAG_SHORTCUT;
            self.counters.shortcuts.add(1);
        }
    }

    /// Brings the record of a flow in the shortcut up to date.
    pub(super) fn catch_up(&mut self, id: FlowId) {
        let Some(news) = self.shortcuts.as_mut().and_then(|shortcuts| shortcuts.news(id)) else { return };
        let record = self.table.record_mut(id);
        let [out, back] = directions(record);
        let acknowledged = record.body.tcp.acknowledged(back);
        for (direction, traffic) in [(out, news.out), (back, news.back)] {
            // Without packets there is nothing new, and the record may be another connection's by now.
            if record.body.protocol == Protocol::Tcp as u8 && traffic.packets > 0 {
                record.body.tcp.catch_up(direction, traffic.windows);
            }
        }
        let replies = if out == Direction::Reply { news.out.packets } else { news.back.packets };
        let lifetime = lifetime(record);
        let account = Account::of(record);
        let body = &mut record.body;
        if replies > 0 {
            body.flags |= FLAG_REPLIED;
        }
        body.expires = body.expires.max(Tick::after(news.last + lifetime));
        body.out_packets += news.out.packets;
        body.out_bytes += news.out.bytes;
        body.in_packets += news.back.packets;
        body.in_bytes += news.back.bytes;
        let counters = self.counters.uplink(UplinkId(body.uplink));
        counters.out_packets.add(news.out.packets);
        counters.out_bytes.add(news.out.bytes);
        counters.in_packets.add(news.back.packets);
        counters.in_bytes.add(news.back.bytes);
        if record.is_marked(MARK_ISOLATED) {
            counters.isolated_bytes.add(news.out.bytes + news.back.bytes);
        }
        counters.drops.add(DropReason::SendFailed, news.failed);
        self.ledger.add_out(account, news.out.bytes);
        self.ledger.add_in(account, news.back.bytes);
        if record.body.protocol == Protocol::Tcp as u8 {
            let is_heard = record.body.tcp.acknowledged(back) != acknowledged;
            repeated::count_carried(counters, record, [news.out.segments, news.back.segments], is_heard);
        }
    }

    /// From now on all packets of the flow come to the worker again.
    pub(super) fn leave_shortcut(&mut self, now: Timestamp, id: FlowId) {
        if self.shortcuts.as_mut().is_some_and(|shortcuts| shortcuts.leave(now, id)) {
            self.counters.shortcuts.subtract(1);
        }
    }

    /// To be called before the flow is forgotten.
    pub(super) fn end_shortcut(&mut self, now: Timestamp, id: FlowId) {
        self.leave_shortcut(now, id);
        self.catch_up(id);
        if let Some(shortcuts) = &mut self.shortcuts {
            shortcuts.forget(now, id);
        }
    }

    /// Catches up with every flow in the shortcut, when that is due. Says whether it was.
    pub(super) fn visit_shortcuts(&mut self, now: Timestamp) -> bool {
        let Some(flows) = self.shortcuts.as_mut().and_then(|all| all.start_visit(now).then(|| all.flows())) else {
            return false;
        };
        for id in flows {
            self.catch_up(id);
            if is_watchable(&self.load, self.table.record(id)) {
                self.leave_shortcut(now, id);
            }
            match self.shortcuts.as_mut().map(|shortcuts| shortcuts.visit(now, id)) {
                Some(Standing::Idle) => self.leave_shortcut(now, id),
                Some(Standing::Gone) => self.table.record_mut(id).body.flags &= !FLAG_SHORTCUT,
                Some(Standing::Unchanged) | None => {}
            }
        }
        true
    }

    /// Takes all flows out of the shortcut and brings their records up to date: to be called before the worker ends.
    pub fn settle(&mut self, now: Timestamp) {
        let flows = self.shortcuts.as_ref().map(Shortcuts::flows).unwrap_or_default();
        for &id in &flows {
            self.leave_shortcut(now, id);
        }
        for id in flows {
            self.catch_up(id);
            self.table.record_mut(id).body.flags &= !FLAG_SHORTCUT;
        }
        self.shortcuts = None;
    }
}

impl Worker {
    /// To be called after a packet of the flow was followed, `packets` as the wire counts.
    #[inline]
    pub(super) fn review_transfer(&mut self, now: Timestamp, id: FlowId, packets: u64) {
        let record = self.table.record(id);
        let total = record.body.out_packets + record.body.in_packets;
        if record.has(FLAG_TRANSFER) {
            if is_over(record) {
                self.end_transfer(id);
            }
        } else if Transfers::begins(total, packets) && !is_over(record) {
            self.begin_transfer(now, id);
        }
    }

    pub(super) fn begin_transfer(&mut self, now: Timestamp, id: FlowId) {
        let record = self.table.record_mut(id);
        // Hairpins never leave by their line.
        if record.has(FLAG_HAIRPIN) {
            return;
        }
        let body = &mut record.body;
        if self.transfers.add(Look::first(now, id, body)) {
            body.flags |= FLAG_TRANSFER;
            body.looks = 0;
            self.load.begin_transfer(UplinkId(body.uplink));
        }
    }

    /// The flow counts as a transfer no more; nothing happens if it did not. What it moved is taken back when its look is due.
    pub(super) fn end_transfer(&mut self, id: FlowId) {
        let record = self.table.record_mut(id);
        if record.has(FLAG_TRANSFER) {
            record.body.flags &= !FLAG_TRANSFER;
            let is_settled = record.body.looks >= SETTLED_LOOKS;
            self.load.end_transfer(UplinkId(record.body.uplink), is_settled);
            self.short_queues.forget(id);
        }
    }

    /// Looks at the transfers that are due.
    pub(super) fn review_transfers(&mut self, now: Timestamp) {
        while let Some(look) = self.transfers.next_due(now) {
            let next = self.next_look(now, &look);
            let rates = next.map(|next| next.rates).unwrap_or_default();
            if rates != look.rates {
                self.load.measure_settled(look.uplink, look.rates, rates);
            }
        }
    }

    /// A flow of class isolated carries more than is meant for that: it stays where it is, and new ones like it are bulk.
    fn note_bulky(&mut self, now: Timestamp, id: FlowId) {
        let record = self.table.record_mut(id);
        let Some(key) = record.key() else { return };
        if !record.is_marked(MARK_BULKY) {
            record.body.marks |= MARK_BULKY;
            self.counters.uplink(UplinkId(record.body.uplink)).isolated_bulky.add(1);
        }
        self.bulky.note(now, key, RuleId(record.body.rule));
    }

    /// Looks at a transfer again; `None`: it is one no more.
    fn next_look(&mut self, now: Timestamp, look: &Look) -> Option<Look> {
        // A free record has no flags.
        let is_the_same = |record: &FlowV4| {
            record.has(FLAG_TRANSFER) && record.body.looks == look.number && record.body.uplink == look.uplink.0
        };
        if !is_the_same(self.table.record(look.id)) {
            return None;
        }
        if self.table.record(look.id).has(FLAG_SHORTCUT) {
            self.catch_up(look.id);
        }
        let record = self.table.record(look.id);
        if record.is_marked(MARK_ISOLATED) && look.is_bulky(now, &record.body) {
            self.note_bulky(now, look.id);
        }
        let Some(next) = look.next(now, &self.table.record(look.id).body).filter(|next| self.transfers.add(*next))
        else {
            self.end_transfer(look.id);
            return None;
        };
        self.table.record_mut(look.id).body.looks = next.number;
        if next.number == SETTLED_LOOKS {
            self.load.settle_transfer(look.uplink);
        }
        Some(next)
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
