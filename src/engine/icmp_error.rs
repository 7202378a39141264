//! ICMP errors about packets of flows, translated both ways with the quoted packet restored (RFC 5508 REQ-3 to 7). An
//! error neither refreshes a flow nor ends it.

use std::net::Ipv4Addr;

use super::drop_reason::DropReason;
use super::forwarding::{Arrival, Behind};
use super::inbound::way_to_host;
use super::outbound::owner_of_address;
use super::outbox::Egress;
use super::parse::{Parsed, Way};
use super::refusal::{write_lan_header, write_uplink_header};
use super::worker::{Context, Verdict, Worker};
use crate::flow::{EndpointV4, FlowKey, Protocol};
use crate::nat::{Mapping, translate};
use crate::placement::UplinkId;
use crate::wire::icmp::{self, Icmp};
use crate::wire::{AddressField, Checksum, Ipv4, PacketBuffer, checksum, ipv4};

/// The packet that an error quotes.
#[derive(Clone, Copy, Debug)]
struct Quoted {
    /// Where it starts in the whole packet.
    start: usize,
    ip: Ipv4,
    protocol: Protocol,
    source_port: u16,
    destination_port: u16,
}

impl Quoted {
    /// Reads the quoted packet and checks the error around it. `way` is the error's own: what it quotes went the other.
    fn parse(packet: &PacketBuffer, parsed: &Parsed, way: Way) -> Result<Self, DropReason> {
        let bytes = packet.packet();
        let message = &bytes[parsed.ip.header_length..];
        // RFC 5508 REQ-3: a wrong ICMP checksum: drop.
        if !checksum::is_right(message) || packet.vnet.checksum != plain(packet.vnet.checksum) {
            return Err(DropReason::MalformedIcmpError);
        }
        let start = parsed.ip.header_length + icmp::HEADER_LENGTH;
        let quoted = &bytes[start..];
        let ip = Ipv4::parse_quoted(quoted).map_err(|_| DropReason::MalformedIcmpError)?;
        let protocol = Protocol::from_number(ip.protocol).ok_or(DropReason::IcmpNoFlow)?;
        if ip.fragment.is_some_and(|place| place.offset > 0) {
            return Err(DropReason::IcmpNoFlow);
        }
        let transport = quoted[ip.header_length..].first_chunk::<8>().ok_or(DropReason::MalformedIcmpError)?;
        let half = |at: usize| u16::from_be_bytes([transport[at], transport[at + 1]]);
        let (source_port, destination_port) = match protocol {
            Protocol::Tcp | Protocol::Udp => (half(0), half(2)),
            // A quoted query is the host's when the error comes in, and none of ours when it goes out.
            Protocol::Icmp => match (Icmp::parse(transport), way) {
                (Some(Icmp::EchoRequest(identifier)), Way::Inbound) => (identifier, 0),
                (Some(Icmp::EchoReply(identifier)), Way::Outbound) => (0, identifier),
                _ => return Err(DropReason::IcmpNoFlow),
            },
        };
        Ok(Self { start, ip, protocol, source_port, destination_port })
    }
}

/// An ICMP message has no checksum that a device could finish.
fn plain(state: Checksum) -> Checksum {
    match state {
        Checksum::Unfinished { .. } => Checksum::Complete,
        finished => finished,
    }
}

impl Worker {
    /// An error from the LAN about a packet that came from the internet.
    pub(super) fn outbound_error(
        &mut self,
        context: Context<'_>,
        parsed: &Parsed,
        packet: &mut PacketBuffer,
    ) -> Verdict {
        let quoted = match Quoted::parse(packet, parsed, Way::Outbound) {
            Ok(quoted) => quoted,
            Err(reason) => return Verdict::Drop(reason),
        };
        if let Err(owner) = self.check_owner(quoted.destination_port) {
            return Verdict::Handoff(owner);
        }
        self.translate_outbound_error(context, parsed, &quoted, packet).into()
    }

