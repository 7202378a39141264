//! What can be asked and ordered, as HTTP and JSON: the same on the control socket and behind the page's sign-in. Questions go
//! to the loop as events. Who asks is known before a request comes here: an [`Actor`] is attached to it.
//!
//! One list (`paths!`) makes the routes and the document that describes them (OpenAPI, `GET /v1/openapi.json`), so neither has
//! a path that the other has not. Other parts of the program add theirs ([`Additions`]).

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Extension, FromRef, MatchedPath, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::stream;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use tokio::sync::{mpsc, oneshot, watch};
use utoipa::OpenApi;

use super::actor::Actor;
use super::additions::Additions;
use super::extract::{Question, Sent};
use super::history::{History, Start};
use super::order_refusal::OrderRefusal;
use super::problem::{Wrong, refused};
use super::rehearsal::{ExplainQuery, ExplainReport};
use super::report::{
    EventReport, EventsQuery, EventsReport, FlowsQuery, FlowsReport, HostsReport, LinkOrder, LinkReport, Problem,
    RedialOrder, RedialReport, ReleaseOrder, ReleaseReport, ReloadReport, ReserveOrder, ReserveReport, RoleOrder,
    RoleReport, StatusReport, WhyQuery,
};
use crate::engine::HostAccount;

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
    /// What has each host's account come to?
    Accounts(oneshot::Sender<Vec<HostAccount>>),
    /// What would become of a connection? The error says what is wrong with the question.
    Explain(ExplainQuery, oneshot::Sender<Result<ExplainReport, String>>),
    /// Why have these flows their uplinks? The error says what is wrong with the question.
    Why(WhyQuery, oneshot::Sender<Result<FlowsReport, String>>),
    /// Take an uplink down, or put it back. The error says what is wrong with the order.
    Link(LinkOrder, Actor, oneshot::Sender<Result<LinkReport, OrderRefusal>>),
    /// Have an uplink redialled. The error says what is wrong with the order.
    Redial(RedialOrder, Actor, oneshot::Sender<Result<RedialReport, OrderRefusal>>),
    /// Give an uplink another role. The error says what is wrong with the order.
    Role(RoleOrder, Actor, oneshot::Sender<Result<RoleReport, OrderRefusal>>),
    /// Reserve a line for hosts. The error says what is wrong with the order.
    Reserve(ReserveOrder, Actor, oneshot::Sender<Result<ReserveReport, String>>),
    /// Release a reserved line. The error says what is wrong with the order.
    Release(ReleaseOrder, Actor, oneshot::Sender<Result<ReleaseReport, String>>),
    /// Read the configuration again and apply it. The error says what is wrong with it.
    Reload(Actor, oneshot::Sender<Result<ReloadReport, String>>),
}

/// What answers need. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Api {
    pub(super) requests: mpsc::Sender<Request>,
    pub(super) history: History,
    pub(super) additions: Additions,
}

/// The API as it is served in one place.
#[derive(Clone)]
struct Asked {
    api: Api,
    /// Describes paths that are served beside it there.
    beside: Arc<utoipa::openapi::OpenApi>,
}

impl FromRef<Asked> for mpsc::Sender<Request> {
    fn from_ref(asked: &Asked) -> Self {
        asked.api.requests.clone()
    }
}

impl FromRef<Asked> for History {
    fn from_ref(asked: &Asked) -> Self {
        asked.api.history.clone()
    }
}

/// Routes and document of the same paths: path, method, and the function that answers.
macro_rules! paths {
    ($($path:literal $method:ident $handler:ident,)+) => {
        #[derive(OpenApi)]
        #[openapi(
            info(
                title = "Potato",
                description = "All that can be asked of the router, and ordered. What is not done as asked is \
                               application/problem+json (RFC 9457).",
                license(name = "MIT OR Apache-2.0"),
            ),
            paths($($handler),+),
            components(schemas(EventReport, Problem)),
        )]
        struct Document;

        fn own_routes() -> Router<Asked> {
            Router::new()$(.route($path, $method($handler)))+
        }

        #[cfg(test)]
        const OWN_PATHS: &[(&str, &str)] = &[$(($path, stringify!($method))),+];
    };
}

paths! {
    "/v1/status" get status,
    "/v1/flows" get flows,
    "/v1/why" get why,
    "/v1/hosts" get hosts,
    "/v1/explain" get explain,
    "/v1/events" get events,
    "/v1/link" post link,
    "/v1/redial" post redial,
    "/v1/role" post role,
    "/v1/reserve" post reserve,
    "/v1/release" post release,
    "/v1/reload" post reload,
    "/v1/openapi.json" get document,
}

impl Api {
    /// All paths. Requests must have an [`Actor`] attached. `beside` describes what is served beside them in the same place.
    pub(super) fn routes(&self, beside: utoipa::openapi::OpenApi) -> Router {
        let asked = Asked { api: self.clone(), beside: Arc::new(beside) };
        own_routes()
            .method_not_allowed_fallback(wrong_method)
            .route_layer(from_fn_with_state(self.additions.clone(), count))
            .fallback(ask_additions)
            .with_state(asked)
    }

