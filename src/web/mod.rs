//! The page of potatoes: every line as people see it, live, served to the LAN from the program itself; and all that can be asked
//! and ordered, for those who have signed in.
//!
//! Theory of operation: one listener on the LAN's side, a task a connection, few of them and none for ever without a word.
//! Every request passes `guard`, which answers only to names that are the router's own and forbids the browser whatever the
//! page does not need, and `access`, which knows who asks and what that needs. Then it gets a file of the page (`assets`), the
//! stream of what happens (`live`), something about users (`sign_in`, `users`) or the configuration (`settings`), or an
//! answer of the router's own ([`Handle::api`]), the same as on the control socket.
//!
//! Who may do what is in a file ([`people`]); passwords, certificates and that file are worked on beside this thread.

mod access;
mod assets;
mod company;
mod connection;
mod cookie;
mod door;
mod guard;
mod live;
mod needs;
mod origin;
pub mod people;
#[cfg(test)]
mod properties;
mod quota;
mod settings;
mod sign_in;
mod stream;
mod throttle;
mod tls;
mod users;
mod visitor;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{any_service, get};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, info, warn};
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;

use self::connection::{Patient, Peer, Transport};
use self::door::Door;
use self::live::Live;
use crate::config::{Config, Tls, Web};
use crate::daemon::{Handle, LISTEN_RETRY, listen, refused};

/// Connections at one time: a page has one open for the stream and some for a moment.
const MOST_CONNECTIONS: usize = 256;
/// Connections of one address at one time.
const MOST_OF_ONE: usize = 64;
/// Whoever connects must have asked by then.
const LONGEST_REQUEST: Duration = Duration::from_secs(10);
/// Longest head of a request, in bytes.
const LONGEST_HEAD: usize = 16 * 1024;

/// Serves the pages until it is dropped.
#[must_use]
pub fn serve(router: Handle) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        let mut config = router.config();
        let (settings, state_dir) = {
            let config = config.borrow_and_update();
            let Some(settings) = config.web.clone() else { return };
            (settings, config.router.state_dir.clone())
        };
        let door = Door::new(router.clone());
        door.prepare();
        let listener = listen(settings.listen, "pages").await;
        info!(address = %settings.listen, "pages are served");
        door.print_claim_code(&url(&settings)).await;
        let live = Live::new(router.clone());
        let pages = pages(&router, door.clone(), live.clone());
        let mut server = Server { settings, state_dir, config, tls: None, pages };
        tokio::join!(server.accept(&listener), door.hear_words(), live.beat());
    })
}

/// Where the page is.
fn url(settings: &Web) -> String {
    let scheme = if settings.tls == Tls::Off { Transport::Plain } else { Transport::Tls }.scheme();
    format!("{scheme}://{}/", settings.listen)
}

/// Everything that can be asked for.
fn pages(router: &Handle, door: Door, live: Live) -> Router {
    let people = sign_in::routes().merge(users::routes()).merge(settings::routes()).with_state(door.clone());
    Router::new()
        .route("/live", get(live::stream))
        .with_state(live)
        .merge(assets::routes())
        .route("/v1/{*rest}", any_service(router.api_beside(document())))
        .merge(people)
        .fallback(async || (StatusCode::NOT_FOUND, "there is no such page; the lines are at /\n"))
        .method_not_allowed_fallback(not_so)
        .layer(middleware::from_fn_with_state(door, access::check))
        .layer(middleware::from_fn(guard::guard))
}

/// What describes the paths that are served here alone.
fn document() -> OpenApi {
    let parts = [sign_in::Document::openapi(), users::Document::openapi(), settings::Document::openapi()];
    parts.into_iter().fold(OpenApi::default(), OpenApi::merge_from)
}

async fn not_so(request: Request) -> Response {
    if request.uri().path().starts_with("/v1/") {
        let wrong = format!("{} is not for {}", request.uri().path(), request.method());
        return refused(StatusCode::METHOD_NOT_ALLOWED, &wrong);
    }
    (StatusCode::METHOD_NOT_ALLOWED, "pages are only read\n").into_response()
}

/// Who answers.
struct Server {
    settings: Web,
    state_dir: PathBuf,
    config: watch::Receiver<Arc<Config>>,
    /// `None`: connections are plain.
    tls: Option<TlsAcceptor>,
    pages: Router,
}

