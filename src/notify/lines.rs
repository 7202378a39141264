//! How the lines are, as far as it matters to people: from the events, and now and then from the router's own word, for events
//! can be lost with the disk.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::daemon::milliseconds;
use crate::daemon::report::EventReport;

/// How a line is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Condition {
    /// It works, since then.
    Works { since: u64 },
    /// It does not.
    Out(Outage),
    /// Somebody has taken it down, and knows.
    Down,
}

/// A time in which a line does not work.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Outage {
    /// Since then, in milliseconds since 1970.
    pub(super) since: u64,
    /// As in the router's status.
    pub(super) state: String,
    /// Why it began, or got worse.
    pub(super) cause: Option<String>,
    /// Since when its interface is missing, if it is.
    pub(super) missing_since: Option<u64>,
    /// Whether it began because the line is being set up, which takes its time.
    pub(super) is_start: bool,
}

/// All lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lines {
    /// By name.
    pub(super) all: BTreeMap<String, Condition>,
    /// Since when none works, and why, if that is so.
    pub(super) none_works: Option<(u64, Option<String>)>,
}

impl Lines {
    /// Takes in an event that matters to a line; says whether one works that did not. `now` is for an event without a time.
    pub(super) fn handle_event(&mut self, now: u64, event: &EventReport) -> bool {
        let at = milliseconds(&event.time).unwrap_or(now);
        match (event.event.as_str(), &event.uplink, &event.to) {
            ("uplink-changed", Some(line), Some(state)) => self.change(line, at, state, event.cause.as_deref()),
            ("uplink-added" | "uplink-replaced", Some(line), _) => {
                self.all.insert(line.clone(), starting(at));
                false
            }
            ("uplink-removed", Some(line), _) => {
                self.all.remove(line);
                false
            }
            ("router-started", ..) => {
                self.none_works = None;
                self.all.values_mut().for_each(|condition| *condition = starting(at));
                false
            }
            ("no-uplink", ..) => {
                self.none_works = Some((at, event.cause.clone()));
                false
            }
            ("uplink-back", ..) => self.none_works.take().is_some(),
            _ => false,
        }
    }

    /// Takes in the state of every line, from the router itself; says whether one works that did not.
    pub(super) fn handle_status<'s>(&mut self, now: u64, status: impl Iterator<Item = (&'s str, &'s str)>) -> bool {
        let status: BTreeMap<_, _> = status.collect();
        self.all.retain(|line, _| status.contains_key(line.as_str()));
        let mut is_back = false;
        for (line, state) in status {
            is_back |= self.change(line, now, state, None);
        }
        is_back
    }

    fn change(&mut self, line: &str, at: u64, state: &str, cause: Option<&str>) -> bool {
        let before = self.all.get(line);
        let (after, is_back) = match (state, before) {
            ("up" | "standby", Some(Condition::Works { .. })) => return false,
            ("up" | "standby", before) => {
                self.none_works = None;
                (Condition::Works { since: at }, before.is_some())
            }
            ("down", _) => (Condition::Down, false),
            (state, before) => (Condition::Out(outage(before, at, state, cause)), false),
        };
        self.all.insert(line.to_owned(), after);
        is_back
    }
}

/// A line that is being set up.
fn starting(at: u64) -> Condition {
    let state = "connecting".to_owned();
    Condition::Out(Outage { since: at, state, is_start: true, ..Outage::default() })
}

/// What an outage is after a line has got into `state`.
fn outage(before: Option<&Condition>, at: u64, state: &str, cause: Option<&str>) -> Outage {
    let mut outage = match before {
        Some(Condition::Out(outage)) => outage.clone(),
        Some(Condition::Works { .. }) => Outage { since: at, ..Outage::default() },
        Some(Condition::Down) | None => Outage { since: at, is_start: true, ..Outage::default() },
    };
    let is_worse = matches!(state, "lame" | "no-carrier" | "missing");
    if outage.state != state && (is_worse || outage.cause.is_none()) {
        outage.cause = cause.map(str::to_owned).or(outage.cause);
    }
    outage.missing_since = (state == "missing").then(|| outage.missing_since.unwrap_or(at));
    state.clone_into(&mut outage.state);
    outage
}
