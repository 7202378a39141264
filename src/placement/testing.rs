//! Lines for tests.

use std::net::Ipv4Addr;
use std::num::NonZeroU32;

use super::ids::UplinkId;
use super::uplink::{AddressOwner, Availability, DhcpAnswers, NextHop, Uplink};
use crate::wire::MacAddress;

/// A line that works.
pub(crate) fn uplink(id: u8, weight: u32) -> Uplink {
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
