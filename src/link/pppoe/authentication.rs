//! Proving who we are: PAP (RFC 1334) and CHAP with MD5 (RFC 1994), the peer's side of neither.

use std::time::Duration;

use md5::{Digest, Md5};

use super::account::Account;
use super::event::{Failure, Stage, words};
use super::lcp::Method;
use super::packet::{Packet, protocol};
use crate::flow::Timestamp;

// Codes: RFC 1334 section 2.2, RFC 1994 section 4.
const AUTHENTICATE_REQUEST: u8 = 1;
const AUTHENTICATE_ACK: u8 = 2;
const AUTHENTICATE_NAK: u8 = 3;
const CHALLENGE: u8 = 1;
const RESPONSE: u8 = 2;
const SUCCESS: u8 = 3;
const FAILURE: u8 = 4;

// Ours.
/// How long an answer by PAP is waited for before the password is sent again.
const RESEND_WAIT: Duration = Duration::from_secs(3);
/// How often it is sent.
const MOST_REQUESTS: u8 = 5;
/// How long a challenge, or the answer to our response, is waited for: the peer is who repeats itself.
const CHALLENGE_WAIT: Duration = Duration::from_secs(15);

/// One stage of authentication.
#[derive(Clone, Copy, Debug)]
pub(super) struct Authentication {
    method: Method,
    sent: u8,
    /// When something is due; `None`: we are in.
    due: Option<Timestamp>,
}

/// What has come of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing yet.
    Nothing,
    /// We are in.
    Passed,
}

impl Authentication {
    /// Starts. Packets to send go to `out`.
    pub(super) fn start(now: Timestamp, method: Method, account: &Account, out: &mut Vec<(u16, Vec<u8>)>) -> Self {
        let mut started = Self { method, sent: 0, due: Some(now + CHALLENGE_WAIT) };
        if method == Method::Pap {
            started.ask(now, account, out);
        }
        started
    }

    /// The protocol that it is about.
    pub(super) fn protocol(&self) -> u16 {
        match self.method {
            Method::Pap => protocol::PAP,
            Method::ChapMd5 => protocol::CHAP,
        }
    }

    /// Handles a packet of its protocol. Challenges come again while the session lasts (RFC 1994 section 2).
    pub(super) fn handle_packet(
        &mut self,
        now: Timestamp,
        packet: Packet<'_>,
        account: &Account,
        out: &mut Vec<(u16, Vec<u8>)>,
    ) -> Result<Outcome, Failure> {
        match (self.method, packet.code) {
            (Method::Pap, AUTHENTICATE_ACK) if packet.identifier == self.sent => Ok(self.pass()),
            (Method::Pap, AUTHENTICATE_NAK) if packet.identifier == self.sent => {
                Err(Failure::AuthenticationRefused(words(packet.data.get(1..).unwrap_or_default())))
            }
            (Method::ChapMd5, CHALLENGE) => {
                if let Some(response) = response(packet, account) {
                    out.push((protocol::CHAP, response));
                    self.due = self.due.map(|_| now + CHALLENGE_WAIT);
                    self.sent = 1;
                }
                Ok(Outcome::Nothing)
            }
            (Method::ChapMd5, SUCCESS) if self.sent > 0 => Ok(self.pass()),
            (Method::ChapMd5, FAILURE) if self.sent > 0 => Err(Failure::AuthenticationRefused(words(packet.data))),
            _ => Ok(Outcome::Nothing),
        }
    }

    /// Does what is due at `now`.
    pub(super) fn handle_timeout(
        &mut self,
        now: Timestamp,
        account: &Account,
        out: &mut Vec<(u16, Vec<u8>)>,
    ) -> Result<(), Failure> {
        if self.due.is_none_or(|due| now < due) {
            return Ok(());
        }
        if self.method == Method::ChapMd5 || self.sent >= MOST_REQUESTS {
            return Err(Failure::Silent(Stage::Authentication));
        }
        self.ask(now, account, out);
        Ok(())
    }

    /// When [`Self::handle_timeout`] is due.
    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        self.due
    }

    fn pass(&mut self) -> Outcome {
        match self.due.take() {
            Some(_) => Outcome::Passed,
            None => Outcome::Nothing,
        }
    }

    /// Sends name and password (RFC 1334 section 2.2.1).
    fn ask(&mut self, now: Timestamp, account: &Account, out: &mut Vec<(u16, Vec<u8>)>) {
        self.sent += 1;
        self.due = Some(now + RESEND_WAIT);
        let mut data = Vec::new();
        for part in [account.username.as_bytes(), account.password.reveal()] {
            let part = &part[..part.len().min(255)];
            #[expect(clippy::cast_possible_truncation, reason = "at most 255")]
            data.push(part.len() as u8);
            data.extend_from_slice(part);
        }
        let packet = Packet { code: AUTHENTICATE_REQUEST, identifier: self.sent, data: &data };
        out.push((protocol::PAP, packet.to_bytes()));
    }
}

