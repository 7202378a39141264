//! One network interface, as the kernel tells of it.

use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage};

use crate::wire::MacAddress;

/// A network interface. Its name is what the configuration knows; its index is what the kernel knows, and changes when
/// the interface is deleted and made again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// As in `ip link`.
    pub name: String,
    /// Never 0.
    pub index: u32,
    /// Its Ethernet address; `None` on a TUN device, PPP and the like.
    pub mac: Option<MacAddress>,
    /// Longest IP packet, in bytes.
    pub mtu: u32,
    /// Whether it is set up (`IFF_UP`).
    pub up: bool,
    /// Whether the line has a signal (`IFF_LOWER_UP`); only while it is up.
    pub carrier: bool,
    /// Transmit queue length, in packets.
    pub queue_length: u32,
}

impl Interface {
    /// Whether frames there have an Ethernet header, so that a packet socket can serve it.
    #[must_use]
    pub fn is_ethernet(&self) -> bool {
        self.mac.is_some()
    }

    /// Reads what the kernel says; `None` without a name.
    pub(super) fn from_message(message: &LinkMessage) -> Option<Self> {
        let flags = message.header.flags;
        let mut interface = Self {
            name: String::new(),
            index: message.header.index,
            mac: None,
            mtu: 0,
            up: flags.contains(LinkFlags::Up),
            carrier: flags.contains(LinkFlags::LowerUp),
            queue_length: 0,
        };
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => interface.name.clone_from(name),
                LinkAttribute::Mtu(mtu) => interface.mtu = *mtu,
                LinkAttribute::TxQueueLen(length) => interface.queue_length = *length,
                LinkAttribute::Address(bytes) if message.header.link_layer_type == LinkLayerType::Ether => {
                    interface.mac = bytes.as_slice().try_into().ok().map(MacAddress);
                }
                _ => {}
            }
        }
        (!interface.name.is_empty()).then_some(interface)
    }
}
