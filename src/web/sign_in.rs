//! Signing in and out: `/v1/welcome`, `/v1/claim`, `/v1/session`, `/v1/sessions` and `/v1/password`.
//!
//! Every sign-in makes a session with a new secret, and ends the one that the browser had: nobody can give somebody else a session
//! that he knows. A wrong name and a wrong password get the same answer after the same time.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde::{Deserialize, Serialize};
use utoipa::{OpenApi, ToSchema};

use super::connection::{Peer, Transport};
use super::cookie;
use super::door::{Door, denied, now};
use super::people::password::Password;
use super::people::secret::Secret;
use super::people::{Name, NameError, PeopleError, Role};
use super::visitor::{self, Proof, Visitor};
use crate::daemon::{EventKind, Sent, Wrong, refused};

/// Under this name tries of the claim are counted; no user has it.
const CLAIM: &str = " claim";

/// `GET /v1/welcome`: what a page must know before anybody has signed in.
#[derive(Debug, Serialize, ToSchema)]
struct Welcome {
    /// Whether the router is somebody's.
    claimed: bool,
    /// Who may look: `anyone` or `signed-in`.
    look: &'static str,
    /// Of the program.
    version: &'static str,
}

/// `POST /v1/claim`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Claim {
    /// What the console shows.
    code: String,
    name: String,
    password: String,
}

/// `POST /v1/session`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SignIn {
    name: String,
    password: String,
}

/// `POST /v1/password`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    old: String,
    new: String,
}

/// Who has signed in.
#[derive(Debug, Serialize, ToSchema)]
struct Who {
    name: String,
    role: Role,
}

/// What these paths are to people and programs.
#[derive(OpenApi)]
#[openapi(paths(welcome, claim, sign_in, session, sign_out, sign_out_everywhere, password))]
pub(super) struct Document;

/// All of it.
pub(super) fn routes() -> Router<Door> {
    Router::new()
        .route("/v1/welcome", get(welcome))
        .route("/v1/claim", post(claim))
        .route("/v1/session", get(session).post(sign_in).delete(sign_out))
        .route("/v1/sessions", axum::routing::delete(sign_out_everywhere))
        .route("/v1/password", post(password))
}

/// Whether the router is somebody's, and who may look
#[utoipa::path(
    get,
    path = "/v1/welcome",
    responses(
        (status = 200, description = "The answer", body = Welcome),
        Wrong
    )
)]
async fn welcome(State(door): State<Door>) -> Response {
    match door.people(|store| store.is_claimed()).await {
        Ok(claimed) => {
            let (look, version) = (door.look().name(), env!("CARGO_PKG_VERSION"));
            Json(Welcome { claimed, look, version }).into_response()
        }
        Err(error) => denied(&error),
    }
}

/// Make the first user, who is admin, with the code from the console
#[utoipa::path(
    post,
    path = "/v1/claim",
    request_body = Claim,
    responses(
        (status = 200, description = "Signed in", body = Who),
        Wrong
    )
)]
async fn claim(
    State(door): State<Door>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Sent(asked): Sent<Claim>,
) -> Result<Response, Response> {
    let name = parsed(&asked.name)?;
    let password = Password::chosen(asked.password, &name).map_err(|error| denied(&error.into()))?;
    door.begin_try(peer.from, CLAIM)?;
    // The code first: whoever does not know it is not to make us compute.
    let code = asked.code;
    let typed = code.clone();
    door.people(move |store| store.check_code(&typed)).await.map_err(|error| {
        match error {
            PeopleError::WrongCode => door.tell_failure("the claim", peer.from),
            _ => door.forgive_try(peer.from, CLAIM),
        }
        denied(&error)
    })?;
    let hash = door.hash(password).await?;
    let user = name.clone();
    door.people(move |store| store.claim(&code, &user, &hash, now())).await.map_err(|error| denied(&error))?;
    door.forgive_try(peer.from, CLAIM);
    door.tell(EventKind::Claimed, None, Some(name.to_string()), Some(format!("from {}", peer.from)));
    let who = Who { name: name.to_string(), role: Role::Admin };
    let cookie = begin(&door, &headers, peer, &name).await?;
    Ok(([(header::SET_COOKIE, cookie)], Json(who)).into_response())
}

/// Sign in
#[utoipa::path(
    post,
    path = "/v1/session",
    request_body = SignIn,
    responses(
        (status = 200, description = "Signed in: the answer brings a cookie", body = Who),
        Wrong
    )
)]
async fn sign_in(
    State(door): State<Door>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Sent(asked): Sent<SignIn>,
) -> Result<Response, Response> {
    let name = asked.name.parse::<Name>().ok();
    // What is no name is tried under one that nobody has.
    let counted = name.as_ref().map_or("", Name::as_str);
    door.begin_try(peer.from, counted)?;
    let is_right = door.is_password_of(name.as_ref(), Password::typed(asked.password)).await?;
    let Some(name) = name.clone().filter(|_| is_right) else {
        door.tell_failure(&asked.name, peer.from);
        return Err(refused(StatusCode::UNAUTHORIZED, "name or password is wrong"));
    };
    door.forgive_try(peer.from, counted);
    let user = name.clone();
    let role = door.people(move |store| store.role_of(&user)).await.map_err(|error| denied(&error))?;
    let cookie = begin(&door, &headers, peer, &name).await?;
    door.tell(EventKind::SignedIn, None, Some(name.to_string()), Some(format!("from {}", peer.from)));
    let who = Who { name: name.to_string(), role };
    Ok(([(header::SET_COOKIE, cookie)], Json(who)).into_response())
}

