//! What is known of what a line can do: as its owner says, else as it has taught; how long it takes, and what its losses leave.

use super::report::{CapacityReport, RateReport};
use crate::config::{self, Rate};
use crate::flow::Timestamp;
use crate::link::health::Health;
use crate::placement::{Estimate, Knowledge, Learner, Rates};

/// Loss below this share, in percent, may be one unlucky question.
const LEAST_LOSS: u32 = 2;
/// Far ends are not nearer than this, whatever the probes ask, in milliseconds.
const LEAST_ROUND_TRIP: u32 = 20;
/// TCP's rate at a loss of `p` is at most `1.22 segments / (round trip * sqrt(p))` (Mathis et al., 1997): this over milliseconds and the
/// root of ten thousand percents is kilobits a second, for segments of 1,460 bytes.
const MATHIS: u64 = 14_249_600;

/// Faster lines, in kilobits a second, empty their queues before anybody notices; their transfers take the shortcut.
const FASTEST_KEPT: u32 = 200_000;

/// What one line has taught.
#[derive(Debug, Default)]
pub(super) struct Learned {
    pub(super) rates: Learner,
    round_trip_ms: u32,
    loss_bound: u32,
}

impl Learned {
    /// What its questions usually take and how many are lost.
    pub(super) fn observe_usual(&mut self, now: Timestamp, health: &Health) {
        let (round_trip, loss_percent) = health.usual(now);
        let milliseconds = round_trip.map_or(0, |round_trip| round_trip.as_millis());
        self.round_trip_ms = u32::try_from(milliseconds).unwrap_or(u32::MAX);
        self.loss_bound = loss_bound(self.round_trip_ms, loss_percent.map_or(0, u32::from));
    }
}

/// What one connection has at most, in kilobits a second; 0: no bound.
fn loss_bound(round_trip_ms: u32, loss_percent: u32) -> u32 {
    if loss_percent < LEAST_LOSS {
        return 0;
    }
    let root = u64::from((loss_percent * 10_000).isqrt());
    u32::try_from(MATHIS / (u64::from(round_trip_ms.max(LEAST_ROUND_TRIP)) * root)).unwrap_or(u32::MAX).max(1)
}

fn kilobits(rate: Rate) -> u32 {
    u32::try_from(rate.bits_per_second().div_ceil(1_000)).unwrap_or(u32::MAX)
}

/// What is known of one direction: as its owner says, else as was learned.
fn known(given: Option<Rate>, learned: Estimate) -> (u32, Source) {
    match (given.map(kilobits), learned) {
        (Some(given), _) => (given, Source::Given),
        (None, Estimate::Ceiling(rate)) => (rate, Source::Learned),
        (None, Estimate::AtLeast(rate)) => (rate, Source::Reached),
    }
}

/// Who says what a line can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// Its owner.
    Given,
    /// It was full at that.
    Learned,
    /// It has carried that, and may do more.
    Reached,
}

impl Source {
    const fn name(self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::Learned => "learned",
            Self::Reached => "reached",
        }
    }
}

/// What is known of a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    weight: u32,
    weight_is: Weight,
    download: (u32, Source),
    upload: (u32, Source),
    round_trip_ms: u32,
    loss_bound: u32,
}

/// What is to be done about queues of full lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queues {
    /// They are kept short.
    Short,
    /// They are let be.
    Any,
}

/// Where a weight is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weight {
    Given,
    Derived,
}

impl Known {
    pub(super) fn of(config: &config::Uplink, learned: &Learned) -> Self {
        let [download, upload] = learned.rates.estimates();
        Self {
            weight: config.weight.get(),
            weight_is: if config.given_weight.is_some() { Weight::Given } else { Weight::Derived },
            download: known(config.download, download),
            upload: known(config.upload, upload),
            round_trip_ms: learned.round_trip_ms,
            loss_bound: learned.loss_bound,
        }
    }

