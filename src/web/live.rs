//! What happens, as it happens: a stream of server-sent events for each open page.
//!
//! A page gets the latest events at first, or those that it has missed when it was connected before; then the state of all
//! lines, at once when something has happened and else each second. It reads at its own pace: nothing is kept for it here.
//! Which event it has seen last it says by `Last-Event-ID`, as browsers do by themselves, or by `?since=`.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures_util::{Stream, stream};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::daemon::Handle;

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

/// `GET /live`.
pub(super) async fn stream(
    State(router): State<Handle>,
    Query(query): Query<LiveQuery>,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    // From here on what comes is news.
    let news = router.news();
    let seen = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok()).or(query.since);
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut page = Page { router, news, ticks, seen, waiting: VecDeque::new() };
    page.take_events(if page.seen.is_some() { "event" } else { "past" }).await;
    let told = stream::unfold(page, async |mut page| Some((Ok(page.next().await?), page)));
    Sse::new(told).keep_alive(KeepAlive::default())
}

/// An open page.
struct Page {
    router: Handle,
    news: watch::Receiver<u64>,
    ticks: Interval,
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
                _ = self.ticks.tick() => {}
            }
            let status = self.router.status().await?;
            self.waiting.extend(message("status", None, &status));
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
        self.waiting.extend(events.iter().filter_map(|event| message(kind, Some(event.id), event)));
    }
}

fn message(kind: &str, id: Option<u64>, what: &impl Serialize) -> Option<Event> {
    let message = Event::default().event(kind).json_data(what).ok()?;
    Some(match id {
        Some(id) => message.id(id.to_string()),
        None => message,
    })
}
