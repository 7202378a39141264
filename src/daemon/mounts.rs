//! Paths of the API that companions answer: the same on the control socket and behind the page's sign-in.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;

/// What companions have added to the API so far. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Mounts(Arc<Mutex<Router>>);

impl Mounts {
    /// Nothing yet: `otherwise` answers what nobody has a path for.
    pub(super) fn new(otherwise: Router) -> Self {
        Self(Arc::new(Mutex::new(otherwise)))
    }

    /// Adds paths, which nobody has yet; no fallback.
    pub(super) fn add(&self, routes: Router) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *all = std::mem::take(&mut *all).merge(routes);
    }

    /// The answer of whoever has the path.
    pub(super) async fn answer(&self, request: Request) -> Response {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match TowerToHyperService::new(all).call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}
