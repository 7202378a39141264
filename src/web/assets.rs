//! The files of the page, which are part of the program.
//!
//! A browser keeps them and asks each time whether they are still the same: they are small, and another version of the
//! program has others. The tag by which it asks is a digest of the contents. They are sent as gzip to who takes that, which
//! makes them a third; nothing secret is in them, so their length tells nobody anything.

use std::io::Write;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flate2::Compression;
use flate2::write::GzEncoder;
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
        let served = Served::new(*file);
        router.route(file.path, get(async move |headers: HeaderMap| served.answer(&headers)))
    })
}

/// A file as it is sent.
#[derive(Clone, Debug)]
struct Served {
    file: File,
    /// What says that two contents are the same, however they are coded.
    tag: String,
    gzipped: Bytes,
}

impl Served {
    fn new(file: File) -> Self {
        let digest: String = Md5::digest(file.contents).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { file, tag: format!("\"{digest}\""), gzipped: gzipped(file.contents).into() }
    }

    /// The file, or that the browser has it.
    fn answer(&self, headers: &HeaderMap) -> Response {
        let kept = headers.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok()).unwrap_or_default();
        let told = [
            (header::ETAG, format!("W/{}", self.tag)),
            (header::CACHE_CONTROL, "no-cache".to_owned()),
            (header::VARY, "accept-encoding".to_owned()),
        ];
        if kept.split(',').any(|one| one.trim().trim_start_matches("W/") == self.tag) {
            return (StatusCode::NOT_MODIFIED, told).into_response();
        }
        let media_type = [(header::CONTENT_TYPE, self.file.media_type)];
        if takes_gzip(headers) {
            return (told, media_type, [(header::CONTENT_ENCODING, "gzip")], self.gzipped.clone()).into_response();
        }
        (told, media_type, self.file.contents).into_response()
    }
}

fn gzipped(contents: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let written = encoder.write_all(contents.as_bytes());
    let all = written.and_then(|()| encoder.finish());
    all.unwrap_or_else(|error| unreachable!("memory takes what is written to it: {error}"))
}

/// Whether the browser takes gzip (RFC 9110, 12.5.3); `gzip;q=0` means that it does not.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let all = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|codings| codings.to_str().ok());
    all.flat_map(|codings| codings.split(',')).any(|coding| {
        let (name, quality) = coding.split_once(';').unwrap_or((coding, "q=1"));
        let quality = quality.trim().strip_prefix("q=").and_then(|quality| quality.parse::<f32>().ok());
        name.trim().eq_ignore_ascii_case("gzip") && quality.is_some_and(|quality| quality > 0.0)
    })
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
    fn first_paint_is_far_below_100_kilobytes() {
        let all = first_paint();
        assert!(all.contains(&"/words.js") && all.contains(&"/views.css"), "{all:?}");
        let bytes: usize = all.iter().map(|path| gzipped(contents(path)).len()).sum();
        // Each file has some 600 bytes of header.
        assert!(bytes + 600 * all.len() < 50_000, "{bytes} bytes in {all:?}");
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

    /// The answer to a request with this header.
    fn answer(name: header::HeaderName, value: &str) -> Response {
        Served::new(FILES[1]).answer(&HeaderMap::from_iter([(name, value.parse().unwrap())]))
    }

    #[test]
    fn file_that_the_browser_has_is_not_sent_again() {
        let tag = Served::new(FILES[1]).tag;
        let asks = |tags: &str| answer(header::IF_NONE_MATCH, tags).status();
        assert_eq!(asks(&tag), StatusCode::NOT_MODIFIED);
        assert_eq!(asks(&format!("\"other\", W/{tag}")), StatusCode::NOT_MODIFIED);
        assert_eq!(asks("\"other\""), StatusCode::OK);
    }

    #[test]
    fn who_takes_gzip_gets_it_and_nobody_else() {
        let coding = |accepted: &str| {
            let answer = answer(header::ACCEPT_ENCODING, accepted);
            answer.headers().get(header::CONTENT_ENCODING).map(|coding| coding.to_str().unwrap().to_owned())
        };
        for accepted in ["gzip", "gzip, deflate, br, zstd", "br;q=1.0, GZIP; q=0.5"] {
            assert_eq!(coding(accepted).as_deref(), Some("gzip"), "{accepted}");
        }
        for accepted in ["", "identity", "br", "gzip;q=0", "gzip;q=0.000", "xgzip", "gzip;q=x"] {
            assert_eq!(coding(accepted), None, "{accepted}");
        }
        let mut text = String::new();
        let packed = gzipped(FILES[1].contents);
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&packed[..]), &mut text).unwrap();
        assert_eq!(text, FILES[1].contents);
    }
}
