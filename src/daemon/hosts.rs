//! Who is who on the LANs: the addresses that a host has now, whatever it is named by.
//!
//! Theory of operation: the kernel's neighbour table says which Ethernet address answers at which address, the DHCP server's
//! leases say so, too, and give names. The last that was heard of an address counts. Nothing is forgotten because the kernel
//! has: a host whose connections are busy need not ask for the router's Ethernet address for hours, and the kernel throws
//! away whom it has not heard of for a minute. So an address is a host's until somebody else is heard to have it.
//!
//! It reads nothing itself, and says of no host that it is there.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

pub(super) use crate::config::HostIdentity;
use crate::config::HostName;
use crate::wire::MacAddress;

/// Most addresses that are remembered: more than the kernel's table has room for. Beyond, who was not heard of for the longest
/// time is forgotten.
const MOST_ADDRESSES: usize = 4_096;

/// What a DHCP server says of a host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lease {
    pub(super) address: Ipv4Addr,
    pub(super) mac: MacAddress,
    /// As the host calls itself, if it does.
    pub(super) name: Option<HostName>,
}

/// Whether what was heard is news.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Some host has other addresses, or another name, than was known.
    News,
    Nothing,
}

#[derive(Clone, Copy, Debug)]
struct Owner {
    mac: MacAddress,
    /// When it was last heard of: the more, the later.
    heard: u64,
}

/// What is known of the hosts.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    owners: BTreeMap<Ipv4Addr, Owner>,
    /// In their order.
    leases: Vec<Lease>,
    /// How often anything was heard.
    heard: u64,
}

impl Hosts {
    /// Takes in that a host has an address.
    pub(super) fn handle_neighbor(&mut self, address: Ipv4Addr, mac: MacAddress) -> Heard {
        self.heard += 1;
        let before = self.owners.insert(address, Owner { mac, heard: self.heard });
        if self.owners.len() > MOST_ADDRESSES {
            let longest_silent = self.owners.iter().min_by_key(|(_, owner)| owner.heard).map(|(address, _)| *address);
            longest_silent.and_then(|address| self.owners.remove(&address));
        }
        if before.is_some_and(|before| before.mac == mac) { Heard::Nothing } else { Heard::News }
    }

    /// Takes in all leases that there are now. What a lease says anew is taken to be later than what was heard before.
    pub(super) fn handle_leases(&mut self, mut leases: Vec<Lease>) -> Heard {
        leases.sort_unstable();
        leases.dedup();
        if leases == self.leases {
            return Heard::Nothing;
        }
        let before = std::mem::replace(&mut self.leases, leases.clone());
        let is_known = |new: &Lease| before.iter().any(|old| (old.address, old.mac) == (new.address, new.mac));
        for lease in leases.iter().filter(|lease| !is_known(lease)) {
            let _news_already = self.handle_neighbor(lease.address, lease.mac);
        }
        Heard::News
    }

    /// The addresses that a host has now, in their order; none while nobody knows them.
    pub(super) fn addresses(&self, host: &HostIdentity) -> Vec<Ipv4Addr> {
        match host {
            HostIdentity::Address(address) => vec![*address],
            HostIdentity::Mac(mac) => self.addresses_of(*mac),
            HostIdentity::Name(name) => {
                let its = self.leases.iter().filter(|lease| lease.name.as_ref() == Some(name));
                let mut addresses: Vec<_> = its.flat_map(|lease| self.addresses_of(lease.mac)).collect();
                addresses.sort_unstable();
                addresses.dedup();
                addresses
            }
        }
    }

    /// The Ethernet address of the host that has an address.
    pub(super) fn mac_of(&self, address: Ipv4Addr) -> Option<MacAddress> {
        self.owners.get(&address).map(|owner| owner.mac)
    }

    /// The name of the host that has an address.
    pub(super) fn name_of(&self, address: Ipv4Addr) -> Option<String> {
        let mac = self.mac_of(address)?;
        let its = || self.leases.iter().filter(|lease| lease.mac == mac);
        let named = its().find(|lease| lease.address == address).or_else(|| its().next());
        named?.name.as_ref().map(ToString::to_string)
    }

