//! What a channel is to be told, and when.
//!
//! Theory of operation: a teller remembers what its people believe of each line, from what they were told last. What they should be
//! told is the difference to how the lines are ([`Lines`]); each difference has a time at which it is due: a line that does not work
//! after the channel's tolerance, one whose interface is missing at once, one that works again at once. A difference that is gone
//! before it is due is nobody's business. Those that began within the channel's group time are told together, so the first waits
//! until that is over. Outside the channel's hours nothing is due; what still is so when they begin is told then.
//!
//! A line that comes and goes would be told of for ever. The third time within an hour says so, and that its return is told only
//! once it has lasted. Events that are no state (orders, leases) are told as they come, or never.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::lines::{Condition, Lines, Outage};
use super::note::{Note, span};
use crate::config::{Recovery, Terms, Topic};
use crate::daemon::local_time;
use crate::daemon::milliseconds;
use crate::daemon::report::EventReport;

/// A line that is being set up has this long at least, in milliseconds.
const SETTING_UP: u64 = 30_000;
/// A line that was told lost this often within [`REMEMBERED`] comes and goes.
const OFTEN: usize = 3;
/// How long a loss is held against a line, in milliseconds.
const REMEMBERED: u64 = 3_600_000;
/// A line that comes and goes is told back after it has worked for so long, in milliseconds.
const STEADY: u64 = 300_000;
/// Most events that wait for the end of the group time.
const MOST_WAITING: usize = 50;

/// A moment, as a channel's clock shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// Milliseconds since 1970.
    pub(super) now: u64,
    /// What local clocks show beyond UTC, in seconds.
    pub(super) utc_offset: i64,
}

/// What people believe of a line that does not work.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Told {
    /// Whether they believe now that it does not work; else only the times count.
    is_out: bool,
    /// Whether they know that its interface is missing.
    is_missing: bool,
    /// When it went away, in milliseconds since 1970.
    since: u64,
    /// When they were told that it does not work, lately.
    times: Vec<u64>,
}

/// What a channel was told, and what waits to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Teller {
    told: BTreeMap<String, Told>,
    /// Since when they believe that no line works.
    none_works: Option<u64>,
    /// Events that wait for the end of the group time.
    waiting: Vec<Note>,
}

/// Something to tell, at some time.
struct Difference {
    /// When it began.
    began: u64,
    /// When it is due.
    due: u64,
    /// Whether it waits for nothing else.
    is_urgent: bool,
    note: Note,
}

impl Teller {
    /// Takes in an event that is no state of a line.
    pub(super) fn handle_event(&mut self, moment: Moment, terms: &Terms, event: &EventReport) {
        let is_wanted = topic_of(&event.event).is_some_and(|topic| terms.topics.contains(&topic));
        let is_ours = event.uplink.as_ref().is_none_or(|line| is_among(terms, line));
        if !is_wanted || !is_ours || !is_open(terms, moment) || self.waiting.len() >= MOST_WAITING {
            return;
        }
        self.waiting.push(Note {
            event: event.event.clone(),
            line: event.uplink.clone(),
            state: event.to.clone(),
            cause: event.cause.clone(),
            by: event.by.clone(),
            time: milliseconds(&event.time).unwrap_or(moment.now),
            text: event.text(),
        });
    }

    /// What is to be told now, at once.
    pub(super) fn poll_notes(&mut self, moment: Moment, terms: &Terms, lines: &Lines) -> Vec<Note> {
        self.forget(moment.now, lines);
        if !is_open(terms, moment) {
            self.waiting.clear();
            return Vec::new();
        }
        let differences = self.differences(moment.now, terms, lines);
        if ready_at(&differences, terms).is_none_or(|ready| ready > moment.now) {
            return Vec::new();
        }
        self.waiting.retain(|note| note.time > moment.now);
        let due = differences.into_iter().filter(|difference| difference.due <= moment.now);
        let mut notes: Vec<Note> = due.map(|difference| difference.note).collect();
        notes.iter_mut().for_each(|note| self.note_told(moment.now, note, lines));
        notes
    }

    /// When [`Self::poll_notes`] should be asked again, as far as hours do not matter: milliseconds since 1970.
    pub(super) fn poll_timeout(&self, now: u64, terms: &Terms, lines: &Lines) -> Option<u64> {
        let differences = self.differences(now, terms, lines);
        let due = differences.iter().map(|difference| difference.due).chain(ready_at(&differences, terms));
        due.filter(|at| *at > now).min()
    }

