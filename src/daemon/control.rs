//! The control socket: HTTP and JSON on a Unix socket, for root and its group. Questions go to the loop as events.

use std::fmt;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use axum::body::{Body, Bytes};
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::IncomingStream;
use axum::{Json, Router};
use futures_util::stream;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::history::{History, Start};
use super::rehearsal::{ExplainQuery, ExplainReport};
use super::report::{
    ErrorReport, EventReport, EventsQuery, EventsReport, FlowsQuery, FlowsReport, HostsReport, LinkOrder, LinkReport,
    ReleaseOrder, ReleaseReport, ReloadReport, ReserveOrder, ReserveReport, StatusReport, WhyQuery,
};

/// Questions that may wait for the loop; whoever asks more waits too.
const WAITING_REQUESTS: usize = 16;
/// Events that are told when nobody says since which.
const NEWEST_EVENTS: usize = 100;
/// Events that a follower is sent at once.
const EVENTS_AT_ONCE: usize = 500;

/// A question, and where its answer goes.
#[derive(Debug)]
pub(super) enum Request {
    /// How is the router?
    Status(oneshot::Sender<StatusReport>),
    /// Which flows are there? The error says what is wrong with the question.
    Flows(FlowsQuery, oneshot::Sender<Result<FlowsReport, String>>),
    /// Who has how much, and how fast?
    Hosts(oneshot::Sender<HostsReport>),
    /// What would become of a connection? The error says what is wrong with the question.
    Explain(ExplainQuery, oneshot::Sender<Result<ExplainReport, String>>),
    /// Why have these flows their uplinks? The error says what is wrong with the question.
    Why(WhyQuery, oneshot::Sender<Result<FlowsReport, String>>),
    /// Take an uplink down, or put it back. The error says what is wrong with the order.
    Link(LinkOrder, Peer, oneshot::Sender<Result<LinkReport, String>>),
    /// Reserve a line for hosts. The error says what is wrong with the order.
    Reserve(ReserveOrder, Peer, oneshot::Sender<Result<ReserveReport, String>>),
    /// Release a reserved line. The error says what is wrong with the order.
    Release(ReleaseOrder, Peer, oneshot::Sender<Result<ReleaseReport, String>>),
    /// Read the configuration again and apply it. The error says what is wrong with it.
    Reload(Peer, oneshot::Sender<Result<ReloadReport, String>>),
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
    sender: mpsc::Sender<Request>,
}

