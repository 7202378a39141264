//! Cutting a TCP super-packet into the segments that it stands for, behind a PPPoE header: all of them ([`segments`]), or the
//! last one only ([`part`]), where the kernel can be brought to cut the others.
//!
//! What a network card does, and Linux's `tcp_gso_segment`: every segment has the headers of the whole, with its own
//! lengths, sequence number and checksums; the IP identification counts up; FIN and PSH belong to the last, CWR to the
//! first (RFC 3168 section 6.1.2), unless it does not tell of congestion (accurate ECN).

use std::net::Ipv4Addr;
use std::num::NonZeroU16;

use super::buffer::PacketBuffer;
use super::checksum;
use super::ipv4::{self, Ipv4};
use super::tcp::{self, CHECKSUM_OFFSET, TcpFlags};
use super::vnet::{Checksum, VnetHeader};

/// RFC 3168 section 6.1: the sender has reduced its window.
const CWR: u8 = 0x80;
/// RFC 9293 section 3.1: where the flags stand in the header.
const FLAGS_OFFSET: usize = 13;

/// How a super-packet is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Bytes of the TCP header.
    pub tcp_header_length: usize,
    /// Payload bytes of each segment; the last may have fewer.
    pub size: NonZeroU16,
    /// Whether CWR belongs to the first segment only.
    pub ecn: bool,
}

/// Cuts `packet`, a TCP super-packet whose header is `header`. Each segment is written into a buffer that `take` gives,
/// its checksums finished, and passed to `emit`, in order. Nothing is emitted when the lengths contradict each other.
pub fn segments(
    packet: &[u8],
    header: &Ipv4,
    cut: Cut,
    mut take: impl FnMut() -> PacketBuffer,
    mut emit: impl FnMut(PacketBuffer),
) {
    let headers = header.header_length + cut.tcp_header_length;
    let Some((head, payload)) = packet.get(..header.total_length).and_then(|whole| whole.split_at_checked(headers))
    else {
        return;
    };
    let Some(transport) = head.get(header.header_length..).filter(|transport| transport.len() >= 20) else { return };
    let first = sequence_number(transport);
    let pieces = payload.len().div_ceil(cut.size.get().into());
    for (number, piece) in (0_u16..).zip(payload.chunks(cut.size.get().into())) {
        let is_last = usize::from(number) + 1 == pieces;
        let mut buffer = take();
        buffer.set_length(headers + piece.len());
        buffer.vnet = VnetHeader::default();
        let bytes = buffer.packet_mut();
        bytes[..headers].copy_from_slice(head);
        bytes[headers..].copy_from_slice(piece);
        // RFC 6864 section 4.1: what may be fragmented needs an identification of its own.
        bytes[4..6].copy_from_slice(&header.identification.wrapping_add(number).to_be_bytes());
        let sequence = first.wrapping_add(u32::from(number) * u32::from(cut.size.get()));
        let dropped = dropped_flags(number == 0, is_last, cut.ecn);
        finish_segment(bytes, header.header_length, sequence, dropped);
        emit(buffer);
    }
}

/// Shortens `packet`, a TCP super-packet whose header is `header`, to those segments that are equally long, and returns the last
/// one if it is shorter, in a buffer that `take` gives, its checksums finished. What stays is a super-packet with an unfinished
/// checksum, or, if it is one segment, a packet with a finished one. `None` when the lengths contradict each other; the
/// packet is then as it was.
pub fn part(
    packet: &mut PacketBuffer,
    header: &Ipv4,
    cut: Cut,
    mut take: impl FnMut() -> PacketBuffer,
) -> Option<Option<PacketBuffer>> {
    let (headers, size) = (header.header_length + cut.tcp_header_length, usize::from(cut.size.get()));
    let payload = header.total_length.checked_sub(headers).filter(|_| header.total_length <= packet.length())?;
    if cut.tcp_header_length < tcp::HEADER_LENGTH {
        return None;
    }
    let first = sequence_number(&packet.packet()[header.header_length..]);
    let full = payload / size;
    let middle = headers + full * size;
    let last = (full > 0 && middle < header.total_length).then(|| {
        let mut buffer = take();
        let whole = packet.packet();
        buffer.set_length(headers + header.total_length - middle);
        buffer.vnet = VnetHeader::default();
        let bytes = buffer.packet_mut();
        bytes[..headers].copy_from_slice(&whole[..headers]);
        bytes[headers..].copy_from_slice(&whole[middle..header.total_length]);
        #[expect(clippy::cast_possible_truncation, reason = "an IP packet has less than 65,536 bytes")]
        let (number, distance) = (full as u16, (full * size) as u32);
        bytes[4..6].copy_from_slice(&header.identification.wrapping_add(number).to_be_bytes());
        let dropped = dropped_flags(false, true, cut.ecn);
        finish_segment(bytes, header.header_length, first.wrapping_add(distance), dropped);
        buffer
    });
    packet.set_length(if last.is_some() { middle } else { header.total_length });
    let dropped = dropped_flags(true, last.is_none(), cut.ecn);
    if packet.length() <= headers + size {
        packet.vnet = VnetHeader::default();
        finish_segment(packet.packet_mut(), header.header_length, first, dropped);
    } else {
        let start = u16::try_from(header.header_length).ok()?;
        packet.vnet.checksum = Checksum::Unfinished { start, offset: CHECKSUM_OFFSET as u16 };
        let bytes = packet.packet_mut();
        let pseudo = write_lengths(bytes, header.header_length);
        let transport = &mut bytes[header.header_length..];
        transport[FLAGS_OFFSET] &= !dropped;
        write_checksum(transport, checksum::unfinished(pseudo));
    }
    Some(last)
}

