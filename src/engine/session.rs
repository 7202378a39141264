//! Lines by PPPoE (RFC 2516), both directions: what comes in is freed of its session's header and is a packet like any
//! other from then on; what goes out is finished before it is sent, for behind that header the kernel can do it only for TCP's
//! super-packets, with the help of their port: these are left whole.

use std::num::NonZeroU16;

use super::drop_reason::DropReason;
use super::outbox::{Egress, Outbox};
use super::parse::Parsed;
use crate::placement::{NextHop, Snapshot, UplinkId};
use crate::wire::buffer::{ETHERNET_LENGTH, ETHERTYPE_IPV4};
use crate::wire::pppoe::{
    ETHERTYPE_DISCOVERY, ETHERTYPE_SESSION, FIRST_CONTROL_PROTOCOL, LINK_LENGTH, PROTOCOL_IPV4, PROTOCOL_IPV6,
    SessionHeader, write_length,
};
use crate::wire::{PacketBuffer, Segmentation, fragmentation};

/// What a frame of a line by PPPoE is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opened {
    /// A packet; its link header is Ethernet's own now.
    Packet,
    /// Discovery, or control of PPP: the daemon's, as it was received.
    Control,
    /// Nothing that is forwarded.
    Drop(DropReason),
}

/// Frees a packet that came by `uplink` of its session's header. Packets of other lines are left as they are.
pub(super) fn open(snapshot: &Snapshot, uplink: UplinkId, packet: &mut PacketBuffer) -> Opened {
    // The port of a line by PPPoE receives with a link header of this length, and no other does.
    let Ok(header) = <[u8; LINK_LENGTH]>::try_from(packet.link_header()) else { return Opened::Packet };
    match packet.ethertype() {
        Some(ETHERTYPE_DISCOVERY) => return Opened::Control,
        Some(ETHERTYPE_SESSION) => {}
        _ => return Opened::Drop(DropReason::OutsideSession),
    }
    let Some(read) = SessionHeader::parse(&header, packet.length()) else {
        return Opened::Drop(DropReason::MalformedSession);
    };
    match read.protocol {
        PROTOCOL_IPV4 => {}
        // Of a session that is over too: the daemon says so to whoever keeps it up.
        FIRST_CONTROL_PROTOCOL.. => return Opened::Control,
        PROTOCOL_IPV6 => return Opened::Drop(DropReason::Ipv6),
        _ => return Opened::Drop(DropReason::NotIp),
    }
    let is_ours = match snapshot.uplink(uplink).and_then(|uplink| uplink.next_hop) {
        Some(NextHop::Pppoe { concentrator, session, .. }) => {
            read.session == session.number() && packet.link_source() == concentrator
        }
        Some(NextHop::Ethernet { .. } | NextHop::Bare) | None => false,
    };
    if !is_ours {
        return Opened::Drop(DropReason::ForeignSession);
    }
    packet.set_length(read.length);
    let mut ethernet = [0; ETHERNET_LENGTH];
    ethernet.copy_from_slice(&header[..ETHERNET_LENGTH]);
    ethernet[12..].copy_from_slice(&ETHERTYPE_IPV4.to_be_bytes());
    packet.set_link_header(&ethernet);
    Opened::Packet
}

/// How a packet leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finished {
    /// As it is.
    Whole,
    /// Its pieces have been queued in its stead.
    Pieces,
}

/// Whether a packet's link header is a session's.
pub(super) fn is_in_session(packet: &PacketBuffer) -> bool {
    packet.link_header().len() == LINK_LENGTH
}

/// Finishes a packet with a session's header whose pieces fit the line: the checksum of a plain one; of a super-packet of UDP's
/// the datagrams that it stands for. TCP's are cut where they are sent.
pub(super) fn finish(
    packet: &mut PacketBuffer,
    parsed: &Parsed,
    egress: Egress,
    out: &mut Outbox,
) -> Result<Finished, DropReason> {
    let size = |size| NonZeroU16::new(size).ok_or(DropReason::BadOffload);
    let mut header = [0; LINK_LENGTH];
    header.copy_from_slice(packet.link_header());
    let (pool, queue) = out.parts(egress);
    let mut send = |mut piece: PacketBuffer| {
        write_length(&mut header, piece.length());
        piece.set_link_header(&header);
        queue.push(piece);
    };
    match packet.vnet.segmentation {
        Segmentation::None => {
            fragmentation::finish_checksum(packet).ok_or(DropReason::BadOffload)?;
            return Ok(Finished::Whole);
        }
        Segmentation::Tcp4 { .. } => return Ok(Finished::Whole),
        Segmentation::Udp { size: payload } => {
            let state = (size(payload)?, packet.vnet.checksum);
            fragmentation::datagrams(packet.packet(), &parsed.ip, state, || pool.take(), &mut send);
        }
        Segmentation::Tcp6 { .. } => return Err(DropReason::BadOffload),
    }
    Ok(Finished::Pieces)
}

/// Gives a piece the link header of the whole.
pub(super) fn copy_link_header(piece: &mut PacketBuffer, link_header: &[u8]) {
    piece.set_link_header(link_header);
    if let Ok(mut header) = <[u8; LINK_LENGTH]>::try_from(link_header) {
        write_length(&mut header, piece.length());
        piece.set_link_header(&header);
    }
}
