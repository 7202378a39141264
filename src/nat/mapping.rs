//! NAT mappings (RFC 4787, 5382). Theory of operation:
//!
//! A mapping ties an internal endpoint to an external port of one uplink; every flow of that endpoint uses it, whatever
//! its destination (RFC 4787 REQ-1). The table of mappings is an array with a slot for every external port that the
//! worker owns, so a packet from the internet finds its host by arithmetic. The other way, a hash index finds the
//! mapping of an internal endpoint; it is needed for a flow's first packet only.
//!
//! A mapping lives as long as its flows. After the last it rests: only its own host may have it again, until
//! [`REST`] has passed (RFC 6888 REQ-8), unless that flow was TCP and seen to end. The clock's hand of
//! [`Mappings::sweep`] frees what has rested.
//!
//! What it does not do: count time for live mappings (flows do), or move a mapping to another uplink.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;

use super::holders::{Holder, PortsHeld};
use super::ports::{PortBounds, PortSlice, TakenPorts};
use crate::flow::hash::HashKey;
use crate::flow::index::SlotIndex;
use crate::flow::record::{EndpointV4, Tick};
use crate::flow::{Protocol, Timestamp};
use crate::placement::{Forwards, UplinkId, UplinkSet};
use crate::sys::prefetch::prefetch;

/// How long a port stays with its host after its last flow (RFC 6888 REQ-8: 120 s).
pub const REST: Duration = Duration::from_secs(120);

/// An external port of an uplink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mapping {
    /// The transport.
    pub protocol: Protocol,
    /// The uplink.
    pub uplink: UplinkId,
    /// The port, or ICMP identifier, that the internet sees.
    pub external_port: u16,
}

/// One slot: who has the port.
#[derive(Clone, Copy, Debug)]
struct Slot {
    internal: EndpointV4,
    /// Live flows; 0 in a slot that is free or rests.
    flows: u32,
    /// When a rest ends; meaningless while flows live.
    rests_until: Tick,
    /// Whom the port is counted for: [`NOBODY`] until its first flow, [`UNTAKEN`] in a slot that is free.
    holder: Holder,
}

const UNTAKEN: Holder = Holder::MAX;
const NOBODY: Holder = Holder::MAX - 1;

impl Slot {
    const fn is_taken(&self) -> bool {
        self.holder != UNTAKEN
    }
}

const FREE: Slot = Slot {
    internal: EndpointV4 { address: Ipv4Addr::UNSPECIFIED, port: 0 },
    flows: 0,
    rests_until: Tick::ZERO,
    holder: UNTAKEN,
};

const _: () = assert!(size_of::<Slot>() <= 16, "an uplink has 196,608 of them");

/// How a mapping's last flow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Both sides know: the port may be used again at once.
    Seen,
    /// By silence: the far end may still send.
    Silent,
}

/// The mappings of one worker.
#[derive(Debug)]
pub struct Mappings {
    slice: PortSlice,
    /// For each uplink and protocol, a slot for each port of the slice.
    slots: Vec<Slot>,
    taken: Vec<TakenPorts>,
    /// Slot numbers by internal endpoint: the mapping that a new flow of it uses.
    by_internal: SlotIndex,
    /// Their ports are given to nobody.
    forwards: Arc<Forwards>,
    hash: HashKey,
    random: ChaCha8Rng,
    hand: usize,
    held: Arc<PortsHeld>,
}

impl Mappings {
    /// No mappings yet, for `uplinks` uplinks. All memory is taken now.
    #[must_use]
    pub fn new(slice: PortSlice, uplinks: usize, hash: HashKey, random: ChaCha8Rng) -> Self {
        let tables = uplinks * Protocol::ALL.len();
        let slots = vec![FREE; tables * slice.slots()];
        let by_internal = SlotIndex::with_capacity(slots.len());
        let taken = (0..tables).map(|_| TakenPorts::new(slice)).collect();
        let (forwards, held) = (Arc::default(), Arc::default());
        Self { slice, slots, taken, by_internal, forwards, hash, random, hand: 0, held }
    }

    /// From now on, ports that [`Self::hold`] names a holder for are counted in `held`.
    #[must_use]
    pub fn counted_in(self, held: Arc<PortsHeld>) -> Self {
        Self { held, ..self }
    }

