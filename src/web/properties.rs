//! What must hold of requests whatever comes: the bytes of a connection, names, origins, cookies.

use std::net::IpAddr;

use axum::Router;
use axum::http::header::{COOKIE, HOST, HeaderMap, HeaderValue, ORIGIN};
use axum::http::{StatusCode, Uri};
use axum::middleware;
use axum::routing::{get, post};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::connection::{Peer, Transport};
use super::origin::{Source, source};
use super::people::Name;
use super::{cookie, guard, live, origin, visitor};
use crate::daemon::report::{FlowsQuery, LinkOrder, ReserveOrder};
use crate::daemon::{Question, Sent};

fn transport() -> impl Strategy<Value = Transport> {
    prop_oneof![Just(Transport::Plain), Just(Transport::Tls)]
}

/// Where people find the router.
const PLACES: [&str; 8] = [
    "192.168.10.1:8080",
    "192.168.10.1",
    "localhost",
    "localhost:8080",
    "LOCALHOST:80",
    "[fd00::1]",
    "[fd00::1]:8443",
    "[::ffff:192.168.10.1]:8080",
];

/// A place of ours, made into something else by whoever would like to be taken for us.
fn hostile_place() -> impl Strategy<Value = String> {
    let place = || proptest::sample::select(PLACES.to_vec());
    prop_oneof![
        place().prop_map(str::to_owned),
        (place(), "[a-zA-Z0-9.:@/\\[\\]%#?\\\\ä\u{3002}\u{ff0e}-]{1,3}", any::<proptest::sample::Index>()).prop_map(
            |(place, more, at)| {
                let at = at.index(place.len() + 1);
                format!("{}{more}{}", &place[..at], &place[at..])
            }
        ),
        place().prop_map(|place| format!("evil.example@{place}")),
        place().prop_map(|place| format!("{place}@evil.example")),
        place().prop_map(|place| format!("{place}.evil.example")),
        place().prop_map(|place| format!("evil.example/{place}")),
        place().prop_map(|place| format!("{place}.")),
        place().prop_map(|place| format!("[{place}]")),
        place().prop_map(|place| format!("{place}, evil.example")),
        place().prop_map(str::to_uppercase),
        "xn--[a-z]{1,8}(\\.example)?(:[0-9]{1,6})?",
        "0?x?[0-9a-f]{1,10}(\\.[0-9]{1,3}){0,4}:?[0-9]{0,6}",
        "\\PC{0,20}",
    ]
}

/// Name and port by the standard library alone: what is before the last colon outside of brackets, and what is behind it.
fn is_address_or_localhost(host: &str) -> bool {
    let without_port = match host.rfind(':') {
        Some(at) if host[at + 1..].parse::<u16>().is_ok() && !host[at..].contains(']') => &host[..at],
        _ => host,
    };
    let address = without_port.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let brackets = (without_port.matches('[').count(), without_port.matches(']').count());
    match address {
        Ok(IpAddr::V4(_)) => brackets == (0, 0),
        Ok(IpAddr::V6(_)) => brackets == (1, 1),
        Err(_) => without_port.eq_ignore_ascii_case("localhost"),
    }
}

/// Scheme, host and port as a browser compares them (RFC 6454 section 4); `None`: no page has such an origin.
fn triple(origin: &str) -> Option<(String, String, u16)> {
    let uri: Uri = origin.parse().ok()?;
    let (scheme, authority) = (uri.scheme_str()?.to_ascii_lowercase(), uri.authority()?);
    let usual = if scheme == "https" { 443 } else { 80 };
    let is_bare = !authority.as_str().contains('@')
        && origin.to_ascii_lowercase() == format!("{scheme}://{}", authority.as_str().to_ascii_lowercase());
    is_bare.then(|| (scheme, authority.host().to_ascii_lowercase(), authority.port_u16().unwrap_or(usual)))
}

