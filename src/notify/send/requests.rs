//! The requests by which a message goes to a webhook, to Slack, ntfy and Matrix.

use hyper::Method;
use serde_json::json;

use super::Context;
use super::fill::{Writing, fill};
use super::http::{Outgoing, percent_encoded};
use crate::config::{HttpUrl, Matrix, Ntfy, Slack, Webhook};
use crate::daemon::rfc3339;
use crate::link::pppoe::Secret;
use crate::notify::note::{Message, Note};

/// A request that the file has a template for, or a JSON of our own.
pub(super) fn webhook<'c>(webhook: &'c Webhook, message: &Message, context: &Context) -> Outgoing<'c> {
    let body = match &webhook.template {
        Some(template) => fill(template, Writing::of(&webhook.content_type), message, context),
        None => own_json(message, context),
    };
    let mut request = post(&webhook.url, &webhook.content_type, body);
    request.headers.extend(authorization(webhook.token.as_ref()));
    // For those who want to know what has come twice.
    request.headers.push(("idempotency-key", message.id.clone()));
    request
}

fn own_json(message: &Message, context: &Context) -> String {
    let event = |note: &Note| {
        json!({
            "event": note.event, "line": note.line, "state": note.state, "cause": note.cause, "by": note.by,
            "time": rfc3339(note.time), "text": note.text,
        })
    };
    json!({
        "id": message.id,
        "router": context.router,
        "time": rfc3339(message.written),
        "text": message.text(context.now, context.utc_offset),
        "events": message.notes.iter().map(event).collect::<Vec<_>>(),
    })
    .to_string()
}

/// Slack's incoming webhook.
pub(super) fn slack<'c>(slack: &'c Slack, message: &Message, context: &Context) -> Outgoing<'c> {
    // The three characters that Slack reads otherwise.
    let text = message.text(context.now, context.utc_offset);
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    post(&slack.url, "application/json", json!({ "text": format!("{}: {text}", context.router) }).to_string())
}

/// A topic of ntfy.
pub(super) fn ntfy<'c>(ntfy: &'c Ntfy, message: &Message, context: &Context) -> Outgoing<'c> {
    let mut request = post(&ntfy.url, "text/plain; charset=utf-8", message.text(context.now, context.utc_offset));
    let (priority, tag) = match message {
        message if message.is_urgent() => ("4", "rotating_light"),
        message if message.is_relief() => ("2", "white_check_mark"),
        _ => ("3", "warning"),
    };
    let title = format!("Potato on {}", context.router);
    request.headers.extend([("title", title), ("priority", priority.to_owned()), ("tags", tag.to_owned())]);
    request.headers.extend(authorization(ntfy.token.as_ref()));
    request
}

/// An event for a room of Matrix. The same message twice is one: its id is the transaction's.
pub(super) fn matrix<'c>(matrix: &'c Matrix, message: &Message, context: &Context) -> Outgoing<'c> {
    let base = matrix.server.path.trim_end_matches('/');
    let (room, id) = (percent_encoded(&matrix.room), percent_encoded(&message.id));
    let body = json!({ "msgtype": "m.text", "body": message.text(context.now, context.utc_offset) });
    let mut request = post(&matrix.server, "application/json", body.to_string());
    request.method = Method::PUT;
    request.path = format!("{base}/_matrix/client/v3/rooms/{room}/send/m.room.message/{id}");
    request.headers.extend(authorization(Some(&matrix.token)));
    request
}

fn post<'c>(url: &'c HttpUrl, content_type: &str, body: String) -> Outgoing<'c> {
    let headers = vec![("content-type", content_type.to_owned())];
    Outgoing { url, method: Method::POST, path: url.path.clone(), headers, body }
}

fn authorization(token: Option<&Secret>) -> Option<(&'static str, String)> {
    token.map(|token| ("authorization", format!("Bearer {}", String::from_utf8_lossy(token.reveal()))))
}

#[cfg(test)]
mod tests;
