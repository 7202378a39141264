//! What other parts of the program add to the API: their paths, with their part of the document, and their numbers.
//!
//! The router knows nothing of those parts. So they hand in what they have, and the API asks there for whatever it does not
//! know itself, on the control socket and behind the page's sign-in alike.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use axum::Router;
use utoipa::openapi::OpenApi;

use super::report::DayReport;

/// Paths that were added, and what describes them.
#[derive(Clone, Default)]
struct Paths {
    routes: Router,
    document: OpenApi,
}

impl fmt::Debug for Paths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Paths").field("routes", &self.routes).finish_non_exhaustive()
    }
}

/// All that was added. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Additions {
    paths: Arc<ArcSwap<Paths>>,
    today: Arc<ArcSwap<BTreeMap<Ipv4Addr, DayReport>>>,
    answers: Arc<Mutex<BTreeMap<(String, u16), u64>>>,
}

impl Additions {
    /// Adds paths that nobody else has.
    pub(super) fn add_paths(&self, routes: &Router, document: &OpenApi) {
        self.paths.rcu(|paths| Paths {
            routes: paths.routes.clone().merge(routes.clone()),
            document: paths.document.clone().merge_from(document.clone()),
        });
    }

    /// The paths that were added.
    pub(super) fn routes(&self) -> Router {
        self.paths.load().routes.clone()
    }

    /// What describes them.
    pub(super) fn document(&self) -> OpenApi {
        self.paths.load().document.clone()
    }

    /// Tells what hosts have used today, in place of what was told before.
    pub(super) fn tell_today(&self, hosts: BTreeMap<Ipv4Addr, DayReport>) {
        self.today.store(Arc::new(hosts));
    }

    /// What a host has used today.
    pub(super) fn today_of(&self, host: Ipv4Addr) -> Option<DayReport> {
        self.today.load().get(&host).copied()
    }

    /// Counts an answer to a question for `path`.
    pub(super) fn count_answer(&self, path: &str, status: u16) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        *answers.entry((path.to_owned(), status)).or_default() += 1;
    }

    /// Answers so far, by path and status.
    pub(super) fn answers(&self) -> BTreeMap<(String, u16), u64> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
