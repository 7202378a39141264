//! The shortcut: packets of busy flows that the kernel carries in our place.
//!
//! The engine decides everything about a flow. When one has become busy, and nothing about it is out of the ordinary,
//! the worker writes both of its directions into a table that programs at the interfaces look into (see
//! [`table`], and `io::shortcut` for the programs). Those make the same checks and the same changes to plain packets as
//! `outbound` and `inbound` do and send them on, without a copy to userspace and back. Whatever is not plain (SYN, FIN,
//! RST, IP options, fragments, a segment outside the windows, a packet too long) still comes to the worker, and a
//! program that is in doubt never drops.
//!
//! The record stays the truth: the worker catches up with what the programs have seen before it looks at a packet of the
//! flow, and now and then (counters, expiry). A flow leaves the shortcut when it ends, falls idle, or changes; when the
//! snapshot changes, all do, at once: entries live in one generation of it. An entry that was left rests for a while before
//! it is given away, because a program may be at work on it for a moment longer; for so long its news is heard.

pub mod table;

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::outbound::Hop;
use super::worker::{Context, Worker, lifetime};
use crate::flow::direction::Direction;
use crate::flow::record::{FLAG_HAIRPIN, FLAG_INBOUND, FLAG_REPLIED, FLAG_SHORTCUT, Tick};
use crate::flow::tcp::Windows;
use crate::flow::{FlowId, FlowV4, Protocol, Timestamp};
use crate::placement::{Lan, LanId, LanLink, Snapshot, Uplink, UplinkId};
use crate::wire::buffer::{ETHERNET_LENGTH, ETHERTYPE_IPV4};
use table::{Action, CHANGES_PORT, COUNTS_HOP, Key, LEAVES_BY_TUN, Place, Seen, ShortcutTable};

/// A flow is looked at each time it has had this many packets more.
const BUSY: u64 = 32;
/// How often the worker catches up with all its flows in the shortcut.
const VISIT_INTERVAL: Duration = Duration::from_millis(200);
/// A flow without packets for this long leaves the shortcut.
const IDLE: Duration = Duration::from_secs(2);
/// How long an entry rests: far longer than a program runs.
const REST: Duration = Duration::from_secs(1);
/// Most flows of one worker in the shortcut; the table is rarely able to hold more.
const MOST_FLOWS: usize = 8_192;
/// The programs have 24 bits for the number of an interface.
const INTERFACE_LIMIT: u32 = 1 << 24;
/// Of a redirection: into the interface, as if it had received the packet (`BPF_F_INGRESS`).
const INTO_INTERFACE: u32 = 1;

/// One worker's flows in the shortcut.
#[derive(Debug)]
pub(super) struct Shortcuts {
    table: ShortcutTable,
    promotions: HashMap<FlowId, Promotion>,
    /// Entries of flows that are gone, and since when.
    resting: Vec<(Timestamp, [Place; 2])>,
    next_visit: Timestamp,
    visiting: Vec<FlowId>,
}

/// A flow in the shortcut. Arrays have the way out first, then the way in.
#[derive(Clone, Copy, Debug)]
struct Promotion {
    places: [Place; 2],
    /// What the record has of it already.
    counted: [Seen; 2],
    since: Timestamp,
    /// When it left; its entries rest.
    left: Option<Timestamp>,
}

impl Shortcuts {
    pub(super) fn new(table: ShortcutTable) -> Self {
        Self {
            table,
            promotions: HashMap::with_capacity(MOST_FLOWS),
            resting: Vec::with_capacity(MOST_FLOWS),
            next_visit: Timestamp::default(),
            visiting: Vec::with_capacity(MOST_FLOWS),
        }
    }

