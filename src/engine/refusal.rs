//! What the router tells a sender whose packet it cannot forward.

use std::net::Ipv4Addr;

use super::outbox::{Egress, Outbox};
use super::parse::{Content, Parsed};
use super::worker::{Context, Worker};
use crate::flow::Timestamp;
use crate::placement::{Lan, LanId, LanLink, NextHop, Uplink};
use crate::wire::buffer::{ETHERNET_LENGTH, ETHERTYPE_IPV4};
use crate::wire::icmp::{self, ErrorKind};
use crate::wire::ipv4::is_one_host;
use crate::wire::{MacAddress, PacketBuffer, pppoe};

/// The Ethernet header of a packet for a LAN host; nothing for the TUN device.
pub(super) fn write_lan_header(packet: &mut PacketBuffer, lan: &Lan, host: MacAddress) {
    match lan.link {
        LanLink::Tun => packet.set_link_header(&[]),
        LanLink::Ethernet(own) => packet.set_link_header(&ethernet_header(host, own)),
    }
}

/// The link header of a packet for an uplink's gateway; `false` while the gateway is not known.
pub(super) fn write_uplink_header(packet: &mut PacketBuffer, uplink: &Uplink) -> bool {
    match uplink.next_hop {
        Some(NextHop::Ethernet { gateway, own }) => packet.set_link_header(&ethernet_header(gateway, own)),
        Some(NextHop::Pppoe { concentrator, own, session }) => {
            let header = pppoe::session_header((concentrator, own), session, packet.length());
            packet.set_link_header(&header);
        }
        Some(NextHop::Bare) => packet.set_link_header(&[]),
        None => return false,
    }
    true
}

fn ethernet_header(destination: MacAddress, source: MacAddress) -> [u8; ETHERNET_LENGTH] {
    let mut header = [0; ETHERNET_LENGTH];
    header[..6].copy_from_slice(&destination.0);
    header[6..12].copy_from_slice(&source.0);
    header[12..].copy_from_slice(&ETHERTYPE_IPV4.to_be_bytes());
    header
}

impl Worker {
    /// Tells a LAN host that its packet was not forwarded. Never about an ICMP error, a later fragment, or a sender that
    /// is not one host (RFC 1122 section 3.2.2).
    pub(super) fn refuse_host(
        &mut self,
        context: Context<'_>,
        lan: LanId,
        (packet, parsed): (&PacketBuffer, &Parsed),
        kind: ErrorKind,
        out: &mut Outbox,
    ) {
        let Some(lan) = context.snapshot.lan(lan).filter(|_| may_be_told(parsed, packet)) else { return };
        if !self.spend_error(context.now) {
            return;
        }
        let mut answer = out.pool.take();
        icmp::write_error(&mut answer, kind, lan.address, parsed.ip.source, packet.packet());
        write_lan_header(&mut answer, lan, packet.link_source());
        out.transmit(Egress::Lan(lan.id), answer);
    }

    /// Tells a host on the internet that its packet was not forwarded. `packet` is as it came in.
    pub(super) fn refuse_remote(
        &mut self,
        context: Context<'_>,
        (uplink, external): (&Uplink, Ipv4Addr),
        (packet, parsed): (&PacketBuffer, &Parsed),
        kind: ErrorKind,
        out: &mut Outbox,
    ) {
        if !may_be_told(parsed, packet) || !self.spend_error(context.now) {
            return;
        }
        let mut answer = out.pool.take();
        icmp::write_error(&mut answer, kind, external, parsed.ip.source, packet.packet());
        if write_uplink_header(&mut answer, uplink) {
            out.transmit(Egress::Uplink(uplink.id), answer);
        } else {
            out.pool.give(answer);
        }
    }

    pub(super) fn spend_error(&mut self, now: Timestamp) -> bool {
        let can = self.errors.spend(now);
        if !can {
            self.counters.errors_suppressed.add(1);
        }
        can
    }
}

fn may_be_told(parsed: &Parsed, packet: &PacketBuffer) -> bool {
    let sent_to_group = packet.link_header().first().is_some_and(|first| first & 1 != 0);
    matches!(parsed.content, Content::Flow { .. }) && is_one_host(parsed.ip.source) && !sent_to_group
}
