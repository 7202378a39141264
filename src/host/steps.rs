//! The steps of setting the machine up. Each looks first, does nothing where nothing is to be done, and otherwise writes
//! its undoing to the journal before it acts.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::BorrowedFd;

use ipnet::{IpNet, Ipv4Net};

use super::entry::{Target, Undo};
use super::error::{HostError, HostWarning};
use super::interface::Interface;
use super::journal::Journal;
use super::netlink::{LinkChange, Netlink};
use super::networks;
use super::routing::{self, Slots};
use super::sysctl::{self, Family};
use super::traffic_filter::{self, CLSACT, Hook};
use crate::sys::ethtool;
use crate::sys::kernel;

/// The kernel and the book.
pub(super) struct Steps {
    pub(super) netlink: Netlink,
    pub(super) journal: Journal,
}

/// Offloads for an interface on which packets are received: super-packets of TCP and UDP, made in a way that lets them be sent
/// on. LRO makes some that cannot be; so does UDP's GRO where a packet socket has no words for the result.
fn receive_features() -> [(&'static str, bool); 3] {
    [("rx-lro", false), ("rx-gro", true), ("rx-udp-gro-forwarding", kernel::describes_udp_super_packets())]
}

impl Steps {
    /// Sets a switch. One that this kernel does not have is passed over.
    pub(super) fn set_sysctl(
        &mut self,
        interface: &Interface,
        family: Family,
        key: &str,
        value: &str,
    ) -> Result<(), HostError> {
        let Some(old) = sysctl::read(family, &interface.name, key)? else { return Ok(()) };
        if old == value {
            return Ok(());
        }
        self.journal.record(Undo::Sysctl { target: target(interface), family, key: key.to_owned(), value: old })?;
        sysctl::write(family, &interface.name, key, value)
    }

    /// Takes IPv6 off an interface. The kernel forgets its addresses then; those that somebody set are noted down.
    pub(super) async fn disable_ipv6(&mut self, interface: &Interface) -> Result<Vec<HostWarning>, HostError> {
        let mut warnings = Vec::new();
        for address in self.netlink.addresses().await? {
            let IpNet::V6(net) = address.net else { continue };
            if address.interface_index != interface.index
                || !address.is_permanent()
                || net.addr().is_unicast_link_local()
            {
                continue;
            }
            let flags = address.flags.bits();
            self.journal.record(Undo::Ipv6Address { target: target(interface), address: net, flags })?;
            warnings.push(HostWarning::Ipv6AddressSuspended { interface: interface.name.clone(), address: net });
        }
        self.set_sysctl(interface, Family::Ipv6, "disable_ipv6", "1")?;
        Ok(warnings)
    }

    /// Puts an address on an interface that is good on this link only.
    pub(super) async fn add_link_address(&mut self, interface: &Interface, net: Ipv4Net) -> Result<(), HostError> {
        let there = self.netlink.addresses().await?;
        if networks::addresses_of(&there, interface.index).contains(&net) {
            return Ok(());
        }
        self.journal.record(Undo::Ipv4Address(target(interface), net))?;
        let result = self.netlink.add_link_address(interface.index, net).await;
        result.map_err(|source| HostError::from_kernel(format!("{}: add the address {net}", interface.name), source))
    }

    /// Sets the link up.
    pub(super) async fn set_up(&mut self, interface: &Interface) -> Result<(), HostError> {
        if interface.up {
            return Ok(());
        }
        self.journal.record(Undo::LinkDown(target(interface)))?;
        self.netlink.change_link(interface, LinkChange::Up).await
    }

    /// Sets the MTU.
    pub(super) async fn set_mtu(&mut self, interface: &Interface, mtu: u32) -> Result<(), HostError> {
        if interface.mtu == mtu {
            return Ok(());
        }
        self.journal.record(Undo::Mtu(target(interface), interface.mtu))?;
        self.netlink.change_link(interface, LinkChange::Mtu(mtu)).await
    }

    /// Sets the transmit queue's length.
    pub(super) async fn set_queue_length(&mut self, interface: &Interface, length: u32) -> Result<(), HostError> {
        if interface.queue_length == length {
            return Ok(());
        }
        self.journal.record(Undo::QueueLength(target(interface), interface.queue_length))?;
        self.netlink.change_link(interface, LinkChange::QueueLength(length)).await
    }

    /// Sets the offloads of an interface on which packets are received, as far as it has them.
    pub(super) fn set_receive_features(&mut self, interface: &Interface) -> Result<Vec<HostWarning>, HostError> {
        let mut warnings = Vec::new();
        for (feature, on) in receive_features() {
            if let Err(source) = self.set_feature(interface, feature, on)? {
                warnings.push(HostWarning::Offload { interface: interface.name.clone(), feature, on, source });
            }
        }
        Ok(warnings)
    }

    /// Wants an offload on or off. The inner result is the device's, and may be lived with.
    pub(super) fn set_feature(
        &mut self,
        interface: &Interface,
        name: &str,
        on: bool,
    ) -> Result<io::Result<()>, HostError> {
        let state = || -> io::Result<Option<ethtool::Feature>> {
            Ok(ethtool::features(&interface.name)?.into_iter().find(|feature| feature.name == name))
        };
        let unsupported = || io::Error::from_raw_os_error(libc::EOPNOTSUPP);
        let old = match state() {
            Ok(Some(old)) => old,
            Ok(None) if on => return Ok(Err(unsupported())),
            Ok(None) => return Ok(Ok(())),
            Err(error) => return Ok(Err(error)),
        };
        if old.active == on {
            return Ok(Ok(()));
        }
        if !old.changeable {
            return Ok(Err(unsupported()));
        }
        let feature = name.to_owned();
        self.journal.record(Undo::Feature { target: target(interface), feature, on: old.wanted })?;
        Ok(ethtool::set_feature(&interface.name, name, on).and_then(|()| match state()? {
            Some(new) if new.active == on => Ok(()),
            _ => Err(unsupported()),
        }))
    }

    /// Puts a guard at the interface's ingress, or replaces the one that is there, in one step.
    pub(super) async fn guard(&mut self, interface: &Interface, program: BorrowedFd<'_>) -> Result<(), HostError> {
        self.guard_at(interface, Hook::Ingress, program).await
    }

    /// Puts a guard at the interface's egress, or replaces the one that is there, in one step.
    pub(super) async fn guard_egress(
        &mut self,
        interface: &Interface,
        program: BorrowedFd<'_>,
    ) -> Result<(), HostError> {
        self.guard_at(interface, Hook::Egress, program).await
    }

    /// Whether an egress hook is there, or can be made.
    pub(super) async fn has_egress(&self, interface: &Interface) -> Result<bool, HostError> {
        let failed = |source| HostError::from_kernel(format!("{}: look for its egress hook", interface.name), source);
        let there = traffic_filter::ingress_qdisc(&self.netlink, interface.index).await.map_err(failed)?;
        Ok(there.is_none_or(|kind| kind == CLSACT))
    }

    async fn guard_at(&mut self, interface: &Interface, hook: Hook, program: BorrowedFd<'_>) -> Result<(), HostError> {
        let error = |source: io::Error| match source.raw_os_error() {
            Some(libc::ENODEV) => HostError::NoInterface { name: interface.name.clone() },
            _ => HostError::from_kernel(format!("{}: attach the {} guard", interface.name, hook.name()), source),
        };
        let index = interface.index;
        if traffic_filter::ingress_qdisc(&self.netlink, index).await.map_err(error)?.is_none() {
            self.journal.record(Undo::Clsact(target(interface)))?;
            traffic_filter::add_clsact(&self.netlink, index).await.map_err(error)?;
        }
        let priority = traffic_filter::priority(&self.netlink, index, hook).await.map_err(error)?;
        self.journal.record(match hook {
            Hook::Ingress => Undo::Filter { target: target(interface), priority },
            Hook::Egress => Undo::EgressFilter { target: target(interface), priority },
        })?;
        traffic_filter::attach(&self.netlink, index, hook, priority, program).await.map_err(error)
    }

    /// Puts a program at the egress hook of our own TUN device. Not in the journal: it goes with the device.
    pub(super) async fn watch_tun(&mut self, tun: &Interface, program: BorrowedFd<'_>) -> Result<(), HostError> {
        let error = |source| HostError::from_kernel(format!("{}: attach the egress program", tun.name), source);
        if traffic_filter::ingress_qdisc(&self.netlink, tun.index).await.map_err(error)?.is_none() {
            traffic_filter::add_clsact(&self.netlink, tun.index).await.map_err(error)?;
        }
        let priority = traffic_filter::priority(&self.netlink, tun.index, Hook::Egress).await.map_err(error)?;
        traffic_filter::attach(&self.netlink, tun.index, Hook::Egress, priority, program).await.map_err(error)
    }

    /// Leads the packets that come in by `interface` to our table.
    pub(super) async fn add_rules(&mut self, interface: &str, slots: Slots) -> Result<(), HostError> {
        for priority in [slots.priority, slots.priority + 1] {
            self.journal.record(Undo::Rule { interface: interface.to_owned(), priority })?;
        }
        let result = routing::add_rules(&self.netlink, interface, slots).await;
        result.map_err(|source| HostError::from_kernel(format!("add the rules for iif {interface}"), source))
    }

    /// Leads our table to the TUN device.
    pub(super) async fn fill_table(&mut self, table: u32, tun: &Interface, source: Ipv4Addr) -> Result<(), HostError> {
        if !networks::is_local(&self.netlink.addresses().await?, source) {
            return Err(HostError::NotLocal { address: source });
        }
        self.journal.record(Undo::Table(table))?;
        let result = routing::fill_table(&self.netlink, table, tun.index, source).await;
        result.map_err(|error| HostError::from_kernel(format!("add routes by {} to table {table}", tun.name), error))
    }
}

fn target(interface: &Interface) -> Target {
    Target { index: interface.index, name: interface.name.clone() }
}