    /// When [`Worker::visit_shortcuts`] is due; `None`: when something has happened, not before.
    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        (!self.promotions.is_empty() || !self.resting.is_empty()).then_some(self.next_visit)
    }

    fn has_room(&self) -> bool {
        self.promotions.len() + self.resting.len() < MOST_FLOWS
    }

    /// Claims and starts entries for both directions.
    fn promote(&mut self, now: Timestamp, generation: u32, id: FlowId, ways: &[(Key, Action); 2]) -> bool {
        let Some(out) = self.table.claim(ways[0].0) else { return false };
        let Some(back) = self.table.claim(ways[1].0) else {
            self.table.free(out);
            return false;
        };
        let places = [out, back];
        for ((place, peer), (key, action)) in [(out, back), (back, out)].into_iter().zip(ways) {
            self.table.write(place, peer, *key, action);
        }
        places.iter().for_each(|place| self.table.start(*place, generation));
        if self.promotions.is_empty() && self.resting.is_empty() {
            self.next_visit = now + VISIT_INTERVAL;
        }
        let promotion = Promotion { places, counted: [Seen::default(); 2], since: now, left: None };
        self.promotions.insert(id, promotion);
        true
    }
}

impl Worker {
    /// To be called after a packet of the flow was followed, `packets` as the wire counts: lets a flow that is busy into
    /// the shortcut, and one that is no longer plain out of it.
    pub(super) fn review_shortcut(&mut self, context: Context<'_>, id: FlowId, packets: u64) {
        let Some(shortcuts) = &mut self.shortcuts else { return };
        let record = self.table.record(id);
        if record.has(FLAG_SHORTCUT) {
            let stale = shortcuts.promotions.get(&id).is_some_and(|promotion| {
                shortcuts.table.generation_of(promotion.places[0]) != context.snapshot.generation
            });
            if stale || !is_plain(record) {
                self.leave_shortcut(context.now, id);
            }
            return;
        }
        let total = record.body.out_packets + record.body.in_packets;
        if total / BUSY == total.saturating_sub(packets) / BUSY || context.snapshot.generation == 0 {
            return;
        }
        if is_plain(record)
            && shortcuts.has_room()
            && let Some(ways) = ways(context.snapshot, record)
            && shortcuts.promote(context.now, context.snapshot.generation, id, &ways)
        {
            self.table.record_mut(id).body.flags |= FLAG_SHORTCUT;
            self.counters.shortcuts.add(1);
        }
    }

    /// Brings the record of a flow in the shortcut up to date.
    pub(super) fn catch_up(&mut self, id: FlowId) {
        let Some(promotion) = self.shortcuts.as_mut().and_then(|shortcuts| {
            let promotion = shortcuts.promotions.get_mut(&id)?;
            let before = *promotion;
            promotion.counted = promotion.places.map(|place| shortcuts.table.seen(place));
            Some((before.counted, promotion.counted))
        }) else {
            return;
        };
        let record = self.table.record_mut(id);
        let counters = self.counters.uplink(UplinkId(record.body.uplink));
        let ([out_before, in_before], [out, back]) = promotion;
        let (out_packets, out_bytes) = (out.packets - out_before.packets, out.bytes - out_before.bytes);
        let (in_packets, in_bytes) = (back.packets - in_before.packets, back.bytes - in_before.bytes);
        let directions = directions(record);
        if record.body.protocol == Protocol::Tcp as u8 {
            record.body.tcp.catch_up(directions[0], out.windows);
            record.body.tcp.catch_up(directions[1], back.windows);
        }
        let replies = if directions[0] == Direction::Reply { out_packets } else { in_packets };
        if replies > 0 {
            record.body.flags |= FLAG_REPLIED;
        }
        record.body.out_packets += out_packets;
        record.body.out_bytes += out_bytes;
        record.body.in_packets += in_packets;
        record.body.in_bytes += in_bytes;
        let last = Timestamp::from_millis(out.last.max(back.last));
        record.body.expires = record.body.expires.max(Tick::after(last + lifetime(record)));
        counters.out_packets.add(out_packets);
        counters.out_bytes.add(out_bytes);
        counters.in_packets.add(in_packets);
        counters.in_bytes.add(in_bytes);
        let failed = out.failed + back.failed - out_before.failed - in_before.failed;
        counters.drops.add(super::DropReason::SendFailed, failed);
    }

    /// From now on all packets of the flow come to the worker again.
    pub(super) fn leave_shortcut(&mut self, now: Timestamp, id: FlowId) {
        let Some(shortcuts) = &mut self.shortcuts else { return };
        if let Some(promotion) = shortcuts.promotions.get_mut(&id)
            && promotion.left.is_none()
        {
            promotion.left = Some(now);
            promotion.places.iter().for_each(|place| shortcuts.table.end(*place));
            self.counters.shortcuts.subtract(1);
        }
    }