/// The answer to a challenge (RFC 1994 section 4.1); `None` when its length cannot be.
fn response(challenge: Packet<'_>, account: &Account) -> Option<Vec<u8>> {
    let (&length, rest) = challenge.data.split_first()?;
    let value = rest.get(..length.into()).filter(|value| !value.is_empty())?;
    let sum = Md5::new_with_prefix([challenge.identifier])
        .chain_update(account.password.reveal())
        .chain_update(value)
        .finalize();
    let mut data = vec![16];
    data.extend_from_slice(&sum);
    data.extend_from_slice(account.username.as_bytes());
    Some(Packet { code: RESPONSE, identifier: challenge.identifier, data: &data }.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::pppoe::Secret;

    fn account() -> Account {
        Account {
            username: "potato1".to_owned(),
            password: Secret::new(b"secret1".to_vec()),
            service: String::new(),
            concentrator: None,
        }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    #[test]
    fn password_is_sent_until_it_is_answered() {
        let (account, mut out) = (account(), Vec::new());
        let mut pap = Authentication::start(at(0), Method::Pap, &account, &mut out);
        assert_eq!(out, [(0xc023, b"\x01\x01\x00\x14\x07potato1\x07secret1".to_vec())]);
        pap.handle_timeout(at(3), &account, &mut out).unwrap();
        assert_eq!((out.len(), out[1].1[1]), (2, 2));
        let nak = Packet { code: 3, identifier: 1, data: b"\x05wrong" };
        assert_eq!(pap.handle_packet(at(4), nak, &account, &mut out), Ok(Outcome::Nothing), "of an earlier one");
        let nak = Packet { identifier: 2, ..nak };
        let refused = Failure::AuthenticationRefused("wrong".to_owned());
        assert_eq!(pap.handle_packet(at(4), nak, &account, &mut out), Err(refused));
        let ack = Packet { code: 2, identifier: 2, data: b"\x00" };
        assert_eq!(pap.handle_packet(at(4), ack, &account, &mut out), Ok(Outcome::Passed));
        assert_eq!((pap.poll_timeout(), pap.handle_timeout(at(99), &account, &mut out)), (None, Ok(())));
    }

    #[test]
    fn challenge_is_answered_by_the_sum_over_password_and_challenge() {
        let (account, mut out) = (account(), Vec::new());
        let mut chap = Authentication::start(at(0), Method::ChapMd5, &account, &mut out);
        assert!(out.is_empty());
        let success = Packet { code: 3, identifier: 9, data: b"" };
        assert_eq!(chap.handle_packet(at(0), success, &account, &mut out), Ok(Outcome::Nothing), "of nothing");
        let challenge = Packet { code: 1, identifier: 9, data: b"\x04abcdlab" };
        assert_eq!(chap.handle_packet(at(1), challenge, &account, &mut out), Ok(Outcome::Nothing));
        let response = Packet::parse(&out[0].1).unwrap();
        assert_eq!((response.code, response.identifier, response.data[0]), (2, 9, 16));
        // md5sum of "\x09secret1abcd".
        let sum = 0x91a6_8660_1a1f_ac6d_9b1e_082b_b1b8_5ce0_u128;
        assert_eq!(response.data[1..17], sum.to_be_bytes());
        assert_eq!(&response.data[17..], b"potato1");
        assert_eq!(chap.handle_packet(at(2), success, &account, &mut out), Ok(Outcome::Passed));
        // Asked again in the midst of the session.
        assert_eq!(chap.handle_packet(at(500), challenge, &account, &mut out), Ok(Outcome::Nothing));
        assert_eq!((out.len(), chap.poll_timeout()), (2, None));
    }

    #[test]
    fn challenge_that_contradicts_itself_or_never_comes_is_no_harm() {
        let (account, mut out) = (account(), Vec::new());
        let mut chap = Authentication::start(at(0), Method::ChapMd5, &account, &mut out);
        for data in [&b""[..], b"\x00", b"\x09abcd"] {
            let challenge = Packet { code: 1, identifier: 9, data };
            assert_eq!(chap.handle_packet(at(0), challenge, &account, &mut out), Ok(Outcome::Nothing));
        }
        assert!(out.is_empty());
        assert_eq!(chap.handle_timeout(at(15), &account, &mut out), Err(Failure::Silent(Stage::Authentication)));
    }
}
