//! TLS for the pages: the certificate, and who speaks something else at its port.
//!
//! A certificate that the router makes for itself is kept in `state_dir`, so that a browser which trusts it once goes on to do so;
//! its fingerprint is in the log, to be compared there. TLS 1.3 alone.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ring::digest::{SHA256, digest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig, crypto::ring::default_provider};
use tracing::{info, warn};

use crate::config::{Tls, Web};

/// Names in the state directory.
const CERTIFICATE: &str = "web-certificate.pem";
const KEY: &str = "web-key.pem";
/// What a TLS client sends first (RFC 8446 section 5.1): a record with a handshake in it.
const HANDSHAKE: u8 = 22;
/// Who speaks something else is listened to for so long before he is answered.
const SHORT: Duration = Duration::from_secs(1);

/// Why connections cannot be encrypted.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsError {
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{}: {source}; it should be PEM", path.display())]
    Pem { path: PathBuf, source: pem::Error },
    #[error("{}: there is no certificate in it", .0.display())]
    Empty(PathBuf),
    #[error("certificate and key cannot be used: {0}")]
    Refused(#[from] rustls::Error),
    #[error("no certificate can be made: {0}")]
    NotMade(#[from] rcgen::Error),
}

/// What encrypts connections, if the settings say so. Reads and writes files.
pub(super) fn acceptor(settings: &Web, state_dir: &Path) -> Result<Option<TlsAcceptor>, TlsError> {
    let (certificate, key) = match &settings.tls {
        Tls::Off => return Ok(None),
        Tls::Files { certificate, key } => (certificate.clone(), key.clone()),
        Tls::SelfSigned => (state_dir.join(CERTIFICATE), state_dir.join(KEY)),
    };
    let made = match &settings.tls {
        Tls::SelfSigned if !(certificate.exists() && key.exists()) => {
            Some(make(settings.listen.ip(), &certificate, &key)?)
        }
        _ => None,
    };
    let read = |path: &Path| fs::read(path).map_err(|source| TlsError::File { path: path.to_owned(), source });
    let (chain, secret) = match made {
        Some(pair) => pair,
        None => (read(&certificate)?, read(&key)?),
    };
    let bad = |path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::Pem { path, source }
    };
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(&chain).collect::<Result<_, _>>().map_err(bad(&certificate))?;
    let secret = PrivateKeyDer::from_pem_slice(&secret).map_err(bad(&key))?;
    let Some(first) = chain.first() else { return Err(TlsError::Empty(certificate)) };
    info!(certificate = %certificate.display(), sha256 = %fingerprint(first), "pages are encrypted");
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, secret)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}

/// Makes a certificate for `address`, and keeps it if that is possible.
fn make(address: IpAddr, certificate: &Path, key: &Path) -> Result<(Vec<u8>, Vec<u8>), TlsError> {
    let names = vec![address.to_string(), "localhost".to_owned()];
    let mut parameters = rcgen::CertificateParams::new(names)?;
    parameters.distinguished_name.push(rcgen::DnType::CommonName, "Potato router");
    let pair = rcgen::KeyPair::generate()?;
    let made = (parameters.self_signed(&pair)?.pem().into_bytes(), pair.serialize_pem().into_bytes());
    if let Err(error) = keep(key, &made.1, 0o600).and_then(|()| keep(certificate, &made.0, 0o644)) {
        warn!(%error, path = %certificate.display(), "certificate is not kept: browsers will see another one after a restart");
    }
    Ok(made)
}

/// Writes a file that is there with all of its contents or not at all.
fn keep(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
    file.write_all(contents)?;
    file.sync_all()?;
    fs::rename(&new, path)
}

/// As browsers show it.
fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let bytes = digest(&SHA256, certificate);
    bytes.as_ref().iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

/// Whether the other side begins as TLS does.
pub(super) async fn is_spoken(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    Ok(stream.peek(&mut first).await? == 1 && first[0] == HANDSHAKE)
}

/// Tells somebody who speaks plain HTTP where he is.
pub(super) async fn say_so(mut stream: TcpStream, settings: &Web) -> io::Result<()> {
    // What he has to say is read, or he would see a broken connection and no answer.
    let mut asked = [0; 4_096];
    let _nothing_more = tokio::time::timeout(SHORT, stream.read(&mut asked)).await;
    let said = format!("this is https: https://{}/\n", settings.listen);
    let head = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length:";
    stream.write_all(format!("{head} {}\r\n\r\n{said}", said.len()).as_bytes()).await?;
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::Look;

    fn settings(tls: Tls) -> Web {
        Web { listen: "192.168.10.1:8080".parse().unwrap(), look: Look::SignedIn, tls }
    }

    #[test]
    fn certificate_is_made_once_and_its_key_is_for_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let state_dir = folder.path().join("state");
        assert!(acceptor(&settings(Tls::SelfSigned), &state_dir).unwrap().is_some());
        let key = state_dir.join(KEY);
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        let first = fs::read(state_dir.join(CERTIFICATE)).unwrap();
        assert!(acceptor(&settings(Tls::SelfSigned), &state_dir).unwrap().is_some());
        assert_eq!(fs::read(state_dir.join(CERTIFICATE)).unwrap(), first);
        // The same files may be named.
        let files = Tls::Files { certificate: state_dir.join(CERTIFICATE), key };
        assert!(acceptor(&settings(files), Path::new("/nowhere")).unwrap().is_some());
        assert!(acceptor(&settings(Tls::Off), Path::new("/nowhere")).unwrap().is_none());
    }

    #[test]
    fn directory_that_cannot_be_written_has_a_certificate_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let state_dir = folder.path().join("state");
        fs::write(&state_dir, "").unwrap();
        assert!(acceptor(&settings(Tls::SelfSigned), &state_dir).unwrap().is_some());
    }

    #[test]
    fn files_that_are_none_are_told_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("a.pem"), folder.path().join("a.key"));
        let said = || {
            let files = Tls::Files { certificate: certificate.clone(), key: key.clone() };
            acceptor(&settings(files), folder.path()).err().unwrap().to_string()
        };
        assert!(said().contains("a.pem: "));
        fs::write(&certificate, "").unwrap();
        fs::write(&key, "no key").unwrap();
        assert!(said().contains("a.key"));
        make([192, 168, 10, 1].into(), &folder.path().join("b.pem"), &key).unwrap();
        assert!(said().contains("a.pem: there is no certificate in it"));
        make([192, 168, 10, 1].into(), &certificate, &folder.path().join("b.key")).unwrap();
        assert!(said().contains("cannot be used"), "the key is of another certificate");
    }
}
