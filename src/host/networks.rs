//! Which destinations the machine reaches by itself: they stay with the kernel, all else is the router's.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteType};

use super::netlink::Address;
use super::routing::route_table;

/// The networks of the main table's routes, but for default routes and those that lead only to the interfaces in
/// `not_by`, and the machine's own addresses. Sorted, and merged where one covers another.
pub(super) fn kernel_networks(routes: &[RouteMessage], addresses: &[Address], not_by: &[u32]) -> Vec<Ipv4Net> {
    let routed = routes.iter().filter(|route| {
        let interfaces = output_interfaces(route);
        interfaces.is_empty() || interfaces.iter().any(|index| !not_by.contains(index))
    });
    let own = addresses.iter().filter_map(Address::ipv4).map(|net| Ipv4Net::from(net.addr()));
    let mut networks: Vec<Ipv4Net> = routed.filter_map(destination).chain(own).collect();
    networks = Ipv4Net::aggregate(&networks);
    networks.sort();
    networks
}

/// Where a route of the main table leads to, unless it is a default route.
fn destination(route: &RouteMessage) -> Option<Ipv4Net> {
    let length = route.header.destination_prefix_length;
    let is_candidate = route_table(route) == u32::from(RouteHeader::RT_TABLE_MAIN)
        && route.header.kind == RouteType::Unicast
        && length > 0;
    if !is_candidate {
        return None;
    }
    route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(address)) => Ipv4Net::new(*address, length).ok(),
        _ => None,
    })
}

fn output_interfaces(route: &RouteMessage) -> Vec<u32> {
    let mut interfaces = Vec::new();
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Oif(index) => interfaces.push(*index),
            RouteAttribute::MultiPath(hops) => interfaces.extend(hops.iter().map(|hop| hop.interface_index)),
            _ => {}
        }
    }
    interfaces
}

/// An interface's addresses, the primary ones first.
pub(super) fn addresses_of(addresses: &[Address], index: u32) -> Vec<Ipv4Net> {
    let mut own: Vec<_> = addresses.iter().filter(|address| address.interface_index == index).collect();
    own.sort_by_key(|address| address.is_secondary());
    own.into_iter().filter_map(Address::ipv4).collect()
}

/// The gateway of the best default route of the main table that leads to the interface.
pub(super) fn default_gateway(routes: &[RouteMessage], index: u32) -> Option<Ipv4Addr> {
    let is_default = |route: &&RouteMessage| {
        route_table(route) == u32::from(RouteHeader::RT_TABLE_MAIN)
            && route.header.kind == RouteType::Unicast
            && route.header.destination_prefix_length == 0
    };
    let metric = |route: &&RouteMessage| {
        let priority =
            |attribute: &_| if let RouteAttribute::Priority(value) = attribute { Some(*value) } else { None };
        route.attributes.iter().find_map(priority).unwrap_or(0)
    };
    let mut routes: Vec<_> = routes.iter().filter(is_default).collect();
    routes.sort_by_key(metric);
    routes.into_iter().find_map(|route| gateway_by(&route.attributes, index))
}

/// The gateway among a route's attributes, if the route leads to the interface.
fn gateway_by(attributes: &[RouteAttribute], index: u32) -> Option<Ipv4Addr> {
    let gateway = |attributes: &[RouteAttribute]| {
        attributes.iter().find_map(|attribute| match attribute {
            RouteAttribute::Gateway(RouteAddress::Inet(address)) => Some(*address),
            _ => None,
        })
    };
    if attributes.contains(&RouteAttribute::Oif(index)) {
        return gateway(attributes);
    }
    let hops = attributes.iter().filter_map(|attribute| match attribute {
        RouteAttribute::MultiPath(hops) => Some(hops),
        _ => None,
    });
    hops.flatten().filter(|hop| hop.interface_index == index).find_map(|hop| gateway(&hop.attributes))
}

/// Whether the machine has this address.
pub(super) fn is_local(addresses: &[Address], address: Ipv4Addr) -> bool {
    addresses.iter().filter_map(Address::ipv4).any(|net| net.addr() == address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtnetlink::RouteMessageBuilder;
    use rtnetlink::packet_route::address::AddressFlags;

    fn route(network: &str, interface: u32) -> RouteMessage {
        let network: Ipv4Net = network.parse().unwrap();
        let builder = RouteMessageBuilder::<Ipv4Addr>::new().output_interface(interface);
        if network.prefix_len() == 0 {
            return builder.build();
        }
        builder.destination_prefix(network.addr(), network.prefix_len()).build()
    }

    fn address(net: &str, interface_index: u32) -> Address {
        Address { interface_index, net: net.parse().unwrap(), flags: AddressFlags::Permanent }
    }

    #[test]
    fn default_routes_and_those_by_our_own_lines_are_not_the_kernels() {
        let elsewhere = RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(Ipv4Addr::new(10, 9, 0, 0), 16)
            .output_interface(2)
            .table_id(7)
            .build();
        let routes = [
            route("0.0.0.0/0", 2),
            route("192.168.10.0/24", 2),
            route("10.77.1.0/24", 3),
            route("10.8.0.0/16", 4),
            elsewhere,
        ];
        let addresses = [address("192.168.10.1/24", 2), address("10.77.1.2/24", 3), address("fe80::1/64", 2)];
        let networks = kernel_networks(&routes, &addresses, &[3]);
        let expected: Vec<Ipv4Net> =
            ["10.8.0.0/16", "10.77.1.2/32", "192.168.10.0/24"].map(|net| net.parse().unwrap()).to_vec();
        assert_eq!(networks, expected);
    }
}
