//! How long answers take, and how much that varies; in milliseconds, the clock's own unit.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::flow::Timestamp;

/// What is older than two of these is forgotten.
const SPAN: Duration = Duration::from_secs(60);
/// Longest time that is told apart, in milliseconds.
const LONGEST: u64 = 10_000;
/// Two digits: a few kilobytes each.
const DIGITS: u8 = 2;

/// A median and what one in a hundred exceeds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quantiles {
    /// The median.
    pub median: Duration,
    /// The 99th percentile.
    pub high: Duration,
}

/// Where [`RoundTrips`] are told apart, in milliseconds.
pub const ROUND_TRIP_BOUNDS: [u64; 15] = [1, 2, 5, 10, 20, 30, 50, 75, 100, 150, 200, 300, 500, 1_000, 2_000];

/// All round trips so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoundTrips {
    /// How many took at most each of [`ROUND_TRIP_BOUNDS`], and longer than the one before; at last those that took longer.
    pub counts: [u64; ROUND_TRIP_BOUNDS.len() + 1],
    /// What they took together.
    pub total: Duration,
}

impl RoundTrips {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub(super) fn record(&mut self, round_trip: Duration) {
        let milliseconds = round_trip.as_millis();
        self.counts[ROUND_TRIP_BOUNDS.partition_point(|bound| u128::from(*bound) < milliseconds)] += 1;
        self.total = self.total.saturating_add(round_trip);
    }
}

/// The times of one or two minutes.
#[derive(Debug)]
struct Recent {
    now: Histogram<u32>,
    before: Histogram<u32>,
}

impl Recent {
    fn new() -> Option<Self> {
        let empty = Histogram::new_with_bounds(1, LONGEST, DIGITS).ok()?;
        Some(Self { before: empty.clone(), now: empty })
    }

    fn record(&mut self, span: Duration) {
        self.now.saturating_record(u64::try_from(span.as_millis()).unwrap_or(LONGEST));
    }

    fn turn(&mut self) {
        std::mem::swap(&mut self.now, &mut self.before);
        self.now.reset();
    }

    /// The higher 99th percentile of both minutes: cheap, for it is wanted after each answer.
    fn high(&self) -> Option<Duration> {
        let known = [&self.now, &self.before].into_iter().filter(|times| !times.is_empty());
        known.map(|times| Duration::from_millis(times.value_at_quantile(0.99))).max()
    }

    fn quantiles(&self) -> Option<Quantiles> {
        let mut both = self.before.clone();
        both.add(&self.now).ok()?;
        let at = |quantile| Duration::from_millis(both.value_at_quantile(quantile));
        (!both.is_empty()).then(|| Quantiles { median: at(0.5), high: at(0.99) })
    }
}

/// Round trips of a line.
#[derive(Debug)]
pub(super) struct Delays {
    /// `None` only where the bounds above are no bounds.
    recent: Option<(Recent, Recent)>,
    last: Option<Duration>,
    /// The 99th percentile, as of the last answer.
    high: Option<Duration>,
    turned: Timestamp,
}

impl Default for Delays {
    fn default() -> Self {
        Self { recent: Recent::new().zip(Recent::new()), last: None, high: None, turned: Timestamp::default() }
    }
}

impl Delays {
    /// A round was answered after this.
    pub(super) fn record(&mut self, now: Timestamp, round_trip: Duration) {
        let Some((round_trips, jitter)) = &mut self.recent else { return };
        if now.since(self.turned) >= SPAN {
            self.turned = now;
            round_trips.turn();
            jitter.turn();
        }
        round_trips.record(round_trip);
        if let Some(last) = self.last.replace(round_trip) {
            jitter.record(last.abs_diff(round_trip));
        }
        self.high = round_trips.high();
    }

    /// What the last answer took.
    pub(super) fn last(&self) -> Option<Duration> {
        self.last
    }

    /// What one answer in a hundred exceeds; `None`: there was none yet.
    pub(super) fn high(&self) -> Option<Duration> {
        self.high
    }

    /// Round trips, and the differences of two in a row.
    pub(super) fn quantiles(&self) -> (Option<Quantiles>, Option<Quantiles>) {
        let of = |pick: fn(&(Recent, Recent)) -> &Recent| self.recent.as_ref().and_then(|both| pick(both).quantiles());
        (of(|(round_trips, _)| round_trips), of(|(_, jitter)| jitter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_round_trip_is_counted_below_the_next_bound() {
        let mut round_trips = RoundTrips::default();
        for milliseconds in [0, 1, 2, 3, 2_000, 2_001, 90_000] {
            round_trips.record(Duration::from_millis(milliseconds));
        }
        assert_eq!((round_trips.count(), round_trips.total), (7, Duration::from_millis(94_007)));
        assert_eq!(round_trips.counts[..3], [2, 1, 1]);
        assert_eq!(round_trips.counts[ROUND_TRIP_BOUNDS.len() - 1..], [1, 2]);
    }

    #[test]
    fn round_trips_and_their_jitter_are_told_and_forgotten() {
        let mut delays = Delays::default();
        assert_eq!(delays.quantiles(), (None, None));
        let at = |seconds: u64| Timestamp::from_millis(seconds * 1_000);
        for second in 0..50 {
            delays.record(at(second), Duration::from_millis(if second % 2 == 0 { 20 } else { 30 }));
        }
        let (round_trip, jitter) = delays.quantiles();
        let expected =
            |median, high| Some(Quantiles { median: Duration::from_millis(median), high: Duration::from_millis(high) });
        assert_eq!((round_trip, jitter), (expected(20, 30), expected(10, 10)));
        assert_eq!((delays.high(), delays.last()), (Some(Duration::from_millis(30)), Some(Duration::from_millis(30))));
        delays.record(at(120), Duration::from_secs(99));
        delays.record(at(180), Duration::from_millis(5));
        delays.record(at(240), Duration::from_millis(5));
        assert_eq!(delays.quantiles().0, expected(5, 5));
    }
}
