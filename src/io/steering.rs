//! The steering programs: they give each packet to the worker that owns its flow, before anybody has received it.
//!
//! One program shares the frames of a packet socket's fanout group, the same one shares the packets of a TUN device.
//! It computes what [`crate::placement::owner_of_port`] does, from the source port of what comes from the LAN and from
//! the destination port of what comes from an uplink. All pieces of a fragmented datagram go to one worker, chosen by
//! the IP identification, for they must meet before their ports are known. On an uplink the packet in a PPPoE session's frame
//! is looked at like any other. Everything else goes to worker 0, and the
//! engine hands it over.

use std::io;

use crate::sys::bpf::{Assembler, Condition, Label, Operation, PacketField, Program, ProgramKind, Register, Size};
use crate::wire::pppoe::{ETHERTYPE_SESSION, OVERHEAD, PROTOCOL_IPV4};

/// Which port names the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Packets from the LAN: the source port.
    Lan,
    /// Packets from an uplink: the destination port.
    Uplink,
}

/// Where the program keeps the IP header on its stack, and then the port.
const HEADER: i16 = -24;
const TRANSPORT: i16 = -32;
const PORT: i16 = TRANSPORT + 4;

const ICMP: u32 = 1;
const TCP: u32 = 6;
const UDP: u32 = 17;
const ECHO_REPLY: u32 = 0;
const ECHO_REQUEST: u32 = 8;

/// Loads the program for this many workers.
///
/// # Errors
/// Without the right to load programs.
pub(super) fn load(side: Side, workers: u8) -> io::Result<Program> {
    let mut program = Assembler::new();
    let [fragment, icmp, ports, port_known, other] = std::array::from_fn(|_| program.label());

    // The packet starts with what follows the Ethernet header here, on a fanout group as on a TUN device.
    program.apply(Operation::Set, Register::R9, 0);
    if side == Side::Uplink {
        skip_session_header(&mut program, other);
    }
    program.copy(Register::R2, Register::R9);
    program.load_bytes(HEADER, 20, other);
    program.load_stack(Size::Byte, Register::R7, HEADER);
    program.copy(Register::R8, Register::R7);
    program.apply(Operation::ShiftRight, Register::R8, 4);
    program.jump_if(Register::R8, Condition::NotEqual, 4, other);
    program.apply(Operation::And, Register::R7, 0xf);
    program.apply(Operation::ShiftLeft, Register::R7, 2);
    program.jump_if(Register::R7, Condition::Less, 20, other);
    program.apply(Operation::Add, Register::R7, Register::R9);

    // More Fragments, or an offset.
    program.load_stack(Size::Half, Register::R8, HEADER + 6);
    program.apply(Operation::And, Register::R8, 0x3fff);
    program.jump_if(Register::R8, Condition::NotEqual, 0, fragment);
    program.load_stack(Size::Byte, Register::R8, HEADER + 9);
    program.jump_if(Register::R8, Condition::Equal, TCP, ports);
    program.jump_if(Register::R8, Condition::Equal, UDP, ports);
    program.jump_if(Register::R8, Condition::Equal, ICMP, icmp);
    program.jump(other);

    program.place(icmp);
    program.copy(Register::R2, Register::R7);
    program.load_bytes(TRANSPORT, 6, other);
    program.load_stack(Size::Byte, Register::R8, TRANSPORT);
    program.jump_if(Register::R8, Condition::Equal, ECHO_REQUEST, port_known);
    program.jump_if(Register::R8, Condition::Equal, ECHO_REPLY, port_known);
    program.jump(other);

    program.place(ports);
    program.copy(Register::R2, Register::R7);
    program.apply(Operation::Add, Register::R2, if side == Side::Lan { 0 } else { 2 });
    program.load_bytes(PORT, 2, other);

    program.place(port_known);
    program.load_stack(Size::Half, Register::R0, PORT);
    program.apply(Operation::ShiftRight, Register::R0, 1);
    program.apply(Operation::Modulo, Register::R0, i32::from(workers));
    program.exit();

    program.place(fragment);
    program.load_stack(Size::Half, Register::R0, HEADER + 4);
    program.apply(Operation::Modulo, Register::R0, i32::from(workers));
    program.exit();

    program.place(other);
    program.finish_with(0);
    Program::load(ProgramKind::SocketFilter, "potato_steering", &program.assemble()?)
}

