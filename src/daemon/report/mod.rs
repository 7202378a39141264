//! What the control socket says, as JSON. These types are the interface: the core's own types can change without it.

mod events;
mod flows;
mod hosts;
mod orders;
mod uplink;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use events::{EventReport, EventsQuery, EventsReport};
pub use flows::{CandidateReport, FlowReport, FlowTraffic, FlowsQuery, FlowsReport, WhyQuery};
pub use hosts::{DayReport, HostLineReport, HostReport, HostsReport, LimitsReport, UsageReport};
pub use orders::{
    LinkOrder, LinkReport, LinkSeen, LinkState, RedialOrder, RedialReport, ReleaseOrder, ReleaseReport, ReloadReport,
    ReserveOrder, ReserveReport, RoleName, RoleOrder, RoleReport, RoleWanted, WhenDown,
};
pub use uplink::{
    CapacityReport, ClassReport, HealthReport, LeaseReport, RateReport, ReservedReport, SessionReport, SpanReport,
    TargetReport, TrafficReport, UplinkReport,
};

/// `GET /v1/status`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatusReport {
    /// The program's version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// How long it has run.
    pub uptime_seconds: u64,
    /// Worker threads.
    pub workers: u8,
    /// Name of the TUN device.
    pub tun: String,
    /// LAN interfaces, in the order of the configuration.
    pub lans: Vec<LanReport>,
    /// Uplinks, in the order of the configuration.
    pub uplinks: Vec<UplinkReport>,
    /// All workers together.
    pub engine: EngineReport,
    /// Names of the rules, in the order in which they are asked; those of the router itself begin with `default:`.
    #[serde(default)]
    pub rules: Vec<String>,
}

/// One LAN interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LanReport {
    /// Its name.
    pub interface: String,
    /// How packets are taken from it: `tun` or `packet`; nothing while the interface is missing.
    pub capture: Option<String>,
    /// `up`, `down` or `missing`.
    pub state: String,
    /// The router's address there.
    #[schema(value_type = Option<String>)]
    pub address: Option<Ipv4Addr>,
}

/// All workers together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EngineReport {
    /// Flows alive now.
    pub flows: u64,
    /// Flows made since the start.
    pub flows_created: u64,
    /// Flows whose packets the kernel carries as the engine has written, for they are busy.
    #[serde(default)]
    pub shortcut_flows: u64,
    /// Packets that a worker gave to another.
    pub handed_over: u64,
    /// Packets received by the workers: not those that took the shortcut.
    pub received: u64,
    /// Batches that they came in.
    pub batches: u64,
    /// Packets in a batch.
    pub mean_batch: f64,
    /// Packets from the LAN dropped before they had an uplink, by reason; only reasons that occurred.
    pub drops: BTreeMap<String, u64>,
    /// Hosts that have an account of their own.
    #[serde(default)]
    pub hosts: u64,
    /// External ports that hosts have now, those that rest after their last flow among them.
    #[serde(default)]
    pub mappings: u64,
    /// The workers one by one.
    #[serde(default)]
    pub per_worker: Vec<WorkerReport>,
}

/// One worker, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WorkerReport {
    /// Flows that it has now.
    pub flows: u64,
    /// Flows that it has made.
    pub flows_created: u64,
    /// Those of its flows that the kernel carries.
    pub shortcut_flows: u64,
    /// Packets that it has received.
    pub received: u64,
    /// Batches that they came in.
    pub batches: u64,
    /// Packets that it gave to another worker.
    pub handed_over: u64,
    /// Processor time that it has used.
    pub processor_seconds: f64,
}

/// Any answer other than 200, as `application/problem+json` (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// A kind of its own, as a URI; `about:blank`: there is nothing more to it than the status.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: String,
    /// The status of HTTP.
    pub status: u16,
    /// What is wrong, and what would be right.
    pub detail: String,
    /// Who was faster, of an order that came too late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When he was, as RFC 3339 writes it, in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

impl Default for Problem {
    fn default() -> Self {
        let kind = "about:blank".to_owned();
        Self { kind, title: String::new(), status: 0, detail: String::new(), by: None, at: None }
    }
}
