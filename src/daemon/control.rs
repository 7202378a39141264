//! The control socket: HTTP and JSON on a Unix socket, for root and its group. Questions go to the loop as events.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::report::{ErrorReport, FlowsQuery, FlowsReport, StatusReport};

/// Questions that may wait for the loop; whoever asks more waits too.
const WAITING_REQUESTS: usize = 16;

/// A question, and where its answer goes.
#[derive(Debug)]
pub(super) enum Request {
    /// How is the router?
    Status(oneshot::Sender<StatusReport>),
    /// Which flows are there? The error says what is wrong with the question.
    Flows(FlowsQuery, oneshot::Sender<Result<FlowsReport, String>>),
}

/// The open control socket. Dropped, it closes and its file goes.
#[derive(Debug)]
pub(super) struct Control {
    path: PathBuf,
    server: JoinHandle<()>,
    requests: mpsc::Receiver<Request>,
}

impl Control {
    /// Opens the socket at `path`, in place of one that a killed router left.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        // Bound under another name until its permissions are right.
        let new = path.with_extension("new");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&new)?;
        fs::set_permissions(&new, Permissions::from_mode(0o660))?;
        fs::rename(&new, path)?;
        let (sender, requests) = mpsc::channel(WAITING_REQUESTS);
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, routes(sender)).await {
                tracing::error!(%error, "control socket failed");
            }
        });
        Ok(Self { path: path.to_owned(), server, requests })
    }

    /// The next question. Dropping the future loses none.
    pub(super) async fn next(&mut self) -> Request {
        match self.requests.recv().await {
            Some(request) => request,
            // The server is gone, and said so: nobody will ask any more.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.server.abort();
        let _gone_already_is_fine = fs::remove_file(&self.path);
    }
}

fn routes(requests: mpsc::Sender<Request>) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/flows", get(flows))
        .fallback(async || refused(StatusCode::NOT_FOUND, "no such path; there are /v1/status and /v1/flows"))
        .with_state(requests)
}

async fn status(State(requests): State<mpsc::Sender<Request>>) -> Response {
    match ask(&requests, Request::Status).await {
        Some(report) => Json(report).into_response(),
        None => stopping(),
    }
}

async fn flows(
    State(requests): State<mpsc::Sender<Request>>,
    query: Result<Query<FlowsQuery>, QueryRejection>,
) -> Response {
    let query = match query {
        Ok(Query(query)) => query,
        Err(rejection) => return refused(StatusCode::BAD_REQUEST, &rejection.body_text()),
    };
    match ask(&requests, |answer| Request::Flows(query, answer)).await {
        Some(Ok(report)) => Json(report).into_response(),
        Some(Err(wrong)) => refused(StatusCode::BAD_REQUEST, &wrong),
        None => stopping(),
    }
}

/// `None`: the loop has ended.
async fn ask<T>(requests: &mpsc::Sender<Request>, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Option<T> {
    let (answer, answered) = oneshot::channel();
    requests.send(request(answer)).await.ok()?;
    answered.await.ok()
}

fn stopping() -> Response {
    refused(StatusCode::SERVICE_UNAVAILABLE, "the router is stopping")
}

fn refused(status: StatusCode, error: &str) -> Response {
    (status, Json(ErrorReport { error: error.to_owned() })).into_response()
}
