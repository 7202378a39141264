//! The control socket: the [`api`] on a Unix socket, for root and its group.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use axum::extract::ConnectInfo;
use axum::extract::connect_info::Connected;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::serve::IncomingStream;
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use utoipa::openapi::OpenApi;

use super::actor::Actor;
use super::additions::Additions;
use super::api::{Api, Request};
use super::history::History;

/// Questions that may wait for the loop; whoever asks more waits too.
const WAITING_REQUESTS: usize = 16;

impl Connected<IncomingStream<'_, UnixListener>> for Actor {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        let credentials = stream.io().peer_cred().ok();
        // The kernel's 0 is a process of another namespace.
        let pid = credentials.and_then(|credentials| credentials.pid()).filter(|pid| *pid > 0);
        Self::Process { uid: credentials.map(|credentials| credentials.uid()), pid }
    }
}

/// Attaches who has connected to what is asked.
async fn attach_actor(
    ConnectInfo(actor): ConnectInfo<Actor>,
    mut request: axum::extract::Request,
    next: Next,
) -> Response {
    request.extensions_mut().insert(actor);
    next.run(request).await
}

/// The open control socket. Dropped, it closes and its file goes.
#[derive(Debug)]
pub(super) struct Control {
    path: PathBuf,
    server: JoinHandle<()>,
    requests: mpsc::Receiver<Request>,
    api: Api,
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
        let api = Api { requests: sender, history, additions: Additions::default() };
        let routes = api.routes(OpenApi::default()).layer(middleware::from_fn(attach_actor));
        let service = routes.into_make_service_with_connect_info::<Actor>();
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, service).await {
                tracing::error!(%error, "control socket failed");
            }
        });
        Ok(Self { path: path.to_owned(), server, requests, api })
    }

    /// A way to ask the same questions from within.
    pub(super) fn api(&self) -> Api {
        self.api.clone()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::history::Record;
    use crate::daemon::order_refusal::OrderRefusal;
    use crate::daemon::rehearsal::ExplainReport;
    use crate::daemon::report::{
        EventsReport, FlowsQuery, HostsReport, LinkReport, LinkState, Problem, ReserveReport, RoleName, RoleReport,
        RoleWanted, StatusReport, WhenDown,
    };
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
                Request::Accounts(answer) => drop(answer.send(Vec::new())),
                Request::Explain(query, answer) => {
                    let opening = query.opening().map(|opening| opening.key.tuple().to_string());
                    drop(answer.send(opening.map(|to| ExplainReport { to, ..ExplainReport::default() })));
                }
                Request::Reserve(order, _, answer) => {
                    assert_eq!((order.hosts.len(), order.when_down), (1, WhenDown::Refuse));
                    drop(answer.send(Ok(ReserveReport { uplink: order.uplink, ..ReserveReport::default() })));
                }
                Request::Redial(order, _, answer) => {
                    assert_eq!(order.expect, Some(3));
                    let (by, at) = (Some("anna".to_owned()), Some("2026-11-26T14:31:16.000Z".to_owned()));
                    let detail = format!("{} was redialled by anna", order.uplink);
                    drop(answer.send(Err(OrderRefusal::TooLate { detail, by, at })));
                }
                Request::Role(order, _, answer) => {
                    assert_eq!((order.role, order.expect), (RoleWanted::Configured, Some(RoleName::Standby)));
                    drop(answer.send(Ok(RoleReport { uplink: order.uplink, ..RoleReport::default() })));
                }
                Request::Release(_, _, answer) => drop(answer.send(Err("the configuration reserves it".to_owned()))),
                Request::Why(query, answer) => {
                    drop(answer.send(Err(format!("{} has no such flow", query.host))));
                }
                Request::Reload(_, answer) => drop(answer.send(Err("potato.toml:7:1: no such key".to_owned()))),
                Request::Link(order, actor, answer) => {
                    let uid = crate::sys::process::effective_user();
                    let pid = i32::try_from(std::process::id()).ok();
                    assert_eq!((order.state, actor), (LinkState::Down, Actor::Process { uid: Some(uid), pid }));
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
        let answered = tokio::spawn(answer(control, 11));

        let (status, body) = exchange(&socket, "POST /v1/link", r#"{"uplink":"dsl1","state":"down"}"#).await;
        assert_eq!(status, "HTTP/1.1 200 OK", "{body}");
        assert_eq!(serde_json::from_str::<LinkReport>(&body).unwrap().uplink, "dsl1");
        for body in ["", "{", r#"{"uplink":"dsl1","state":"sideways"}"#, r#"{"uplink":"dsl1"}"#] {
            let (status, said) = exchange(&socket, "POST /v1/link", body).await;
            assert!(status.contains(" 4"), "{body}: {status}");
            assert!(!serde_json::from_str::<Problem>(&said).unwrap().detail.is_empty(), "{body}");
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

        let (status, body) = exchange(&socket, "POST /v1/redial", r#"{"uplink":"dsl3","expect":3}"#).await;
        assert_eq!(status, "HTTP/1.1 409 Conflict", "{body}");
        assert_eq!(serde_json::from_str::<Problem>(&body).unwrap().by.as_deref(), Some("anna"));
        let order = r#"{"uplink":"dsl3","role":"configured","expect":"standby"}"#;
        let (status, body) = exchange(&socket, "POST /v1/role", order).await;
        assert_eq!(status, "HTTP/1.1 200 OK", "{body}");
        let (status, body) = exchange(&socket, "POST /v1/role", r#"{"uplink":"dsl3","role":"metered"}"#).await;
        assert!(status.contains(" 4") && body.contains("standby"), "{status}: {body}");

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
            let error = serde_json::from_str::<Problem>(&body).unwrap().detail;
            assert!(line == status && error.contains(says), "{path}: {line}: {error}");
        }
        let queries = answered.await.unwrap();
        assert_eq!(queries, [FlowsQuery { uplink: Some("x".to_owned()), limit: Some(5), ..FlowsQuery::default() }]);
        assert!(!socket.exists(), "the file goes with the socket");
    }
}
