//! How many ICMP errors a worker may send: a token bucket.

use crate::flow::Timestamp;

/// Errors a second that a worker sends, and how many at once (RFC 1812 section 4.3.2.8 wants a limit).
const ERRORS_A_SECOND: u64 = 1_000;
const ERRORS_AT_ONCE: u64 = 200;

/// A token bucket, in thousandths of an error.
#[derive(Debug)]
pub(super) struct ErrorBudget {
    thousandths: u64,
    filled: Timestamp,
}

impl Default for ErrorBudget {
    fn default() -> Self {
        Self { thousandths: ERRORS_AT_ONCE * 1_000, filled: Timestamp::default() }
    }
}

impl ErrorBudget {
    /// Takes one error from the budget; `false` when it is used up.
    pub(super) fn spend(&mut self, now: Timestamp) -> bool {
        let earned = now.as_millis().saturating_sub(self.filled.as_millis()).saturating_mul(ERRORS_A_SECOND);
        self.thousandths = self.thousandths.saturating_add(earned).min(ERRORS_AT_ONCE * 1_000);
        self.filled = now;
        let can = self.thousandths >= 1_000;
        self.thousandths -= if can { 1_000 } else { 0 };
        can
    }
}
