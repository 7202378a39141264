//! What the control socket says, as JSON. These types are the interface: the core's own types can change without it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use serde::{Deserialize, Serialize};

/// `GET /v1/status`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
}

/// One LAN interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LanReport {
    /// Its name.
    pub interface: String,
    /// How packets are taken from it: `tun` or `packet`; nothing while the interface is missing.
    pub capture: Option<String>,
    /// `up`, `down` or `missing`.
    pub state: String,
    /// The router's address there.
    pub address: Option<Ipv4Addr>,
}

/// One uplink.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
    /// The lease that the address is from, if it is from one.
    pub lease: Option<LeaseReport>,
    /// The PPPoE session that the address is from, if it is from one.
    #[serde(default)]
    pub session: Option<SessionReport>,
    /// How it answers the router's own questions.
    #[serde(default)]
    pub health: Option<HealthReport>,
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

/// What a line can carry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapacityReport {
    /// From the internet.
    pub download: RateReport,
    /// To the internet.
    pub upload: RateReport,
    /// Whether it has no room to speak of now, one way or the other.
    pub full: bool,
}

/// What a direction of a line can carry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateReport {
    /// So much.
    pub bits_per_second: u64,
    /// Who says so: `given`: the configuration; `learned`: it was full at that; `reached`: it has carried that, and may do
    /// more.
    pub source: String,
}

/// How a line answers the router's own questions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// What the last answer took.
    pub last_round_trip_ms: Option<u64>,
    /// What answers have taken in the last minute or two, but for those to questions on a full line.
    pub round_trip_ms: Option<SpanReport>,
    /// How much two of them in a row differed.
    pub jitter_ms: Option<SpanReport>,
}

/// A span of time, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpanReport {
    /// Its median.
    pub median: u64,
    /// What one in a hundred exceeds.
    pub p99: u64,
}

/// Who is asked whether a line works.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseReport {
    /// The server.
    pub server: Ipv4Addr,
    /// How long the address is still ours; nothing: for ever.
    pub expires_in_seconds: Option<u64>,
    /// Who resolves names.
    pub name_servers: Vec<Ipv4Addr>,
    /// Longest packet of the line, if the server says.
    pub mtu: Option<u16>,
}

/// A PPPoE session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionReport {
    /// Its number.
    pub id: u16,
    /// The concentrator's name; empty when it tells none.
    pub concentrator: String,
    /// The concentrator's Ethernet address.
    pub concentrator_mac: String,
    /// Who resolves names.
    pub name_servers: Vec<Ipv4Addr>,
    /// Longest packet of the line.
    pub mtu: u16,
}

/// Packets and bytes since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrafficReport {
    /// Packets, as the wire carries them.
    pub packets: u64,
    /// Bytes of IP packets.
    pub bytes: u64,
    /// The rate over the last second or so.
    pub bits_per_second: u64,
}

/// All workers together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
}

/// `GET /v1/flows` and `GET /v1/why`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FlowsReport {
    /// The flows found.
    pub flows: Vec<FlowReport>,
    /// Whether the limit was reached, so that there may be more.
    pub limited: bool,
}

/// One flow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FlowReport {
    /// `tcp`, `udp` or `icmp`.
    pub protocol: String,
    /// The LAN host and its port (or ICMP identifier).
    pub host: String,
    /// The far end.
    pub remote: String,
    /// The host as the far end sees it.
    pub external: String,
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
    /// Name of the rule that decided where it goes; nothing: none did, or it is no more in the configuration.
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowTraffic {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// `POST /v1/link`: what is wanted of an uplink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkOrder {
    /// Its name.
    pub uplink: String,
    /// What it should be.
    pub state: LinkState,
}

/// What people can want of an uplink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LinkState {
    /// Back in use, as far as the line itself can be used
    Up,
    /// Out of use: no new connections
    Down,
}

impl LinkState {
    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// What has become of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkReport {
    /// Its name.
    pub uplink: String,
    /// Its state now, as in [`UplinkReport::state`].
    pub state: String,
    /// Whether it was otherwise before.
    pub changed: bool,
    /// What the person should know beside.
    pub warnings: Vec<String>,
}

/// `POST /v1/reload`: what has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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

/// `GET /v1/events` without `follow`. With it, one [`EventReport`] a line, for as long as the router runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsReport {
    /// The events, in their order.
    pub events: Vec<EventReport>,
}

/// Something that has happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventReport {
    /// Its number: those after it have higher ones.
    pub id: u64,
    /// When, as RFC 3339 writes it, in UTC.
    pub time: String,
    /// `router-started`, `router-stopped`, `uplink-changed`, `no-uplink` (none works any more), `uplink-back` (the first one
    /// that works again), `flows-ended` (of a line that was lost or drained), `link-ordered`, `reload-ordered`, `log-begun`
    /// (the file before was broken), `events-lost` (could not be kept); of a line: `gateway-moved`, `address-conflict`,
    /// `lease-obtained`, `lease-ended`, `lease-denied`, `lease-refused`, `lease-declined`, `dhcp-server-silent`,
    /// `session-failed` (by PPPoE: lost, or none to be had); of a configuration that is applied: `uplink-added`,
    /// `uplink-removed`, `uplink-replaced`, `uplink-set`.
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
    /// How many events are missing; how many flows have ended or moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

/// The query of `GET /v1/events`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventsQuery {
    /// All events after the one with this id; without it, the newest ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// Whether to go on with those to come.
    #[serde(default)]
    pub follow: bool,
}

/// Any answer other than 200.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorReport {
    /// What is wrong, and what would be right.
    pub error: String,
}

/// The query of `GET /v1/flows`. Everything that is set must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowsQuery {
    /// Only flows of this LAN host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhyQuery {
    /// The LAN host and its port (or ICMP identifier).
    pub host: SocketAddrV4,
    /// The far end; without it, any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<SocketAddrV4>,
    /// `tcp`, `udp` or `icmp`; without it, any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
}
