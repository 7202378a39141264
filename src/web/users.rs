//! Users and tokens, for admins: `/v1/users` and `/v1/tokens`.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Extension, Json, Router};
use serde::{Deserialize, Serialize};
use utoipa::{OpenApi, ToSchema};

use super::door::{Door, denied, now};
use super::people::password::Password;
use super::people::secret::Secret;
use super::people::{PeopleError, Role, TokensReport, UserReport, UsersReport};
use super::sign_in::parsed;
use super::visitor::Visitor;
use crate::daemon::{EventKind, Sent, Wrong, refused};

/// `POST /v1/users`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewUser {
    name: String,
    role: Role,
    password: String,
}

/// `POST /v1/users/{name}`: what is to be otherwise.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct UserChange {
    #[serde(default)]
    role: Option<Role>,
    #[serde(default)]
    password: Option<String>,
}

/// `POST /v1/tokens`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewToken {
    name: String,
    role: Role,
}

/// A new token, shown this once.
#[derive(Serialize, ToSchema)]
struct TokenGiven {
    id: i64,
    token: String,
}

/// What these paths are to people and programs.
#[derive(OpenApi)]
#[openapi(paths(users, add_user, change_user, remove_user, tokens, add_token, remove_token))]
pub(super) struct Document;

/// All of it.
pub(super) fn routes() -> Router<Door> {
    Router::new()
        .route("/v1/users", get(users).post(add_user))
        .route("/v1/users/{name}", post(change_user).delete(remove_user))
        .route("/v1/tokens", get(tokens).post(add_token))
        .route("/v1/tokens/{id}", delete(remove_token))
}

fn answered<T>(outcome: Result<T, PeopleError>) -> Result<T, Response> {
    outcome.map_err(|error| denied(&error))
}

/// Who may sign in
#[utoipa::path(
    get,
    path = "/v1/users",
    responses(
        (status = 200, description = "The answer", body = UsersReport),
        Wrong
    )
)]
async fn users(State(door): State<Door>) -> Result<Response, Response> {
    let users = answered(door.people(|store| store.users()).await)?;
    Ok(Json(UsersReport::from(users)).into_response())
}

/// Add somebody
#[utoipa::path(
    post,
    path = "/v1/users",
    request_body = NewUser,
    responses(
        (status = 201, description = "Added", body = UserReport),
        Wrong
    )
)]
async fn add_user(
    State(door): State<Door>,
    Extension(admin): Extension<Visitor>,
    Sent(asked): Sent<NewUser>,
) -> Result<Response, Response> {
    let name = parsed(&asked.name)?;
    let password = answered(Password::chosen(asked.password, &name).map_err(Into::into))?;
    let (hash, role, user) = (door.hash(password).await?, asked.role, name.clone());
    answered(door.people(move |store| store.add_user(&user, role, &hash, now())).await)?;
    let (whom, by) = (Some(name.to_string()), Some(admin.shown().to_string()));
    door.tell(EventKind::UserAdded, whom, by, Some(format!("role {role}")));
    let added = UserReport { name: name.to_string(), role, last_seen: None };
    Ok((StatusCode::CREATED, Json(added)).into_response())
}

/// Give somebody another role or password
#[utoipa::path(
    post,
    path = "/v1/users/{name}",
    params(("name" = String, Path, description = "Who")),
    request_body = UserChange,
    responses(
        (status = 200, description = "Changed", body = UserReport),
        Wrong
    )
)]
async fn change_user(
    State(door): State<Door>,
    Extension(admin): Extension<Visitor>,
    Path(name): Path<String>,
    Sent(asked): Sent<UserChange>,
) -> Result<Response, Response> {
    let name = parsed(&name)?;
    let tell = |what: String| {
        let (whom, by) = (Some(name.to_string()), Some(admin.shown().to_string()));
        door.tell(EventKind::UserChanged, whom, by, Some(what));
    };
    if asked.role.is_none() && asked.password.is_none() {
        return Err(refused(StatusCode::UNPROCESSABLE_ENTITY, "say what is to change: `role`, `password` or both"));
    }
    // First what can be wrong, so that nothing is done by half.
    let hash = match asked.password {
        Some(password) => Some(door.hash(answered(Password::chosen(password, &name).map_err(Into::into))?).await?),
        None => None,
    };
    if let Some(role) = asked.role {
        let user = name.clone();
        let before = answered(door.people(move |store| store.set_role(&user, role)).await)?;
        tell(format!("role {before} -> {role}"));
    }
    if let Some(hash) = hash {
        let user = name.clone();
        answered(door.people(move |store| store.set_password(&user, &hash)).await)?;
        tell("another password".to_owned());
    }
    door.note_change();
    let changed = answered(door.people(move |store| store.user(&name)).await)?;
    Ok(Json(UserReport::from(changed)).into_response())
}

/// Remove somebody, and sign him out everywhere
#[utoipa::path(
    delete,
    path = "/v1/users/{name}",
    params(("name" = String, Path, description = "Who")),
    responses(
        (status = 204, description = "Removed"),
        Wrong
    )
)]
async fn remove_user(
    State(door): State<Door>,
    Extension(admin): Extension<Visitor>,
    Path(name): Path<String>,
) -> Result<Response, Response> {
    let name = parsed(&name)?;
    let user = name.clone();
    answered(door.people(move |store| store.remove_user(&user)).await)?;
    door.note_change();
    door.tell(EventKind::UserRemoved, Some(name.to_string()), Some(admin.shown().to_string()), None);
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// What scripts may come with
#[utoipa::path(
    get,
    path = "/v1/tokens",
    responses(
        (status = 200, description = "The answer", body = TokensReport),
        Wrong
    )
)]
async fn tokens(State(door): State<Door>) -> Result<Response, Response> {
    let tokens = answered(door.people(|store| store.tokens()).await)?;
    Ok(Json(TokensReport::from(tokens)).into_response())
}

/// Make a token for a script
#[utoipa::path(
    post,
    path = "/v1/tokens",
    request_body = NewToken,
    responses(
        (status = 201, description = "Made: it is shown this once", body = TokenGiven),
        Wrong
    )
)]
async fn add_token(
    State(door): State<Door>,
    Extension(admin): Extension<Visitor>,
    Sent(asked): Sent<NewToken>,
) -> Result<Response, Response> {
    let (name, role) = (parsed(&asked.name)?, asked.role);
    let secret = answered(Secret::for_token().map_err(Into::into))?;
    let (digest, token) = (secret.digest(), name.clone());
    let id = answered(door.people(move |store| store.add_token(&token, role, &digest, now())).await)?;
    let (whom, by) = (Some(name.to_string()), Some(admin.shown().to_string()));
    door.tell(EventKind::TokenAdded, whom, by, Some(format!("role {role}")));
    let given = TokenGiven { id, token: secret.reveal().to_owned() };
    Ok((StatusCode::CREATED, Json(given)).into_response())
}

/// Remove a token, by its number or its name
#[utoipa::path(
    delete,
    path = "/v1/tokens/{id}",
    params(("id" = String, Path, description = "Which")),
    responses(
        (status = 204, description = "Removed"),
        Wrong
    )
)]
async fn remove_token(
    State(door): State<Door>,
    Extension(admin): Extension<Visitor>,
    Path(id): Path<String>,
) -> Result<Response, Response> {
    let name = answered(door.people(move |store| store.remove_token(&id)).await)?;
    door.note_change();
    door.tell(EventKind::TokenRemoved, Some(name), Some(admin.shown().to_string()), None);
    Ok(StatusCode::NO_CONTENT.into_response())
}
