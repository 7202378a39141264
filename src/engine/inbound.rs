//! Internet to LAN. The stages mirror those of `outbound`.

use std::net::Ipv4Addr;

use super::accounts::Account;
use super::drop_reason::DropReason;
use super::forwarding::{Arrival, Behind};
use super::hop::Hop;
use super::outbound::{FlowPacket, finish, may_cut, rewrite};
use super::outbox::{Egress, Outbox};
use super::parse::{self, Content, Parsed, Ports, Way};
use super::refusal::write_lan_header;
use super::repeated;
use super::worker::{Context, Verdict, Worker};
use crate::flow::direction::Direction;
use crate::flow::record::{FLAG_HAIRPIN, FLAG_INBOUND, FLAG_REPLIED, MARK_ISOLATED, Tick};
use crate::flow::{EndpointV4, FlowId, FlowKey, Protocol};
use crate::nat::Mapping;
use crate::nat::ports::{DHCP_CLIENT_PORT, PROBE_PORTS};
use crate::placement::{AddressOwner, DhcpAnswers, Lan, LanId, Snapshot, Uplink, UplinkId};
use crate::wire::buffer::ETHERTYPE_ARP;
use crate::wire::icmp::ErrorKind;
use crate::wire::{AddressField, MacAddress, PacketBuffer, TcpFlags};

impl Worker {
    /// Takes a packet from an uplink to its verdict.
    pub(super) fn inbound(
        &mut self,
        context: Context<'_>,
        uplink_id: UplinkId,
        ports: Option<Ports>,
        packet: &mut PacketBuffer,
        out: &mut Outbox,
    ) -> Verdict {
        // 2. Read it.
        if packet.ethertype() == Some(ETHERTYPE_ARP) {
            return Verdict::Daemon(uplink_id);
        }
        let parsed = parse::parse(packet, Way::Inbound);
        let parsed = match &parsed {
            Ok(parsed) => parsed,
            &Err(reason) => return Verdict::Drop(reason),
        };
        let Some((uplink, external)) = addressed(context.snapshot, uplink_id, parsed.ip.destination) else {
            return self.unasked(context, uplink_id, parsed);
        };
        let (protocol, ports, segment) = match &parsed.content {
            &Content::Flow { protocol, ports, ref segment } => (protocol, ports, segment.as_ref()),
            &Content::LaterFragment(protocol) => match ports {
                Some(ports) => (protocol, ports, None),
                None => return Verdict::Drop(DropReason::FragmentDropped),
            },
            Content::IcmpError => {
                let verdict = self.inbound_error(context, uplink_id, parsed, packet);
                return if is_strange(&verdict) { self.unasked(context, uplink_id, parsed) } else { verdict };
            }
        };

        // 3. Look the flow up, from the external port to the host; 4. or make it.
        let mapping = Mapping { protocol, uplink: uplink_id, external_port: ports.destination };
        let remote = EndpointV4 { address: parsed.ip.source, port: ports.source };
        let opens = segment.is_some_and(|it| it.flags.contains(TcpFlags::SYN) && !it.flags.contains(TcpFlags::ACK));
        let arrival = if opens { Arrival::Opening } else { Arrival::Packet };
        let (internal, known, entrance) = match self.behind(context, mapping, remote, arrival) {
            Behind::Endpoint { internal, flow, entrance } => (internal, flow, entrance),
            Behind::Elsewhere(owner, journey) => return Verdict::PassOn(owner, journey),
            Behind::Refused => return Verdict::Drop(DropReason::Filtered),
            Behind::Nobody => return self.unasked(context, uplink_id, parsed),
        };
        let flow = FlowPacket { key: FlowKey { protocol, internal, remote }, parsed, segment };
        let id = match known {
            Some(id) => id,
            None => match self.open_inbound(context, mapping, entrance, &flow) {
                Ok(id) => id,
                Err(reason) => return Verdict::Drop(reason),
            },
        };

        // 5. Follow it.
        let body = &self.table.record(id).body;
        if body.uplink != uplink_id.0 || body.external_port != mapping.external_port {
            // The same two ends speak over another line: a connection never crosses lines.
            return Verdict::Drop(DropReason::Filtered);
        }
        let Some((lan, host)) = way_to_host(context.snapshot, body.lan, body.lan_mac) else {
            return Verdict::Drop(DropReason::SendFailed);
        };
        let hop = Hop::of(lan.id);
        if hop.is_last(parsed) {
            self.refuse_remote(context, (uplink, external), (packet, parsed), ErrorKind::TimeExceeded, out);
            return Verdict::Drop(DropReason::TtlExceeded);
        }
        if parsed.longest_piece(packet.vnet.segmentation) > usize::from(lan.mtu) && !may_cut(packet, parsed) {
            let kind = ErrorKind::FragmentationNeeded { mtu: lan.mtu };
            self.refuse_remote(context, (uplink, external), (packet, parsed), kind, out);
            return Verdict::Drop(DropReason::TooBig);
        }
        if let Err(reason) = self.keep_queue_short(context, id, Way::Inbound, &flow, packet) {
            return Verdict::Drop(reason);
        }
        if let Err(reason) = self.follow_inbound(context, id, &flow, packet) {
            return Verdict::Drop(reason);
        }

        // 6. Rewrite the destination. 7. Offload: the maximum segment size.
        let mtu = uplink.mtu.min(lan.mtu);
        rewrite(packet, &flow, (AddressField::Destination, parsed.ip.destination), internal, mtu, hop);

        // 8. Link header. 9. Send.
        write_lan_header(packet, lan, host);
        finish(packet, parsed, lan.mtu, Egress::Lan(lan.id), out)
    }

