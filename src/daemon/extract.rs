//! What somebody asks and sends. What is wrong with it is said as a problem.

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use serde::de::DeserializeOwned;

use super::problem::refused;

/// What stands behind the path's question mark.
#[derive(Debug)]
pub struct Question<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Question<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let read = Query::<T>::from_request_parts(parts, state).await;
        read.map(|Query(question)| Self(question)).map_err(|wrong| refused(StatusCode::BAD_REQUEST, &wrong.body_text()))
    }
}

/// The body, from JSON.
#[derive(Debug)]
pub struct Sent<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Sent<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let read = Json::<T>::from_request(request, state).await;
        read.map(|Json(sent)| Self(sent)).map_err(|wrong| refused(wrong.status(), &wrong.body_text()))
    }
}
