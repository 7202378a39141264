//! Who cuts TCP's super-packets on a line by PPPoE, and how the kernel is brought to.
//!
//! Theory of operation. The kernel cuts by the protocol that a packet says it is, and for PPPoE's it has nothing. But it copies
//! whatever link header there is to every segment. So the super-packet goes to the interface by a socket of IPv4's, and at the
//! egress hook, where it passes before it is cut, [`cutting_program`] moves the mark where the network header begins behind the
//! session's header: what is left is IPv4 with a long link header, and is cut as that. The length in a session's header
//! must be that of every segment, so the last one, if it is shorter, is taken off and sent as a packet of its own
//! ([`segmentation::part`]).
//!
//! A card that cuts or sums by itself might look for IPv4 behind Ethernet's header. So both are switched off on such an
//! interface, and the kernel does them; where they cannot be, segments are made here, one by one, which costs about
//! twice as much.

use std::io;
use std::num::NonZeroU16;

use super::guard::IPV4;
use super::shortcut::{TC_ACT_OK, TC_ACT_SHOT};
use crate::sys::bpf::{Assembler, Condition, Helper, Operation, PacketField, Program, ProgramKind, Register, Size};
use crate::wire::pppoe::{ETHERTYPE_SESSION, LINK_LENGTH, OVERHEAD, write_length};
use crate::wire::segmentation::{self, Cut};
use crate::wire::{BufferPool, Ipv4, PacketBuffer, Segmentation};
use Condition::NotEqual;
use Operation::Set;
use Register::{R0, R1, R2, R3, R4, R5, R6, R7};

// From linux/bpf.h.
const BPF_ADJ_ROOM_MAC: i32 = 1;
/// Segments stay as long as they are.
const BPF_F_ADJ_ROOM_FIXED_GSO: i32 = 1;

/// Where the program keeps the link header on its stack.
const HEADER: i16 = -24;
const ETHERTYPE: i16 = HEADER + 12;

/// Who cuts TCP's super-packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cutting {
    /// We do.
    #[default]
    Here,
    /// The kernel does, with [`cutting_program`] at the interface's egress and a card that neither cuts nor sums.
    Kernel,
}

/// Makes what is to be cut on a line by PPPoE something that the kernel can cut. To be attached at `clsact` egress with direct
/// action.
///
/// # Errors
/// Without the right to load programs.
pub fn cutting_program() -> io::Result<Program> {
    let mut program = Assembler::new();
    let [other, broken] = std::array::from_fn(|_| program.label());
    let (link_length, overhead) = (LINK_LENGTH as i32, i32::from(OVERHEAD));
    // A session's frame that says it is IPv4 comes by our socket for these.
    program.load_field(R7, PacketField::Protocol);
    program.jump_if(R7, NotEqual, u32::from(IPV4.to_be()), other);
    program.apply(Set, R2, 0);
    program.load_bytes(HEADER, link_length, other);
    program.load_stack(Size::Half, R7, ETHERTYPE);
    program.jump_if(R7, NotEqual, u32::from(ETHERTYPE_SESSION), other);
    // What was taken for the network header goes, and with that the mark moves to IPv4's.
    program.copy(R1, R6);
    program.apply(Set, R2, -overhead);
    program.apply(Set, R3, BPF_ADJ_ROOM_MAC);
    program.apply(Set, R4, BPF_F_ADJ_ROOM_FIXED_GSO);
    program.call(Helper::AdjustRoom);
    program.jump_if(R0, NotEqual, 0, broken);
    // It comes back as part of the link header.
    program.copy(R1, R6);
    program.apply(Set, R2, overhead);
    program.apply(Set, R3, 0);
    program.call(Helper::AddLinkHeader);
    program.jump_if(R0, NotEqual, 0, broken);
    program.copy(R1, R6);
    program.apply(Set, R2, 0);
    program.stack_address(R3, HEADER);
    program.apply(Set, R4, link_length);
    program.apply(Set, R5, 0);
    program.call(Helper::StoreBytes);
    program.jump_if(R0, NotEqual, 0, broken);
    program.place(other);
    program.finish_with(TC_ACT_OK);
    program.place(broken);
    program.finish_with(TC_ACT_SHOT);
    Program::load(ProgramKind::TrafficControl, "potato_cutting", &program.assemble()?)
}

/// Whether a packet must be cut before it is sent on a wire.
pub(super) fn is_super_packet(packet: &PacketBuffer) -> bool {
    packet.vnet.segmentation != Segmentation::None
}

/// Makes of a super-packet of TCP's with a session's header what can be sent, onto the end of `pieces`. `None` when its lengths
/// contradict each other; then `pieces` are as they were.
pub(super) fn cut(
    way: Cutting,
    mut packet: PacketBuffer,
    pool: &mut BufferPool,
    pieces: &mut Vec<PacketBuffer>,
) -> Option<()> {
    let made = pieces.len();
    let done = cut_into(way, &mut packet, pool, pieces);
    match way {
        Cutting::Kernel if done.is_some() => pieces.insert(made, packet),
        Cutting::Kernel | Cutting::Here => pool.give(packet),
    }
    done
}

