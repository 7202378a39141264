//! What a worker counts. Written by one thread, read by any.

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::utils::CachePadded;

use super::drop_reason::DropReason;
use crate::placement::{MAX_UPLINKS, UplinkId};

/// A number with one writer: adding is a plain load and store, no locked instruction.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `amount`. Only the owning worker may call it.
    pub fn add(&self, amount: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
    }

    /// Takes `amount` away. Only the owning worker may call it.
    pub fn subtract(&self, amount: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_sub(amount), Ordering::Relaxed);
    }

    /// Starts again at zero. Only the owning worker may call it.
    fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// The number now.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A counter for each [`DropReason`].
#[derive(Debug)]
pub struct DropCounters {
    reasons: [Counter; DropReason::COUNT],
    /// Packets that were refused and offered once more. A queue has counted them as dropped, and it was not the end of them.
    pub offered_again: Counter,
}

impl Default for DropCounters {
    fn default() -> Self {
        Self { reasons: std::array::from_fn(|_| Counter::default()), offered_again: Counter::default() }
    }
}

impl DropCounters {
    /// Counts one packet.
    pub fn count(&self, reason: DropReason) {
        self.reasons[reason as usize].add(1);
    }

    /// Counts `packets` packets.
    pub fn add(&self, reason: DropReason, packets: u64) {
        self.reasons[reason as usize].add(packets);
    }

    /// Packets dropped for this reason.
    #[must_use]
    pub fn value(&self, reason: DropReason) -> u64 {
        self.reasons[reason as usize].value()
    }
}

/// Groups of far ends: enough to tell one that is dead from a line that is.
pub const FAR_END_GROUPS: usize = 16;

/// What becomes of data that hosts have sent to a group of far ends.
#[derive(Debug, Default)]
pub struct FarEndCounters {
    /// Times that some of it was acknowledged.
    pub heard: Counter,
    /// Connections on which data was sent again and again and nothing was acknowledged.
    pub stuck: Counter,
}

/// The group of a far end.
#[must_use]
pub fn far_end_group(remote: [u8; 4]) -> usize {
    // Knuth's multiplicative hash: its upper bits depend on all bits of the address.
    (u32::from_be_bytes(remote).wrapping_mul(0x9e37_79b1) >> (u32::BITS - FAR_END_GROUPS.ilog2())) as usize
}

/// One worker's counters of one uplink. Packets are counted as the wire carries them: a super-packet counts as its pieces.
#[derive(Debug, Default)]
pub struct UplinkCounters {
    /// Packets sent out.
    pub out_packets: Counter,
    /// Bytes of IP packets sent out.
    pub out_bytes: Counter,
    /// Packets received and passed on to the LAN.
    pub in_packets: Counter,
    /// Bytes of IP packets received and passed on to the LAN.
    pub in_bytes: Counter,
    /// Packets among those received that came from a LAN, by one of our own addresses: they say nothing of the line.
    pub hairpin_packets: Counter,
    /// TCP connections that hosts have tried to make.
    pub connections_tried: Counter,
    /// TCP connections of hosts that the far end has answered, be it with a refusal.
    pub connections_answered: Counter,
    /// TCP segments with data among those sent out, but for hairpins. So are the next three and [`Self::far_ends`].
    pub out_data: Counter,
    /// Those whose data was sent before.
    pub out_repeated: Counter,
    /// TCP segments with data among those received.
    pub in_data: Counter,
    /// Those whose data came before, or behind later data.
    pub in_repeated: Counter,
    /// What becomes of data sent to far ends, which are put together by [`far_end_group`].
    pub far_ends: [FarEndCounters; FAR_END_GROUPS],
    /// Flows that live on the uplink now.
    pub flows: Counter,
    /// Those of class isolated among them.
    pub isolated_flows: Counter,
    /// Bytes of IP packets of such flows, out and in.
    pub isolated_bytes: Counter,
    /// Such flows that have turned out bulky.
    pub isolated_bulky: Counter,
    /// Connections ended because the line was lost, whose host got a reset.
    pub flows_reset: Counter,
    /// Datagram flows ended because the line was lost, whose host got an error.
    pub flows_told: Counter,
    /// SYNs that this line has not answered, and that went out by another.
    pub syn_rescued: Counter,
    /// Flows that went on over another line.
    pub flows_moved: Counter,
    /// Packets received on the uplink, or bound for it, and not forwarded.
    pub drops: DropCounters,
}

impl UplinkCounters {
    /// Starts again at zero, for another uplink has the place; flows go on counting themselves. Only the owning worker may
    /// call it.
    pub fn reset(&self) {
        let Self { out_packets, out_bytes, in_packets, in_bytes, flows: _, isolated_flows: _, drops, far_ends, .. } =
            self;
        let Self { flows_reset, flows_told, syn_rescued, flows_moved, isolated_bytes, isolated_bulky, .. } = self;
        let Self { out_data, out_repeated, in_data, in_repeated, .. } = self;
        let traffic = [out_packets, out_bytes, in_packets, in_bytes, out_data, out_repeated, in_data, in_repeated];
        let failed_over = [flows_reset, flows_told, syn_rescued, flows_moved];
        let heard = far_ends.iter().flat_map(|group| [&group.heard, &group.stuck]);
        let isolated = [isolated_bytes, isolated_bulky];
        let numbers = traffic.into_iter().chain(failed_over).chain(heard).chain(isolated);
        numbers.chain(&drops.reasons).chain([&drops.offered_again]).for_each(Counter::reset);
    }
}

/// All that one worker counts.
#[derive(Debug)]
pub struct WorkerCounters {
    uplinks: [CachePadded<UplinkCounters>; MAX_UPLINKS],
    /// Packets from the LAN that were dropped before they had an uplink.
    pub lan_drops: DropCounters,
    /// Flows made since the start.
    pub flows_created: Counter,
    /// Flows alive now.
    pub flows: Counter,
    /// ICMP errors that were due and not sent, for there were too many.
    pub errors_suppressed: Counter,
    /// Packets given to another worker.
    pub handed_over: Counter,
    /// Flows in the shortcut now.
    pub shortcuts: Counter,
    /// Batches received, for the mean batch size.
    pub batches: Counter,
    /// Packets received in them.
    pub received: Counter,
}

impl Default for WorkerCounters {
    fn default() -> Self {
        Self {
            uplinks: std::array::from_fn(|_| CachePadded::default()),
            lan_drops: DropCounters::default(),
            flows_created: Counter::default(),
            flows: Counter::default(),
            errors_suppressed: Counter::default(),
            handed_over: Counter::default(),
            shortcuts: Counter::default(),
            batches: Counter::default(),
            received: Counter::default(),
        }
    }
}

impl WorkerCounters {
    /// The counters of one uplink.
    ///
    /// # Panics
    /// When `uplink` is beyond [`MAX_UPLINKS`], which no configuration can make.
    #[must_use]
    pub fn uplink(&self, uplink: UplinkId) -> &UplinkCounters {
        &self.uplinks[uplink.index()]
    }
}
