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
    /// Names of the rules, in the order in which they are asked; those of the router itself begin with `default:`.
    #[serde(default)]
    pub rules: Vec<String>,
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassReport {
    /// Those that live now.
    pub flows: u64,
    /// Bytes that they have carried, out and in, since the start.
    pub bytes: u64,
    /// How many have turned out bulky, since the start.
    pub bulky: u64,
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

/// `GET /v1/hosts`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitsReport {
    /// Live flows.
    pub sessions: Option<u32>,
    /// New flows a second.
    pub new_per_second: Option<u32>,
    /// External ports.
    pub ports: Option<u32>,
}

/// One host, since the start of the router.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostReport {
    /// Its address; nothing for the others together.
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
    /// Connections that a limit has refused, by reason as in `drops`; only reasons that occurred.
    pub refused: BTreeMap<String, u64>,
    /// The same by line and class; only where there is something.
    pub lines: Vec<HostLineReport>,
}

/// What a host does on one line, for one class of flows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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

/// Bytes, and how fast more of them come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageReport {
    /// Bytes of IP packets.
    pub bytes: u64,
    /// The rate over the last second or so.
    pub bits_per_second: u64,
}

/// `POST /v1/link`: what is wanted of an uplink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkSeen {
    /// Not taken down by anybody, whatever else may ail it.
    Up,
    /// Taken down by hand.
    Down,
}

/// What people can want of an uplink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
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

/// A host that a line is reserved for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReservedReport {
    /// As it was named: by its address, Ethernet address or name.
    pub host: String,
    /// Its addresses, as far as they are known.
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

/// What hosts do while the line that is reserved for them does not work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum WhenDown {
    /// They use the lines that all use
    #[default]
    Pool,
    /// Their new connections are refused
    Refuse,
}

/// `POST /v1/reserve`: a line for some hosts alone. A host that has it already gets these terms.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReserveReport {
    /// The line.
    pub uplink: String,
    /// All hosts that it is reserved for now, as they were named.
    pub hosts: Vec<String>,
    /// When what was ordered ends, as in [`ReservedReport::until`].
    pub until: Option<String>,
    /// Connections of other hosts on the line, which stay until they end, up to 10,000; nothing: they could not be counted.
    pub flows_of_others: Option<usize>,
    /// What the person should know beside.
    pub warnings: Vec<String>,
}

/// `POST /v1/release`: an end to what was ordered by `POST /v1/reserve`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseOrder {
    /// The line.
    pub uplink: String,
    /// The hosts, as they were named; empty: all.
    #[serde(default)]
    pub hosts: Vec<String>,
}

/// What has become of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// that works again), `flows-ended` (of a line that was lost or drained), `link-ordered`, `reload-ordered`, `line-reserved` and `line-released`
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

/// Any answer other than 200, as `application/problem+json` (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
