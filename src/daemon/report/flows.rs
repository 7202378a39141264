//! Flows, and why they have their lines.

use std::net::{Ipv4Addr, SocketAddrV4};

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// `GET /v1/flows` and `GET /v1/why`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FlowsReport {
    /// The flows found.
    pub flows: Vec<FlowReport>,
    /// Whether the limit was reached, so that there may be more.
    pub limited: bool,
}

/// One flow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FlowReport {
    /// `tcp`, `udp` or `icmp`.
    pub protocol: String,
    /// The LAN host and its port (or ICMP identifier).
    pub host: String,
    /// The far end.
    pub remote: String,
    /// Who has opened it: `outbound`: the host, `inbound`: the far end.
    #[serde(default)]
    pub direction: String,
    /// The host as the far end sees it.
    pub external: String,
    /// Whether it has turned out bulky though it is of class isolated, or is of class bulk for being like one that has.
    #[serde(default)]
    pub bulky: bool,
    /// Name of its uplink.
    pub uplink: String,
    /// Where it is in its life.
    pub state: String,
    /// What was sent.
    pub out: FlowTraffic,
    /// What came back.
    #[serde(rename = "in")]
    pub back: FlowTraffic,
    /// How long it has lived.
    pub age_seconds: u64,
    /// How long it is remembered if nothing more comes.
    pub expires_in_seconds: u64,
    /// Name of the rule that decided where it goes; nothing: none did, or an earlier run of the router.
    #[serde(default)]
    pub rule: Option<String>,
    /// What it is for: `bulk` or `isolated`.
    #[serde(default)]
    pub class: String,
    /// Why it has its uplink: `soonest` (it was expected to be done soonest there), `fewest-flows` (it asks for little),
    /// `only-line` (it could have no other), `mapping` (the host's port is mapped there), `sticky` (its host's flows to that site
    /// have it), `rescued`, `moved` (the line that it had did not answer, or was lost), `inbound`, `unknown`.
    #[serde(default)]
    pub reason: String,
    /// The uplinks that were compared when it got its own, while that is remembered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<CandidateReport>,
}

/// An uplink that a flow could have had, as things were then.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CandidateReport {
    /// Its name.
    pub uplink: String,
    /// When a typical transfer would have been done there, in milliseconds.
    pub expected_ms: f64,
    /// What the flow would have had of it.
    pub share_bits_per_second: u64,
    /// Whether it would not have had more because packets are lost there.
    pub bounded_by_loss: bool,
    /// Transfers that it had.
    pub transfers: u32,
    /// Flows that it had.
    pub flows: u32,
    /// A round trip.
    pub round_trip_ms: u32,
}

/// Packets and bytes of a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FlowTraffic {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// The query of `GET /v1/flows`. Everything that is set must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct FlowsQuery {
    /// Only flows of this LAN host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub host: Option<Ipv4Addr>,
    /// Only flows on the uplink of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uplink: Option<String>,
    /// Only flows of `tcp`, `udp` or `icmp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// At most so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// The query of `GET /v1/why`: which flows are meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct WhyQuery {
    /// The LAN host and its port (or ICMP identifier).
    #[param(value_type = String)]
    pub host: SocketAddrV4,
    /// The far end; without it, any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub remote: Option<SocketAddrV4>,
    /// `tcp`, `udp` or `icmp`; without it, any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
}
