//! What changes on the machine while the router runs, told by the kernel's multicast groups.
//!
//! A second netlink connection, subscribed before anything is read, so that nothing falls between. It keeps a picture of
//! the interfaces and tells differences only: the kernel announces a link for many reasons that do not matter here. When the
//! kernel had to throw announcements away (its buffer was full), the picture is read anew, the differences told, and then
//! [`HostEvent::Resync`] says to read addresses, routes and neighbours anew too.

use std::collections::{BTreeMap, VecDeque};

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use rtnetlink::MulticastGroup;
use rtnetlink::packet_core::NetlinkPayload;
use rtnetlink::packet_route::route::{RouteHeader, RouteMessage};
use rtnetlink::packet_route::rule::{RuleAttribute, RuleMessage};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};

use super::error::HostError;
use super::interface::Interface;
use super::neighbor::Neighbor;
use super::netlink::Netlink;
use super::routing::PROTOCOL;

/// Something changed on the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostEvent {
    /// An interface is there (also one that was renamed to this name, or made again).
    InterfaceAdded(Interface),
    /// Its address, MTU, state or carrier changed.
    InterfaceChanged(Interface),
    /// An interface is gone (also under its old name when it was renamed).
    InterfaceRemoved {
        /// What it was called.
        name: String,
        /// Its number.
        index: u32,
    },
    /// An interface got or lost an IPv4 address.
    AddressesChanged {
        /// Which.
        interface_index: u32,
    },
    /// Routes of the main table changed.
    RoutesChanged,
    /// The kernel has heard of a host on one of its links; of one that it knows already, too.
    NeighborSeen(Neighbor),
    /// Somebody took one of our rules or routes away: prepare anew. (The kernel says nothing of routes that it drops itself,
    /// because their interface was set down or their source address taken off; that is told as a change of those.)
    RulesChanged,
    /// Some announcements were lost: addresses, routes, rules and neighbours may have changed.
    Resync,
}

/// Where events come from. The first ones tell every interface that is there.
pub struct HostEvents {
    netlink: Netlink,
    announcements: BoxStream<'static, NetlinkPayload<RouteNetlinkMessage>>,
    interfaces: BTreeMap<u32, Interface>,
    waiting: VecDeque<HostEvent>,
    picture: Picture,
}

/// Whether the picture of the interfaces is that of the kernel, but for announcements still to come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Picture {
    Current,
    Stale,
}

impl HostEvents {
    pub(super) async fn open(netlink: Netlink) -> Result<Self, HostError> {
        let groups = [
            MulticastGroup::Link,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv4Rule,
            MulticastGroup::Neigh,
        ];
        let (connection, _handle, messages) = rtnetlink::new_multicast_connection(&groups)
            .map_err(|source| HostError::from_kernel("subscribe to changes of the network", source))?;
        tokio::spawn(connection);
        let announcements = messages.map(|(message, _)| message.payload).boxed();
        let mut events = Self {
            netlink,
            announcements,
            interfaces: BTreeMap::new(),
            waiting: VecDeque::new(),
            picture: Picture::Current,
        };
        events.read_interfaces().await?;
        Ok(events)
    }

    /// The next event. `None`: the kernel's socket broke, and there will be no more. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<HostEvent> {
        loop {
            if self.picture == Picture::Stale {
                if let Err(error) = self.read_interfaces().await {
                    tracing::error!(%error, "cannot read the interfaces anew");
                }
                self.picture = Picture::Current;
                self.once(HostEvent::Resync);
            }
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            match self.announcements.next().await? {
                NetlinkPayload::InnerMessage(message) => self.digest(&message),
                NetlinkPayload::Overrun(_) => self.picture = Picture::Stale,
                _ => {}
            }
        }
    }

    fn digest(&mut self, message: &RouteNetlinkMessage) {
        match message {
            // Announcements of a bridge's ports come with its own family, and their removal is not the interface's.
            RouteNetlinkMessage::NewLink(link) if link.header.interface_family == AddressFamily::Unspec => {
                if let Some(interface) = Interface::from_message(link) {
                    self.seen(interface);
                }
            }
            RouteNetlinkMessage::DelLink(link) if link.header.interface_family == AddressFamily::Unspec => {
                self.gone(link.header.index);
            }
            RouteNetlinkMessage::NewAddress(address) | RouteNetlinkMessage::DelAddress(address) => {
                self.waiting.push_back(HostEvent::AddressesChanged { interface_index: address.header.index });
            }
            RouteNetlinkMessage::NewNeighbour(neighbor) => {
                if let Some(neighbor) = Neighbor::from_message(neighbor) {
                    self.once(HostEvent::NeighborSeen(neighbor));
                }
            }
            RouteNetlinkMessage::DelRoute(route) if route.header.protocol == PROTOCOL => {
                self.once(HostEvent::RulesChanged);
            }
            RouteNetlinkMessage::NewRoute(route) | RouteNetlinkMessage::DelRoute(route) if is_main(route) => {
                self.once(HostEvent::RoutesChanged);
            }
            RouteNetlinkMessage::DelRule(rule) if is_our_rule(rule) => self.once(HostEvent::RulesChanged),
            _ => {}
        }
    }

    /// A burst of changes is one event.
    fn once(&mut self, event: HostEvent) {
        if !self.waiting.contains(&event) {
            self.waiting.push_back(event);
        }
    }

    fn seen(&mut self, interface: Interface) {
        let known = self.interfaces.insert(interface.index, interface.clone());
        match known {
            Some(known) if known == interface => {}
            Some(known) if known.name == interface.name => {
                self.waiting.push_back(HostEvent::InterfaceChanged(interface));
            }
            Some(known) => {
                self.waiting.push_back(HostEvent::InterfaceRemoved { name: known.name, index: known.index });
                self.waiting.push_back(HostEvent::InterfaceAdded(interface));
            }
            None => self.waiting.push_back(HostEvent::InterfaceAdded(interface)),
        }
    }

    fn gone(&mut self, index: u32) {
        if let Some(known) = self.interfaces.remove(&index) {
            self.waiting.push_back(HostEvent::InterfaceRemoved { name: known.name, index });
        }
    }

    async fn read_interfaces(&mut self) -> Result<(), HostError> {
        let there = self.netlink.interfaces().await?;
        let missing: Vec<u32> =
            self.interfaces.keys().copied().filter(|index| there.iter().all(|link| link.index != *index)).collect();
        for index in missing {
            self.gone(index);
        }
        for interface in there {
            self.seen(interface);
        }
        Ok(())
    }
}

fn is_main(route: &RouteMessage) -> bool {
    route.header.table == RouteHeader::RT_TABLE_MAIN
}

fn is_our_rule(rule: &RuleMessage) -> bool {
    rule.attributes.contains(&RuleAttribute::Protocol(PROTOCOL))
}
