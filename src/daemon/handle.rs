//! The way by which other parts of the program ask the running router, and what runs them beside it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{error, warn};
use utoipa::openapi::OpenApi;

use super::actor::Actor;
use super::api::{Api, Request, ask};
use super::history::{Record, Start};
use super::reload_plan;
use super::report::{
    DayReport, EventReport, HostsReport, LinkOrder, LinkReport, RedialOrder, RedialReport, ReloadReport, StatusReport,
};
use crate::config::Config;
use crate::engine::HostAccount;

/// At the end companions have this long for what they want to keep.
const LONGEST_END: Duration = Duration::from_secs(2);

/// Asks the router. Clones ask the same one.
#[derive(Clone, Debug)]
pub struct Handle {
    api: Api,
    config: watch::Receiver<Arc<Config>>,
    path: Arc<PathBuf>,
}

impl Handle {
    /// Of the router whose configuration stands in the file at `path`.
    pub(super) fn new(api: Api, config: watch::Receiver<Arc<Config>>, path: &Path) -> Self {
        Self { api, config, path: Arc::new(path.to_owned()) }
    }

    /// The file that the configuration is read from.
    #[must_use]
    pub fn config_path(&self) -> &Path {
        &self.path
    }

    /// Whether `new` can take the place of the configuration in force while the router runs.
    ///
    /// # Errors
    /// Says what needs a restart.
    pub fn can_apply(&self, new: &Config) -> Result<(), String> {
        reload_plan::plan(&self.config.borrow(), new).map(drop).map_err(|error| error.to_string())
    }

    /// Has the configuration's file read again and applied; `None`: the router is stopping. The error says what is wrong.
    pub async fn reload(&self, actor: Actor) -> Option<Result<ReloadReport, String>> {
        ask(&self.api.requests, |answer| Request::Reload(actor, answer)).await
    }

    /// Keeps an event, if that is possible. Does not wait.
    pub fn record(&self, event: Record) {
        self.api.history.record(event);
    }

    /// The configuration that is in force; it changes when another one is applied.
    #[must_use]
    pub fn config(&self) -> watch::Receiver<Arc<Config>> {
        self.config.clone()
    }

    /// How the router is; `None`: it is stopping.
    pub async fn status(&self) -> Option<StatusReport> {
        ask(&self.api.requests, Request::Status).await
    }

    /// Who has how much, and how fast; `None`: the router is stopping.
    pub async fn hosts(&self) -> Option<HostsReport> {
        self.api.hosts().await
    }

    /// What the accounts of all hosts have come to; `None`: the router is stopping.
    pub async fn accounts(&self) -> Option<Vec<HostAccount>> {
        ask(&self.api.requests, Request::Accounts).await
    }

    /// Orders a line up or down; `None`: the router is stopping.
    pub async fn order_link(&self, order: LinkOrder, actor: Actor) -> Option<Result<LinkReport, String>> {
        let answered = ask(&self.api.requests, |answer| Request::Link(order, actor, answer)).await?;
        Some(answered.map_err(|refusal| refusal.to_string()))
    }

    /// Has a line redialled; `None`: the router is stopping.
    pub async fn order_redial(&self, order: RedialOrder, actor: Actor) -> Option<Result<RedialReport, String>> {
        let answered = ask(&self.api.requests, |answer| Request::Redial(order, actor, answer)).await?;
        Some(answered.map_err(|refusal| refusal.to_string()))
    }

    /// Up to `limit` events, in their order: those after the one with the number `since`, or the newest ones.
    ///
    /// # Errors
    /// When there is no log to read, says why.
    pub async fn events(&self, since: Option<u64>, limit: usize) -> Result<Vec<EventReport>, String> {
        self.api.history.read(since.map_or(Start::Newest, Start::After), limit).await
    }

    /// Changes whenever there is a new event; ends with the router.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<u64> {
        self.api.history.news()
    }

    /// Events since the start by what they are of, those that could not be kept among them.
    #[must_use]
    pub fn event_counts(&self) -> BTreeMap<&'static str, u64> {
        self.api.history.counts()
    }

    /// Answers of the API since the start, by path and HTTP status.
    #[must_use]
    pub fn answer_counts(&self) -> BTreeMap<(String, u16), u64> {
        self.api.additions.answers()
    }

    /// All that can be asked and ordered, as on the control socket. Requests must have an [`Actor`] among their extensions.
    pub fn api(&self) -> Router {
        self.api_beside(OpenApi::default())
    }

    /// The same, where other paths are served beside these: its document has what `beside` says of them, too.
    pub fn api_beside(&self, beside: OpenApi) -> Router {
        self.api.routes(beside)
    }

    /// Adds paths to what can be asked, here and on the control socket, and to the document that describes them. Nobody else may
    /// have these paths.
    pub fn add_paths(&self, routes: &Router, document: &OpenApi) {
        self.api.additions.add_paths(routes, document);
    }

    /// Tells what hosts have used today, in place of what was told before: `GET /v1/hosts` says so.
    pub fn tell_today(&self, hosts: BTreeMap<Ipv4Addr, DayReport>) {
        self.api.additions.tell_today(hosts);
    }
}

/// Something that runs beside the router for people, as long as that does: dropped, it stops.
pub type Companion = fn(Handle) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// Companions at work, on a thread of their own, so that none of them ever keeps the loop from a line.
#[derive(Debug)]
pub(super) struct Companions {
    /// Dropped, it ends the thread's work.
    stop: oneshot::Sender<()>,
    /// Told when that has ended.
    ended: oneshot::Receiver<()>,
}

impl Companions {
    /// Starts them.
    pub(super) fn start(companions: &'static [Companion], handle: &Handle) -> std::io::Result<Self> {
        let (stop, stopped) = oneshot::channel::<()>();
        let (end, ended) = oneshot::channel();
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
            // Ends the companions. Whoever computes for longer than this is not waited for.
            runtime.shutdown_background();
            // Nobody may wait for it.
            let _ = end.send(());
        };
        std::thread::Builder::new().name("potato-people".to_owned()).spawn(run)?;
        Ok(Self { stop, ended })
    }

    /// Stops them, and waits until they have kept what they want to keep; not for ever.
    pub(super) async fn finish(self) {
        drop(self.stop);
        if timeout(LONGEST_END, self.ended).await.is_err() {
            warn!("what runs beside the router has not ended in time");
        }
    }
}
