//! The LAN side as the loop keeps it: each interface, and the TUN device.

use std::net::Ipv4Addr;
use std::path::Path;

use ipnet::Ipv4Net;

use super::DaemonError;
use crate::config::{Capture, InterfaceName};
use crate::host::Interface;
use crate::placement::{Lan, LanId, LanLink};

/// How packets are taken from a LAN interface: [`Capture`], decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// The kernel routes them to the TUN device.
    Tun,
    /// By packet sockets.
    Packet,
}

impl Mode {
    /// As in the configuration and in `status --json`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Tun => "tun",
            Self::Packet => "packet",
        }
    }

    /// What `capture` comes to on this interface.
    pub(super) fn choose(capture: Capture, interface: &Interface) -> Result<Self, DaemonError> {
        match capture {
            Capture::Tun => Ok(Self::Tun),
            Capture::Packet if interface.is_ethernet() => Ok(Self::Packet),
            Capture::Packet => Err(DaemonError::NotEthernet { interface: interface.name.clone() }),
            Capture::Auto if interface.is_ethernet() && !is_wireless(&interface.name) => Ok(Self::Packet),
            Capture::Auto => Ok(Self::Tun),
        }
    }
}

/// Whether it is a wireless interface: those look like Ethernet, but drivers differ in what packet sockets may do there.
fn is_wireless(interface: &str) -> bool {
    Path::new("/sys/class/net").join(interface).join("phy80211").exists()
}

/// A LAN interface.
#[derive(Debug)]
pub(super) struct LanState {
    pub(super) id: LanId,
    pub(super) name: InterfaceName,
    /// As the kernel last told of it; `None`: it is not there.
    pub(super) interface: Option<Interface>,
    /// The router's first address there, while the interface is there.
    pub(super) address: Option<Ipv4Addr>,
    /// The networks around the router's addresses there.
    pub(super) networks: Vec<Ipv4Net>,
    /// Whether the log has been told that there is no address.
    pub(super) address_missed: bool,
    /// How its packets are taken; `None`: they are not, for it is not there or has no address.
    pub(super) mode: Option<Mode>,
    /// Whether the workers have packet sockets there.
    pub(super) open: bool,
    /// Whether guard and sockets know the kernel's networks of before.
    pub(super) guard_stale: bool,
}

impl TunState {
    /// As the packet path needs it; `None` until it is prepared.
    pub(super) fn snapshot(&self) -> Option<Lan> {
        let (address, mtu) = self.prepared?;
        Some(Lan { id: LanId::TUN, interface: self.interface, link: LanLink::Tun, address, mtu })
    }
}

impl LanState {
    /// A LAN interface that nobody has seen yet.
    pub(super) fn new(id: LanId, name: InterfaceName) -> Self {
        Self {
            id,
            name,
            interface: None,
            address: None,
            networks: Vec::new(),
            address_missed: false,
            mode: None,
            open: false,
            guard_stale: false,
        }
    }

    /// As the packet path needs it; `None` unless packets are taken here by packet sockets.
    pub(super) fn snapshot(&self) -> Option<Lan> {
        let (interface, address) = (self.interface.as_ref()?, self.address?);
        let mac = interface.mac.filter(|_| self.mode == Some(Mode::Packet))?;
        let mtu = u16::try_from(interface.mtu).unwrap_or(u16::MAX);
        Some(Lan { id: self.id, interface: interface.index, link: LanLink::Ethernet(mac), address, mtu })
    }

    /// As in `status --json`.
    pub(super) fn state(&self) -> &'static str {
        match &self.interface {
            None => "missing",
            Some(_) if self.address.is_none() => "no-address",
            Some(interface) if interface.up && interface.carrier => "up",
            Some(_) => "down",
        }
    }
}

/// The TUN device.
#[derive(Debug, Default)]
pub(super) struct TunState {
    /// The address that the router's own packets get, and the MTU, once it is prepared.
    pub(super) prepared: Option<(Ipv4Addr, u16)>,
    /// The number of its interface, once it is prepared.
    pub(super) interface: u32,
    /// Somebody took a rule of ours away: prepare it again, and the LANs that are led to it.
    pub(super) stale: bool,
}
