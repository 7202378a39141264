//! What hosts are told of flows that have ended.

use std::net::Ipv4Addr;

use super::super::inbound::way_to_host;
use super::super::outbox::{Egress, Outbox};
use super::super::parse::{Content, Parsed};
use super::super::refusal::write_lan_header;
use super::super::worker::{Context, Worker};
use crate::flow::tcp::ResetNumbers;
use crate::flow::{EndpointV4, FlowV4};
use crate::placement::LanId;
use crate::wire::icmp::{self, ErrorKind};
use crate::wire::reset::{NewReset, datagram_headers};
use crate::wire::{PacketBuffer, TcpFlags};

fn end(endpoint: EndpointV4) -> (Ipv4Addr, u16) {
    (endpoint.address, endpoint.port)
}

impl Worker {
    /// Resets a connection for its host, as if the far end had. If data is on its way to the host, it may have had it or not:
    /// it gets a reset for either, and believes the one that fits.
    pub(super) fn send_resets(&self, context: Context<'_>, record: &FlowV4, numbers: ResetNumbers, out: &mut Outbox) {
        let Some(key) = record.key() else { return };
        let acknowledgement = Some(numbers.acknowledgement);
        let both = [numbers.sequence, numbers.newest_sequence];
        let differ = numbers.sequence != numbers.newest_sequence;
        for sequence in both.into_iter().take(1 + usize::from(differ)) {
            let mut packet = out.pool.take();
            NewReset { source: end(key.remote), destination: end(key.internal), sequence, acknowledgement }
                .write(&mut packet);
            send(context, record, packet, out);
        }
    }

    /// Tells a datagram flow's host that nobody answers any more. Says whether there is a way to the host.
    pub(super) fn send_refusal(&self, context: Context<'_>, record: &FlowV4, out: &mut Outbox) -> bool {
        let (Some(key), Some(lan)) = (record.key(), context.snapshot.lan(LanId(record.body.lan))) else { return false };
        let quoted = datagram_headers(end(key.internal), end(key.remote));
        let mut packet = out.pool.take();
        icmp::write_error(&mut packet, ErrorKind::PortUnreachable, lan.address, key.internal.address, &quoted);
        send(context, record, packet, out)
    }

    /// Resets a connection that was ended before for a host that has not heard of it, or has not believed it.
    pub(in crate::engine) fn answer_with_reset(
        &mut self,
        context: Context<'_>,
        lan: LanId,
        (packet, parsed): (&PacketBuffer, &Parsed),
        out: &mut Outbox,
    ) {
        let Content::Flow { ports, segment: Some(segment), .. } = &parsed.content else { return };
        let (flags, lan) = (segment.flags, context.snapshot.lan(lan));
        let Some(lan) = lan.filter(|_| flags.contains(TcpFlags::ACK) && !flags.contains(TcpFlags::RST)) else { return };
        if !self.spend_error(context.now) {
            return;
        }
        let mut answer = out.pool.take();
        // RFC 9293 section 3.10.7.1: the reset has the sequence number that the segment acknowledges.
        NewReset {
            source: (parsed.ip.destination, ports.destination),
            destination: (parsed.ip.source, ports.source),
            sequence: segment.acknowledgement,
            acknowledgement: None,
        }
        .write(&mut answer);
        write_lan_header(&mut answer, lan, packet.link_source());
        out.transmit(Egress::Lan(lan.id), answer);
    }
}

/// Sends a packet to a flow's host; `false` when its LAN is gone.
fn send(context: Context<'_>, record: &FlowV4, mut packet: PacketBuffer, out: &mut Outbox) -> bool {
    let Some((lan, host)) = way_to_host(context.snapshot, record.body.lan, record.body.lan_mac) else {
        out.pool.give(packet);
        return false;
    };
    write_lan_header(&mut packet, lan, host);
    out.transmit(Egress::Lan(lan.id), packet);
    true
}
