//! The way by which other parts of the program ask the running router: what the pages show comes by it.

use std::pin::Pin;

use tokio::sync::{mpsc, watch};

use super::control::{Request, ask};
use super::history::{History, Start};
use super::report::{EventReport, StatusReport};
use crate::config::Web;

/// Asks the router. Clones ask the same one.
#[derive(Clone, Debug)]
pub struct Handle {
    requests: mpsc::Sender<Request>,
    history: History,
}

impl Handle {
    pub(super) fn new(requests: mpsc::Sender<Request>, history: History) -> Self {
        Self { requests, history }
    }

    /// How the router is; `None`: it is stopping.
    pub async fn status(&self) -> Option<StatusReport> {
        ask(&self.requests, Request::Status).await
    }

    /// Up to `limit` events, in their order: those after the one with the number `since`, or the newest ones.
    ///
    /// # Errors
    /// When there is no log to read, says why.
    pub async fn events(&self, since: Option<u64>, limit: usize) -> Result<Vec<EventReport>, String> {
        self.history.read(since.map_or(Start::Newest, Start::After), limit).await
    }

    /// Changes whenever there is a new event; ends with the router.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<u64> {
        self.history.news()
    }
}

/// What serves the pages, for as long as the router runs: dropped, it stops.
pub type PageServer = fn(Web, Handle) -> Pin<Box<dyn Future<Output = ()> + Send>>;
