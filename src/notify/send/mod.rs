//! The ways by which a message leaves, all but XMPP: each makes its form of a message and hands it to one server.

mod fill;
mod http;
mod mail;
mod requests;
#[cfg(test)]
mod strangers;

use super::note::Message;
use super::outbox::SendError;
use crate::config::ChannelKind;

/// What a sender must know beside the message.
#[derive(Clone, Debug)]
pub(super) struct Context {
    /// Milliseconds since 1970.
    pub(super) now: u64,
    /// What local clocks show beyond UTC, in seconds.
    pub(super) utc_offset: i64,
    /// The name of this machine.
    pub(super) router: String,
}

/// Sends a message; returns when the server has taken it.
///
/// # Errors
/// When it has not, and whether it may later.
pub(super) async fn send(kind: &ChannelKind, message: &Message, context: &Context) -> Result<(), SendError> {
    match kind {
        ChannelKind::Webhook(webhook) => http::exchange(requests::webhook(webhook, message, context)).await,
        ChannelKind::Slack(slack) => http::exchange(requests::slack(slack, message, context)).await,
        ChannelKind::Ntfy(ntfy) => http::exchange(requests::ntfy(ntfy, message, context)).await,
        ChannelKind::Matrix(matrix) => http::exchange(requests::matrix(matrix, message, context)).await,
        ChannelKind::Mail(mail) => mail::send(mail, message, context).await,
        ChannelKind::Xmpp(_) => Err(SendError::Never("the bot sends these".to_owned())),
    }
}
