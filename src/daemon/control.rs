//! The control socket: HTTP and JSON on a Unix socket, for root and its group. Questions go to the loop as events.

use std::fmt;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::IncomingStream;
use axum::{Json, Router};
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::report::{ErrorReport, FlowsQuery, FlowsReport, LinkOrder, LinkReport, StatusReport};

/// Questions that may wait for the loop; whoever asks more waits too.
const WAITING_REQUESTS: usize = 16;

/// A question, and where its answer goes.
#[derive(Debug)]
pub(super) enum Request {
    /// How is the router?
    Status(oneshot::Sender<StatusReport>),
    /// Which flows are there? The error says what is wrong with the question.
    Flows(FlowsQuery, oneshot::Sender<Result<FlowsReport, String>>),
    /// Take an uplink down, or put it back. The error says what is wrong with the order.
    Link(LinkOrder, Peer, oneshot::Sender<Result<LinkReport, String>>),
}

/// Who asks, as the kernel says (SO_PEERCRED): the user and the process that have opened the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    /// `None`: the kernel did not say.
    pub(super) uid: Option<u32>,
    /// `None`: the kernel did not say, or it is in a namespace that we do not see.
    pub(super) pid: Option<i32>,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.uid {
            None => f.write_str("somebody unknown")?,
            Some(uid) => write!(f, "uid {uid}")?,
        }
        self.pid.map_or(Ok(()), |pid| write!(f, ", pid {pid}"))
    }
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        let credentials = stream.io().peer_cred().ok();
        // The kernel's 0 is a process of another namespace.
        let pid = credentials.and_then(|credentials| credentials.pid()).filter(|pid| *pid > 0);
        Self { uid: credentials.map(|credentials| credentials.uid()), pid }
    }
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
        let service = routes(sender).into_make_service_with_connect_info::<Peer>();
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, service).await {
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
        .route("/v1/link", post(link))
        .fallback(async || refused(StatusCode::NOT_FOUND, "no such path; there are /v1/status, /v1/flows and /v1/link"))
        .method_not_allowed_fallback(async || {
            refused(StatusCode::METHOD_NOT_ALLOWED, "GET asks, POST orders: /v1/link is POST, all others are GET")
        })
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

async fn link(
    State(requests): State<mpsc::Sender<Request>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    order: Result<Json<LinkOrder>, JsonRejection>,
) -> Response {
    let order = match order {
        Ok(Json(order)) => order,
        Err(rejection) => return refused(rejection.status(), &rejection.body_text()),
    };
    match ask(&requests, |answer| Request::Link(order, peer, answer)).await {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::report::LinkState;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;

    /// Asks as any HTTP client would; returns the status line and the body.
    async fn get(socket: &Path, path: &str) -> (String, String) {
        exchange(socket, &format!("GET {path}"), "").await
    }

    async fn exchange(socket: &Path, what: &str, body: &str) -> (String, String) {
        let mut stream = UnixStream::connect(socket).await.unwrap();
        let length = body.len();
        let request = format!(
            "{what} HTTP/1.1\r\nHost: potato\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }

    /// Answers questions as the loop does, and gives back the queries that came.
    async fn answer(mut control: Control, questions: usize) -> Vec<FlowsQuery> {
        let mut queries = Vec::new();
        for _ in 0..questions {
            match control.next().await {
                Request::Status(answer) => drop(answer.send(StatusReport { pid: 7, ..StatusReport::default() })),
                Request::Flows(query, answer) => {
                    queries.push(query);
                    drop(answer.send(Err("no such uplink".to_owned())));
                }
                Request::Link(order, peer, answer) => {
                    let uid = crate::sys::process::effective_user();
                    let pid = i32::try_from(std::process::id()).ok();
                    assert_eq!((order.state, peer), (LinkState::Down, Peer { uid: Some(uid), pid }));
                    drop(answer.send(Ok(LinkReport { uplink: order.uplink, ..LinkReport::default() })));
                }
            }
        }
        queries
    }

    #[tokio::test]
    async fn questions_are_answered_and_mistakes_explained() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("control.sock");
        fs::write(&socket, "left by a killed router").unwrap();
        let control = Control::open(&socket).unwrap();
        assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o660);
        let answered = tokio::spawn(answer(control, 3));

        let (status, body) = exchange(&socket, "POST /v1/link", r#"{"uplink":"dsl1","state":"down"}"#).await;
        assert_eq!(status, "HTTP/1.1 200 OK", "{body}");
        assert_eq!(serde_json::from_str::<LinkReport>(&body).unwrap().uplink, "dsl1");
        for body in ["", "{", r#"{"uplink":"dsl1","state":"sideways"}"#, r#"{"uplink":"dsl1"}"#] {
            let (status, said) = exchange(&socket, "POST /v1/link", body).await;
            assert!(status.contains(" 4"), "{body}: {status}");
            assert!(!serde_json::from_str::<ErrorReport>(&said).unwrap().error.is_empty(), "{body}");
        }
        let (status, body) = get(&socket, "/v1/link").await;
        assert!(status.contains("405") && body.contains("POST"), "{status}: {body}");

        let (status, body) = get(&socket, "/v1/status").await;
        assert_eq!(status, "HTTP/1.1 200 OK");
        assert_eq!(serde_json::from_str::<StatusReport>(&body).unwrap().pid, 7);
        for (path, status, says) in [
            ("/v2", "HTTP/1.1 404 Not Found", "/v1/status"),
            ("/v1/flows?host=nobody", "HTTP/1.1 400 Bad Request", "host"),
            ("/v1/flows?colour=red", "HTTP/1.1 400 Bad Request", "colour"),
            ("/v1/flows?uplink=x&limit=5", "HTTP/1.1 400 Bad Request", "no such uplink"),
        ] {
            let (line, body) = get(&socket, path).await;
            let error = serde_json::from_str::<ErrorReport>(&body).unwrap().error;
            assert!(line == status && error.contains(says), "{path}: {line}: {error}");
        }
        let queries = answered.await.unwrap();
        assert_eq!(queries, [FlowsQuery { uplink: Some("x".to_owned()), limit: Some(5), ..FlowsQuery::default() }]);
        assert!(!socket.exists(), "the file goes with the socket");
    }
}
