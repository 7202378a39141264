//! SCRAM (RFC 5802, RFC 7677): shows that we know the password without telling it, and that the server knows it.
//!
//! Pure: the nonce is given. Without channel binding.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::hmac::{self, HMAC_SHA1_FOR_LEGACY_USE_ONLY, HMAC_SHA256};
use ring::{digest, pbkdf2};

use super::challenge::{Challenge, ScramError};

/// We know no channel binding: `n,,` in base64.
const NO_BINDING: &str = "biws";

/// A mechanism's hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    Sha1,
    Sha256,
}

impl Hash {
    /// The mechanism's name.
    pub(super) const fn mechanism(self) -> &'static str {
        match self {
            Self::Sha1 => "SCRAM-SHA-1",
            Self::Sha256 => "SCRAM-SHA-256",
        }
    }

    fn hmac(self, key: &[u8], text: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha1 => HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => HMAC_SHA256,
        };
        hmac::sign(&hmac::Key::new(algorithm, key), text).as_ref().to_vec()
    }

    fn digest(self, text: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &digest::SHA256,
        };
        digest::digest(algorithm, text).as_ref().to_vec()
    }

    fn salted(self, password: &[u8], salt: &[u8], rounds: std::num::NonZeroU32) -> Vec<u8> {
        let (algorithm, length) = match self {
            Self::Sha1 => (pbkdf2::PBKDF2_HMAC_SHA1, 20),
            Self::Sha256 => (pbkdf2::PBKDF2_HMAC_SHA256, 32),
        };
        let mut salted = vec![0; length];
        pbkdf2::derive(algorithm, rounds, salt, password, &mut salted);
        salted
    }
}

/// An exchange that has begun.
#[derive(Debug)]
pub(super) struct Scram {
    hash: Hash,
    nonce: String,
    first_bare: String,
}

/// What is answered to a challenge.
#[derive(Debug)]
pub(super) struct Answer {
    /// What is sent.
    pub(super) text: String,
    /// What the server must send at the end.
    server_signature: Vec<u8>,
}

impl Scram {
    /// Begins; `nonce` is printable and without commas.
    pub(super) fn new(hash: Hash, user: &str, nonce: &str) -> Self {
        // RFC 5802 section 5.1: `=` and `,` in names.
        let user = user.replace('=', "=3D").replace(',', "=2C");
        Self { hash, nonce: nonce.to_owned(), first_bare: format!("n={user},r={nonce}") }
    }

    /// What is sent first.
    pub(super) fn first(&self) -> String {
        format!("n,,{}", self.first_bare)
    }

    /// Answers the server's challenge. Takes a while.
    pub(super) fn answer(&self, password: &[u8], challenge: &str) -> Result<Answer, ScramError> {
        let Challenge { text: challenge, nonce, salt, rounds } = Challenge::parse(challenge, &self.nonce)?;
        let salted = self.hash.salted(password, &salt, rounds);
        let client_key = self.hash.hmac(&salted, b"Client Key");
        let without_proof = format!("c={NO_BINDING},r={nonce}");
        let all = format!("{},{challenge},{without_proof}", self.first_bare);
        let signature = self.hash.hmac(&self.hash.digest(&client_key), all.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(key, signature)| key ^ signature).collect();
        let server_key = self.hash.hmac(&salted, b"Server Key");
        Ok(Answer {
            text: format!("{without_proof},p={}", BASE64.encode(proof)),
            server_signature: self.hash.hmac(&server_key, all.as_bytes()),
        })
    }
}

