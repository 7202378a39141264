//! A webhook's template, filled in.

use super::Context;
use crate::config::{Piece, Placeholder, Template};
use crate::daemon::rfc3339;
use crate::notify::note::{Message, Note};

/// How what is filled in must be written so that it stays what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writing {
    /// As it is.
    Plain,
    /// As a part of a string of JSON.
    Json,
    /// As a part of a form (`application/x-www-form-urlencoded`).
    Form,
}

impl Writing {
    /// As content of this type needs it.
    pub(super) fn of(content_type: &str) -> Self {
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        match kind {
            "application/x-www-form-urlencoded" => Self::Form,
            kind if kind.ends_with("json") => Self::Json,
            _ => Self::Plain,
        }
    }

    fn write(self, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Json => {
                let quoted = serde_json::Value::from(text).to_string();
                quoted[1..quoted.len() - 1].to_owned()
            }
            Self::Form => super::http::percent_encoded(text),
        }
    }
}

/// The text of a template for this message.
pub(super) fn fill(template: &Template, writing: Writing, message: &Message, context: &Context) -> String {
    let piece = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Placeholder(placeholder) => writing.write(&value(*placeholder, message, context)),
    };
    template.0.iter().map(piece).collect()
}

/// What stands for a placeholder; of several notes, all of theirs.
fn value(placeholder: Placeholder, message: &Message, context: &Context) -> String {
    let all = |of: fn(&Note) -> Option<&str>| {
        let mut values: Vec<&str> = message.notes.iter().filter_map(of).collect();
        values.dedup();
        values.join(", ")
    };
    match placeholder {
        Placeholder::Text => message.text(context.now, context.utc_offset),
        Placeholder::Event => all(|note| Some(&note.event)),
        Placeholder::Line => all(|note| note.line.as_deref()),
        Placeholder::State => all(|note| note.state.as_deref()),
        Placeholder::Cause => all(|note| note.cause.as_deref()),
        Placeholder::By => all(|note| note.by.as_deref()),
        Placeholder::Time => rfc3339(message.notes.first().map_or(message.written, |note| note.time)),
        Placeholder::Router => context.router.clone(),
    }
}