proptest! {
    #[test]
    fn only_addresses_and_localhost_are_names_of_ours(host in hostile_place()) {
        prop_assert_eq!(guard::is_ours(&host), is_address_or_localhost(&host), "{}", host);
    }

    #[test]
    fn no_foreign_origin_is_ours(
        host in proptest::sample::select(PLACES.to_vec()), place in hostile_place(), transport in transport(),
        scheme in prop_oneof![Just("http"), Just("https"), Just("HTTP"), Just("ftp"), Just("null"), Just("")],
        site in proptest::option::of(prop_oneof![Just("same-origin"), Just("same-site"), Just("cross-site"), Just("none"), Just("")]),
    ) {
        let origin = format!("{scheme}://{place}");
        let Ok(value) = HeaderValue::try_from(&origin) else { return Ok(()) };
        let mut headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static(host)), (ORIGIN, value)]);
        if let Some(site) = site {
            headers.insert("sec-fetch-site", HeaderValue::from_static(site));
        }
        prop_assume!(guard::is_ours(host));
        let ours = triple(&format!("{}://{host}", transport.scheme())).unwrap();
        match source(&headers, transport) {
            Source::Ours => prop_assert_eq!(triple(&origin), Some(ours), "{} at {}", origin, host),
            Source::Foreign => {}
            Source::Unsaid => prop_assert!(false, "{} says where it is from", origin),
        }
    }

    /// A page that a name of somebody else's leads here (DNS rebinding) has that name in all that it sends.
    #[test]
    fn no_page_under_another_name_gets_an_answer(name in "[a-z0-9-]{1,12}(\\.[a-z0-9-]{1,12}){0,3}\\.?(:[0-9]{1,5})?") {
        let without_port = name.split(':').next().unwrap();
        prop_assume!(without_port.parse::<IpAddr>().is_err() && without_port != "localhost");
        prop_assert!(!guard::is_ours(&name), "{}", name);
    }

    #[test]
    fn cookie_of_ours_is_found_among_any_and_no_other_is_taken_for_it(
        before in proptest::collection::vec("[ -~&&[^;]]{0,20}", 0..4), ours in "[!-~&&[^;]]{1,128}", after in "[ -~]{0,40}", transport in transport(),
    ) {
        let name = if transport == Transport::Tls { "__Host-potato" } else { "potato" };
        prop_assume!(!before.iter().any(|pair| pair.trim().starts_with(name)));
        let line = [&before[..], &[format!("{name}={ours}"), after]].concat().join(";");
        let headers = HeaderMap::from_iter([(COOKIE, HeaderValue::try_from(line).unwrap())]);
        prop_assert_eq!(cookie::shown(&headers, transport), Some(&*ours));
        let without = before.join(";");
        let headers = HeaderMap::from_iter([(COOKIE, HeaderValue::try_from(without).unwrap())]);
        prop_assert_eq!(cookie::shown(&headers, transport), None);
    }

    #[test]
    fn no_header_breaks_anything(
        values in proptest::collection::vec(proptest::collection::vec(prop_oneof![b' '..=b'~', 0x80..=0xff_u8], 0..200), 4), transport in transport(),
    ) {
        let names = ["cookie", "origin", "authorization", "host"];
        let mut headers = HeaderMap::new();
        for (name, value) in names.iter().zip(&values) {
            headers.insert(*name, HeaderValue::from_bytes(value).unwrap());
        }
        let shown = cookie::shown(&headers, transport).map(str::len);
        prop_assert!(shown.is_none_or(|length| (1..=128).contains(&length)));
        prop_assert_eq!(origin::source(&headers, transport), Source::Foreign);
        let _proof = visitor::proof(&headers, transport);
    }

    #[test]
    fn names_of_users_are_safe_to_show_and_to_write(text in "\\PC{0,40}|[A-Za-z0-9._-]{1,40}| ?[a-z\u{212a}\u{130}]{1,5}\n?") {
        if let Ok(name) = text.parse::<Name>() {
            let name = name.as_str();
            prop_assert!((1..=32).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte)));
            prop_assert_eq!(name.parse::<Name>().map(|name| name.to_string()), Ok(name.to_owned()));
        }
    }

    #[test]
    fn last_event_is_a_number_or_nothing(text in "\\PC{0,24}|[0-9]{1,24}") {
        let mut headers = HeaderMap::new();
        headers.insert("last-event-id", HeaderValue::from_bytes(text.as_bytes()).unwrap());
        let number = live::last_event(&headers);
        prop_assert_eq!(number.map(u128::from), text.strip_prefix('+').unwrap_or(&text).parse::<u128>().ok().filter(|number| *number <= u128::from(u64::MAX)));
    }
}

