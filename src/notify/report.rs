//! What the API says of notifications, as JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /v1/notify`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NotifyReport {
    /// Every channel, in the order of the configuration.
    pub channels: Vec<ChannelReport>,
}

/// A channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChannelReport {
    /// Its name.
    pub name: String,
    /// `webhook`, `slack`, `ntfy`, `matrix`, `mail` or `xmpp`.
    pub kind: String,
    /// Messages that wait to be sent.
    pub queued: usize,
    /// Messages that were given up since the start: too many, too old, or refused.
    pub dropped: u64,
    /// Why the last attempt to send failed; nothing: it did not.
    pub last_error: Option<String>,
    /// When the last message was sent since the start, as RFC 3339 writes it, in UTC.
    pub last_sent: Option<String>,
}

/// `POST /v1/notify/test`: send a message to see whether a channel works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TestOrder {
    /// The channel.
    pub channel: String,
}

/// What has become of it: the server has taken the message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TestReport {
    /// The channel.
    pub channel: String,
    /// How long that took.
    pub milliseconds: u64,
}
