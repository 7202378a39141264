//! The thread that keeps the trends: it takes in looks, writes what has come of them now and then, and answers readers.
//!
//! What comes between two writes is in memory, and readers see it all the same: so they see the last second, and on a disk that is
//! full, read-only or broken they see what has been since the start. Writes are far between, so that a stick or a card lives
//! long.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossbeam::channel::Receiver;
use tokio::sync::oneshot;
use tracing::{info, warn};

use super::bucket::Bucket;
use super::hosts::{self, HostDays};
use super::report::{HistoryQuery, HistoryReport, HostDayReport, HostDaysReport, HostUsageReport, PointReport};
use super::rollup::{Key, Look, Rollup};
use super::store::{Days, Store};
use crate::daemon::report::DayReport;
use crate::daemon::{DatabaseError, rfc3339};
use crate::engine::HostAccount;

/// Milliseconds between two writes.
const WRITE_EVERY: u64 = 30_000;
/// Fewest points that somebody can ask for.
const FEWEST_POINTS: u64 = 10;
/// Milliseconds of a day.
const DAY: u64 = 86_400_000;

/// What the thread is asked for. Times are seconds since 1970, days local ones since then.
#[derive(Debug)]
pub(super) enum Message {
    /// The lines were looked at.
    Look(Look),
    /// The accounts were looked at on this day.
    Accounts(i64, Vec<HostAccount>),
    /// What is known at this time?
    History(u64, HistoryQuery, oneshot::Sender<HistoryReport>),
    /// What have hosts used from one day to another?
    HostDays(i64, i64, oneshot::Sender<HostDaysReport>),
    /// Keep all, end, and say so.
    Finish(crossbeam::channel::Sender<()>),
}

/// Whether anything was kept when last tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Keeping,
    /// The log has it already. Leaves by: something is kept -> Keeping.
    Losing,
}

/// The thread's own. `tell` is told what hosts have used today.
#[derive(Debug)]
pub(super) struct Keeper<T> {
    tell: T,
    path: PathBuf,
    /// `None`: not opened yet, or it has failed; the next write tries again.
    store: Option<Store>,
    health: Health,
    rollup: Rollup,
    hosts: HostDays,
    /// The last look, by both clocks.
    now: (u64, u64),
    /// When it was last written, by the clock that does not jump.
    written: u64,
}

impl<T: Fn(BTreeMap<Ipv4Addr, DayReport>)> Keeper<T> {
    /// Keeps things in the file at `path`, which is opened when it is needed.
    pub(super) fn new(path: PathBuf, tell: T) -> Self {
        let (rollup, hosts) = (Rollup::default(), HostDays::default());
        Self { tell, path, store: None, health: Health::Keeping, rollup, hosts, now: (0, 0), written: 0 }
    }

    /// Works until told to end, or until nobody is left who could say anything.
    pub(super) fn run(mut self, waiting: &Receiver<Message>) {
        while let Ok(message) = waiting.recv() {
            // Whoever asks may have gone away.
            match message {
                Message::Look(look) => self.handle_look(look),
                Message::Accounts(day, accounts) => self.handle_accounts(day, &accounts),
                Message::History(now, query, answer) => drop(answer.send(self.history(now, &query))),
                Message::HostDays(from, until, answer) => drop(answer.send(self.host_days(from, until))),
                Message::Finish(answer) => {
                    self.write();
                    // Closed before it is said: SQLite tidies up.
                    drop(self.store.take());
                    let _nobody_waits_is_fine = answer.send(());
                    return;
                }
            }
        }
        self.write();
    }

    fn handle_look(&mut self, look: Look) {
        self.now = (look.wall, look.monotonic);
        if self.written == 0 {
            self.written = look.monotonic;
        }
        self.rollup.handle_look(look);
        if self.now.1.saturating_sub(self.written) >= WRITE_EVERY {
            self.written = self.now.1;
            self.write();
        }
    }

    fn handle_accounts(&mut self, day: i64, accounts: &[HostAccount]) {
        let (path, store) = (&self.path, &mut self.store);
        // Reads only when the day is another.
        let kept = |day| {
            let read = open(path, store).and_then(|store| store.days(day, day)).unwrap_or_default();
            read.into_iter().map(|((_, host), used)| (host, used)).collect()
        };
        (self.tell)(self.hosts.handle_accounts(day, accounts, kept).clone());
    }