    /// Who has how much, and how fast; `None`: the router is stopping.
    pub(super) async fn hosts(&self) -> Option<HostsReport> {
        let mut report = ask(&self.requests, Request::Hosts).await?;
        for host in &mut report.hosts {
            host.today = host.address.and_then(|address| self.additions.today_of(address));
        }
        Some(report)
    }
}

/// Counts what is answered.
async fn count(State(additions): State<Additions>, request: axum::extract::Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    additions.count_answer(path.as_ref().map_or("unknown", MatchedPath::as_str), response.status().as_u16());
    response
}

async fn wrong_method() -> Response {
    let right = "GET asks, POST orders; GET /v1/openapi.json says which is which";
    refused(StatusCode::METHOD_NOT_ALLOWED, right)
}

/// Whatever is not ours may be of another part of the program.
async fn ask_additions(State(asked): State<Asked>, request: axum::extract::Request) -> Response {
    let additions = asked.api.additions.clone();
    let no_such_path = async move || {
        let paths: Vec<_> = asked.described().paths.paths.into_keys().collect();
        refused(StatusCode::NOT_FOUND, &format!("no such path; there are {}", paths.join(", ")))
    };
    let routes = additions.routes().fallback(no_such_path).method_not_allowed_fallback(wrong_method);
    let routes = routes.layer(from_fn_with_state(additions, count));
    let Ok(response) = TowerToHyperService::new(routes).call(request).await;
    response
}

impl Asked {
    fn described(&self) -> utoipa::openapi::OpenApi {
        Document::openapi().merge_from(self.api.additions.document()).merge_from((*self.beside).clone())
    }
}

/// This document: what can be asked and ordered, as OpenAPI 3.1 has it
#[utoipa::path(
    get,
    path = "/v1/openapi.json",
    responses((status = 200, description = "The document", content_type = "application/json"))
)]
async fn document(State(asked): State<Asked>) -> Response {
    Json(asked.described()).into_response()
}

/// How the router and its lines are
#[utoipa::path(
    get,
    path = "/v1/status",
    responses(
        (status = 200, description = "The answer", body = StatusReport),
        Wrong
    )
)]
async fn status(State(requests): State<mpsc::Sender<Request>>) -> Response {
    match ask(&requests, Request::Status).await {
        Some(report) => Json(report).into_response(),
        None => stopping(),
    }
}

/// Flows that match
#[utoipa::path(
    get,
    path = "/v1/flows",
    params(FlowsQuery),
    responses(
        (status = 200, description = "The answer", body = FlowsReport),
        Wrong
    )
)]
async fn flows(State(requests): State<mpsc::Sender<Request>>, Question(query): Question<FlowsQuery>) -> Response {
    match ask(&requests, |answer| Request::Flows(query, answer)).await {
        Some(Ok(report)) => Json(report).into_response(),
        Some(Err(wrong)) => refused(StatusCode::BAD_REQUEST, &wrong),
        None => stopping(),
    }
}

/// Flows, with why they have their uplinks
#[utoipa::path(
    get,
    path = "/v1/why",
    params(WhyQuery),
    responses(
        (status = 200, description = "The answer", body = FlowsReport),
        Wrong
    )
)]
async fn why(State(requests): State<mpsc::Sender<Request>>, Question(query): Question<WhyQuery>) -> Response {
    match ask(&requests, |answer| Request::Why(query, answer)).await {
        Some(Ok(report)) => Json(report).into_response(),
        Some(Err(wrong)) => refused(StatusCode::BAD_REQUEST, &wrong),
        None => stopping(),
    }
}

/// Who has how much, and how fast; takes up to a second
#[utoipa::path(
    get,
    path = "/v1/hosts",
    responses(
        (status = 200, description = "The answer", body = HostsReport),
        Wrong
    )
)]
async fn hosts(State(asked): State<Asked>) -> Response {
    match asked.api.hosts().await {
        Some(report) => Json(report).into_response(),
        None => stopping(),
    }
}

/// What would become of a connection; sends nothing
#[utoipa::path(
    get,
    path = "/v1/explain",
    params(ExplainQuery),
    responses(
        (status = 200, description = "The answer", body = ExplainReport),
        Wrong
    )
)]
async fn explain(State(requests): State<mpsc::Sender<Request>>, Question(query): Question<ExplainQuery>) -> Response {
    match ask(&requests, |answer| Request::Explain(query, answer)).await {
        Some(Ok(report)) => Json(report).into_response(),
        Some(Err(wrong)) => refused(StatusCode::BAD_REQUEST, &wrong),
        None => stopping(),
    }
}