    /// Makes room for `uplinks` uplinks, where there is less; what is there stays. Takes memory, and time in proportion to it.
    pub fn make_room(&mut self, uplinks: usize) {
        let tables = uplinks * Protocol::ALL.len();
        if tables <= self.taken.len() {
            return;
        }
        let slots = tables * self.slice.slots();
        let mut by_internal = SlotIndex::with_capacity(slots);
        for (number, slot) in (0..).zip(&self.slots).filter(|(_, slot)| slot.is_taken()) {
            let Some(Mapping { protocol, uplink, .. }) = self.mapping(number as usize) else { continue };
            // Of several mappings that a host has on an uplink, new flows use one.
            if self.find_number(protocol, slot.internal, UplinkSet::of(uplink)) == Some(number) {
                let is_indexed = by_internal.insert(self.hash_of(protocol, slot.internal), number);
                debug_assert!(is_indexed, "the index has room for every slot");
            }
        }
        self.by_internal = by_internal;
        self.slots.resize(slots, FREE);
        self.taken.resize_with(tables, || TakenPorts::new(self.slice));
    }

    /// From now on, new mappings of an uplink have ports within `bounds`. Those that it has stay.
    pub fn set_bounds(&mut self, uplink: UplinkId, bounds: &PortBounds) {
        for protocol in Protocol::ALL {
            let table = Self::table(protocol, uplink);
            let Some(taken) = self.taken.get_mut(table) else { return };
            *taken = TakenPorts::within(self.slice, bounds);
            let slots = &self.slots[table * self.slice.slots()..][..self.slice.slots()];
            let live = slots.iter().enumerate().filter(|(_, slot)| slot.is_taken());
            live.for_each(|(slot, _)| taken.take(slot));
        }
    }

    /// From now on, new mappings have none of the ports that are forwarded. Those that have one keep it.
    pub fn heed(&mut self, forwards: &Arc<Forwards>) {
        if !Arc::ptr_eq(&self.forwards, forwards) {
            self.forwards = Arc::clone(forwards);
        }
    }

    fn table(protocol: Protocol, uplink: UplinkId) -> usize {
        uplink.index() * Protocol::ALL.len() + protocol.index()
    }

    fn slot_number(&self, mapping: Mapping) -> Option<usize> {
        let number = Self::table(mapping.protocol, mapping.uplink) * self.slice.slots()
            + self.slice.slot(mapping.external_port)?;
        (number < self.slots.len()).then_some(number)
    }

    fn mapping(&self, number: usize) -> Option<Mapping> {
        let (table, slot) = (number / self.slice.slots(), number % self.slice.slots());
        let (uplink, protocol) = (table / Protocol::ALL.len(), table % Protocol::ALL.len());
        Some(Mapping {
            protocol: Protocol::ALL[protocol],
            uplink: UplinkId(u8::try_from(uplink).ok()?),
            external_port: self.slice.port(slot)?,
        })
    }

    fn hash_of(&self, protocol: Protocol, internal: EndpointV4) -> u64 {
        self.hash.hash(u64::from(internal.port) << 8 | u64::from(protocol as u8), u32::from(internal.address).into())
    }

    /// The number of the slot on one of `uplinks` that new flows of `internal` use.
    fn find_number(&self, protocol: Protocol, internal: EndpointV4, uplinks: UplinkSet) -> Option<u32> {
        let (slots, protocols) = (self.slice.slots(), Protocol::ALL.len());
        let is_it = |number: u32| {
            let (number, table) = (number as usize, number as usize / slots);
            #[expect(clippy::cast_possible_truncation, reason = "there are 32 uplinks at most")]
            let uplink = UplinkId((table / protocols) as u8);
            table % protocols == protocol.index() && uplinks.contains(uplink) && self.slots[number].internal == internal
        };
        self.by_internal.find(self.hash_of(protocol, internal), is_it)
    }

    /// The mapping on one of `uplinks` that new flows of `internal` use, live or resting; if it rests on a port that is forwarded
    /// by now, none.
    #[must_use]
    pub fn find(&self, protocol: Protocol, internal: EndpointV4, uplinks: UplinkSet) -> Option<Mapping> {
        let number = self.find_number(protocol, internal, uplinks)? as usize;
        let mapping = self.mapping(number)?;
        let is_its =
            self.slots[number].flows > 0 || !self.forwards.has(mapping.uplink, protocol, mapping.external_port);
        is_its.then_some(mapping)
    }

