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

use super::hop::Hop;
use crate::flow::direction::Direction;
use crate::flow::record::{FLAG_HAIRPIN, FLAG_INBOUND};
use crate::flow::tcp::Windows;
use crate::flow::{FlowId, FlowV4, Protocol, Timestamp};
use crate::placement::{AddressOwner, Lan, LanId, LanLink, NextHop, Snapshot, Uplink, UplinkId};
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
}

/// A flow in the shortcut, or that was there until a moment ago. Arrays have the way out first, then the way in.
#[derive(Clone, Copy, Debug)]
struct Promotion {
    places: [Place; 2],
    /// What was told of it already.
    told: [Seen; 2],
    since: Timestamp,
    /// When it left; its entries rest.
    left: Option<Timestamp>,
}

/// What the programs have carried since they were last asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct News {
    /// To the internet.
    pub(super) out: Traffic,
    /// From it.
    pub(super) back: Traffic,
    /// Packets that were dropped because the kernel had no memory to change them.
    pub(super) failed: u64,
    /// When the last packet of either came.
    pub(super) last: Timestamp,
}

/// One direction's packets and bytes as the wire counts, and what its sender has said so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Traffic {
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) segments: Segments,
    pub(super) windows: Windows,
}

/// TCP segments with data, as the wire counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Segments {
    pub(super) all: u64,
    /// Those whose data was sent before.
    pub(super) repeated: u64,
}

/// What is to become of a flow that has been looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It stays where it is.
    Unchanged,
    /// Nothing has come for it: it should leave.
    Idle,
    /// It had left, and has nothing more to do with the shortcut.
    Gone,
}

impl Shortcuts {
    pub(super) fn new(table: ShortcutTable) -> Self {
        let (promotions, resting) = (HashMap::with_capacity(MOST_FLOWS), Vec::with_capacity(MOST_FLOWS));
        Self { table, promotions, resting, next_visit: Timestamp::default() }
    }

    fn is_empty(&self) -> bool {
        self.promotions.is_empty() && self.resting.is_empty()
    }