    /// Writes what waits. What cannot be written waits on.
    fn write(&mut self) {
        let buckets = self.rollup.take();
        if buckets.is_empty() && self.hosts.waiting().is_empty() {
            return;
        }
        let added = open(&self.path, &mut self.store).and_then(|store| store.add(&buckets, self.hosts.waiting()));
        match added {
            Ok(()) => {
                self.hosts.forget_waiting();
                if self.health == Health::Losing {
                    info!("the lines' history is kept again");
                }
                self.health = Health::Keeping;
            }
            Err(error) => {
                self.rollup.give_back(self.now.0 / 1_000, buckets);
                self.fail(&error);
            }
        }
    }

    fn fail(&mut self, error: &DatabaseError) {
        // Opened anew next time: it may be broken, and opening finds out.
        self.store = None;
        if self.health == Health::Keeping {
            warn!(%error, "the lines' history cannot be kept; give state_dir room and let the router write there");
        }
        self.health = Health::Losing;
    }

    fn history(&mut self, now: u64, query: &HistoryQuery) -> HistoryReport {
        let tier = query.span.tier();
        let from = (now + 1).saturating_sub(tier.reach());
        let line = query.uplink.as_deref();
        let kept = open(&self.path, &mut self.store).and_then(|store| store.buckets(tier, (from, now), line));
        let mut buckets = kept.unwrap_or_else(|error| {
            self.fail(&error);
            BTreeMap::new()
        });
        let is_asked = |key: &Key| key.start <= now && line.is_none_or(|line| *key.line == *line);
        for (key, bucket) in self.rollup.waiting(tier, from).filter(|(key, _)| is_asked(key)) {
            buckets.entry(key.clone()).or_default().add(bucket);
        }
        let step_seconds = step(tier.step(), tier.kept(), query.most);
        let mut lines = points(buckets, step_seconds);
        match line {
            Some(line) => {
                HistoryReport { step_seconds, points: Some(lines.remove(line).unwrap_or_default()), uplinks: None }
            }
            None => HistoryReport { step_seconds, points: None, uplinks: Some(lines) },
        }
    }

    fn host_days(&mut self, from: i64, until: i64) -> HostDaysReport {
        let kept = open(&self.path, &mut self.store).and_then(|store| store.days(from, until));
        let mut days: Days = kept.unwrap_or_else(|error| {
            self.fail(&error);
            Days::new()
        });
        for (key, used) in self.hosts.waiting().iter().filter(|((day, _), _)| (from..=until).contains(day)) {
            hosts::add(days.entry(*key).or_default(), *used);
        }
        let of_day = |day: i64| {
            let hosts = days.range((day, Ipv4Addr::UNSPECIFIED)..=(day, Ipv4Addr::BROADCAST));
            let report = |((_, host), used): (&(i64, Ipv4Addr), &DayReport)| HostUsageReport {
                address: host.to_string(),
                out_bytes: used.out_bytes,
                in_bytes: used.in_bytes,
            };
            HostDayReport { day: date(day), hosts: hosts.map(report).collect() }
        };
        let all: BTreeSet<i64> = days.keys().map(|(day, _)| *day).collect();
        HostDaysReport { days: all.into_iter().map(of_day).collect() }
    }
}

fn open<'s>(path: &Path, store: &'s mut Option<Store>) -> Result<&'s mut Store, DatabaseError> {
    let opened = match store.take() {
        Some(store) => store,
        None => Store::open(path)?,
    };
    Ok(store.insert(opened))
}

/// The length of a step: that of the buckets, or so many of them that there are at most `most` points.
fn step(step: u64, kept: u64, most: Option<u64>) -> u64 {
    // The first and the last step may be cut short: then there is one more.
    let joined = |most: u64| if most >= kept { 1 } else { kept.div_ceil(most.max(FEWEST_POINTS) - 1) };
    most.map_or(step, |most| step * joined(most))
}

/// The points of each line, each of the buckets of a step.
fn points(buckets: BTreeMap<Key, Bucket>, step: u64) -> BTreeMap<String, Vec<PointReport>> {
    let mut sums: BTreeMap<(Arc<str>, u64), Bucket> = BTreeMap::new();
    for (key, bucket) in buckets {
        sums.entry((key.line, key.start / step * step)).or_default().add(&bucket);
    }
    let mut lines: BTreeMap<String, Vec<PointReport>> = BTreeMap::new();
    for ((line, start), bucket) in sums {
        let point = PointReport::new(start, &bucket);
        match lines.get_mut(&*line) {
            Some(points) => points.push(point),
            None => drop(lines.insert(line.to_string(), vec![point])),
        }
    }
    lines
}

fn date(day: i64) -> String {
    let mut text = rfc3339(day.unsigned_abs() * DAY);
    text.truncate("2026-11-26".len());
    text
}

#[cfg(test)]
mod tests;