/// Takes an uplink down by hand, or puts it back
#[utoipa::path(
    post,
    path = "/v1/link",
    request_body = LinkOrder,
    responses(
        (status = 200, description = "What has become of it", body = LinkReport),
        (status = 409, description = "It is not as `expect` says any more; `by` and `at` say who was faster", body = Problem, content_type = "application/problem+json"),
        Wrong
    )
)]
async fn link(
    State(requests): State<mpsc::Sender<Request>>,
    Extension(actor): Extension<Actor>,
    Sent(order): Sent<LinkOrder>,
) -> Response {
    match ask(&requests, |answer| Request::Link(order, actor, answer)).await {
        Some(Ok(report)) => Json(report).into_response(),
        Some(Err(refusal)) => refusal.into_response(),
        None => stopping(),
    }
}

/// Has an uplink get its address anew: hangs up and dials, or gives its lease back and asks for one
#[utoipa::path(
    post,
    path = "/v1/redial",
    request_body = RedialOrder,
    responses(
        (status = 200, description = "What has become of it so far", body = RedialReport),
        (status = 409, description = "Somebody was faster; `by` and `at` say who", body = Problem, content_type = "application/problem+json"),
        Wrong
    )
)]
async fn redial(
    State(requests): State<mpsc::Sender<Request>>,
    Extension(actor): Extension<Actor>,
    Sent(order): Sent<RedialOrder>,
) -> Response {
    match ask(&requests, |answer| Request::Redial(order, actor, answer)).await {
        Some(Ok(report)) => Json(report).into_response(),
        Some(Err(refusal)) => refusal.into_response(),
        None => stopping(),
    }
}

/// Gives an uplink another role by hand, or the one that the configuration gives it
#[utoipa::path(
    post,
    path = "/v1/role",
    request_body = RoleOrder,
    responses(
        (status = 200, description = "What has become of it", body = RoleReport),
        (status = 409, description = "It has not the role that `expect` says any more; `by` and `at` say who was faster", body = Problem, content_type = "application/problem+json"),
        Wrong
    )
)]
async fn role(
    State(requests): State<mpsc::Sender<Request>>,
    Extension(actor): Extension<Actor>,
    Sent(order): Sent<RoleOrder>,
) -> Response {
    match ask(&requests, |answer| Request::Role(order, actor, answer)).await {
        Some(Ok(report)) => Json(report).into_response(),
        Some(Err(refusal)) => refusal.into_response(),
        None => stopping(),
    }
}

/// Reserves a line for hosts
#[utoipa::path(
    post,
    path = "/v1/reserve",
    request_body = ReserveOrder,
    responses(
        (status = 200, description = "What has become of it", body = ReserveReport),
        Wrong
    )
)]
async fn reserve(
    State(requests): State<mpsc::Sender<Request>>,
    Extension(actor): Extension<Actor>,
    Sent(order): Sent<ReserveOrder>,
) -> Response {
    match ask(&requests, |answer| Request::Reserve(order, actor, answer)).await {
        Some(Ok(report)) => Json(report).into_response(),
        Some(Err(wrong)) => refused(StatusCode::BAD_REQUEST, &wrong),
        None => stopping(),
    }
}

/// Ends what was ordered by /v1/reserve
#[utoipa::path(
    post,
    path = "/v1/release",
    request_body = ReleaseOrder,
    responses(
        (status = 200, description = "What has become of it", body = ReleaseReport),
        Wrong
    )
)]
async fn release(
    State(requests): State<mpsc::Sender<Request>>,
    Extension(actor): Extension<Actor>,
    Sent(order): Sent<ReleaseOrder>,
) -> Response {
    match ask(&requests, |answer| Request::Release(order, actor, answer)).await {
        Some(Ok(report)) => Json(report).into_response(),
        Some(Err(wrong)) => refused(StatusCode::BAD_REQUEST, &wrong),
        None => stopping(),
    }
}

/// Reads the configuration file again and applies it
#[utoipa::path(
    post,
    path = "/v1/reload",
    responses(
        (status = 200, description = "What has changed", body = ReloadReport),
        (status = 422, description = "The file is wrong, and nothing has changed", body = Problem, content_type = "application/problem+json"),
        Wrong
    )
)]
async fn reload(State(requests): State<mpsc::Sender<Request>>, Extension(actor): Extension<Actor>) -> Response {
    match ask(&requests, |answer| Request::Reload(actor, answer)).await {
        Some(Ok(report)) => Json(report).into_response(),
        // Not the order is wrong, but the file.
        Some(Err(wrong)) => refused(StatusCode::UNPROCESSABLE_ENTITY, &wrong),
        None => stopping(),
    }
}

/// What has happened; with follow, one event a line as it happens (application/x-ndjson)
#[utoipa::path(
    get,
    path = "/v1/events",
    params(EventsQuery),
    responses(
        (status = 200, description = "The answer", body = EventsReport),
        Wrong
    )
)]
async fn events(State(history): State<History>, Question(query): Question<EventsQuery>) -> Response {
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

#[cfg(test)]
mod tests;
