//! Answers that go on: they end when whoever listens may not any more, and tell an open page who is here.

use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::response::Response;
use futures_util::{StreamExt, stream};
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::company::Present;
use super::door::{Door, now};
use super::people::Use;
use super::visitor::{Proof, Visitor};
use crate::config::Look;

/// How often it is asked whether a session has ended by itself, or by `potato user`.
const INTERVAL: Duration = Duration::from_secs(15);

/// What goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The stream of an open page: server-sent events.
    Page,
    /// An event a line.
    Lines,
}

/// Goes on with what `response` says for as long as `visitor` may hear it.
pub(super) fn accompany(response: Response, door: Door, visitor: Option<Visitor>, kind: Kind) -> Response {
    let (head, body) = response.into_parts();
    let present = match (kind, &visitor) {
        (Kind::Page, Some(visitor)) => Some(door.company().enter(visitor.shown())),
        _ => None,
    };
    let mut company = door.company().watch();
    company.mark_changed();
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let changes = door.changes();
    let body = Some(body.into_data_stream());
    let listener = Listener { body, door, visitor, kind, company, changes, ticks, _present: present };
    let told = stream::unfold(listener, async |mut listener| Some((listener.next().await?, listener)));
    Response::from_parts(head, Body::from_stream(told))
}

/// Somebody who listens.
struct Listener {
    /// What he hears; `None`: he has heard the last.
    body: Option<BodyDataStream>,
    door: Door,
    visitor: Option<Visitor>,
    kind: Kind,
    company: watch::Receiver<std::collections::BTreeMap<std::sync::Arc<str>, usize>>,
    changes: watch::Receiver<()>,
    ticks: Interval,
    _present: Option<Present>,
}

impl Listener {
    /// What he hears next. Each piece of the body is a whole event: others may stand between them.
    async fn next(&mut self) -> Option<Result<Bytes, axum::Error>> {
        loop {
            let body = self.body.as_mut()?;
            tokio::select! {
                piece = body.next() => return piece,
                Ok(()) = self.company.changed(), if self.kind == Kind::Page => return Some(Ok(self.people())),
                Ok(()) = self.changes.changed() => {}
                _ = self.ticks.tick() => {}
            }
            if !may_go_on(self.door.clone(), self.visitor.clone()).await {
                self.body = None;
                let farewell = Bytes::from_static(b"event: session\ndata: {\"expired\":true}\n\n");
                return (self.kind == Kind::Page).then_some(Ok(farewell));
            }
        }
    }

    fn people(&mut self) -> Bytes {
        let names: Vec<String> = self.company.borrow_and_update().keys().map(ToString::to_string).collect();
        format!("event: people\ndata: {}\n\n", serde_json::json!({ "signed_in": names })).into()
    }
}

/// Whether he may still listen. While that cannot be asked, he may.
async fn may_go_on(door: Door, visitor: Option<Visitor>) -> bool {
    let Some(Visitor { proof, .. }) = visitor else { return door.look() == Look::Anyone };
    let asked = door.people(move |store| match proof {
        Proof::Session(digest) => store.session(&digest, now(), Use::Looks),
        Proof::Token(digest) => store.token(&digest, now()),
    });
    asked.await.map_or(true, |holder| holder.is_some())
}
