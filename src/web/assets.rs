//! The files of the page, which are part of the program.
//!
//! A browser keeps them and asks each time whether they are still the same: they are small, and another version of the
//! program has others. The tag by which it asks is a digest of the contents.

use axum::Router;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use md5::{Digest, Md5};

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// A file of the page.
#[derive(Clone, Copy, Debug)]
struct File {
    path: &'static str,
    media_type: &'static str,
    contents: &'static str,
}

const fn file(path: &'static str, media_type: &'static str, contents: &'static str) -> File {
    File { path, media_type, contents }
}

const FILES: &[File] = &[
    file("/", HTML, include_str!("page/index.html")),
    file("/potato.css", CSS, include_str!("page/potato.css")),
    file("/lines.css", CSS, include_str!("page/lines.css")),
    file("/views.css", CSS, include_str!("page/views.css")),
    file("/potato.svg", SVG, include_str!("page/potato.svg")),
    file("/api.js", JS, include_str!("page/api.js")),
    file("/app.js", JS, include_str!("page/app.js")),
    file("/dialog.js", JS, include_str!("page/dialog.js")),
    file("/dom.js", JS, include_str!("page/dom.js")),
    file("/events.js", JS, include_str!("page/events.js")),
    file("/feed.js", JS, include_str!("page/feed.js")),
    file("/flows.js", JS, include_str!("page/flows.js")),
    file("/history.js", JS, include_str!("page/history.js")),
    file("/hosts.js", JS, include_str!("page/hosts.js")),
    file("/line.js", JS, include_str!("page/line.js")),
    file("/lines.js", JS, include_str!("page/lines.js")),
    file("/live.js", JS, include_str!("page/live.js")),
    file("/orders.js", JS, include_str!("page/orders.js")),
    file("/plot.js", JS, include_str!("page/plot.js")),
    file("/session.js", JS, include_str!("page/session.js")),
    file("/settings-access.js", JS, include_str!("page/settings-access.js")),
    file("/settings-config.js", JS, include_str!("page/settings-config.js")),
    file("/settings-own.js", JS, include_str!("page/settings-own.js")),
    file("/settings.js", JS, include_str!("page/settings.js")),
    file("/sign-in.js", JS, include_str!("page/sign-in.js")),
    file("/words.js", JS, include_str!("page/words.js")),
];

/// A route for each.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.iter().fold(Router::new(), |router, file| {
        let tag = tag(file.contents);
        router.route(file.path, get(async move |headers: HeaderMap| answer(*file, &tag, &headers)))
    })
}

/// The file, or that the browser has it.
fn answer(file: File, tag: &str, headers: &HeaderMap) -> Response {
    let kept = headers.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    let told = [(header::ETAG, tag), (header::CACHE_CONTROL, "no-cache")];
    if kept.is_some_and(|tags| tags.split(',').any(|one| one.trim().trim_start_matches("W/") == tag)) {
        return (StatusCode::NOT_MODIFIED, told).into_response();
    }
    (told, [(header::CONTENT_TYPE, file.media_type)], file.contents).into_response()
}

/// What says that two contents are the same.
fn tag(contents: &str) -> String {
    let digest: String = Md5::digest(contents).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{digest}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(path: &str) -> &'static str {
        FILES.iter().find(|file| file.path == path).map(|file| file.contents).unwrap()
    }

    /// What a file asks for before it is shown or run: `import ... from "/x.js"`, `href="/x.css"`.
    fn asked_for(text: &str) -> Vec<&str> {
        let quoted = |mark: &'static str| text.split(mark).skip(1).filter_map(|rest| rest.split('"').next());
        quoted("from \"")
            .chain(quoted("href=\""))
            .chain(quoted(" src=\""))
            .filter(|path| path.starts_with('/'))
            .collect()
    }

    /// All that is transferred before the first paint.
    fn first_paint() -> Vec<&'static str> {
        let mut all = vec!["/"];
        let mut next = 0;
        while let Some(path) = all.get(next).copied() {
            for path in asked_for(contents(path)) {
                if !all.contains(&path) {
                    all.push(path);
                }
            }
            next += 1;
        }
        all
    }

    #[test]
    fn first_paint_is_below_100_kilobytes() {
        let all = first_paint();
        assert!(all.contains(&"/words.js") && all.contains(&"/views.css"), "{all:?}");
        let bytes: usize = all.iter().map(|path| contents(path).len()).sum();
        // Each file has some 600 bytes of header.
        assert!(bytes + 600 * all.len() < 100_000, "{bytes} bytes in {all:?}");
    }

    #[test]
    fn page_needs_nothing_from_elsewhere_and_has_no_code_in_its_markup() {
        for File { path, contents, .. } in FILES {
            let foreign = contents.replace("http://www.w3.org/2000/svg", "");
            assert!(!foreign.contains("http:") && !foreign.contains("https:"), "{path}");
            assert!(!contents.contains(" style=") && !contents.contains(" onclick="), "{path}: the policy forbids it");
            assert!(!contents.contains("innerHTML"), "{path}: what others have named is never markup");
        }
    }

    #[test]
    fn every_file_that_another_asks_for_is_there_and_every_file_of_the_folder_is_served() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web/page");
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), FILES.len());
        for file in FILES {
            let later = file.contents.split("import(\"").skip(1).filter_map(|rest| rest.split('"').next());
            for path in asked_for(file.contents).into_iter().chain(later) {
                assert!(FILES.iter().any(|file| file.path == path), "{}: {path}", file.path);
            }
        }
    }

    #[test]
    fn file_that_the_browser_has_is_not_sent_again() {
        let file = FILES[1];
        let tag = tag(file.contents);
        let asks = |tags: &str| {
            let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, tags.parse().unwrap())]);
            answer(file, &tag, &headers).status()
        };
        assert_eq!(asks(&tag), StatusCode::NOT_MODIFIED);
        assert_eq!(asks(&format!("\"other\", W/{tag}")), StatusCode::NOT_MODIFIED);
        assert_eq!(asks("\"other\""), StatusCode::OK);
    }
}
