//! Whether a worker that has run out of packets looks again for a moment before it sleeps.
//!
//! In a flood of short packets it should: they come microseconds apart, and waking a thread for each costs its sender and
//! us more than to forward it. With fewer packets, or long ones, it should not: then the processor is better left to
//! those who make and take the packets, and a wake-up is a small part of what a packet costs. So the last
//! millisecond decides.

use std::time::Duration;

use crate::wire::PacketBuffer;

/// How long to linger: somewhat more than the gap between packets at the rate that counts as a flood.
const LINGER: Duration = Duration::from_micros(30);
/// The time over which packets are counted.
const WINDOW: Duration = Duration::from_millis(1);
/// Packets in a window that make a flood: 40,000 a second.
const FLOOD: usize = 40;
/// A flood's packets are on average shorter than this, in bytes.
const SHORT: usize = 512;

/// What came lately, and what follows from it.
#[derive(Debug, Default)]
pub(super) struct Linger {
    packets: usize,
    bytes: usize,
    window: Duration,
    is_flood: bool,
}

impl Linger {
    /// Counts a batch.
    pub(super) fn observe(&mut self, batch: &[PacketBuffer]) {
        self.packets += batch.len();
        self.bytes += batch.iter().map(PacketBuffer::length).sum::<usize>();
    }

    /// Until when to look again before sleeping; `None`: sleep at once. `now` is the time since boot.
    pub(super) fn until(&mut self, now: Duration) -> Option<Duration> {
        let passed = now.saturating_sub(self.window);
        if passed >= WINDOW {
            // A window that took long because the worker slept holds too few packets for its length.
            let windows = usize::try_from(passed.as_nanos() / WINDOW.as_nanos()).unwrap_or(usize::MAX);
            let is_many = self.packets / windows >= FLOOD;
            self.is_flood = is_many && self.bytes / self.packets.max(1) < SHORT;
            (self.packets, self.bytes, self.window) = (0, 0, now);
        }
        self.is_flood.then(|| now + LINGER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lingers(packets: usize, length: usize, milliseconds: u64) -> bool {
        let mut packet = PacketBuffer::new();
        packet.set_length(length);
        let mut linger = Linger::default();
        let start = Duration::from_secs(1);
        assert_eq!(linger.until(start), None);
        let batch = [packet];
        (0..packets).for_each(|_| linger.observe(&batch));
        linger.until(start + Duration::from_millis(milliseconds)).is_some()
    }

    #[test]
    fn only_a_flood_of_short_packets_is_waited_for() {
        assert!(lingers(100, 60, 1));
        assert!(!lingers(100, 1500, 1));
        assert!(!lingers(10, 60, 1));
        assert!(!lingers(100, 60, 10));
    }
}