    /// For people.
    pub(super) fn report(&self, full: bool) -> CapacityReport {
        let rate = |(kilobits, source): (u32, Source)| RateReport {
            bits_per_second: u64::from(kilobits) * 1_000,
            source: source.name().to_owned(),
        };
        CapacityReport { download: rate(self.download), upload: rate(self.upload), full }
    }
}

/// What placement is to know of each of these lines. A line that nobody knows is taken for as good as the best, until it shows
/// that it is not. Once one line has a weight, weights stand in the place of what lines can do.
pub(super) fn knowledge(lines: &[Known], queues: Queues) -> Vec<Knowledge> {
    let by_weight = lines.iter().any(|line| line.weight_is == Weight::Given);
    let best = |direction: fn(&Known) -> (u32, Source)| lines.iter().map(|line| direction(line).0).max().unwrap_or(0);
    let best = Rates { download: best(|line| line.download), upload: best(|line| line.upload) };
    let sure = |(rate, source): (u32, Source)| if source == Source::Reached { None } else { Some(rate) };
    let of = |line: &Known| {
        let (download, upload) = (sure(line.download), sure(line.upload));
        let speed = if by_weight {
            Rates { download: line.weight.saturating_mul(1_000), upload: 0 }
        } else {
            Rates { download: download.unwrap_or(best.download), upload: upload.unwrap_or(best.upload) }
        };
        let capacity = Rates { download: download.unwrap_or(0), upload: upload.unwrap_or(0) };
        let fastest = capacity.download.max(capacity.upload);
        let keeps_short = queues == Queues::Short && (1..=FASTEST_KEPT).contains(&fastest);
        Knowledge { capacity, speed, round_trip_ms: line.round_trip_ms, loss_bound: line.loss_bound, keeps_short }
    };
    lines.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_bounds_what_a_connection_has() {
        assert_eq!(loss_bound(20, 1), 0, "one question in a minute may be lost");
        assert_eq!((loss_bound(20, 4), loss_bound(1, 4)), (3_562, 3_562));
        assert_eq!((loss_bound(80, 4), loss_bound(20, 100)), (890, 712));
    }

    fn line(download: (u32, Source), weight_is: Weight) -> Known {
        let upload = (0, Source::Reached);
        Known { weight: 3, weight_is, download, upload, round_trip_ms: 0, loss_bound: 0 }
    }

    #[test]
    fn line_that_nobody_knows_is_taken_for_as_good_as_the_best() {
        let sources = [(20_000, Source::Given), (5_000, Source::Learned), (1_000, Source::Reached)];
        let lines = sources.map(|download| line(download, Weight::Derived));
        let known = knowledge(&lines, Queues::Any);
        assert_eq!(known.iter().map(|known| known.speed.download).collect::<Vec<_>>(), [20_000, 5_000, 20_000]);
        assert_eq!(known.iter().map(|known| known.capacity.download).collect::<Vec<_>>(), [20_000, 5_000, 0]);
    }

    #[test]
    fn queues_of_lines_are_kept_short_whose_rate_is_known_and_not_high() {
        let sources =
            [(20_000, Source::Given), (5_000, Source::Learned), (1_000, Source::Reached), (1_000_000, Source::Given)];
        let lines = sources.map(|download| line(download, Weight::Derived));
        let kept = |queues| knowledge(&lines, queues).iter().map(|known| known.keeps_short).collect::<Vec<_>>();
        assert_eq!(kept(Queues::Short), [true, true, false, false]);
        assert_eq!(kept(Queues::Any), [false; 4]);
    }

    #[test]
    fn one_weight_in_the_file_makes_weights_count() {
        let lines = [line((20_000, Source::Given), Weight::Derived), line((5_000, Source::Learned), Weight::Given)];
        let known = knowledge(&lines, Queues::Any);
        assert_eq!(known.iter().map(|known| known.speed.download).collect::<Vec<_>>(), [3_000, 3_000]);
        assert_eq!(known[1].capacity.download, 5_000, "whether it is full is another question");
    }
}
