//! The rules and the table that lead packets to the TUN device.
//!
//! For each LAN interface, and for `lo`, which stands for the machine's own packets:
//! ```text
//! 7400: from all iif <interface> lookup main suppress_prefixlength 0     what the machine has a route to stays with it,
//! 7401: from all iif <interface> lookup 7400                             all else goes to the TUN device
//!
//! table 7400: default dev potato0 src <LAN address>
//!             unreachable default metric 4278198272                      while there is no TUN device, nothing leaks
//! ```
//! Where packets are taken by sockets instead, none comes to these rules; but the kernel's source check asks them about what goes
//! from the TUN device to that interface.
//!
//! Where somebody else has rules of these priorities or uses the table, the next free ones are taken. Rules and routes of
//! ours carry [`PROTOCOL`]; nothing else is ever changed or deleted.

use std::io;
use std::net::Ipv4Addr;

use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use rtnetlink::packet_route::route::{RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType};
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};

use super::error::HostError;
use super::netlink::{Netlink, accept};

/// Who made a rule or route (`RTPROT_*`, `FRA_PROTOCOL`): us. Not among those that iproute2 knows.
pub const PROTOCOL: RouteProtocol = RouteProtocol::Other(112);
/// The first table that is tried: above the 255 that people number by hand, away from those of wg-quick (51820) and
/// Tailscale (52).
pub const TABLE: u32 = 7400;
/// The first priority that is tried, of two that follow one another: after what people write by hand (below 1000) and
/// Tailscale (5210-5270), before wg-quick (32764), systemd-networkd's and NetworkManager's defaults and the main table (32766).
pub const PRIORITY: u32 = 7400;
/// The interface that stands for the machine's own packets in a rule.
pub const LOOPBACK: &str = "lo";

/// Worse than any other route; as NetworkManager and others number their last resort.
const LAST_RESORT_METRIC: u32 = 4_278_198_272;

/// The table and priorities that this run uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slots {
    pub(super) table: u32,
    /// Of `lookup main`; the next one is that of our table.
    pub(super) priority: u32,
}

impl Slots {
    /// The first free ones.
    pub(super) async fn find(netlink: &Netlink) -> Result<Self, HostError> {
        Ok(Self::among(&netlink.rules().await?, &netlink.routes().await?))
    }

    fn among(rules: &[RuleMessage], routes: &[RouteMessage]) -> Self {
        let free_table = |table: &u32| {
            rules.iter().all(|rule| rule_table(rule) != *table)
                && routes.iter().all(|route| route_table(route) != *table)
        };
        let free_priority = |first: &u32| rules.iter().all(|rule| ![*first, *first + 1].contains(&rule_priority(rule)));
        Self {
            table: (TABLE..).find(free_table).unwrap_or(TABLE),
            priority: (PRIORITY..).find(free_priority).unwrap_or(PRIORITY),
        }
    }
}

/// Adds the two rules for packets that come in by `interface`, where they are not there yet.
pub(super) async fn add_rules(netlink: &Netlink, interface: &str, slots: Slots) -> io::Result<()> {
    let keep_local = [RuleAttribute::Table(RouteHeader::RT_TABLE_MAIN.into()), RuleAttribute::SuppressPrefixLen(0)];
    let take_rest = [RuleAttribute::Table(slots.table)];
    // Traffic between LANs is never to see the second rule without the first.
    add_rule(netlink, interface, slots.priority, &keep_local).await?;
    add_rule(netlink, interface, slots.priority + 1, &take_rest).await
}

async fn add_rule(netlink: &Netlink, interface: &str, priority: u32, what: &[RuleAttribute]) -> io::Result<()> {
    let mut rule = RuleMessage::default();
    rule.header.family = AddressFamily::Inet;
    rule.header.action = RuleAction::ToTable;
    rule.attributes.push(RuleAttribute::Iifname(interface.to_owned()));
    rule.attributes.push(RuleAttribute::Priority(priority));
    rule.attributes.push(RuleAttribute::Protocol(PROTOCOL));
    rule.attributes.extend_from_slice(what);
    let flags = NLM_F_CREATE | NLM_F_EXCL;
    accept(netlink.request(RouteNetlinkMessage::NewRule(rule), flags).await, libc::EEXIST)
}

