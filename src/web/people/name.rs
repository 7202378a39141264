//! How users and tokens are called.

use std::fmt;
use std::str::FromStr;

/// Most characters.
const LONGEST: usize = 32;

/// A name that is safe to show and to write anywhere: small letters, digits, `.`, `_` and `-`, a letter or digit first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

/// It is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to {LONGEST} characters, a letter or digit first, of a-z, 0-9, `.`, `_` and `-`")]
pub struct NameError;

impl Name {
    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    /// Capitals become small letters: telephones like to begin with one.
    fn from_str(text: &str) -> Result<Self, NameError> {
        let name = text.trim().to_ascii_lowercase();
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let starts_well = name.starts_with(is_plain);
        let fits = name.len() <= LONGEST && name.chars().all(|c| is_plain(c) || "._-".contains(c));
        if starts_well && fits { Ok(Self(name)) } else { Err(NameError) }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        for (text, name) in [("anna", "anna"), (" Anna ", "anna"), ("a", "a"), ("4.x_y-z", "4.x_y-z")] {
            assert_eq!(text.parse::<Name>().map(|name| name.to_string()), Ok(name.to_owned()));
        }
        let long = "a".repeat(LONGEST + 1);
        for text in ["", " ", "-a", ".", "a b", "a/b", "ännchen", "a\nb", "a'b", &long] {
            assert_eq!(text.parse::<Name>(), Err(NameError), "{text}");
        }
    }
}
