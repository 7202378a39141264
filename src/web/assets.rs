//! The files of the page, which are part of the program.

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;

/// Path, media type, contents.
const FILES: [(&str, &str, &str); 4] = [
    ("/", "text/html; charset=utf-8", include_str!("page/index.html")),
    ("/potato.css", "text/css; charset=utf-8", include_str!("page/potato.css")),
    ("/potato.js", "text/javascript; charset=utf-8", include_str!("page/potato.js")),
    ("/potato.svg", "image/svg+xml", include_str!("page/potato.svg")),
];

/// A route for each.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.into_iter().fold(Router::new(), |router, (path, kind, contents)| {
        // Asked for anew each time: they are small, and another version of the program has others.
        let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")];
        router.route(path, get(move || async move { (headers, contents).into_response() }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_is_small_and_needs_nothing_from_elsewhere() {
        assert!(FILES.iter().map(|(.., contents)| contents.len()).sum::<usize>() < 100_000);
        for (path, _, contents) in FILES {
            let foreign = contents.replace("http://www.w3.org/2000/svg", "");
            assert!(!foreign.contains("http:") && !foreign.contains("https:"), "{path}");
            assert!(!contents.contains(" style=") && !contents.contains(" onclick="), "{path}: the policy forbids it");
        }
    }
}