fn sequence_number(transport: &[u8]) -> u32 {
    u32::from_be_bytes([transport[4], transport[5], transport[6], transport[7]])
}

/// The flags that a segment does not have although the whole has them.
const fn dropped_flags(is_first: bool, is_last: bool, ecn: bool) -> u8 {
    let end = if is_last { 0 } else { TcpFlags::FIN.0 | TcpFlags::PSH.0 };
    if ecn && !is_first { end | CWR } else { end }
}

/// Writes what is a segment's own: lengths, sequence number, flags, checksums.
fn finish_segment(bytes: &mut [u8], header_length: usize, sequence: u32, dropped: u8) {
    let pseudo = write_lengths(bytes, header_length);
    let transport = &mut bytes[header_length..];
    transport[4..8].copy_from_slice(&sequence.to_be_bytes());
    transport[FLAGS_OFFSET] &= !dropped;
    write_checksum(transport, 0);
    let sum = checksum::finish(pseudo + checksum::sum(transport));
    write_checksum(transport, sum);
}

/// Writes the length of an IP packet and its header's checksum; returns the partial sum of TCP's pseudo-header.
fn write_lengths(bytes: &mut [u8], header_length: usize) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "an IP packet has less than 65,536 bytes")]
    let (length, tcp_length) = (bytes.len() as u16, (bytes.len() - header_length) as u16);
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
    ipv4::write_checksum(bytes, header_length);
    // As the addresses stand now, which may have been rewritten since the packet was parsed.
    let address = |at: usize| Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]);
    checksum::pseudo_header_v4(address(12), address(16), bytes[9], tcp_length)
}

