//! What users' own traffic tells of a line: the workers' counters, looked at now and then.
//!
//! Counters of busy flows lag: the shortcut tells of packets up to a fifth of a second late. What is counted between the
//! ends of two silent rounds is proof all the same, for the first of them began earlier than that.

use std::collections::VecDeque;
use std::time::Duration;

use crate::engine::counters::FAR_END_GROUPS;
use crate::flow::Timestamp;

/// Looks that are closer than this count as one.
const LEAST_STEP: Duration = Duration::from_millis(100);
/// How far back looks are kept.
const KEPT: Duration = Duration::from_secs(12);
/// What rates are reckoned over.
const RATE_SPAN: Duration = Duration::from_secs(1);
/// A line is full from this share of what it can do, in percent.
const FULL_PERCENT: u64 = 80;
/// The highest rate seen says what a line can do, when nobody else does; it halves in this time, and nothing below
/// [`LEAST_PEAK`] is high.
const PEAK_HALVES: Duration = Duration::from_secs(600);
const LEAST_PEAK: u64 = 1_000_000;
/// Packets that have come, by which a line is known to work: more than a few senders' repetitions.
const MANY_PACKETS: u64 = 8;
/// The same of a line that is full: a slow one has no more.
const FEW_PACKETS: u64 = 2;
/// Connections tried without an answer, for that to mean something; over [`TRIED_SPAN`], with [`ANSWER_SPAN`] more to answer.
const MANY_TRIED: u64 = 8;
const TRIED_SPAN: Duration = Duration::from_secs(3);
const ANSWER_SPAN: Duration = Duration::from_secs(1);
/// Connections tried without an answer, for packets that come to prove nothing.
const DOUBTFUL_TRIED: u64 = 5;
/// Connections in all from which on a line's own past is worth a look, and of which one in five should have been answered.
const LEAST_PAST: u64 = 20;
const RARELY: u64 = 5;

/// TCP segments with data on a line, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segments {
    /// Sent by hosts.
    pub out: u64,
    /// Those of them whose data was sent before.
    pub out_repeated: u64,
    /// Come for hosts.
    pub back: u64,
    /// Those of them whose data came before, or behind later data.
    pub back_repeated: u64,
    /// How often each group of far ends has acknowledged data.
    pub heard: [u64; FAR_END_GROUPS],
    /// How many connections to each group have sent again and again and were told nothing.
    pub stuck: [u64; FAR_END_GROUPS],
}

impl Segments {
    pub(super) fn since(self, before: Self) -> Self {
        let groups = |now: [u64; FAR_END_GROUPS], before: [u64; FAR_END_GROUPS]| {
            std::array::from_fn(|group| now[group].saturating_sub(before[group]))
        };
        Self {
            out: self.out.saturating_sub(before.out),
            out_repeated: self.out_repeated.saturating_sub(before.out_repeated),
            back: self.back.saturating_sub(before.back),
            back_repeated: self.back_repeated.saturating_sub(before.back_repeated),
            heard: groups(self.heard, before.heard),
            stuck: groups(self.stuck, before.stuck),
        }
    }
}

/// The counters of a line, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// TCP connections that hosts have tried to make.
    pub connections_tried: u64,
    /// Those that were answered.
    pub connections_answered: u64,
    /// Packets that came for hosts, by the line itself.
    pub packets_in: u64,
    /// Bytes that came.
    pub bytes_in: u64,
    /// Bytes that were sent.
    pub bytes_out: u64,
    /// TCP segments with data.
    pub segments: Segments,
}

impl Traffic {
    fn since(self, before: Self) -> Self {
        Self {
            connections_tried: self.connections_tried.saturating_sub(before.connections_tried),
            connections_answered: self.connections_answered.saturating_sub(before.connections_answered),
            packets_in: self.packets_in.saturating_sub(before.packets_in),
            bytes_in: self.bytes_in.saturating_sub(before.bytes_in),
            bytes_out: self.bytes_out.saturating_sub(before.bytes_out),
            segments: self.segments.since(before.segments),
        }
    }
}

/// What a line can carry, in bits a second, as far as its owner has said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capacity {
    /// From the internet.
    pub download: Option<u64>,
    /// To the internet.
    pub upload: Option<u64>,
}

/// Whether a line is full by our own traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    /// There is room.
    Light,
    /// There is none: questions wait in queues or are lost there.
    Full,
}

/// Whether other lines answer their users now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Peers {
    /// None is known to.
    #[default]
    Silent,
    /// One does.
    Answer,
}

pub(super) fn ago(now: Timestamp, span: Duration) -> Timestamp {
    Timestamp::from_millis(now.as_millis().saturating_sub(span.as_millis() as u64))
}

/// The last seconds of a line.
#[derive(Debug, Default)]
pub(super) struct TrafficWindow {
    looks: VecDeque<(Timestamp, Traffic)>,
    latest: Option<(Timestamp, Traffic)>,
    /// The counters at the last verdict.
    marked: Traffic,
    /// The highest rates in and out, and when they were reckoned.
    peaks: [u64; 2],
    peaks_at: Timestamp,
}

