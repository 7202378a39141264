//! Which line a host's flows to a site keep to: what a bank that wants one address of a customer needs.
//!
//! Theory of operation. The first flow from a host to a site gets a line like any other, and that is remembered for the pair of
//! host and site, for all workers: a host's flows are of many workers, by their ports. Whatever comes after it goes the same way, for as
//! long as flows of the pair live and for [`HOLD`] after the last has ended. If the line does not work, or is full while
//! another is not, the next flow gets another one, and that is what is remembered from then on: nothing goes back to the old line
//! just because it works again.
//!
//! A *site* is an address. Names would be better, for some sites have many addresses; nobody knows them here.
//! By default only HTTPS and QUIC stick; rules can say otherwise.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::ids::UplinkId;
use super::load::{Load, is_full};
use super::memory::Memory;
use super::policy::{Stickiness, UplinkSet};
use crate::flow::hash::HashKey;
use crate::flow::{FlowKey, Protocol, Timestamp};

// Ours.
/// How long a line is kept after a pair's last flow: people think between two clicks.
pub const HOLD: Duration = Duration::from_mins(10);
/// Pairs that are remembered: half a MiB, some hundred hosts with some hundred sites each.
const PAIRS: usize = 65_536;

/// HTTPS by TCP and QUIC (RFC 9110 section 4.2.2, RFC 9114 section 3.1).
const HTTPS: u16 = 443;

/// How much a flow keeps to its host's line for the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adhesion {
    /// Unless that line is full and another is not.
    Soft,
    /// As long as that line works.
    Hard,
}

impl Adhesion {
    /// Of a flow; `None`: it does not stick.
    #[must_use]
    pub const fn of(stickiness: Stickiness, key: &FlowKey) -> Option<Self> {
        match (stickiness, key.protocol, key.remote.port) {
            (Stickiness::Hard, ..) => Some(Self::Hard),
            (Stickiness::Soft, ..) | (Stickiness::Default, Protocol::Tcp | Protocol::Udp, HTTPS) => Some(Self::Soft),
            (Stickiness::Default | Stickiness::Never, ..) => None,
        }
    }
}

/// The lines of all pairs of hosts and sites.
#[derive(Debug)]
pub struct Affinity {
    memory: Memory,
    hash: HashKey,
}

impl Affinity {
    /// Nothing is remembered yet. `hash` is secret.
    #[must_use]
    pub fn new(hash: HashKey) -> Self {
        Self { memory: Memory::new(PAIRS, HOLD), hash }
    }

    fn pair(&self, host: Ipv4Addr, site: Ipv4Addr) -> u64 {
        self.hash.hash(u32::from(host).into(), u32::from(site).into())
    }

    /// The line of the pair that a flow is of, if there is one.
    #[must_use]
    pub fn line(&self, now: Timestamp, key: &FlowKey) -> Option<UplinkId> {
        self.memory.line(now, self.pair(key.internal.address, key.remote.address))
    }

    /// The one of `candidates` that a flow which sticks so goes to, if its pair has one of them.
    #[must_use]
    pub fn line_among(
        &self,
        now: Timestamp,
        key: &FlowKey,
        adhesion: Adhesion,
        candidates: UplinkSet,
        load: &Load,
    ) -> Option<UplinkId> {
        let fit = match adhesion {
            Adhesion::Hard => candidates,
            Adhesion::Soft => not_full(load, candidates),
        };
        self.line(now, key).filter(|&line| fit.contains(line))
    }

    /// A flow that sticks begins on this line, which is its pair's from now on. Says whether it counts, so that [`Self::leave`]
    /// is to be called.
    #[must_use]
    pub fn enter(&self, now: Timestamp, key: &FlowKey, line: UplinkId) -> bool {
        self.memory.enter(now, self.pair(key.internal.address, key.remote.address), line)
    }

    /// A flow that counts ends.
    pub fn leave(&self, now: Timestamp, key: &FlowKey) {
        self.memory.leave(now, self.pair(key.internal.address, key.remote.address));
    }

    /// A flow that counts goes on over another line.
    pub fn follow(&self, key: &FlowKey, line: UplinkId) {
        self.memory.set_line(self.pair(key.internal.address, key.remote.address), line);
    }
}

/// The lines of `candidates` that are left for a flow that is to avoid full lines: all, if all are full.
#[must_use]
pub fn not_full(load: &Load, candidates: UplinkSet) -> UplinkSet {
    let rest: UplinkSet = candidates.iter().filter(|&uplink| !is_full(uplink, load)).collect();
    if rest.is_empty() { candidates } else { rest }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::EndpointV4;
    use crate::placement::load::{Knowledge, Rates};

    const DSL: [UplinkId; 3] = [UplinkId(0), UplinkId(1), UplinkId(2)];

    fn key(host: u8, protocol: Protocol, site: u8, port: u16) -> FlowKey {
        let internal = EndpointV4 { address: Ipv4Addr::new(192, 168, 10, host), port: 40_000 };
        FlowKey { protocol, internal, remote: EndpointV4 { address: Ipv4Addr::new(203, 0, 113, site), port } }
    }

    #[test]
    fn https_and_quic_stick_unless_a_rule_says_otherwise() {
        let of = |stickiness, protocol, port| Adhesion::of(stickiness, &key(20, protocol, 1, port));
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            assert_eq!(of(Stickiness::Default, protocol, 443), Some(Adhesion::Soft));
            assert_eq!(of(Stickiness::Default, protocol, 80), None);
            assert_eq!(of(Stickiness::Never, protocol, 443), None);
            assert_eq!(of(Stickiness::Soft, protocol, 80), Some(Adhesion::Soft));
            assert_eq!(of(Stickiness::Hard, protocol, 80), Some(Adhesion::Hard));
        }
        assert_eq!(of(Stickiness::Default, Protocol::Icmp, 443), None);
    }

    #[test]
    fn pair_keeps_its_line_for_ten_minutes_after_its_last_flow() {
        let affinity = Affinity::new(HashKey::new(7));
        let (https, quic) = (key(20, Protocol::Tcp, 1, 443), key(20, Protocol::Udp, 1, 443));
        let at = |seconds: u64| Timestamp::from_millis(seconds * 1_000);
        assert!(affinity.enter(at(0), &https, DSL[0]) && affinity.enter(at(1), &quic, DSL[0]));
        let others = [key(21, Protocol::Tcp, 1, 443), key(20, Protocol::Tcp, 2, 443)];
        assert_eq!(others.map(|other| affinity.line(at(1), &other)), [None; 2]);
        affinity.leave(at(2), &https);
        assert_eq!(affinity.line(at(9_000), &https), Some(DSL[0]));
        affinity.follow(&quic, DSL[2]);
        affinity.leave(at(9_000), &quic);
        assert_eq!(affinity.line(at(9_599), &https), Some(DSL[2]));
        assert_eq!(affinity.line(at(9_600), &https), None);
    }

    #[test]
    fn full_lines_are_avoided_while_another_is_not_full() {
        let load = Load::default();
        let both: UplinkSet = DSL[..2].iter().copied().collect();
        assert_eq!(not_full(&load, both), both);
        let fill = |line| {
            let capacity = Rates { download: 20_000_000, upload: 20_000_000 };
            load.set_knowledge(line, Knowledge { capacity, ..Knowledge::default() });
            load.add_moving(line, capacity, true);
        };
        fill(DSL[0]);
        assert_eq!(not_full(&load, both), UplinkSet::of(DSL[1]));
        fill(DSL[1]);
        assert_eq!(not_full(&load, both), both);
    }
}
