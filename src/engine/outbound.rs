//! LAN to internet. The stages mirror those of `inbound`.

use std::num::NonZeroU16;

use super::accounts::Account;
use super::drop_reason::DropReason;
use super::hop::Hop;
use super::outbox::{Egress, Outbox};
use super::parse::{self, Content, Parsed, Ports, Way};
use super::refusal::write_uplink_header;
use super::repeated;
use super::session::{self, Finished};
use super::worker::{Context, Verdict, Worker};
use crate::flow::direction::Direction;
use crate::flow::record::{FLAG_HAIRPIN, FLAG_INBOUND, FLAG_REPLIED, FLAG_SHORTCUT, MARK_ISOLATED, Tick};
use crate::flow::{EndpointV4, FlowId, FlowKey};
use crate::nat::translate::{self, Transport};
use crate::placement::{LanId, Snapshot, Uplink, UplinkId};
use crate::wire::icmp::ErrorKind;
use crate::wire::pppoe::LINK_LENGTH;
use crate::wire::{AddressField, Ipv4, PacketBuffer, Segmentation, TcpFlags, TcpSegment, fragmentation, ipv4, tcp};

/// IP and TCP headers without options: what the maximum segment size leaves of the MTU (RFC 9293 section 3.7.1).
pub(super) const PLAIN_HEADERS: u16 = 40;

/// A packet of a flow, read.
pub(super) struct FlowPacket<'a> {
    pub(super) key: FlowKey,
    pub(super) parsed: &'a Parsed,
    pub(super) segment: Option<&'a TcpSegment>,
}

impl FlowPacket<'_> {
    /// Its time stamps, if it is a TCP segment that has some.
    pub(super) fn stamps(&self, packet: &PacketBuffer) -> Option<tcp::Timestamps> {
        self.segment?;
        let transport = packet.packet().get(self.parsed.ip.header_length..)?;
        tcp::Timestamps::read(transport, self.parsed.transport_header_length)
    }
}

impl Worker {
    /// Takes a packet from a LAN to its verdict.
    pub(super) fn outbound(
        &mut self,
        context: Context<'_>,
        lan: LanId,
        ports_of_fragment: Option<Ports>,
        packet: &mut PacketBuffer,
        out: &mut Outbox,
    ) -> Verdict {
        // 2. Read it.
        let parsed = parse::parse(packet, Way::Outbound);
        let parsed = match &parsed {
            Ok(parsed) => parsed,
            &Err(reason) => return Verdict::Drop(reason),
        };
        let (protocol, ports, segment) = match &parsed.content {
            &Content::Flow { protocol, ports, ref segment } => (protocol, ports, segment.as_ref()),
            &Content::LaterFragment(protocol) => match ports_of_fragment {
                Some(ports) => (protocol, ports, None),
                None => return Verdict::Drop(DropReason::FragmentDropped),
            },
            Content::IcmpError => return self.outbound_error(context, parsed, packet),
        };
        if let Err(owner) = self.check_owner(ports.source) {
            return Verdict::Handoff(owner);
        }
        let hop = Hop::of(lan);
        if hop.is_last(parsed) {
            self.refuse_host(context, lan, (packet, parsed), ErrorKind::TimeExceeded, out);
            return Verdict::Drop(DropReason::TtlExceeded);
        }
        let key = FlowKey {
            protocol,
            internal: EndpointV4 { address: parsed.ip.source, port: ports.source },
            remote: EndpointV4 { address: parsed.ip.destination, port: ports.destination },
        };
        let flow = FlowPacket { key, parsed, segment };

        // 3. Look the flow up; 4. or make it.
        let known = self.find_live(context, &key).filter(|&id| !self.is_left_behind(context, id, &flow));
        let id = match known.map_or_else(|| self.open_outbound(context, &flow), Ok) {
            Ok(id) => id,
            Err(reason) => {
                self.explain_refusal(context, lan, reason, (packet, parsed), out);
                return Verdict::Drop(reason);
            }
        };

        // 5. Follow it.
        let uplink_id = UplinkId(self.table.record(id).body.uplink);
        let Some((uplink, external)) = usable(context.snapshot, uplink_id) else {
            let reason = self.reason_when_down(id);
            self.explain_refusal(context, lan, reason, (packet, parsed), out);
            return Verdict::Drop(reason);
        };
        if parsed.longest_piece(packet.vnet.segmentation) > usize::from(uplink.mtu) && !may_cut(packet, parsed) {
            let kind = ErrorKind::FragmentationNeeded { mtu: uplink.mtu };
            self.refuse_host(context, lan, (packet, parsed), kind, out);
            return Verdict::Drop(DropReason::TooBig);
        }
        if let Err(reason) = self.keep_queue_short(context, id, Way::Outbound, &flow, packet) {
            return Verdict::Drop(reason);
        }
        if let Err(reason) = self.follow_outbound(context, id, lan, &flow, packet) {
            self.explain_refusal(context, lan, reason, (packet, parsed), out);
            return Verdict::Drop(reason);
        }

        // 6. Rewrite the source. 7. Offload: the maximum segment size.
        let record = self.table.record(id);
        let new = EndpointV4 { address: external, port: record.body.external_port };
        let is_hairpin = record.has(FLAG_HAIRPIN);
        rewrite(packet, &flow, (AddressField::Source, parsed.ip.source), new, uplink.mtu, hop);

        // 8. Link header. 9. Send.
        if is_hairpin && let Some(target) = owner_of_address(context.snapshot, parsed.ip.destination) {
            return Verdict::Hairpin(target, ports_of_fragment.map(|ports| Ports { source: new.port, ..ports }));
        }
        if !write_uplink_header(packet, uplink) {
            return Verdict::Drop(DropReason::UplinkDown);
        }
        finish(packet, parsed, uplink.mtu, Egress::Uplink(uplink_id), out)
    }

