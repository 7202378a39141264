//! Who answers at which address on the links of the machine: the kernel's neighbour table.
//!
//! The kernel enters a host that asks for the machine's Ethernet address, or that it has asked for its own; that goes on for
//! the LAN's hosts whoever carries their packets. It forgets those that it has not heard of for a while.

use std::net::Ipv4Addr;

use rtnetlink::packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState};

use crate::wire::MacAddress;

/// A host on a link of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Neighbor {
    /// The number of the interface.
    pub interface_index: u32,
    /// Its address.
    pub address: Ipv4Addr,
    /// Its Ethernet address.
    pub mac: MacAddress,
}

impl Neighbor {
    /// The host that a message tells of. `None`: it tells of none that has answered, or not of Ethernet and IPv4.
    pub(super) fn from_message(message: &NeighbourMessage) -> Option<Self> {
        let is_known = matches!(
            message.header.state,
            NeighbourState::Reachable
                | NeighbourState::Stale
                | NeighbourState::Delay
                | NeighbourState::Probe
                | NeighbourState::Permanent
        );
        let mut address = None;
        let mut mac = None;
        for attribute in &message.attributes {
            match attribute {
                NeighbourAttribute::Destination(NeighbourAddress::Inet(inet)) => address = Some(*inet),
                NeighbourAttribute::LinkLayerAddress(bytes) => mac = bytes.as_slice().try_into().ok().map(MacAddress),
                _ => {}
            }
        }
        let mac = mac.filter(|mac| is_known && !mac.is_group() && *mac != MacAddress::default())?;
        Some(Self { interface_index: message.header.ifindex, address: address?, mac })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: Ipv4Addr = Ipv4Addr::new(192, 168, 10, 50);

    fn message(state: NeighbourState, mac: &[u8]) -> NeighbourMessage {
        let mut message = NeighbourMessage::default();
        (message.header.ifindex, message.header.state) = (7, state);
        message.attributes = vec![
            NeighbourAttribute::Destination(NeighbourAddress::Inet(HOST)),
            NeighbourAttribute::LinkLayerAddress(mac.to_vec()),
        ];
        message
    }

    #[test]
    fn only_those_who_have_answered_are_hosts() {
        let mac = [2, 0, 0, 0, 0, 50];
        let host = Neighbor { interface_index: 7, address: HOST, mac: MacAddress(mac) };
        for state in [NeighbourState::Reachable, NeighbourState::Stale, NeighbourState::Permanent] {
            assert_eq!(Neighbor::from_message(&message(state, &mac)), Some(host));
        }
        for state in [NeighbourState::Incomplete, NeighbourState::Failed, NeighbourState::Noarp] {
            assert_eq!(Neighbor::from_message(&message(state, &mac)), None, "{state}");
        }
        for mac in [&[][..], &[0; 6], &[0xff; 6], &[2, 0, 0, 0, 0], &[2; 20]] {
            assert_eq!(Neighbor::from_message(&message(NeighbourState::Stale, mac)), None, "{mac:?}");
        }
        assert_eq!(Neighbor::from_message(&NeighbourMessage::default()), None);
    }
}