/// All of the kinds of bytes that are read, behind the same door as the pages.
fn pages() -> Router {
    Router::new()
        .route("/asked", get(async |Question(_): Question<FlowsQuery>| "asked"))
        .route("/link", post(async |Sent(_): Sent<LinkOrder>| "ordered"))
        .route("/reserve", post(async |Sent(_): Sent<ReserveOrder>| "reserved"))
        .layer(middleware::from_fn(guard::guard))
}

/// What a client does who has sent all that he has to say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    /// Waits for the answer.
    Listens,
    /// Says that nothing more will come.
    Ends,
}

/// What comes back on a connection that these bytes have come on.
async fn answers(bytes: &[u8], then: Then) -> Vec<u8> {
    let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
    let peer = Peer { from: [192, 168, 10, 20].into(), transport: Transport::Plain };
    let talk = async {
        theirs.write_all(bytes).await.unwrap();
        if then == Then::Ends {
            theirs.shutdown().await.unwrap();
        }
        let mut answers = Vec::new();
        theirs.read_to_end(&mut answers).await.unwrap();
        answers
    };
    tokio::join!(super::converse(ours, peer, pages()), talk).1
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// A request as a person or a program writes it, with places for nonsense.
fn request() -> impl Strategy<Value = Vec<u8>> {
    let json = prop_oneof![
        Just(r#"{"uplink": "dsl1", "state": "down"}"#.to_owned()),
        Just(r#"{"uplink": "dsl1", "host": "192.168.10.5", "until": 7}"#.to_owned()),
        "[\\[\\]{}\":,a-z0-9 .eE+-]{0,60}",
        (0_usize..5_000).prop_map(|depth| "[".repeat(depth)),
        "\\PC{0,60}",
    ];
    let path = prop_oneof![
        Just("/asked".to_owned()),
        Just("/link".to_owned()),
        Just("/reserve".to_owned()),
        "/[a-z./%?&=0-9]{0,30}",
        "/asked\\?[a-z=&%0-9+]{0,30}"
    ];
    let method = prop_oneof![Just("GET"), Just("POST"), Just("HEAD"), Just("BREW")];
    (method, path, hostile_place(), "[ -~]{0,40}", json).prop_map(|(method, path, host, more, body)| {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nX: {more}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
        (head + &body).into_bytes()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_connection_gets_an_answer_or_an_end(
        request in request(), damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut bytes = request;
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let said = run(answers(&bytes, Then::Ends));
        prop_assert!(said.is_empty() || said.starts_with(b"HTTP/1."), "{}", String::from_utf8_lossy(&said));
    }

    #[test]
    fn who_names_the_router_wrongly_is_told_so(host in hostile_place()) {
        prop_assume!(HeaderValue::try_from(&host).is_ok());
        let request = format!("GET /asked HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let said = String::from_utf8(run(answers(request.as_bytes(), Then::Listens))).unwrap();
        // Spaces around it are not part of a header.
        let expected = if is_address_or_localhost(host.trim()) { StatusCode::OK } else { StatusCode::MISDIRECTED_REQUEST };
        prop_assert!(said.starts_with(&format!("HTTP/1.1 {}", expected.as_u16())) || said.starts_with("HTTP/1.1 400"), "{}: {}", host, said);
    }
}