    fn follow_outbound(
        &mut self,
        context: Context<'_>,
        id: FlowId,
        lan: LanId,
        flow: &FlowPacket<'_>,
        packet: &PacketBuffer,
    ) -> Result<(), DropReason> {
        let record = self.table.record_mut(id);
        if record.has(FLAG_SHORTCUT) && (record.body.lan, record.body.lan_mac) != (lan.0, packet.link_source().0) {
            self.leave_shortcut(context.now, id);
        }
        let record = self.table.record_mut(id);
        let direction = if record.has(FLAG_INBOUND) { Direction::Reply } else { Direction::Original };
        let payload = repeated::payload(record, direction, flow.segment);
        let lifetime = Self::track(record, direction, flow.segment)?;
        let (packets, bytes) = flow.parsed.wire_load(packet.vnet.segmentation);
        let payload = self.short_queues.excuse(id, payload, packets);
        repeated::count_sent(self.counters.uplink(UplinkId(record.body.uplink)), record, payload, packets);
        let body = &mut record.body;
        body.expires = Tick::after(context.now + lifetime);
        body.out_packets += packets;
        body.out_bytes += bytes;
        body.lan = lan.0;
        body.lan_mac = packet.link_source().0;
        if direction == Direction::Reply {
            body.flags |= FLAG_REPLIED;
        }
        let counters = self.counters.uplink(UplinkId(body.uplink));
        counters.out_packets.add(packets);
        counters.out_bytes.add(bytes);
        if record.is_marked(MARK_ISOLATED) {
            counters.isolated_bytes.add(bytes);
        }
        self.ledger.add_out(Account::of(record), bytes);
        self.review_transfer(context.now, id, packets);
        self.review_shortcut(context, id, packets);
        Ok(())
    }

    /// Tells the host why its connection cannot be made, where a specification wants that.
    fn explain_refusal(
        &mut self,
        context: Context<'_>,
        lan: LanId,
        reason: DropReason,
        refused: (&PacketBuffer, &Parsed),
        out: &mut Outbox,
    ) {
        let kind = match reason {
            DropReason::HostSessions | DropReason::HostRate | DropReason::HostPorts => {
                if self.refusals.spend(context.now) {
                    self.refuse_host(context, lan, refused, ErrorKind::AdministrativelyProhibited, out);
                }
                return;
            }
            // RFC 5508 REQ-8: no port left: ICMP type 3 code 13.
            DropReason::NoPort | DropReason::TableFull => ErrorKind::AdministrativelyProhibited,
            DropReason::NoUplink => ErrorKind::NetworkUnreachable,
            DropReason::LineLost => return self.answer_with_reset(context, lan, refused, out),
            _ => return,
        };
        self.refuse_host(context, lan, refused, kind, out);
    }
}

/// The uplink that has an address for its own.
pub(super) fn owner_of_address(snapshot: &Snapshot, address: std::net::Ipv4Addr) -> Option<UplinkId> {
    snapshot.uplinks.iter().find(|uplink| uplink.external == Some(address)).map(|uplink| uplink.id)
}

