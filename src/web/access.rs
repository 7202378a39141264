//! Who may do what he asks for: every request passes here, and gets whom it is from attached.
//!
//! Theory of operation: a request shows a cookie or a token, or nothing. What it needs is a matter of its method and path alone
//! ([`needs`]). Requests that come from pages of others are refused whatever they show; those that change something by a cookie
//! must say that they come from ours. Only then is the body read, which must be short and come soon.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::StreamExt;

use super::connection::Peer;
use super::door::{Door, denied, now};
use super::needs::{self, Need};
use super::origin::{self, Source};
use super::people::{Holder, Role, Use};
use super::stream;
use super::visitor::{self, Proof, Visitor};
use crate::config::Look;
use crate::daemon::refused;

/// Longest body, in bytes.
const LONGEST_BODY: usize = 64 * 1024;
/// Longest body with a configuration in it, in bytes.
const LONGEST_CONFIG: usize = 256 * 1024;
/// What is longer than allowed is read up to here, and then cut off, in bytes.
const MOST_READ: usize = 1024 * 1024;
/// A body must have come by then.
const SLOWEST_BODY: Duration = Duration::from_secs(10);

/// Answers what may be asked by whom asks it.
pub(super) async fn check(State(door): State<Door>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let need = needs::of(request.method(), &path);
    if need == Need::Page {
        return next.run(request).await;
    }
    let Some(peer) = request.extensions().get::<Peer>().copied() else {
        return refused(StatusCode::INTERNAL_SERVER_ERROR, "it is not known where this request comes from");
    };
    let visitor = match admit(&door, request.method(), request.headers(), peer, need).await {
        Ok(visitor) => visitor,
        Err(refusal) => return private(refusal),
    };
    request.extensions_mut().insert(visitor.as_ref().map_or_else(|| visitor::stranger(peer), Visitor::actor));
    if let Some(visitor) = visitor.clone() {
        request.extensions_mut().insert(visitor);
    }
    let longest = if path.starts_with("/v1/config") { LONGEST_CONFIG } else { LONGEST_BODY };
    let request = match whole(request, longest).await {
        Ok(request) => request,
        Err(refusal) => return private(refusal),
    };
    let is_stream = *request.method() == Method::GET && (path == "/live" || path == "/v1/events");
    let response = next.run(request).await;
    if is_stream && response.status() == StatusCode::OK {
        let kind = if path == "/live" { stream::Kind::Page } else { stream::Kind::Lines };
        return private(stream::accompany(response, door, visitor, kind));
    }
    private(response)
}

/// Who asks, if he may.
async fn admit(
    door: &Door,
    method: &Method,
    headers: &HeaderMap,
    peer: Peer,
    need: Need,
) -> Result<Option<Visitor>, Response> {
    let source = origin::source(headers, peer.transport);
    if source == Source::Foreign {
        return Err(refused(StatusCode::FORBIDDEN, "this was asked for by a page of another site"));
    }
    let proof = visitor::proof(headers, peer.transport)
        .map_err(|wrong| unknown(&format!("this authorization is not understood; {wrong}")))?;
    let changes = ![Method::GET, Method::HEAD, Method::OPTIONS].contains(method);
    if changes && source != Source::Ours && matches!(proof, Some(Proof::Session(_))) {
        let wrong = "what changes something must say that our own page asks for it: by `Origin` or `Sec-Fetch-Site`";
        return Err(refused(StatusCode::FORBIDDEN, wrong));
    }
    let visitor = match proof {
        None => None,
        Some(proof) => holder_of(door, proof, Use::Counts).await?.map(|holder| Visitor {
            name: holder.name.into(),
            role: holder.role,
            proof,
            from: peer.from,
        }),
    };
    if visitor.is_none() && matches!(proof, Some(Proof::Token(_))) {
        return Err(unknown("this token is not good, or not any more"));
    }
    let needed = match need {
        Need::Page | Need::Nothing => return Ok(visitor),
        Need::Look if door.look() == Look::Anyone => return Ok(visitor),
        Need::Look => Role::Viewer,
        Need::Role(role) => role,
    };
    match visitor {
        None => Err(unknown("sign in first")),
        Some(visitor) if visitor.role < needed => {
            let wrong = format!("{} is {}; this needs {needed}", visitor.shown(), visitor.role);
            Err(refused(StatusCode::FORBIDDEN, &wrong))
        }
        Some(visitor) => Ok(Some(visitor)),
    }
}

/// Whose proof that is, if it is one now.
async fn holder_of(door: &Door, proof: Proof, how: Use) -> Result<Option<Holder>, Response> {
    let asked = door.people(move |store| match proof {
        Proof::Session(digest) => store.session(&digest, now(), how),
        Proof::Token(digest) => store.token(&digest, now()),
    });
    asked.await.map_err(|error| denied(&error))
}

/// Nobody knows who asks.
fn unknown(why: &str) -> Response {
    let mut response = refused(StatusCode::UNAUTHORIZED, why);
    // RFC 9110 section 15.5.2: it says how to do better. No browser asks for anything because of this one.
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"potato\""));
    response
}

/// The request with all of its body, which may be so long.
async fn whole(request: Request, longest: usize) -> Result<Request, Response> {
    let (head, body) = request.into_parts();
    match tokio::time::timeout(SLOWEST_BODY, read(body, longest)).await {
        Ok(Ok(Some(bytes))) => Ok(Request::from_parts(head, bytes.into())),
        Ok(Ok(None)) => Err(refused(StatusCode::PAYLOAD_TOO_LARGE, &format!("this is longer than {longest} bytes"))),
        Ok(Err(error)) => Err(refused(StatusCode::BAD_REQUEST, &error.to_string())),
        Err(_) => Err(refused(StatusCode::REQUEST_TIMEOUT, "this comes too slowly")),
    }
}

/// All of a body; `None`: it is longer. Its rest is read then, too, within bounds: whoever still sends would hear no answer.
async fn read(body: Body, longest: usize) -> Result<Option<Vec<u8>>, axum::Error> {
    let (mut pieces, mut bytes, mut length) = (body.into_data_stream(), Vec::new(), 0);
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        length += piece.len();
        if length > MOST_READ {
            break;
        }
        if length <= longest {
            bytes.extend_from_slice(&piece);
        }
    }
    Ok((length <= longest).then_some(bytes))
}

/// No browser and no proxy keeps it.
fn private(mut response: Response) -> Response {
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
