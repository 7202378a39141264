//! The policy: of which class a new flow is, and which lines it may have, in order of preference.
//!
//! Theory of operation: a flow's first packet is held against the rules in their order, and the first that matches decides
//! ([`Policy::decide`]). What comes out is a [`Decision`]: the class, the rule, and [`Tiers`] of lines: those of the first
//! tier are for this flow, those of the next take it while none of the first works, and so on; a flow whose tiers have no
//! line that works is refused. Which line of a tier it gets is for [`mod@super::choose`].
//!
//! It knows lines by their ids and hosts by their addresses alone: names, Ethernet addresses and times of day are for whoever
//! builds a policy. It looks at no packet, and an established flow never asks it again.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use ipnet::Ipv4Net;

use super::ids::{MAX_UPLINKS, UplinkId};
use crate::flow::{FlowKey, Protocol};

/// Some uplinks: a bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct UplinkSet(u32);

const _: () = assert!(MAX_UPLINKS <= 32, "a set has 32 bits");

impl UplinkSet {
    /// None.
    pub const NONE: Self = Self(0);
    /// All that there can be.
    pub const ALL: Self = Self(u32::MAX);

    /// The one.
    #[must_use]
    pub const fn of(uplink: UplinkId) -> Self {
        Self(1 << uplink.0)
    }

    /// Whether it is one of them.
    #[must_use]
    pub const fn contains(self, uplink: UplinkId) -> bool {
        self.0 & Self::of(uplink).0 != 0
    }

    /// Those of both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that are in both.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that are not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = UplinkId> {
        (0..).map(UplinkId).take(MAX_UPLINKS).filter(move |&uplink| self.contains(uplink))
    }
}

impl FromIterator<UplinkId> for UplinkSet {
    fn from_iter<T: IntoIterator<Item = UplinkId>>(uplinks: T) -> Self {
        uplinks.into_iter().fold(Self::NONE, |set, uplink| set.union(Self::of(uplink)))
    }
}

/// What a flow is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Class {
    /// Anything.
    #[default]
    Bulk = 0,
    /// Something urgent and small that wants a line without bulk on it.
    Isolated = 1,
}

impl Class {
    /// Its name, as it is written in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bulk => "bulk",
            Self::Isolated => "isolated",
        }
    }

    /// As a record holds it.
    #[must_use]
    pub const fn from_number(number: u8) -> Self {
        match number {
            1 => Self::Isolated,
            _ => Self::Bulk,
        }
    }
}

/// A rule: constant while its name is in the policy. 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RuleId(pub u16);

/// How much a host's flows to one site keep to one line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Stickiness {
    /// Not at all.
    Never,
    /// HTTPS and QUIC do, unless that line is full and another is not; others do not.
    #[default]
    Default,
    /// They do, unless that line is full and another is not.
    Soft,
    /// They do for as long as the line works.
    Hard,
}

/// What is known of a flow when its first packet comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Its two ends.
    pub key: FlowKey,
    /// The packet's DSCP (RFC 2474), 0 to 63.
    pub dscp: u8,
}

/// Which flows a rule is for. Everything that is set must match; an empty list matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Match {
    /// Networks that the host is in. `Some` of an empty list: no host, for none of those meant is known.
    pub sources: Option<Vec<Ipv4Net>>,
    /// Networks that it is not in.
    pub except_sources: Vec<Ipv4Net>,
    /// Networks that the far end is in.
    pub destinations: Vec<Ipv4Net>,
    /// Networks that it is not in.
    pub except_destinations: Vec<Ipv4Net>,
    /// The transport.
    pub protocol: Option<Protocol>,
    /// The host's port.
    pub source_ports: Vec<RangeInclusive<u16>>,
    /// The far end's port.
    pub destination_ports: Vec<RangeInclusive<u16>>,
    /// What the host has marked its packets with.
    pub dscp: Vec<u8>,
}