    /// Forgets what was long ago, and lines that are no more.
    fn forget(&mut self, now: u64, lines: &Lines) {
        self.told.retain(|line, told| {
            told.times.retain(|at| now.saturating_sub(*at) < REMEMBERED);
            lines.all.contains_key(line) && (told.is_out || !told.times.is_empty())
        });
    }

    fn differences(&self, now: u64, terms: &Terms, lines: &Lines) -> Vec<Difference> {
        let ours = lines.all.iter().filter(|(line, _)| is_among(terms, line));
        let of_lines = ours.filter_map(|(line, condition)| self.difference(now, terms, line, condition));
        let others = self.waiting.iter().cloned().map(|note| Difference {
            began: note.time,
            due: note.time,
            is_urgent: false,
            note,
        });
        of_lines.chain(self.none_works(now, terms, lines)).chain(others).collect()
    }

    fn difference(&self, now: u64, terms: &Terms, line: &str, condition: &Condition) -> Option<Difference> {
        let told = self.told.get(line);
        let is_out = told.is_some_and(|told| told.is_out);
        let wants = |topic| terms.topics.contains(&topic);
        match condition {
            Condition::Out(outage) => {
                let patience = tolerance(terms).max(if outage.is_start { SETTING_UP } else { 0 });
                let is_known_missing = is_out && told.is_some_and(|told| told.is_missing);
                if let Some(since) = outage.missing_since.filter(|_| wants(Topic::Missing) && !is_known_missing) {
                    let due = since + if outage.is_start { patience } else { 0 };
                    let is_urgent = !outage.is_start;
                    return Some(Difference { began: since, due, is_urgent, note: missing(line, outage) });
                }
                (wants(Topic::Lost) && !is_out).then(|| {
                    let due = outage.since + patience;
                    let note = lost(line, outage, now, self.times_with_this(now, line));
                    Difference { began: outage.since, due, is_urgent: false, note }
                })
            }
            Condition::Works { since } => told.filter(|told| told.is_out).map(|told| {
                let due = since + if told.times.len() >= OFTEN { STEADY } else { 0 };
                Difference { began: due, due, is_urgent: false, note: back(line, told.since, *since) }
            }),
            Condition::Down => None,
        }
    }

    /// How often the line will have been told lost within the time that counts, with this time.
    fn times_with_this(&self, now: u64, line: &str) -> usize {
        let recent = |at: &&u64| now.saturating_sub(**at) < REMEMBERED;
        self.told.get(line).map_or(0, |told| told.times.iter().filter(recent).count()) + 1
    }

    fn none_works(&self, now: u64, terms: &Terms, lines: &Lines) -> Option<Difference> {
        if !terms.topics.contains(&Topic::NoLine) {
            return None;
        }
        match (&lines.none_works, self.none_works) {
            (Some((since, cause)), None) => {
                let due = since + tolerance(terms);
                let why = cause.as_ref().map_or_else(String::new, |cause| format!(": {cause}"));
                let note = Note {
                    event: "no-line".to_owned(),
                    cause: cause.clone(),
                    time: *since,
                    text: format!("no line works{}{why}", lasting(now, *since)),
                    ..Note::default()
                };
                Some(Difference { began: *since, due, is_urgent: false, note })
            }
            (None, Some(since)) => {
                let works = |condition: &Condition| match condition {
                    Condition::Works { since } => Some(*since),
                    _ => None,
                };
                let back = lines.all.values().filter_map(works).filter(|at| *at >= since).min().unwrap_or(now);
                let text = format!("the internet can be reached again, after {}", span(back.saturating_sub(since)));
                let note = Note { event: "lines-back".to_owned(), time: back, text, ..Note::default() };
                Some(Difference { began: back, due: back, is_urgent: false, note })
            }
            _ => None,
        }
    }

    /// People believe this from now on. A recovery that they do not want to hear of is believed in silence.
    fn note_told(&mut self, now: u64, note: &mut Note, lines: &Lines) {
        match (note.event.as_str(), &note.line) {
            ("no-line", _) => self.none_works = lines.none_works.as_ref().map(|(since, _)| *since),
            ("lines-back", _) => self.none_works = None,
            ("line-back", Some(line)) => {
                if let Some(told) = self.told.get_mut(line) {
                    (told.is_out, told.is_missing) = (false, false);
                }
            }
            ("line-lost" | "line-missing", Some(line)) => {
                let told = self.told.entry(line.clone()).or_default();
                if !told.is_out {
                    told.times.push(now);
                    told.since = match lines.all.get(line) {
                        Some(Condition::Out(outage)) => outage.since,
                        _ => note.time,
                    };
                }
                (told.is_out, told.is_missing) = (true, note.event == "line-missing");
            }
            _ => {}
        }
    }
}

