//! The choice of an uplink for a new flow: the one with the fewest live flows for its weight.

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

/// Whether a new flow may be given to `uplink`.
#[must_use]
pub fn is_eligible(uplink: &Uplink) -> bool {
    uplink.availability == Availability::Usable && uplink.external.is_some() && uplink.next_hop.is_some()
}

/// The eligible uplink that would have the fewest flows for its weight, the first of equals; `None` when none is
/// eligible. Takes time in proportion to the uplinks.
#[must_use]
pub fn choose(uplinks: &[Uplink], load: &Load) -> Option<UplinkId> {
    let share = |uplink: &&Uplink| {
        // Flows after this one, for each unit of weight, in 32.32 fixed point.
        (u64::from(load.flows(uplink.id).saturating_add(1)) << 32) / u64::from(uplink.weight.get())
    };
    uplinks.iter().filter(|uplink| is_eligible(uplink)).min_by_key(share).map(|uplink| uplink.id)
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
            owner: AddressOwner::Router,
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
}
