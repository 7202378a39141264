//! Where in the browser a request comes from: from our own page, or from one of somebody else's (CSRF).
//!
//! A browser sends cookies with what other pages ask for, too, but it says which page asks: in `Origin`, and in `Sec-Fetch-Site`.

use axum::http::header::{self, HeaderMap, HeaderName};

use super::connection::Transport;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// From our page.
    Ours,
    /// From another page.
    Foreign,
    /// From something that does not say: no browser, or one that somebody has typed an address into.
    Unsaid,
}

/// Where a request with these headers comes from.
pub(super) fn source(headers: &HeaderMap, transport: Transport) -> Source {
    let of = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let site = of(&SEC_FETCH_SITE);
    if site.is_some_and(|site| site != "same-origin" && site != "none") {
        return Source::Foreign;
    }
    match (of(&header::ORIGIN), of(&header::HOST)) {
        (Some(origin), Some(host)) => {
            let ours = format!("{}://{host}", transport.scheme());
            if origin.eq_ignore_ascii_case(&ours) { Source::Ours } else { Source::Foreign }
        }
        (Some(_), None) => Source::Foreign,
        (None, _) if site == Some("same-origin") => Source::Ours,
        (None, _) => Source::Unsaid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source_of(origin: Option<&str>, site: Option<&str>) -> Source {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "192.168.10.1:8080".parse().unwrap());
        origin.and_then(|origin| headers.insert(header::ORIGIN, origin.parse().unwrap()));
        site.and_then(|site| headers.insert(SEC_FETCH_SITE, site.parse().unwrap()));
        source(&headers, Transport::Plain)
    }

    #[test]
    fn only_our_own_page_is_ours() {
        let ours = Some("http://192.168.10.1:8080");
        assert_eq!(source_of(ours, None), Source::Ours);
        assert_eq!(source_of(ours, Some("same-origin")), Source::Ours);
        assert_eq!(source_of(None, Some("same-origin")), Source::Ours);
        assert_eq!(source_of(None, None), Source::Unsaid);
        assert_eq!(source_of(None, Some("none")), Source::Unsaid);
        for site in ["same-site", "cross-site", "", "Same-Origin"] {
            assert_eq!(source_of(ours, Some(site)), Source::Foreign, "{site}");
        }
        for origin in [
            "null",
            "",
            "http://evil.example",
            "http://192.168.10.1",
            "http://192.168.10.1:80801",
            "https://192.168.10.1:8080",
            "http://192.168.10.1:8080.evil.example",
        ] {
            assert_eq!(source_of(Some(origin), None), Source::Foreign, "{origin}");
        }
    }
}