impl Answer {
    /// Whether the server has shown that it knows the password.
    pub(super) fn verify(&self, last: &str) -> Result<(), ScramError> {
        let signature = last.split(',').find_map(|part| part.strip_prefix("v="));
        let signature = signature.and_then(|signature| BASE64.decode(signature).ok());
        if signature.is_some_and(|signature| signature == self.server_signature) {
            Ok(())
        } else {
            Err(ScramError::Impostor)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::notify::xmpp::challenge::ROUNDS;

    /// RFC 5802 section 5 and RFC 7677 section 3.
    #[test]
    fn examples_of_the_specifications_come_out() {
        let scram = Scram::new(Hash::Sha1, "user", "fyko+d2lbbFgONRv9qkxdawL");
        assert_eq!(scram.first(), "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL");
        let challenge = "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096";
        let answer = scram.answer(b"pencil", challenge).unwrap();
        let expected = "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=";
        assert_eq!(answer.text, expected);
        answer.verify("v=rmF9pqV8S7suAoZWja4dJRkFsKQ=").unwrap();
        let scram = Scram::new(Hash::Sha256, "user", "rOprNGfwEbeRWgbNEkqO");
        let challenge = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let answer = scram.answer(b"pencil", challenge).unwrap();
        assert!(answer.text.ends_with(",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="), "{}", answer.text);
        answer.verify("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").unwrap();
        assert_eq!(answer.verify("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5="), Err(ScramError::Impostor));
        assert_eq!(answer.verify("e=other-error"), Err(ScramError::Impostor));
    }

    #[test]
    fn challenges_that_would_weaken_it_are_refused() {
        let scram = Scram::new(Hash::Sha1, "a,b=c", "abc");
        assert_eq!(scram.first(), "n,,n=a=2Cb=3Dc,r=abc");
        let of = |challenge: &str| scram.answer(b"x", challenge).unwrap_err();
        assert_eq!(of("r=abd1,s=QSXCR+Q6sek8bf92,i=4096"), ScramError::Garbled);
        assert_eq!(of("r=abc,s=QSXCR+Q6sek8bf92,i=4096"), ScramError::Garbled);
        assert_eq!(of("m=x,r=abc1,s=QSXCR+Q6sek8bf92,i=4096"), ScramError::Garbled);
        assert_eq!(of("r=abc1,s=QSXCR+Q6sek8bf92,i=1"), ScramError::Rounds(1));
        assert_eq!(of("r=abc1,s=QSXCR+Q6sek8bf92,i=4000000000"), ScramError::Rounds(4_000_000_000));
        assert_eq!(of(""), ScramError::Garbled);
    }

    /// What a server makes of a client's answer (RFC 5802 section 3): its signature, if the client knows the password.
    fn judged(hash: Hash, password: &[u8], salt: &[u8], said: (&str, &str, &str)) -> Option<String> {
        let (first, challenge, answer) = said;
        let salted = hash.salted(password, salt, std::num::NonZeroU32::new(4_096).unwrap());
        let (without_proof, proof) = answer.rsplit_once(",p=")?;
        let all = format!("{},{challenge},{without_proof}", first.strip_prefix("n,,")?);
        let stored = hash.digest(&hash.hmac(&salted, b"Client Key"));
        let signature = hash.hmac(&stored, all.as_bytes());
        let proof = BASE64.decode(proof).ok()?;
        let key: Vec<u8> = proof.iter().zip(&signature).map(|(proof, signature)| proof ^ signature).collect();
        let server = hash.hmac(&hash.hmac(&salted, b"Server Key"), all.as_bytes());
        (hash.digest(&key) == stored).then(|| format!("v={}", BASE64.encode(server)))
    }

    fn hash() -> impl Strategy<Value = Hash> {
        prop_oneof![Just(Hash::Sha1), Just(Hash::Sha256)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn who_knows_the_password_is_believed_and_nobody_else(
            hash in hash(), user in "[a-z=,]{1,12}", theirs in "[!-+\\--~]{1,30}",
            password in proptest::collection::vec(any::<u8>(), 1..40), salt in proptest::collection::vec(any::<u8>(), 1..40),
            other in proptest::collection::vec(any::<u8>(), 1..40), flipped in any::<proptest::sample::Index>(),
        ) {
            prop_assume!(password != other);
            let scram = Scram::new(hash, &user, "ours");
            let challenge = format!("r=ours{theirs},s={},i=4096", BASE64.encode(&salt));
            let answer = scram.answer(&password, &challenge).unwrap();
            let (first, said) = (scram.first(), &answer.text);
            let signature = judged(hash, &password, &salt, (&first, &challenge, said)).unwrap();
            prop_assert_eq!(answer.verify(&signature), Ok(()));
            prop_assert_eq!(judged(hash, &other, &salt, (&first, &challenge, said)), None);
            // A server that does not know it: any other signature.
            let mut bytes = BASE64.decode(&signature[2..]).unwrap();
            let at = flipped.index(bytes.len());
            bytes[at] ^= 1;
            for wrong in [format!("v={}", BASE64.encode(&bytes)), format!("v={}", BASE64.encode(&bytes[..at])), signature[2..].to_owned(), "v=".to_owned(), "v".to_owned(), String::new()] {
                prop_assert_eq!(answer.verify(&wrong), Err(ScramError::Impostor), "{}", wrong);
            }
        }

        #[test]
        fn no_challenge_breaks_anything(challenge in "(m=x,)?(r=(ours)?[a-z,]{0,5},?)?(s=[A-Za-z0-9+/=]{0,8},?)?(i=[0-9+-]{0,12})?\\PC{0,5}") {
            let scram = Scram::new(Hash::Sha256, "user", "ours");
            if let Ok(challenge) = Challenge::parse(&challenge, "ours") {
                prop_assert!(challenge.nonce.starts_with("ours") && challenge.nonce.len() > 4);
                prop_assert!(ROUNDS.contains(&challenge.rounds.get()));
            } else {
                prop_assert!(scram.answer(b"x", &challenge).is_err());
            }
        }
    }
}