/// Deletes our rule of this priority for packets that come in by `interface`, if it is there.
pub(super) async fn delete_rule(netlink: &Netlink, interface: &str, priority: u32) -> Result<(), HostError> {
    for rule in netlink.rules().await? {
        let is_for = rule.attributes.contains(&RuleAttribute::Iifname(interface.to_owned()));
        let is_ours = rule.attributes.contains(&RuleAttribute::Protocol(PROTOCOL));
        if is_for && is_ours && rule_priority(&rule) == priority {
            let result = netlink.request(RouteNetlinkMessage::DelRule(rule), 0).await;
            accept_gone(result).map_err(|source| HostError::from_kernel("delete a rule", source))?;
        }
    }
    Ok(())
}

/// Makes the table lead to the TUN device.
pub(super) async fn fill_table(netlink: &Netlink, table: u32, tun_index: u32, source: Ipv4Addr) -> io::Result<()> {
    let route = || RouteMessageBuilder::<Ipv4Addr>::new().table_id(table).protocol(PROTOCOL);
    let last_resort = route().kind(RouteType::Unreachable).priority(LAST_RESORT_METRIC).build();
    let default = route().output_interface(tun_index).scope(RouteScope::Link).pref_source(source).build();
    for message in [last_resort, default] {
        netlink.request(RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE | NLM_F_REPLACE).await?;
    }
    Ok(())
}

/// Deletes our routes from the table.
pub(super) async fn empty_table(netlink: &Netlink, table: u32) -> Result<(), HostError> {
    for route in netlink.routes().await? {
        if route_table(&route) == table && route.header.protocol == PROTOCOL {
            let result = netlink.request(RouteNetlinkMessage::DelRoute(route), 0).await;
            accept_gone(result).map_err(|source| HostError::from_kernel("delete a route", source))?;
        }
    }
    Ok(())
}

fn accept_gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH | libc::ENODEV)) => Ok(()),
        other => other,
    }
}

/// The priority of a rule.
pub(super) fn rule_priority(rule: &RuleMessage) -> u32 {
    let priority = |attribute: &_| if let RuleAttribute::Priority(value) = attribute { Some(*value) } else { None };
    rule.attributes.iter().find_map(priority).unwrap_or(0)
}

fn rule_table(rule: &RuleMessage) -> u32 {
    let table = |attribute: &_| if let RuleAttribute::Table(value) = attribute { Some(*value) } else { None };
    rule.attributes.iter().find_map(table).unwrap_or_else(|| rule.header.table.into())
}

/// The table that a route is in.
pub(super) fn route_table(route: &RouteMessage) -> u32 {
    let table = |attribute: &_| if let RouteAttribute::Table(value) = attribute { Some(*value) } else { None };
    route.attributes.iter().find_map(table).unwrap_or_else(|| route.header.table.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(priority: u32, table: u32) -> RuleMessage {
        let mut rule = RuleMessage::default();
        rule.attributes = vec![RuleAttribute::Priority(priority), RuleAttribute::Table(table)];
        rule
    }

    #[test]
    fn somebody_elses_priorities_and_tables_are_left_alone() {
        assert_eq!(Slots::among(&[], &[]), Slots { table: TABLE, priority: PRIORITY });
        let route = RouteMessageBuilder::<Ipv4Addr>::new().table_id(TABLE + 1).build();
        let slots = Slots::among(&[rule(PRIORITY + 1, TABLE), rule(PRIORITY + 4, 254)], &[route]);
        assert_eq!(slots, Slots { table: TABLE + 2, priority: PRIORITY + 2 });
    }
}
