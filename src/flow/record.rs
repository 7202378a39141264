//! The record of one flow: plain old data of a fixed size, so that a table of them can live in a mapped file.
//!
//! A record is keyed by what the LAN host sees: its own endpoint and the far one. The third endpoint, which the far end
//! sees, is the external port and the uplink's address. With that key one index entry serves both directions: a packet
//! from the internet is first led from its external port to the internal endpoint (see [`crate::nat::mapping`]).

use std::net::{IpAddr, Ipv4Addr};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::tcp::TcpTracker;
use super::time::Timestamp;
use super::tuple::{Endpoint, Protocol, Tuple};

/// Expiry and birth are kept in tenths of a second since boot: 32 bits last for 13 years.
const MILLISECONDS_PER_TICK: u64 = 100;

/// A point in time as records hold it: tenths of a second since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct Tick(u32);

impl Tick {
    /// The tick that `time` falls in.
    #[must_use]
    pub fn at(time: Timestamp) -> Self {
        Self(u32::try_from(time.as_millis() / MILLISECONDS_PER_TICK).unwrap_or(u32::MAX))
    }

    /// The first tick at or after `time`, so that nothing expires early.
    #[must_use]
    pub fn after(time: Timestamp) -> Self {
        Self(u32::try_from(time.as_millis().div_ceil(MILLISECONDS_PER_TICK)).unwrap_or(u32::MAX))
    }

    /// The beginning of time.
    pub const ZERO: Self = Self(0);

    /// A number in a tick's place: free records are linked through their expiry.
    pub(super) const fn from_link(next: u32) -> Self {
        Self(next)
    }

    /// The number that [`Self::from_link`] put there.
    pub(super) const fn link(self) -> u32 {
        self.0
    }

    /// Its beginning.
    #[must_use]
    pub fn timestamp(self) -> Timestamp {
        Timestamp::from_millis(u64::from(self.0) * MILLISECONDS_PER_TICK)
    }
}

/// An IPv4 address and a port (or ICMP identifier).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointV4 {
    /// The address.
    pub address: Ipv4Addr,
    /// The port, or the identifier of an ICMP query.
    pub port: u16,
}

impl From<EndpointV4> for Endpoint {
    fn from(endpoint: EndpointV4) -> Self {
        Self { address: IpAddr::V4(endpoint.address), port: endpoint.port }
    }
}

/// What finds an IPv4 flow: the host's endpoint and the far one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowKey {
    /// The transport.
    pub protocol: Protocol,
    /// The LAN host.
    pub internal: EndpointV4,
    /// The far end. Its port is 0 for ICMP queries.
    pub remote: EndpointV4,
}

impl FlowKey {
    /// As a tuple from the host to the far end.
    #[must_use]
    pub fn tuple(self) -> Tuple {
        Tuple { protocol: self.protocol, source: self.internal.into(), destination: self.remote.into() }
    }
}

/// What a flow's record holds besides its two addresses, whatever their family.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FlowBody {
    /// Bytes sent to the internet.
    pub out_bytes: u64,
    /// Bytes that came from it.
    pub in_bytes: u64,
    /// Packets sent to the internet, as the wire carries them.
    pub out_packets: u64,
    /// Packets that came from it.
    pub in_packets: u64,
    /// When the flow is forgotten if nothing more comes. In a free record: the next free one.
    pub expires: Tick,
    /// When it was made.
    pub created: Tick,
    /// TCP's state; unused for others.
    pub tcp: TcpTracker,
    /// The host's port, or ICMP identifier.
    pub internal_port: u16,
    /// The far end's port.
    pub remote_port: u16,
    /// The port that the far end sees.
    pub external_port: u16,
    /// [`Protocol`] as a number; 0: the record is free.
    pub protocol: u8,
    /// The uplink's number.
    pub uplink: u8,
    /// The LAN-side port that the host is behind.
    pub lan: u8,
    /// [`FLAG_REPLIED`] and others.
    pub flags: u8,
    /// Ethernet address that the host last sent from.
    pub lan_mac: [u8; 6],
    /// The rule that decided where it goes, as the policy numbers them; 0: none.
    pub rule: u16,
    /// The number of its host in the accounts.
    pub host: u16,
    /// What it is for, as the policy numbers classes.
    pub class: u8,
    /// Why it has its line, as placement numbers reasons.
    pub reason: u8,
    /// DSCP of its first packet (RFC 2474).
    pub dscp: u8,
    /// [`MARK_STICKY`] and others.
    pub marks: u8,
}