    /// What becomes of a packet that no host has asked for: it may answer the daemon's DHCP client, as long as that waits
    /// for an answer, and be for an address that the uplink has not yet; or a probe of the daemon's.
    fn unasked(&mut self, context: Context<'_>, uplink: UplinkId, parsed: &Parsed) -> Verdict {
        let line = context.snapshot.uplink(uplink);
        let reason = match (line.map(|line| line.owner), &parsed.content) {
            (Some(AddressOwner::Kernel), _) => DropReason::KernelsOwn,
            (_, Content::IcmpError) => DropReason::IcmpNoFlow,
            _ => DropReason::NoMapping,
        };
        let Content::Flow { protocol, ports, .. } = parsed.content else { return Verdict::Drop(reason) };
        let awaits = line.map(|line| line.dhcp);
        if protocol == Protocol::Udp && ports.destination == DHCP_CLIENT_PORT && awaits == Some(DhcpAnswers::Awaited) {
            return Verdict::Daemon(uplink);
        }
        let answer = (ports.destination, parsed.ip.source);
        self.probe_answer(context, uplink, answer).unwrap_or(Verdict::Drop(reason))
    }

    /// The daemon's verdict for what `remote` says of one of our own `port`s, if it is a probe's and that host is probed.
    pub(super) fn probe_answer(
        &mut self,
        context: Context<'_>,
        uplink: UplinkId,
        (port, remote): (u16, Ipv4Addr),
    ) -> Option<Verdict> {
        let is_probed = |uplink: &Uplink| uplink.probed.contains(&remote);
        if !PROBE_PORTS.contains(&port) || !context.snapshot.uplink(uplink).is_some_and(is_probed) {
            return None;
        }
        let can = self.probe_answers.spend(context.now);
        Some(if can { Verdict::Daemon(uplink) } else { Verdict::Drop(DropReason::DaemonFull) })
    }

    fn follow_inbound(
        &mut self,
        context: Context<'_>,
        id: FlowId,
        flow: &FlowPacket<'_>,
        packet: &PacketBuffer,
    ) -> Result<(), DropReason> {
        let record = self.table.record_mut(id);
        let direction = if record.has(FLAG_INBOUND) { Direction::Original } else { Direction::Reply };
        let payload = repeated::payload(record, direction, flow.segment);
        let is_heard = flow.segment.is_some_and(|segment| record.body.tcp.is_heard(direction, segment));
        let lifetime = Self::track(record, direction, flow.segment)?;
        let (packets, bytes) = flow.parsed.wire_load(packet.vnet.segmentation);
        let payload = self.short_queues.excuse(id, payload, packets);
        repeated::count_received(self.counters.uplink(UplinkId(record.body.uplink)), payload, packets);
        if is_heard {
            repeated::count_heard(self.counters.uplink(UplinkId(record.body.uplink)), record);
        }
        let body = &mut record.body;
        body.expires = Tick::after(context.now + lifetime);
        body.in_packets += packets;
        body.in_bytes += bytes;
        let counters = self.counters.uplink(UplinkId(body.uplink));
        if body.flags & FLAG_HAIRPIN != 0 {
            counters.hairpin_packets.add(packets);
        } else if direction == Direction::Reply && body.flags & FLAG_REPLIED == 0 && flow.segment.is_some() {
            counters.connections_answered.add(1);
        }
        if direction == Direction::Reply {
            body.flags |= FLAG_REPLIED;
        }
        counters.in_packets.add(packets);
        counters.in_bytes.add(bytes);
        if record.is_marked(MARK_ISOLATED) {
            counters.isolated_bytes.add(bytes);
        }
        self.ledger.add_in(Account::of(record), bytes);
        self.review_transfer(context.now, id, packets);
        self.review_shortcut(context, id, packets);
        Ok(())
    }
}

/// The uplink, if `destination` is its address.
fn addressed(snapshot: &Snapshot, uplink: UplinkId, destination: Ipv4Addr) -> Option<(&Uplink, Ipv4Addr)> {
    let uplink = snapshot.uplink(uplink)?;
    (uplink.external == Some(destination)).then_some((uplink, destination))
}

/// Whether an ICMP error was about no flow of ours.
fn is_strange(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Drop(DropReason::IcmpNoFlow))
}

/// The LAN-side port that a host is behind, and its Ethernet address there.
pub(super) fn way_to_host(snapshot: &Snapshot, lan: u8, mac: [u8; 6]) -> Option<(&Lan, MacAddress)> {
    Some((snapshot.lan(LanId(lan))?, MacAddress(mac)))
}
