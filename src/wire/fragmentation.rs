//! Cutting an IPv4 packet for a link that is too narrow (RFC 791 section 3.2). For packets without the don't-fragment
//! flag. UDP's super-packets are cut here too, into the datagrams that they stand for, for those may be too long
//! themselves. TCP's are cut in [`super::segmentation`], where whoever sends them cannot.

use std::num::NonZeroU16;

use super::buffer::PacketBuffer;
use super::ipv4::{self, Ipv4};
use super::vnet::{Checksum, VnetHeader};
use super::{checksum, udp};

const MORE_FRAGMENTS: u16 = 0x2000;
const COPIED_OPTION: u8 = 0x80;

/// Finishes a layer-4 checksum of which only the pseudo-header sum is there, so that the packet can be cut. `None` when
/// the offload metadata points outside the packet.
#[must_use]
pub fn finish_checksum(packet: &mut PacketBuffer) -> Option<()> {
    if let Checksum::Unfinished { start, offset } = packet.vnet.checksum {
        let covered = packet.packet_mut().get_mut(usize::from(start)..)?;
        let at = usize::from(offset);
        let sum = checksum::finish_udp(checksum::sum(covered));
        covered.get_mut(at..at + 2)?.copy_from_slice(&sum.to_be_bytes());
        packet.vnet.checksum = Checksum::Complete;
    }
    Some(())
}

/// Cuts a UDP super-packet, whose header is `header`, into the datagrams that it stands for, of `size` payload bytes each.
/// Every one is written into a buffer that `take` gives and passed to `emit`, in order. `checksum` is the state of the
/// super-packet's; a datagram's is finished, or missing where the super-packet has none.
pub fn datagrams(
    packet: &[u8],
    header: &Ipv4,
    (size, checksum): (NonZeroU16, Checksum),
    mut take: impl FnMut() -> PacketBuffer,
    mut emit: impl FnMut(PacketBuffer),
) {
    let headers = header.header_length + udp::HEADER_LENGTH;
    let Some((head, payload)) = packet[..header.total_length].split_at_checked(headers) else { return };
    let field = header.header_length + udp::CHECKSUM_OFFSET;
    let has_checksum = matches!(checksum, Checksum::Unfinished { .. }) || head[field..field + 2] != [0, 0];
    for (number, piece) in (0_u16..).zip(payload.chunks(size.get().into())) {
        let mut buffer = take();
        buffer.set_length(headers + piece.len());
        buffer.vnet = VnetHeader::default();
        let bytes = buffer.packet_mut();
        bytes[..headers].copy_from_slice(head);
        bytes[headers..].copy_from_slice(piece);
        #[expect(clippy::cast_possible_truncation, reason = "an IP packet has less than 65,536 bytes")]
        let (length, udp_length) = (bytes.len() as u16, (bytes.len() - header.header_length) as u16);
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        // RFC 6864 section 4.1: datagrams that may be fragmented need identifications of their own.
        bytes[4..6].copy_from_slice(&header.identification.wrapping_add(number).to_be_bytes());
        ipv4::write_checksum(bytes, header.header_length);
        let transport = &mut bytes[header.header_length..];
        transport[4..6].copy_from_slice(&udp_length.to_be_bytes());
        transport[6..8].fill(0);
        if has_checksum {
            let source = header_address(head, 12);
            let pseudo = checksum::pseudo_header_v4(source, header_address(head, 16), header.protocol, udp_length);
            let sum = checksum::finish_udp(pseudo + checksum::sum(transport));
            transport[6..8].copy_from_slice(&sum.to_be_bytes());
        }
        emit(buffer);
    }
}

/// An address as it stands in a header now, which may have been rewritten since it was parsed.
fn header_address(header: &[u8], at: usize) -> std::net::Ipv4Addr {
    std::net::Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3])
}

/// Cuts `packet`, whose header is `header`, into pieces of at most `mtu` bytes. Each is written into a buffer that
/// `take` gives and passed to `emit`, in order. Options that RFC 791 says are not copied stay in the first piece only.
pub fn fragment(
    packet: &[u8],
    header: &Ipv4,
    mtu: u16,
    mut take: impl FnMut() -> PacketBuffer,
    mut emit: impl FnMut(PacketBuffer),
) {
    let payload = &packet[header.header_length..header.total_length];
    let first_offset = header.fragment.map_or(0, |place| place.offset);
    let last_has_more = header.fragment.is_some_and(|place| place.more);
    let mut head = packet[..header.header_length].to_vec();
    let mut at = 0;
    while at < payload.len() {
        let room = usize::from(mtu).saturating_sub(head.len()) & !7;
        let Some(room) = std::num::NonZeroUsize::new(room) else { return };
        let piece = &payload[at..(at + room.get()).min(payload.len())];
        let is_last = at + piece.len() == payload.len();
        let mut buffer = take();
        buffer.set_length(head.len() + piece.len());
        buffer.vnet = VnetHeader::default();
        let bytes = buffer.packet_mut();
        bytes[..head.len()].copy_from_slice(&head);
        bytes[head.len()..].copy_from_slice(piece);
        let more = if is_last && !last_has_more { 0 } else { MORE_FRAGMENTS };
        #[expect(clippy::cast_possible_truncation, reason = "an IP packet has less than 65,536 bytes")]
        let (length, offset) = ((head.len() + piece.len()) as u16, (usize::from(first_offset) + at) as u16);
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        bytes[6..8].copy_from_slice(&((offset / 8) | more).to_be_bytes());
        ipv4::write_checksum(bytes, head.len());
        emit(buffer);
        if at == 0 {
            keep_copied_options(&mut head);
        }
        at += piece.len();
    }
}

/// Replaces the options of `head` that belong in the first piece only by no-operations.
fn keep_copied_options(head: &mut [u8]) {
    let mut at = ipv4::HEADER_LENGTH;
    while at < head.len() && head[at] != 0 {
        let length = if head[at] == 1 { 1 } else { head.get(at + 1).map_or(1, |&length| usize::from(length.max(1))) };
        let end = (at + length).min(head.len());
        if head[at] & COPIED_OPTION == 0 {
            head[at..end].fill(1);
        }
        at = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ipv4::NewHeader;
    use std::net::Ipv4Addr;

    #[test]
    fn pieces_put_together_are_the_packet() {
        let mut packet: Vec<u8> = (0..3000_u32).map(|byte| u8::try_from(byte % 251).unwrap()).collect();
        let header = NewHeader {
            total_length: 3000,
            identification: 99,
            flags_and_offset: 0,
            ttl: 9,
            protocol: 17,
            source: Ipv4Addr::new(10, 0, 0, 1),
            destination: Ipv4Addr::new(10, 0, 0, 2),
        };
        header.write(&mut packet);
        let parsed = Ipv4::parse(&packet).unwrap();
        let mut payload = Vec::new();
        let mut last = true;
        fragment(&packet, &parsed, 1400, PacketBuffer::new, |piece| {
            let piece_header = Ipv4::parse(piece.packet()).unwrap();
            assert!(piece.length() <= 1400);
            assert_eq!(piece_header.identification, 99);
            let place = piece_header.fragment.unwrap();
            assert_eq!(usize::from(place.offset), payload.len());
            payload.extend_from_slice(&piece.packet()[20..]);
            last = place.more;
        });
        assert!(!last);
        assert_eq!(payload, packet[20..]);
    }
}
