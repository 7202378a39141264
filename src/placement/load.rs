//! What each uplink has to do and what it can do, over all workers: what placement goes by.
//!
//! Touched when a flow or a transfer begins or ends, when the transfers are looked at (four times a second) and when the
//! daemon has learned something; a packet of a long transfer looks at one word that is rarely written. It is no part of the snapshot, for a changed snapshot ends the shortcut of
//! busy flows, and none of this concerns flows that have their line.

use std::sync::atomic::{AtomicU32, Ordering};

use crossbeam::utils::CachePadded;

use super::ids::{MAX_UPLINKS, UplinkId};

/// A line counts as full from this share of what it can do, in percent.
const FULL_PERCENT: u64 = 90;

/// What goes over a line or could, in kilobits a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// From the internet.
    pub download: u32,
    /// To the internet.
    pub upload: u32,
}

/// What is known of a line beside its flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Knowledge {
    /// What it can carry, given or learned; 0: nobody knows.
    pub capacity: Rates,
    /// What placement reckons with: the capacity, or what weights say instead; 0: nothing is known.
    pub speed: Rates,
    /// What a round trip takes while the line is not full, in milliseconds.
    pub round_trip_ms: u32,
    /// What one connection cannot exceed for the packets that are lost, in kilobits a second; 0: nothing to speak of is lost.
    pub loss_bound: u32,
    /// Whether its queue is to be kept short while it is full.
    pub keeps_short: bool,
}

/// Both directions of something that is counted.
#[derive(Debug, Default)]
struct Both {
    download: AtomicU32,
    upload: AtomicU32,
}

impl Both {
    fn rates(&self) -> Rates {
        Rates { download: self.download.load(Ordering::Relaxed), upload: self.upload.load(Ordering::Relaxed) }
    }

    fn set(&self, rates: Rates) {
        self.download.store(rates.download, Ordering::Relaxed);
        self.upload.store(rates.upload, Ordering::Relaxed);
    }

    /// Puts `now` in the place of the part that was `before`.
    fn exchange(&self, before: Rates, now: Rates) {
        self.download.fetch_add(now.download.wrapping_sub(before.download), Ordering::Relaxed);
        self.upload.fetch_add(now.upload.wrapping_sub(before.upload), Ordering::Relaxed);
    }
}

/// What each uplink has to do and can do.
#[derive(Debug)]
pub struct Load {
    uplinks: [CachePadded<UplinkLoad>; MAX_UPLINKS],
    /// A bit for each uplink whose queue is to be kept short. Apart from the rest, for packets look at it.
    kept_short: CachePadded<AtomicU32>,
}

const _: () = assert!(MAX_UPLINKS <= 32, "a bit for each");

#[derive(Debug, Default)]
struct UplinkLoad {
    flows: AtomicU32,
    transfers: AtomicU32,
    settled: AtomicU32,
    moving: Both,
    settled_moving: Both,
    capacity: Both,
    speed: Both,
    round_trip_ms: AtomicU32,
    loss_bound: AtomicU32,
}

impl Default for Load {
    fn default() -> Self {
        Self { uplinks: std::array::from_fn(|_| CachePadded::default()), kept_short: CachePadded::default() }
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

    /// What it carries, as measured over the last fifth of a second or so.
    #[must_use]
    pub fn moving(&self, uplink: UplinkId) -> Rates {
        self.of(uplink).moving.rates()
    }

    /// What the settled transfers have of that.
    #[must_use]
    pub fn settled_moving(&self, uplink: UplinkId) -> Rates {
        self.of(uplink).settled_moving.rates()
    }

    /// What is known of it beside.
    #[must_use]
    pub fn knowledge(&self, uplink: UplinkId) -> Knowledge {
        let of = self.of(uplink);
        Knowledge {
            capacity: of.capacity.rates(),
            speed: of.speed.rates(),
            round_trip_ms: of.round_trip_ms.load(Ordering::Relaxed),
            loss_bound: of.loss_bound.load(Ordering::Relaxed),
            keeps_short: self.keeps_short(uplink),
        }
    }

    /// Whether the queue of an uplink is to be kept short while it is full.
    #[must_use]
    #[inline]
    pub fn keeps_short(&self, uplink: UplinkId) -> bool {
        self.kept_short.load(Ordering::Relaxed) & bit(uplink) != 0
    }

    /// Publishes what is known of an uplink.
    pub fn set_knowledge(&self, uplink: UplinkId, knowledge: Knowledge) {
        let of = self.of(uplink);
        of.capacity.set(knowledge.capacity);
        of.speed.set(knowledge.speed);
        of.round_trip_ms.store(knowledge.round_trip_ms, Ordering::Relaxed);
        of.loss_bound.store(knowledge.loss_bound, Ordering::Relaxed);
        if knowledge.keeps_short {
            self.kept_short.fetch_or(bit(uplink), Ordering::Relaxed);
        } else {
            self.kept_short.fetch_and(!bit(uplink), Ordering::Relaxed);
        }
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

    /// A worker has measured `now` as its part of what the uplink carries, where it was `before`.
    pub fn measure(&self, uplink: UplinkId, before: Rates, now: Rates) {
        self.of(uplink).moving.exchange(before, now);
    }

    /// The same of a settled transfer.
    pub fn measure_settled(&self, uplink: UplinkId, before: Rates, now: Rates) {
        self.of(uplink).settled_moving.exchange(before, now);
    }
}

fn bit(uplink: UplinkId) -> u32 {
    1 << uplink.index()
}

/// Whether a line has no room to speak of, in one direction or the other. One whose capacity nobody knows is never known to
/// be full.
#[must_use]
pub fn is_full(uplink: UplinkId, load: &Load) -> bool {
    let (capacity, moving) = (load.of(uplink).capacity.rates(), load.moving(uplink));
    let is_full =
        |capacity: u32, moving: u32| capacity > 0 && u64::from(moving) * 100 >= u64::from(capacity) * FULL_PERCENT;
    is_full(capacity.download, moving.download) || is_full(capacity.upload, moving.upload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_is_full_at_nine_tenths_of_either_direction() {
        let (load, line) = (Load::default(), UplinkId(3));
        let rates = |download, upload| Rates { download, upload };
        load.measure(line, rates(0, 0), rates(17_000, 1_000));
        assert!(!is_full(line, &load), "nobody knows what it can do");
        load.set_knowledge(line, Knowledge { capacity: rates(20_000, 2_000), ..Knowledge::default() });
        assert!(!is_full(line, &load));
        load.measure(line, rates(0, 0), rates(1_000, 0));
        assert!(is_full(line, &load) && !is_full(UplinkId(2), &load));
        load.measure(line, rates(17_000, 1_000), rates(0, 1_800));
        assert_eq!(load.moving(line), rates(1_000, 1_800));
        assert!(is_full(line, &load), "its upload is");
        load.measure(line, rates(0, 1_800), rates(0, 0));
        assert!(!is_full(line, &load));
    }
}