/// Takes the ends out of what is told, where people do not want them.
pub(super) fn wanted(terms: &Terms, notes: Vec<Note>) -> Vec<Note> {
    let is_end = |note: &Note| matches!(note.event.as_str(), "line-back" | "lines-back");
    notes.into_iter().filter(|note| terms.recovery == Recovery::Told || !is_end(note)).collect()
}

/// When the earliest of the differences, and all that belong to it, can be told.
fn ready_at(differences: &[Difference], terms: &Terms) -> Option<u64> {
    let urgent = differences.iter().filter(|difference| difference.is_urgent).map(|difference| difference.due).min();
    let group = millis(terms.group);
    let first = differences.iter().min_by_key(|difference| difference.due);
    let together = first.map(|first| {
        let last_begun = first.began + group;
        // Nobody waits for what is due long after.
        let belongs = |other: &&Difference| other.began <= last_begun && other.due <= first.due + group;
        let last_due = differences.iter().filter(belongs).map(|other| other.due).max();
        last_begun.max(last_due.unwrap_or_default())
    });
    urgent.into_iter().chain(together).min()
}

/// What an event is about, if it is no state.
fn topic_of(event: &str) -> Option<Topic> {
    match event {
        "link-ordered"
        | "redial-ordered"
        | "role-ordered"
        | "reload-ordered"
        | "line-reserved"
        | "line-released"
        | "reservation-begun"
        | "reservation-ended"
        | "reservation-refused" => Some(Topic::Orders),
        "gateway-moved" | "address-conflict" | "lease-obtained" | "lease-ended" | "lease-denied" | "lease-refused"
        | "lease-declined" | "dhcp-server-silent" | "session-failed" => Some(Topic::Addresses),
        "host-limited" => Some(Topic::Hosts),
        "router-started" | "router-stopped" | "log-begun" | "events-lost" => Some(Topic::Router),
        _ => None,
    }
}

fn is_among(terms: &Terms, line: &str) -> bool {
    terms.lines.is_empty() || terms.lines.iter().any(|name| name.as_str() == line)
}

/// Whether it is one of the channel's hours.
fn is_open(terms: &Terms, moment: Moment) -> bool {
    let minute = local_time::minute_of_day(moment.now / 1_000, moment.utc_offset);
    terms.hours.is_none_or(|hours| hours.contains(minute))
}

fn tolerance(terms: &Terms) -> u64 {
    millis(terms.tolerance)
}

fn millis(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn lost(line: &str, outage: &Outage, now: u64, times: usize) -> Note {
    let how = if outage.state == "lame" { "lame" } else { "lost" };
    let cause = outage.cause.as_ref().map_or_else(String::new, |cause| format!(": {cause}"));
    let often = if times < OFTEN {
        String::new()
    } else {
        let steady = span(STEADY);
        format!(" ({times} times within an hour: that it is back is told once it has lasted for {steady})")
    };
    of_outage("line-lost", line, outage, format!("{line} is {how}{}{cause}{often}", lasting(now, outage.since)))
}

fn missing(line: &str, outage: &Outage) -> Note {
    let what = if outage.is_start { "missing: there is no such interface" } else { "missing: stick pulled" };
    let cause = outage.cause.as_ref().map_or_else(String::new, |cause| format!(" ({cause})"));
    of_outage("line-missing", line, outage, format!("{line} is {what}{cause}"))
}

fn of_outage(event: &str, line: &str, outage: &Outage, text: String) -> Note {
    Note {
        event: event.to_owned(),
        line: Some(line.to_owned()),
        state: Some(outage.state.clone()),
        cause: outage.cause.clone(),
        by: None,
        time: outage.missing_since.unwrap_or(outage.since),
        text,
    }
}

fn back(line: &str, lost_at: u64, since: u64) -> Note {
    let after = span(since.saturating_sub(lost_at));
    Note {
        event: "line-back".to_owned(),
        line: Some(line.to_owned()),
        state: Some("up".to_owned()),
        time: since,
        text: format!("{line} is up again after {after}"),
        ..Note::default()
    }
}

/// For how long already, where that is worth a word.
fn lasting(now: u64, since: u64) -> String {
    let past = now.saturating_sub(since);
    if past < 60_000 { String::new() } else { format!(" for {}", span(past)) }
}
