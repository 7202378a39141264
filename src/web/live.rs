//! What happens, as it happens: a stream of server-sent events for each open page.
//!
//! A page gets the latest events at first, or those that it has missed when it was connected before; then the state of all
//! lines, at once when something has happened and else each second. That is asked for and written down once for all pages
//! ([`Live::beat`]), so many open pages ask no more of the router than one. A page reads at its own pace: nothing is kept for it here.
//! Which event it has seen last it says by `Last-Event-ID`, as browsers do by themselves, or by `?since=`.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures_util::{Stream, stream};
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::daemon::Handle;
use crate::daemon::report::EventReport;

/// How often the lines' state is told when nothing happens.
const INTERVAL: Duration = Duration::from_secs(1);
/// Events that a page is told at first, and at most at once.
const EVENTS_AT_ONCE: usize = 60;

/// The query of `GET /live`.
#[derive(Debug, Deserialize)]
pub(super) struct LiveQuery {
    /// The last event that the page has seen.
    since: Option<u64>,
}

/// What pages are told from. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Live {
    router: Handle,
    /// The lines' state, as JSON.
    state: Arc<watch::Sender<Arc<str>>>,
}

impl Live {
    pub(super) fn new(router: Handle) -> Self {
        Self { router, state: Arc::new(watch::Sender::new("".into())) }
    }

    /// Keeps the lines' state fresh while anybody looks, until the router stops.
    pub(super) async fn beat(&self) {
        let mut news = self.router.news();
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                news = news.changed() => if news.is_err() { return },
                _ = ticks.tick() => {}
            }
            if self.state.receiver_count() > 0 && self.renew().await.is_none() {
                return;
            }
        }
    }

    /// `None`: the router is stopping.
    async fn renew(&self) -> Option<()> {
        let status = self.router.status().await?;
        // A report that cannot be written would not be one.
        let text = serde_json::to_string(&status).ok()?;
        self.state.send_replace(text.into());
        Some(())
    }
}

/// `GET /live`.
pub(super) async fn stream(
    State(live): State<Live>,
    Query(query): Query<LiveQuery>,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    // From here on what comes is news.
    let (router, news, mut state) = (live.router.clone(), live.router.news(), live.state.subscribe());
    // The first who comes after a while finds an old one.
    let _stopping_is_told_below = live.renew().await;
    state.mark_changed();
    let seen = last_event(&headers).or(query.since);
    let mut page = Page { router, news, state, seen, waiting: VecDeque::new() };
    page.take_events(if page.seen.is_some() { "event" } else { "past" }).await;
    let told = stream::unfold(page, async |mut page| Some((Ok(page.next().await?), page)));
    Sse::new(told).keep_alive(KeepAlive::default())
}

/// The event that a browser says it has seen last.
pub(super) fn last_event(headers: &HeaderMap) -> Option<u64> {
    headers.get("last-event-id")?.to_str().ok()?.parse().ok()
}

/// An open page.
struct Page {
    router: Handle,
    news: watch::Receiver<u64>,
    state: watch::Receiver<Arc<str>>,
    /// The last event that it was told.
    seen: Option<u64>,
    waiting: VecDeque<Event>,
}

impl Page {
    /// The next thing to tell; `None`: the router is stopping.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            tokio::select! {
                news = self.news.changed() => {
                    news.ok()?;
                    self.take_events("event").await;
                }
                state = self.state.changed() => {
                    state.ok()?;
                    let text = Arc::clone(&self.state.borrow_and_update());
                    self.waiting.push_back(Event::default().event("status").data(text.as_ref()));
                }
            }
        }
    }

    async fn take_events(&mut self, kind: &str) {
        // Without a log there is none to tell of; the lines' state says what matters.
        let events = self.router.events(self.seen, EVENTS_AT_ONCE).await.unwrap_or_default();
        if events.len() == EVENTS_AT_ONCE && self.seen.is_some() {
            // There may be more already, of which no news will come.
            self.news.mark_changed();
        }
        self.seen = events.last().map(|event| event.id).or(self.seen).or(Some(0));
        self.waiting.extend(events.iter().filter_map(|event| message(kind, event)));
    }
}

fn message(kind: &str, event: &EventReport) -> Option<Event> {
    Event::default().event(kind).id(event.id.to_string()).json_data(event).ok()
}
