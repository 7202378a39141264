//! Which lines were in trouble when, so that a request that failed is put down to whom it belongs.
//!
//! Whoever asks knows by which line a request went, if the servers have seen it; then only that line can have cut it off. Of a
//! request that no server has ever seen, nobody knows the line: it was cut off if any line was in trouble in its time.
//! Everything else that fails, the router has to answer for.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A line in trouble; times are those of the monotonic clock.
#[derive(Clone, Copy, Debug)]
struct Outage {
    line: usize,
    from: Duration,
    /// `None`: it goes on.
    until: Option<Duration>,
}

/// All of them so far. Clones are the same book.
#[derive(Clone, Debug, Default)]
pub(super) struct Outages(Arc<Mutex<Vec<Outage>>>);

impl Outages {
    /// Line number `line` is in trouble from now on.
    pub(super) fn begin(&self, line: usize, now: Duration) {
        self.with(|outages| outages.push(Outage { line, from: now, until: None }));
    }

    /// It is well again.
    pub(super) fn end(&self, line: usize, now: Duration) {
        self.with(|outages| {
            let running = outages.iter_mut().filter(|outage| outage.line == line && outage.until.is_none());
            running.for_each(|outage| outage.until = Some(now));
        });
    }

    /// Whether a request that lasted `from` one time `to` another was cut off by a line in trouble: by this one, if its line is
    /// known, else by any.
    pub(super) fn cut_off(&self, line: Option<usize>, from: Duration, to: Duration) -> bool {
        let may_be = |outage: &Outage| line.is_none_or(|line| line == outage.line);
        let overlaps = |outage: &Outage| outage.from <= to && outage.until.is_none_or(|until| from <= until);
        self.with(|outages| outages.iter().any(|outage| may_be(outage) && overlaps(outage)))
    }

    /// How many there were.
    pub(super) fn count(&self) -> usize {
        self.with(|outages| outages.len())
    }

    fn with<T>(&self, work: impl FnOnce(&mut Vec<Outage>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn only_the_line_of_a_request_can_have_cut_it_off() {
        let outages = Outages::default();
        outages.begin(3, at(20));
        assert!(outages.cut_off(Some(3), at(10), at(21)), "it goes on");
        assert!(!outages.cut_off(Some(2), at(10), at(21)));
        outages.end(3, at(30));
        assert!(outages.cut_off(Some(3), at(29), at(60)));
        assert!(!outages.cut_off(Some(3), at(5), at(19)), "it ended before");
        assert!(!outages.cut_off(Some(3), at(31), at(60)), "it began afterwards");
        assert_eq!(outages.count(), 1);
    }

    #[test]
    fn a_request_that_nobody_saw_may_have_been_on_any_line_that_was_in_trouble() {
        let outages = Outages::default();
        assert!(!outages.cut_off(None, at(0), at(100)), "none ever was");
        outages.begin(5, at(20));
        outages.end(5, at(30));
        assert!(outages.cut_off(None, at(25), at(26)));
        assert!(!outages.cut_off(None, at(31), at(40)));
    }
}
