//! Undoing: what each entry of the journal means to the kernel. What is gone already needs no undoing.

use std::io;

use super::entry::{Target, Undo};
use super::error::HostError;
use super::interface::Interface;
use super::netlink::{LinkChange, Netlink};
use super::traffic_filter::Hook;
use super::{routing, sysctl, traffic_filter};
use crate::sys::ethtool;

/// How the undoing went.
#[derive(Debug, Default)]
pub(super) struct Undone {
    /// A line for each entry that is undone, for the person.
    pub(super) lines: Vec<String>,
    /// What could not be undone, in the journal's order.
    pub(super) failed: Vec<Undo>,
    /// Why not.
    failures: Vec<String>,
}

impl Undone {
    /// The lines, if all is undone.
    pub(super) fn into_result(self) -> Result<Vec<String>, HostError> {
        if self.failures.is_empty() { Ok(self.lines) } else { Err(HostError::NotUndone { failures: self.failures }) }
    }

    /// Tells the log.
    pub(super) fn log(&self) {
        for line in &self.lines {
            tracing::info!(step = %line, "undone what an earlier run left");
        }
        for failure in &self.failures {
            tracing::warn!(error = %failure, "could not undo what an earlier run left");
        }
    }
}

/// Undoes the entries, last first. One that fails does not keep the others from being undone.
pub(super) async fn undo_all(netlink: &Netlink, entries: &[Undo]) -> Result<Undone, HostError> {
    let mut undone = Undone::default();
    for entry in entries.iter().rev() {
        // Read anew each time: the steps change links, and links come and go.
        let interfaces = netlink.interfaces().await?;
        let interface = entry.target().and_then(|target| interfaces.iter().find(|link| link.index == target.index));
        match undo(netlink, entry, interface).await {
            Ok(()) => undone.lines.push(describe(entry, interface)),
            Err(error) if error.is_gone() => undone.lines.push(describe(entry, None)),
            Err(error) => {
                undone.failures.push(error.to_string());
                undone.failed.insert(0, entry.clone());
            }
        }
    }
    Ok(undone)
}

async fn undo(netlink: &Netlink, entry: &Undo, interface: Option<&Interface>) -> Result<(), HostError> {
    match entry {
        Undo::Rule { interface, priority } => return routing::delete_rule(netlink, interface, *priority).await,
        Undo::Table(table) => return routing::empty_table(netlink, *table).await,
        _ => {}
    }
    let Some(interface) = interface else { return Ok(()) };
    let refused = |what: &str| {
        let name = interface.name.clone();
        let what = format!("{name}: {what}");
        move |source: io::Error| match source.raw_os_error() {
            Some(libc::ENODEV) => HostError::NoInterface { name },
            _ => HostError::from_kernel(what, source),
        }
    };
    match entry {
        Undo::Sysctl { family, key, value, .. } => match sysctl::read(*family, &interface.name, key)? {
            Some(now) if now != *value => sysctl::write(*family, &interface.name, key, value),
            _ => Ok(()),
        },
        Undo::LinkDown(_) => netlink.change_link(interface, LinkChange::Down).await,
        Undo::Mtu(_, mtu) => netlink.change_link(interface, LinkChange::Mtu(*mtu)).await,
        Undo::QueueLength(_, length) => netlink.change_link(interface, LinkChange::QueueLength(*length)).await,
        Undo::Feature { feature, on, .. } => {
            ethtool::set_feature(&interface.name, feature, *on).map_err(refused("restore an offload"))
        }
        Undo::Filter { priority, .. } => {
            let detached = traffic_filter::detach(netlink, interface.index, Hook::Ingress, *priority).await;
            detached.map_err(refused("delete the guard"))
        }
        Undo::EgressFilter { priority, .. } => {
            let detached = traffic_filter::detach(netlink, interface.index, Hook::Egress, *priority).await;
            detached.map_err(refused("delete the egress guard"))
        }
        Undo::Clsact(_) => traffic_filter::delete_unused_clsact(netlink, interface.index)
            .await
            .map_err(refused("delete the clsact qdisc")),
        Undo::Ipv4Address(_, address) => {
            netlink.delete_address(interface.index, *address).await.map_err(refused("take our address off"))
        }
        Undo::Ipv6Address { address, flags, .. } => netlink
            .add_ipv6_address(interface.index, *address, *flags)
            .await
            .map_err(refused("put an IPv6 address back")),
        Undo::Rule { .. } | Undo::Table(_) => Ok(()),
    }
}

/// The line for an entry that is undone; without an interface: there was nothing left to undo.
fn describe(entry: &Undo, interface: Option<&Interface>) -> String {
    let done = match entry {
        Undo::Sysctl { family, key, value, .. } => format!("set {} {key} back to {value}", family.name()),
        Undo::LinkDown(_) => "set down".to_owned(),
        Undo::Mtu(_, mtu) => format!("set the MTU back to {mtu}"),
        Undo::QueueLength(_, length) => format!("set the transmit queue length back to {length}"),
        Undo::Feature { feature, on, .. } => format!("turned {feature} {}", if *on { "on" } else { "off" }),
        Undo::Filter { .. } => "deleted the ingress guard".to_owned(),
        Undo::EgressFilter { .. } => "deleted the egress guard".to_owned(),
        Undo::Clsact(_) => "deleted the clsact qdisc".to_owned(),
        Undo::Rule { interface, priority } => return format!("deleted rule {priority} for iif {interface}"),
        Undo::Table(table) => return format!("emptied table {table}"),
        Undo::Ipv4Address(_, address) => format!("took {address} off"),
        Undo::Ipv6Address { address, .. } => format!("put {address} back"),
    };
    match (interface, entry.target()) {
        (Some(interface), _) => format!("{}: {done}", interface.name),
        (None, Some(Target { name, .. })) => format!("{name}: is gone, nothing to undo"),
        (None, None) => done,
    }
}
