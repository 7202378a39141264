//! What proves who somebody is, other than a password: random, and kept as its hash alone.
//!
//! A session's or a token's secret has 256 bits, so nobody finds it by trying, and a fast hash (SHA-256) is enough. It is looked
//! up by its hash: how long that takes says nothing about the secret.

use std::fmt;

use ring::digest;
use ring::rand::{SecureRandom, SystemRandom};

/// Bytes of a secret.
const LENGTH: usize = 32;
/// Letters and digits that nobody takes for each other.
const CLEAR: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
/// Characters of a claim's code: 60 bits.
const CODE_LENGTH: usize = 12;
/// How they are grouped.
const CODE_GROUP: usize = 4;
/// What a token begins with, so that people and scanners of leaked secrets know it.
const TOKEN_PREFIX: &str = "potato_";

/// The system gives no random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random numbers")]
pub struct NoRandomness;

/// A secret as its owner has it. Not shown by accident.
pub struct Secret(String);

/// What of a secret is kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; LENGTH]);

impl Secret {
    /// A new one for a session.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn for_session() -> Result<Self, NoRandomness> {
        Ok(Self(hex(&random::<LENGTH>()?)))
    }

    /// A new one for a script.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn for_token() -> Result<Self, NoRandomness> {
        Ok(Self(format!("{TOKEN_PREFIX}{}", hex(&random::<LENGTH>()?))))
    }

    /// For its owner alone.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Digest {
    /// Of what somebody shows.
    #[must_use]
    pub fn of(shown: &str) -> Self {
        let mut bytes = [0; LENGTH];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, shown.as_bytes()).as_ref());
        Self(bytes)
    }

    /// As it is kept.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; LENGTH] {
        &self.0
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(..)")
    }
}

/// A new code for the claim: `K7QP-3FXM-W2HT`.
///
/// # Errors
/// When the system gives no random numbers.
pub fn claim_code() -> Result<String, NoRandomness> {
    let letters: Vec<u8> = random::<CODE_LENGTH>()?.iter().map(|byte| CLEAR[usize::from(byte % 32)]).collect();
    let groups: Vec<_> = letters.chunks(CODE_GROUP).map(|group| String::from_utf8_lossy(group).into_owned()).collect();
    Ok(groups.join("-"))
}

/// Whether somebody has typed `code`, however he groups it; in the same time whatever he has typed.
#[must_use]
pub fn is_code(code: &str, typed: &str) -> bool {
    let plain = |text: &str| -> String {
        text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect()
    };
    Digest::of(&plain(code)) == Digest::of(&plain(typed))
}

/// Random bytes, from the system.
///
/// # Errors
/// When it gives none.
pub fn random<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ_and_are_not_shown_by_accident() {
        let (one, other) = (Secret::for_session().unwrap(), Secret::for_session().unwrap());
        assert_ne!(one.reveal(), other.reveal());
        assert_eq!(one.reveal().len(), 64);
        assert_eq!(one.digest(), Digest::of(one.reveal()));
        assert!(!format!("{one:?}{:?}", one.digest()).contains(&one.reveal()[..8]));
        assert!(Secret::for_token().unwrap().reveal().starts_with("potato_"));
    }

    #[test]
    fn code_is_known_however_it_is_typed() {
        let code = claim_code().unwrap();
        assert_eq!(code.len(), 14);
        let typed = [code.clone(), code.to_lowercase(), code.replace('-', " "), code.replace('-', "")];
        assert!(typed.iter().all(|typed| is_code(&code, typed)));
        assert!(!is_code(&code, "") && !is_code(&code, &code[1..]) && !is_code(&code, &format!("{code}2")));
    }
}