    /// The host behind an external port that has a live flow.
    #[must_use]
    pub fn internal(&self, mapping: Mapping) -> Option<EndpointV4> {
        let slot = &self.slots[self.slot_number(mapping)?];
        (slot.flows > 0).then_some(slot.internal)
    }

    /// Makes a mapping on `uplink`, which the next flows of `internal` use instead of any on `superseded` uplinks; those live
    /// on until their flows end. `None` when no port of the class is free. Call [`Self::add_flow`] next.
    pub fn open(
        &mut self,
        protocol: Protocol,
        uplink: UplinkId,
        internal: EndpointV4,
        superseded: UplinkSet,
    ) -> Option<Mapping> {
        let table = Self::table(protocol, uplink);
        let is_forwarded = |port| self.forwards.has(uplink, protocol, port);
        let slot = self.taken.get_mut(table)?.choose(internal.port, &mut self.random, is_forwarded)?;
        let number = table * self.slice.slots() + slot;
        self.occupy(number, protocol, internal, superseded.union(UplinkSet::of(uplink)));
        self.mapping(number)
    }

    /// Makes the very mapping that an earlier run had; `false` when somebody else has the port.
    pub fn restore(&mut self, mapping: Mapping, internal: EndpointV4) -> bool {
        let Some(number) = self.slot_number(mapping) else { return false };
        let slot = &self.slots[number];
        if slot.is_taken() {
            return slot.internal == internal;
        }
        self.taken[number / self.slice.slots()].take(number % self.slice.slots());
        self.occupy(number, mapping.protocol, internal, UplinkSet::of(mapping.uplink));
        true
    }

    fn occupy(&mut self, number: usize, protocol: Protocol, internal: EndpointV4, superseded: UplinkSet) {
        while let Some(older) = self.find_number(protocol, internal, superseded) {
            self.forget_internal(older as usize);
        }
        self.slots[number] = Slot { internal, holder: NOBODY, ..FREE };
        #[expect(clippy::cast_possible_truncation, reason = "32 uplinks have 6,291,456 slots")]
        let number = number as u32;
        let is_indexed = self.by_internal.insert(self.hash_of(protocol, internal), number);
        debug_assert!(is_indexed, "the index has room for every slot");
    }

    fn forget_internal(&mut self, number: usize) {
        let protocol = Protocol::ALL[number / self.slice.slots() % Protocol::ALL.len()];
        let hash = self.hash_of(protocol, self.slots[number].internal);
        #[expect(clippy::cast_possible_truncation, reason = "32 uplinks have 6,291,456 slots")]
        self.by_internal.remove(hash, number as u32);
    }

    /// Asks for the slot that [`Self::internal`] will need.
    pub fn prefetch(&self, mapping: Mapping) {
        if let Some(number) = self.slot_number(mapping) {
            prefetch(&self.slots[number]);
        }
    }

    /// Live flows of the mapping.
    #[must_use]
    pub fn flows(&self, mapping: Mapping) -> u32 {
        self.slot_number(mapping).map_or(0, |number| self.slots[number].flows)
    }

    /// Counts a flow of the mapping.
    pub fn add_flow(&mut self, mapping: Mapping) {
        if let Some(number) = self.slot_number(mapping) {
            self.slots[number].flows += 1;
        }
    }

    /// Counts the mapping's port for `holder` until it is free again, if it is counted for nobody yet.
    pub fn hold(&mut self, mapping: Mapping, holder: Holder) {
        let Some(number) = self.slot_number(mapping) else { return };
        let slot = &mut self.slots[number];
        if slot.holder == NOBODY && holder < NOBODY {
            slot.holder = holder;
            self.held.add(holder);
        }
    }

    /// Counts the end of a flow of the mapping. After the last the port rests, or is free at once.
    pub fn remove_flow(&mut self, now: Timestamp, mapping: Mapping, ending: Ending) {
        let Some(number) = self.slot_number(mapping) else { return };
        let slot = &mut self.slots[number];
        slot.flows = slot.flows.saturating_sub(1);
        if slot.flows == 0 {
            match ending {
                Ending::Seen => self.free(number),
                Ending::Silent => slot.rests_until = Tick::after(now + REST),
            }
        }
    }

