//! Who we are to the provider.

use std::fmt;

/// A password. Nothing prints it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Most bytes: PAP has a byte for the length (RFC 1334 section 2.2.1).
    pub const LONGEST: usize = 255;

    /// The password; what is beyond [`Self::LONGEST`] bytes is left out.
    #[must_use]
    pub fn new(mut bytes: Vec<u8>) -> Self {
        bytes.truncate(Self::LONGEST);
        Self(bytes)
    }

    /// The password itself, for those who send it or what follows from it.
    #[must_use]
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(not shown)")
    }
}

/// What a line needs to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user's name: 1 to 255 bytes.
    pub username: String,
    /// The password.
    pub password: Secret,
    /// The service that is asked for; empty: any.
    pub service: String,
    /// Name of the only concentrator that is dialled; `None`: whichever answers first.
    pub concentrator: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn password_is_never_shown() {
        let account = Account {
            username: "me".to_owned(),
            password: Secret::new(b"hunter2".to_vec()),
            service: String::new(),
            concentrator: None,
        };
        let shown = format!("{account:?} {account:#?}");
        assert!(shown.contains("not shown") && !shown.contains("hunter2"), "{shown}");
        let bytes = format!("{:?}", b"hunter2");
        assert!(!shown.contains(&bytes[1..bytes.len() - 1]), "{shown}");
    }
}
