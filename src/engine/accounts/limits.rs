//! What one host may have at most (RFC 6888 REQ-4, REQ-5).

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::super::drop_reason::DropReason;
use crate::flow::Timestamp;

/// A burst of new sessions may be what is allowed in this many seconds: a browser with many tabs that is opened.
const BURST_SECONDS: u64 = 4;
const NANOSECONDS: u64 = 1_000_000_000;

/// What a host may have at most. `None`: as much as there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Live flows.
    pub sessions: Option<u32>,
    /// Flows that it opens, a second; four times that at once.
    pub new_per_second: Option<u32>,
    /// External ports, of all lines and protocols together, those that rest among them.
    pub ports: Option<u32>,
}

/// Which of the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// [`Limits::sessions`].
    Sessions,
    /// [`Limits::new_per_second`].
    Rate,
    /// [`Limits::ports`].
    Ports,
}

impl Limit {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sessions, Self::Rate, Self::Ports];

    /// Under what a packet is counted that this limit forbids.
    #[must_use]
    pub const fn drop_reason(self) -> DropReason {
        match self {
            Self::Sessions => DropReason::HostSessions,
            Self::Rate => DropReason::HostRate,
            Self::Ports => DropReason::HostPorts,
        }
    }
}

/// The limits as workers read them; 0: none.
#[derive(Debug, Default)]
pub(super) struct LimitCells([AtomicU32; Limit::ALL.len()]);

impl LimitCells {
    pub(super) fn set(&self, limits: Limits) {
        let Limits { sessions, new_per_second, ports } = limits;
        for (cell, limit) in self.0.iter().zip([sessions, new_per_second, ports]) {
            cell.store(limit.unwrap_or(0), Ordering::Relaxed);
        }
    }

    pub(super) fn get(&self, limit: Limit) -> Option<u32> {
        Some(self.0[limit as usize].load(Ordering::Relaxed)).filter(|limit| *limit > 0)
    }
}

/// How often something may happen, in one word that all workers share: when the next would be due if all came evenly (the
/// generic cell rate algorithm).
#[derive(Debug, Default)]
pub(super) struct Pace(AtomicU64);

impl Pace {
    /// Takes a turn; `false` when it is too early for one.
    pub(super) fn take_turn(&self, now: Timestamp, per_second: u32) -> bool {
        let interval = NANOSECONDS / u64::from(per_second.max(1));
        let ahead = (BURST_SECONDS * NANOSECONDS).saturating_sub(interval);
        let now = now.as_millis().saturating_mul(1_000_000);
        let next = |due: u64| {
            let due = due.max(now);
            (due - now <= ahead).then(|| due.saturating_add(interval))
        };
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }

    pub(super) fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_is_four_seconds_worth_and_then_the_rate() {
        let (pace, start) = (Pace::default(), 1_000_000);
        let turns = |from: u64, milliseconds: u64| {
            let at = |millisecond| Timestamp::from_millis(start + from + millisecond);
            (0..milliseconds * 10).filter(|turn| pace.take_turn(at(turn / 10), 500)).count()
        };
        let burst = (0..5_000).filter(|_| pace.take_turn(Timestamp::from_millis(start), 500)).count();
        assert_eq!(burst, 2_000);
        assert_eq!(turns(0, 1_000), 499, "one each two milliseconds");
        assert_eq!(turns(61_000, 1), 10, "a minute later there is a burst again");
        pace.reset();
        assert!(pace.take_turn(Timestamp::from_millis(start), 1));
    }
}
