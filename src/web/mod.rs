//! The page of potatoes: every line as people see it, live, served to the LAN from the program itself.
//!
//! Theory of operation: one listener on the LAN's side, a task a connection, few of them and none for ever without a word.
//! Every request passes `guard`, which answers only to names that are the router's own and forbids the browser whatever the
//! page does not need; then it gets a file of the page (`assets`) or the stream of what happens (`live`). All that is shown
//! comes by a [`Handle`], as it does for the commands.
//!
//! It changes nothing on the router, and asks for no name: whoever is on the LAN may look.

mod assets;
mod guard;
mod live;
mod today;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware;
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use crate::config::Web;
use crate::daemon::Handle;

/// Connections at one time: a page has one open for the stream and some for a moment.
const MOST_CONNECTIONS: usize = 256;
/// Whoever connects must have asked by then.
const LONGEST_REQUEST: Duration = Duration::from_secs(10);
/// An address that is not there yet, or no more, is tried again after this.
const RETRY: Duration = Duration::from_secs(2);
/// Longest head of a request, in bytes.
const LONGEST_HEAD: usize = 16 * 1024;

/// Serves the pages until it is dropped.
#[must_use]
pub fn serve(router: Handle) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        let Some(settings) = router.config().borrow().web else { return };
        let pages = pages(router);
        loop {
            let listener = listen(&settings).await;
            info!(address = %settings.listen, "pages are served");
            accept(&listener, &pages).await;
        }
    })
}

/// Everything that can be asked for.
fn pages(router: Handle) -> Router {
    Router::new()
        .route("/live", get(live::stream))
        .merge(assets::routes())
        .fallback(async || (StatusCode::NOT_FOUND, "there is no such page; the lines are at /\n"))
        .method_not_allowed_fallback(async || (StatusCode::METHOD_NOT_ALLOWED, "pages are only read\n"))
        .layer(middleware::from_fn(guard::guard))
        .with_state(router)
}

/// Listens as soon as that is possible: the LAN may get its address later.
async fn listen(settings: &Web) -> TcpListener {
    let mut is_told = false;
    loop {
        match TcpListener::bind(settings.listen).await {
            Ok(listener) => return listener,
            Err(error) if !is_told => {
                warn!(address = %settings.listen, %error, "pages cannot be served yet; trying again");
            }
            Err(_) => {}
        }
        is_told = true;
        tokio::time::sleep(RETRY).await;
    }
}

/// Takes connections for as long as there are places.
async fn accept(listener: &TcpListener, pages: &Router) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let pages = pages.clone();
                connections.spawn(async move {
                    talk(stream, pages).await;
                    drop(place);
                });
            }
            Err(error) => {
                debug!(%error, "connection to the pages not taken");
                tokio::time::sleep(RETRY).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn talk(stream: TcpStream, pages: Router) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(LONGEST_REQUEST).max_buf_size(LONGEST_HEAD);
    if let Err(error) = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(pages)).await {
        debug!(%error, "connection to the pages ended");
    }
}