fn cut_into(
    way: Cutting,
    packet: &mut PacketBuffer,
    pool: &mut BufferPool,
    pieces: &mut Vec<PacketBuffer>,
) -> Option<()> {
    let Segmentation::Tcp4 { size, ecn } = packet.vnet.segmentation else { return None };
    let ip = Ipv4::parse(packet.packet()).ok()?;
    let tcp_header_length = usize::from(packet.header_length).checked_sub(ip.header_length)?;
    let cut = Cut { tcp_header_length, size: NonZeroU16::new(size)?, ecn };
    let mut header = <[u8; LINK_LENGTH]>::try_from(packet.link_header()).ok()?;
    let made = pieces.len();
    let mut emit = |mut piece: PacketBuffer| {
        write_length(&mut header, piece.length());
        piece.set_link_header(&header);
        pieces.push(piece);
    };
    match way {
        Cutting::Here => segmentation::segments(packet.packet(), &ip, cut, || pool.take(), emit),
        Cutting::Kernel => {
            if let Some(last) = segmentation::part(packet, &ip, cut, || pool.take())? {
                emit(last);
            }
            // That of each segment.
            let longest = usize::from(packet.header_length) + usize::from(size);
            write_length(&mut header, packet.length().min(longest));
            packet.set_link_header(&header);
            return Some(());
        }
    }
    (pieces.len() > made).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Checksum;
    use crate::wire::pppoe::{SessionHeader, SessionId, session_header};
    use std::net::Ipv4Addr;

    const HEADERS: usize = 40;
    const SIZE: u16 = 1_000;

    /// A super-packet with `payload` bytes of payload.
    fn whole(payload: usize) -> PacketBuffer {
        let mut bytes = vec![7; HEADERS + payload];
        let header = crate::wire::ipv4::NewHeader {
            total_length: u16::try_from(bytes.len()).unwrap(),
            identification: 1,
            flags_and_offset: 0x4000,
            ttl: 64,
            protocol: 6,
            source: Ipv4Addr::new(10, 99, 0, 2),
            destination: Ipv4Addr::new(203, 0, 113, 1),
        };
        header.write(&mut bytes);
        bytes[32] = 5 << 4;
        let mut packet = PacketBuffer::new();
        packet.fill(&bytes);
        packet.set_link_header(&session_header(Default::default(), SessionId::new(7).unwrap(), bytes.len()));
        packet.header_length = HEADERS as u16;
        packet.vnet.checksum = Checksum::Unfinished { start: 20, offset: 16 };
        packet.vnet.segmentation = Segmentation::Tcp4 { size: SIZE, ecn: false };
        packet
    }

    /// The length that a packet's session header tells.
    fn told(packet: &PacketBuffer) -> usize {
        let header: [u8; LINK_LENGTH] = packet.link_header().try_into().unwrap();
        SessionHeader::parse(&header, 0xffff).unwrap().length
    }

    fn pieces(way: Cutting, payload: usize) -> Vec<PacketBuffer> {
        let (mut pool, mut pieces) = (BufferPool::default(), vec![whole(5)]);
        cut(way, whole(payload), &mut pool, &mut pieces).unwrap();
        pieces.split_off(1)
    }

    #[test]
    fn session_header_tells_the_length_of_each_segment() {
        for (payload, lengths) in [
            (3_500, &[(3_040, 1_040), (540, 540)][..]),
            (3_000, &[(3_040, 1_040)]),
            (1_001, &[(1_040, 1_040), (41, 41)]),
            (1_000, &[(1_040, 1_040)]),
            (400, &[(440, 440)]),
        ] {
            let by_kernel = pieces(Cutting::Kernel, payload);
            assert_eq!(by_kernel.iter().map(|piece| (piece.length(), told(piece))).collect::<Vec<_>>(), lengths);
            let here = pieces(Cutting::Here, payload);
            assert_eq!(here.len(), payload.div_ceil(1_000));
            assert!(here.iter().all(|piece| told(piece) == piece.length() && !is_super_packet(piece)));
        }
    }

    #[test]
    fn what_cannot_be_cut_leaves_nothing_but_its_buffer() {
        let broken: [fn(&mut PacketBuffer); 4] = [
            |packet| packet.header_length = 12,
            |packet| packet.set_length(60),
            |packet| packet.set_link_header(&[0; 14]),
            |packet| packet.vnet.segmentation = Segmentation::Tcp6 { size: SIZE, ecn: false },
        ];
        for (way, damage) in [Cutting::Here, Cutting::Kernel].into_iter().flat_map(|way| broken.map(|case| (way, case)))
        {
            let (mut pool, mut pieces) = (BufferPool::new(1), vec![whole(5)]);
            let mut packet = pool.take();
            packet.fill(whole(3_000).packet());
            packet.set_link_header(whole(3_000).link_header());
            (packet.vnet, packet.header_length) = (whole(3_000).vnet, HEADERS as u16);
            damage(&mut packet);
            assert_eq!(cut(way, packet, &mut pool, &mut pieces), None);
            assert_eq!(pieces.len(), 1);
        }
    }

    #[test]
    fn program_leaves_other_frames_as_they_are() {
        let program = cutting_program().unwrap();
        let ethernet = [&[2; 12][..], &IPV4.to_be_bytes(), whole(100).packet()].concat();
        for frame in [whole(100).frame(), &ethernet, &[2; 14]] {
            let outcome = program.test_run(frame).unwrap();
            assert_eq!((outcome.result.cast_signed(), &outcome.frame[..]), (TC_ACT_OK, frame));
        }
    }
}
