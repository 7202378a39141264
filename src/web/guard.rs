//! What every request must be, and what every answer forbids.
//!
//! A page elsewhere can lead a browser here under a name of its own (DNS rebinding), and would then be this page's equal to
//! the browser. So only names that nobody else can give away are answered: addresses, and `localhost`.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::connection::{Peer, Transport};

/// On every answer. Nothing comes from anywhere else, no code stands in the page, and nobody frames it.
const HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Browsers heed this one with TLS alone, and complain of it without.
const WITH_TLS: (HeaderName, &str) = (HeaderName::from_static("cross-origin-opener-policy"), "same-origin");

/// Answers requests that are for this router, with what the browser is to keep to.
pub(super) async fn guard(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let has_tls = request.extensions().get::<Peer>().is_some_and(|peer| peer.transport == Transport::Tls);
    let mut response = if host.is_some_and(is_ours) {
        next.run(request).await
    } else {
        let wrong = "this router answers by its address alone, as in http://192.168.10.1:8080\n";
        (StatusCode::MISDIRECTED_REQUEST, wrong).into_response()
    };
    for (name, value) in HEADERS.into_iter().chain(has_tls.then_some(WITH_TLS)) {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Whether a `Host` header (RFC 9110 section 7.2: a name, and a port after a colon) names us in a way that no other site can.
pub(super) fn is_ours(host: &str) -> bool {
    // A colon within brackets is part of an address.
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    };
    let is_address = match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(name) => name.parse::<Ipv6Addr>().is_ok(),
        None => name.parse::<Ipv4Addr>().is_ok() || name.eq_ignore_ascii_case("localhost"),
    };
    is_address && port.is_none_or(|port| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_nobody_can_give_away_are_ours() {
        for ours in ["192.168.10.1", "192.168.10.1:8080", "localhost:80", "LOCALHOST", "[fd00::1]:8080"] {
            assert!(is_ours(ours), "{ours}");
        }
        for theirs in [
            "evil.example",
            "192.168.10.1.evil.example",
            "localhost.evil.example:8080",
            "",
            "/",
            "a b",
            "@",
            "evil.example@192.168.10.1",
            "192.168.10.1:8080/",
            "192.168.10.1:",
            "192.168.10.1:80801",
            "192.168.10.1:+80",
            "[192.168.10.1]",
            "fd00::1",
        ] {
            assert!(!is_ours(theirs), "{theirs}");
        }
    }
}
