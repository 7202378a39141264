//! The way by which other parts of the program ask the running router, and what runs them beside it.

use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::error;

use super::actor::Actor;
use super::api::{self, Request, ask};
use super::history::{History, Start};
use super::mounts::Mounts;
use super::report::{EventReport, HostsReport, LinkOrder, LinkReport, StatusReport};
use crate::config::Config;

/// Asks the router. Clones ask the same one.
#[derive(Clone, Debug)]
pub struct Handle {
    requests: mpsc::Sender<Request>,
    history: History,
    config: watch::Receiver<Arc<Config>>,
    mounts: Mounts,
}

impl Handle {
    pub(super) fn new(
        requests: mpsc::Sender<Request>,
        history: History,
        config: watch::Receiver<Arc<Config>>,
        mounts: Mounts,
    ) -> Self {
        Self { requests, history, config, mounts }
    }

    /// The configuration that is in force; it changes when another one is applied.
    #[must_use]
    pub fn config(&self) -> watch::Receiver<Arc<Config>> {
        self.config.clone()
    }

    /// How the router is; `None`: it is stopping.
    pub async fn status(&self) -> Option<StatusReport> {
        ask(&self.requests, Request::Status).await
    }

    /// Who has how much, and how fast; `None`: the router is stopping.
    pub async fn hosts(&self) -> Option<HostsReport> {
        ask(&self.requests, Request::Hosts).await
    }

    /// Orders a line up or down; `None`: the router is stopping.
    pub async fn order_link(&self, order: LinkOrder, actor: Actor) -> Option<Result<LinkReport, String>> {
        ask(&self.requests, |answer| Request::Link(order, actor, answer)).await
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

    /// All that can be asked and ordered, as on the control socket. Requests must have an [`Actor`] among their extensions.
    pub fn api(&self) -> Router {
        api::routes(self.requests.clone(), self.history.clone(), self.mounts.clone())
    }

    /// Adds paths to [`Self::api`], and to the control socket: paths that nobody has yet, and no fallback.
    pub fn add_to_api(&self, routes: Router) {
        self.mounts.add(routes);
    }
}

/// Something that runs beside the router for people, as long as that does: dropped, it stops.
pub type Companion = fn(Handle) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// Companions at work, on a thread of their own, so that none of them ever keeps the loop from a line.
#[derive(Debug)]
pub(super) struct Companions {
    /// Dropped, it ends the thread's work.
    _stop: tokio::sync::oneshot::Sender<()>,
}

impl Companions {
    /// Starts them.
    pub(super) fn start(companions: &'static [Companion], handle: &Handle) -> std::io::Result<Self> {
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = handle.clone();
        let work = async move {
            let mut all: JoinSet<()> = companions.iter().map(|companion| companion(handle.clone())).collect();
            let watch = async {
                while let Some(ended) = all.join_next().await {
                    if let Err(error) = ended {
                        error!(%error, "a part of the router for people has failed; packets are carried all the same");
                    }
                }
                std::future::pending::<()>().await;
            };
            tokio::select! { _ = stopped => {} () = watch => {} }
        };
        let run = move || {
            runtime.block_on(work);
            // Whoever computes for longer than this is not waited for.
            runtime.shutdown_background();
        };
        std::thread::Builder::new().name("potato-people".to_owned()).spawn(run)?;
        Ok(Self { _stop: stop })
    }
}
