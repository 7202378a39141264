//! Who has how much.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /v1/hosts`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostsReport {
    /// Every host that has an account, in the order of their numbers: those that were seen first have lower ones.
    pub hosts: Vec<HostReport>,
    /// All others together: hosts that came when all numbers were given away, and what hosts that are gone have used.
    pub others: HostReport,
    /// What one host may have at most.
    pub limits: LimitsReport,
    /// The time over which the rates are.
    pub over_milliseconds: u64,
}

/// What one host may have at most; nothing: as much as there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LimitsReport {
    /// Live flows.
    pub sessions: Option<u32>,
    /// New flows a second.
    pub new_per_second: Option<u32>,
    /// External ports.
    pub ports: Option<u32>,
}

/// One host, since the start of the router.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostReport {
    /// Its address; nothing for the others together.
    #[schema(value_type = Option<String>)]
    pub address: Option<Ipv4Addr>,
    /// What people call it, if that is known.
    pub name: Option<String>,
    /// Its Ethernet address, if that is known.
    pub mac: Option<String>,
    /// Flows that live now.
    pub sessions: u32,
    /// External ports that it has now, those that rest after their last flow among them.
    pub ports: u32,
    /// Flows that it has had.
    pub flows: u64,
    /// What was sent.
    pub out: UsageReport,
    /// What came back.
    #[serde(rename = "in")]
    pub back: UsageReport,
    /// What it has used since midnight by the router's clock, over restarts; nothing: nobody keeps account of that, or it has
    /// used nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub today: Option<DayReport>,
    /// Connections that a limit has refused, by reason as in `drops`; only reasons that occurred.
    pub refused: BTreeMap<String, u64>,
    /// The same by line and class; only where there is something.
    pub lines: Vec<HostLineReport>,
}

/// What a host does on one line, for one class of flows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostLineReport {
    /// Name of the uplink.
    pub uplink: String,
    /// `bulk` or `isolated`.
    pub class: String,
    /// Flows that live now.
    pub sessions: u64,
    /// Flows that were made there.
    pub flows: u64,
    /// What was sent.
    pub out: UsageReport,
    /// What came back.
    #[serde(rename = "in")]
    pub back: UsageReport,
}

/// What a host has used in a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DayReport {
    /// Bytes of IP packets that were sent.
    pub out_bytes: u64,
    /// Bytes of IP packets that came back.
    pub in_bytes: u64,
}

/// Bytes, and how fast more of them come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsageReport {
    /// Bytes of IP packets.
    pub bytes: u64,
    /// The rate over the last second or so.
    pub bits_per_second: u64,
}
