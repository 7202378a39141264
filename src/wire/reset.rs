//! A TCP reset (RFC 9293 section 3.5.3) and the headers that an ICMP error quotes, made from what is known of a connection:
//! no packet of it is at hand.

use std::net::Ipv4Addr;

use super::buffer::PacketBuffer;
use super::checksum;
use super::ipv4::{self, NewHeader};
use super::tcp::{self, TcpFlags};
use super::udp;
use super::vnet::VnetHeader;

/// Time to live of what we make.
const TTL: u8 = 64;
/// An atomic datagram: RFC 6864 lets the identification be anything.
const DONT_FRAGMENT: u16 = 0x4000;
/// TCP's and UDP's numbers in the IP header.
const TCP: u8 = 6;
const UDP: u8 = 17;

/// An address and a port.
pub type End = (Ipv4Addr, u16);

/// A reset that ends a connection for whoever receives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewReset {
    /// Whom the receiver speaks with: the far end.
    pub source: End,
    /// The receiver.
    pub destination: End,
    /// What the receiver expects next: anything else it does not believe (RFC 5961 section 3.2).
    pub sequence: u32,
    /// What the receiver has sent up to now; `None`: a reset without ACK.
    pub acknowledgement: Option<u32>,
}

impl NewReset {
    /// Writes it into `buffer`, without link header.
    pub fn write(&self, buffer: &mut PacketBuffer) {
        buffer.set_length(ipv4::HEADER_LENGTH + tcp::HEADER_LENGTH);
        buffer.vnet = VnetHeader::default();
        let packet = buffer.packet_mut();
        header(TCP, packet.len(), self.source.0, self.destination.0).write(packet);
        let segment = &mut packet[ipv4::HEADER_LENGTH..];
        segment.fill(0);
        segment[..2].copy_from_slice(&self.source.1.to_be_bytes());
        segment[2..4].copy_from_slice(&self.destination.1.to_be_bytes());
        segment[4..8].copy_from_slice(&self.sequence.to_be_bytes());
        segment[8..12].copy_from_slice(&self.acknowledgement.unwrap_or(0).to_be_bytes());
        // The header's length in words of four bytes.
        segment[12] = 5 << 4;
        let flags = if self.acknowledgement.is_some() { TcpFlags::RST.union(TcpFlags::ACK) } else { TcpFlags::RST };
        segment[13] = flags.0;
        let pseudo = checksum::pseudo_header_v4(self.source.0, self.destination.0, TCP, tcp::HEADER_LENGTH as u16);
        let sum = checksum::finish(pseudo + checksum::sum(segment));
        segment[tcp::CHECKSUM_OFFSET..tcp::CHECKSUM_OFFSET + 2].copy_from_slice(&sum.to_be_bytes());
    }
}

/// Bytes that an error quotes of a datagram at least: its headers (RFC 792).
pub const QUOTED_LENGTH: usize = ipv4::HEADER_LENGTH + udp::HEADER_LENGTH;

/// The headers of an empty UDP datagram, for an error to quote. Its checksum says that there is none.
#[must_use]
pub fn datagram_headers(source: End, destination: End) -> [u8; QUOTED_LENGTH] {
    let mut packet = [0; QUOTED_LENGTH];
    header(UDP, QUOTED_LENGTH, source.0, destination.0).write(&mut packet);
    let datagram = &mut packet[ipv4::HEADER_LENGTH..];
    datagram[..2].copy_from_slice(&source.1.to_be_bytes());
    datagram[2..4].copy_from_slice(&destination.1.to_be_bytes());
    datagram[4..6].copy_from_slice(&(udp::HEADER_LENGTH as u16).to_be_bytes());
    packet
}

fn header(protocol: u8, length: usize, source: Ipv4Addr, destination: Ipv4Addr) -> NewHeader {
    #[expect(clippy::cast_possible_truncation, reason = "headers alone")]
    let total_length = length as u16;
    let flags_and_offset = DONT_FRAGMENT;
    NewHeader { total_length, identification: 0, flags_and_offset, ttl: TTL, protocol, source, destination }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Ipv4, Tcp, Udp};

    const HOST: End = (Ipv4Addr::new(192, 168, 10, 20), 40_000);
    const REMOTE: End = (Ipv4Addr::new(203, 0, 113, 1), 443);

    #[test]
    fn reset_is_read_by_others_and_sums_are_right() {
        for acknowledgement in [None, Some(77)] {
            let mut buffer = PacketBuffer::new();
            buffer.fill(&[0xee; 1_500]);
            NewReset { source: REMOTE, destination: HOST, sequence: u32::MAX, acknowledgement }.write(&mut buffer);
            let sliced = etherparse::SlicedPacket::from_ip(buffer.packet()).unwrap();
            let Some(etherparse::NetSlice::Ipv4(ip)) = &sliced.net else { panic!("not IPv4") };
            let Some(etherparse::TransportSlice::Tcp(tcp)) = &sliced.transport else { panic!("not TCP") };
            assert_eq!((tcp.rst(), tcp.ack(), tcp.sequence_number()), (true, acknowledgement.is_some(), u32::MAX));
            let sum = tcp.to_header().calc_checksum_ipv4(&ip.header().to_header(), &[]).unwrap();
            assert_eq!(tcp.checksum(), sum);
            let ours = Tcp::parse(&buffer.packet()[20..]).unwrap();
            assert_eq!((ours.source_port, ours.destination_port), (REMOTE.1, HOST.1));
            assert!(Ipv4::parse(buffer.packet()).is_ok());
        }
    }

    #[test]
    fn quoted_headers_are_those_of_a_datagram() {
        let quoted = datagram_headers(HOST, REMOTE);
        let ip = Ipv4::parse(&quoted).unwrap();
        assert_eq!((ip.source, ip.destination, ip.protocol), (HOST.0, REMOTE.0, UDP));
        let udp = Udp::parse(&quoted[20..], false).unwrap();
        assert_eq!((udp.source_port, udp.destination_port), (HOST.1, REMOTE.1));
    }
}