impl TrafficWindow {
    /// Takes in a look at the counters.
    pub(super) fn observe(&mut self, now: Timestamp, traffic: Traffic) {
        if self.looks.back().is_none_or(|(at, _)| now.since(*at) >= LEAST_STEP) {
            self.looks.push_back((now, traffic));
        }
        while self.looks.front().is_some_and(|(at, _)| now.since(*at) > KEPT) {
            self.looks.pop_front();
        }
        self.latest = Some((now, traffic));
        let halved = now.since(self.peaks_at) >= PEAK_HALVES;
        if halved {
            self.peaks_at = now;
        }
        let rates = self.rates(now);
        for (peak, rate) in self.peaks.iter_mut().zip(rates) {
            *peak = if halved { *peak / 2 } else { *peak }.max(rate);
        }
    }

    /// What has come since a look that is no earlier than `since`.
    pub(super) fn after(&self, since: Timestamp) -> Traffic {
        let first = self.looks.iter().find(|(at, _)| *at >= since);
        first.zip(self.latest).map_or_else(Traffic::default, |((_, before), (_, latest))| latest.since(*before))
    }

    /// The counters at the last look that is no later than `at`.
    fn until(&self, at: Timestamp) -> Option<Traffic> {
        self.looks.iter().rev().find(|(looked, _)| *looked <= at).map(|(_, traffic)| *traffic)
    }

    /// Bits a second in and out, over the last second or so.
    fn rates(&self, now: Timestamp) -> [u64; 2] {
        let Some((at, latest)) = self.latest.filter(|(at, _)| now.since(*at) <= KEPT) else { return [0; 2] };
        let is_old = |(looked, _): &&(Timestamp, Traffic)| at.since(*looked) >= RATE_SPAN;
        let Some((then, before)) = self.looks.iter().rev().find(is_old).or(self.looks.front()) else { return [0; 2] };
        let span = at.since(*then);
        // Of a shorter time a burst would be a rate.
        if span < RATE_SPAN / 2 {
            return [0; 2];
        }
        let delta = latest.since(*before);
        [delta.bytes_in, delta.bytes_out]
            .map(|bytes| u64::try_from(u128::from(bytes) * 8_000 / span.as_millis().max(1)).unwrap_or(u64::MAX))
    }

    /// Whether the line is full.
    pub(super) fn load(&self, now: Timestamp, capacity: Capacity) -> Load {
        let limits = [capacity.download, capacity.upload];
        let is_full = self.rates(now).iter().zip(limits).zip(self.peaks).any(|((rate, limit), peak)| {
            let limit = limit.or((peak >= LEAST_PEAK).then_some(peak));
            limit.is_some_and(|limit| *rate >= limit / 100 * FULL_PERCENT)
        });
        if is_full { Load::Full } else { Load::Light }
    }

    /// From now on, what has come is old.
    pub(super) fn mark(&mut self) {
        self.marked = self.latest.map(|(_, latest)| latest).unwrap_or_default();
    }

    /// Whether users have had answers since the mark: a new connection was answered, or many packets came and connections
    /// are not tried in vain.
    pub(super) fn is_alive(&self, now: Timestamp, load: Load) -> bool {
        let delta = self.latest.map(|(_, latest)| latest.since(self.marked)).unwrap_or_default();
        let enough = if load == Load::Full { FEW_PACKETS } else { MANY_PACKETS };
        delta.connections_answered > 0 || (delta.packets_in >= enough && !self.is_tried_in_vain(now))
    }

    fn is_tried_in_vain(&self, now: Timestamp) -> bool {
        let delta = self.after(ago(now, TRIED_SPAN));
        delta.connections_tried >= DOUBTFUL_TRIED && delta.connections_answered == 0
    }

    /// Connections that were tried since `since`.
    pub(super) fn tried_since(&self, since: Timestamp) -> u64 {
        self.after(since).connections_tried
    }

    /// Whether connections have been answered in the last seconds, at least every second one.
    pub(super) fn answers_users(&self, now: Timestamp) -> bool {
        let delta = self.after(ago(now, TRIED_SPAN + ANSWER_SPAN));
        delta.connections_answered > 0 && delta.connections_answered * 2 >= delta.connections_tried
    }

    /// Whether many connections were tried and none answered, while this line has answered its users before.
    pub(super) fn leaves_users_unanswered(&self, now: Timestamp) -> bool {
        let (before, recent) = (self.until(ago(now, TRIED_SPAN + ANSWER_SPAN)), self.until(ago(now, ANSWER_SPAN)));
        let (Some((_, latest)), Some(before), Some(recent)) = (self.latest, before, recent) else { return false };
        let was_rare = before.connections_tried >= LEAST_PAST
            && before.connections_answered.saturating_mul(RARELY) < before.connections_tried;
        let tried = recent.since(before).connections_tried;
        !was_rare && tried >= MANY_TRIED && latest.since(before).connections_answered == 0
    }
}
