//! Why an order about a line was not carried out.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::problem::{problem, refused};
use super::report::Problem;

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum OrderRefusal {
    /// Something is wrong with the order.
    #[error("{0}")]
    Wrong(String),
    /// It is not any more as whoever ordered has seen it.
    #[error("{detail}")]
    TooLate {
        /// In words.
        detail: String,
        /// Who was faster.
        by: Option<String>,
        /// When, as RFC 3339 writes it.
        at: Option<String>,
    },
}

impl IntoResponse for OrderRefusal {
    fn into_response(self) -> Response {
        match self {
            Self::Wrong(wrong) => refused(StatusCode::BAD_REQUEST, &wrong),
            Self::TooLate { detail, by, at } => {
                problem(StatusCode::CONFLICT, Problem { detail, by, at, ..Problem::default() })
            }
        }
    }
}
