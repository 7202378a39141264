//! Forwards: ports of lines that somebody inside answers, set by hand.
//!
//! Theory of operation: a forward is a mapping that nobody has to make: the port outside and the endpoint inside follow from
//! each other by arithmetic alone. [`Forwards::at`] leads from outside to inside, [`Forwards::outside`] the other way. Hosts'
//! own connections get none of these ports ([`Forwards::has`]).
//!
//! A forward that is taken out of the configuration, or leads elsewhere by now, is *closed*: it opens no connection and is
//! still looked up, so that those which it has opened go on until they end. Closed ones are asked first: they know
//! their connections, and an open one takes everybody.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use ipnet::Ipv4Net;

use super::ids::UplinkId;
use super::policy::UplinkSet;
use crate::flow::{EndpointV4, Protocol};

/// Most closed forwards that are remembered; the oldest go first, and their connections with them.
const MOST_CLOSED: usize = 64;

/// Whether a forward takes new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// It does.
    Open,
    /// It only carries on with those that it has.
    Closed,
}

/// Ports of lines, and who answers them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The lines.
    pub uplinks: UplinkSet,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The ports outside.
    pub ports: RangeInclusive<u16>,
    /// Who answers the first of them; those that follow have the ports that follow.
    pub to: EndpointV4,
    /// Networks that may connect; empty: everybody may.
    pub sources: Vec<Ipv4Net>,
    /// Whether it takes new connections.
    pub door: Door,
}

impl Forward {
    fn is_at(&self, uplink: UplinkId, protocol: Protocol, port: u16) -> bool {
        self.protocol == protocol && self.ports.contains(&port) && self.uplinks.contains(uplink)
    }

    /// Who answers one of its ports.
    #[must_use]
    pub fn target(&self, port: u16) -> EndpointV4 {
        let port = self.to.port.wrapping_add(port.wrapping_sub(*self.ports.start()));
        EndpointV4 { port, ..self.to }
    }

    /// The port outside that leads to `internal`.
    fn port_of(&self, internal: EndpointV4) -> Option<u16> {
        let port = self.ports.start().checked_add(internal.port.checked_sub(self.to.port)?)?;
        (internal.address == self.to.address && self.ports.contains(&port)).then_some(port)
    }

    /// Whether somebody may connect.
    #[must_use]
    pub fn admits(&self, source: Ipv4Addr) -> bool {
        self.sources.is_empty() || self.sources.iter().any(|network| network.contains(&source))
    }

    /// Whether connections of `self` are found by `other`, too.
    fn is_within(&self, other: &Self) -> bool {
        self.uplinks.without(other.uplinks).is_empty()
            && self.protocol == other.protocol
            && other.ports.contains(self.ports.start())
            && other.ports.contains(self.ports.end())
            && other.target(*self.ports.start()) == self.to
    }
}

/// All forwards: closed ones first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forwards(Vec<Forward>);

