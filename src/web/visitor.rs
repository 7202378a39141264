//! Who asks, as far as he has proved it.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header;

use super::connection::{Peer, Transport};
use super::cookie;
use super::people::Role;
use super::people::secret::Digest;
use crate::daemon::Actor;

/// What somebody shows to prove who he is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// The cookie that his browser got when he signed in.
    Session(Digest),
    /// A script's token.
    Token(Digest),
}

/// Somebody who has proved who he is.
#[derive(Clone, Debug)]
pub(super) struct Visitor {
    /// The user's or the token's name.
    pub(super) name: Arc<str>,
    pub(super) role: Role,
    pub(super) proof: Proof,
    pub(super) from: IpAddr,
}

impl Visitor {
    /// As events name him.
    pub(super) fn shown(&self) -> Arc<str> {
        match self.proof {
            Proof::Session(_) => Arc::clone(&self.name),
            Proof::Token(_) => format!("token {}", self.name).into(),
        }
    }

    /// As the router knows him.
    pub(super) fn actor(&self) -> Actor {
        Actor::User { name: self.shown(), from: self.from }
    }
}

/// Somebody of whom nothing is known but where he is.
pub(super) fn stranger(peer: Peer) -> Actor {
    Actor::User { name: "somebody who has not signed in".into(), from: peer.from }
}

/// What a request shows. A token goes before a cookie. The error: something that is neither.
pub(super) fn proof(headers: &HeaderMap, transport: Transport) -> Result<Option<Proof>, &'static str> {
    let Some(authorization) = headers.get(header::AUTHORIZATION) else {
        return Ok(cookie::shown(headers, transport).map(|value| Proof::Session(Digest::of(value))));
    };
    let shown = authorization.to_str().ok().and_then(|shown| shown.split_once(' '));
    match shown {
        // RFC 6750 section 2.1; the scheme's case does not matter (RFC 9110 section 11.1).
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
            Ok(Some(Proof::Token(Digest::of(token.trim()))))
        }
        _ => Err("say `Authorization: Bearer TOKEN`, with a token of `potato token add`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_goes_before_cookie_and_nothing_else_counts() {
        let mut headers = HeaderMap::new();
        assert_eq!(proof(&headers, Transport::Plain), Ok(None));
        headers.insert(header::COOKIE, "potato=abc".parse().unwrap());
        assert_eq!(proof(&headers, Transport::Plain), Ok(Some(Proof::Session(Digest::of("abc")))));
        headers.insert(header::AUTHORIZATION, "bearer  potato_1".parse().unwrap());
        assert_eq!(proof(&headers, Transport::Plain), Ok(Some(Proof::Token(Digest::of("potato_1")))));
        for wrong in ["Basic YTpi", "Bearer", "", "potato_1"] {
            headers.insert(header::AUTHORIZATION, wrong.parse().unwrap());
            assert!(proof(&headers, Transport::Plain).is_err(), "{wrong}");
        }
    }
}
