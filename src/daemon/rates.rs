//! How fast each uplink is now: the difference between two looks at the counters.

use std::time::Duration;

use crate::flow::Timestamp;

/// Two looks that are closer than this say little.
const SHORTEST_SPAN: Duration = Duration::from_millis(100);

/// Bytes out and in of every uplink at one time.
pub(super) type Sample = Vec<(u64, u64)>;

/// The last two looks.
#[derive(Debug, Default)]
pub(super) struct Rates {
    seen: Option<(Timestamp, Sample)>,
    bits_per_second: Vec<(u64, u64)>,
}

impl Rates {
    /// Takes in a look at the counters.
    pub(super) fn sample(&mut self, now: Timestamp, sample: Sample) {
        if let Some((before, earlier)) = &self.seen {
            let span = now.since(*before);
            if span < SHORTEST_SPAN {
                return;
            }
            self.bits_per_second = sample
                .iter()
                .zip(earlier)
                .map(|(now, earlier)| (rate(now.0, earlier.0, span), rate(now.1, earlier.1, span)))
                .collect();
        }
        self.seen = Some((now, sample));
    }

    /// Bits a second out and in of the uplink at `index`.
    pub(super) fn of(&self, index: usize) -> (u64, u64) {
        self.bits_per_second.get(index).copied().unwrap_or_default()
    }
}

/// Bits a second from two counts of bytes.
pub(super) fn rate(now: u64, earlier: u64, span: Duration) -> u64 {
    let bits = u128::from(now.saturating_sub(earlier)) * 8;
    u64::try_from(bits * 1_000 / span.as_millis().max(1)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_is_the_difference_over_the_time() {
        let mut rates = Rates::default();
        assert_eq!(rates.of(0), (0, 0));
        rates.sample(Timestamp::from_millis(1_000), vec![(1_000, 0), (5, 5)]);
        assert_eq!(rates.of(0), (0, 0));
        rates.sample(Timestamp::from_millis(1_500), vec![(2_000, 125), (5, 5)]);
        assert_eq!((rates.of(0), rates.of(1), rates.of(2)), ((16_000, 2_000), (0, 0), (0, 0)));
        rates.sample(Timestamp::from_millis(1_501), vec![(9_000, 9_000), (5, 5)]);
        assert_eq!(rates.of(0), (16_000, 2_000), "too short a time to tell");
    }
}