impl Forwards {
    /// Those that are `open` now, and of those `before` the ones that may have connections still: on lines that are `configured`.
    #[must_use]
    pub fn new(open: Vec<Forward>, before: &Self, configured: UplinkSet) -> Self {
        let closed = |forward: &Forward| Forward {
            uplinks: forward.uplinks.intersection(configured),
            door: Door::Closed,
            sources: Vec::new(),
            ..forward.clone()
        };
        let mut all: Vec<Forward> = Vec::new();
        for forward in before.0.iter().map(closed).filter(|forward| !forward.uplinks.is_empty()) {
            if !open.iter().chain(&all).any(|other| forward.is_within(other)) {
                all.push(forward);
            }
        }
        all.drain(..all.len().saturating_sub(MOST_CLOSED));
        all.extend(open);
        Self(all)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those of a port of a line: one that is open at most, after the closed ones. Takes time in proportion to all.
    pub fn at(&self, uplink: UplinkId, protocol: Protocol, port: u16) -> impl Iterator<Item = &Forward> {
        self.0.iter().filter(move |forward| forward.is_at(uplink, protocol, port))
    }

    /// Whether a port of a line is, or was, forwarded.
    #[must_use]
    pub fn has(&self, uplink: UplinkId, protocol: Protocol, port: u16) -> bool {
        self.at(uplink, protocol, port).next().is_some()
    }

    /// The open forward of a port of a line.
    #[must_use]
    pub fn open_at(&self, uplink: UplinkId, protocol: Protocol, port: u16) -> Option<&Forward> {
        self.at(uplink, protocol, port).find(|forward| forward.door == Door::Open)
    }

    /// The port of a line that leads to `internal`, the first if there are several.
    #[must_use]
    pub fn outside(&self, uplink: UplinkId, protocol: Protocol, internal: EndpointV4) -> Option<u16> {
        let open = self.0.iter().filter(|forward| forward.door == Door::Open);
        let mut its = open.filter(|forward| forward.protocol == protocol && forward.uplinks.contains(uplink));
        its.find_map(|forward| forward.port_of(internal))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DSL: [UplinkId; 2] = [UplinkId(0), UplinkId(1)];

    fn forward(uplinks: &[UplinkId], ports: RangeInclusive<u16>, last: u8, port: u16) -> Forward {
        Forward {
            uplinks: uplinks.iter().copied().collect(),
            protocol: Protocol::Tcp,
            ports,
            to: EndpointV4 { address: Ipv4Addr::new(192, 168, 10, last), port },
            sources: Vec::new(),
            door: Door::Open,
        }
    }

    fn all() -> UplinkSet {
        DSL.into_iter().collect()
    }

    fn targets(forwards: &Forwards, uplink: UplinkId, port: u16) -> Vec<(u8, u16, Door)> {
        let at = forwards.at(uplink, Protocol::Tcp, port);
        at.map(|forward| {
            let target = forward.target(port);
            (target.address.octets()[3], target.port, forward.door)
        })
        .collect()
    }

    #[test]
    fn port_leads_to_its_host_on_its_lines_and_for_its_protocol_alone() {
        let forwards = Forwards::new(vec![forward(&DSL[..1], 8000..=8010, 10, 80)], &Forwards::default(), all());
        assert_eq!(targets(&forwards, DSL[0], 8003), [(10, 83, Door::Open)]);
        assert!(targets(&forwards, DSL[1], 8003).is_empty());
        assert!(targets(&forwards, DSL[0], 8011).is_empty());
        assert!(!forwards.has(DSL[0], Protocol::Udp, 8003));
        let inside = |port| EndpointV4 { address: Ipv4Addr::new(192, 168, 10, 10), port };
        assert_eq!(forwards.outside(DSL[0], Protocol::Tcp, inside(83)), Some(8003));
        assert_eq!(forwards.outside(DSL[0], Protocol::Tcp, inside(91)), None);
        assert_eq!(forwards.outside(DSL[0], Protocol::Tcp, inside(79)), None);
    }

    #[test]
    fn forward_that_leads_elsewhere_is_closed_and_asked_first() {
        let before = Forwards::new(vec![forward(&DSL, 80..=80, 10, 80)], &Forwards::default(), all());
        let moved = Forwards::new(vec![forward(&DSL, 80..=80, 11, 80)], &before, all());
        assert_eq!(targets(&moved, DSL[1], 80), [(10, 80, Door::Closed), (11, 80, Door::Open)]);
        assert_eq!(moved.open_at(DSL[1], Protocol::Tcp, 80).map(|open| open.to.address.octets()[3]), Some(11));
        let gone = Forwards::new(Vec::new(), &moved, all());
        assert_eq!(targets(&gone, DSL[1], 80), [(10, 80, Door::Closed), (11, 80, Door::Closed)]);
        assert_eq!(gone.open_at(DSL[1], Protocol::Tcp, 80), None);
        // Back again, and wider.
        let back = Forwards::new(vec![forward(&DSL, 79..=81, 11, 79)], &gone, all());
        assert_eq!(targets(&back, DSL[1], 80), [(10, 80, Door::Closed), (11, 80, Door::Open)]);
    }

    #[test]
    fn other_source_limits_close_nothing() {
        let limited = |sources: &[&str]| Forward {
            sources: sources.iter().map(|network| network.parse().unwrap()).collect(),
            ..forward(&DSL, 80..=80, 10, 80)
        };
        let before = Forwards::new(vec![limited(&[])], &Forwards::default(), all());
        let after = Forwards::new(vec![limited(&["203.0.113.0/24"])], &before, all());
        assert_eq!(targets(&after, DSL[0], 80), [(10, 80, Door::Open)]);
        let open = after.open_at(DSL[0], Protocol::Tcp, 80).unwrap();
        assert!(open.admits(Ipv4Addr::new(203, 0, 113, 9)) && !open.admits(Ipv4Addr::new(198, 51, 100, 9)));
    }

    #[test]
    fn line_that_is_gone_keeps_no_closed_forwards_and_there_are_few() {
        let mut forwards = Forwards::new(vec![forward(&DSL, 80..=80, 10, 80)], &Forwards::default(), all());
        forwards = Forwards::new(Vec::new(), &forwards, UplinkSet::of(DSL[1]));
        assert_eq!((targets(&forwards, DSL[0], 80).len(), targets(&forwards, DSL[1], 80).len()), (0, 1));
        for last in 1..=200 {
            forwards = Forwards::new(vec![forward(&DSL, 80..=80, last, 80)], &forwards, all());
        }
        assert_eq!(targets(&forwards, DSL[1], 80).len(), MOST_CLOSED + 1);
    }

    proptest! {
        #[test]
        fn outside_and_inside_follow_from_each_other(
            cuts in prop::collection::btree_set(1_u16..60_000, 2..20),
            inside in 1_u16..5_000,
            probe in 1_u16..60_000,
        ) {
            // Ranges apart from each other, each to a host of its own.
            let cuts: Vec<u16> = cuts.into_iter().collect();
            let open: Vec<Forward> = (1..).zip(cuts.chunks_exact(2)).map(|(last, pair)| {
                let end = pair[1].min(pair[0].saturating_add(60_000 - inside));
                forward(&DSL, pair[0]..=end, last, inside)
            }).collect();
            let forwards = Forwards::new(open.clone(), &Forwards::default(), all());
            let expected = open.iter().find(|forward| forward.ports.contains(&probe));
            let found = forwards.open_at(DSL[0], Protocol::Tcp, probe);
            prop_assert_eq!(found, expected);
            if let Some(forward) = found {
                let target = forward.target(probe);
                prop_assert_eq!(target.port - inside, probe - forward.ports.start());
                prop_assert_eq!(forwards.outside(DSL[0], Protocol::Tcp, target), Some(probe));
            }
        }
    }
}
