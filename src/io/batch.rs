//! How many packets to receive at once.
//!
//! A batch spreads the cost of a system call over its packets, but all of it should still be in the processor's second
//! level cache when it is sent, or the copy out costs as much again. So the limit follows the packets: many short
//! ones, few super-packets. It also follows the load, for each free buffer that is offered and not used costs a little:
//! it doubles when a batch was full and shrinks to twice what came when it was not.

/// Most packets in a batch: beyond, the system call's share of a packet is too small to matter.
pub const MOST: usize = 64;
/// Fewest packets that are asked for.
const FEWEST: usize = 8;
/// Bytes of packets in a batch: half of the second-level cache of small machines.
const WORKING_SET: usize = 512 << 10;

/// The limit of one port's batches.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimit {
    limit: usize,
    mean_length: usize,
}

impl Default for BatchLimit {
    fn default() -> Self {
        Self { limit: FEWEST, mean_length: 0 }
    }
}

impl BatchLimit {
    /// How many packets to ask for.
    #[must_use]
    pub fn packets(self) -> usize {
        self.limit
    }

    /// Learns from a batch that was received.
    pub fn observe(&mut self, packets: usize, bytes: usize) {
        let Some(mean) = bytes.checked_div(packets) else {
            self.limit = FEWEST;
            return;
        };
        self.mean_length = (3 * self.mean_length + mean) / 4;
        let most = (WORKING_SET / self.mean_length.max(1)).clamp(FEWEST, MOST);
        self.limit = (2 * packets).clamp(FEWEST, most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_grows_with_load_and_shrinks_with_length() {
        let mut limit = BatchLimit::default();
        for _ in 0..8 {
            limit.observe(limit.packets(), limit.packets() * 60);
        }
        assert_eq!(limit.packets(), MOST);
        for _ in 0..16 {
            limit.observe(limit.packets(), limit.packets() * 65_000);
        }
        assert_eq!(limit.packets(), FEWEST);
        for _ in 0..32 {
            limit.observe(limit.packets(), limit.packets() * 1500);
        }
        assert_eq!(limit.packets(), MOST);
        limit.observe(1, 60);
        assert_eq!(limit.packets(), FEWEST);
    }
}