impl Server {
    /// Takes connections for as long as there are places.
    async fn accept(&mut self, listener: &TcpListener) {
        self.take_certificate().await;
        let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        let mut connections = JoinSet::new();
        let mut addresses: HashMap<tokio::task::Id, IpAddr> = HashMap::new();
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let (stream, from) = match self.next(listener).await {
                Ok(accepted) => accepted,
                Err(error) => {
                    debug!(%error, "connection to the pages not taken");
                    tokio::time::sleep(LISTEN_RETRY).await;
                    continue;
                }
            };
            while let Some(ended) = connections.try_join_next_with_id() {
                addresses.remove(&ended.map_or_else(|error| error.id(), |(id, ())| id));
            }
            let from = from.ip().to_canonical();
            if addresses.values().filter(|address| **address == from).count() >= MOST_OF_ONE {
                debug!(%from, "connection to the pages not taken: this address has many");
                continue;
            }
            let talk = talk(stream, from, self.tls.clone(), self.settings.clone(), self.pages.clone());
            let task = connections.spawn(async move {
                talk.await;
                drop(place);
            });
            addresses.insert(task.id(), from);
        }
    }

    /// The next connection. When another configuration is applied, the certificate is read again before: it may be another one.
    async fn next(&mut self, listener: &TcpListener) -> std::io::Result<(TcpStream, SocketAddr)> {
        loop {
            tokio::select! {
                accepted = listener.accept() => return accepted,
                Ok(()) = self.config.changed() => {
                    self.config.mark_unchanged();
                    self.take_certificate().await;
                }
            }
        }
    }

    /// Reads the certificate. One that was good stays until the next one is; without any, nobody is answered.
    async fn take_certificate(&mut self) {
        let mut is_told = false;
        loop {
            let (settings, state_dir) = (self.settings.clone(), self.state_dir.clone());
            let read = spawn_blocking(move || tls::acceptor(&settings, &state_dir));
            match read.await {
                Ok(Ok(tls)) => {
                    self.tls = tls;
                    return;
                }
                Ok(Err(error)) if !is_told => warn!(%error, "pages cannot be encrypted with this certificate"),
                Ok(Err(_)) | Err(_) => {}
            }
            if self.tls.is_some() {
                return;
            }
            is_told = true;
            tokio::time::sleep(LISTEN_RETRY).await;
        }
    }
}

async fn talk(stream: TcpStream, from: IpAddr, tls: Option<TlsAcceptor>, settings: Web, pages: Router) {
    let Some(tls) = tls else {
        return converse(stream, Peer { from, transport: Transport::Plain }, pages).await;
    };
    let opened = tokio::time::timeout(LONGEST_REQUEST, async {
        if !tls::is_spoken(&stream).await? {
            tls::say_so(stream, &settings).await?;
            return Ok(None);
        }
        tls.accept(stream).await.map(Some)
    });
    match opened.await {
        Ok(Ok(Some(stream))) => converse(stream, Peer { from, transport: Transport::Tls }, pages).await,
        Ok(Ok(None)) | Err(_) => {}
        Ok(Err(error)) => debug!(%error, %from, "connection to the pages not opened"),
    }
}

async fn converse<S>(stream: S, peer: Peer, pages: Router)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let pages = TowerToHyperService::new(pages);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        pages.call(request)
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(LONGEST_REQUEST).max_buf_size(LONGEST_HEAD);
    if let Err(error) = http.serve_connection(TokioIo::new(Patient::new(stream)), service).await {
        debug!(%error, "connection to the pages ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_are_served_here_alone_are_described_with_all_that_they_speak_of() {
        let document = serde_json::to_value(document()).unwrap();
        let paths = document["paths"].as_object().unwrap();
        let operations = paths
            .iter()
            .flat_map(|(path, item)| item.as_object().unwrap().keys().map(move |method| format!("{method} {path}")));
        let mut operations: Vec<_> = operations.collect();
        operations.sort();
        let expected = [
            "delete /v1/session",
            "delete /v1/sessions",
            "delete /v1/tokens/{id}",
            "delete /v1/users/{name}",
            "get /v1/config",
            "get /v1/session",
            "get /v1/tokens",
            "get /v1/users",
            "get /v1/welcome",
            "post /v1/claim",
            "post /v1/config",
            "post /v1/config/check",
            "post /v1/password",
            "post /v1/session",
            "post /v1/tokens",
            "post /v1/users",
            "post /v1/users/{name}",
        ];
        assert_eq!(operations, expected);
        let text = document.to_string();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let spoken_of = text.split("#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next());
        for schema in spoken_of {
            // Problems are described with the paths of the daemon.
            assert!(schemas.contains_key(schema) || schema == "Problem", "{schema}");
        }
    }
}
