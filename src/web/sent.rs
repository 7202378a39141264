//! What somebody has sent, as JSON.

use axum::Json;
use axum::extract::{FromRequest, Request};
use axum::response::Response;
use serde::de::DeserializeOwned;

use crate::daemon::refused;

/// The body as what it should be. What is wrong with it is said as a problem.
#[derive(Debug)]
pub(super) struct Sent<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Sent<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let read = Json::<T>::from_request(request, state).await;
        read.map(|Json(sent)| Self(sent)).map_err(|wrong| refused(wrong.status(), &wrong.body_text()))
    }
}
