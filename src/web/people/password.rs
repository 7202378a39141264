//! Passwords: argon2id (RFC 9106), slow on purpose.
//!
//! One takes 19 MiB and some tens of milliseconds, so whoever computes one does so beside the runtime, and few at a time.

use std::fmt;

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};

use super::name::Name;
use super::secret::{NoRandomness, random};

/// Fewest characters (NIST SP 800-63B section 3.1.1.2 has 8 where there is something beside it, and forbids rules about kinds of
/// characters).
const SHORTEST: usize = 8;
/// Most bytes, so that nobody makes us hash a book.
const LONGEST: usize = 256;
/// Bytes of salt.
const SALT: usize = 16;

/// A password as somebody has typed it. Not shown by accident.
pub struct Password(String);

/// What of a password is kept: a PHC string, with its salt and parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hash(String);

/// Why a password is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// It is soon guessed.
    #[error("the password has fewer than {SHORTEST} characters; take more")]
    TooShort,
    /// It is a book.
    #[error("the password is longer than {LONGEST} bytes")]
    TooLong,
    /// It is the first that anybody tries.
    #[error("the password is the name; take another")]
    IsTheName,
    /// The system gives no salt.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// There is no memory for it.
    #[error("the password cannot be hashed: there is no memory for it")]
    NoMemory,
}

impl Password {
    /// What somebody has typed to prove who he is.
    #[must_use]
    pub fn typed(text: String) -> Self {
        Self(text)
    }

    /// A new password for `name`.
    ///
    /// # Errors
    /// When it is too short, too long or too easy.
    pub fn chosen(text: String, name: &Name) -> Result<Self, PasswordError> {
        if text.chars().count() < SHORTEST {
            return Err(PasswordError::TooShort);
        }
        if text.len() > LONGEST {
            return Err(PasswordError::TooLong);
        }
        if text.eq_ignore_ascii_case(name.as_str()) {
            return Err(PasswordError::IsTheName);
        }
        Ok(Self(text))
    }

    /// What is kept of it. Slow.
    ///
    /// # Errors
    /// When the system gives no random numbers or no memory.
    pub fn hash(&self) -> Result<Hash, PasswordError> {
        let salt = random::<SALT>()?;
        let hash: PasswordHash =
            Argon2::default().hash_password_with_salt(self.0.as_bytes(), &salt).map_err(|_| PasswordError::NoMemory)?;
        Ok(Hash(hash.to_string()))
    }

    /// Whether it is the one that `hash` is of. Slow, whatever the answer is.
    #[must_use]
    pub fn is_of(&self, hash: &Hash) -> bool {
        self.0.len() <= LONGEST && Argon2::default().verify_password(self.0.as_bytes(), hash.0.as_str()).is_ok()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

impl Hash {
    /// As it was kept.
    #[must_use]
    pub fn kept(text: String) -> Self {
        Self(text)
    }

    /// As it is kept.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn password_is_known_by_its_hash_and_by_no_other() {
        let name = "anna".parse().unwrap();
        let password = Password::chosen("correct horse".to_owned(), &name).unwrap();
        let (hash, other) = (password.hash().unwrap(), password.hash().unwrap());
        assert!(hash.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash:?}");
        assert_ne!(hash, other, "each has a salt of its own");
        let kept = Hash::kept(hash.as_str().to_owned());
        assert!(password.is_of(&kept) && !Password::typed("correct horsf".to_owned()).is_of(&kept));
        assert!(!password.is_of(&Hash::kept("none".to_owned())));
        assert_eq!(format!("{password:?}"), "Password(..)");
    }

    #[test]
    fn passwords_that_are_soon_guessed_are_refused() {
        let name = "administrator".parse().unwrap();
        let chosen = |text: &str| Password::chosen(text.to_owned(), &name).map(drop);
        assert_eq!(chosen("1234567"), Err(PasswordError::TooShort));
        assert_eq!(chosen("äöüäöüäö"), Ok(()));
        assert_eq!(chosen("Administrator"), Err(PasswordError::IsTheName));
        assert_eq!(chosen(&"x".repeat(257)), Err(PasswordError::TooLong));
    }
}
