//! What each uplink has to do and what it can do, over all workers: what placement goes by.
//!
//! Touched when a flow or a transfer begins or ends, when the transfers are looked at (four times a second) and when the
//! daemon has learned something; never by a packet. It is no part of the snapshot, for a changed snapshot ends the shortcut of
//! busy flows, and none of this concerns flows that have their line.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crossbeam::utils::CachePadded;

use super::ids::{MAX_UPLINKS, UplinkId};

/// A line counts as full from this share of what it can do, in percent.
const FULL_PERCENT: u64 = 90;

/// What goes over a line or could, in bits a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// From the internet.
    pub download: u64,
    /// To the internet.
    pub upload: u64,
}

/// What is known of a line beside its flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Knowledge {
    /// What it can carry, given or learned; 0: nobody knows.
    pub capacity: Rates,
    /// What placement reckons with: the capacity, or what weights say instead; 0: nothing is known.
    pub speed: Rates,
    /// What a round trip takes, in milliseconds.
    pub delay_ms: u32,
    /// Packets lost, of a thousand.
    pub loss_permille: u32,
}

/// Both directions of something that is counted.
#[derive(Debug, Default)]
struct Both {
    download: AtomicU64,
    upload: AtomicU64,
}

impl Both {
    fn rates(&self) -> Rates {
        Rates { download: self.download.load(Ordering::Relaxed), upload: self.upload.load(Ordering::Relaxed) }
    }

    fn set(&self, rates: Rates) {
        self.download.store(rates.download, Ordering::Relaxed);
        self.upload.store(rates.upload, Ordering::Relaxed);
    }

    fn add(&self, rates: Rates) {
        self.download.fetch_add(rates.download, Ordering::Relaxed);
        self.upload.fetch_add(rates.upload, Ordering::Relaxed);
    }

    fn subtract(&self, rates: Rates) {
        self.download.fetch_sub(rates.download, Ordering::Relaxed);
        self.upload.fetch_sub(rates.upload, Ordering::Relaxed);
    }
}

/// What each uplink has to do and can do.
#[derive(Debug)]
pub struct Load {
    uplinks: [CachePadded<UplinkLoad>; MAX_UPLINKS],
}

#[derive(Debug, Default)]
struct UplinkLoad {
    flows: AtomicU32,
    transfers: AtomicU32,
    settled: AtomicU32,
    moving: Both,
    moving_settled: Both,
    capacity: Both,
    speed: Both,
    delay_ms: AtomicU32,
    loss_permille: AtomicU32,
}

impl Default for Load {
    fn default() -> Self {
        Self { uplinks: std::array::from_fn(|_| CachePadded::default()) }
    }
}

impl Load {
    fn of(&self, uplink: UplinkId) -> &UplinkLoad {
        &self.uplinks[uplink.index()]
    }

    /// Live flows of an uplink.
    #[must_use]
    pub fn flows(&self, uplink: UplinkId) -> u32 {
        self.of(uplink).flows.load(Ordering::Relaxed)
    }

    /// Flows of an uplink that are in the middle of a transfer.
    #[must_use]
    pub fn transfers(&self, uplink: UplinkId) -> u32 {
        self.of(uplink).transfers.load(Ordering::Relaxed)
    }

    /// Those of them that have gone on for long enough to have the rate that they will have.
    #[must_use]
    pub fn settled(&self, uplink: UplinkId) -> u32 {
        self.of(uplink).settled.load(Ordering::Relaxed)
    }

    /// What its transfers move together, as of the last looks at each.
    #[must_use]
    pub fn moving(&self, uplink: UplinkId) -> Rates {
        self.of(uplink).moving.rates()
    }

    /// What the settled ones move.
    #[must_use]
    pub fn moving_settled(&self, uplink: UplinkId) -> Rates {
        self.of(uplink).moving_settled.rates()
    }

    /// What is known of it beside.
    #[must_use]
    pub fn knowledge(&self, uplink: UplinkId) -> Knowledge {
        let of = self.of(uplink);
        Knowledge {
            capacity: of.capacity.rates(),
            speed: of.speed.rates(),
            delay_ms: of.delay_ms.load(Ordering::Relaxed),
            loss_permille: of.loss_permille.load(Ordering::Relaxed),
        }
    }

    /// Publishes what is known of an uplink.
    pub fn set_knowledge(&self, uplink: UplinkId, knowledge: Knowledge) {
        let of = self.of(uplink);
        of.capacity.set(knowledge.capacity);
        of.speed.set(knowledge.speed);
        of.delay_ms.store(knowledge.delay_ms, Ordering::Relaxed);
        of.loss_permille.store(knowledge.loss_permille, Ordering::Relaxed);
    }

    /// Counts a new flow.
    pub fn add(&self, uplink: UplinkId) {
        self.of(uplink).flows.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the end of a flow.
    pub fn remove(&self, uplink: UplinkId) {
        self.of(uplink).flows.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts a transfer more.
    pub fn begin_transfer(&self, uplink: UplinkId) {
        self.of(uplink).transfers.fetch_add(1, Ordering::Relaxed);
    }

    /// One of its transfers has settled.
    pub fn settle_transfer(&self, uplink: UplinkId) {
        self.of(uplink).settled.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a transfer less, one that has settled or not.
    pub fn end_transfer(&self, uplink: UplinkId, is_settled: bool) {
        let of = self.of(uplink);
        of.transfers.fetch_sub(1, Ordering::Relaxed);
        if is_settled {
            of.settled.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Adds what a transfer was seen to move. What is added is to be subtracted at the next look.
    pub fn add_moving(&self, uplink: UplinkId, rates: Rates, is_settled: bool) {
        let of = self.of(uplink);
        of.moving.add(rates);
        if is_settled {
            of.moving_settled.add(rates);
        }
    }

    /// Subtracts what [`Self::add_moving`] has added.
    pub fn subtract_moving(&self, uplink: UplinkId, rates: Rates, is_settled: bool) {
        let of = self.of(uplink);
        of.moving.subtract(rates);
        if is_settled {
            of.moving_settled.subtract(rates);
        }
    }
}

/// Whether a line has no room to speak of, in one direction or the other. One whose capacity nobody knows is never known to
/// be full.
#[must_use]
pub fn is_full(uplink: UplinkId, load: &Load) -> bool {
    let (capacity, moving) = (load.knowledge(uplink).capacity, load.moving(uplink));
    let is_full = |capacity: u64, moving: u64| capacity > 0 && moving >= capacity / 100 * FULL_PERCENT;
    is_full(capacity.download, moving.download) || is_full(capacity.upload, moving.upload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_is_full_at_nine_tenths_of_either_direction() {
        let (load, line) = (Load::default(), UplinkId(3));
        let rates = |download, upload| Rates { download, upload };
        load.add_moving(line, rates(17_000_000, 1_000_000), false);
        assert!(!is_full(line, &load), "nobody knows what it can do");
        let capacity = rates(20_000_000, 2_000_000);
        load.set_knowledge(line, Knowledge { capacity, ..Knowledge::default() });
        assert!(!is_full(line, &load));
        load.add_moving(line, rates(1_000_000, 0), true);
        assert!(is_full(line, &load) && !is_full(UplinkId(2), &load));
        load.subtract_moving(line, rates(17_000_000, 1_000_000), false);
        assert!(!is_full(line, &load));
        assert_eq!((load.moving(line), load.moving_settled(line)), (rates(1_000_000, 0), rates(1_000_000, 0)));
        load.add_moving(line, rates(0, 1_800_000), false);
        assert!(is_full(line, &load));
    }
}
