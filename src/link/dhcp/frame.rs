//! From a DHCP message to an Ethernet frame, and back.

use std::net::Ipv4Addr;

use crate::wire::buffer::{ETHERNET_LENGTH, ETHERTYPE_IPV4};
use crate::wire::ipv4::{self, NewHeader};
use crate::wire::{Checksum, Ipv4, MacAddress, Udp, checksum, udp};

const UDP: u8 = 17;
const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;
const HOPS: u8 = 64;

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Destination {
    pub(super) mac: MacAddress,
    pub(super) address: Ipv4Addr,
}

impl Destination {
    /// Whoever hears it.
    pub(super) const ALL: Self = Self { mac: MacAddress::BROADCAST, address: Ipv4Addr::BROADCAST };
}

/// The frame that carries `message` from our port to a server's.
pub(super) fn frame(source: (MacAddress, Ipv4Addr), to: Destination, message: &[u8]) -> Vec<u8> {
    let (mac, address) = source;
    // A message has a few hundred bytes.
    let udp_length = u16::try_from(udp::HEADER_LENGTH + message.len()).unwrap_or(u16::MAX);
    let total_length = udp_length.saturating_add(20);
    let mut frame = Vec::with_capacity(ETHERNET_LENGTH + usize::from(total_length));
    frame.extend_from_slice(&to.mac.0);
    frame.extend_from_slice(&mac.0);
    frame.extend_from_slice(&ETHERTYPE_IPV4.to_be_bytes());
    let mut header = [0; ipv4::HEADER_LENGTH];
    NewHeader {
        total_length,
        identification: 0,
        flags_and_offset: 0,
        ttl: HOPS,
        protocol: UDP,
        source: address,
        destination: to.address,
    }
    .write(&mut header);
    frame.extend_from_slice(&header);
    let mut datagram = Vec::with_capacity(udp_length.into());
    for half in [CLIENT_PORT, SERVER_PORT, udp_length, 0] {
        datagram.extend_from_slice(&half.to_be_bytes());
    }
    datagram.extend_from_slice(message);
    let sum = checksum::pseudo_header_v4(address, to.address, UDP, udp_length) + checksum::sum(&datagram);
    let at = udp::CHECKSUM_OFFSET;
    datagram[at..at + 2].copy_from_slice(&checksum::finish_udp(sum).to_be_bytes());
    frame.extend_from_slice(&datagram);
    frame
}

/// The DHCP message in an IPv4 packet to the client's port. `None` for other packets, pieces of packets, and wrong
/// checksums; one that is not finished, as between two ends of one machine, cannot be wrong.
#[must_use]
pub fn message_of(packet: &[u8], checksum: Checksum) -> Option<&[u8]> {
    let ip = Ipv4::parse(packet).ok().filter(|ip| ip.protocol == UDP && ip.fragment.is_none())?;
    let transport = packet.get(ip.header_length..ip.total_length)?;
    let ports = Udp::parse(transport, false).ok()?;
    let length = u16::from_be_bytes([transport[4], transport[5]]);
    let datagram = transport.get(..length.into()).filter(|_| ports.destination_port == CLIENT_PORT)?;
    let has_checksum = datagram[udp::CHECKSUM_OFFSET..udp::CHECKSUM_OFFSET + 2] != [0, 0];
    if checksum == Checksum::Complete && has_checksum {
        let sum = checksum::pseudo_header_v4(ip.source, ip.destination, UDP, length) + checksum::sum(datagram);
        if checksum::finish(sum) != 0 {
            return None;
        }
    }
    datagram.get(udp::HEADER_LENGTH..)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
    const ADDRESS: Ipv4Addr = Ipv4Addr::new(100, 64, 7, 9);
    const SERVER: Ipv4Addr = Ipv4Addr::new(100, 64, 0, 1);

    /// What a server would send: ours, with the ports turned.
    fn reply(message: &[u8]) -> Vec<u8> {
        let mut packet = frame((OURS, SERVER), Destination { mac: OURS, address: ADDRESS }, message).split_off(14);
        packet.swap(21, 23);
        packet
    }

    #[test]
    fn another_parser_reads_our_frame() {
        let to = Destination { mac: MacAddress([2, 0, 0, 0, 0, 2]), address: SERVER };
        let bytes = frame((OURS, ADDRESS), to, b"odd");
        let packet = etherparse::PacketHeaders::from_ethernet_slice(&bytes).unwrap();
        let etherparse::NetHeaders::Ipv4(ip, _) = packet.net.unwrap() else { panic!("not IPv4") };
        let udp = packet.transport.unwrap().udp().unwrap();
        assert_eq!((ip.source, ip.destination), (ADDRESS.octets(), SERVER.octets()));
        assert_eq!((udp.source_port, udp.destination_port, udp.length), (68, 67, 11));
        assert_eq!(ip.header_checksum, ip.calc_header_checksum());
        assert_eq!(udp.checksum, udp.calc_checksum_ipv4(&ip, b"odd").unwrap());
        assert_eq!(bytes[..6], to.mac.0);
    }

    #[test]
    fn message_comes_out_again_and_damage_is_noticed() {
        let whole = reply(b"hello");
        assert_eq!(message_of(&whole, Checksum::Complete), Some(&b"hello"[..]));
        let mut damaged = whole.clone();
        damaged[30] ^= 1;
        assert_eq!(message_of(&damaged, Checksum::Complete), None);
        // Ethernet pads; a checksum may be missing, unfinished, or looked at by the card.
        let mut padded = [&whole[..], &[0; 13]].concat();
        assert_eq!(message_of(&padded, Checksum::Complete), Some(&b"hello"[..]));
        padded[26..28].copy_from_slice(&[0, 0]);
        assert_eq!(message_of(&padded, Checksum::Complete), Some(&b"hello"[..]));
        padded[26..28].copy_from_slice(&[1, 2]);
        for trusted in [Checksum::Verified, Checksum::Unfinished { start: 20, offset: 6 }] {
            assert_eq!(message_of(&padded, trusted), Some(&b"hello"[..]));
        }
    }

    #[test]
    fn other_packets_hold_no_message() {
        let whole = reply(b"hello");
        for end in 0..whole.len() {
            assert_eq!(message_of(&whole[..end], Checksum::Verified), None);
        }
        let to_server = frame((OURS, ADDRESS), Destination::ALL, b"hello").split_off(14);
        assert_eq!(message_of(&to_server, Checksum::Verified), None);
    }
}
