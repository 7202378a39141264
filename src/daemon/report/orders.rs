//! What can be ordered, and what has become of it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v1/link`: what is wanted of an uplink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkOrder {
    /// Its name.
    pub uplink: String,
    /// What it should be.
    pub state: LinkState,
    /// How whoever orders has seen it. If it is otherwise by now, nothing is done: he is told who was faster (409).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<LinkSeen>,
}

impl LinkOrder {
    /// That `uplink` be so, whatever it is now.
    #[must_use]
    pub fn new(uplink: String, state: LinkState) -> Self {
        Self { uplink, state, expect: None }
    }
}

/// How people have seen an uplink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LinkSeen {
    /// Not taken down by anybody, whatever else may ail it.
    Up,
    /// Taken down by hand.
    Down,
}

/// What people can want of an uplink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LinkState {
    /// Back in use, as far as the line itself can be used
    Up,
    /// Out of use: no new connections
    Down,
    /// The other of the two
    Toggle,
}

impl LinkState {
    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Toggle => "toggle",
        }
    }
}

/// What has become of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LinkReport {
    /// Its name.
    pub uplink: String,
    /// Its state now, as in [`super::UplinkReport::state`].
    pub state: String,
    /// Whether it was otherwise before.
    pub changed: bool,
    /// What the person should know beside.
    pub warnings: Vec<String>,
}

/// `POST /v1/redial`: a line is to get its address anew. A PPPoE session is ended and dialled, a lease is given back and asked for;
/// where the address is the configuration's or the kernel's, its gateway is asked for, and the line is tested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RedialOrder {
    /// Its name.
    pub uplink: String,
    /// How often it was redialled as far as whoever orders has seen, as in [`super::UplinkReport::redials`]. If somebody was faster,
    /// nothing is done: he is told who (409).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<u32>,
}

impl RedialOrder {
    /// That `uplink` be redialled, whatever others have done.
    #[must_use]
    pub fn new(uplink: String) -> Self {
        Self { uplink, expect: None }
    }
}

/// What has become of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RedialReport {
    /// Its name.
    pub uplink: String,
    /// Its state now, as in [`super::UplinkReport::state`].
    pub state: String,
    /// What is done, in words.
    pub what: String,
    /// Flows that it has.
    pub flows: u64,
    /// What the person should know beside.
    pub warnings: Vec<String>,
}

/// `POST /v1/role`: what a line is to be for, until it is said otherwise, also over a restart. It holds for new flows; those that
/// the line has stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleOrder {
    /// Its name.
    pub uplink: String,
    /// What it should be for.
    pub role: RoleWanted,
    /// The role that it has as far as whoever orders has seen. If it has another one by now, nothing is done: he is told who was
    /// faster (409).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<RoleName>,
}

impl RoleOrder {
    /// That `uplink` have this role, whatever it has now.
    #[must_use]
    pub fn new(uplink: String, role: RoleWanted) -> Self {
        Self { uplink, role, expect: None }
    }
}

/// What a line can be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RoleName {
    /// Its share of all new flows.
    Balanced,
    /// Flows of class isolated.
    Isolated,
    /// Flows while no other line works.
    Standby,
}

impl RoleName {
    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Balanced => "balanced",
            Self::Isolated => "isolated",
            Self::Standby => "standby",
        }
    }
}

/// What people can want a line to be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum RoleWanted {
    /// Its share of all new connections
    Balanced,
    /// What is urgent
    Isolated,
    /// New connections while no other line works
    Standby,
    /// What the configuration says
    Configured,
}

/// What has become of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoleReport {
    /// Its name.
    pub uplink: String,
    /// Its role now: `balanced`, `isolated` or `standby`.
    pub role: String,
    /// Who has given it a role by hand; nobody: it has the configuration's.
    pub set_by: Option<String>,
    /// Whether it was otherwise before.
    pub changed: bool,
    /// Flows that it has, and that stay.
    pub flows: u64,
    /// What the person should know beside.
    pub warnings: Vec<String>,
}

/// What hosts do while the line that is reserved for them does not work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum WhenDown {
    /// They use the lines that all use
    #[default]
    Pool,
    /// Their new connections are refused
    Refuse,
}

/// `POST /v1/reserve`: a line for some hosts alone. A host that has it already gets these terms.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReserveOrder {
    /// The line.
    pub uplink: String,
    /// Addresses, Ethernet addresses or names of hosts; at least one.
    pub hosts: Vec<String>,
    /// The time of day at which it ends by itself, as in `18:00`: the next time that it is so late by the router's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// After how many seconds it ends by itself; not together with `until`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_seconds: Option<u64>,
    /// What the hosts do while the line does not work.
    #[serde(default)]
    pub when_down: WhenDown,
}

/// What has become of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReserveReport {
    /// The line.
    pub uplink: String,
    /// All hosts that it is reserved for now, as they were named.
    pub hosts: Vec<String>,
    /// When what was ordered ends, as in [`super::ReservedReport::until`].
    pub until: Option<String>,
    /// Connections of other hosts on the line, which stay until they end, up to 10,000; nothing: they could not be counted.
    pub flows_of_others: Option<usize>,
    /// What the person should know beside.
    pub warnings: Vec<String>,
}

/// `POST /v1/release`: an end to what was ordered by `POST /v1/reserve`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseOrder {
    /// The line.
    pub uplink: String,
    /// The hosts, as they were named; empty: all.
    #[serde(default)]
    pub hosts: Vec<String>,
}

/// What has become of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReleaseReport {
    /// The line.
    pub uplink: String,
    /// The hosts that had it.
    pub released: Vec<String>,
    /// The hosts that it is reserved for still.
    pub hosts: Vec<String>,
    /// What the person should know beside.
    pub warnings: Vec<String>,
}

/// `POST /v1/reload`: what has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReloadReport {
    /// What is different now, a line of text each.
    pub changes: Vec<String>,
    /// How many uplinks go on as they were.
    pub unchanged: usize,
    /// What the person should know beside.
    pub warnings: Vec<String>,
}

impl ReloadReport {
    /// All of it in one line, without the warnings.
    #[must_use]
    pub fn text(&self) -> String {
        let plural = if self.unchanged == 1 { "" } else { "s" };
        let unchanged = format!("{} uplink{plural} unchanged", self.unchanged);
        self.changes.iter().cloned().chain([unchanged]).collect::<Vec<_>>().join("; ")
    }
}
