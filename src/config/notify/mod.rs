//! `[[notify]]`: who is told what happens to the lines, by which way, and when.
//!
//! Every channel has the same terms (`terms`: which events, lines, hours, how long a line may be away) and the keys of its kind
//! (`kinds`). Secrets stand in files of their own, as passwords of lines do.

mod kinds;
mod template;
mod terms;

use std::path::Path;
use std::sync::Arc;

use super::Uplink;
use super::error::Mistake;
use super::password::PasswordError;
use super::section::{Section, Value, text};
use super::values;
use crate::link::pppoe::Secret;

pub use kinds::{ChannelKind, HttpUrl, Mail, Matrix, Ntfy, Security, Server, Slack, Webhook, Xmpp};
pub use template::{Piece, Placeholder, Template};
pub use terms::{Recovery, Terms, Topic};

/// Most channels.
const MOST_CHANNELS: usize = 32;
/// Longest name of a channel.
const LONGEST_NAME: usize = 32;

/// Keys of the section, whatever the kind.
pub(super) const KEYS: [&str; 25] = [
    "name",
    "kind",
    "events",
    "lines",
    "hours",
    "tolerance",
    "group",
    "recovery",
    "url",
    "url_file",
    "template",
    "content_type",
    "token_file",
    "server",
    "room",
    "tls",
    "ca_file",
    "username",
    "password_file",
    "from",
    "to",
    "jid",
    "nick",
    "people",
    "operators",
];

/// One `[[notify]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Its name: unique.
    pub name: Arc<str>,
    /// Which way it goes.
    pub kind: ChannelKind,
    /// What is told, and when.
    pub terms: Terms,
}

/// Reads every `[[notify]]`. `read_secret` reads the secret in a file.
pub(super) fn channels(
    sections: &[Section<'_, '_>],
    uplinks: &[Uplink],
    read_secret: impl Fn(&Path) -> Result<Secret, PasswordError>,
) -> Result<Vec<Channel>, Mistake> {
    if let Some(first_beyond) = sections.get(MOST_CHANNELS) {
        let wrong = format!("{} channels are too many", sections.len());
        return Err(Mistake::new(first_beyond.span.clone(), wrong, format!("at most {MOST_CHANNELS}")));
    }
    let mut channels: Vec<Channel> = Vec::with_capacity(sections.len());
    for section in sections {
        let name = section.required("name", "\"office\"", name)?;
        if channels.iter().any(|channel| channel.name == name) {
            let wrong = format!("another channel is named \"{name}\"");
            let right = "a name of its own for every channel";
            return Err(Mistake::new(section.place("name"), wrong, right).of_key("name"));
        }
        let kind = kinds::kind(section, &read_secret)?;
        channels.push(Channel { name, kind, terms: terms::terms(section, uplinks)? });
    }
    Ok(channels)
}

fn name(value: &Value<'_>) -> Result<Arc<str>, Mistake> {
    let name = text(value)?;
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
    if !name.is_empty() && name.len() <= LONGEST_NAME && name.chars().all(allowed) {
        return Ok(name.into());
    }
    let wrong = format!("\"{}\" cannot be the name of a channel", name.escape_debug());
    Err(Mistake::new(value.span(), wrong, "1 to 32 of a-z, 0-9, `_` and `-`, as in \"office\""))
}

/// A span of time that may be nothing.
fn span_or_none(value: &Value<'_>) -> Result<std::time::Duration, Mistake> {
    match text(value) {
        Ok("0s" | "0") => Ok(std::time::Duration::ZERO),
        _ => values::duration(value),
    }
}
