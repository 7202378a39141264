//! The choice of an uplink for a new flow, among the best that there are: the one where it would be done soonest.
//!
//! Lines that are up come first. While none is, those that are being tested take new flows, and while there is none of
//! those either, lame ones do: a line that may not work serves people better than a refusal, and what says that it is lame
//! may be what is broken.
//!
//! Of those, a flow that may become a transfer gets the line with the fewest transfers for its weight, this one counted: there
//! it would have the largest share. All others, and those for which lines are equal, get the one with the fewest live flows
//! for its weight.

use super::ids::UplinkId;
use super::load::Load;
use super::policy::{Tiers, UplinkSet};
use super::uplink::{Availability, Uplink};
use crate::flow::{FlowKey, Protocol};

/// What a new flow is expected to ask of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// As much as it can get, until it is done.
    Transfer,
    /// Nothing to speak of.
    Little,
}

/// QUIC's port (RFC 9114 section 3.1).
const HTTPS: u16 = 443;

impl Demand {
    /// Of a flow whose first packet is all that is known.
    #[must_use]
    pub const fn of(key: &FlowKey) -> Self {
        match (key.protocol, key.remote.port) {
            (Protocol::Tcp, _) | (Protocol::Udp, HTTPS) => Self::Transfer,
            (Protocol::Udp | Protocol::Icmp, _) => Self::Little,
        }
    }
}

/// How much a line is to be relied on: new flows go to the best that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Trust {
    /// It does not carry what it should.
    LastResort,
    /// It is not known to work.
    Untested,
    /// It works.
    Full,
}

/// `None`: a new flow cannot be given to it.
fn trust(uplink: &Uplink) -> Option<Trust> {
    if uplink.external.is_none() || uplink.next_hop.is_none() {
        return None;
    }
    match uplink.availability {
        Availability::Usable => Some(Trust::Full),
        Availability::Testing => Some(Trust::Untested),
        Availability::Lame => Some(Trust::LastResort),
        Availability::Missing
        | Availability::NoCarrier
        | Availability::Unresolved
        | Availability::Standby
        | Availability::Down => None,
    }
}

/// The lines that a new flow may be given to: those of the first tier that has one that is up. While none has, those that
/// are being tested take it, and while there is none of those either, lame ones do.
#[must_use]
pub fn candidates(uplinks: &[Uplink], tiers: &Tiers) -> UplinkSet {
    let of_trust = |wanted| -> UplinkSet {
        uplinks.iter().filter(|uplink| trust(uplink) == Some(wanted)).map(|uplink| uplink.id).collect()
    };
    let best_of = |trusted: UplinkSet| tiers.iter().map(|tier| tier.intersection(trusted)).find(|set| !set.is_empty());
    [Trust::Full, Trust::Untested, Trust::LastResort]
        .into_iter()
        .find_map(|wanted| best_of(of_trust(wanted)))
        .unwrap_or_default()
}

/// Whether a line takes new flows of somebody: there is none that would be preferred to it whatever the flow.
#[must_use]
pub fn takes_flows(uplinks: &[Uplink], id: UplinkId) -> bool {
    let ours = uplinks.get(id.index()).and_then(trust);
    ours.is_some() && ours == uplinks.iter().filter_map(trust).max()
}

/// A line for a new flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The line.
    pub uplink: UplinkId,
}

/// The one of `candidates` for a new flow, the first of equals; `None` when there is none. Takes time in proportion to the
/// uplinks.
#[must_use]
pub fn choose(uplinks: &[Uplink], load: &Load, demand: Demand, candidates: UplinkSet) -> Option<Choice> {
    // How many there are with this one, for each unit of weight, in 32.32 fixed point.
    let share =
        |count: u32, uplink: &Uplink| (u64::from(count.saturating_add(1)) << 32) / u64::from(uplink.weight.get());
    let shares = |uplink: &&Uplink| {
        let transfers = match demand {
            Demand::Transfer => share(load.transfers(uplink.id), uplink),
            Demand::Little => 0,
        };
        (transfers, share(load.flows(uplink.id), uplink))
    };
    let among = uplinks.iter().filter(|uplink| candidates.contains(uplink.id));
    among.min_by_key(shares).map(|uplink| Choice { uplink: uplink.id })
}

