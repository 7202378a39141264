//! The router's numbers of now, for Prometheus: `GET /metrics`, on a listener of its own.
//!
//! All that is told is what the router says of itself at that moment ([`Handle`]), and counts since its start; nothing is
//! remembered here. `numbers` names it. In OpenMetrics to whoever asks for that, else in the text that Prometheus has always read.
//!
//! Names follow Prometheus' rules: base units (seconds, bytes, ratios from 0 to 1), `_total` for what only grows. Whoever
//! reaches the listener sees the numbers; there is nothing to be changed by it.

mod numbers;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, info};

use self::numbers::{Format, Numbers};
use crate::daemon::{Handle, LISTEN_RETRY, listen};
use crate::sys::clock;

/// Connections at one time: a Prometheus or two, and somebody who looks.
const MOST_CONNECTIONS: usize = 8;
/// Who has not asked, or not taken the answer, by then is let go.
const LONGEST: Duration = Duration::from_secs(10);
/// Longest head of a request, in bytes.
const LONGEST_HEAD: usize = 16 * 1024;

/// Tells the numbers until it is dropped, where the configuration in force says.
#[must_use]
pub fn serve(router: Handle) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        let mut config = router.config();
        loop {
            let settings = config.borrow_and_update().metrics;
            let work = async {
                match settings {
                    Some(settings) => serve_at(settings.listen, &router).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = config.wait_for(|config| config.metrics != settings) => if changed.is_err() { return },
                () = work => {}
            }
        }
    })
}

async fn serve_at(address: SocketAddr, router: &Handle) {
    let pages = Router::new()
        .route("/metrics", get(page))
        .fallback(async || (StatusCode::NOT_FOUND, "the numbers are at /metrics\n"))
        .with_state(router.clone());
    let listener = listen(address, "numbers for Prometheus").await;
    info!(%address, "numbers are told to Prometheus");
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
                debug!(%error, "connection for the numbers not taken");
                sleep(LISTEN_RETRY).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

/// One question, one answer.
async fn talk(stream: TcpStream, pages: Router) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(LONGEST).max_buf_size(LONGEST_HEAD).keep_alive(false);
    let answered = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(pages));
    match timeout(LONGEST, answered).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "connection for the numbers ended"),
        Err(_) => debug!("connection for the numbers was too slow"),
    }
}

async fn page(State(router): State<Handle>, headers: HeaderMap) -> Response {
    let Some(status) = router.status().await else {
        return (StatusCode::SERVICE_UNAVAILABLE, "the router is stopping\n").into_response();
    };
    let accepted = headers.get(header::ACCEPT).and_then(|accepted| accepted.to_str().ok()).unwrap_or_default();
    let format = Format::accepted(accepted);
    let numbers = Numbers {
        status,
        events: router.event_counts(),
        answers: router.answer_counts(),
        flow_slots: u64::from(router.config().borrow().router.flows.get()),
        now: clock::wall().as_secs(),
    };
    match numbers.text(format) {
        Ok(text) => ([(header::CONTENT_TYPE, format.content_type())], text).into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the numbers cannot be written\n").into_response(),
    }
}
