//! What is wrong with a configuration file, told so that its owner can put it right.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}; {}", path.display(), advice(source.kind()))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file has a mistake in it.
    #[error("{}:{line}:{column}: {wrong}; {right}{excerpt}", path.display())]
    Mistake {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column, in characters, from 1.
        column: usize,
        /// What is wrong.
        wrong: String,
        /// What would be right.
        right: String,
        /// The line itself, with the place marked; starts with a line break.
        excerpt: String,
    },
}

fn advice(kind: std::io::ErrorKind) -> &'static str {
    match kind {
        std::io::ErrorKind::NotFound => "name an existing file",
        std::io::ErrorKind::PermissionDenied => "make it readable for this user, or run as root",
        _ => "name a readable text file",
    }
}

impl ConfigError {
    /// The file's `bytes` are text up to `valid_up_to` only.
    pub(super) fn not_utf8(path: &Path, bytes: &[u8], valid_up_to: usize) -> Self {
        let text = String::from_utf8_lossy(&bytes[..valid_up_to]);
        let end = text.len();
        Mistake::new(end..end, "not UTF-8 text from here on", "save the file as UTF-8").in_file(path, &text)
    }
}

/// A mistake at a place in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    /// Where, in bytes.
    pub(super) span: Range<usize>,
    /// What is wrong.
    pub(super) wrong: String,
    /// What would be right.
    pub(super) right: String,
}

impl Mistake {
    /// A mistake at `span`.
    pub(super) fn new(span: Range<usize>, wrong: impl Into<String>, right: impl Into<String>) -> Self {
        Self { span, wrong: wrong.into(), right: right.into() }
    }

    /// The same mistake, said to be of `key`.
    pub(super) fn of_key(self, key: &str) -> Self {
        Self { wrong: format!("`{key}`: {}", self.wrong), ..self }
    }

    /// The error to show, for the file at `path` that holds `text`.
    pub(super) fn in_file(self, path: &Path, text: &str) -> ConfigError {
        let start = floor_char_boundary(text, self.span.start);
        let line = line_at(text, start);
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let column = text[line_start..start].chars().count() + 1;
        let line_text = text[line_start..].lines().next().unwrap_or("");
        let end =
            floor_char_boundary(text, self.span.end.clamp(start, line_start + line_text.len().max(start - line_start)));
        let marked = text[start..end].chars().count().max(1);
        let excerpt = excerpt(line, column, line_text, marked);
        ConfigError::Mistake { path: path.to_owned(), line, column, wrong: self.wrong, right: self.right, excerpt }
    }
}

/// The line, from 1, in which byte `at` of `text` stands.
pub(super) fn line_at(text: &str, at: usize) -> usize {
    text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

fn floor_char_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// Draws the line with `marked` characters from `column` on underlined. Tabs and control characters become spaces, so
/// that the mark stands where it should and a file cannot write to the terminal.
fn excerpt(line: usize, column: usize, line_text: &str, marked: usize) -> String {
    let number = line.to_string();
    let margin = " ".repeat(number.len());
    let shown: String = line_text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut drawing = String::new();
    // Writing to a String cannot fail.
    let _ = write!(drawing, "\n {margin} |\n {number} | {shown}\n {margin} | ");
    drawing.extend(std::iter::repeat_n(' ', column - 1));
    drawing.extend(std::iter::repeat_n('^', marked));
    drawing
}

/// What to say to a word that is none of `known`: the nearest one, if it is near, else all of them.
pub(super) fn suggestion(word: &str, known: &[&str]) -> String {
    let nearest = known.iter().map(|known| (distance(word, known), known)).min();
    match nearest {
        Some((distance, nearest)) if distance <= nearest.len().max(word.len()).div_ceil(3) => {
            format!("did you mean `{nearest}`?")
        }
        _ => format!("one of {}", listed(known)),
    }
}

/// `` `a`, `b` or `c` ``.
pub(super) fn listed(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => format!("`{only}`"),
        [first @ .., last] => {
            let first: Vec<_> = first.iter().map(|word| format!("`{word}`")).collect();
            format!("{} or `{last}`", first.join(", "))
        }
    }
}

/// How many letters must be put in, taken out, changed or swapped with their neighbour to get from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().take(64).collect(), to.chars().collect());
    let mut rows = vec![vec![0; to.len() + 1]; from.len() + 1];
    for i in 0..=from.len() {
        for j in 0..=to.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let changed = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
                let swapped = if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                    rows[i - 2][j - 2] + 1
                } else {
                    usize::MAX
                };
                changed.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(swapped)
            };
        }
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_suggested_and_far_ones_are_not() {
        let known = ["name", "interface", "weight"];
        assert_eq!(suggestion("wieght", &known), "did you mean `weight`?");
        assert_eq!(suggestion("interfaces", &known), "did you mean `interface`?");
        assert_eq!(suggestion("colour", &known), "one of `name`, `interface` or `weight`");
    }

    #[test]
    fn mark_stands_under_the_mistake() {
        let text = "a = 1\n\tbäd = 2\n";
        let error = Mistake::new(7..11, "unknown key", "one of `a`").in_file(Path::new("f"), text).to_string();
        assert_eq!(error, "f:2:2: unknown key; one of `a`\n   |\n 2 |  bäd = 2\n   |  ^^^");
    }

    #[test]
    fn a_span_beyond_the_text_does_no_harm() {
        let error = Mistake::new(90..95, "w", "r").in_file(Path::new("f"), "ä").to_string();
        assert!(error.starts_with("f:1:2: w; r\n"), "{error}");
    }
}