/// As [`choose`], for a flow that is to leave `avoided`: only for a line that is up, something that works well enough to be
/// left for.
#[must_use]
pub fn choose_other(
    uplinks: &[Uplink],
    load: &Load,
    demand: Demand,
    tiers: &Tiers,
    avoided: UplinkId,
) -> Option<Choice> {
    let up: UplinkSet =
        uplinks.iter().filter(|uplink| trust(uplink) == Some(Trust::Full)).map(|uplink| uplink.id).collect();
    let others = up.without(UplinkSet::of(avoided));
    let tier = tiers.iter().map(|tier| tier.intersection(others)).find(|tier| !tier.is_empty())?;
    choose(uplinks, load, demand, tier)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::uplink::{AddressOwner, DhcpAnswers, NextHop};
    use crate::wire::MacAddress;
    use std::net::Ipv4Addr;
    use std::num::NonZeroU32;

    fn uplink(id: u8, weight: u32) -> Uplink {
        Uplink {
            id: UplinkId(id),
            name: format!("dsl{id}").into(),
            interface: Some(1),
            availability: Availability::Usable,
            external: Some(Ipv4Addr::new(10, 77, id, 2)),
            mtu: 1500,
            weight: NonZeroU32::new(weight).unwrap(),
            next_hop: Some(NextHop::Ethernet { gateway: MacAddress::default(), own: MacAddress::default() }),
            dhcp: DhcpAnswers::Unwanted,
            probed: std::sync::Arc::default(),
            owner: AddressOwner::Router,
        }
    }

    fn chosen(uplinks: &[Uplink]) -> Option<UplinkId> {
        choose(uplinks, &Load::default(), Demand::Little, candidates(uplinks, &Tiers::ANY)).map(|choice| choice.uplink)
    }

    fn other(uplinks: &[Uplink], tiers: &Tiers, avoided: u8) -> Option<UplinkId> {
        choose_other(uplinks, &Load::default(), Demand::Little, tiers, UplinkId(avoided)).map(|choice| choice.uplink)
    }

    #[test]
    fn flows_spread_by_weight() {
        let (uplinks, load) = ([uplink(0, 1), uplink(1, 2), uplink(2, 5)], Load::default());
        for _ in 0..80 {
            load.add(choose(&uplinks, &load, Demand::Little, UplinkSet::ALL).unwrap().uplink);
        }
        assert_eq!([0, 1, 2].map(|id| load.flows(UplinkId(id))), [10, 20, 50]);
    }

    #[test]
    fn transfer_goes_where_it_gets_most() {
        let (uplinks, load) = ([uplink(0, 5), uplink(1, 20), uplink(2, 20)], Load::default());
        let mut begin = || {
            let id = choose(&uplinks, &load, Demand::Transfer, UplinkSet::ALL).unwrap().uplink;
            load.add(id);
            load.begin_transfer(id);
            id.0
        };
        // 5 Mbit/s alone are as good as a quarter of 20.
        let first: Vec<_> = std::iter::repeat_with(&mut begin).take(8).collect();
        assert_eq!(first, [1, 2, 1, 2, 1, 2, 0, 1]);
        load.end_transfer(UplinkId(2), false);
        let next = choose(&uplinks, &load, Demand::Transfer, UplinkSet::ALL);
        assert_eq!(next.map(|choice| choice.uplink), Some(UplinkId(2)));
    }

    #[test]
    fn uplink_without_carrier_or_gateway_is_not_chosen() {
        let mut uplinks = [uplink(0, 9), uplink(1, 1), uplink(2, 9)];
        uplinks[0].availability = Availability::NoCarrier;
        uplinks[2].next_hop = None;
        assert_eq!(chosen(&uplinks), Some(UplinkId(1)));
        let other = |avoided| other(&uplinks, &Tiers::ANY, avoided);
        assert_eq!((other(0), other(1)), (Some(UplinkId(1)), None));
        uplinks[1].external = None;
        assert_eq!(chosen(&uplinks), None);
    }

    #[test]
    fn line_in_doubt_is_chosen_only_while_there_is_none_better() {
        let mut uplinks = [uplink(0, 9), uplink(1, 9), uplink(2, 1)];
        uplinks[0].availability = Availability::Lame;
        uplinks[1].availability = Availability::Testing;
        let eligible = |uplinks: &[Uplink]| [0, 1, 2].map(|id| takes_flows(uplinks, UplinkId(id)));
        assert_eq!((chosen(&uplinks), eligible(&uplinks)), (Some(UplinkId(2)), [false, false, true]));
        uplinks[2].availability = Availability::Down;
        assert_eq!((chosen(&uplinks), eligible(&uplinks)), (Some(UplinkId(1)), [false, true, false]));
        let other = other(&uplinks, &Tiers::ANY, 2);
        assert_eq!(other, None, "nothing is left for a line in doubt");
        uplinks[1].availability = Availability::NoCarrier;
        assert_eq!((chosen(&uplinks), eligible(&uplinks)), (Some(UplinkId(0)), [true, false, false]));
        uplinks[0].external = None;
        assert_eq!((chosen(&uplinks), eligible(&uplinks)), (None, [false; 3]));
    }

    #[test]
    fn next_tier_takes_flows_while_the_first_has_no_line_that_is_up() {
        let mut uplinks = [uplink(0, 1), uplink(1, 1), uplink(2, 1)];
        let only = |id| UplinkSet::of(UplinkId(id));
        let tiers = Tiers::new(only(2), only(1), only(0));
        assert_eq!(candidates(&uplinks, &tiers), only(2));
        uplinks[2].availability = Availability::Lame;
        assert_eq!(candidates(&uplinks, &tiers), only(1));
        let other = other(&uplinks, &tiers, 1);
        assert_eq!(other, Some(UplinkId(0)), "nothing is left for a lame line");
        (uplinks[0].availability, uplinks[1].availability) = (Availability::Lame, Availability::Down);
        assert_eq!(candidates(&uplinks, &tiers), only(2));
        let alone = Tiers::new(only(1), UplinkSet::NONE, UplinkSet::NONE);
        assert_eq!(candidates(&uplinks, &alone), UplinkSet::NONE);
    }
}
