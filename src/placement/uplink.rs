//! The snapshot of lines and LAN interfaces that the workers read: immutable, published whole by the daemon.

use std::net::Ipv4Addr;
use std::num::NonZeroU32;
use std::sync::Arc;

use ipnet::Ipv4Net;

use super::forward::Forwards;
use super::ids::{LanId, UplinkId};
use super::policy::Policy;
use crate::wire::MacAddress;
use crate::wire::pppoe::SessionId;

/// Whether new flows may be given to an uplink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Availability {
    /// It carries traffic, old and new.
    Usable,
    /// Its interface is not there.
    Missing,
    /// Its interface has no carrier or is down.
    NoCarrier,
    /// It has no address, or its gateway has not answered ARP (yet).
    Unresolved,
    /// It has an address and a gateway, and is not known to work yet.
    Testing,
    /// It has an address and a gateway, and does not carry traffic as it should.
    Lame,
    /// It works, and waits until no other line does.
    Standby,
    /// Somebody has taken it down by hand: the flows that it has go on.
    Down,
}

impl Availability {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Usable,
        Self::Missing,
        Self::NoCarrier,
        Self::Unresolved,
        Self::Testing,
        Self::Lame,
        Self::Standby,
        Self::Down,
    ];

    /// The state's name, as in `status --json`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Usable => "up",
            Self::Missing => "missing",
            Self::NoCarrier => "no-carrier",
            Self::Unresolved => "connecting",
            Self::Testing => "testing",
            Self::Lame => "lame",
            Self::Standby => "standby",
            Self::Down => "down",
        }
    }
}

/// How packets reach an uplink's gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextHop {
    /// By Ethernet.
    Ethernet {
        /// The gateway's address.
        gateway: MacAddress,
        /// Ours.
        own: MacAddress,
    },
    /// By a PPPoE session (RFC 2516).
    Pppoe {
        /// The concentrator's address.
        concentrator: MacAddress,
        /// Ours.
        own: MacAddress,
        /// The session.
        session: SessionId,
    },
    /// As they are: the interface has no link header and one far end.
    Bare,
}

impl NextHop {
    /// The gateway's Ethernet address, where it has one.
    #[must_use]
    pub const fn gateway(self) -> Option<MacAddress> {
        match self {
            Self::Ethernet { gateway, .. } => Some(gateway),
            Self::Pppoe { concentrator, .. } => Some(concentrator),
            Self::Bare => None,
        }
    }
}

/// What becomes of DHCP messages to us that come by an uplink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DhcpAnswers {
    /// Nobody has asked: they are packets like any other.
    #[default]
    Unwanted,
    /// The daemon waits for one.
    Awaited,
}

/// Whose an uplink's address is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressOwner {
    /// Ours alone: whatever comes to it is ours.
    #[default]
    Router,
    /// The kernel's. We have some of its ports, and what is not for those is none of our business.
    Kernel,
}

/// One internet line, as the packet path needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uplink {
    /// Its place in the snapshot.
    pub id: UplinkId,
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// The number of its interface, while that is there.
    pub interface: Option<u32>,
    /// Whether new flows may be given to it.
    pub availability: Availability,
    /// The address that the internet sees; `None` while the line has none.
    pub external: Option<Ipv4Addr>,
    /// Longest IP packet that it carries, in bytes.
    pub mtu: u16,
    /// Its share of new flows, relative to the others.
    pub weight: NonZeroU32,
    /// What sends a packet to the gateway; `None` while that is not known.
    pub next_hop: Option<NextHop>,
    /// What becomes of DHCP messages that come by it.
    pub dhcp: DhcpAnswers,
    /// Hosts whose packets to the router's own probe ports are the daemon's; empty: nobody's are.
    pub probed: Arc<[Ipv4Addr]>,
    /// Whose the address is.
    pub owner: AddressOwner,
}

