//! Stage 2 of both directions: from bytes to what the later stages need, every length and every claim of the offload
//! metadata checked.

use super::drop_reason::DropReason;
use crate::flow::Protocol;
use crate::wire::buffer::{ETHERTYPE_IPV4, ETHERTYPE_IPV6};
use crate::wire::ipv4::Ipv4Error;
use crate::wire::{Checksum, Ipv4, PacketBuffer, Segmentation, Tcp, TcpSegment, Udp, icmp, tcp, udp};

/// Payload bytes assumed of a fragmented TCP segment, whose length only its last piece knows: the most there can be.
const LONGEST_TCP_PAYLOAD: u32 = 65_495;

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// LAN to internet.
    Outbound,
    /// Internet to LAN.
    Inbound,
}

/// Both ports of a packet, or an ICMP identifier on the host's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) source: u16,
    pub(super) destination: u16,
}

/// What is behind the IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// A packet of a flow. `segment` for TCP whose header is here.
    Flow { protocol: Protocol, ports: Ports, segment: Option<TcpSegment> },
    /// A fragment without the ports.
    LaterFragment(Protocol),
    /// An ICMP error about another packet.
    IcmpError,
}

/// A packet that has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parsed {
    pub(super) ip: Ipv4,
    pub(super) content: Content,
    /// Bytes of the layer-4 header; 0 where it is not here.
    pub(super) transport_header_length: usize,
}

impl Parsed {
    /// IP packets that the wire carries for this one: 1, or the pieces of a super-packet; and their bytes.
    pub(super) fn wire_load(&self, segmentation: Segmentation) -> (u64, u64) {
        let bytes = self.ip.total_length as u64;
        let Some(size) = segmentation.size() else { return (1, bytes) };
        let headers = self.headers() as u64;
        let pieces = (bytes - headers).div_ceil(u64::from(size)).max(1);
        (pieces, bytes + (pieces - 1) * headers)
    }

    /// Longest IP packet that the wire will carry for this one.
    pub(super) fn longest_piece(&self, segmentation: Segmentation) -> usize {
        segmentation.size().map_or(self.ip.total_length, |size| self.headers() + usize::from(size))
    }

    /// Bytes of IP and layer-4 headers.
    pub(super) fn headers(&self) -> usize {
        self.ip.header_length + self.transport_header_length
    }
}

/// Whether an IPv4 packet is a piece of a datagram, before anything is checked.
pub(super) fn is_fragment(packet: &[u8]) -> bool {
    packet.get(6..8).is_some_and(|field| (field[0] & 0x3f) | field[1] != 0) && packet[0] >> 4 == 4
}

/// Reads a packet and cuts what trails it.
pub(super) fn parse(packet: &mut PacketBuffer, way: Way) -> Result<Parsed, DropReason> {
    match packet.ethertype() {
        Some(ETHERTYPE_IPV4) => {}
        Some(ETHERTYPE_IPV6) => return Err(DropReason::Ipv6),
        Some(_) => return Err(DropReason::NotIp),
        None if packet.packet().first().is_some_and(|first| first >> 4 == 6) => return Err(DropReason::Ipv6),
        None => {}
    }
    let ip = match Ipv4::parse(packet.packet()) {
        Ok(ip) => ip,
        Err(Ipv4Error::Malformed) => return Err(DropReason::MalformedIp),
        Err(Ipv4Error::BadChecksum) => return Err(DropReason::BadIpChecksum),
        Err(Ipv4Error::SourceRoute) => return Err(DropReason::SourceRoute),
    };
    packet.set_length(ip.total_length);
    let transport = &packet.packet()[ip.header_length..];
    let (content, transport_header_length) = parse_transport(&ip, transport, way)?;
    let parsed = Parsed { ip, content, transport_header_length };
    check_offload(packet, &parsed)?;
    #[expect(clippy::cast_possible_truncation, reason = "two headers have at most 120 bytes")]
    let header_length = parsed.headers() as u16;
    packet.header_length = header_length;
    Ok(parsed)
}

