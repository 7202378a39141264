//! What lines can do, how long they take and what they lose: from the workers' measurements and the probes to placement.

use std::time::Duration;

use super::places;
use super::report::{CapacityReport, RateReport};
use super::router::Router;
use super::uplink::UplinkState;
use crate::config::Rate;
use crate::flow::Timestamp;
use crate::link::health::Health;
use crate::placement::capacity::{Estimate, Floor, Queue};
use crate::placement::{Ceiling, Knowledge, Load, Rates, is_full};

/// Lines are looked at this often while they carry anything; the workers measure no oftener.
const INTERVAL: Duration = Duration::from_millis(250);
/// Looks that are closer see the same.
const SHORTEST: Duration = Duration::from_millis(200);
/// Loss below this share, in percent, may be one unlucky question.
const LEAST_LOSS: u32 = 2;
/// Far ends are not nearer than this, whatever the probes ask, in milliseconds.
const LEAST_ROUND_TRIP: u32 = 20;
/// TCP's rate at a loss of `p` is at most `1.22 segments / (round trip * sqrt(p))` (Mathis et al., 1997): this over milliseconds and the
/// root of ten thousand percents is kilobits a second, for segments of 1,460 bytes.
const MATHIS: u64 = 14_249_600;

/// What one line has taught.
#[derive(Debug, Default)]
pub(super) struct Learned {
    floor: Floor,
    download: Ceiling,
    upload: Ceiling,
    round_trip_ms: u32,
    loss_bound: u32,
}

impl Learned {
    /// The line carries so much, and this is what its last question took.
    fn observe(&mut self, now: Timestamp, moving: Rates, round_trip: Option<Duration>) {
        let queue = round_trip.map_or(Queue::Empty, |round_trip| self.floor.observe(now, round_trip));
        self.download.observe(now, moving.download, queue);
        self.upload.observe(now, moving.upload, queue);
    }

    /// What its questions usually take and how many are lost.
    fn observe_usual(&mut self, now: Timestamp, health: &Health) {
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
fn known(given: Option<Rate>, learned: &Ceiling) -> (u32, Source) {
    match (given.map(kilobits), learned.estimate()) {
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

fn both(uplink: &UplinkState) -> [(u32, Source); 2] {
    let (config, learned) = (&uplink.config, &uplink.learned);
    [known(config.download, &learned.download), known(config.upload, &learned.upload)]
}

/// The speeds that placement reckons with: what is known. A line that nobody knows is taken for as good as the best, until it shows
/// that it is not.
fn speeds(uplinks: &[UplinkState]) -> impl Fn(&UplinkState) -> Rates {
    let has_weight = |uplink: &UplinkState| uplink.config.given_weight.is_some();
    let by_weight = places::configured(uplinks).any(has_weight);
    let best = places::configured(uplinks)
        .map(both)
        .fold([0; 2], |best, [download, upload]| [best[0].max(download.0), best[1].max(upload.0)]);
    move |uplink| {
        if by_weight {
            return Rates { download: uplink.config.weight.get().saturating_mul(1_000), upload: 0 };
        }
        let speed = |(rate, source), best| if source == Source::Reached { best } else { rate };
        let [download, upload] = both(uplink);
        Rates { download: speed(download, best[0]), upload: speed(upload, best[1]) }
    }
}

/// What is known of a line, for people.
pub(super) fn report(uplink: &UplinkState, load: &Load) -> CapacityReport {
    let rate = |(kilobits, source): (u32, Source)| RateReport {
        bits_per_second: u64::from(kilobits) * 1_000,
        source: source.name().to_owned(),
    };
    let [download, upload] = both(uplink).map(rate);
    CapacityReport { download, upload, full: is_full(uplink.id, load) }
}

impl Router<'_> {
    /// When lines are to be looked at again; `None`: they carry nothing.
    pub(super) fn learning_due(&self) -> Option<Timestamp> {
        let load = self.workers.load();
        let is_busy = |uplink: &UplinkState| load.transfers(uplink.id) > 0;
        places::configured(&self.uplinks).any(is_busy).then(|| self.learnt_at + INTERVAL)
    }

    /// Looks at what lines carry, and whether their questions wait.
    pub(super) fn learn(&mut self, now: Timestamp) {
        if now.since(self.learnt_at) < SHORTEST {
            return;
        }
        self.learnt_at = now;
        let load = self.workers.load();
        for uplink in &mut self.uplinks {
            let round_trip = uplink.line.health().and_then(Health::last_round_trip);
            uplink.learned.observe(now, load.moving(uplink.id), round_trip);
        }
    }

    /// Looks at what lines usually take and lose.
    pub(super) fn learn_usual(&mut self, now: Timestamp) {
        for uplink in &mut self.uplinks {
            if let Some(health) = uplink.line.health() {
                uplink.learned.observe_usual(now, health);
            }
        }
    }

    /// Tells placement what is known of the lines.
    pub(super) fn publish_knowledge(&self) {
        let (speed, load) = (speeds(&self.uplinks), self.workers.load());
        for uplink in places::configured(&self.uplinks) {
            let of = |(rate, source)| if source == Source::Reached { 0 } else { rate };
            let [download, upload] = both(uplink);
            let knowledge = Knowledge {
                capacity: Rates { download: of(download), upload: of(upload) },
                speed: speed(uplink),
                round_trip_ms: uplink.learned.round_trip_ms,
                loss_bound: uplink.learned.loss_bound,
            };
            load.set_knowledge(uplink.id, knowledge);
        }
    }
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
}