/// How packets reach the hosts of a LAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LanLink {
    /// Through the TUN device: the kernel finds the host.
    Tun,
    /// Straight onto Ethernet, from this address of ours, to the address that the host sent from.
    Ethernet(MacAddress),
}

/// One LAN-side port, as the packet path needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lan {
    /// Its place in the snapshot.
    pub id: LanId,
    /// The number of its interface.
    pub interface: u32,
    /// How packets leave by it.
    pub link: LanLink,
    /// The router's own address there: source of the ICMP errors that it sends to hosts.
    pub address: Ipv4Addr,
    /// Longest IP packet that it carries, in bytes.
    pub mtu: u16,
}

/// All that a worker must know of the world while it handles a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Its number: another one whenever anything that flows depend on is different. 0: nothing is known yet.
    pub generation: u32,
    /// Every configured uplink, at its [`UplinkId`].
    pub uplinks: Vec<Uplink>,
    /// The LAN-side ports, at their [`LanId`]; the TUN device first. `None`: not used, or gone.
    pub lans: Vec<Option<Lan>>,
    /// Networks that the kernel reaches without us: the LANs themselves and what the machine has routes to.
    pub kernel_networks: Vec<Ipv4Net>,
    /// Which lines a new flow may have.
    pub policy: Arc<Policy>,
    /// Ports that somebody inside answers.
    pub forwards: Arc<Forwards>,
}

impl Snapshot {
    /// The uplink with this id, if it is configured.
    #[must_use]
    pub fn uplink(&self, id: UplinkId) -> Option<&Uplink> {
        self.uplinks.get(id.index())
    }

    /// Whether flows need not know one from the other: at most the daemon waits for other answers, or new flows are placed
    /// or let in in another way.
    #[must_use]
    pub fn is_same_for_flows(&self, other: &Self) -> bool {
        let mut like_other = self.clone();
        like_other.generation = other.generation;
        like_other.policy = Arc::clone(&other.policy);
        like_other.forwards = Arc::clone(&other.forwards);
        for (uplink, theirs) in like_other.uplinks.iter_mut().zip(&other.uplinks) {
            uplink.dhcp = theirs.dhcp;
            uplink.probed = Arc::clone(&theirs.probed);
        }
        like_other == *other
    }

    /// Whether super-packets of UDP's may have to be cut here: behind a PPPoE header the kernel cannot.
    #[must_use]
    pub fn cuts_super_packets(&self) -> bool {
        self.uplinks.iter().any(|uplink| matches!(uplink.next_hop, Some(NextHop::Pppoe { .. })))
    }

    /// The LAN-side port with this id, if it is there.
    #[must_use]
    pub fn lan(&self, id: LanId) -> Option<&Lan> {
        self.lans.get(id.index())?.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_do_not_mind_what_the_daemon_waits_for() {
        let uplink = |address, dhcp| Uplink {
            id: UplinkId(0),
            name: "dsl1".into(),
            interface: None,
            availability: Availability::Usable,
            external: Some(address),
            mtu: 1_500,
            weight: NonZeroU32::MIN,
            next_hop: None,
            dhcp,
            probed: Arc::default(),
            owner: AddressOwner::Router,
        };
        let (first, second) = (Ipv4Addr::new(100, 64, 7, 9), Ipv4Addr::new(100, 64, 7, 10));
        let snapshot = |uplinks| Snapshot { uplinks, ..Snapshot::default() };
        let quiet = snapshot(vec![uplink(first, DhcpAnswers::Unwanted)]);
        let renewing = Snapshot { generation: 7, ..snapshot(vec![uplink(first, DhcpAnswers::Awaited)]) };
        assert!(quiet.is_same_for_flows(&renewing));
        assert!(!quiet.is_same_for_flows(&snapshot(vec![uplink(second, DhcpAnswers::Unwanted)])));
        assert!(!quiet.is_same_for_flows(&snapshot(Vec::new())));
    }
}