/// An uplink that packets of its flows can use now, and its address.
fn usable(snapshot: &Snapshot, id: UplinkId) -> Option<(&Uplink, std::net::Ipv4Addr)> {
    let uplink = snapshot.uplink(id)?;
    Some((uplink, uplink.external?))
}

/// Whether a packet that is too long may be cut here: its sender allows it, and it is not TCP's super-packet.
pub(super) fn may_cut(packet: &PacketBuffer, parsed: &Parsed) -> bool {
    !parsed.ip.dont_fragment && matches!(packet.vnet.segmentation, Segmentation::None | Segmentation::Udp { .. })
}

/// Stages 6 and 7 of both directions: the endpoint, the time to live, and the maximum segment size of a SYN.
pub(super) fn rewrite(
    packet: &mut PacketBuffer,
    flow: &FlowPacket<'_>,
    (field, old_address): (AddressField, std::net::Ipv4Addr),
    new: EndpointV4,
    mtu: u16,
    hop: Hop,
) {
    let (checksum, headers) = (packet.vnet.checksum, flow.parsed);
    let transport = if headers.transport_header_length > 0 { Transport::Present(checksum) } else { Transport::Absent };
    let bytes = packet.packet_mut();
    let change = (old_address, new);
    translate::replace_endpoint(bytes, headers.ip.header_length, flow.key.protocol, field, change, transport);
    if hop == Hop::Ours {
        ipv4::decrement_ttl(bytes);
    }
    if flow.segment.is_some_and(|segment| segment.flags.contains(TcpFlags::SYN)) {
        let largest = mtu.saturating_sub(PLAIN_HEADERS);
        let transport = &mut bytes[headers.ip.header_length..];
        tcp::clamp_maximum_segment_size(transport, headers.transport_header_length, checksum, largest);
    }
}

/// Stage 9 of both directions: sends the packet whole, or, where it may be cut and must, its pieces.
pub(super) fn finish(
    packet: &mut PacketBuffer,
    parsed: &Parsed,
    mtu: u16,
    egress: Egress,
    out: &mut Outbox,
) -> Verdict {
    if parsed.longest_piece(packet.vnet.segmentation) <= usize::from(mtu) {
        if !session::is_in_session(packet) {
            return Verdict::Transmit(egress);
        }
        return match session::finish(packet, parsed, egress, out) {
            Ok(Finished::Whole) => Verdict::Transmit(egress),
            Ok(Finished::Pieces) => Verdict::Replaced,
            Err(reason) => Verdict::Drop(reason),
        };
    }
    let mut link_header = [0; LINK_LENGTH];
    let link_length = packet.link_header().len().min(LINK_LENGTH);
    link_header[..link_length].copy_from_slice(&packet.link_header()[..link_length]);
    let mut pieces = Vec::new();
    let Some(()) = cut(packet, parsed, mtu, out, &mut pieces) else { return Verdict::Drop(DropReason::BadOffload) };
    for mut piece in pieces {
        session::copy_link_header(&mut piece, &link_header[..link_length]);
        out.transmit(egress, piece);
    }
    Verdict::Replaced
}

/// Cuts a packet into `pieces` of at most `mtu` bytes; a UDP super-packet first into its datagrams. `None` when the
/// offload metadata points outside the packet.
fn cut(
    packet: &mut PacketBuffer,
    parsed: &Parsed,
    mtu: u16,
    out: &mut Outbox,
    pieces: &mut Vec<PacketBuffer>,
) -> Option<()> {
    let Some(size) = packet.vnet.segmentation.size().and_then(NonZeroU16::new) else {
        fragmentation::finish_checksum(packet)?;
        fragmentation::fragment(packet.packet(), &parsed.ip, mtu, || out.pool.take(), |piece| pieces.push(piece));
        return Some(());
    };
    let mut whole = Vec::new();
    let state = (size, packet.vnet.checksum);
    fragmentation::datagrams(packet.packet(), &parsed.ip, state, || out.pool.take(), |datagram| whole.push(datagram));
    for datagram in whole {
        let header = Ipv4::parse(datagram.packet()).ok()?;
        fragmentation::fragment(datagram.packet(), &header, mtu, || out.pool.take(), |piece| pieces.push(piece));
        out.pool.give(datagram);
    }
    Some(())
}
