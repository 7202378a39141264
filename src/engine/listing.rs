//! Flows as others see them: copies, a page at a time, so that no listing stops a worker for long.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::flow::{Endpoint, Protocol, Tuple};
use crate::placement::{Class, RuleId, UplinkId};

/// Which flows to list. Everything that is set must match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowFilter {
    /// Only flows of this LAN host.
    pub host: Option<Ipv4Addr>,
    /// Only flows on this uplink.
    pub uplink: Option<UplinkId>,
    /// Only flows of this protocol.
    pub protocol: Option<Protocol>,
}

/// Where a flow is in its life. UDP and ICMP flows know only the first two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FlowState {
    /// Nothing has come back yet.
    Opening,
    /// Both sides have spoken.
    Established,
    /// One side has said FIN.
    Closing,
    /// Both sides have said FIN.
    TimeWait,
    /// A side has said RST.
    Reset,
}

impl FlowState {
    /// Its name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Established => "established",
            Self::Closing => "closing",
            Self::TimeWait => "time-wait",
            Self::Reset => "reset",
        }
    }
}

/// Who has opened a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FlowDirection {
    /// The LAN host.
    Outbound,
    /// The far end.
    Inbound,
}

impl FlowDirection {
    /// Its name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Outbound => "outbound",
            Self::Inbound => "inbound",
        }
    }
}

/// Whether a flow carries more than is meant for class isolated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bulkiness {
    /// Nobody has seen it do so.
    Unseen,
    /// It has turned out bulky, or is of class bulk for being like one that has.
    Bulky,
}

/// One flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowListing {
    /// As the LAN host sees it: host, far end.
    pub tuple: Tuple,
    /// Who has opened it.
    pub direction: FlowDirection,
    /// As the far end sees the host.
    pub external: Endpoint,
    /// Its line.
    pub uplink: UplinkId,
    /// The rule that decided so; 0: none.
    pub rule: RuleId,
    /// What it is for.
    pub class: Class,
    /// Whether it carries more than is meant for class isolated.
    pub bulkiness: Bulkiness,
    /// Where it is in its life.
    pub state: FlowState,
    /// Packets and bytes sent out.
    pub out: (u64, u64),
    /// Packets and bytes that came back.
    pub back: (u64, u64),
    /// How long it has lived.
    pub age: Duration,
    /// How long it will be remembered if nothing more comes.
    pub expires_in: Duration,
}

/// Some flows, and where to go on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowPage {
    /// The flows found.
    pub flows: Vec<FlowListing>,
    /// The cursor of the next page; `None` at the end.
    pub next: Option<u32>,
}
