//! Mail: one to all, handed to the server of the configuration.

use std::time::Duration;

use lettre::message::header::ContentType;
use lettre::message::{Mailbox, MessageBuilder};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use super::Context;
use crate::config::{Mail, Security, Server};
use crate::notify::note::Message;
use crate::notify::outbox::SendError;
use crate::notify::said::fit_to_show;

/// How long the server may take for a step.
const LONGEST_STEP: Duration = Duration::from_secs(20);
/// Replies by which a server refuses the mail itself, for ever (RFC 5321 section 4.2.3).
const REFUSED: [u16; 2] = [552, 554];

/// Sends a message as a mail.
pub(super) async fn send(mail: &Mail, message: &Message, context: &Context) -> Result<(), SendError> {
    let letter = letter(mail, message, context)?;
    let transport = transport(mail, &context.router).await?;
    let sent = transport.send(letter).await;
    sent.map(drop).map_err(|error| {
        let code = error.status().map(u16::from);
        let what = with_sources(&error);
        if code.is_some_and(|code| REFUSED.contains(&code)) { SendError::Never(what) } else { SendError::later(what) }
    })
}

/// The mail. The same message twice has the same id, so that whoever sorts mail can see it.
fn letter(mail: &Mail, message: &Message, context: &Context) -> Result<lettre::Message, SendError> {
    let wrong = |error: &dyn std::fmt::Display| SendError::Never(error.to_string());
    let mailbox = |text: &str| {
        let address = text.parse::<Address>().map_err(|error| wrong(&format!("{text}: {error}")))?;
        Ok::<_, SendError>(Mailbox::new(None, address))
    };
    let text = message.text(context.now, context.utc_offset);
    let first = text.lines().next().unwrap_or_default();
    let more = message.notes.len().saturating_sub(1);
    let rest = if more == 0 { String::new() } else { format!(" (and {more} more)") };
    let domain = mail.from.split_once('@').map_or("localhost", |(_, domain)| domain);
    let written = std::time::UNIX_EPOCH + Duration::from_millis(message.written);
    let mut builder = MessageBuilder::new()
        .from(mailbox(&mail.from)?)
        .subject(format!("[potato] {}: {first}{rest}", context.router))
        .message_id(Some(format!("<{}@{domain}>", message.id)))
        .date(written)
        .header(ContentType::TEXT_PLAIN);
    for to in &mail.to {
        builder = builder.to(mailbox(to)?);
    }
    builder.body(format!("{text}\n")).map_err(|error| wrong(&error))
}

async fn transport(mail: &Mail, router: &str) -> Result<AsyncSmtpTransport<Tokio1Executor>, SendError> {
    let Server { host, port, security, .. } = &mail.server;
    let tls = match security {
        Security::Off => Tls::None,
        Security::Tls => Tls::Wrapper(tls(&mail.server).await?),
        Security::StartTls => Tls::Required(tls(&mail.server).await?),
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
        .port(*port)
        .tls(tls)
        .timeout(Some(LONGEST_STEP))
        .hello_name(ClientId::Domain(router.to_owned()));
    if let Some((username, password)) = &mail.login {
        let password = String::from_utf8_lossy(password.reveal()).into_owned();
        builder = builder.credentials(Credentials::new(username.clone(), password));
    }
    Ok(builder.build())
}

/// Whom we believe: the authorities in the server's file, or those of the system.
async fn tls(server: &Server) -> Result<TlsParameters, SendError> {
    let (host, ca_file) = (server.host.clone(), server.ca_file.clone());
    let build = move || {
        let mut builder = TlsParameters::builder(host);
        if let Some(path) = ca_file {
            let failed = |error: &dyn std::fmt::Display| SendError::later(format!("{}: {error}", path.display()));
            let pem = std::fs::read(&path).map_err(|error| failed(&error))?;
            let certificates = Certificate::from_pem(&pem).map_err(|error| failed(&error))?;
            builder = builder.certificate_store(CertificateStore::None).add_root_certificate(certificates);
        }
        builder.build_rustls().map_err(SendError::later)
    };
    tokio::task::spawn_blocking(build).await.map_err(SendError::later)?
}

/// An error and what has led to it, in a line.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    fit_to_show(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::note::Note;

    #[test]
    fn mail_says_in_its_subject_what_it_is_about() {
        let off = Server { host: "mail.example.net".to_owned(), port: 25, security: Security::Off, ca_file: None };
        let to = vec!["anna@example.net".to_owned(), "bert@example.net".to_owned()];
        let mail = Mail { server: off, login: None, from: "potato@example.net".to_owned(), to };
        let note = |text: &str| Note { text: text.to_owned(), ..Note::default() };
        let message = Message {
            id: "potato-1-1".to_owned(),
            written: 0,
            notes: vec![note("dsl1 is lost"), note("dsl2 is lost")],
        };
        let context = Context { now: 0, utc_offset: 0, router: "gate".to_owned() };
        let text = String::from_utf8(letter(&mail, &message, &context).unwrap().formatted()).unwrap();
        for part in [
            "Subject: [potato] gate: dsl1 is lost (and 1 more)\r\n",
            "To: anna@example.net, bert@example.net\r\n",
            "Message-ID: <potato-1-1@example.net>\r\n",
            "\r\n\r\ndsl1 is lost\r\ndsl2 is lost\r\n",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
