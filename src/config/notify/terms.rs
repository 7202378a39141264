//! What a channel is told, and when.

use std::time::Duration;

use super::span_or_none;
use crate::config::Uplink;
use crate::config::error::Mistake;
use crate::config::reserve::{Hours, TimeOfDay};
use crate::config::section::{Section, Value, list, switch, text};
use crate::config::values::{self, UplinkName};

/// A line that is away for less is nobody's business, unless the file says otherwise.
const DEFAULT_TOLERANCE: Duration = Duration::from_secs(120);
/// What happens within this time is one message, unless the file says otherwise.
const DEFAULT_GROUP: Duration = Duration::from_secs(10);

/// What people may want to be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// A line does not work any more, for longer than is tolerated.
    Lost,
    /// An interface is gone: a stick was pulled. Told at once.
    Missing,
    /// No line works any more.
    NoLine,
    /// Somebody has ordered something.
    Orders,
    /// Addresses, leases, sessions and gateways of lines.
    Addresses,
    /// A host has as much as one host may have.
    Hosts,
    /// The router itself has started or stopped.
    Router,
}

impl Topic {
    /// The words for all of them.
    const WORDS: [(&str, Self); 7] = [
        ("lost", Self::Lost),
        ("missing", Self::Missing),
        ("no-line", Self::NoLine),
        ("orders", Self::Orders),
        ("addresses", Self::Addresses),
        ("hosts", Self::Hosts),
        ("router", Self::Router),
    ];
}

/// Whether people are told that what they were told of is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// They are.
    Told,
    /// They are not.
    NotTold,
}

/// What a channel is told, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What of: at least one.
    pub topics: Vec<Topic>,
    /// Of which lines; none: all.
    pub lines: Vec<UplinkName>,
    /// In which part of a day; `None`: always.
    pub hours: Option<Hours>,
    /// For how long a line may be away without a word.
    pub tolerance: Duration,
    /// What begins within this time is told in one message.
    pub group: Duration,
    /// Whether people hear of the end, too.
    pub recovery: Recovery,
}

/// Reads the terms of a `[[notify]]`.
pub(super) fn terms(section: &Section<'_, '_>, uplinks: &[Uplink]) -> Result<Terms, Mistake> {
    let topics = section.optional("events", |value| list(value, |item| values::word(item, &Topic::WORDS)))?;
    let lines = section.optional("lines", |value| list(value, |item| values::known_uplink(item, uplinks)))?;
    let recovery = section.optional("recovery", switch)?.unwrap_or(true);
    Ok(Terms {
        topics: topics.unwrap_or_else(|| vec![Topic::Lost, Topic::Missing, Topic::NoLine]),
        lines: lines.unwrap_or_default(),
        hours: section.optional("hours", hours)?,
        tolerance: section.optional("tolerance", span_or_none)?.unwrap_or(DEFAULT_TOLERANCE),
        group: section.optional("group", span_or_none)?.unwrap_or(DEFAULT_GROUP),
        recovery: if recovery { Recovery::Told } else { Recovery::NotTold },
    })
}

fn hours(value: &Value<'_>) -> Result<Hours, Mistake> {
    let right = "two times of day with a dash between them, as in \"08:00-18:00\"";
    let given = text(value).map_err(|mistake| Mistake { right: right.to_owned(), ..mistake })?;
    let ends = given.split_once('-').map(|(from, until)| (from.trim(), until.trim()));
    let parsed = ends.and_then(|(from, until)| Some((TimeOfDay::parse(from)?, TimeOfDay::parse(until)?)));
    let wrong = |wrong: String| Mistake::new(value.span(), wrong, right);
    match parsed {
        Some((from, until)) if from == until => {
            Err(wrong("they end when they begin; without `hours` it is always".to_owned()))
        }
        Some((from, until)) => Ok(Hours { from, until }),
        None => Err(wrong(format!("\"{}\" is no part of a day", given.escape_debug()))),
    }
}
