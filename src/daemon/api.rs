//! What can be asked and ordered, as HTTP and JSON: the same on the control socket and behind the page's sign-in. Questions go
//! to the loop as events. Who asks is known before a request comes here: an [`Actor`] is attached to it.

use axum::body::{Body, Bytes};
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Extension, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::stream;
use tokio::sync::{mpsc, oneshot, watch};

use super::actor::Actor;
use super::history::{History, Start};
use super::mounts::Mounts;
use super::rehearsal::{ExplainQuery, ExplainReport};
use super::report::{
    EventReport, EventsQuery, EventsReport, FlowsQuery, FlowsReport, HostsReport, LinkOrder, LinkReport, Problem,
    ReleaseOrder, ReleaseReport, ReloadReport, ReserveOrder, ReserveReport, StatusReport, WhyQuery,
};

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
    Link(LinkOrder, Actor, oneshot::Sender<Result<LinkReport, String>>),
    /// Reserve a line for hosts. The error says what is wrong with the order.
    Reserve(ReserveOrder, Actor, oneshot::Sender<Result<ReserveReport, String>>),
    /// Release a reserved line. The error says what is wrong with the order.
    Release(ReleaseOrder, Actor, oneshot::Sender<Result<ReleaseReport, String>>),
    /// Read the configuration again and apply it. The error says what is wrong with it.
    Reload(Actor, oneshot::Sender<Result<ReloadReport, String>>),
}

/// What companions can add paths to.
pub(super) fn mounts() -> Mounts {
    Mounts::new(Router::new().fallback(async || {
        let paths = "no such path; there are /v1/status, /v1/flows, /v1/why, /v1/hosts, /v1/explain, /v1/events, \
                     /v1/notify, /v1/link, /v1/reserve, /v1/release and /v1/reload";
        refused(StatusCode::NOT_FOUND, paths)
    }))
}

/// All paths. Requests must have an [`Actor`] attached.
pub(super) fn routes(requests: mpsc::Sender<Request>, history: History, mounts: Mounts) -> Router {
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
        .fallback(async move |request: axum::extract::Request| mounts.answer(request).await)
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
    Extension(actor): Extension<Actor>,
    order: Result<Json<LinkOrder>, JsonRejection>,
) -> Response {
    let order = match order {
        Ok(Json(order)) => order,
        Err(rejection) => return refused(rejection.status(), &rejection.body_text()),
    };
    match ask(&requests, |answer| Request::Link(order, actor, answer)).await {
        Some(Ok(report)) => Json(report).into_response(),
        Some(Err(wrong)) => refused(StatusCode::BAD_REQUEST, &wrong),
        None => stopping(),
    }
}

async fn reserve(
    State(requests): State<mpsc::Sender<Request>>,
    Extension(actor): Extension<Actor>,
    order: Result<Json<ReserveOrder>, JsonRejection>,
) -> Response {
    let order = match order {
        Ok(Json(order)) => order,
        Err(rejection) => return refused(rejection.status(), &rejection.body_text()),
    };
    match ask(&requests, |answer| Request::Reserve(order, actor, answer)).await {
        Some(Ok(report)) => Json(report).into_response(),
        Some(Err(wrong)) => refused(StatusCode::BAD_REQUEST, &wrong),
        None => stopping(),
    }
}

async fn release(
    State(requests): State<mpsc::Sender<Request>>,
    Extension(actor): Extension<Actor>,
    order: Result<Json<ReleaseOrder>, JsonRejection>,
) -> Response {
    let order = match order {
        Ok(Json(order)) => order,
        Err(rejection) => return refused(rejection.status(), &rejection.body_text()),
    };
    match ask(&requests, |answer| Request::Release(order, actor, answer)).await {
        Some(Ok(report)) => Json(report).into_response(),
        Some(Err(wrong)) => refused(StatusCode::BAD_REQUEST, &wrong),
        None => stopping(),
    }
}

async fn reload(State(requests): State<mpsc::Sender<Request>>, Extension(actor): Extension<Actor>) -> Response {
    match ask(&requests, |answer| Request::Reload(actor, answer)).await {
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

/// A problem as RFC 9457 has it.
pub fn refused(status: StatusCode, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or_default().to_owned();
    let problem = Problem { title, status: status.as_u16(), detail: detail.to_owned(), ..Problem::default() };
    (status, [(header::CONTENT_TYPE, "application/problem+json")], Json(problem)).into_response()
}
