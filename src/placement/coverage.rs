//! Whether one [`Match`] is for all flows that another is for: then a rule behind it is never asked.
//!
//! A match is a product of sets: of hosts, far ends, protocols, ports and marks. So it is for all flows of another if that
//! holds in each of them, or if the other is for none at all. Sets are kept as sorted ranges of numbers. Combinations that no
//! packet can have (ICMP to port 22) count like others.

use std::ops::RangeInclusive;

use ipnet::Ipv4Net;

use super::policy::Match;
use crate::flow::Protocol;
use crate::wire::dscp;

/// Some numbers: ranges in their order, with room between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranges(Vec<(u32, u32)>);

impl Ranges {
    /// The numbers of all `ranges`, whichever way those stand to each other.
    pub fn new(ranges: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let mut sorted: Vec<_> = ranges.into_iter().filter(|(first, last)| first <= last).collect();
        sorted.sort_unstable();
        let mut joined: Vec<(u32, u32)> = Vec::with_capacity(sorted.len());
        for (first, last) in sorted {
            match joined.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = (*end).max(last),
                _ => joined.push((first, last)),
            }
        }
        Self(joined)
    }

    /// The addresses in some networks.
    #[must_use]
    pub fn of_networks(networks: &[Ipv4Net]) -> Self {
        Self::new(networks.iter().map(|network| (network.network().to_bits(), network.broadcast().to_bits())))
    }

    /// Those that are not in `other`.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let mut left = self.0.clone();
        for &(first, last) in &other.0 {
            let beside = |(from, to): (u32, u32)| {
                let before = first.checked_sub(1).map(|end| (from, to.min(end)));
                let behind = last.checked_add(1).map(|start| (from.max(start), to));
                [before, behind].into_iter().flatten().filter(|(from, to)| from <= to)
            };
            left = left.into_iter().flat_map(beside).collect();
        }
        Self(left)
    }

    /// Whether all of `other` are among them.
    #[must_use]
    pub fn cover(&self, other: &Self) -> bool {
        other.without(self).is_empty()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The sets whose product a match is.
fn dimensions(matches: &Match) -> [Ranges; 6] {
    let all = |last| Ranges::new([(0, last)]);
    let networks = |of: Option<&[Ipv4Net]>, except: &[Ipv4Net]| {
        of.map_or_else(|| all(u32::MAX), Ranges::of_networks).without(&Ranges::of_networks(except))
    };
    let destinations = (!matches.destinations.is_empty()).then_some(&matches.destinations[..]);
    let ports = |ports: &[RangeInclusive<u16>]| match ports {
        [] => all(u16::MAX.into()),
        _ => Ranges::new(ports.iter().map(|range| (u32::from(*range.start()), u32::from(*range.end())))),
    };
    let protocols = match matches.protocol {
        None => Ranges::new(Protocol::ALL.map(|protocol| (u32::from(protocol as u8), u32::from(protocol as u8)))),
        Some(protocol) => Ranges::new([(u32::from(protocol as u8), u32::from(protocol as u8))]),
    };
    let marks = match &matches.dscp[..] {
        [] => all(dscp::HIGHEST.into()),
        marks => Ranges::new(marks.iter().map(|mark| (u32::from(*mark), u32::from(*mark)))),
    };
    [
        networks(matches.sources.as_deref(), &matches.except_sources),
        networks(destinations, &matches.except_destinations),
        ports(&matches.source_ports),
        ports(&matches.destination_ports),
        protocols,
        marks,
    ]
}

impl Match {
    /// Whether it is for no flow at all: its exceptions take all that it names.
    #[must_use]
    pub fn is_for_none(&self) -> bool {
        dimensions(self).iter().any(Ranges::is_empty)
    }

    /// Whether it is for every flow that `other` is for.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let pairs = dimensions(self).into_iter().zip(dimensions(other));
        other.is_for_none() || pairs.into_iter().all(|(ours, theirs)| ours.cover(&theirs))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;
    use crate::flow::{EndpointV4, FlowKey};
    use crate::placement::policy::Opening;

    fn networks(texts: &[&str]) -> Vec<Ipv4Net> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn narrower_rule_is_covered_and_wider_one_is_not() {
        let web =
            Match { protocol: Some(Protocol::Tcp), destination_ports: vec![80..=80, 443..=443], ..Match::default() };
        let https = Match { destination_ports: vec![443..=443], ..web.clone() };
        assert!(web.covers(&https) && !https.covers(&web) && Match::default().covers(&web) && web.covers(&web));
        assert!(!web.covers(&Match { protocol: Some(Protocol::Udp), ..https.clone() }));
        assert!(!web.covers(&Match { protocol: None, ..https.clone() }));
        assert!(web.covers(&Match { dscp: vec![46], ..https.clone() }));
        assert!(!Match { dscp: vec![46], ..web }.covers(&https));
    }

    #[test]
    fn networks_count_by_their_addresses() {
        let from = |texts: &[&str]| Match { sources: Some(networks(texts)), ..Match::default() };
        let halves = from(&["192.168.10.0/25", "192.168.10.128/25"]);
        assert!(halves.covers(&from(&["192.168.10.0/24"])));
        let except = Match { except_sources: networks(&["192.168.10.50/32"]), ..halves.clone() };
        assert!(!except.covers(&from(&["192.168.10.0/24"])) && except.covers(&from(&["192.168.10.51/32"])));
        assert!(halves.covers(&except));
    }

    #[test]
    fn exceptions_that_take_everything_leave_nothing() {
        let none = Match {
            destinations: networks(&["203.0.113.7/32"]),
            except_destinations: networks(&["203.0.113.0/24"]),
            ..Match::default()
        };
        assert!(none.is_for_none() && Match { dscp: vec![1], ..Match::default() }.covers(&none));
        assert!(!Match::default().is_for_none());
        assert!(Match { except_sources: networks(&["0.0.0.0/0"]), ..Match::default() }.is_for_none());
        assert!(Match { sources: Some(Vec::new()), ..Match::default() }.is_for_none());
    }

    /// Networks within 10.0.0.0/29, so that its addresses and one beside it stand for all.
    fn some_networks() -> impl Strategy<Value = Vec<Ipv4Net>> {
        let network = (0u8..8, 29u8..=32)
            .prop_map(|(last, length)| Ipv4Net::new(Ipv4Addr::new(10, 0, 0, last), length).unwrap().trunc());
        proptest::collection::vec(network, 0..3)
    }

    /// Ports from 1 to 3, so that these and another stand for all.
    fn some_ports() -> impl Strategy<Value = Vec<RangeInclusive<u16>>> {
        proptest::collection::vec((1u16..4, 1u16..4).prop_map(|(one, other)| one.min(other)..=one.max(other)), 0..3)
    }

    fn some_match() -> impl Strategy<Value = Match> {
        let protocol = proptest::option::of(proptest::sample::select(&Protocol::ALL[..]));
        let marks = proptest::collection::vec(45u8..48, 0..3);
        let sources = proptest::option::of(some_networks());
        let networks = (sources, some_networks(), some_networks(), some_networks());
        (networks, protocol, some_ports(), some_ports(), marks).prop_map(
            |((sources, except_sources, destinations, except_destinations), protocol, source_ports, ports, dscp)| {
                Match {
                    sources,
                    except_sources,
                    destinations,
                    except_destinations,
                    protocol,
                    source_ports,
                    destination_ports: ports,
                    dscp,
                }
            },
        )
    }

    /// One flow for each way in which these matches can tell flows apart.
    fn all_openings() -> Vec<Opening> {
        let addresses = || (0..8).map(|last| Ipv4Addr::new(10, 0, 0, last)).chain([Ipv4Addr::new(192, 0, 2, 1)]);
        let ends = || addresses().flat_map(|address| [1, 2, 3, 999].map(|port| EndpointV4 { address, port }));
        let marks = [45, 46, 47, 0];
        let mut all = Vec::new();
        for (internal, remote) in ends().flat_map(|internal| ends().map(move |remote| (internal, remote))) {
            for (protocol, dscp) in Protocol::ALL.into_iter().flat_map(|protocol| marks.map(|dscp| (protocol, dscp))) {
                all.push(Opening { key: FlowKey { protocol, internal, remote }, dscp });
            }
        }
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn coverage_equals_asking_about_every_flow(wide in some_match(), narrow in some_match()) {
            let all = all_openings();
            let flows = |matches: &Match| all.iter().filter(|opening| matches.is_for(opening)).count();
            prop_assert_eq!(narrow.is_for_none(), flows(&narrow) == 0);
            // Drawn apart, one seldom covers the other: the narrower of two that differ in one thing does.
            let near = Match { destinations: narrow.destinations.clone(), dscp: narrow.dscp.clone(), ..wide.clone() };
            for other in [&narrow, &near] {
                let brute = all.iter().all(|opening| !other.is_for(opening) || wide.is_for(opening));
                prop_assert_eq!(wide.covers(other), brute);
            }
        }
    }
}
