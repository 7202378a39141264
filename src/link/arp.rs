//! ARP (RFC 826) on Ethernet: frames to send, and checked reading of those received.

use std::net::Ipv4Addr;

use smoltcp::wire::{ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr};

use crate::wire::MacAddress;

/// Bytes of an ARP frame on Ethernet, without padding.
pub const ARP_FRAME_LENGTH: usize = 14 + 28;

/// An ARP frame, ready to send.
pub type ArpFrame = [u8; ARP_FRAME_LENGTH];

/// What a packet wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Who has this address?
    Request,
    /// I have.
    Reply,
}

/// An ARP packet about IPv4 addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// What it wants.
    pub operation: Operation,
    /// The sender's Ethernet address.
    pub sender_mac: MacAddress,
    /// The sender's address; zero in a probe (RFC 5227).
    pub sender: Ipv4Addr,
    /// The Ethernet address asked for or told; zero where it is not known.
    pub target_mac: MacAddress,
    /// The address asked for, or of whoever is answered.
    pub target: Ipv4Addr,
}

impl Arp {
    /// Reads what follows the Ethernet header. `None` for anything else, anything broken, and senders that no host is.
    #[must_use]
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let repr = ArpPacket::new_checked(packet).and_then(|packet| ArpRepr::parse(&packet)).ok()?;
        let ArpRepr::EthernetIpv4 {
            operation,
            source_hardware_addr: EthernetAddress(sender_mac),
            source_protocol_addr: sender,
            target_hardware_addr: EthernetAddress(target_mac),
            target_protocol_addr: target,
        } = repr
        else {
            return None;
        };
        let operation = match operation {
            ArpOperation::Request => Operation::Request,
            ArpOperation::Reply => Operation::Reply,
            ArpOperation::Unknown(_) => return None,
        };
        let sender_mac = MacAddress(sender_mac);
        let is_host = !sender_mac.is_group() && sender_mac != MacAddress::default();
        is_host.then_some(Self { operation, sender_mac, sender, target_mac: MacAddress(target_mac), target })
    }

    /// The frame that carries it from its sender `to` an Ethernet address.
    #[must_use]
    pub fn frame(&self, to: MacAddress) -> ArpFrame {
        let source = EthernetAddress(self.sender_mac.0);
        let ethernet =
            EthernetRepr { src_addr: source, dst_addr: EthernetAddress(to.0), ethertype: EthernetProtocol::Arp };
        let arp = ArpRepr::EthernetIpv4 {
            operation: match self.operation {
                Operation::Request => ArpOperation::Request,
                Operation::Reply => ArpOperation::Reply,
            },
            source_hardware_addr: source,
            source_protocol_addr: self.sender,
            target_hardware_addr: EthernetAddress(self.target_mac.0),
            target_protocol_addr: self.target,
        };
        let mut bytes = [0; ARP_FRAME_LENGTH];
        let mut frame = EthernetFrame::new_unchecked(&mut bytes[..]);
        ethernet.emit(&mut frame);
        arp.emit(&mut ArpPacket::new_unchecked(frame.payload_mut()));
        bytes
    }
}
