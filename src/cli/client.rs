//! Asking a router that runs: HTTP over the Unix socket in its run directory.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{Connection, SendRequest};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::daemon::{CONTROL_SOCKET, report::Problem};

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
    /// It has stopped while we listened.
    #[error("the router has stopped")]
    Stopped,
    /// The router says that its configuration file is wrong.
    #[error("{0}")]
    WrongFile(String),
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

/// Listens to `path` at the router of `run_dir`: gives each line that comes to `hear`, until that has an error.
/// A router that stops is one.
pub(super) fn listen<E: From<ClientError>>(
    run_dir: &Path,
    path: &str,
    mut hear: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let socket = run_dir.join(CONTROL_SOCKET);
    let request = request(Method::GET, path, Bytes::new())?;
    let failed = |source| ClientError::Socket { socket: socket.clone(), source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(async {
        let (mut sender, connection) = connect(&socket).await?;
        let heard = async {
            let response = tokio::time::timeout(LONGEST_WAIT, sender.send_request(request)).await;
            let response = response.map_err(|_| ClientError::Silent)?.map_err(garbled)?;
            if response.status() != StatusCode::OK {
                let body = response.into_body().collect().await.map_err(garbled)?.to_bytes();
                return Err(refusal(StatusCode::BAD_REQUEST, &body).into());
            }
            let (mut body, mut lines) = (response.into_body(), Lines::default());
            // An end in the middle is an end: the router went without a word.
            while let Some(Ok(frame)) = body.frame().await {
                for line in lines.feed(frame.data_ref().map_or(&[], |data| &data[..])) {
                    hear(&line)?;
                }
            }
            Err(ClientError::Stopped.into())
        };
        // First to end is the answer: what becomes of the connection then is of no interest.
        tokio::select! {
            biased;
            heard = heard => heard,
            () = async { drop(connection.await); std::future::pending().await } => Ok(()),
        }
    })
}

/// Cuts what comes into lines.
#[derive(Debug, Default)]
struct Lines {
    /// The start of a line whose end has not come.
    begun: Vec<u8>,
}

impl Lines {
    fn feed(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            match piece.split_last() {
                Some((b'\n', rest)) => {
                    self.begun.extend_from_slice(rest);
                    lines.push(std::mem::take(&mut self.begun));
                }
                _ => self.begun.extend_from_slice(piece),
            }
        }
        lines
    }
}

fn request(method: Method, path: &str, body: Bytes) -> Result<Request<Full<Bytes>>, ClientError> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(hyper::header::HOST, "potato")
        .header(hyper::header::CONTENT_TYPE, "application/json")
        .body(Full::new(body))
        .map_err(|error| ClientError::Garbled(error.to_string()))
}

fn exchange<T: DeserializeOwned>(run_dir: &Path, method: Method, path: &str, body: Bytes) -> Result<T, ClientError> {
    let socket = run_dir.join(CONTROL_SOCKET);
    let request = request(method, path, body)?;
    let failed = |source| ClientError::Socket { socket: socket.clone(), source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let (status, body) = runtime
        .block_on(async { tokio::time::timeout(LONGEST_WAIT, send(&socket, request)).await })
        .map_err(|_| ClientError::Silent)??;
    if status.is_success() { serde_json::from_slice(&body).map_err(garbled) } else { Err(refusal(status, &body)) }
}

fn refusal(status: StatusCode, body: &[u8]) -> ClientError {
    let why = |problem: Problem| match status {
        StatusCode::UNPROCESSABLE_ENTITY => ClientError::WrongFile(problem.detail),
        _ => ClientError::Refused(problem.detail),
    };
    serde_json::from_slice(body).map_or_else(garbled, why)
}

fn garbled(error: impl std::fmt::Display) -> ClientError {
    ClientError::Garbled(error.to_string())
}

async fn send(socket: &Path, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), ClientError> {
    let (mut sender, connection) = connect(socket).await?;
    let answer = async move {
        let response = sender.send_request(request).await.map_err(garbled)?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(garbled)?.to_bytes();
        Ok((status, body))
    };
    // The connection does the work for the answer, ends when that drops its sender, and tells it of errors.
    tokio::join!(answer, connection).0
}

async fn connect(
    socket: &Path,
) -> Result<(SendRequest<Full<Bytes>>, Connection<TokioIo<UnixStream>, Full<Bytes>>), ClientError> {
    let stream = UnixStream::connect(socket).await.map_err(|source| not_connected(socket, source))?;
    hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(garbled)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_however_they_come() {
        let mut lines = Lines::default();
        assert_eq!(lines.feed(b"on"), Vec::<Vec<u8>>::new());
        assert_eq!(lines.feed(b"e\ntwo\n\nthr"), [&b"one"[..], b"two", b""]);
        assert_eq!(lines.feed(b"ee\n"), [b"three"]);
    }
}
