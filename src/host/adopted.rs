//! What the router does on an interface whose address is the kernel's: nearly nothing.
//!
//! The kernel's own connections must find their way out as if we were not there, although the machine's default route leads to
//! the TUN device (see `routing`). So two rules stand before those, for the machine's own packets only:
//! ```text
//! 7399: from all iif lo oif <interface> lookup main     bound to the interface: `ping -I`, `curl --interface`
//! 7399: from <its address> iif lo lookup main           from its address: answers of a service, and whoever binds to it
//! ```

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::BorrowedFd;

use ipnet::Ipv4Net;
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use rtnetlink::packet_route::route::RouteHeader;
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};

use super::entry::Undo;
use super::error::{HostError, HostWarning};
use super::interface::Interface;
use super::machine::Host;
use super::netlink::{Netlink, accept};
use super::networks;
use super::routing::{LOOPBACK, PROTOCOL, rule_priority};
use super::sysctl::Family;

/// What the kernel has on an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelLine {
    /// Its first address, and the network around.
    pub network: Option<Ipv4Net>,
    /// The gateway of its best default route there.
    pub gateway: Option<Ipv4Addr>,
}

impl Host {
    /// What the kernel has on an interface.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub async fn kernel_line(&self, interface: &Interface) -> Result<KernelLine, HostError> {
        let (addresses, routes) = (self.netlink().addresses().await?, self.netlink().routes().await?);
        let network = networks::addresses_of(&addresses, interface.index).first().copied();
        Ok(KernelLine { network, gateway: networks::default_gateway(&routes, interface.index) })
    }

    /// Gets an interface ready to be shared with the kernel, whether that has an address there or not yet: `egress` (as from
    /// `io::adopted_egress_guard`) at egress, no forwarding. Addresses, routes, IPv6 and the state of the link stay as they are.
    ///
    /// # Errors
    /// As [`Host::prepare_uplink`].
    pub async fn prepare_adopted(
        &mut self,
        interface: &Interface,
        egress: BorrowedFd<'_>,
    ) -> Result<Vec<HostWarning>, HostError> {
        let interface = self.take_uplink(interface).await?;
        self.steps_mut().guard_egress(&interface, egress).await?;
        self.steps_mut().set_sysctl(&interface, Family::Ipv4, "forwarding", "0")?;
        // The kernel's source check knows one default route, and there are as many as lines.
        self.steps_mut().set_sysctl(&interface, Family::Ipv4, "rp_filter", "2")?;
        if interface.is_ethernet() { self.steps_mut().set_receive_features(&interface) } else { Ok(Vec::new()) }
    }

    /// Shares `address`, which the kernel has on the interface: `guard` (as from `io::adopted_guard`) at ingress, and the rules
    /// above. To be done again when the address is another.
    ///
    /// # Errors
    /// As [`Host::prepare_uplink`].
    pub async fn share_address(
        &mut self,
        interface: &Interface,
        address: Ipv4Addr,
        guard: BorrowedFd<'_>,
    ) -> Result<(), HostError> {
        let interface = self.take_uplink(interface).await?;
        self.steps_mut().guard(&interface, guard).await?;
        let wanted = (interface.name.clone(), address);
        if self.bypasses().get(&interface.index) != Some(&wanted) {
            self.remove_bypass(interface.index).await?;
            self.add_bypass(interface.index, wanted).await?;
        }
        Ok(())
    }

    async fn add_bypass(&mut self, index: u32, bypass: (String, Ipv4Addr)) -> Result<(), HostError> {
        let priority = self.bypass_priority().await?;
        self.steps_mut().journal.record(Undo::Rule { interface: LOOPBACK.to_owned(), priority })?;
        for rule in rules(priority, &bypass) {
            let added = self.netlink().request(RouteNetlinkMessage::NewRule(rule), NLM_F_CREATE | NLM_F_EXCL).await;
            let failed =
                |source| HostError::from_kernel(format!("add a rule for the kernel's own use of {}", bypass.0), source);
            accept(added, libc::EEXIST).map_err(failed)?;
        }
        self.bypasses().insert(index, bypass);
        Ok(())
    }

    /// Takes the rules of an interface away, if it has some.
    pub(super) async fn remove_bypass(&mut self, index: u32) -> Result<(), HostError> {
        let Some(bypass) = self.bypasses().remove(&index) else { return Ok(()) };
        let priority = self.bypass_priority().await?;
        delete(self.netlink(), priority, &bypass).await
    }
}

fn rules(priority: u32, (interface, address): &(String, Ipv4Addr)) -> [RuleMessage; 2] {
    let rule = |what, source_length| {
        let mut rule = RuleMessage::default();
        rule.header.family = AddressFamily::Inet;
        rule.header.action = RuleAction::ToTable;
        rule.header.table = RouteHeader::RT_TABLE_MAIN;
        rule.header.src_len = source_length;
        rule.attributes = vec![
            RuleAttribute::Iifname(LOOPBACK.to_owned()),
            RuleAttribute::Priority(priority),
            RuleAttribute::Protocol(PROTOCOL),
            what,
        ];
        rule
    };
    [rule(RuleAttribute::Oifname(interface.clone()), 0), rule(RuleAttribute::Source(IpAddr::V4(*address)), 32)]
}

async fn delete(netlink: &Netlink, priority: u32, (interface, address): &(String, Ipv4Addr)) -> Result<(), HostError> {
    let its = [RuleAttribute::Oifname(interface.clone()), RuleAttribute::Source(IpAddr::V4(*address))];
    for rule in netlink.rules().await? {
        let is_ours = rule.attributes.contains(&RuleAttribute::Protocol(PROTOCOL));
        if is_ours && rule_priority(&rule) == priority && its.iter().any(|its| rule.attributes.contains(its)) {
            let deleted = netlink.request(RouteNetlinkMessage::DelRule(rule), 0).await;
            accept(deleted, libc::ENOENT).map_err(|source| HostError::from_kernel("delete a rule", source))?;
        }
    }
    Ok(())
}