/// Begins a session, in place of the one that the browser had.
async fn begin(door: &Door, headers: &HeaderMap, peer: Peer, name: &Name) -> Result<header::HeaderValue, Response> {
    let secret = Secret::for_session().map_err(|error| denied(&error.into()))?;
    let (digest, name, from) = (secret.digest(), name.clone(), peer.from);
    let before = match visitor::proof(headers, peer.transport) {
        Ok(Some(Proof::Session(before))) => Some(before),
        _ => None,
    };
    let begun = door.people(move |store| {
        if let Some(before) = before {
            store.end_session(&before)?;
        }
        store.begin_session(&name, &digest, now(), from)
    });
    begun.await.map_err(|error| denied(&error))?;
    door.note_change();
    Ok(cookie::given(&secret, peer.transport))
}

/// Who has signed in
#[utoipa::path(
    get,
    path = "/v1/session",
    responses(
        (status = 200, description = "The answer", body = Who),
        Wrong
    )
)]
async fn session(visitor: Option<Extension<Visitor>>) -> Response {
    match visitor {
        Some(Extension(visitor)) => Json(Who { name: visitor.shown().to_string(), role: visitor.role }).into_response(),
        None => refused(StatusCode::UNAUTHORIZED, "nobody has signed in"),
    }
}

/// Sign out here
#[utoipa::path(
    delete,
    path = "/v1/session",
    responses(
        (status = 204, description = "Signed out"),
        Wrong
    )
)]
async fn sign_out(
    State(door): State<Door>,
    Extension(peer): Extension<Peer>,
    visitor: Option<Extension<Visitor>>,
) -> Result<Response, Response> {
    if let Some(Extension(Visitor { proof: Proof::Session(digest), name, from, .. })) = visitor {
        door.people(move |store| store.end_session(&digest)).await.map_err(|error| denied(&error))?;
        door.note_change();
        door.tell(EventKind::SignedOut, None, Some(name.to_string()), Some(format!("from {from}")));
    }
    Ok(gone(peer.transport))
}

/// Sign out everywhere
#[utoipa::path(
    delete,
    path = "/v1/sessions",
    responses(
        (status = 204, description = "Signed out"),
        Wrong
    )
)]
async fn sign_out_everywhere(
    State(door): State<Door>,
    Extension(peer): Extension<Peer>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Response, Response> {
    let name = person(&visitor)?;
    let ended = door.people(move |store| store.end_sessions_of(&name)).await.map_err(|error| denied(&error))?;
    door.note_change();
    let cause = format!("everywhere: {ended} sessions");
    door.tell(EventKind::SignedOut, None, Some(visitor.name.to_string()), Some(cause));
    Ok(gone(peer.transport))
}

/// Give oneself another password, and sign out everywhere else
#[utoipa::path(
    post,
    path = "/v1/password",
    request_body = NewPassword,
    responses(
        (status = 204, description = "It is another one now"),
        Wrong
    )
)]
async fn password(
    State(door): State<Door>,
    Extension(peer): Extension<Peer>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    Sent(asked): Sent<NewPassword>,
) -> Result<Response, Response> {
    let name = person(&visitor)?;
    let new = Password::chosen(asked.new, &name).map_err(|error| denied(&error.into()))?;
    door.begin_try(peer.from, name.as_str())?;
    if !door.is_password_of(Some(&name), Password::typed(asked.old)).await? {
        door.tell_failure(name.as_str(), peer.from);
        return Err(refused(StatusCode::FORBIDDEN, "the old password is wrong"));
    }
    door.forgive_try(peer.from, name.as_str());
    let (hash, user) = (door.hash(new).await?, name.clone());
    door.people(move |store| store.set_password(&user, &hash)).await.map_err(|error| denied(&error))?;
    // All sessions have ended; this browser gets another.
    let cookie = begin(&door, &headers, peer, &name).await?;
    let (whom, by) = (Some(name.to_string()), Some(name.to_string()));
    door.tell(EventKind::UserChanged, whom, by, Some("another password".to_owned()));
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

/// The user who asks; a script is none.
fn person(visitor: &Visitor) -> Result<Name, Response> {
    match visitor.proof {
        Proof::Session(_) => parsed(&visitor.name),
        Proof::Token(_) => Err(refused(StatusCode::FORBIDDEN, "a token has no sessions and no password")),
    }
}

/// A name, or what is wrong with it.
pub(super) fn parsed(name: &str) -> Result<Name, Response> {
    name.parse().map_err(|wrong: NameError| denied(&wrong.into()))
}

fn gone(transport: Transport) -> Response {
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie::taken(transport))]).into_response()
}
