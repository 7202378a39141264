//! Data that hosts send again: how much of it, what is usual on the line, and when it says that the line carries nothing.
//!
//! A line is held for silent one way when all of this is so:
//!
//! - connections to several far ends have sent again and again, and were told nothing (one far end may be dead);
//! - few far ends, if any, have acknowledged data meanwhile: on a line that only loses, most do;
//! - the share of data that is sent again is high, and several times what is usual here;
//! - the line was not full by our own traffic.
//!
//! What is usual is learned while the line is up and not full, and from nothing newer than ten seconds: so that a line
//! that fails is not held against its failing.

use std::collections::VecDeque;
use std::time::Duration;

use super::traffic::{Load, Segments, TrafficWindow, ago};
use crate::engine::counters::FAR_END_GROUPS;
use crate::flow::Timestamp;

/// Far ends are to be stuck within this...
const STUCK_SPAN: Duration = Duration::from_secs(4);
/// ...and not heard in this last part of it. The line must not have been full in that either.
const HEARD_SPAN: Duration = Duration::from_secs(2);
/// Far ends that are stuck, at least; and how many of them for one that is heard.
const LEAST_STUCK: usize = 3;
const STUCK_FOR_ONE_HEARD: usize = 4;
/// Segments sent again, at least.
const LEAST_REPEATED: u64 = 4;
/// The share of data sent again, in percent: at least this, and this many times the usual, and nobody need send more than
/// that again.
const LEAST_PERCENT: u8 = 20;
const TIMES_USUAL: u8 = 4;
const MOST_PERCENT: u8 = 90;
/// Segments are counted together for this long, and told of for a minute.
const BUCKET: Duration = Duration::from_secs(5);
const BUCKETS: u64 = 12;
/// Buckets that are too new to be learned from.
const UNLEARNED: u64 = 3;
/// What is usual is of at least so many segments, and forgotten by halves.
const LEAST_USUAL: u64 = 100;
const USUAL_HALVES: Duration = Duration::from_secs(600);

/// The shares of what was sent again, out and back.
fn shares(segments: Segments) -> [Share; 2] {
    let of = |all, repeated| Share { all, repeated };
    [of(segments.out, segments.out_repeated), of(segments.back, segments.back_repeated)]
}

fn groups(counts: [u64; FAR_END_GROUPS]) -> usize {
    counts.iter().filter(|count| **count > 0).count()
}

/// Segments with data, and those sent again.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    all: u64,
    repeated: u64,
}

impl Share {
    fn plus(self, other: Self) -> Self {
        Self { all: self.all + other.all, repeated: self.repeated + other.repeated }
    }

    fn percent(self) -> Option<u8> {
        u8::try_from((self.repeated * 100 + self.all / 2).checked_div(self.all)?).ok()
    }
}

/// Data that is sent again and reaches nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InVain {
    /// The share of hosts' data that is sent again, in percent.
    pub percent: u8,
    /// What is usual on the line; `None`: too little was sent to tell.
    pub usual_percent: Option<u8>,
}

/// Shares of data sent again, in percent; `None`: there was too little.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RepeatedStatus {
    /// Of what hosts have sent in the last minute.
    pub out_percent: Option<u8>,
    /// Of what has come for them.
    pub back_percent: Option<u8>,
    /// What is usual of what hosts send.
    pub usual_percent: Option<u8>,
}

/// A few seconds.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    number: u64,
    /// Out and back.
    shares: [Share; 2],
    /// Whether the line was full for a while.
    load: Load,
}

/// What a line's data has come to.
#[derive(Debug, Default)]
pub(super) struct Repeated {
    latest: Option<Segments>,
    buckets: VecDeque<Bucket>,
    usual: Share,
    halved_at: Timestamp,
    /// Buckets before this one are learned from, or never will be.
    learned_to: u64,
    /// Since when the line is up.
    up_since: Option<Timestamp>,
    full_at: Option<Timestamp>,
}

fn number_at(now: Timestamp) -> u64 {
    now.as_millis() / BUCKET.as_millis() as u64
}

impl Repeated {
    /// Takes in a look at the counters.
    pub(super) fn observe(&mut self, now: Timestamp, segments: Segments) {
        let news = shares(segments.since(self.latest.replace(segments).unwrap_or(segments)));
        let number = number_at(now);
        match self.buckets.back_mut().filter(|bucket| bucket.number == number) {
            Some(bucket) => bucket.shares = [0, 1].map(|way| bucket.shares[way].plus(news[way])),
            None => {
                self.learn(number.saturating_sub(UNLEARNED));
                self.buckets.push_back(Bucket { number, shares: news, load: Load::Light });
            }
        }
        while self.buckets.front().is_some_and(|bucket| bucket.number + BUCKETS <= number) {
            self.buckets.pop_front();
        }
        if now.since(self.halved_at) >= USUAL_HALVES {
            self.halved_at = now;
            self.usual = Share { all: self.usual.all / 2, repeated: self.usual.repeated / 2 };
        }
    }

    /// Learns from buckets up to number `end`, if the line was up, and not full.
    fn learn(&mut self, end: u64) {
        if let Some(since) = self.up_since {
            let numbers = self.learned_to.max(number_at(since) + 1)..=end;
            let is_told = |bucket: &&Bucket| numbers.contains(&bucket.number) && bucket.load == Load::Light;
            let old = self.buckets.iter().filter(is_told);
            self.usual = old.fold(self.usual, |sum, bucket| sum.plus(bucket.shares[0]));
        }
        self.learned_to = end + 1;
    }

    /// The line is up from now on.
    pub(super) fn begin(&mut self, now: Timestamp) {
        self.up_since = Some(now);
    }

    /// It is not.
    pub(super) fn end(&mut self) {
        self.up_since = None;
    }

    fn usual_percent(&self) -> Option<u8> {
        self.usual.percent().filter(|_| self.usual.all >= LEAST_USUAL)
    }

    /// At the end of a round: whether hosts' data reaches nobody.
    pub(super) fn review(&mut self, now: Timestamp, traffic: &TrafficWindow, load: Load) -> Option<InVain> {
        if load == Load::Full {
            self.full_at = Some(now);
            self.buckets.back_mut().into_iter().for_each(|bucket| bucket.load = Load::Full);
        }
        if self.full_at.is_some_and(|at| now.since(at) < HEARD_SPAN) {
            return None;
        }
        let stuck = groups(traffic.after(ago(now, STUCK_SPAN)).segments.stuck);
        let recent = traffic.after(ago(now, HEARD_SPAN)).segments;
        let percent = shares(recent)[0].percent()?.min(100);
        let usual_percent = self.usual_percent();
        let high = usual_percent.unwrap_or(0).saturating_mul(TIMES_USUAL).clamp(LEAST_PERCENT, MOST_PERCENT);
        let is_in_vain = stuck >= LEAST_STUCK
            && groups(recent.heard) * STUCK_FOR_ONE_HEARD <= stuck
            && recent.out_repeated >= LEAST_REPEATED
            && percent >= high;
        is_in_vain.then_some(InVain { percent, usual_percent })
    }

    /// For people.
    pub(super) fn status(&self, now: Timestamp) -> RepeatedStatus {
        let oldest = (number_at(now) + 1).saturating_sub(BUCKETS);
        let recent = self.buckets.iter().filter(|bucket| bucket.number >= oldest);
        let [out, back] =
            recent.fold([Share::default(); 2], |sum, bucket| [0, 1].map(|way| sum[way].plus(bucket.shares[way])));
        RepeatedStatus { out_percent: out.percent(), back_percent: back.percent(), usual_percent: self.usual_percent() }
    }
}
