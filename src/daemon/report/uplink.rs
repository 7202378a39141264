//! How each line is.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::orders::WhenDown;
use crate::link::health::RoundTrips;

/// One uplink.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UplinkReport {
    /// Its name.
    pub name: String,
    /// Its interface.
    pub interface: String,
    /// `static`, `dhcp`, `pppoe` or `adopted`.
    pub kind: String,
    /// `up`, `standby` (works, and a better line works, too), `testing`, `lame`, `connecting`, `no-carrier`, `missing`, or
    /// `down`: taken down by hand.
    pub state: String,
    /// Our address on it, with its prefix length; nothing while it has none.
    pub address: Option<String>,
    /// Who takes our packets; nothing while nobody is known.
    pub gateway: Option<String>,
    /// The gateway's Ethernet address, once it has answered.
    pub gateway_mac: Option<String>,
    /// Why it has no address, where that is known, and what to do about it.
    pub problem: Option<String>,
    /// Who has taken it down by hand, if it is down.
    #[serde(default)]
    pub taken_down_by: Option<String>,
    /// How often people have had it redialled, in this run.
    #[serde(default)]
    pub redials: u32,
    /// The hosts that it is reserved for now; nobody: it is for all.
    #[serde(default)]
    pub reserved: Vec<ReservedReport>,
    /// The lease that the address is from, if it is from one.
    pub lease: Option<LeaseReport>,
    /// The PPPoE session that the address is from, if it is from one.
    #[serde(default)]
    pub session: Option<SessionReport>,
    /// How it answers the router's own questions.
    #[serde(default)]
    pub health: Option<HealthReport>,
    /// What it is for: `balanced`, `isolated`, `standby`, or `isolated (auto)`: the router has picked it.
    #[serde(default)]
    pub role: String,
    /// The role that the configuration gives it.
    #[serde(default)]
    pub role_configured: String,
    /// Who has given it another role by hand, if it has one.
    #[serde(default)]
    pub role_set_by: Option<String>,
    /// How long its flows may stay when it waits as a standby line; nothing: until they end.
    #[serde(default)]
    pub drain_seconds: Option<u64>,
    /// Its flows of class isolated, once it has had any.
    #[serde(default)]
    pub isolated: Option<ClassReport>,
    /// Its share of new flows, relative to the others.
    pub weight: u32,
    /// What it can carry, as far as is known.
    #[serde(default)]
    pub capacity: CapacityReport,
    /// Flows in the middle of a transfer.
    #[serde(default)]
    pub transfers: u32,
    /// Flows that live on it now.
    pub flows: u64,
    /// Connections ended when it was lost or drained, whose host got a reset. This and the next three are since the start.
    #[serde(default)]
    pub flows_reset: u64,
    /// Datagram flows ended then, whose host got an error.
    #[serde(default)]
    pub flows_told: u64,
    /// SYNs that it has not answered, and that went out by another line.
    #[serde(default)]
    pub syn_rescued: u64,
    /// Flows that have left it and go on over another line.
    #[serde(default)]
    pub flows_moved: u64,
    /// What was sent.
    pub out: TrafficReport,
    /// What came back and went to the LAN.
    #[serde(rename = "in")]
    pub back: TrafficReport,
    /// Packets not forwarded, by reason; only reasons that occurred.
    pub drops: BTreeMap<String, u64>,
}

/// Flows of one class on a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClassReport {
    /// Those that live now.
    pub flows: u64,
    /// Bytes that they have carried, out and in, since the start.
    pub bytes: u64,
    /// How many have turned out bulky, since the start.
    pub bulky: u64,
}

/// What a line can carry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CapacityReport {
    /// From the internet.
    pub download: RateReport,
    /// To the internet.
    pub upload: RateReport,
    /// Whether it has no room to speak of now, one way or the other.
    pub full: bool,
}

/// What a direction of a line can carry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RateReport {
    /// So much.
    pub bits_per_second: u64,
    /// Who says so: `given`: the configuration; `learned`: it was full at that; `reached`: it has carried that, and may do
    /// more.
    pub source: String,
}