fn parse_transport(ip: &Ipv4, transport: &[u8], way: Way) -> Result<(Content, usize), DropReason> {
    let protocol = Protocol::from_number(ip.protocol).ok_or(DropReason::UnsupportedProtocol)?;
    if ip.fragment.is_some_and(|place| place.offset > 0) {
        return Ok((Content::LaterFragment(protocol), 0));
    }
    match protocol {
        Protocol::Tcp => {
            let tcp = Tcp::parse(transport).map_err(|_| DropReason::MalformedTransport)?;
            if !tcp.segment.flags.is_plausible() {
                return Err(DropReason::BadTcpFlags);
            }
            let mut segment = tcp.segment;
            if ip.fragment.is_some() {
                segment.payload_length = LONGEST_TCP_PAYLOAD;
            }
            let ports = Ports { source: tcp.source_port, destination: tcp.destination_port };
            Ok((Content::Flow { protocol, ports, segment: Some(segment) }, tcp.header_length))
        }
        Protocol::Udp => {
            let udp = Udp::parse(transport, ip.fragment.is_some()).map_err(|_| DropReason::MalformedTransport)?;
            let ports = Ports { source: udp.source_port, destination: udp.destination_port };
            Ok((Content::Flow { protocol, ports, segment: None }, udp::HEADER_LENGTH))
        }
        Protocol::Icmp => parse_icmp(transport, way).map(|content| (content, icmp::HEADER_LENGTH)),
    }
}

fn parse_icmp(transport: &[u8], way: Way) -> Result<Content, DropReason> {
    let query = |ports| Content::Flow { protocol: Protocol::Icmp, ports, segment: None };
    match (icmp::Icmp::parse(transport).ok_or(DropReason::MalformedTransport)?, way) {
        (icmp::Icmp::EchoRequest(source), Way::Outbound) => Ok(query(Ports { source, destination: 0 })),
        (icmp::Icmp::EchoReply(destination), Way::Inbound) => Ok(query(Ports { source: 0, destination })),
        (icmp::Icmp::Error, _) => Ok(Content::IcmpError),
        // A ping of the router's own external address, or the answer to one that never came.
        (icmp::Icmp::EchoRequest(_), Way::Inbound) => Err(DropReason::NoMapping),
        (icmp::Icmp::EchoReply(_), Way::Outbound) => Err(DropReason::IcmpNoFlow),
        (icmp::Icmp::Other, _) => Err(DropReason::IcmpUnsupported),
    }
}

/// The offload metadata must say what the packet is.
fn check_offload(packet: &mut PacketBuffer, parsed: &Parsed) -> Result<(), DropReason> {
    let protocol = match parsed.content {
        Content::Flow { protocol, .. } if parsed.ip.fragment.is_none() => Some(protocol),
        _ => None,
    };
    if let Checksum::Unfinished { start, offset } = packet.vnet.checksum {
        let expected = match protocol {
            Some(Protocol::Tcp) => tcp::CHECKSUM_OFFSET,
            Some(Protocol::Udp) => udp::CHECKSUM_OFFSET,
            Some(Protocol::Icmp) | None => return Err(DropReason::BadOffload),
        };
        if usize::from(start) != parsed.ip.header_length || usize::from(offset) != expected {
            return Err(DropReason::BadOffload);
        }
    }
    match (packet.vnet.segmentation, protocol) {
        (Segmentation::None, _) => Ok(()),
        (Segmentation::Tcp4 { size, .. }, Some(Protocol::Tcp)) | (Segmentation::Udp { size }, Some(Protocol::Udp)) => {
            if parsed.ip.total_length - parsed.headers() <= usize::from(size) {
                // One piece is no super-packet.
                packet.vnet.segmentation = Segmentation::None;
            }
            Ok(())
        }
        _ => Err(DropReason::BadOffload),
    }
}
