//! Networks that stay with the kernel though it has no route of their own to them: whatever its main table says of them, a
//! default route too, comes before the TUN device.
//!
//! For each interface whose packets are led to the TUN device, and for the machine's own (see `routing`):
//! ```text
//! 7399: from all to <network> iif <interface> lookup main
//! ```

use std::net::IpAddr;

use ipnet::Ipv4Net;
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use rtnetlink::packet_route::route::RouteHeader;
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};

use super::entry::Undo;
use super::error::HostError;
use super::machine::Host;
use super::netlink::accept;
use super::routing::{PROTOCOL, rule_priority};

impl Host {
    /// Leaves these networks to the kernel, for packets that come in by these interfaces (as in `iif`), and takes back what
    /// was left to it before. To be done again whenever either changes.
    ///
    /// # Errors
    /// When the kernel does not answer or refuses, or the journal cannot be written.
    pub async fn leave_to_kernel(&mut self, interfaces: &[&str], networks: &[Ipv4Net]) -> Result<(), HostError> {
        let priority = self.bypass_priority().await?;
        let wanted: Vec<(&str, Ipv4Net)> = interfaces
            .iter()
            .flat_map(|interface| networks.iter().map(move |network| (*interface, *network)))
            .collect();
        let mut there = Vec::new();
        for rule in self.netlink().rules().await? {
            let Some((interface, network)) = read(&rule, priority) else { continue };
            if wanted.contains(&(interface.as_str(), network)) {
                there.push((interface, network));
            } else {
                let deleted = self.netlink().request(RouteNetlinkMessage::DelRule(rule), 0).await;
                accept(deleted, libc::ENOENT).map_err(|source| HostError::from_kernel("delete a rule", source))?;
            }
        }
        for (interface, network) in wanted {
            if !there.iter().any(|(name, there)| name == interface && *there == network) {
                self.add_direct(interface, network, priority).await?;
            }
        }
        Ok(())
    }

    async fn add_direct(&mut self, interface: &str, network: Ipv4Net, priority: u32) -> Result<(), HostError> {
        self.steps_mut().journal.record(Undo::Rule { interface: interface.to_owned(), priority })?;
        let message = RouteNetlinkMessage::NewRule(rule(interface, network, priority));
        let added = self.netlink().request(message, NLM_F_CREATE | NLM_F_EXCL).await;
        let failed = |source| HostError::from_kernel(format!("add the rule for {network} and iif {interface}"), source);
        accept(added, libc::EEXIST).map_err(failed)
    }
}

fn rule(interface: &str, network: Ipv4Net, priority: u32) -> RuleMessage {
    let mut rule = RuleMessage::default();
    rule.header.family = AddressFamily::Inet;
    rule.header.action = RuleAction::ToTable;
    rule.header.table = RouteHeader::RT_TABLE_MAIN;
    rule.header.dst_len = network.prefix_len();
    rule.attributes = vec![
        RuleAttribute::Iifname(interface.to_owned()),
        RuleAttribute::Destination(IpAddr::V4(network.network())),
        RuleAttribute::Priority(priority),
        RuleAttribute::Protocol(PROTOCOL),
    ];
    rule
}

/// The interface and network of a rule of ours, if it is one of this file.
fn read(rule: &RuleMessage, priority: u32) -> Option<(String, Ipv4Net)> {
    let is_ours = rule.attributes.contains(&RuleAttribute::Protocol(PROTOCOL)) && rule_priority(rule) == priority;
    let interface = rule.attributes.iter().find_map(|attribute| match attribute {
        RuleAttribute::Iifname(name) => Some(name.clone()),
        _ => None,
    })?;
    let address = rule.attributes.iter().find_map(|attribute| match attribute {
        RuleAttribute::Destination(IpAddr::V4(address)) => Some(*address),
        _ => None,
    })?;
    let network = Ipv4Net::new(address, rule.header.dst_len).ok()?;
    is_ours.then_some((interface, network))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_that_we_make_is_read_back_and_others_are_left_alone() {
        let network: Ipv4Net = "10.50.0.0/16".parse().unwrap();
        let ours = rule("lan0", network, 7399);
        assert_eq!(read(&ours, 7399), Some(("lan0".to_owned(), network)));
        assert_eq!(read(&ours, 7400), None);
        let mut somebodys = ours.clone();
        somebodys.attributes.retain(|attribute| *attribute != RuleAttribute::Protocol(PROTOCOL));
        assert_eq!(read(&somebodys, 7399), None);
        let mut of_a_line = ours;
        of_a_line.attributes.retain(|attribute| !matches!(attribute, RuleAttribute::Destination(_)));
        assert_eq!(read(&of_a_line, 7399), None);
    }
}
