//! The rewriting of packets: one endpoint of a packet, or of the packet that an ICMP error quotes, is replaced, and every
//! checksum over it mended (RFC 1624). Nothing else changes.

use std::net::Ipv4Addr;

use crate::flow::Protocol;
use crate::flow::record::EndpointV4;
use crate::wire::checksum::Delta;
use crate::wire::{AddressField, Checksum, icmp, ipv4, tcp, udp};

/// Which word of the layer-4 header holds the port.
const fn port_offset(protocol: Protocol, field: AddressField) -> usize {
    match (protocol, field) {
        (Protocol::Icmp, _) => icmp::IDENTIFIER_OFFSET,
        (_, AddressField::Source) => 0,
        (_, AddressField::Destination) => 2,
    }
}

const fn checksum_offset(protocol: Protocol) -> usize {
    match protocol {
        Protocol::Icmp => icmp::CHECKSUM_OFFSET,
        Protocol::Tcp => tcp::CHECKSUM_OFFSET,
        Protocol::Udp => udp::CHECKSUM_OFFSET,
    }
}

/// How much of the layer-4 header is in the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// All that is to be rewritten, with its checksum in this state.
    Present(Checksum),
    /// None: a later fragment.
    Absent,
}

/// Replaces the endpoint in `field` of a whole packet (or of a fragment) by `new`. `header_length` is that of its IPv4
/// header; `old_address` what stands in `field` now.
pub fn replace_endpoint(
    packet: &mut [u8],
    header_length: usize,
    protocol: Protocol,
    field: AddressField,
    (old_address, new): (Ipv4Addr, EndpointV4),
    transport: Transport,
) {
    ipv4::replace_address(packet, field, new.address);
    if let Transport::Present(checksum) = transport {
        let delta = replace_port(&mut packet[header_length..], protocol, field, old_address, new);
        mend(&mut packet[header_length..], protocol, checksum, delta);
    }
}

/// Writes the port and says what that and the new address do to the checksum.
fn replace_port(
    transport: &mut [u8],
    protocol: Protocol,
    field: AddressField,
    old_address: Ipv4Addr,
    new: EndpointV4,
) -> Delta {
    let mut delta = Delta::new();
    if protocol != Protocol::Icmp {
        // RFC 792: ICMP has no pseudo-header.
        delta.replace_address(old_address.into(), new.address.into());
    }
    let at = port_offset(protocol, field);
    let old_port = u16::from_be_bytes([transport[at], transport[at + 1]]);
    transport[at..at + 2].copy_from_slice(&new.port.to_be_bytes());
    delta.replace_word(old_port, new.port);
    delta
}

fn mend(transport: &mut [u8], protocol: Protocol, state: Checksum, delta: Delta) {
    let at = checksum_offset(protocol);
    let field = u16::from_be_bytes([transport[at], transport[at + 1]]);
    let mended = match (state, protocol) {
        (Checksum::Unfinished { .. }, _) => delta.apply_unfinished(field),
        (_, Protocol::Udp) => delta.apply_udp(field),
        _ => delta.apply_complete(field),
    };
    transport[at..at + 2].copy_from_slice(&mended.to_be_bytes());
}

/// Replaces an endpoint in the packet that an ICMP error quotes (RFC 5508 REQ-4 and 5). `quoted` starts at the embedded
/// IPv4 header; its layer-4 checksum is mended where it was quoted. The caller recomputes the error's own checksum.
pub fn replace_quoted_endpoint(
    quoted: &mut [u8],
    header_length: usize,
    protocol: Protocol,
    field: AddressField,
    (old_address, new): (Ipv4Addr, EndpointV4),
) {
    ipv4::replace_address(quoted, field, new.address);
    let transport = &mut quoted[header_length..];
    let delta = replace_port(transport, protocol, field, old_address, new);
    // RFC 792 quotes 8 bytes, which end before TCP's checksum.
    if transport.len() >= checksum_offset(protocol) + 2 {
        mend(transport, protocol, Checksum::Complete, delta);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::checksum;
    use crate::wire::ipv4::NewHeader;

    const HOST: EndpointV4 = EndpointV4 { address: Ipv4Addr::new(192, 168, 10, 20), port: 40_000 };
    const EXTERNAL: EndpointV4 = EndpointV4 { address: Ipv4Addr::new(10, 77, 3, 2), port: 51_111 };
    const REMOTE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);

    fn packet(protocol: Protocol) -> Vec<u8> {
        let mut packet = vec![0x5a; 20 + 20 + 33];
        let total_length = u16::try_from(packet.len()).unwrap();
        NewHeader {
            total_length,
            identification: 5,
            flags_and_offset: 0,
            ttl: 64,
            protocol: protocol as u8,
            source: HOST.address,
            destination: REMOTE,
        }
        .write(&mut packet);
        packet[20..22].copy_from_slice(&HOST.port.to_be_bytes());
        let at = 20 + checksum_offset(protocol);
        packet[at..at + 2].fill(0);
        let sum = transport_sum(&packet, protocol);
        packet[at..at + 2].copy_from_slice(&checksum::finish(sum).to_be_bytes());
        packet
    }

    fn transport_sum(packet: &[u8], protocol: Protocol) -> u32 {
        let length = u16::try_from(packet.len() - 20).unwrap();
        let source = Ipv4Addr::new(packet[12], packet[13], packet[14], packet[15]);
        let pseudo = match protocol {
            Protocol::Icmp => 0,
            _ => checksum::pseudo_header_v4(source, REMOTE, protocol as u8, length),
        };
        pseudo + checksum::sum(&packet[20..])
    }

    #[test]
    fn translating_there_and_back_is_the_identity_and_sums_stay_right() {
        for protocol in Protocol::ALL {
            let original = packet(protocol);
            let mut translated = original.clone();
            let complete = Transport::Present(Checksum::Complete);
            let source = AddressField::Source;
            replace_endpoint(&mut translated, 20, protocol, source, (HOST.address, EXTERNAL), complete);
            assert_eq!(checksum::finish(transport_sum(&translated, protocol)), 0, "{protocol}");
            assert!(checksum::is_right(&translated[..20]));
            let at = port_offset(protocol, source);
            let internal_port = u16::from_be_bytes([original[20 + at], original[21 + at]]);
            let host = EndpointV4 { port: internal_port, ..HOST };
            replace_endpoint(&mut translated, 20, protocol, source, (EXTERNAL.address, host), complete);
            assert_eq!(translated, original, "{protocol}");
        }
    }

    #[test]
    fn quoted_eight_bytes_are_enough() {
        let mut quoted = packet(Protocol::Tcp)[..28].to_vec();
        let change = (HOST.address, EXTERNAL);
        replace_quoted_endpoint(&mut quoted, 20, Protocol::Tcp, AddressField::Source, change);
        assert_eq!(quoted[12..16], EXTERNAL.address.octets());
        assert_eq!(quoted[20..22], EXTERNAL.port.to_be_bytes());
        assert!(checksum::is_right(&quoted[..20]));
    }
}
