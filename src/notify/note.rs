//! What people are told: a [`Note`] is one thing that has happened, a [`Message`] what is told of at once.

use serde::{Deserialize, Serialize};

use crate::daemon::local_time;

/// A message that is older than this when it leaves says when it was written, in milliseconds.
const FRESH: u64 = 60_000;

/// One thing that has happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    /// `line-lost`, `line-missing`, `line-back`, `no-line`, `lines-back`, `test`, or as in the event log.
    pub(super) event: String,
    /// The line that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) line: Option<String>,
    /// What that is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) state: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cause: Option<String>,
    /// Who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) by: Option<String>,
    /// When, in milliseconds since 1970.
    pub(super) time: u64,
    /// All of it, as people read it.
    pub(super) text: String,
}

/// What is told of at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Message {
    /// Names it to whoever gets it, so that one that comes twice is known: letters, digits and dashes.
    pub(super) id: String,
    /// When it was written, in milliseconds since 1970.
    pub(super) written: u64,
    /// At least one.
    pub(super) notes: Vec<Note>,
}

impl Message {
    /// The text that people read, a line for each note. `now` is in milliseconds since 1970, `utc_offset` what local clocks show
    /// beyond UTC, in seconds.
    pub(super) fn text(&self, now: u64, utc_offset: i64) -> String {
        let notes: Vec<_> = self.notes.iter().map(|note| note.text.as_str()).collect();
        let text = notes.join("\n");
        if now.saturating_sub(self.written) <= FRESH {
            return text;
        }
        format!("(of {}) {text}", local_time::shown(self.written / 1_000, utc_offset))
    }

    /// Whether somebody should look at once: a line is missing, or none works.
    pub(super) fn is_urgent(&self) -> bool {
        self.notes.iter().any(|note| matches!(note.event.as_str(), "line-missing" | "no-line"))
    }

    /// Whether it tells of an end only.
    pub(super) fn is_relief(&self) -> bool {
        self.notes.iter().all(|note| matches!(note.event.as_str(), "line-back" | "lines-back"))
    }
}

/// A span of time for people, of milliseconds: `45 s`, `14 min`, `3 h 12 min`, `2 days`.
pub(super) fn span(milliseconds: u64) -> String {
    let seconds = milliseconds / 1_000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_that_is_late_says_of_when_it_is() {
        let note = |text: &str| Note { text: text.to_owned(), ..Note::default() };
        let written = 1_795_703_476_000;
        let message = Message { id: "1".to_owned(), written, notes: vec![note("a"), note("b")] };
        assert_eq!(message.text(written + 60_000, 3_600), "a\nb");
        assert_eq!(message.text(written + 61_000, 3_600), "(of 2026-11-26 15:31) a\nb");
        assert_eq!(message.text(0, 0), "a\nb", "clocks may be set back");
    }

    #[test]
    fn spans_are_as_exact_as_people_care() {
        let spans =
            [(0, "0 s"), (59_999, "59 s"), (60_000, "1 min"), (11_520_000, "3 h 12 min"), (180_000_000, "2 days")];
        for (milliseconds, text) in spans {
            assert_eq!(span(milliseconds), text);
        }
    }
}