    fn addresses_of(&self, mac: MacAddress) -> Vec<Ipv4Addr> {
        self.owners.iter().filter(|(_, owner)| owner.mac == mac).map(|(address, _)| *address).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Heard::{News, Nothing};

    const fn mac(last: u8) -> MacAddress {
        MacAddress([2, 0, 0, 0, 0, last])
    }

    const fn address(last: u8) -> Ipv4Addr {
        Ipv4Addr::new(192, 168, 10, last)
    }

    fn lease(last: u8, host: u8, name: &str) -> Lease {
        Lease { address: address(last), mac: mac(host), name: HostName::new(name) }
    }

    fn named(name: &str) -> HostIdentity {
        HostIdentity::Name(HostName::new(name).unwrap())
    }

    #[test]
    fn host_is_found_by_its_ethernet_address_whatever_address_it_takes() {
        let mut hosts = Hosts::default();
        let host = HostIdentity::Mac(mac(7));
        assert!(hosts.addresses(&host).is_empty());
        assert_eq!(hosts.handle_neighbor(address(50), mac(7)), News);
        assert_eq!(hosts.handle_neighbor(address(50), mac(7)), Nothing);
        assert_eq!(hosts.handle_neighbor(address(60), mac(7)), News);
        assert_eq!(hosts.addresses(&host), [address(50), address(60)]);
        // Its old address is its own until somebody else has it.
        assert_eq!(hosts.handle_neighbor(address(50), mac(8)), News);
        assert_eq!(hosts.addresses(&host), [address(60)]);
        assert_eq!((hosts.mac_of(address(50)), hosts.mac_of(address(51))), (Some(mac(8)), None));
        assert_eq!(hosts.addresses(&HostIdentity::Address(address(99))), [address(99)]);
    }

    #[test]
    fn host_is_found_by_the_name_in_its_lease() {
        let mut hosts = Hosts::default();
        assert_eq!(hosts.handle_leases(vec![lease(50, 7, "Laptop"), lease(51, 8, "*")]), News);
        assert_eq!(hosts.handle_leases(vec![lease(51, 8, "*"), lease(50, 7, "laptop")]), Nothing);
        assert_eq!(hosts.addresses(&named("laptop")), [address(50)]);
        // An address that it gives itself is its own, too.
        assert_eq!(hosts.handle_neighbor(address(90), mac(7)), News);
        assert_eq!(hosts.addresses(&named("LAPTOP")), [address(50), address(90)]);
        let name = |hosts: &Hosts, last| hosts.name_of(address(last));
        let laptop = Some("laptop".to_owned());
        assert_eq!([50, 51, 90, 91].map(|last| name(&hosts, last)), [laptop.clone(), None, laptop, None]);
        // It gets another, and another host the one that it had.
        assert_eq!(hosts.handle_leases(vec![lease(60, 7, "laptop"), lease(50, 9, "printer")]), News);
        assert_eq!(hosts.addresses(&named("laptop")), [address(60), address(90)]);
        assert_eq!(name(&hosts, 50).as_deref(), Some("printer"));
        assert_eq!(hosts.handle_leases(Vec::new()), News);
        assert!(hosts.addresses(&named("laptop")).is_empty());
    }

    #[test]
    fn who_was_not_heard_of_for_the_longest_time_is_forgotten_first() {
        let mut hosts = Hosts::default();
        let at = |number: u32| Ipv4Addr::from_bits(0x0a00_0000 + number);
        let many = u32::try_from(MOST_ADDRESSES).unwrap();
        for number in (0..many).chain([0]) {
            let _ = hosts.handle_neighbor(at(number), mac(1));
        }
        let _ = hosts.handle_neighbor(at(many), mac(2));
        assert_eq!((hosts.mac_of(at(0)), hosts.mac_of(at(1))), (Some(mac(1)), None));
        assert_eq!(hosts.owners.len(), MOST_ADDRESSES);
    }
}
