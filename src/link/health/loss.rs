//! Questions without an answer: over a quarter of a minute, one minute, five; and whether it becomes more.

use std::collections::VecDeque;
use std::time::Duration;

use crate::flow::Timestamp;

/// What a loss is told of.
pub const SPANS: [Duration; 3] = [Duration::from_secs(15), Duration::from_secs(60), Duration::from_secs(300)];
/// Outcomes are counted together for this long.
const BUCKET: Duration = Duration::from_secs(5);
const BUCKETS: usize = 60;
/// Outcomes that a verdict may look back on, for [`VERDICT_SPAN`] at up to eight rounds a second.
const REMEMBERED: usize = 128;
/// What a verdict looks back on, and how many outcomes it needs.
pub(super) const VERDICT_SPAN: Duration = Duration::from_secs(15);
const LEAST_OUTCOMES: usize = 20;
/// A loss that differs by less than this is the same.
const TREND_PERCENT: u8 = 2;

/// Whether a loss becomes more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trend {
    /// It does.
    Rising,
    /// It stays.
    Steady,
    /// It becomes less.
    Falling,
}

impl Trend {
    /// As in `status --json`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rising => "rising",
            Self::Steady => "steady",
            Self::Falling => "falling",
        }
    }

    /// Of losses over [`SPANS`], in percent: the last quarter of a minute against what was before.
    #[must_use]
    pub fn of([now, minute, long]: [u8; 3]) -> Self {
        let before = minute.max(long);
        if now > minute.saturating_add(TREND_PERCENT) {
            Self::Rising
        } else if now.saturating_add(TREND_PERCENT) < before {
            Self::Falling
        } else {
            Self::Steady
        }
    }
}

/// What has become of the questions to one target.
#[derive(Clone, Debug)]
pub(super) struct Losses {
    /// Questions asked and lost, each [`BUCKET`] long; `newest` is the number of the last one's.
    buckets: [(u16, u16); BUCKETS],
    newest: u64,
    recent: VecDeque<(Timestamp, bool)>,
}

impl Default for Losses {
    fn default() -> Self {
        Self { buckets: [(0, 0); BUCKETS], newest: 0, recent: VecDeque::new() }
    }
}

fn bucket_at(now: Timestamp) -> u64 {
    now.as_millis() / BUCKET.as_millis() as u64
}

impl Losses {
    /// A question was answered, or was not.
    pub(super) fn record(&mut self, now: Timestamp, answered: bool) {
        let number = bucket_at(now);
        let passed = number.saturating_sub(self.newest).min(BUCKETS as u64);
        for at in 1..=passed {
            self.buckets[(self.newest + at) as usize % BUCKETS] = (0, 0);
        }
        // After a long silence all are empty, whatever their numbers.
        self.newest = self.newest.max(number);
        let (asked, lost) = &mut self.buckets[self.newest as usize % BUCKETS];
        *asked = asked.saturating_add(1);
        *lost = lost.saturating_add(u16::from(!answered));
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back((now, answered));
    }

    /// How many of a hundred questions were lost over [`SPANS`]; `None`: none was asked.
    pub(super) fn percent(&self, now: Timestamp) -> [Option<u8>; 3] {
        SPANS.map(|span| {
            let oldest = bucket_at(now).saturating_sub((span.as_millis() / BUCKET.as_millis()) as u64 - 1);
            let numbers = oldest.max(self.newest.saturating_sub(BUCKETS as u64 - 1))..=self.newest;
            let of = |number: u64| self.buckets[number as usize % BUCKETS];
            let (asked, lost) = numbers
                .map(of)
                .fold((0_u32, 0_u32), |sum, (asked, lost)| (sum.0 + u32::from(asked), sum.1 + u32::from(lost)));
            percent(lost, asked)
        })
    }

    /// The loss for a verdict: over [`VERDICT_SPAN`], of questions since `since`; `None`: too few to tell.
    pub(super) fn verdict(&self, now: Timestamp, since: Timestamp) -> Option<u8> {
        let is_recent = |at: Timestamp| at >= since && now.since(at) <= VERDICT_SPAN;
        let recent = self.recent.iter().filter(|(at, _)| is_recent(*at));
        let (asked, lost) =
            recent.fold((0, 0), |(asked, lost), (_, answered)| (asked + 1, lost + u32::from(!answered)));
        percent(lost, asked).filter(|_| asked as usize >= LEAST_OUTCOMES)
    }
}

fn percent(lost: u32, asked: u32) -> Option<u8> {
    u8::try_from((lost * 100 + asked / 2).checked_div(asked)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + milliseconds)
    }

    #[test]
    fn loss_is_told_of_three_spans_and_forgotten() {
        let mut losses = Losses::default();
        assert_eq!(losses.percent(at(0)), [None; 3]);
        // Four minutes without a loss, then half of them for fifteen seconds.
        for round in 0..480 {
            losses.record(at(round * 500), true);
        }
        for round in 480..510 {
            losses.record(at(round * 500), round % 2 == 0);
        }
        assert_eq!(losses.percent(at(254_999)), [Some(50), Some(13), Some(3)]);
        assert_eq!(Trend::of(losses.percent(at(254_999)).map(Option::unwrap)), Trend::Rising);
        // Long after, nothing is left.
        losses.record(at(10_000_000), true);
        assert_eq!(losses.percent(at(10_000_000)), [Some(0); 3]);
        assert_eq!(losses.percent(at(11_000_000)), [None; 3]);
    }

    #[test]
    fn verdict_needs_enough_outcomes_and_looks_back_no_further_than_told() {
        let mut losses = Losses::default();
        for round in 0..19 {
            losses.record(at(round * 500), round >= 5);
        }
        assert_eq!(losses.verdict(at(9_500), at(0)), None);
        losses.record(at(9_500), true);
        assert_eq!(losses.verdict(at(9_500), at(0)), Some(25));
        assert_eq!(losses.verdict(at(9_500), at(2_500)), None);
    }

    #[test]
    fn trend_compares_now_with_before() {
        assert_eq!(Trend::of([12, 3, 1]), Trend::Rising);
        assert_eq!(Trend::of([0, 12, 4]), Trend::Falling);
        assert_eq!(Trend::of([0, 0, 9]), Trend::Falling);
        assert_eq!(Trend::of([3, 2, 1]), Trend::Steady);
    }
}