    /// When [`Self::start_visit`] has something to do; `None`: when something has happened, not before.
    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        (!self.is_empty()).then_some(self.next_visit)
    }

    /// Whether a flow that has had `packets` more, and `total` with them, is to be offered now.
    pub(super) fn is_time_to_offer(total: u64, packets: u64) -> bool {
        total / BUSY != total.saturating_sub(packets) / BUSY
    }

    /// Takes a flow in, if it is plain and there is room. Says whether it did.
    pub(super) fn offer(&mut self, now: Timestamp, snapshot: &Snapshot, id: FlowId, record: &FlowV4) -> bool {
        if self.promotions.len() + self.resting.len() >= MOST_FLOWS || !is_plain(record) || snapshot.generation == 0 {
            return false;
        }
        let Some(places) = ways(snapshot, record).and_then(|ways| self.fill(snapshot.generation, &ways)) else {
            return false;
        };
        if self.is_empty() {
            self.next_visit = now + VISIT_INTERVAL;
        }
        self.promotions.insert(id, Promotion { places, told: [Seen::default(); 2], since: now, left: None });
        true
    }

    /// Claims, writes and starts entries for both directions.
    fn fill(&self, generation: u32, ways: &[(Key, Action); 2]) -> Option<[Place; 2]> {
        let out = self.table.claim(ways[0].0)?;
        let Some(back) = self.table.claim(ways[1].0) else {
            self.table.free(out);
            return None;
        };
        for ((place, peer), (key, action)) in [(out, back), (back, out)].into_iter().zip(ways) {
            self.table.write(place, peer, *key, action);
        }
        for (place, (key, _)) in [out, back].into_iter().zip(ways) {
            self.table.start(place, *key, generation);
        }
        Some([out, back])
    }

    /// Whether a flow's entries were made for another state of the world.
    pub(super) fn is_stale(&self, id: FlowId, generation: u32) -> bool {
        let promotion = self.promotions.get(&id).filter(|promotion| promotion.left.is_none());
        promotion.is_some_and(|promotion| self.table.generation_of(promotion.places[0]) != generation)
    }

    /// What has been carried since the last call.
    pub(super) fn news(&mut self, id: FlowId) -> Option<News> {
        let promotion = self.promotions.get_mut(&id)?;
        let now = promotion.places.map(|place| self.table.seen(place));
        let before = std::mem::replace(&mut promotion.told, now);
        // Small counters go round.
        let more = |now: u32, before: u32| u64::from(now.wrapping_sub(before));
        let traffic = |way: usize| Traffic {
            packets: more(now[way].packets, before[way].packets),
            bytes: now[way].bytes - before[way].bytes,
            segments: Segments {
                all: more(now[way].segments, before[way].segments),
                repeated: more(now[way].repeated, before[way].repeated),
            },
            windows: now[way].windows,
        };
        let failed = |way: usize| u64::from(now[way].failed.wrapping_sub(before[way].failed));
        let last = Timestamp::from_millis(now[0].last.max(now[1].last));
        Some(News { out: traffic(0), back: traffic(1), failed: failed(0) + failed(1), last })
    }

    /// From now on all packets of the flow come to the worker again. Says whether it was in the shortcut until now.
    pub(super) fn leave(&mut self, now: Timestamp, id: FlowId) -> bool {
        let Some(promotion) = self.promotions.get_mut(&id).filter(|promotion| promotion.left.is_none()) else {
            return false;
        };
        promotion.left = Some(now);
        promotion.places.iter().for_each(|place| self.table.end(*place));
        true
    }

    /// Forgets a flow that has left, whose record goes away.
    pub(super) fn forget(&mut self, now: Timestamp, id: FlowId) {
        if let Some(promotion) = self.promotions.remove(&id) {
            self.resting.push((now, promotion.places));
        }
    }

    /// Every flow that is or was a moment ago in the shortcut.
    pub(super) fn flows(&self) -> Vec<FlowId> {
        self.promotions.keys().copied().collect()
    }

    /// Whether it is time to look at all flows. If so, frees what has rested.
    pub(super) fn start_visit(&mut self, now: Timestamp) -> bool {
        if now < self.next_visit || self.is_empty() {
            return false;
        }
        self.next_visit = now + VISIT_INTERVAL;
        let table = &self.table;
        self.resting.retain(|(since, places)| {
            let rests = now.since(*since) < REST;
            if !rests {
                places.iter().for_each(|place| table.free(*place));
            }
            rests
        });
        true
    }

    /// Looks at one flow, after its news were heard.
    pub(super) fn visit(&mut self, now: Timestamp, id: FlowId) -> Standing {
        let Some(promotion) = self.promotions.get(&id).copied() else { return Standing::Gone };
        let [out, back] = promotion.told;
        let last = Timestamp::from_millis(out.last.max(back.last)).max(promotion.since);
        match promotion.left {
            Some(left) if now.since(left) >= REST => {
                self.promotions.remove(&id);
                promotion.places.iter().for_each(|place| self.table.free(*place));
                Standing::Gone
            }
            None if now.since(last) >= IDLE => Standing::Idle,
            _ => Standing::Unchanged,
        }
    }
}

/// Directions of the way out and of the way in.
pub(super) fn directions(record: &FlowV4) -> [Direction; 2] {
    let out = if record.has(FLAG_INBOUND) { Direction::Reply } else { Direction::Original };
    [out, out.opposite()]
}

/// Whether nothing about a flow is out of the ordinary.
pub(super) fn is_plain(record: &FlowV4) -> bool {
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
        // The programs do not write PPPoE's header, and on an address that the kernel has too they only say whose a packet is.
        let NextHop::Ethernet { gateway, own } = uplink.next_hop.filter(|_| uplink.owner == AddressOwner::Router)?
        else {
            return None;
        };
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