    fn translate_outbound_error(
        &mut self,
        context: Context<'_>,
        parsed: &Parsed,
        quoted: &Quoted,
        packet: &mut PacketBuffer,
    ) -> Result<Verdict, DropReason> {
        let key = FlowKey {
            protocol: quoted.protocol,
            internal: EndpointV4 { address: quoted.ip.destination, port: quoted.destination_port },
            remote: EndpointV4 { address: quoted.ip.source, port: quoted.source_port },
        };
        // Whatever its source in the LAN, it goes to whom it names and to nobody else.
        if parsed.ip.destination != quoted.ip.source {
            return Err(DropReason::IcmpNoFlow);
        }
        let id = self.find_live(context, &key).ok_or(DropReason::IcmpNoFlow)?;
        let body = &self.table.record(id).body;
        let uplink = context.snapshot.uplink(UplinkId(body.uplink)).ok_or(DropReason::UplinkDown)?;
        let external = uplink.external.ok_or(DropReason::UplinkDown)?;
        if parsed.ip.ttl <= 1 {
            return Err(DropReason::TtlExceeded);
        }
        let new = EndpointV4 { address: external, port: body.external_port };
        // RFC 5508 REQ-5: the outer source is our own address.
        rewrite_error(packet, parsed, quoted, (AddressField::Source, external), (AddressField::Destination, new));
        if let Some(target) = owner_of_address(context.snapshot, parsed.ip.destination) {
            return Ok(Verdict::Hairpin(target, None));
        }
        if write_uplink_header(packet, uplink) {
            Ok(Verdict::Transmit(Egress::Uplink(uplink.id)))
        } else {
            Err(DropReason::UplinkDown)
        }
    }

    /// An error from the internet about a packet that a host has sent.
    pub(super) fn inbound_error(
        &mut self,
        context: Context<'_>,
        uplink: UplinkId,
        parsed: &Parsed,
        packet: &mut PacketBuffer,
    ) -> Verdict {
        let quoted = match Quoted::parse(packet, parsed, Way::Inbound) {
            Ok(quoted) => quoted,
            Err(reason) => return Verdict::Drop(reason),
        };
        if let Some(verdict) = self.probe_answer(context, uplink, (quoted.source_port, quoted.ip.destination)) {
            return verdict;
        }
        self.translate_inbound_error(context, uplink, parsed, &quoted, packet).into()
    }

    fn translate_inbound_error(
        &mut self,
        context: Context<'_>,
        uplink: UplinkId,
        parsed: &Parsed,
        quoted: &Quoted,
        packet: &mut PacketBuffer,
    ) -> Result<Verdict, DropReason> {
        if quoted.ip.source != parsed.ip.destination {
            return Err(DropReason::IcmpNoFlow);
        }
        let mapping = Mapping { protocol: quoted.protocol, uplink, external_port: quoted.source_port };
        let remote = EndpointV4 { address: quoted.ip.destination, port: quoted.destination_port };
        let (internal, id) = match self.behind(context, mapping, remote, Arrival::Error) {
            Behind::Endpoint { internal, flow: Some(id), .. } => (internal, id),
            Behind::Elsewhere(owner, journey) => return Ok(Verdict::PassOn(owner, journey)),
            _ => return Err(DropReason::IcmpNoFlow),
        };
        let body = &self.table.record(id).body;
        if body.uplink != uplink.0 || body.external_port != mapping.external_port {
            return Err(DropReason::IcmpNoFlow);
        }
        let (lan, host) = way_to_host(context.snapshot, body.lan, body.lan_mac).ok_or(DropReason::SendFailed)?;
        if parsed.ip.ttl <= 1 {
            return Err(DropReason::TtlExceeded);
        }
        let outer = (AddressField::Destination, internal.address);
        rewrite_error(packet, parsed, quoted, outer, (AddressField::Source, internal));
        write_lan_header(packet, lan, host);
        Ok(Verdict::Transmit(Egress::Lan(lan.id)))
    }
}

/// Replaces one outer address and one quoted endpoint, and mends every checksum.
fn rewrite_error(
    packet: &mut PacketBuffer,
    parsed: &Parsed,
    quoted: &Quoted,
    (outer_field, outer): (AddressField, Ipv4Addr),
    (inner_field, inner): (AddressField, EndpointV4),
) {
    let old = match inner_field {
        AddressField::Source => quoted.ip.source,
        AddressField::Destination => quoted.ip.destination,
    };
    let bytes = packet.packet_mut();
    ipv4::replace_address(bytes, outer_field, outer);
    ipv4::decrement_ttl(bytes);
    let embedded = &mut bytes[quoted.start..];
    translate::replace_quoted_endpoint(embedded, quoted.ip.header_length, quoted.protocol, inner_field, (old, inner));
    icmp::write_checksum(&mut bytes[parsed.ip.header_length..]);
    packet.vnet.checksum = Checksum::Complete;
}