/// How a line answers the router's own questions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HealthReport {
    /// Rounds of questions since the start.
    pub rounds: u64,
    /// Who is asked now; nobody while the line has no address or gateway.
    pub targets: Vec<TargetReport>,
    /// The share of questions lost in the last quarter of a minute, of the far target that loses fewest.
    pub loss_15s_percent: Option<u8>,
    /// The same over a minute.
    pub loss_1m_percent: Option<u8>,
    /// The same over five minutes.
    pub loss_5m_percent: Option<u8>,
    /// Where the loss goes: `rising`, `steady` or `falling`.
    pub trend: Option<String>,
    /// The share of their data that hosts have sent again in the last minute (TCP segments; nothing: they have sent none).
    pub retransmitted_1m_percent: Option<u8>,
    /// What is usual of that on this line; nothing: too little was sent to tell.
    pub retransmitted_usual_percent: Option<u8>,
    /// The share of data that has come again, or late, in the last minute.
    pub received_again_1m_percent: Option<u8>,
    /// What the last answer took.
    pub last_round_trip_ms: Option<u64>,
    /// What answers have taken in the last minute or two, but for those to questions on a full line.
    pub round_trip_ms: Option<SpanReport>,
    /// How much two of them in a row differed.
    pub jitter_ms: Option<SpanReport>,
    /// All round trips since the start, on a full line, too; for those who ask from within.
    #[serde(skip)]
    pub round_trips: RoundTrips,
}

/// A span of time, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SpanReport {
    /// Its median.
    pub median: u64,
    /// What one in a hundred exceeds.
    pub p99: u64,
}

/// Who is asked whether a line works.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TargetReport {
    /// Whom, and what, as in the configuration.
    pub target: String,
    /// What its silence means: `counts`: that the line is lame; `near`: it is the gateway; `unproven`: nothing yet, for
    /// nobody has said that it can be reached, and it has not answered.
    pub weight: String,
    /// Questions in a row without an answer.
    pub unanswered_in_a_row: u32,
    /// The share of questions lost in the last quarter of a minute.
    pub loss_15s_percent: Option<u8>,
}

/// What a DHCP server gave beside the addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeaseReport {
    /// The server.
    #[schema(value_type = String)]
    pub server: Ipv4Addr,
    /// How long the address is still ours; nothing: for ever.
    pub expires_in_seconds: Option<u64>,
    /// Who resolves names.
    #[schema(value_type = Vec<String>)]
    pub name_servers: Vec<Ipv4Addr>,
    /// Longest packet of the line, if the server says.
    pub mtu: Option<u16>,
}

/// A PPPoE session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionReport {
    /// Its number.
    pub id: u16,
    /// The concentrator's name; empty when it tells none.
    pub concentrator: String,
    /// The concentrator's Ethernet address.
    pub concentrator_mac: String,
    /// Who resolves names.
    #[schema(value_type = Vec<String>)]
    pub name_servers: Vec<Ipv4Addr>,
    /// Longest packet of the line.
    pub mtu: u16,
}

/// Packets and bytes since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrafficReport {
    /// Packets, as the wire carries them.
    pub packets: u64,
    /// Bytes of IP packets.
    pub bytes: u64,
    /// The rate over the last second or so.
    pub bits_per_second: u64,
}

/// A host that a line is reserved for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReservedReport {
    /// As it was named: by its address, Ethernet address or name.
    pub host: String,
    /// Its addresses, as far as they are known.
    #[schema(value_type = Vec<String>)]
    pub addresses: Vec<Ipv4Addr>,
    /// Its name, if it has told the DHCP server one.
    pub name: Option<String>,
    /// Its Ethernet address, if it is known.
    pub mac: Option<String>,
    /// When that ends, as RFC 3339 writes it, by the router's time zone; nothing: when somebody ends it.
    pub until: Option<String>,
    /// What it does while the line does not work.
    pub when_down: WhenDown,
    /// Who has ordered it; `the configuration`: its `[[reserve]]` has.
    pub by: String,
}
