//! One request to one server, and what its answer means.

use std::pin::pin;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{CONTENT_LENGTH, HOST, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;

use crate::config::HttpUrl;
use crate::notify::connection::connect;
use crate::notify::outbox::SendError;
use crate::notify::said::fit_to_show;

/// A server that has not answered by then will not.
const LONGEST_ANSWER: Duration = Duration::from_secs(15);
/// Most of an answer that is read, in bytes.
const LONGEST_BODY: usize = 16 * 1024;

/// A request that is to be made.
#[derive(Debug)]
pub(super) struct Outgoing<'c> {
    pub(super) url: &'c HttpUrl,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
}

/// Makes a request, on a connection of its own.
pub(super) async fn exchange(outgoing: Outgoing<'_>) -> Result<(), SendError> {
    let stream = connect(&outgoing.url.server).await?;
    let request = request(&outgoing)?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(SendError::later)?;
    let answered = async {
        let response = sender.send_request(request).await.map_err(SendError::later)?;
        judge(response).await
    };
    let both = async {
        let mut answered = pin!(answered);
        // The connection does the work for the answer. When it ends, the answer has come, or never will.
        tokio::select! {
            biased;
            answered = &mut answered => answered,
            _ended = connection => answered.await,
        }
    };
    let silent = |_| SendError::later(format!("no answer within {} s", LONGEST_ANSWER.as_secs()));
    tokio::time::timeout(LONGEST_ANSWER, both).await.map_err(silent)?
}

fn request(outgoing: &Outgoing<'_>) -> Result<Request<Full<Bytes>>, SendError> {
    let body = Bytes::from(outgoing.body.clone());
    let mut builder = Request::builder()
        .method(&outgoing.method)
        .uri(&outgoing.path)
        .header(HOST, outgoing.url.authority())
        .header(USER_AGENT, concat!("potato/", env!("CARGO_PKG_VERSION")))
        .header(CONTENT_LENGTH, body.len());
    for (name, value) in &outgoing.headers {
        builder = builder.header(*name, value);
    }
    builder.body(Full::new(body)).map_err(|error| SendError::Never(error.to_string()))
}

/// What an answer means for the message.
async fn judge(response: Response<hyper::body::Incoming>) -> Result<(), SendError> {
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let after = response.headers().get(RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
    let body = Limited::new(response.into_body(), LONGEST_BODY).collect().await;
    let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let said = fit_to_show(&String::from_utf8_lossy(&body));
    Err(refused(status, &said, after.map(Duration::from_secs)))
}

fn refused(status: StatusCode, said: &str, after: Option<Duration>) -> SendError {
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    let what = format!("the server answers {status}{said}");
    match status {
        // It is the message that is wrong, and it will not get better.
        StatusCode::BAD_REQUEST
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNSUPPORTED_MEDIA_TYPE
        | StatusCode::UNPROCESSABLE_ENTITY => SendError::Never(what),
        _ if status.is_redirection() => SendError::later(format!("{what}; write the address that it leads to")),
        _ => SendError::Later { what, after },
    }
}

/// A text as a part of a path or a form: RFC 3986 section 2.3's unreserved characters stay.
pub(super) fn percent_encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}
