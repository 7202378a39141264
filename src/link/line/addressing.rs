//! Where a line's address and its gateway's come from, and what each of these sources needs.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::flow::Timestamp;
use crate::link::dhcp;
use crate::link::neighbor::Neighbor;
use crate::link::pppoe;
use crate::wire::MacAddress;

/// Our address on a line, and the gateway's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Ours.
    pub address: Ipv4Addr,
    /// The gateway's.
    pub gateway: Ipv4Addr,
}

/// The source of a line's addresses.
#[derive(Debug)]
pub(super) enum Addressing {
    Static(Ends),
    Dhcp(Box<dhcp::Client>),
    Pppoe(Box<pppoe::Client>),
    /// The kernel's, as far as it has one.
    Adopted(Option<Ends>, Attachment),
}

/// How packets get from an interface to the far end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attachment {
    /// By Ethernet: the gateway is one of many.
    Ethernet,
    /// Without link header: there is one far end.
    Bare,
}

impl Addressing {
    /// Our address and the gateway's; `None` while there are none.
    pub(super) fn ends(&self) -> Option<Ends> {
        match self {
            Self::Static(ends) => Some(*ends),
            Self::Dhcp(client) => client.lease().map(|lease| Ends { address: lease.address(), gateway: lease.gateway }),
            Self::Pppoe(client) => {
                client.connection().map(|connection| Ends { address: connection.address, gateway: connection.gateway })
            }
            Self::Adopted(ends, _) => *ends,
        }
    }

    /// The interface has a carrier. What asks for the gateway, if an address is there at once and somebody is to be asked.
    pub(super) fn start(&mut self, now: Timestamp, mac: MacAddress) -> Option<Neighbor> {
        match self {
            Self::Static(ends) => Some(Neighbor::new(now, mac, ends.address, ends.gateway)),
            Self::Adopted(Some(ends), Attachment::Ethernet) => {
                Some(Neighbor::asking(now, mac, ends.address, ends.gateway))
            }
            Self::Adopted(..) => None,
            Self::Dhcp(client) => {
                client.start(now, mac);
                None
            }
            Self::Pppoe(client) => {
                client.start(now, mac);
                None
            }
        }
    }

    /// The interface has no carrier any more.
    pub(super) fn stop(&mut self) {
        match self {
            Self::Static(_) | Self::Adopted(..) => {}
            Self::Dhcp(client) => client.stop(),
            Self::Pppoe(client) => client.stop(),
        }
    }

    /// Gives the address back, if it was given for a time.
    pub(super) fn release(&mut self) {
        match self {
            Self::Static(_) | Self::Adopted(..) => {}
            Self::Dhcp(client) => client.release(),
            Self::Pppoe(client) => client.release(),
        }
    }

    /// Has the provider give an address anew, if it is a provider who gives it.
    pub(super) fn redial(&mut self, now: Timestamp) {
        match self {
            Self::Static(_) | Self::Adopted(..) => {}
            Self::Dhcp(client) => client.redial(now),
            Self::Pppoe(client) => client.redial_by_hand(now),
        }
    }

    /// Takes in the networks of the LANs, which an address that the provider gives must not overlap.
    pub(super) fn handle_lan_networks(&mut self, now: Timestamp, lans: &[Ipv4Net]) {
        match self {
            Self::Static(_) | Self::Adopted(..) => {}
            Self::Dhcp(client) => client.handle_lan_networks(now, lans),
            Self::Pppoe(client) => client.handle_lan_networks(now, lans),
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Timestamp) {
        match self {
            Self::Static(_) | Self::Adopted(..) => {}
            Self::Dhcp(client) => client.handle_timeout(now),
            Self::Pppoe(client) => client.handle_timeout(now),
        }
    }

    pub(super) fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        match self {
            Self::Static(_) | Self::Adopted(..) => None,
            Self::Dhcp(client) => client.poll_transmit(),
            Self::Pppoe(client) => client.poll_transmit(),
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        match self {
            Self::Static(_) | Self::Adopted(..) => None,
            Self::Dhcp(client) => client.poll_timeout(),
            Self::Pppoe(client) => client.poll_timeout(),
        }
    }
}
