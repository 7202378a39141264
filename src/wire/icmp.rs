//! ICMP for IPv4 (RFC 792): queries with an identifier, errors with a quoted packet, and the writing of errors.

use std::net::Ipv4Addr;

use super::buffer::PacketBuffer;
use super::checksum;
use super::ipv4::{self, NewHeader};
use super::vnet::VnetHeader;

/// Bytes of a header.
pub const HEADER_LENGTH: usize = 8;
/// Where the checksum stands in the header.
pub const CHECKSUM_OFFSET: usize = 2;
/// Where the identifier of a query stands in the header.
pub const IDENTIFIER_OFFSET: usize = 4;
/// ICMP's number in the IP header.
pub const PROTOCOL: u8 = 1;

const ECHO_REPLY: u8 = 0;
const DESTINATION_UNREACHABLE: u8 = 3;
const ECHO_REQUEST: u8 = 8;
const TIME_EXCEEDED: u8 = 11;
const PARAMETER_PROBLEM: u8 = 12;

/// An error quotes no more of the packet than keeps it within this length (RFC 1812 section 4.3.2.3).
const LONGEST_ERROR: usize = 576;
/// Time to live of the errors that we make.
const ERROR_TTL: u8 = 64;

/// What an ICMP message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icmp {
    /// Echo request with its identifier.
    EchoRequest(u16),
    /// Echo reply with its identifier.
    EchoReply(u16),
    /// An error about the packet quoted from byte 8 on.
    Error,
    /// Anything else: redirects, source quench, timestamps, masks.
    Other,
}

impl Icmp {
    /// Parses the header at the start of `transport`; `None` when it is too short.
    #[must_use]
    pub fn parse(transport: &[u8]) -> Option<Self> {
        let fixed: &[u8; HEADER_LENGTH] = transport.first_chunk()?;
        let identifier = u16::from_be_bytes([fixed[4], fixed[5]]);
        Some(match fixed[0] {
            ECHO_REQUEST => Self::EchoRequest(identifier),
            ECHO_REPLY => Self::EchoReply(identifier),
            DESTINATION_UNREACHABLE | TIME_EXCEEDED | PARAMETER_PROBLEM => Self::Error,
            _ => Self::Other,
        })
    }
}

/// Recomputes the checksum of a whole ICMP message.
pub fn write_checksum(message: &mut [u8]) {
    message[CHECKSUM_OFFSET..CHECKSUM_OFFSET + 2].fill(0);
    let sum = checksum::of(message);
    message[CHECKSUM_OFFSET..CHECKSUM_OFFSET + 2].copy_from_slice(&sum.to_be_bytes());
}

/// An error that the router sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The time to live ran out (type 11 code 0).
    TimeExceeded,
    /// Too long for the next link (type 3 code 4, RFC 1191).
    FragmentationNeeded {
        /// Longest packet that passes.
        mtu: u16,
    },
    /// No way to the destination now (type 3 code 0).
    NetworkUnreachable,
    /// Nobody listens there (type 3 code 3): the one error that ends a datagram socket's wait at once everywhere.
    PortUnreachable,
    /// Refused for want of a resource (type 3 code 13, RFC 5508 REQ-8).
    AdministrativelyProhibited,
}

impl ErrorKind {
    fn header(self) -> [u8; HEADER_LENGTH] {
        let (kind, code, mtu) = match self {
            Self::TimeExceeded => (TIME_EXCEEDED, 0, 0),
            Self::FragmentationNeeded { mtu } => (DESTINATION_UNREACHABLE, 4, mtu),
            Self::NetworkUnreachable => (DESTINATION_UNREACHABLE, 0, 0),
            Self::PortUnreachable => (DESTINATION_UNREACHABLE, 3, 0),
            Self::AdministrativelyProhibited => (DESTINATION_UNREACHABLE, 13, 0),
        };
        let [high, low] = mtu.to_be_bytes();
        [kind, code, 0, 0, 0, 0, high, low]
    }
}

/// Writes an error about `offending` into `buffer`: from `source`, to `destination`, who sent it.
pub fn write_error(
    buffer: &mut PacketBuffer,
    kind: ErrorKind,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    offending: &[u8],
) {
    let quoted = &offending[..offending.len().min(LONGEST_ERROR - ipv4::HEADER_LENGTH - HEADER_LENGTH)];
    let length = ipv4::HEADER_LENGTH + HEADER_LENGTH + quoted.len();
    buffer.set_length(length);
    buffer.vnet = VnetHeader::default();
    let packet = buffer.packet_mut();
    #[expect(clippy::cast_possible_truncation, reason = "at most LONGEST_ERROR")]
    let total_length = length as u16;
    // An atomic datagram: RFC 6864 lets the identification be anything.
    let header = NewHeader {
        total_length,
        identification: 0,
        flags_and_offset: 0x4000,
        ttl: ERROR_TTL,
        protocol: PROTOCOL,
        source,
        destination,
    };
    header.write(packet);
    let message = &mut packet[ipv4::HEADER_LENGTH..];
    message[..HEADER_LENGTH].copy_from_slice(&kind.header());
    message[HEADER_LENGTH..].copy_from_slice(quoted);
    write_checksum(message);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ipv4::Ipv4;

    #[test]
    fn error_quotes_the_packet_and_names_the_mtu() {
        let mut buffer = PacketBuffer::new();
        let (us, host) = (Ipv4Addr::new(192, 168, 10, 1), Ipv4Addr::new(192, 168, 10, 20));
        write_error(&mut buffer, ErrorKind::FragmentationNeeded { mtu: 1400 }, us, host, &[0x45; 1500]);
        let packet = buffer.packet();
        let header = Ipv4::parse(packet).unwrap();
        assert_eq!((header.source, header.destination, header.total_length), (us, host, LONGEST_ERROR));
        assert!(checksum::is_right(&packet[20..]));
        assert_eq!(&packet[20..22], [3, 4]);
        assert_eq!(u16::from_be_bytes([packet[26], packet[27]]), 1400);
    }
}
