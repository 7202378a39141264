//! `/v1/history`, and what describes it.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use utoipa::OpenApi;

use super::Trends;
use super::report::{HistoryQuery, HistoryReport, HostDaysQuery, HostDaysReport};
use crate::daemon::{Question, Wrong, refused};

/// What these paths are to people and programs.
#[derive(OpenApi)]
#[openapi(paths(history, host_days))]
pub(super) struct Document;

/// The paths.
pub(super) fn routes(trends: Trends) -> Router {
    Router::new().route("/v1/history", get(history)).route("/v1/history/hosts", get(host_days)).with_state(trends)
}

/// What lines have carried, lost and taken, for an hour, a day, a month or a year
#[utoipa::path(
    get,
    path = "/v1/history",
    params(HistoryQuery),
    responses(
        (status = 200, description = "The answer", body = HistoryReport),
        Wrong
    )
)]
async fn history(State(trends): State<Trends>, Question(query): Question<HistoryQuery>) -> Response {
    answer(trends.history(query).await)
}

/// What hosts have used, by days
#[utoipa::path(
    get,
    path = "/v1/history/hosts",
    params(HostDaysQuery),
    responses(
        (status = 200, description = "The answer", body = HostDaysReport),
        Wrong
    )
)]
async fn host_days(State(trends): State<Trends>, Question(query): Question<HostDaysQuery>) -> Response {
    answer(trends.host_days(query).await)
}

fn answer<T: serde::Serialize>(report: Result<T, String>) -> Response {
    match report {
        Ok(report) => Json(report).into_response(),
        Err(wrong) => refused(StatusCode::SERVICE_UNAVAILABLE, &wrong),
    }
}