impl Control {
    /// Opens the socket at `path`, in place of one that a killed router left.
    /// Events are read from `history` without the loop.
    pub(super) fn open(path: &Path, history: History) -> io::Result<Self> {
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
        let service = routes(sender.clone(), history).into_make_service_with_connect_info::<Peer>();
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, service).await {
                tracing::error!(%error, "control socket failed");
            }
        });
        Ok(Self { path: path.to_owned(), server, requests, sender })
    }

    /// A way to ask the same questions from within.
    pub(super) fn sender(&self) -> mpsc::Sender<Request> {
        self.sender.clone()
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

fn routes(requests: mpsc::Sender<Request>, history: History) -> Router {
    let events = Router::new().route("/v1/events", get(events)).with_state(history);
    Router::new()
        .merge(events)
        .route("/v1/status", get(status))
        .route("/v1/flows", get(flows))
        .route("/v1/explain", get(explain))
        .route("/v1/hosts", get(hosts))
        .route("/v1/why", get(why))
        .route("/v1/link", post(link))
        .route("/v1/reserve", post(reserve))
        .route("/v1/release", post(release))
        .route("/v1/reload", post(reload))
        .fallback(async || {
            let paths = "no such path; there are /v1/status, /v1/flows, /v1/why, /v1/hosts, /v1/explain, /v1/events, \
                         /v1/link, /v1/reserve, /v1/release and /v1/reload";
            refused(StatusCode::NOT_FOUND, paths)
        })
        .method_not_allowed_fallback(async || {
            refused(
                StatusCode::METHOD_NOT_ALLOWED,
                "GET asks, POST orders: /v1/link, /v1/reserve, /v1/release and /v1/reload are POST, all others GET",
            )
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

async fn why(
    State(requests): State<mpsc::Sender<Request>>,
    query: Result<Query<WhyQuery>, QueryRejection>,
) -> Response {
    let query = match query {
        Ok(Query(query)) => query,
        Err(rejection) => return refused(StatusCode::BAD_REQUEST, &rejection.body_text()),
    };
    match ask(&requests, |answer| Request::Why(query, answer)).await {
        Some(Ok(report)) => Json(report).into_response(),
        Some(Err(wrong)) => refused(StatusCode::BAD_REQUEST, &wrong),
        None => stopping(),
    }
}

async fn hosts(State(requests): State<mpsc::Sender<Request>>) -> Response {
    match ask(&requests, Request::Hosts).await {
        Some(report) => Json(report).into_response(),
        None => stopping(),
    }
}

async fn explain(
    State(requests): State<mpsc::Sender<Request>>,
    query: Result<Query<ExplainQuery>, QueryRejection>,
) -> Response {
    let query = match query {
        Ok(Query(query)) => query,
        Err(rejection) => return refused(StatusCode::BAD_REQUEST, &rejection.body_text()),
    };
    match ask(&requests, |answer| Request::Explain(query, answer)).await {
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

async fn reserve(
    State(requests): State<mpsc::Sender<Request>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    order: Result<Json<ReserveOrder>, JsonRejection>,
) -> Response {
    let order = match order {
        Ok(Json(order)) => order,
        Err(rejection) => return refused(rejection.status(), &rejection.body_text()),
    };
    match ask(&requests, |answer| Request::Reserve(order, peer, answer)).await {
        Some(Ok(report)) => Json(report).into_response(),
        Some(Err(wrong)) => refused(StatusCode::BAD_REQUEST, &wrong),
        None => stopping(),
    }
}

async fn release(
    State(requests): State<mpsc::Sender<Request>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    order: Result<Json<ReleaseOrder>, JsonRejection>,
) -> Response {
    let order = match order {
        Ok(Json(order)) => order,
        Err(rejection) => return refused(rejection.status(), &rejection.body_text()),
    };
    match ask(&requests, |answer| Request::Release(order, peer, answer)).await {
        Some(Ok(report)) => Json(report).into_response(),
        Some(Err(wrong)) => refused(StatusCode::BAD_REQUEST, &wrong),
        None => stopping(),
    }
}

async fn reload(State(requests): State<mpsc::Sender<Request>>, ConnectInfo(peer): ConnectInfo<Peer>) -> Response {
    match ask(&requests, |answer| Request::Reload(peer, answer)).await {
        Some(Ok(report)) => Json(report).into_response(),
        // Not the order is wrong, but the file.
        Some(Err(wrong)) => refused(StatusCode::UNPROCESSABLE_ENTITY, &wrong),
        None => stopping(),
    }
}

async fn events(State(history): State<History>, query: Result<Query<EventsQuery>, QueryRejection>) -> Response {
    let query = match query {
        Ok(Query(query)) => query,
        Err(rejection) => return refused(StatusCode::BAD_REQUEST, &rejection.body_text()),
    };
    // From here on what comes is news.
    let news = history.news();
    let (start, limit) = match query.since {
        Some(id) if query.follow => (Start::After(id), EVENTS_AT_ONCE),
        Some(id) => (Start::After(id), usize::MAX),
        None => (Start::Newest, NEWEST_EVENTS),
    };
    let events = match history.read(start, limit).await {
        Ok(events) => events,
        Err(wrong) => return refused(StatusCode::SERVICE_UNAVAILABLE, &wrong),
    };
    if !query.follow {
        return Json(EventsReport { events }).into_response();
    }
    let since = query.since.unwrap_or(0);
    let follower = Follower { history, news, since, waiting: events };
    let lines = stream::unfold(follower, Follower::next);
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

/// Somebody who reads events as they come. He reads at his own pace: nothing is kept for him here.
struct Follower {
    history: History,
    news: watch::Receiver<u64>,
    /// The last event that he was given.
    since: u64,
    /// Read, and not given to him yet.
    waiting: Vec<EventReport>,
}

impl Follower {
    /// The next lines, once there are some; `None`: there will be no more. He can ask anew, from the last id on.
    async fn next(mut self) -> Option<(serde_json::Result<Bytes>, Self)> {
        while self.waiting.is_empty() {
            self.news.changed().await.ok()?;
            self.waiting = self.history.read(Start::After(self.since), EVENTS_AT_ONCE).await.ok()?;
        }
        let events = std::mem::take(&mut self.waiting);
        self.since = events.last().map_or(self.since, |event| event.id);
        if events.len() == EVENTS_AT_ONCE {
            // There may be more already, of which no news will come.
            self.news.mark_changed();
        }
        let mut lines = Vec::new();
        for event in events {
            if let Err(error) = serde_json::to_writer(&mut lines, &event) {
                return Some((Err(error), self));
            }
            lines.push(b'\n');
        }
        Some((Ok(lines.into()), self))
    }
}

/// `None`: the loop has ended.
pub(super) async fn ask<T>(
    requests: &mpsc::Sender<Request>,
    request: impl FnOnce(oneshot::Sender<T>) -> Request,
) -> Option<T> {
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
    use crate::daemon::history::Record;
    use crate::daemon::report::{LinkState, WhenDown};
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
                Request::Hosts(answer) => drop(answer.send(HostsReport::default())),
                Request::Explain(query, answer) => {
                    let opening = query.opening().map(|opening| opening.key.tuple().to_string());
                    drop(answer.send(opening.map(|to| ExplainReport { to, ..ExplainReport::default() })));
                }
                Request::Reserve(order, _, answer) => {
                    assert_eq!((order.hosts.len(), order.when_down), (1, WhenDown::Refuse));
                    drop(answer.send(Ok(ReserveReport { uplink: order.uplink, ..ReserveReport::default() })));
                }
                Request::Release(_, _, answer) => drop(answer.send(Err("the configuration reserves it".to_owned()))),
                Request::Why(query, answer) => {
                    drop(answer.send(Err(format!("{} has no such flow", query.host))));
                }
                Request::Reload(_, answer) => drop(answer.send(Err("potato.toml:7:1: no such key".to_owned()))),
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
        let history = History::start(directory.path());
        let control = Control::open(&socket, history.clone()).unwrap();
        assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o660);
        let answered = tokio::spawn(answer(control, 9));

        let (status, body) = exchange(&socket, "POST /v1/link", r#"{"uplink":"dsl1","state":"down"}"#).await;
        assert_eq!(status, "HTTP/1.1 200 OK", "{body}");
        assert_eq!(serde_json::from_str::<LinkReport>(&body).unwrap().uplink, "dsl1");
        for body in ["", "{", r#"{"uplink":"dsl1","state":"sideways"}"#, r#"{"uplink":"dsl1"}"#] {
            let (status, said) = exchange(&socket, "POST /v1/link", body).await;
            assert!(status.contains(" 4"), "{body}: {status}");
            assert!(!serde_json::from_str::<ErrorReport>(&said).unwrap().error.is_empty(), "{body}");
        }
        history.record(Record { uplink: Some("dsl1".to_owned()), ..Record::default() });
        let (status, body) = get(&socket, "/v1/events").await;
        assert_eq!(status, "HTTP/1.1 200 OK", "{body}");
        let events = serde_json::from_str::<EventsReport>(&body).unwrap().events;
        assert_eq!((events.len(), events[0].uplink.as_deref()), (1, Some("dsl1")));
        let (_, body) = get(&socket, "/v1/events?since=1").await;
        assert_eq!(serde_json::from_str::<EventsReport>(&body).unwrap(), EventsReport::default());
        // A follower hears at once that he is heard, and then what happens.
        let mut follower = UnixStream::connect(&socket).await.unwrap();
        let request = "GET /v1/events?follow=true&since=1 HTTP/1.1\r\nHost: potato\r\n\r\n";
        follower.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = [0; 4_096];
        let length = follower.read(&mut bytes).await.unwrap();
        assert!(bytes[..length].starts_with(b"HTTP/1.1 200 OK"));
        history.record(Record { uplink: Some("dsl2".to_owned()), ..Record::default() });
        let length = follower.read(&mut bytes).await.unwrap();
        assert!(String::from_utf8_lossy(&bytes[..length]).contains("dsl2"));
        let (status, body) = get(&socket, "/v1/link").await;
        assert!(status.contains("405") && body.contains("POST"), "{status}: {body}");

        let order = r#"{"uplink":"dsl3","hosts":["laptop"],"for_seconds":7200,"when_down":"refuse"}"#;
        let (status, body) = exchange(&socket, "POST /v1/reserve", order).await;
        assert_eq!(status, "HTTP/1.1 200 OK", "{body}");
        let (status, body) = exchange(&socket, "POST /v1/release", r#"{"uplink":"dsl3"}"#).await;
        assert!(status.contains("400") && body.contains("configuration"), "{status}: {body}");

        let (status, body) = exchange(&socket, "POST /v1/reload", "").await;
        assert!(status.contains("422") && body.contains("no such key"), "{status}: {body}");

        let (status, body) = get(&socket, "/v1/explain?from=192.168.10.20&to=203.0.113.9:443/tcp").await;
        assert!(status.contains("200") && body.contains("tcp 192.168.10.20:0 -> 203.0.113.9:443"), "{status}: {body}");

        let (status, body) = get(&socket, "/v1/status").await;
        assert_eq!(status, "HTTP/1.1 200 OK");
        assert_eq!(serde_json::from_str::<StatusReport>(&body).unwrap().pid, 7);
        for (path, status, says) in [
            ("/v2", "HTTP/1.1 404 Not Found", "/v1/status"),
            ("/v1/flows?host=nobody", "HTTP/1.1 400 Bad Request", "host"),
            ("/v1/events?since=yesterday", "HTTP/1.1 400 Bad Request", "since"),
            ("/v1/explain?from=192.168.10.20&to=203.0.113.9", "HTTP/1.1 400 Bad Request", "names no protocol"),
            ("/v1/explain?to=203.0.113.9/icmp", "HTTP/1.1 400 Bad Request", "from"),
            ("/v1/flows?colour=red", "HTTP/1.1 400 Bad Request", "colour"),
            ("/v1/why?host=192.168.10.20", "HTTP/1.1 400 Bad Request", "host"),
            ("/v1/why?host=192.168.10.20:40000", "HTTP/1.1 400 Bad Request", "192.168.10.20:40000 has no such flow"),
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
