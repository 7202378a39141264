//! Asking a router that runs: HTTP over the Unix socket in its run directory.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::daemon::{CONTROL_SOCKET, report::ErrorReport};

/// A router that has not answered by then will not.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// Nothing listens.
    #[error("no router is running: {} {why}; start one with `potato run --config FILE`", socket.display())]
    NotRunning { socket: PathBuf, why: &'static str },
    /// Something listens, and we may not talk to it.
    #[error("{}: this user may not talk to the router; run as root", .0.display())]
    Permission(PathBuf),
    /// The socket fails in some other way.
    #[error("{}: {source}", socket.display())]
    Socket { socket: PathBuf, source: io::Error },
    /// The router takes too long.
    #[error("the router does not answer (waited {} seconds)", LONGEST_WAIT.as_secs())]
    Silent,
    /// What came is not an answer.
    #[error("the router's answer cannot be understood: {0}; is it another version than this command?")]
    Garbled(String),
    /// The router says no.
    #[error("{0}")]
    Refused(String),
}

/// Asks for `path` at the router of `run_dir`.
pub(super) fn ask<T: DeserializeOwned>(run_dir: &Path, path: &str) -> Result<T, ClientError> {
    exchange(run_dir, Method::GET, path, Bytes::new())
}

/// Sends `order` to `path` at the router of `run_dir`.
pub(super) fn tell<T: DeserializeOwned>(run_dir: &Path, path: &str, order: &impl Serialize) -> Result<T, ClientError> {
    let body = serde_json::to_vec(order).map_err(|error| ClientError::Garbled(error.to_string()))?;
    exchange(run_dir, Method::POST, path, body.into())
}

fn exchange<T: DeserializeOwned>(run_dir: &Path, method: Method, path: &str, body: Bytes) -> Result<T, ClientError> {
    let socket = run_dir.join(CONTROL_SOCKET);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(hyper::header::HOST, "potato")
        .header(hyper::header::CONTENT_TYPE, "application/json")
        .body(Full::new(body))
        .map_err(|error| ClientError::Garbled(error.to_string()))?;
    let failed = |source| ClientError::Socket { socket: socket.clone(), source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let (status, body) = runtime
        .block_on(async { tokio::time::timeout(LONGEST_WAIT, send(&socket, request)).await })
        .map_err(|_| ClientError::Silent)??;
    let garbled = |error: serde_json::Error| ClientError::Garbled(error.to_string());
    if status == StatusCode::OK {
        serde_json::from_slice(&body).map_err(garbled)
    } else {
        let report: ErrorReport = serde_json::from_slice(&body).map_err(garbled)?;
        Err(ClientError::Refused(report.error))
    }
}

async fn send(socket: &Path, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), ClientError> {
    let stream = UnixStream::connect(socket).await.map_err(|source| not_connected(socket, source))?;
    let garbled = |error: hyper::Error| ClientError::Garbled(error.to_string());
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(garbled)?;
    let answer = async move {
        let response = sender.send_request(request).await.map_err(garbled)?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(garbled)?.to_bytes();
        Ok((status, body))
    };
    // The connection does the work for the answer, ends when that drops its sender, and tells it of errors.
    tokio::join!(answer, connection).0
}

fn not_connected(socket: &Path, source: io::Error) -> ClientError {
    let socket = socket.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound => ClientError::NotRunning { socket, why: "does not exist" },
        io::ErrorKind::ConnectionRefused => {
            ClientError::NotRunning { socket, why: "was left behind and nobody answers" }
        }
        io::ErrorKind::PermissionDenied => ClientError::Permission(socket),
        _ => ClientError::Socket { socket, source },
    }
}
