//! Who is who on the LANs: the addresses that a host has now, whatever it is named by.

use std::net::Ipv4Addr;

use crate::wire::MacAddress;

/// How people name a host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum HostIdentity {
    /// By its address.
    Address(Ipv4Addr),
    /// By its Ethernet address.
    Mac(MacAddress),
}

/// What is known of the hosts.
#[derive(Debug, Default)]
pub(super) struct Hosts {}

impl Hosts {
    /// What people call the host at an address.
    pub(super) fn name_of(&self, _address: Ipv4Addr) -> Option<String> {
        None
    }

    /// The Ethernet address of the host at an address.
    pub(super) fn mac_of(&self, _address: Ipv4Addr) -> Option<MacAddress> {
        None
    }

    /// The addresses that a host has now; none while nobody knows them.
    pub(super) fn addresses(&self, host: &HostIdentity) -> Vec<Ipv4Addr> {
        match host {
            HostIdentity::Address(address) => vec![*address],
            HostIdentity::Mac(_) => Vec::new(),
        }
    }
}
