//! Answers that say what is wrong, as RFC 9457 has them.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use utoipa::IntoResponses;

use super::report::Problem;

/// For the document: any path may answer so.
#[derive(Debug, IntoResponses)]
#[response(
    status = "default",
    description = "What is wrong: with the question or order (4xx), or with the router (503: it is stopping, or its disk cannot be used)",
    content_type = "application/problem+json"
)]
pub struct Wrong(pub Problem);

/// A problem as RFC 9457 has it.
#[must_use]
pub fn refused(status: StatusCode, detail: &str) -> Response {
    problem(status, Problem { detail: detail.to_owned(), ..Problem::default() })
}

/// The same, with more to it.
pub(super) fn problem(status: StatusCode, problem: Problem) -> Response {
    let title = status.canonical_reason().unwrap_or_default().to_owned();
    let problem = Problem { title, status: status.as_u16(), ..problem };
    (status, [(header::CONTENT_TYPE, "application/problem+json")], Json(problem)).into_response()
}