    fn free(&mut self, number: usize) {
        self.forget_internal(number);
        // Of no holder's number, nothing is counted.
        self.held.take_away(self.slots[number].holder);
        self.slots[number] = FREE;
        self.taken[number / self.slice.slots()].free(number % self.slice.slots());
    }

    /// Moves the clock's hand over `budget` slots and frees those that have rested.
    pub fn sweep(&mut self, now: Timestamp, budget: usize) {
        let now = Tick::at(now);
        for _ in 0..budget.min(self.slots.len()) {
            let number = self.hand;
            self.hand = if number + 1 >= self.slots.len() { 0 } else { number + 1 };
            let slot = &self.slots[number];
            if slot.is_taken() && slot.flows == 0 && slot.rests_until <= now {
                self.free(number);
            }
        }
    }

    /// How many slots the clock's hand passes in one round.
    #[must_use]
    pub fn round(&self) -> usize {
        self.slots.len()
    }

    /// Whether no port is taken, so that nothing needs sweeping.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_internal.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::WorkerId;
    use rand_chacha::rand_core::SeedableRng;

    const DSL1: UplinkId = UplinkId(0);
    const DSL2: UplinkId = UplinkId(1);

    fn mappings() -> Mappings {
        Mappings::new(PortSlice::new(WorkerId(0), 1), 2, HashKey::new(1), ChaCha8Rng::seed_from_u64(3))
    }

    fn host(last: u8, port: u16) -> EndpointV4 {
        EndpointV4 { address: Ipv4Addr::new(192, 168, 10, last), port }
    }

    #[test]
    fn port_is_kept_and_never_shared_between_hosts() {
        let mut mappings = mappings();
        let first = mappings.open(Protocol::Udp, DSL1, host(20, 5060), UplinkSet::ALL).unwrap();
        mappings.add_flow(first);
        let second = mappings.open(Protocol::Udp, DSL1, host(21, 5060), UplinkSet::ALL).unwrap();
        mappings.add_flow(second);
        assert_eq!(first.external_port, 5060);
        assert_ne!(second.external_port, 5060);
        assert_eq!(mappings.internal(second), Some(host(21, 5060)));
        assert_eq!(mappings.find(Protocol::Udp, host(20, 5060), UplinkSet::ALL), Some(first));
        assert_eq!(mappings.find(Protocol::Tcp, host(20, 5060), UplinkSet::ALL), None);
    }

    #[test]
    fn silent_port_rests_for_its_host_alone() {
        let mut mappings = mappings();
        let start = Timestamp::from_millis(1_000);
        let first = mappings.open(Protocol::Udp, DSL1, host(20, 4000), UplinkSet::ALL).unwrap();
        mappings.add_flow(first);
        mappings.remove_flow(start, first, Ending::Silent);
        assert_eq!(mappings.internal(first), None);
        assert_eq!(mappings.find(Protocol::Udp, host(20, 4000), UplinkSet::ALL), Some(first));
        assert_ne!(mappings.open(Protocol::Udp, DSL1, host(21, 4000), UplinkSet::ALL).unwrap().external_port, 4000);
        let round = mappings.round();
        mappings.sweep(start + REST, round);
        assert_eq!(mappings.find(Protocol::Udp, host(20, 4000), UplinkSet::ALL), None);
        assert_eq!(mappings.open(Protocol::Udp, DSL1, host(22, 4000), UplinkSet::ALL).unwrap().external_port, 4000);
    }

    #[test]
    fn port_of_a_tcp_flow_seen_to_end_is_free_at_once() {
        let mut mappings = mappings();
        let first = mappings.open(Protocol::Tcp, DSL1, host(20, 4000), UplinkSet::ALL).unwrap();
        mappings.add_flow(first);
        mappings.add_flow(first);
        mappings.remove_flow(Timestamp::default(), first, Ending::Seen);
        assert!(mappings.internal(first).is_some());
        mappings.remove_flow(Timestamp::default(), first, Ending::Seen);
        assert_eq!(mappings.open(Protocol::Tcp, DSL1, host(21, 4000), UplinkSet::ALL).unwrap().external_port, 4000);
        assert!(!mappings.is_empty());
    }

