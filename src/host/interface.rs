//! One network interface, as the kernel tells of it.

use rtnetlink::packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage};

use crate::wire::MacAddress;

/// Whether an interface stands on others. Those that do often have the Ethernet address of one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// By itself.
    #[default]
    Alone,
    /// On others: a VLAN, a bridge, a bond.
    OnOthers,
}

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
    /// The Ethernet address that its maker gave it, where the driver tells of one.
    pub permanent_mac: Option<MacAddress>,
    /// Whether it has a device or a tunnel of its own, or shares those of others.
    pub standing: Standing,
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

    /// Whether this is its Ethernet address, now or by birth.
    #[must_use]
    pub fn has_mac(&self, mac: MacAddress) -> bool {
        self.mac == Some(mac) || self.permanent_mac == Some(mac)
    }

    /// Reads what the kernel says; `None` without a name.
    pub(super) fn from_message(message: &LinkMessage) -> Option<Self> {
        let flags = message.header.flags;
        let mut interface = Self {
            name: String::new(),
            index: message.header.index,
            mac: None,
            permanent_mac: None,
            standing: Standing::Alone,
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
                LinkAttribute::PermAddress(bytes) => {
                    interface.permanent_mac = bytes.as_slice().try_into().ok().map(MacAddress);
                }
                LinkAttribute::LinkInfo(facts) if facts.iter().any(stands_on_others) => {
                    interface.standing = Standing::OnOthers;
                }
                _ => {}
            }
        }
        (!interface.name.is_empty()).then_some(interface)
    }
}

fn stands_on_others(fact: &LinkInfo) -> bool {
    match fact {
        LinkInfo::Kind(kind) => matches!(
            kind,
            InfoKind::Bridge
                | InfoKind::Bond
                | InfoKind::Team
                | InfoKind::Vlan
                | InfoKind::MacVlan
                | InfoKind::MacVtap
                | InfoKind::IpVlan
                | InfoKind::IpVtap
        ),
        _ => false,
    }
}
