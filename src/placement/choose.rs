//! The choice of an uplink for a new flow: the one with the fewest live flows for its weight, of the best that there are.
//!
//! Lines that are up come first. While none is, those that are being tested take new flows, and while there is none of
//! those either, lame ones do: a line that may not work serves people better than a refusal, and what says that it is lame
//! may be what is broken.

use std::sync::atomic::{AtomicU32, Ordering};

use crossbeam::utils::CachePadded;

use super::uplink::{Availability, MAX_UPLINKS, Uplink, UplinkId};

/// Live flows of each uplink, over all workers. Touched when a flow is made or ends, never by its packets.
#[derive(Debug)]
pub struct Load {
    flows: [CachePadded<AtomicU32>; MAX_UPLINKS],
}

impl Default for Load {
    fn default() -> Self {
        Self { flows: std::array::from_fn(|_| CachePadded::default()) }
    }
}

impl Load {
    /// Live flows of an uplink.
    #[must_use]
    pub fn flows(&self, uplink: UplinkId) -> u32 {
        self.flows[uplink.index()].load(Ordering::Relaxed)
    }

    /// Counts a new flow.
    pub fn add(&self, uplink: UplinkId) {
        self.flows[uplink.index()].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the end of a flow.
    pub fn remove(&self, uplink: UplinkId) {
        self.flows[uplink.index()].fetch_sub(1, Ordering::Relaxed);
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

/// Whether a new flow may be given to the uplink `id` of `uplinks`: there is none that is better.
#[must_use]
pub fn is_eligible(uplinks: &[Uplink], id: UplinkId) -> bool {
    let ours = uplinks.get(id.index()).and_then(trust);
    ours.is_some() && ours == uplinks.iter().filter_map(trust).max()
}

/// The eligible uplink that would have the fewest flows for its weight, the first of equals; `None` when none is
/// eligible. Takes time in proportion to the uplinks.
#[must_use]
pub fn choose(uplinks: &[Uplink], load: &Load) -> Option<UplinkId> {
    let share = |uplink: &&Uplink| {
        // Flows after this one, for each unit of weight, in 32.32 fixed point.
        (u64::from(load.flows(uplink.id).saturating_add(1)) << 32) / u64::from(uplink.weight.get())
    };
    let best = uplinks.iter().filter_map(trust).max()?;
    uplinks.iter().filter(|uplink| trust(uplink) == Some(best)).min_by_key(share).map(|uplink| uplink.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::uplink::{DhcpAnswers, NextHop};
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
        }
    }

    #[test]
    fn flows_spread_by_weight() {
        let (uplinks, load) = ([uplink(0, 1), uplink(1, 2), uplink(2, 5)], Load::default());
        for _ in 0..80 {
            load.add(choose(&uplinks, &load).unwrap());
        }
        assert_eq!([0, 1, 2].map(|id| load.flows(UplinkId(id))), [10, 20, 50]);
    }

    #[test]
    fn uplink_without_carrier_or_gateway_is_not_chosen() {
        let mut uplinks = [uplink(0, 9), uplink(1, 1), uplink(2, 9)];
        uplinks[0].availability = Availability::NoCarrier;
        uplinks[2].next_hop = None;
        assert_eq!(choose(&uplinks, &Load::default()), Some(UplinkId(1)));
        uplinks[1].external = None;
        assert_eq!(choose(&uplinks, &Load::default()), None);
    }

    #[test]
    fn line_in_doubt_is_chosen_only_while_there_is_none_better() {
        let mut uplinks = [uplink(0, 9), uplink(1, 9), uplink(2, 1)];
        uplinks[0].availability = Availability::Lame;
        uplinks[1].availability = Availability::Testing;
        let eligible = |uplinks: &[Uplink]| [0, 1, 2].map(|id| is_eligible(uplinks, UplinkId(id)));
        assert_eq!((choose(&uplinks, &Load::default()), eligible(&uplinks)), (Some(UplinkId(2)), [false, false, true]));
        uplinks[2].availability = Availability::Down;
        assert_eq!((choose(&uplinks, &Load::default()), eligible(&uplinks)), (Some(UplinkId(1)), [false, true, false]));
        uplinks[1].availability = Availability::NoCarrier;
        assert_eq!((choose(&uplinks, &Load::default()), eligible(&uplinks)), (Some(UplinkId(0)), [true, false, false]));
        uplinks[0].external = None;
        assert_eq!((choose(&uplinks, &Load::default()), eligible(&uplinks)), (None, [false; 3]));
    }
}
