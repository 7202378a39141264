//! The text that a webhook is sent, with places for what has happened.

use crate::config::error::{Mistake, suggestion};
use crate::config::section::{Value, text};

/// Longest template, in bytes.
const LONGEST: usize = 8_192;

/// What can stand in a template, in braces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placeholder {
    /// `{text}`: all of it, as people read it.
    Text,
    /// `{event}`: its kind.
    Event,
    /// `{line}`: the line that it is about.
    Line,
    /// `{state}`: what that is now.
    State,
    /// `{cause}`: why.
    Cause,
    /// `{time}`: when, as RFC 3339 writes it.
    Time,
    /// `{by}`: who did it.
    By,
    /// `{router}`: the name of this machine.
    Router,
}

impl Placeholder {
    const WORDS: [(&str, Self); 8] = [
        ("text", Self::Text),
        ("event", Self::Event),
        ("line", Self::Line),
        ("state", Self::State),
        ("cause", Self::Cause),
        ("time", Self::Time),
        ("by", Self::By),
        ("router", Self::Router),
    ];
}

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// As it stands.
    Text(String),
    /// What has happened.
    Placeholder(Placeholder),
}

/// A template. Braces around anything but a word of small letters are text, as JSON has many of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(pub Vec<Piece>);

/// Reads a template.
pub(super) fn template(value: &Value<'_>) -> Result<Template, Mistake> {
    let given = text(value)?;
    let wrong = |wrong: String, right: String| Mistake::new(value.span(), wrong, right);
    if given.len() > LONGEST {
        return Err(wrong(format!("it is longer than {LONGEST} bytes"), "a shorter one".to_owned()));
    }
    parse(given).map_err(|word| {
        let known = Placeholder::WORDS.map(|(word, _)| word);
        wrong(format!("{{{word}}} stands for nothing"), suggestion(word, &known))
    })
}

/// The pieces of a text; the error is a word that stands for nothing.
fn parse(mut rest: &str) -> Result<Template, &str> {
    let (mut pieces, mut plain) = (Vec::new(), String::new());
    while let Some((before, after)) = rest.split_once('{') {
        plain.push_str(before);
        let word = after.split_once('}').map(|(word, _)| word).filter(|word| is_word(word));
        let Some(word) = word else {
            plain.push('{');
            rest = after;
            continue;
        };
        let (_, placeholder) = Placeholder::WORDS.into_iter().find(|(known, _)| *known == word).ok_or(word)?;
        if !plain.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut plain)));
        }
        pieces.push(Piece::Placeholder(placeholder));
        rest = &after[word.len() + 1..];
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    Ok(Template(pieces))
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_of_json_are_text_and_words_in_braces_are_places() {
        let text = |text: &str| Piece::Text(text.to_owned());
        let (what, line) = (Piece::Placeholder(Placeholder::Text), Piece::Placeholder(Placeholder::Line));
        let parsed = parse(r#"{"text": "{text}", "of": {"line": "{line}"}}"#).unwrap();
        let expected = [text(r#"{"text": ""#), what, text(r#"", "of": {"line": ""#), line, text(r#""}}"#)];
        assert_eq!(parsed.0, expected);
        assert_eq!(parse("{} {A} { {").unwrap().0, [text("{} {A} { {")]);
        assert_eq!(parse("a {lines} b"), Err("lines"));
    }
}
