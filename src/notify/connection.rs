//! Connections to servers: TCP, and TLS where it belongs, with certificates that are checked.
//!
//! The router's own connections go out by the kernel's route through the TUN device and get a line as any host's do: one that
//! works.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use super::outbox::SendError;
use crate::config::{Security, Server};

/// How long a connection may take.
const LONGEST_CONNECT: Duration = Duration::from_secs(10);

/// Bytes both ways.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for S {}

/// Connects to a server; with TLS, if it comes first there.
pub(super) async fn connect(server: &Server) -> Result<Box<dyn Stream>, SendError> {
    let plain = within(LONGEST_CONNECT, "connect", TcpStream::connect((server.host.as_str(), server.port))).await;
    let plain = plain.map_err(|error| failed(server, &error))?;
    // A message is short, and is not to wait for more.
    let _slower_otherwise = plain.set_nodelay(true);
    match server.security {
        Security::Tls => secure(server, &server.host, Box::new(plain)).await,
        Security::StartTls | Security::Off => Ok(Box::new(plain)),
    }
}

/// Begins TLS on a connection to somebody who has a certificate for `name`.
pub(super) async fn secure(server: &Server, name: &str, plain: Box<dyn Stream>) -> Result<Box<dyn Stream>, SendError> {
    let ca_file = server.ca_file.clone();
    // Hundreds of certificates are read.
    let settings = tokio::task::spawn_blocking(move || settings(ca_file.as_deref())).await;
    let settings = settings.map_err(SendError::later)?.map_err(SendError::later)?;
    let bad_name = |_| SendError::later(format!("{name} cannot be the name in a certificate"));
    let name = ServerName::try_from(name.to_owned()).map_err(bad_name)?;
    let secured = TlsConnector::from(Arc::new(settings)).connect(name, plain);
    let secured = within(LONGEST_CONNECT, "begin TLS", secured).await.map_err(|error| failed(server, &error))?;
    Ok(Box::new(secured))
}

/// Whom we believe: the authorities in `ca_file`, or those of the system.
fn settings(ca_file: Option<&Path>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            let unreadable = |error| format!("{}: {error}", path.display());
            for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
                let certificate = certificate.map_err(unreadable)?;
                roots.add(certificate).map_err(|error| format!("{}: {error}", path.display()))?;
            }
        }
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    if roots.is_empty() {
        return Err(
            "this machine knows no authority for certificates: install ca-certificates, or name a ca_file".to_owned()
        );
    }
    let provider = Arc::new(crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

async fn within<T>(span: Duration, what: &str, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, format!("took more than {} s to {what}", span.as_secs()));
    tokio::time::timeout(span, work).await.map_err(late)?
}

fn failed(server: &Server, error: &io::Error) -> SendError {
    SendError::later(format!("{} port {}: {error}", server.host, server.port))
}