/// Both sides have spoken.
pub const FLAG_REPLIED: u8 = 1;
/// The far end is one of our own external addresses.
pub const FLAG_HAIRPIN: u8 = 2;
/// The first packet came from the internet.
pub const FLAG_INBOUND: u8 = 4;
/// The kernel may have forwarded packets that the record knows nothing of yet.
pub const FLAG_SHORTCUT: u8 = 8;
/// Its SYN was not answered and has gone out by another line.
pub const FLAG_RESCUED: u8 = 16;
/// And once more.
pub const FLAG_RESCUED_AGAIN: u8 = 32;
/// It counts as a transfer of its line.
pub const FLAG_TRANSFER: u8 = 64;
/// Its port outside is a forward's: no mapping counts it.
pub const FLAG_FORWARDED: u8 = 128;

/// It is counted among its host's flows to the same site.
pub const MARK_STICKY: u8 = 1;
/// It has turned out bulky though it was taken to be urgent, or is of class bulk for being like one that has.
pub const MARK_BULKY: u8 = 2;

/// An IPv4 flow.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FlowV4 {
    /// Everything but the addresses.
    pub body: FlowBody,
    /// The LAN host's address.
    pub internal: [u8; 4],
    /// The far end's address.
    pub remote: [u8; 4],
}

/// An IPv6 flow. Not carried yet; the layout stands so that tables of both can live side by side.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FlowV6 {
    /// Everything but the addresses.
    pub body: FlowBody,
    /// The LAN host's address.
    pub internal: [u8; 16],
    /// The far end's address.
    pub remote: [u8; 16],
}

const _: () =
    assert!(size_of::<FlowV4>() <= 120 && size_of::<FlowV6>() <= 144, "a million flows fit in 160 bytes each");

impl FlowV4 {
    /// A record for `key` with nothing counted yet.
    #[must_use]
    pub fn new(key: FlowKey) -> Self {
        Self {
            body: FlowBody {
                internal_port: key.internal.port,
                remote_port: key.remote.port,
                protocol: key.protocol as u8,
                ..FlowBody::default()
            },
            internal: key.internal.address.octets(),
            remote: key.remote.address.octets(),
        }
    }

    /// What finds it; `None` when the record is free.
    #[must_use]
    pub fn key(&self) -> Option<FlowKey> {
        Some(FlowKey {
            protocol: Protocol::from_number(self.body.protocol)?,
            internal: EndpointV4 { address: self.internal.into(), port: self.body.internal_port },
            remote: EndpointV4 { address: self.remote.into(), port: self.body.remote_port },
        })
    }

    /// Whether `key` finds it.
    #[must_use]
    pub fn is_for(&self, key: &FlowKey) -> bool {
        let body = &self.body;
        body.protocol == key.protocol as u8
            && body.internal_port == key.internal.port
            && body.remote_port == key.remote.port
            && self.internal == key.internal.address.octets()
            && self.remote == key.remote.address.octets()
    }

    /// Whether a flag is set.
    #[must_use]
    pub const fn has(&self, flag: u8) -> bool {
        self.body.flags & flag != 0
    }

    /// Whether a mark is set.
    #[must_use]
    pub const fn is_marked(&self, mark: u8) -> bool {
        self.body.marks & mark != 0
    }
}