    /// To be called before the flow is forgotten.
    pub(super) fn end_shortcut(&mut self, now: Timestamp, id: FlowId) {
        self.leave_shortcut(now, id);
        self.catch_up(id);
        let Some(shortcuts) = &mut self.shortcuts else { return };
        if let Some(promotion) = shortcuts.promotions.remove(&id) {
            shortcuts.resting.push((now, promotion.places));
        }
    }

    /// Catches up with every flow in the shortcut, when that is due.
    pub(super) fn visit_shortcuts(&mut self, now: Timestamp) {
        let Some(shortcuts) = &mut self.shortcuts else { return };
        if now < shortcuts.next_visit {
            return;
        }
        shortcuts.next_visit = now + VISIT_INTERVAL;
        let table = &shortcuts.table;
        shortcuts.resting.retain(|(since, places)| {
            let rests = now.since(*since) < REST;
            if !rests {
                places.iter().for_each(|place| table.free(*place));
            }
            rests
        });
        let mut visiting = std::mem::take(&mut shortcuts.visiting);
        visiting.extend(shortcuts.promotions.keys());
        for id in visiting.drain(..) {
            self.catch_up(id);
            self.visit(now, id);
        }
        if let Some(shortcuts) = &mut self.shortcuts {
            shortcuts.visiting = visiting;
        }
    }

    fn visit(&mut self, now: Timestamp, id: FlowId) {
        let Some(shortcuts) = &mut self.shortcuts else { return };
        let Some(promotion) = shortcuts.promotions.get(&id).copied() else { return };
        let [out, back] = promotion.counted;
        let last = Timestamp::from_millis(out.last.max(back.last)).max(promotion.since);
        match promotion.left {
            Some(left) if now.since(left) >= REST => {
                shortcuts.promotions.remove(&id);
                promotion.places.iter().for_each(|place| shortcuts.table.free(*place));
                self.table.record_mut(id).body.flags &= !FLAG_SHORTCUT;
            }
            None if now.since(last) >= IDLE => self.leave_shortcut(now, id),
            _ => {}
        }
    }

    /// Takes all flows out of the shortcut and brings their records up to date: to be called before the worker ends.
    pub fn settle(&mut self, now: Timestamp) {
        let Some(shortcuts) = &self.shortcuts else { return };
        let ids: Vec<FlowId> = shortcuts.promotions.keys().copied().collect();
        for &id in &ids {
            self.leave_shortcut(now, id);
        }
        for id in ids {
            self.catch_up(id);
            self.table.record_mut(id).body.flags &= !FLAG_SHORTCUT;
        }
        self.shortcuts = None;
    }
}

/// Directions of the way out and of the way in.
fn directions(record: &FlowV4) -> [Direction; 2] {
    let out = if record.has(FLAG_INBOUND) { Direction::Reply } else { Direction::Original };
    [out, out.opposite()]
}

/// Whether nothing about a flow is out of the ordinary.
fn is_plain(record: &FlowV4) -> bool {
    match Protocol::from_number(record.body.protocol) {
        Some(Protocol::Tcp) => record.body.tcp.windows().is_some() && !record.has(FLAG_HAIRPIN),
        Some(Protocol::Udp) => !record.has(FLAG_HAIRPIN),
        Some(Protocol::Icmp) | None => false,
    }
}

