//! From the configuration to the forwards that workers read: names of lines become ids, the router becomes its address.
//!
//! A forward to a host in none of the networks that the kernel reaches without us is not open: its packets would go nobody knows where.

use std::net::Ipv4Addr;
use std::sync::Arc;

use tracing::warn;

use super::places;
use super::router::Router;
use super::uplink::UplinkState;
use crate::config::{self, ForwardTarget, ForwardedLines};
use crate::flow::EndpointV4;
use crate::placement::{Door, Forward, Forwards, UplinkId, UplinkSet};

impl Router<'_> {
    /// The forwards as things are now; the ones before if nothing is different. What leads elsewhere by now is closed.
    pub(super) fn forwards(&self, before: &Arc<Forwards>) -> Arc<Forwards> {
        let lines: UplinkSet = places::configured(&self.uplinks).map(|uplink| uplink.id).collect();
        // Where the machine itself hears what comes by the TUN device, and answers from.
        let router = self.tun.prepared.map(|(address, _)| address);
        let forwards = self.config.forwards.iter().filter(|forward| self.is_inside(forward));
        let open = forwards.flat_map(|forward| opened(forward, &self.uplinks, router)).collect();
        let forwards = Forwards::new(open, before, lines);
        if forwards == **before { Arc::clone(before) } else { Arc::new(forwards) }
    }

    fn is_inside(&self, forward: &config::Forward) -> bool {
        match forward.to {
            ForwardTarget::Host(address) => self.kernel_networks.iter().any(|network| network.contains(&address)),
            ForwardTarget::Router => true,
        }
    }

    /// Tells of forwards to hosts that are not inside.
    pub(super) fn warn_of_forwards(&self) {
        for forward in self.config.forwards.iter().filter(|forward| !self.is_inside(forward)) {
            let ForwardTarget::Host(host) = forward.to else { continue };
            let (first, last) = (forward.ports.start(), forward.ports.end());
            warn!(%host, first, last, "ports are not forwarded: the host is in no network of the LAN's");
        }
    }
}

/// A forward, once for each protocol. None while the router has no address that is meant.
fn opened(
    forward: &config::Forward,
    uplinks: &[UplinkState],
    router: Option<Ipv4Addr>,
) -> impl Iterator<Item = Forward> {
    let address = match forward.to {
        ForwardTarget::Host(address) => Some(address),
        ForwardTarget::Router => router,
    };
    let uplinks = lines(&forward.lines, uplinks);
    let to = address.map(|address| EndpointV4 { address, port: forward.to_port.get() }).filter(|_| !uplinks.is_empty());
    to.into_iter().flat_map(move |to| {
        forward.protocols.iter().map(move |protocol| Forward {
            uplinks,
            protocol: *protocol,
            ports: forward.ports.clone(),
            to,
            sources: forward.sources.clone(),
            door: Door::Open,
        })
    })
}

/// The lines that are meant and can forward.
fn lines(wanted: &ForwardedLines, uplinks: &[UplinkState]) -> UplinkSet {
    let ids = |uplink: &UplinkState| -> UplinkId { uplink.id };
    match wanted {
        ForwardedLines::Any => places::configured(uplinks).filter(|uplink| !uplink.is_adopted()).map(ids).collect(),
        ForwardedLines::Named(names) => names.iter().filter_map(|name| places::named(uplinks, name)).map(ids).collect(),
    }
}
