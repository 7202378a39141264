//! What has happened.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// `GET /v1/events` without `follow`. With it, one [`EventReport`] a line, for as long as the router runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EventsReport {
    /// The events, in their order.
    pub events: Vec<EventReport>,
}

/// Something that has happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EventReport {
    /// Its number: those after it have higher ones.
    pub id: u64,
    /// When, as RFC 3339 writes it, in UTC.
    pub time: String,
    /// `router-started`, `router-stopped`, `uplink-changed`, `no-uplink` (none works any more), `uplink-back` (the first one
    /// that works again), `flows-ended` (of a line that was lost, drained or readdressed), `link-ordered`, `redial-ordered`, `role-ordered`, `reload-ordered`, `line-reserved` and `line-released`
    /// (by order), `reservation-begun` (the configuration's hours), `reservation-ended` (by itself), `reservation-refused`, `log-begun`
    /// (the file before was broken), `events-lost` (could not be kept); of a line: `gateway-moved`, `address-conflict`,
    /// `host-limited` (a host, `by`, has as much as one host may have: so many connections were refused),
    /// `lease-obtained`, `lease-ended`, `lease-denied`, `lease-refused`, `lease-declined`, `dhcp-server-silent`,
    /// `session-failed` (by PPPoE: lost, or none to be had); of a configuration that is applied: `uplink-added`,
    /// `uplink-removed`, `uplink-replaced`, `uplink-set`; of urgent traffic: `isolated-moved` (another line has the role that
    /// the router gives), `isolated-bulky` (a host's urgent connections carry much: new ones go to the pool); of people: `claimed`,
    /// `signed-in`, `signed-out`, `sign-in-failed`, `user-added`, `user-changed`, `user-removed`, `token-added`, `token-removed`,
    /// `configuration-written`.
    pub event: String,
    /// Name of the uplink that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uplink: Option<String>,
    /// The uplink's state before; the address that it had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Its state from then on, or the address that it has; what was ordered; the version that was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Why, or why nothing has come of an order; with whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// How many events are missing; how many flows have ended or moved; how many connections were refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

/// The query of `GET /v1/events`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct EventsQuery {
    /// All events after the one with this id; without it, the newest ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// Whether to go on with those to come.
    #[serde(default)]
    pub follow: bool,
}
