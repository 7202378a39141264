//! From a connection to a bot that is logged in (RFC 6120 sections 5 to 7): TLS, the password, a resource.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::io::{AsyncWriteExt, BufReader};

use super::challenge::ScramError;
use super::element::{Element, escaped};
use super::reader::{Elements, ReadError};
use super::scram::{Answer, Hash, Scram};
use crate::config::{Security, Xmpp};
use crate::notify::connection::{Stream, connect, secure};
use crate::notify::outbox::SendError;
use crate::notify::said::fit_to_show;

/// A connection whose bytes are read ahead.
pub(super) type Connection = BufReader<Box<dyn Stream>>;

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoginError {
    #[error("{0}")]
    Connect(#[from] SendError),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Read(#[from] ReadError),
    #[error("{0}")]
    Scram(#[from] ScramError),
    #[error("the server does not offer TLS; `tls = \"off\"` is for a server on the LAN")]
    NoTls,
    #[error("the server speaks before TLS has begun: somebody stands between")]
    Injected,
    #[error("the server offers no way to log in that keeps the password from others: {0}")]
    NoMechanism(String),
    #[error("{step}: the server says {said}")]
    Refused { step: &'static str, said: String },
}

/// Somebody who is logged in.
pub(super) struct Session {
    pub(super) elements: Elements<Connection>,
    /// Our full address, as the server has given it.
    pub(super) jid: String,
}

/// Connects and logs in. A session of an earlier connection with the same `resource`, which the server may still hold for alive, is
/// ended by that.
pub(super) async fn log_in(settings: &Xmpp, resource: &str) -> Result<Session, LoginError> {
    let stream = BufReader::new(connect(&settings.server).await?);
    let (mut elements, mut features) = open(stream, settings).await?;
    if settings.server.security == Security::StartTls {
        let stream = start_tls(elements, &features, settings).await?;
        (elements, features) = open(stream, settings).await?;
    }
    authenticate(&mut elements, &features, settings).await?;
    // RFC 6120 section 6.4.6: a new stream on the same connection.
    let (mut elements, features) = open(elements.into_source(), settings).await?;
    let jid = bind(&mut elements, &features, resource).await?;
    Ok(Session { elements, jid })
}

/// Opens a stream, and gives what the server offers on it.
async fn open(mut stream: Connection, settings: &Xmpp) -> Result<(Elements<Connection>, Element), LoginError> {
    let head = format!(
        "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' \
         version='1.0' to='{}'>",
        escaped(&settings.domain)
    );
    stream.write_all(head.as_bytes()).await?;
    stream.flush().await?;
    let mut elements = Elements::new(stream);
    elements.open().await?;
    let features = elements.next().await?;
    match features.name.as_str() {
        "features" => Ok((elements, features)),
        _ => Err(refused("stream", &features)),
    }
}

async fn start_tls(
    mut elements: Elements<Connection>,
    features: &Element,
    settings: &Xmpp,
) -> Result<Connection, LoginError> {
    if features.child("starttls").is_none() {
        return Err(LoginError::NoTls);
    }
    send(&mut elements, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>").await?;
    let answer = elements.next().await?;
    if answer.name != "proceed" {
        return Err(refused("TLS", &answer));
    }
    if elements.has_more().await {
        return Err(LoginError::Injected);
    }
    let plain = elements.into_source().into_inner();
    Ok(BufReader::new(secure(&settings.server, &settings.domain, plain).await?))
}

/// How to show that we know the password.
enum Mechanism {
    Scram(Hash),
    Plain,
}

async fn authenticate(
    elements: &mut Elements<Connection>,
    features: &Element,
    settings: &Xmpp,
) -> Result<(), LoginError> {
    match mechanism(features, settings.server.security)? {
        Mechanism::Plain => {
            let message = [b"\0", settings.user.as_bytes(), b"\0", settings.password.reveal()].concat();
            send(elements, &auth("PLAIN", &BASE64.encode(message))).await?;
            success(elements).await.map(drop)
        }
        Mechanism::Scram(hash) => {
            let scram = Scram::new(hash, &settings.user, &nonce());
            send(elements, &auth(hash.mechanism(), &BASE64.encode(scram.first()))).await?;
            let challenge = elements.next().await?;
            if challenge.name != "challenge" {
                return Err(refused("login", &challenge));
            }
            let password = settings.password.clone();
            let challenge = decoded(&challenge)?;
            // Thousands of rounds of hashing.
            let answer = tokio::task::spawn_blocking(move || scram.answer(password.reveal(), &challenge)).await;
            let answer: Answer = answer.map_err(std::io::Error::other)??;
            let response = BASE64.encode(&answer.text);
            send(elements, &format!("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{response}</response>"))
                .await?;
            Ok(answer.verify(&success(elements).await?)?)
        }
    }
}

/// The best mechanism that the server offers. A password goes over the wire by TLS alone.
fn mechanism(features: &Element, security: Security) -> Result<Mechanism, LoginError> {
    let offered: Vec<&str> =
        features.child("mechanisms").map_or(&[][..], |all| &all.children).iter().map(|one| one.text.trim()).collect();
    for hash in [Hash::Sha256, Hash::Sha1] {
        if offered.contains(&hash.mechanism()) {
            return Ok(Mechanism::Scram(hash));
        }
    }
    if offered.contains(&"PLAIN") && security != Security::Off {
        return Ok(Mechanism::Plain);
    }
    let offered = if offered.is_empty() { "none at all".to_owned() } else { offered.join(", ") };
    Err(LoginError::NoMechanism(fit_to_show(&offered)))
}

/// What comes with the server's consent.
async fn success(elements: &mut Elements<Connection>) -> Result<String, LoginError> {
    let end = elements.next().await?;
    if end.name == "success" { decoded(&end) } else { Err(refused("login", &end)) }
}

fn decoded(element: &Element) -> Result<String, LoginError> {
    let bytes = BASE64.decode(element.text.trim()).map_err(|_| ScramError::Garbled)?;
    Ok(String::from_utf8(bytes).map_err(|_| ScramError::Garbled)?)
}

async fn bind(elements: &mut Elements<Connection>, features: &Element, resource: &str) -> Result<String, LoginError> {
    let resource = format!("<resource>{}</resource>", escaped(resource));
    let bind =
        format!("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>{resource}</bind></iq>");
    send(elements, &bind).await?;
    let answer = answer(elements, "bind").await?;
    let jid = answer.child("bind").and_then(|bind| bind.child("jid")).map(|jid| jid.text.trim().to_owned());
    let jid = jid.filter(|jid| !jid.is_empty()).ok_or_else(|| refused("bind", &answer))?;
    // RFC 3921 section 3, which old servers want.
    let session = features.child("session");
    if session.is_some_and(|session| session.child("optional").is_none()) {
        send(elements, "<iq type='set' id='session'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>")
            .await?;
        self::answer(elements, "session").await?;
    }
    Ok(jid)
}

/// The answer to a request; what comes before it is of no interest yet.
async fn answer(elements: &mut Elements<Connection>, id: &str) -> Result<Element, LoginError> {
    loop {
        let element = elements.next().await?;
        match (element.name.as_str(), element.attribute("type"), element.attribute("id")) {
            ("iq", Some("result"), Some(of)) if of == id => return Ok(element),
            ("iq", Some("error"), Some(of)) if of == id => {
                return Err(refused("bind", element.child("error").unwrap_or(&element)));
            }
            ("error", ..) => return Err(refused("stream", &element)),
            _ => {}
        }
    }
}

async fn send(elements: &mut Elements<Connection>, text: &str) -> Result<(), LoginError> {
    let stream = elements.source();
    stream.write_all(text.as_bytes()).await?;
    Ok(stream.flush().await?)
}

fn auth(mechanism: &str, initial: &str) -> String {
    format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{mechanism}'>{initial}</auth>")
}

fn refused(step: &'static str, answer: &Element) -> LoginError {
    LoginError::Refused { step, said: answer.failure() }
}

/// Something that nobody can guess.
pub(super) fn nonce() -> String {
    let mut bytes = [0; 16];
    // The system's random numbers do not fail; without them the server would only see an old nonce.
    let _ = SystemRandom::new().fill(&mut bytes);
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
