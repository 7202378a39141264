//! From what people saw to numbers and a table.

use std::fmt;
use std::time::Duration;

use crate::fault::Fault;
use crate::users::{Attempt, Seen, Talk};

/// A new connection that takes longer than this was held up: one lost packet of its beginning costs a second.
const HELD_UP: Duration = Duration::from_millis(300);
/// The line that fails.
const FAILED_LINE: u8 = 1;

/// What a fault did to people.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Observation {
    /// From the fault on, so long some new connections failed or were held up.
    new_held_up: Duration,
    /// The longest that a new connection took; `None`: some were never made.
    new_longest: Option<Duration>,
    existing: Existing,
    /// Connections of other lines that were never told that they are over, and how many there were.
    kept_elsewhere: (usize, usize),
    /// From the end of the fault on, so long until the line carried a new connection; from the fault itself, when it is one that the
    /// router sees to. `None`: it did not.
    back_after: Option<Duration>,
}

/// What became of the long connections on the line that failed.
#[derive(Clone, Copy, Debug)]
enum Existing {
    /// All were told that they are over; the last so long after the fault.
    Told(Duration),
    /// All went on; the longest wait for an answer.
    WentOn(Duration),
    /// Some were neither answered nor told: how many.
    Silent(usize),
}

impl Seen {
    /// What a fault did that was made at `failed_at` and ended at `healed_at`.
    pub(crate) fn observation(&self, fault: Fault, failed_at: Duration, healed_at: Duration) -> Observation {
        // Attempts that were still under way when all ended say nothing.
        let judged = |attempt: &&Attempt| attempt.at + Duration::from_secs(2) < self.until || attempt.made.is_some();
        let start = if fault.takes_all() { healed_at } else { failed_at };
        let end = if fault.ends() && !fault.takes_all() { healed_at } else { self.until };
        let after =
            || self.attempts.iter().filter(judged).filter(move |attempt| attempt.at >= start && attempt.at < end);
        let is_held_up = |attempt: &&Attempt| attempt.made.is_none_or(|(time, _)| time > HELD_UP);
        let last_held_up = after().filter(is_held_up).map(|attempt| attempt.at).max();
        let times: Option<Vec<Duration>> = after().map(|attempt| attempt.made.map(|(time, _)| time)).collect();
        let on_line = |attempt: &&Attempt| attempt.made.is_some_and(|(_, line)| line == FAILED_LINE);
        let (on_failed, elsewhere): (Vec<&Talk>, Vec<&Talk>) =
            self.talks.iter().partition(|talk| fault.takes_all() || talk.line == FAILED_LINE);
        // What the line carried before anybody knew says nothing.
        let told = on_failed.iter().filter_map(|talk| talk.told_at).max();
        let since = if fault.ends() { healed_at } else { told.unwrap_or(self.until) };
        let counted_from = if fault.ends() { healed_at } else { failed_at };
        let back = self.attempts.iter().filter(|attempt| attempt.at > since).filter(on_line);
        Observation {
            new_held_up: last_held_up.map_or(Duration::ZERO, |at| at - start),
            new_longest: times.map(|times| times.into_iter().max().unwrap_or_default()),
            existing: self.existing(&on_failed, failed_at),
            kept_elsewhere: (elsewhere.iter().filter(|talk| talk.told_at.is_none()).count(), elsewhere.len()),
            back_after: back.map(|attempt| attempt.at - counted_from).min(),
        }
    }

    fn existing(&self, talks: &[&Talk], failed_at: Duration) -> Existing {
        let silent = |talk: &&&Talk| talk.told_at.is_none() && talk.last_answer + Duration::from_secs(2) < self.until;
        let told = talks.iter().filter_map(|talk| talk.told_at).max();
        match (talks.iter().filter(silent).count(), told) {
            (0, Some(at)) => Existing::Told(at.saturating_sub(failed_at)),
            (0, None) => Existing::WentOn(talks.iter().map(|talk| talk.longest_wait.1).max().unwrap_or_default()),
            (count, _) => Existing::Silent(count),
        }
    }
}

impl Observation {
    /// The one in the middle, by how long new connections were held up.
    pub(crate) fn median(observations: &[Self]) -> Self {
        let mut sorted = observations.to_vec();
        sorted.sort_by_key(|observation| (observation.new_held_up, observation.existing.key()));
        sorted[sorted.len() / 2]
    }
}

impl Existing {
    const fn key(self) -> (u8, Duration) {
        match self {
            Self::WentOn(time) => (0, time),
            Self::Told(time) => (1, time),
            Self::Silent(_) => (2, Duration::ZERO),
        }
    }
}

impl fmt::Display for Existing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Told(after) => write!(f, "told after {:.2} s", after.as_secs_f64()),
            Self::WentOn(wait) => write!(f, "went on; longest wait {:.2} s", wait.as_secs_f64()),
            Self::Silent(count) => write!(f, "{count} neither answered nor told"),
        }
    }
}

impl fmt::Display for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let longest = self.new_longest.map_or("never".to_owned(), |time| format!("{:.2} s", time.as_secs_f64()));
        let back = self.back_after.map_or("-".to_owned(), |time| format!("{:.2} s", time.as_secs_f64()));
        let (kept, elsewhere) = self.kept_elsewhere;
        let held_up = self.new_held_up.as_secs_f64();
        write!(f, "{held_up:.2} s | {longest} | {} | {kept} of {elsewhere} | {back}", self.existing)
    }
}

/// The table, in Markdown.
pub(crate) fn table(rows: &[(Fault, Observation)]) -> String {
    let mut text = "| fault | new connections held up for | the slowest of them took | connections on the line | kept elsewhere | line used again after |\n\
                    |---|---|---|---|---|---|\n"
        .to_owned();
    for (fault, observation) in rows {
        text += &format!("| {} | {observation} |\n", fault.name());
    }
    text
}