/// R9 = where the IP header starts; frames of a session that carry something else have none.
fn skip_session_header(program: &mut Assembler, other: Label) {
    let plain = program.label();
    program.load_field(Register::R7, PacketField::Protocol);
    program.jump_if(Register::R7, Condition::NotEqual, u32::from(ETHERTYPE_SESSION.to_be()), plain);
    program.apply(Operation::Set, Register::R2, 0);
    program.load_bytes(HEADER, i32::from(OVERHEAD), other);
    program.load_stack(Size::Half, Register::R7, HEADER + 6);
    program.jump_if(Register::R7, Condition::NotEqual, u32::from(PROTOCOL_IPV4), other);
    program.apply(Operation::Set, Register::R9, i32::from(OVERHEAD));
    program.place(plain);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::owner_of_port;

    /// An Ethernet frame with an IPv4 packet of this protocol, `options` bytes of IP options, and this payload.
    fn frame(protocol: u8, identification: u16, fragment: u16, options: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; 12];
        frame.extend([0x08, 0x00, 0x45 + options / 4, 0, 0, 0]);
        frame.extend(identification.to_be_bytes());
        frame.extend(fragment.to_be_bytes());
        frame.extend([64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        frame.extend(std::iter::repeat_n(1, usize::from(options)));
        frame.extend(payload);
        frame
    }

    fn ports(source: u16, destination: u16) -> Vec<u8> {
        [source.to_be_bytes(), destination.to_be_bytes(), [0; 2], [0; 2]].concat()
    }

    #[test]
    fn programs_agree_with_owner_of_port() {
        for workers in [1, 2, 3, 8] {
            let lan = load(Side::Lan, workers).unwrap();
            let uplink = load(Side::Uplink, workers).unwrap();
            let owner = |port: u16| u32::from(owner_of_port(port, workers).0);
            for (source, destination) in
                [(1, 2), (40_000, 443), (40_001, 443), (40_002, 80), (65_535, 0), (5060, 65_534)]
            {
                for (protocol, options) in [(6, 0), (17, 0), (6, 4), (17, 40)] {
                    let frame = frame(protocol, 7, 0x4000, options, &ports(source, destination));
                    assert_eq!(lan.test_run(&frame).unwrap().result, owner(source));
                    assert_eq!(uplink.test_run(&frame).unwrap().result, owner(destination));
                }
                let [high, low] = source.to_be_bytes();
                for kind in [0, 8] {
                    let frame = frame(1, 7, 0, 0, &[kind, 0, 0, 0, high, low, 0, 1]);
                    assert_eq!(lan.test_run(&frame).unwrap().result, owner(source));
                    assert_eq!(uplink.test_run(&frame).unwrap().result, owner(source));
                }
            }
        }
    }

    /// The same frame in a PPPoE session, of this PPP protocol.
    fn in_session(frame: &[u8], protocol: u16) -> Vec<u8> {
        let mut framed = frame[..12].to_vec();
        framed.extend([0x88, 0x64, 0x11, 0, 0, 7, 0, 0]);
        framed.extend(protocol.to_be_bytes());
        framed.extend(&frame[14..]);
        framed
    }

    #[test]
    fn packets_in_a_session_go_where_they_would_without() {
        for workers in [2, 3, 8] {
            let uplink = load(Side::Uplink, workers).unwrap();
            for port in [443, 40_000, 40_003, 65_534] {
                let owner = u32::from(owner_of_port(port, workers).0);
                for (protocol, options) in [(6, 0), (17, 0), (6, 4), (17, 40)] {
                    let plain = frame(protocol, 7, 0x4000, options, &ports(9, port));
                    assert_eq!(uplink.test_run(&in_session(&plain, 0x0021)).unwrap().result, owner);
                    assert_eq!(uplink.test_run(&in_session(&plain, 0xc021)).unwrap().result, 0);
                }
                let [high, low] = port.to_be_bytes();
                let echo = frame(1, 7, 0, 0, &[0, 0, 0, 0, high, low, 0, 1]);
                assert_eq!(uplink.test_run(&in_session(&echo, 0x0021)).unwrap().result, owner);
            }
            let piece = in_session(&frame(17, 5, 0x2010, 0, &[]), 0x0021);
            assert_eq!(uplink.test_run(&piece).unwrap().result, 5 % u32::from(workers));
            let runt = in_session(&frame(17, 5, 0, 0, &[]), 0x0021)[..21].to_vec();
            assert_eq!(uplink.test_run(&runt).unwrap().result, 0);
        }
    }

    #[test]
    fn all_pieces_of_a_datagram_go_one_way() {
        let uplink = load(Side::Uplink, 4).unwrap();
        for identification in 0..8 {
            let owner = u32::from(identification % 4);
            assert_eq!(uplink.test_run(&frame(17, identification, 0x2000, 0, &ports(9, 999))).unwrap().result, owner);
            assert_eq!(uplink.test_run(&frame(17, identification, 0x2010, 0, &[])).unwrap().result, owner);
            assert_eq!(uplink.test_run(&frame(17, identification, 0x0020, 0, &[1])).unwrap().result, owner);
        }
    }

    #[test]
    fn what_has_no_port_goes_to_worker_zero() {
        let lan = load(Side::Lan, 4).unwrap();
        assert_eq!(lan.test_run(&frame(1, 7, 0, 0, &[3, 1, 0, 0, 0xff, 0xff, 0, 1])).unwrap().result, 0);
        assert_eq!(lan.test_run(&frame(47, 7, 0, 0, &ports(3, 3))).unwrap().result, 0);
        assert_eq!(lan.test_run(&frame(6, 7, 0, 0, &[0xff])).unwrap().result, 0);
        let mut arp = frame(6, 7, 0, 0, &ports(3, 3));
        arp[12..16].copy_from_slice(&[0x08, 0x06, 0x00, 0x01]);
        assert_eq!(lan.test_run(&arp).unwrap().result, 0);
    }
}
