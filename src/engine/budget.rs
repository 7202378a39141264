//! How often a worker may do what others can provoke: a token bucket.

use crate::flow::Timestamp;

/// ICMP errors a second that a worker sends, and how many at once (RFC 1812 section 4.3.2.8 wants a limit).
const ERRORS: Bound = Bound { a_second: 1_000, at_once: 200 };
/// Answers to probes a second that a worker gives to the daemon, and how many at once: far more than all lines ask for.
const PROBE_ANSWERS: Bound = Bound { a_second: 1_000, at_once: 200 };

/// Refusals a second of hosts that are over a limit, and how many at once: a budget of their own, so that a host that scans does
/// not use up what others are told.
const REFUSALS: Bound = Bound { a_second: 100, at_once: 20 };

#[derive(Clone, Copy, Debug)]
struct Bound {
    a_second: u64,
    at_once: u64,
}

/// A token bucket, in thousandths.
#[derive(Debug)]
pub(super) struct Budget {
    bound: Bound,
    thousandths: u64,
    filled: Timestamp,
}

impl Budget {
    /// For ICMP errors.
    pub(super) fn of_errors() -> Self {
        Self::new(ERRORS)
    }

    /// For what may be answers to probes.
    pub(super) fn of_probe_answers() -> Self {
        Self::new(PROBE_ANSWERS)
    }

    /// For what hosts are told that are over a limit.
    pub(super) fn of_refusals() -> Self {
        Self::new(REFUSALS)
    }

    fn new(bound: Bound) -> Self {
        Self { bound, thousandths: bound.at_once * 1_000, filled: Timestamp::default() }
    }

    /// Takes one from the budget; `false` when it is used up.
    pub(super) fn spend(&mut self, now: Timestamp) -> bool {
        let earned = now.as_millis().saturating_sub(self.filled.as_millis()).saturating_mul(self.bound.a_second);
        self.thousandths = self.thousandths.saturating_add(earned).min(self.bound.at_once * 1_000);
        self.filled = now;
        let can = self.thousandths >= 1_000;
        self.thousandths -= if can { 1_000 } else { 0 };
        can
    }
}
