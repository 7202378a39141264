//! What the queues of interfaces have dropped, whoever sent it there.
//!
//! A worker hears of a full queue when it sends. Packets that the shortcut carries are dropped unheard, and some
//! queueing disciplines drop later than they are asked; the queues' own counters have all of it.

use std::collections::HashMap;

/// Counts since the start, by the interface's number.
#[derive(Debug, Default)]
pub(super) struct QueueDrops {
    interfaces: HashMap<u32, Count>,
    started: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    last: u32,
    total: u64,
}

impl QueueDrops {
    /// Takes in what the counters say now. What they said at first was before our time; an interface that comes later
    /// starts at zero, and so does a queue that somebody replaces.
    pub(super) fn observe(&mut self, counters: impl IntoIterator<Item = (u32, u32)>) {
        for (interface, counter) in counters {
            let count = self.interfaces.entry(interface).or_default();
            if self.started {
                count.total += u64::from(counter.checked_sub(count.last).unwrap_or(counter));
            }
            count.last = counter;
        }
        self.started = true;
    }

    /// Packets that the queue of an interface has dropped since the start.
    pub(super) fn of(&self, interface: u32) -> u64 {
        self.interfaces.get(&interface).map_or(0, |count| count.total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_from_the_start_on_through_replaced_queues() {
        let mut drops = QueueDrops::default();
        drops.observe([(1, 500)]);
        assert_eq!(drops.of(1), 0);
        drops.observe([(1, 520), (2, 7)]);
        assert_eq!((drops.of(1), drops.of(2)), (20, 7));
        drops.observe([(1, 3), (2, 7)]);
        assert_eq!((drops.of(1), drops.of(2), drops.of(3)), (23, 7, 0));
    }
}