impl Match {
    /// Whether a flow is meant.
    #[must_use]
    pub fn is_for(&self, opening: &Opening) -> bool {
        let FlowKey { protocol, internal, remote } = opening.key;
        let is_among = |networks: &[Ipv4Net], address: Ipv4Addr| networks.iter().any(|net| net.contains(&address));
        let has_port =
            |ports: &[RangeInclusive<u16>], port| ports.is_empty() || ports.iter().any(|range| range.contains(&port));
        self.protocol.is_none_or(|wanted| wanted == protocol)
            && has_port(&self.destination_ports, remote.port)
            && has_port(&self.source_ports, internal.port)
            && (self.dscp.is_empty() || self.dscp.contains(&opening.dscp))
            && self.sources.as_deref().is_none_or(|networks| is_among(networks, internal.address))
            && (self.destinations.is_empty() || is_among(&self.destinations, remote.address))
            && !is_among(&self.except_sources, internal.address)
            && !is_among(&self.except_destinations, remote.address)
    }
}

/// What a rule wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The lines of a class.
    Class(Class),
    /// These lines; the pool while none of them works, unless it is forbidden.
    Uplinks(UplinkSet, Fallback),
}

/// What becomes of flows while the lines that are meant for them do not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fallback {
    /// Other lines take them.
    Pool,
    /// They are refused.
    Refuse,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Which.
    pub id: RuleId,
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Which flows it is for.
    pub matches: Match,
    /// What it wants.
    pub action: Action,
    /// How its flows stick.
    pub stickiness: Stickiness,
}

/// A line that some hosts have for themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reserved {
    /// The line: nobody else's flows get it.
    pub uplink: UplinkId,
    /// The hosts.
    pub hosts: Vec<Ipv4Addr>,
    /// What they do while it does not work.
    pub fallback: Fallback,
}

/// Lines for a flow, the preferred ones first. A line of one tier does not stand in another before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiers([UplinkSet; 3]);

impl Tiers {
    /// Any line, none before the others.
    pub const ANY: Self = Self([UplinkSet::ALL, UplinkSet::NONE, UplinkSet::NONE]);

    /// These, then those, then the others.
    #[must_use]
    pub const fn new(first: UplinkSet, second: UplinkSet, third: UplinkSet) -> Self {
        let second = second.without(first);
        Self([first, second, third.without(first.union(second))])
    }

    /// Each tier, the preferred one first.
    pub fn iter(&self) -> impl Iterator<Item = UplinkSet> {
        self.0.into_iter().filter(|tier| !tier.is_empty())
    }

    /// All lines that the flow may have.
    #[must_use]
    pub fn all(&self) -> UplinkSet {
        self.0.into_iter().fold(UplinkSet::NONE, UplinkSet::union)
    }
}

/// What the policy says of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Its class.
    pub class: Class,
    /// The rule that said so.
    pub rule: Option<RuleId>,
    /// The lines that it may have.
    pub tiers: Tiers,
    /// How it sticks to the line of its host's flows to the same site.
    pub stickiness: Stickiness,
}

/// All rules, reservations and roles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// In their order: the first that matches decides.
    pub rules: Vec<Rule>,
    /// Lines that are taken from the pool.
    pub reserved: Vec<Reserved>,
    /// Lines for flows of class isolated.
    pub isolated: UplinkSet,
}

impl Policy {
    /// What it says of a flow. Takes time in proportion to the rules and reservations.
    #[must_use]
    pub fn decide(&self, opening: &Opening) -> Decision {
        let rule = self.rules.iter().find(|rule| rule.matches.is_for(opening));
        let (class, wanted) = match rule.map(|rule| rule.action) {
            None => (Class::default(), None),
            Some(Action::Class(class)) => (class, None),
            Some(Action::Uplinks(uplinks, fallback)) => (Class::default(), Some((uplinks, fallback))),
        };
        let reserved = self.reserved_for(opening.key.internal.address);
        // A rule gives nobody a line that is reserved for others.
        let allowed = reserved.map_or(UplinkSet::NONE, |(uplinks, _)| uplinks);
        let taken = self.reserved_uplinks().without(allowed);
        let own = wanted.map(|(uplinks, fallback)| (uplinks.without(taken), fallback)).or(reserved);
        Decision {
            class,
            rule: rule.map(|rule| rule.id),
            tiers: self.tiers(class, own),
            stickiness: rule.map(|rule| rule.stickiness).unwrap_or_default(),
        }
    }

