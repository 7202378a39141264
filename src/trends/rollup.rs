//! From looks at the lines to buckets of four lengths.
//!
//! Theory of operation: between two looks a line has carried so many bytes, and was as the later look says. That span is cut at
//! full seconds of the wall clock, and each piece is added to the bucket that it lies in, of every [`Tier`]. What was
//! added since it was last taken out ([`Rollup::take`]) waits here; whoever keeps it adds it to what he has of the
//! same bucket. So nothing has to be remembered over a restart, and a bucket may come in as many parts as it likes.
//!
//! Spans are measured by the clock that does not jump, and placed by the one that people read. When that one jumps, time is left
//! out or comes twice; no bucket ever has more weight than time that has passed. Where nothing is known there is no bucket.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::bucket::Bucket;
use crate::placement::Availability;

/// Two looks that are further apart say nothing of the time between: the machine has slept, or had no time for us.
const LONGEST_SPAN: u64 = 5_000;
/// Most buckets that wait to be taken: beyond, the shortest are forgotten.
const MOST_WAITING: usize = 200_000;

/// Buckets of one length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tier {
    /// For an hour.
    Second,
    /// For a day.
    Minute,
    /// For 31 days.
    TenMinutes,
    /// For 366 days.
    Hour,
}

impl Tier {
    /// All of them, the shortest first.
    pub(super) const ALL: [Self; 4] = [Self::Second, Self::Minute, Self::TenMinutes, Self::Hour];

    /// The length of a bucket, in seconds: a multiple of that of the tier before.
    pub(super) const fn step(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::TenMinutes => 600,
            Self::Hour => 3_600,
        }
    }

    /// How many buckets of a line are kept.
    pub(super) const fn kept(self) -> u64 {
        match self {
            Self::Second => 3_600,
            Self::Minute => 1_440,
            Self::TenMinutes => 31 * 144,
            Self::Hour => 366 * 24,
        }
    }

    /// The seconds that are kept.
    pub(super) const fn reach(self) -> u64 {
        self.step() * self.kept()
    }
}

/// Which bucket: its length, when it begins (seconds since 1970, a multiple of its length), and its line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) tier: Tier,
    pub(super) start: u64,
    pub(super) line: Arc<str>,
}

/// A line as it is when it is looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) name: String,
    /// Bytes since some time in the past.
    pub(super) in_bytes: u64,
    pub(super) out_bytes: u64,
    pub(super) loss_percent: Option<u8>,
    /// Round trips since some time in the past, and what they took together, in microseconds.
    pub(super) round_trips: u64,
    pub(super) round_trip_total: u64,
    pub(super) state: Option<Availability>,
}

/// All lines at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    /// Milliseconds since 1970.
    pub(super) wall: u64,
    /// Milliseconds of the clock that does not jump.
    pub(super) monotonic: u64,
    pub(super) lines: Vec<Sample>,
}

/// The last look, and what waits to be taken.
#[derive(Debug, Default)]
pub(super) struct Rollup {
    before: Option<(u64, BTreeMap<Arc<str>, Sample>)>,
    waiting: BTreeMap<Key, Bucket>,
}

impl Rollup {
    /// Takes in what has happened since the look before.
    pub(super) fn handle_look(&mut self, look: Look) {
        let before = self.before.take();
        let span = before.as_ref().map(|(earlier, _)| look.monotonic.saturating_sub(*earlier));
        let mut lines: BTreeMap<Arc<str>, Sample> = BTreeMap::new();
        for sample in look.lines {
            let known = before.as_ref().and_then(|(_, lines)| lines.get_key_value(sample.name.as_str()));
            let name = known.map_or_else(|| sample.name.as_str().into(), |(name, _)| Arc::clone(name));
            if let (Some((_, earlier)), Some(span @ 1..=LONGEST_SPAN)) = (known, span)
                && let Some(whole) = between(earlier, &sample, span)
            {
                self.add(&name, look.wall.saturating_sub(span), &whole);
            }
            lines.insert(name, sample);
        }
        // A second look in the same millisecond says nothing yet; the next will be compared with the one before.
        self.before = match (before, span) {
            (Some(before), Some(0)) => Some(before),
            _ => Some((look.monotonic, lines)),
        };
    }

    /// Adds a span that begins at `start` (milliseconds since 1970) to the buckets that it lies in.
    fn add(&mut self, line: &Arc<str>, start: u64, whole: &Bucket) {
        let mut done = 0;
        while done < whole.known {
            let at = start + done;
            let until = whole.known.min(done + 1_000 - at % 1_000);
            let piece = part(whole, done, until);
            for tier in Tier::ALL {
                let start = at / 1_000 / tier.step() * tier.step();
                self.waiting.entry(Key { tier, start, line: Arc::clone(line) }).or_default().add(&piece);
            }
            done = until;
        }
    }

    /// What was added since it was last taken.
    pub(super) fn take(&mut self) -> BTreeMap<Key, Bucket> {
        std::mem::take(&mut self.waiting)
    }

    /// Takes back what could not be kept, as far as it would still be shown at `now` (seconds since 1970).
    pub(super) fn give_back(&mut self, now: u64, mut buckets: BTreeMap<Key, Bucket>) {
        buckets.retain(|key, _| key.start <= now && now - key.start < key.tier.reach());
        for tier in Tier::ALL {
            if buckets.len() > MOST_WAITING {
                buckets.retain(|key, _| key.tier != tier);
            }
        }
        for (key, bucket) in buckets {
            self.waiting.entry(key).or_default().add(&bucket);
        }
    }

    /// What waits in a tier, from `from` on (seconds since 1970).
    pub(super) fn waiting(&self, tier: Tier, from: u64) -> impl Iterator<Item = (&Key, &Bucket)> {
        let first = Key { tier, start: from, line: "".into() };
        self.waiting.range(first..).take_while(move |(key, _)| key.tier == tier)
    }
}

/// What a line did between two looks; `None`: its counters have begun anew.
fn between(earlier: &Sample, now: &Sample, span: u64) -> Option<Bucket> {
    let answers = now.round_trips.checked_sub(earlier.round_trips).filter(|answers| *answers > 0);
    let took = now.round_trip_total.checked_sub(earlier.round_trip_total);
    let round_trip = answers.zip(took).map(|(answers, took)| took / answers);
    let place = |state| Availability::ALL.iter().position(|other| *other == state);
    let mut bucket = Bucket {
        known: span,
        in_bytes: now.in_bytes.checked_sub(earlier.in_bytes)?,
        out_bytes: now.out_bytes.checked_sub(earlier.out_bytes)?,
        loss: now.loss_percent.map_or(0, |percent| u64::from(percent) * span),
        loss_known: now.loss_percent.map_or(0, |_| span),
        round_trip: round_trip.map_or(0, |microseconds| microseconds.saturating_mul(span)),
        round_trip_known: round_trip.map_or(0, |_| span),
        ..Bucket::default()
    };
    if let Some(place) = now.state.and_then(place) {
        bucket.states[place] = span;
    }
    Some(bucket)
}

/// The part of a span from one millisecond of it to another. All parts of it together are the whole again.
fn part(whole: &Bucket, from: u64, until: u64) -> Bucket {
    let share = |sum: u64| {
        let up_to = |time: u64| u128::from(sum) * u128::from(time) / u128::from(whole.known.max(1));
        u64::try_from(up_to(until) - up_to(from)).unwrap_or(u64::MAX)
    };
    Bucket::from_numbers(whole.numbers().map(share))
}

#[cfg(test)]
mod tests;
