//! The flow table: a slab of records and an index over it. Theory of operation:
//!
//! The slab is a fixed array of [`FlowV4`], in a mapped file where the router wants its flows to outlive it. Free
//! records form a list through their `expires` field. The index finds slab positions by hash; it is sized at the start for
//! a full slab, so nothing is allocated later.
//!
//! Expiry is lazy: a record says when it dies, look-ups do not find the dead, and [`FlowTable::next_expired`] walks the
//! slab like a clock's hand, a bounded stretch a call. Nobody keeps timers, so a packet of a known flow writes nothing
//! but its own record.

use super::hash::HashKey;
use super::index::SlotIndex;
use super::record::{FlowKey, FlowV4, Tick};
use super::time::Timestamp;
use crate::sys::prefetch::prefetch;
use crate::sys::slab::Slab;

/// A flow's place in the slab of its worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowId(u32);

/// End of the list of free records.
const NONE: u32 = u32::MAX;

/// The table of one worker. It owns its part of the slab.
#[derive(Debug)]
pub struct FlowTable {
    slab: Slab<FlowV4>,
    index: SlotIndex,
    hash: HashKey,
    /// First record of the list of those that were used and are free again.
    free: u32,
    /// Records from here on were never used.
    untouched: u32,
    /// Where the clock's hand stands.
    hand: u32,
}

impl FlowTable {
    /// An empty table over `slab`, which must be all zeros.
    ///
    /// # Panics
    /// When the slab has 2^32 records or more.
    #[must_use]
    pub fn new(slab: Slab<FlowV4>, hash: HashKey) -> Self {
        assert!(slab.len() < NONE as usize, "record numbers are 32 bits");
        let index = SlotIndex::with_capacity(slab.len());
        Self { slab, index, hash, free: NONE, untouched: 0, hand: 0 }
    }

    /// Flows in the table, the dead not yet swept among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Most flows that fit.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.slab.len()
    }

    /// Finds a flow as [`Self::find`] does, and looks first where [`Self::prefetch_record`] said it would be.
    #[must_use]
    pub fn find_near(&self, likely: Option<FlowId>, key: &FlowKey) -> Option<FlowId> {
        likely.filter(|&id| self.record(id).is_for(key)).or_else(|| self.find(key))
    }

    fn hash_of(&self, key: &FlowKey) -> u64 {
        let addresses = u64::from(u32::from(key.internal.address)) << 32 | u64::from(u32::from(key.remote.address));
        let ports =
            u64::from(key.internal.port) << 32 | u64::from(key.remote.port) << 16 | u64::from(key.protocol as u8);
        self.hash.hash(ports, addresses)
    }

    /// Finds a flow, dead ones too.
    #[must_use]
    pub fn find(&self, key: &FlowKey) -> Option<FlowId> {
        self.index.find(self.hash_of(key), |at| self.slab[at as usize].is_for(key)).map(FlowId)
    }

    /// Asks for the cache line of the index that [`Self::find`] will need for `key`. Returns what
    /// [`Self::prefetch_record`] wants once that line is there.
    #[must_use]
    pub fn prefetch_index(&self, key: &FlowKey) -> u64 {
        let hash = self.hash_of(key);
        self.index.prefetch(hash);
        hash
    }

    /// Asks for the record that [`Self::find`] will most likely find, and says which it is.
    pub fn prefetch_record(&self, hash: u64) -> Option<FlowId> {
        let at = self.index.likely(hash)?;
        let record = self.slab.get(at as usize)?;
        prefetch(record);
        // Records lie across two cache lines, or three.
        prefetch(&record.remote);
        Some(FlowId(at))
    }

    /// Adds a flow whose key is not in the table; `None` when the table is full, or the record is no flow's.
    pub fn insert(&mut self, record: FlowV4) -> Option<FlowId> {
        let hash = self.hash_of(&record.key()?);
        let at = self.allocate()?;
        if !self.index.insert(hash, at) {
            self.release(at);
            return None;
        }
        self.slab[at as usize] = record;
        Some(FlowId(at))
    }

    fn allocate(&mut self) -> Option<u32> {
        if self.free != NONE {
            let at = self.free;
            self.free = self.slab[at as usize].body.expires.link();
            return Some(at);
        }
        if (self.untouched as usize) < self.slab.len() {
            self.untouched += 1;
            return Some(self.untouched - 1);
        }
        None
    }

    /// Removes a flow and returns its record.
    pub fn remove(&mut self, id: FlowId) -> FlowV4 {
        let record = self.slab[id.0 as usize];
        if let Some(key) = record.key()
            && self.index.remove(self.hash_of(&key), id.0)
        {
            self.release(id.0);
        }
        record
    }

    fn release(&mut self, at: u32) {
        let mut free = FlowV4::default();
        free.body.expires = Tick::from_link(self.free);
        self.slab[at as usize] = free;
        self.free = at;
    }

    /// The record of a flow.
    #[must_use]
    pub fn record(&self, id: FlowId) -> &FlowV4 {
        &self.slab[id.0 as usize]
    }

    /// The record of a flow, to be changed except for its key.
    pub fn record_mut(&mut self, id: FlowId) -> &mut FlowV4 {
        &mut self.slab[id.0 as usize]
    }

    /// Moves the clock's hand over at most `budget` records and stops at one that has expired. Takes what it used off
    /// `budget`; `None` with a budget of zero means that the stretch is done.
    pub fn next_expired(&mut self, now: Timestamp, budget: &mut u32) -> Option<FlowId> {
        let now = Tick::at(now);
        while *budget > 0 && self.untouched > 0 {
            *budget -= 1;
            let at = self.hand;
            self.hand = if at + 1 >= self.untouched { 0 } else { at + 1 };
            let body = &self.slab[at as usize].body;
            if body.protocol != 0 && body.expires <= now {
                return Some(FlowId(at));
            }
        }
        *budget = 0;
        None
    }

    /// How many records the clock's hand passes in one round.
    #[must_use]
    pub fn round(&self) -> u32 {
        self.untouched
    }

    /// Records from position `from` on, with their positions.
    pub fn records_from(&self, from: u32) -> impl Iterator<Item = (u32, &FlowV4)> {
        (from..self.untouched).map(|at| (at, &self.slab[at as usize])).filter(|(_, record)| record.body.protocol != 0)
    }
}