fn write_checksum(transport: &mut [u8], field: u16) {
    transport[CHECKSUM_OFFSET..CHECKSUM_OFFSET + 2].copy_from_slice(&field.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ipv4::NewHeader;
    use crate::wire::vnet::Segmentation;
    use etherparse::{NetSlice, SlicedPacket, TransportSlice};
    use proptest::prelude::*;

    /// A super-packet with this payload, TCP options (whole words) and flags; its checksum is not finished.
    fn whole(payload: &[u8], options: &[u8], flags: u8, sequence: u32, identification: u16) -> Vec<u8> {
        let total = 40 + options.len() + payload.len();
        let mut packet = vec![0; total];
        NewHeader {
            total_length: u16::try_from(total).unwrap(),
            identification,
            flags_and_offset: 0x4000,
            ttl: 63,
            protocol: 6,
            source: Ipv4Addr::new(10, 99, 0, 2),
            destination: Ipv4Addr::new(203, 0, 113, 1),
        }
        .write(&mut packet);
        packet[20..24].copy_from_slice(&[0x9c, 0x40, 0x01, 0xbb]);
        packet[24..28].copy_from_slice(&sequence.to_be_bytes());
        packet[28..32].copy_from_slice(&[9, 8, 7, 6]);
        packet[32] = u8::try_from((20 + options.len()) / 4).unwrap() << 4;
        packet[33..36].copy_from_slice(&[flags, 1, 2]);
        packet[40..40 + options.len()].copy_from_slice(options);
        packet[40 + options.len()..].copy_from_slice(payload);
        packet
    }

    fn cut(packet: &[u8], options: usize, size: u16, ecn: bool) -> Vec<Vec<u8>> {
        let mut pieces = Vec::new();
        let cut = Cut { tcp_header_length: 20 + options, size: NonZeroU16::new(size).unwrap(), ecn };
        let header = Ipv4::parse(packet).unwrap();
        segments(packet, &header, cut, PacketBuffer::new, |piece| pieces.push(piece.packet().to_vec()));
        pieces
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Another's parser puts the stream together again, and finds every checksum right.
        #[test]
        fn segments_are_the_stream(
            payload in proptest::collection::vec(any::<u8>(), 1..20_000),
            words in 0..10_usize,
            size in 8..1_460_u16,
            flags in any::<u8>(),
            sequence in any::<u32>(),
            identification in any::<u16>(),
            ecn in any::<bool>(),
        ) {
            let options = vec![1; words * 4];
            let packet = whole(&payload, &options, flags, sequence, identification);
            let pieces = cut(&packet, options.len(), size, ecn);
            let mut stream = Vec::new();
            for (number, piece) in pieces.iter().enumerate() {
                let sliced = SlicedPacket::from_ip(piece).unwrap();
                let Some(NetSlice::Ipv4(ip)) = &sliced.net else { panic!("not IPv4") };
                let Some(TransportSlice::Tcp(tcp)) = &sliced.transport else { panic!("not TCP") };
                let (header, is_last) = (ip.header().to_header(), number + 1 == pieces.len());
                prop_assert_eq!(usize::from(header.total_len), piece.len());
                prop_assert_eq!(header.header_checksum, header.calc_header_checksum());
                prop_assert_eq!(header.identification, identification.wrapping_add(u16::try_from(number).unwrap()));
                prop_assert_eq!(tcp.checksum(), tcp.calc_checksum_ipv4(header.source, header.destination).unwrap());
                prop_assert_eq!(tcp.sequence_number(), sequence.wrapping_add(u32::try_from(stream.len()).unwrap()));
                prop_assert!(tcp.payload().len() == usize::from(size) || is_last);
                let kept = |flag: u8, here: bool| if here { flags & flag } else { 0 };
                let expected = flags & 0x76 | kept(0x09, is_last) | kept(0x80, number == 0 || !ecn);
                prop_assert_eq!(piece[33], expected);
                prop_assert_eq!(&piece[34..36], &packet[34..36], "the window");
                prop_assert_eq!(tcp.options(), &options[..]);
                stream.extend_from_slice(tcp.payload());
            }
            prop_assert_eq!(stream, payload);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whoever cuts what stays, and adds the last one, has what he had by cutting all.
        #[test]
        fn parts_are_the_whole(
            payload in proptest::collection::vec(any::<u8>(), 1..20_000),
            words in 0..10_usize,
            size in 8..1_460_u16,
            flags in any::<u8>(),
            sequence in any::<u32>(),
            identification in any::<u16>(),
            ecn in any::<bool>(),
        ) {
            let headers = 40 + words * 4;
            let packet = whole(&payload, &vec![1; words * 4], flags, sequence, identification);
            let mut buffer = buffer(&packet, size, ecn);
            let way = Cut { tcp_header_length: headers - 20, size: NonZeroU16::new(size).unwrap(), ecn };
            let last = part(&mut buffer, &Ipv4::parse(&packet).unwrap(), way, PacketBuffer::new).unwrap();
            let (front, length) = (buffer.packet().to_vec(), buffer.length() - headers);
            let mut pieces = if length <= usize::from(size) {
                prop_assert_eq!(buffer.vnet, VnetHeader::default());
                vec![front]
            } else {
                prop_assert_eq!(length % usize::from(size), 0);
                prop_assert_eq!(buffer.vnet.segmentation, Segmentation::Tcp4 { size, ecn });
                prop_assert_eq!(buffer.vnet.checksum, Checksum::Unfinished { start: 20, offset: 16 });
                let ip = Ipv4::parse(&front).unwrap();
                let tcp_length = u16::try_from(front.len() - 20).unwrap();
                let pseudo = checksum::pseudo_header_v4(ip.source, ip.destination, 6, tcp_length);
                prop_assert_eq!(&front[36..38], &checksum::unfinished(pseudo).to_be_bytes());
                cut(&front, words * 4, size, ecn)
            };
            pieces.extend(last.map(|last| last.packet().to_vec()));
            prop_assert!(pieces == cut(&packet, words * 4, size, ecn));
        }
    }

    fn buffer(packet: &[u8], size: u16, ecn: bool) -> PacketBuffer {
        let mut buffer = PacketBuffer::new();
        buffer.fill(packet);
        buffer.vnet.segmentation = Segmentation::Tcp4 { size, ecn };
        buffer
    }

    #[test]
    fn packet_whose_lengths_contradict_each_other_is_not_parted() {
        let packet = whole(b"payload", &[], 0x18, 1, 1);
        let ip = Ipv4::parse(&packet).unwrap();
        for (tcp_header_length, total_length) in [(400, packet.len()), (12, packet.len()), (20, 9_000)] {
            let mut buffer = buffer(&packet, 3, false);
            let cut = Cut { tcp_header_length, size: NonZeroU16::MIN, ecn: false };
            assert!(part(&mut buffer, &Ipv4 { total_length, ..ip }, cut, PacketBuffer::new).is_none());
            assert_eq!(buffer.packet(), packet);
        }
    }

    #[test]
    fn lengths_that_contradict_each_other_give_nothing() {
        let packet = whole(b"payload", &[], 0x18, 1, 1);
        assert!(cut(&packet, 400, 3, false).is_empty());
        let header = Ipv4 { total_length: 9_000, ..Ipv4::parse(&packet).unwrap() };
        let cut = Cut { tcp_header_length: 20, size: NonZeroU16::MIN, ecn: false };
        segments(&packet, &header, cut, PacketBuffer::new, |_| panic!("a segment of nothing"));
    }
}