    #[test]
    fn newer_mapping_on_another_uplink_leaves_the_older_its_flows() {
        let mut mappings = mappings();
        let older = mappings.open(Protocol::Tcp, DSL1, host(20, 4000), UplinkSet::ALL).unwrap();
        mappings.add_flow(older);
        let newer = mappings.open(Protocol::Tcp, DSL2, host(20, 4000), UplinkSet::ALL).unwrap();
        mappings.add_flow(newer);
        assert_eq!(mappings.find(Protocol::Tcp, host(20, 4000), UplinkSet::ALL), Some(newer));
        assert_eq!(mappings.internal(older), Some(host(20, 4000)));
        mappings.remove_flow(Timestamp::default(), older, Ending::Seen);
        assert_eq!(mappings.find(Protocol::Tcp, host(20, 4000), UplinkSet::ALL), Some(newer));
    }

    #[test]
    fn endpoint_has_a_mapping_for_flows_of_each_kind() {
        let mut mappings = mappings();
        let [bulk, isolated] = [DSL1, DSL2].map(UplinkSet::of);
        let first = mappings.open(Protocol::Udp, DSL1, host(20, 4000), bulk).unwrap();
        let second = mappings.open(Protocol::Udp, DSL2, host(20, 4000), isolated).unwrap();
        assert_eq!(mappings.find(Protocol::Udp, host(20, 4000), bulk), Some(first));
        assert_eq!(mappings.find(Protocol::Udp, host(20, 4000), isolated), Some(second));
    }

    #[test]
    fn ports_are_counted_for_their_holders_until_they_are_free() {
        let held = Arc::new(PortsHeld::new(8));
        let mut mappings = mappings().counted_in(Arc::clone(&held));
        let start = Timestamp::from_millis(1_000);
        let of_a = mappings.open(Protocol::Udp, DSL1, host(20, 4_000), UplinkSet::ALL).unwrap();
        let of_b = mappings.open(Protocol::Tcp, DSL2, host(21, 4_000), UplinkSet::ALL).unwrap();
        for (mapping, holder) in [(of_a, 3), (of_a, 3), (of_b, 5)] {
            mappings.add_flow(mapping);
            mappings.hold(mapping, holder);
        }
        assert_eq!((held.of(3), held.of(5), held.of(4)), (1, 1, 0));
        mappings.remove_flow(start, of_b, Ending::Seen);
        mappings.remove_flow(start, of_a, Ending::Silent);
        mappings.remove_flow(start, of_a, Ending::Silent);
        assert_eq!((held.of(3), held.of(5)), (1, 0), "a port that rests is still its host's");
        let round = mappings.round();
        mappings.sweep(start + REST, round);
        assert_eq!(held.of(3), 0);
    }

    #[test]
    fn restored_port_belongs_to_one_host() {
        let mut mappings = mappings();
        let mapping = Mapping { protocol: Protocol::Tcp, uplink: DSL2, external_port: 777 };
        assert!(mappings.restore(mapping, host(20, 4000)));
        assert!(mappings.restore(mapping, host(20, 4000)));
        assert!(!mappings.restore(mapping, host(21, 4000)));
    }
    #[test]
    fn room_for_another_uplink_leaves_every_mapping_as_it_was() {
        let mut mappings = mappings();
        let older = mappings.open(Protocol::Udp, DSL1, host(1, 5_000), UplinkSet::ALL).unwrap();
        mappings.add_flow(older);
        let newer = mappings.open(Protocol::Udp, DSL2, host(1, 5_000), UplinkSet::ALL).unwrap();
        mappings.add_flow(newer);
        let added = UplinkId(4);
        assert_eq!(mappings.open(Protocol::Udp, added, host(2, 6_000), UplinkSet::ALL), None);
        mappings.make_room(5);
        assert_eq!((mappings.internal(older), mappings.internal(newer)), (Some(host(1, 5_000)), Some(host(1, 5_000))));
        assert_eq!(mappings.find(Protocol::Udp, host(1, 5_000), UplinkSet::ALL), Some(newer));
        let there = mappings.open(Protocol::Udp, added, host(2, 6_000), UplinkSet::ALL).unwrap();
        assert_eq!((there.uplink, there.external_port), (added, 6_000));
        mappings.make_room(2);
        assert_eq!(mappings.find(Protocol::Udp, host(2, 6_000), UplinkSet::ALL), Some(there));
        assert_eq!(mappings.round(), 5 * 3 * 65_536);
    }
}
