//! The cookie that a browser is known by (RFC 6265bis).
//!
//! It is never seen by scripts, goes with requests of our own pages alone, and for as long as the browser runs or a session
//! may last. Over TLS it has a name that only we can set (`__Host-`): nobody else on this address can make a browser bring his.

use axum::http::HeaderValue;
use axum::http::header::{self, HeaderMap};

use super::connection::Transport;
use super::people::secret::Secret;

/// A session lasts a week at most, and so does the cookie.
const MAX_AGE: u64 = 7 * 86_400;
/// Nobody's cookie is longer.
const LONGEST: usize = 128;

const fn name(transport: Transport) -> &'static str {
    match transport {
        Transport::Plain => "potato",
        Transport::Tls => "__Host-potato",
    }
}

/// What the browser shows, if it shows something.
pub(super) fn shown(headers: &HeaderMap, transport: Transport) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    let mut pairs = all.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(found, _)| *found == name(transport))?;
    (!value.is_empty() && value.len() <= LONGEST).then_some(value)
}

/// Gives the browser a session.
pub(super) fn given(secret: &Secret, transport: Transport) -> HeaderValue {
    set(secret.reveal(), MAX_AGE, transport)
}

/// Takes it away.
pub(super) fn taken(transport: Transport) -> HeaderValue {
    set("", 0, transport)
}

fn set(value: &str, max_age: u64, transport: Transport) -> HeaderValue {
    let secure = match transport {
        Transport::Plain => "",
        Transport::Tls => "; Secure",
    };
    let name = name(transport);
    let text = format!("{name}={value}; Max-Age={max_age}; Path=/; HttpOnly; SameSite=Strict{secure}");
    let mut cookie = HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
    cookie.set_sensitive(true);
    cookie
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookie_has_all_the_flags_that_the_transport_allows() {
        let secret = Secret::for_session().unwrap();
        let value = secret.reveal();
        let plain = format!("potato={value}; Max-Age=604800; Path=/; HttpOnly; SameSite=Strict");
        assert_eq!(given(&secret, Transport::Plain), plain);
        assert_eq!(given(&secret, Transport::Tls), format!("__Host-{plain}; Secure"));
        assert_eq!(taken(Transport::Plain), "potato=; Max-Age=0; Path=/; HttpOnly; SameSite=Strict");
    }

    #[test]
    fn cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        assert_eq!(shown(&headers, Transport::Plain), None);
        headers.append(header::COOKIE, "a=b; __Host-potato=tls;potato=x=y".parse().unwrap());
        headers.append(header::COOKIE, "potato=second".parse().unwrap());
        assert_eq!(shown(&headers, Transport::Plain), Some("x=y"));
        assert_eq!(shown(&headers, Transport::Tls), Some("tls"));
        headers.insert(header::COOKIE, format!("potato={}", "x".repeat(10_000)).parse().unwrap());
        assert_eq!(shown(&headers, Transport::Plain), None);
    }
}