    /// What it says of a flow that it takes for urgent and that is like one that has turned out bulky.
    #[must_use]
    pub fn as_bulk(&self, opening: &Opening, decision: Decision) -> Decision {
        match decision.class {
            Class::Bulk => decision,
            Class::Isolated => {
                let own = self.reserved_for(opening.key.internal.address);
                Decision { class: Class::Bulk, tiers: self.tiers(Class::Bulk, own), ..decision }
            }
        }
    }

    /// The lines that a host has for itself.
    fn reserved_for(&self, host: Ipv4Addr) -> Option<(UplinkSet, Fallback)> {
        let own = self.reserved.iter().filter(|reserved| reserved.hosts.contains(&host));
        own.fold(None, |before, reserved| {
            let (uplinks, fallback) = before.unwrap_or((UplinkSet::NONE, reserved.fallback));
            let strictest = if reserved.fallback == Fallback::Refuse { Fallback::Refuse } else { fallback };
            Some((uplinks.union(UplinkSet::of(reserved.uplink)), strictest))
        })
    }

    /// Lines that are somebody's own.
    #[must_use]
    pub fn reserved_uplinks(&self) -> UplinkSet {
        self.reserved.iter().map(|reserved| reserved.uplink).collect()
    }

    fn tiers(&self, class: Class, own: Option<(UplinkSet, Fallback)>) -> Tiers {
        let free = UplinkSet::ALL.without(self.reserved_uplinks());
        let isolated = self.isolated.intersection(free);
        let (first, second) = match class {
            Class::Isolated if !isolated.is_empty() => (isolated, free.without(isolated)),
            Class::Isolated | Class::Bulk => (free.without(isolated), isolated),
        };
        match own {
            None => Tiers::new(first, second, UplinkSet::NONE),
            Some((uplinks, Fallback::Refuse)) => Tiers::new(uplinks, UplinkSet::NONE, UplinkSet::NONE),
            Some((uplinks, Fallback::Pool)) => Tiers::new(uplinks, first, second),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::EndpointV4;

    const DSL: [UplinkId; 4] = [UplinkId(0), UplinkId(1), UplinkId(2), UplinkId(3)];

    fn set(uplinks: &[UplinkId]) -> UplinkSet {
        uplinks.iter().copied().collect()
    }

    fn opening(host: u8, protocol: Protocol, to: &str) -> Opening {
        let to: std::net::SocketAddrV4 = to.parse().unwrap();
        let internal = EndpointV4 { address: Ipv4Addr::new(192, 168, 10, host), port: 40_000 };
        let remote = EndpointV4 { address: *to.ip(), port: to.port() };
        Opening { key: FlowKey { protocol, internal, remote }, dscp: 0 }
    }

    fn rule(id: u16, matches: Match, action: Action) -> Rule {
        Rule { id: RuleId(id), name: format!("rule {id}").into(), matches, action, stickiness: Stickiness::Default }
    }

    /// The lines among the first four that each tier has.
    fn tiers(decision: &Decision) -> Vec<UplinkSet> {
        decision.tiers.iter().map(|tier| tier.intersection(set(&DSL))).filter(|tier| !tier.is_empty()).collect()
    }

    #[test]
    fn first_rule_that_matches_decides() {
        let ssh = Match { protocol: Some(Protocol::Tcp), destination_ports: vec![22..=22], ..Match::default() };
        let backup = Match { destinations: vec!["203.0.113.0/24".parse().unwrap()], ..ssh.clone() };
        let policy = Policy {
            rules: vec![rule(1, backup, Action::Class(Class::Bulk)), rule(2, ssh, Action::Class(Class::Isolated))],
            isolated: set(&[DSL[3]]),
            ..Policy::default()
        };
        let decide = |to| policy.decide(&opening(20, Protocol::Tcp, to));
        let urgent = decide("198.51.100.1:22");
        assert_eq!((urgent.class, urgent.rule), (Class::Isolated, Some(RuleId(2))));
        assert_eq!(tiers(&urgent), [set(&DSL[3..]), set(&DSL[..3])]);
        let bulk = decide("203.0.113.9:22");
        assert_eq!((bulk.class, bulk.rule), (Class::Bulk, Some(RuleId(1))));
        assert_eq!(tiers(&bulk), [set(&DSL[..3]), set(&DSL[3..])]);
        assert_eq!(decide("198.51.100.1:443").rule, None);
    }

    #[test]
    fn reserved_line_is_its_hosts_alone() {
        let reserved = |fallback| Policy {
            reserved: vec![Reserved { uplink: DSL[1], hosts: vec![Ipv4Addr::new(192, 168, 10, 50)], fallback }],
            ..Policy::default()
        };
        let of = |policy: &Policy, host| tiers(&policy.decide(&opening(host, Protocol::Udp, "198.51.100.1:53")));
        let others = set(&[DSL[0], DSL[2], DSL[3]]);
        assert_eq!(of(&reserved(Fallback::Pool), 20), [others]);
        assert_eq!(of(&reserved(Fallback::Pool), 50), [set(&DSL[1..2]), others]);
        assert_eq!(of(&reserved(Fallback::Refuse), 50), [set(&DSL[1..2])]);
    }

    #[test]
    fn rule_gives_nobody_a_line_that_is_reserved_for_others() {
        let policy = |fallback| Policy {
            rules: vec![rule(1, Match::default(), Action::Uplinks(set(&DSL[1..3]), fallback))],
            reserved: vec![Reserved {
                uplink: DSL[1],
                hosts: vec![Ipv4Addr::new(192, 168, 10, 50)],
                fallback: Fallback::Pool,
            }],
            ..Policy::default()
        };
        let of = |policy: &Policy, host| tiers(&policy.decide(&opening(host, Protocol::Udp, "198.51.100.1:53")));
        let pool = set(&[DSL[0], DSL[3]]);
        assert_eq!(of(&policy(Fallback::Pool), 50), [set(&DSL[1..3]), pool]);
        assert_eq!(of(&policy(Fallback::Pool), 20), [set(&DSL[2..3]), pool]);
        assert_eq!(of(&policy(Fallback::Refuse), 20), [set(&DSL[2..3])]);
    }

    #[test]
    fn urgent_flow_like_a_bulky_one_has_the_lines_of_bulk() {
        let policy = Policy {
            rules: vec![rule(1, Match::default(), Action::Class(Class::Isolated))],
            isolated: set(&[DSL[3]]),
            ..Policy::default()
        };
        let opening = opening(20, Protocol::Tcp, "203.0.113.7:22");
        let decision = policy.decide(&opening);
        let bulk = policy.as_bulk(&opening, decision);
        assert_eq!(
            (bulk.class, bulk.rule, tiers(&bulk)),
            (Class::Bulk, Some(RuleId(1)), vec![set(&DSL[..3]), set(&DSL[3..])])
        );
        assert_eq!(policy.as_bulk(&opening, bulk), bulk);
    }

    #[test]
    fn rule_about_hosts_that_nobody_knows_matches_none() {
        let matches = Match { sources: Some(Vec::new()), ..Match::default() };
        assert!(!matches.is_for(&opening(20, Protocol::Udp, "198.51.100.1:53")));
        assert!(Match::default().is_for(&opening(20, Protocol::Icmp, "198.51.100.1:0")));
    }

    #[test]
    fn marked_packets_are_told_apart() {
        let matches = Match { dscp: vec![46], ..Match::default() };
        let plain = opening(20, Protocol::Udp, "198.51.100.1:5060");
        assert!(!matches.is_for(&plain) && matches.is_for(&Opening { dscp: 46, ..plain }));
    }
}