/// What finds both directions and what is to be done with them; `None` while either has no way.
fn ways(snapshot: &Snapshot, record: &FlowV4) -> Option<[(Key, Action); 2]> {
    let body = &record.body;
    let (uplink, lan) = (snapshot.uplink(UplinkId(body.uplink))?, snapshot.lan(LanId(body.lan))?);
    let external = uplink.external?;
    let key = record.key()?;
    let (internal, remote) = (key.internal, key.remote);
    let [out_windows, in_windows] = match body.tcp.windows() {
        Some([original, reply]) if directions(record)[0] == Direction::Original => [original, reply],
        Some([original, reply]) => [reply, original],
        None => [Windows::default(); 2],
    };
    let out = Change { old: (internal.address, internal.port), new: (external, body.external_port) };
    let back = Change { old: out.new, new: out.old };
    let hop = Hop::of(lan.id);
    let leave = Leave::by_uplink(uplink)?;
    let enter = Leave::by_lan(lan, body.lan_mac)?;
    let link_source = body.lan_mac;
    Some([
        (
            find(lan.interface, body.protocol, out.old, (remote.address, remote.port))?,
            Action { link_source, windows: out_windows, mtu: uplink.mtu, ..leave.action(&out, hop) },
        ),
        (
            find(uplink.interface?, body.protocol, (remote.address, remote.port), back.old)?,
            Action { windows: in_windows, mtu: lan.mtu, ..enter.action(&back, hop) },
        ),
    ])
}

type Endpoint = (Ipv4Addr, u16);

fn find(interface: u32, protocol: u8, source: Endpoint, destination: Endpoint) -> Option<Key> {
    let raw = |address: Ipv4Addr| u64::from(u32::from_ne_bytes(address.octets()));
    let ([a, b], [c, d]) = (source.1.to_be_bytes(), destination.1.to_be_bytes());
    let ports = u64::from(u32::from_ne_bytes([a, b, c, d]));
    (interface < INTERFACE_LIMIT).then(|| Key {
        addresses: raw(source.0) << 32 | raw(destination.0),
        rest: ports << 32 | u64::from(interface) << 8 | u64::from(protocol),
    })
}

/// An endpoint, and what replaces it.
struct Change {
    old: Endpoint,
    new: Endpoint,
}

/// How packets leave.
struct Leave {
    egress: u32,
    flags: u16,
    redirection: u32,
    link_header: [u8; ETHERNET_LENGTH],
}

impl Leave {
    fn by_uplink(uplink: &Uplink) -> Option<Self> {
        let (gateway, own) = uplink.next_hop?;
        Some(Self { egress: uplink.interface?, flags: 0, redirection: 0, link_header: link_header(gateway.0, own.0) })
    }

    fn by_lan(lan: &Lan, host: [u8; 6]) -> Option<Self> {
        let egress = lan.interface;
        Some(match lan.link {
            LanLink::Tun => {
                let link_header = [0; ETHERNET_LENGTH];
                Self { egress, flags: LEAVES_BY_TUN, redirection: INTO_INTERFACE, link_header }
            }
            LanLink::Ethernet(own) => Self { egress, flags: 0, redirection: 0, link_header: link_header(host, own.0) },
        })
    }

    fn action(&self, change: &Change, hop: Hop) -> Action {
        let Change { old: (old, old_port), new: (new, port) } = *change;
        let [old_raw, new_raw] = [old, new].map(|address| u32::from_ne_bytes(address.octets()));
        let pseudo_difference = add(!old_raw, new_raw);
        // RFC 1624: the word of which the time to live is the upper byte loses one there.
        let hop_difference = u32::from(!u16::from_ne_bytes([1, 0]));
        let (counts, counted) = if hop == Hop::Ours { (COUNTS_HOP, hop_difference) } else { (0, 0) };
        Action {
            flags: self.flags | counts | if old_port == port { 0 } else { CHANGES_PORT },
            egress: self.egress,
            redirection: self.redirection,
            address: new.octets(),
            port: port.to_be_bytes(),
            old_port: old_port.to_be_bytes(),
            header_difference: add(pseudo_difference, counted),
            pseudo_difference,
            link_header: self.link_header,
            ..Action::default()
        }
    }
}

fn link_header(destination: [u8; 6], source: [u8; 6]) -> [u8; ETHERNET_LENGTH] {
    let mut header = [0; ETHERNET_LENGTH];
    header[..6].copy_from_slice(&destination);
    header[6..12].copy_from_slice(&source);
    header[12..].copy_from_slice(&ETHERTYPE_IPV4.to_be_bytes());
    header
}

/// The sum of two sums, in ones' complement.
fn add(first: u32, second: u32) -> u32 {
    let (sum, carried) = first.overflowing_add(second);
    sum + u32::from(carried)
}
