//! Notifications: people are told what happens to the lines, by webhook, Slack, ntfy, Matrix, mail and XMPP.
//!
//! Theory of operation: a companion of the router follows the event log by the events' ids. A pure core (`desk`) makes messages
//! of events and time: `lines` knows how the lines are, a `teller` for each channel what its people believe and when the difference
//! is due, an `outbox` what waits to be sent. `work` is its shell: it reads clocks, keeps what the core knows on disk (`store`)
//! before anything leaves, and has messages sent (`send`, `xmpp`), each by a task of its own. A server that is down, a disk that is
//! full or a peer that talks nonsense costs notifications, and nothing else.
//!
//! What it does not do: it takes no part in the packets' way, and asks nothing of the loop but its status.

mod api;
mod connection;
mod desk;
mod lines;
mod note;
mod outbox;
pub mod report;
mod said;
mod send;
mod store;
mod teller;
mod work;
mod xmpp;

use std::pin::Pin;

use crate::daemon::Handle;

/// Tells people what happens, until it is dropped.
#[must_use]
pub fn serve(router: Handle) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(work::run(router))
}
