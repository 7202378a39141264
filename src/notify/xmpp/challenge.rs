//! A server's challenge in SCRAM (RFC 5802 section 7): what must be known of it before anything is computed. Pure.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

/// Fewest rounds that a server may ask for (RFC 5802 section 5.1), and most: more would keep the processor from others.
pub(super) const ROUNDS: RangeInclusive<u32> = 4_096..=500_000;

/// Why an exchange has failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ScramError {
    #[error("the server's challenge cannot be understood")]
    Garbled,
    #[error("the server asks for {0} rounds of hashing")]
    Rounds(u32),
    #[error("the server does not know the password itself: somebody stands between")]
    Impostor,
}

/// A challenge that can be answered.
#[derive(Debug)]
pub(super) struct Challenge<'c> {
    /// All of it, which is signed.
    pub(super) text: &'c str,
    /// Ours and what the server has put behind it.
    pub(super) nonce: &'c str,
    pub(super) salt: Vec<u8>,
    pub(super) rounds: NonZeroU32,
}

impl<'c> Challenge<'c> {
    /// Reads a challenge to whoever has sent the nonce `ours`.
    pub(super) fn parse(text: &'c str, ours: &str) -> Result<Self, ScramError> {
        let field = |name: &str| text.split(',').find_map(|part| part.strip_prefix(name));
        let nonce = field("r=").ok_or(ScramError::Garbled)?;
        let salt = field("s=").and_then(|salt| BASE64.decode(salt).ok()).ok_or(ScramError::Garbled)?;
        let rounds: u32 = field("i=").and_then(|rounds| rounds.parse().ok()).ok_or(ScramError::Garbled)?;
        // RFC 5802 section 5.1: the server's nonce begins with ours; an extension that must be understood is not.
        if !nonce.starts_with(ours) || nonce.len() <= ours.len() || text.starts_with("m=") {
            return Err(ScramError::Garbled);
        }
        let rounds = NonZeroU32::new(rounds)
            .filter(|rounds| ROUNDS.contains(&rounds.get()))
            .ok_or(ScramError::Rounds(rounds))?;
        Ok(Self { text, nonce, salt, rounds })
    }
}
