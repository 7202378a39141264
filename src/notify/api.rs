//! `/v1/notify`: how the channels are, and a test of one. Requests must have an [`Actor`] attached.

use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use tokio::sync::{mpsc, oneshot};
use utoipa::OpenApi;

use super::report::{NotifyReport, TestOrder, TestReport};
use crate::daemon::report::Problem;
use crate::daemon::{Actor, Sent, Wrong, refused};

/// A question, and where its answer goes.
#[derive(Debug)]
pub(super) enum Ask {
    /// How are the channels?
    List(oneshot::Sender<NotifyReport>),
    /// Does this channel work?
    Test(TestOrder, Actor, oneshot::Sender<Result<TestReport, TestError>>),
}

/// Why a test has failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum TestError {
    /// There is no such channel.
    #[error("{0}")]
    Unknown(String),
    /// It does not work.
    #[error("{0}")]
    Failed(String),
}

/// What they are, for the document of all paths.
#[derive(OpenApi)]
#[openapi(paths(list, test))]
pub(super) struct Document;

/// The paths.
pub(super) fn routes(asks: mpsc::Sender<Ask>) -> Router {
    Router::new().route("/v1/notify", get(list)).route("/v1/notify/test", post(test)).with_state(asks)
}

/// The channels by which people are told, and what waits in them
#[utoipa::path(
    get,
    path = "/v1/notify",
    responses(
        (status = 200, description = "The answer", body = NotifyReport),
        Wrong
    )
)]
async fn list(State(asks): State<mpsc::Sender<Ask>>) -> Response {
    let (answer, answered) = oneshot::channel();
    let _asked = asks.send(Ask::List(answer)).await;
    answered.await.map_or_else(|_| stopping(), |report| Json(report).into_response())
}

/// Send a message to see whether a channel works
#[utoipa::path(
    post,
    path = "/v1/notify/test",
    request_body = TestOrder,
    responses(
        (status = 202, description = "The server has taken it", body = TestReport),
        (status = 404, description = "There is no such channel", body = Problem, content_type = "application/problem+json"),
        (status = 502, description = "It cannot be sent", body = Problem, content_type = "application/problem+json"),
        Wrong
    )
)]
async fn test(
    State(asks): State<mpsc::Sender<Ask>>,
    Extension(actor): Extension<Actor>,
    Sent(order): Sent<TestOrder>,
) -> Response {
    let (answer, answered) = oneshot::channel();
    let _asked = asks.send(Ask::Test(order, actor, answer)).await;
    match answered.await {
        Ok(Ok(report)) => (StatusCode::ACCEPTED, Json(report)).into_response(),
        Ok(Err(error @ TestError::Unknown(_))) => refused(StatusCode::NOT_FOUND, &error.to_string()),
        Ok(Err(error @ TestError::Failed(_))) => refused(StatusCode::BAD_GATEWAY, &error.to_string()),
        Err(_) => stopping(),
    }
}

fn stopping() -> Response {
    refused(StatusCode::SERVICE_UNAVAILABLE, "the router is stopping")
}
