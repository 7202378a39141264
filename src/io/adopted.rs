//! Who gets a packet that comes to an address which the kernel has too: a PPP or LTE line, or one with a DHCP client of the system.
//!
//! Theory of operation: of such an address, some ports are the engine's ([`PortBounds`]), chosen so that the kernel uses none of
//! them for connections of its own. The socket's filter takes what is for those ports, and of ICMP what may be about a flow:
//! echo replies and errors. The guard at the ingress hook, which runs after the filter, drops for the kernel what is for those
//! ports, so that it never answers a packet of a flow with RST or ICMP; unless it has a socket that would get the packet: a
//! service that has taken such a port all the same keeps working. All else, ICMP too, is the kernel's as if we were not there: what it
//! does not know of ICMP it ignores.
//!
//! Later pieces of a datagram have no ports: both see them. The kernel drops them in silence, for the first piece never came.
//!
//! What the kernel forwards does not leave by such an interface: see [`adopted_egress_guard`].
//!
//! It carries nothing: there is no shortcut on such an interface.

use std::io;
use std::net::Ipv4Addr;

use super::guard::{ACCEPT, ARP, IGNORE, IPV4, skip_vlans};
use super::shortcut::{TC_ACT_OK, TC_ACT_SHOT};
use crate::nat::ports::PortBounds;
use crate::sys::bpf::{
    Assembler, Condition, Helper, Label, Operation, PacketField, Program, ProgramKind, Register, Size,
};
use crate::wire::buffer::ETHERNET_LENGTH;
use Condition::{Equal, Less, LessOrEqual, NotEqual};
use Register::{R0, R1, R2, R3, R4, R5, R6, R7, R8, R9};

const ICMP: u32 = 1;
const TCP: u32 = 6;
const UDP: u32 = 17;
/// ICMP types that may be about a flow: echo reply, destination unreachable, time exceeded, parameter problem.
const ICMP_TYPES: [u32; 4] = [0, 3, 11, 12];

// Where a program keeps the IP header on its stack, its two addresses last, and behind it the two ports: together a tuple.
const HEADER: i16 = -24;
const HEADER_BYTES: i32 = 20;
const PORTS: i16 = -4;
const PORTS_BYTES: i32 = 4;
const TUPLE: i16 = -12;
const TUPLE_BYTES: i32 = 12;

/// What stands before the IP header on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkHeader {
    /// An Ethernet header.
    Ethernet,
    /// Nothing (PPP, TUN, raw IP).
    None,
}

impl LinkHeader {
    fn length(self) -> i32 {
        match self {
            Self::Ethernet => i32::try_from(ETHERNET_LENGTH).unwrap_or(0),
            Self::None => 0,
        }
    }
}

/// What of an address is the engine's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The address.
    pub address: Ipv4Addr,
    /// Its ports that are ours.
    pub ports: PortBounds,
    /// What stands before the packets.
    pub link: LinkHeader,
}

/// The guard of the interface, to be attached at `clsact` ingress with direct action.
///
/// # Errors
/// Without the right to load programs.
pub fn adopted_guard(share: &Share) -> io::Result<Program> {
    let mut program = Assembler::new();
    let [ours, kernel] = std::array::from_fn(|_| program.label());
    read_header(&mut program, share, None, kernel);
    program.load_stack(Size::Half, R7, HEADER + 6);
    program.apply(Operation::And, R7, 0x1fff);
    program.jump_if(R7, NotEqual, 0, kernel);
    program.load_stack(Size::Byte, R9, HEADER + 9);
    jump_if_port_is_ours(&mut program, share, ours, kernel);
    program.place(ours);
    leave_to_sockets(&mut program, kernel);
    program.finish_with(TC_ACT_SHOT);
    program.place(kernel);
    program.finish_with(TC_ACT_OK);
    Program::load(ProgramKind::TrafficControl, "potato_adopted", &program.assemble()?)
}

/// The guard of what leaves by the interface, to be attached at `clsact` egress with direct action: nothing that the kernel
/// forwards. It has routes to networks on this line, and would send LAN packets there as they are, private source and all. What
/// the engine sends, and what the machine itself does, was received nowhere.
///
/// # Errors
/// Without the right to load programs.
pub fn adopted_egress_guard() -> io::Result<Program> {
    let mut program = Assembler::new();
    let own = program.label();
    program.load_field(R7, PacketField::Origin);
    program.jump_if(R7, Equal, 0, own);
    program.finish_with(TC_ACT_SHOT);
    program.place(own);
    program.finish_with(TC_ACT_OK);
    Program::load(ProgramKind::TrafficControl, "potato_egress", &program.assemble()?)
}

/// The filter of a packet socket there.
pub(super) fn filter(share: &Share) -> io::Result<Program> {
    let mut program = Assembler::new();
    let [engine, icmp, kernel] = std::array::from_fn(|_| program.label());
    read_header(&mut program, share, Some(engine), kernel);
    program.load_stack(Size::Half, R7, HEADER + 6);
    program.apply(Operation::And, R7, 0x1fff);
    program.jump_if(R7, NotEqual, 0, engine);
    program.load_stack(Size::Byte, R9, HEADER + 9);
    program.jump_if(R9, Equal, ICMP, icmp);
    jump_if_port_is_ours(&mut program, share, engine, kernel);
    program.place(icmp);
    program.copy(R2, R8);
    program.load_bytes(PORTS, 1, kernel);
    program.load_stack(Size::Byte, R7, PORTS);
    for kind in ICMP_TYPES {
        program.jump_if(R7, Equal, kind, engine);
    }
    program.jump(kernel);
    program.place(engine);
    program.finish_with(ACCEPT);
    program.place(kernel);
    program.finish_with(IGNORE);
    Program::load(ProgramKind::SocketFilter, "potato_adopted", &program.assemble()?)
}

/// Falls through for IPv4 to our address, with the header on the stack and the place of what follows it in `R8`. ARP goes to
/// `arp`, where there is such a label.
fn read_header(program: &mut Assembler, share: &Share, arp: Option<Label>, kernel: Label) {
    if share.link == LinkHeader::Ethernet {
        skip_vlans(program, kernel);
        program.load_field(R7, PacketField::Protocol);
        if let Some(arp) = arp {
            program.jump_if(R7, Equal, u32::from(ARP.to_be()), arp);
        }
        program.jump_if(R7, NotEqual, u32::from(IPV4.to_be()), kernel);
    }
    program.apply(Operation::Set, R2, share.link.length());
    program.load_bytes(HEADER, HEADER_BYTES, kernel);
    program.load_stack(Size::Byte, R8, HEADER);
    program.copy(R7, R8);
    program.apply(Operation::ShiftRight, R7, 4);
    program.jump_if(R7, NotEqual, 4, kernel);
    program.load_stack(Size::Word, R7, HEADER + 16);
    program.jump_if(R7, NotEqual, share.address.to_bits(), kernel);
    program.apply(Operation::And, R8, 0xf);
    program.apply(Operation::ShiftLeft, R8, 2);
    program.apply(Operation::Add, R8, share.link.length());
}

/// Jumps by whose the destination's port is, of TCP and UDP, and puts both ports on the stack. `R9` is the protocol.
fn jump_if_port_is_ours(program: &mut Assembler, share: &Share, ours: Label, kernel: Label) {
    let has_ports = program.label();
    program.jump_if(R9, Equal, TCP, has_ports);
    program.jump_if(R9, NotEqual, UDP, kernel);
    program.place(has_ports);
    program.copy(R2, R8);
    program.load_bytes(PORTS, PORTS_BYTES, kernel);
    program.load_stack(Size::Half, R7, PORTS + 2);
    for (first, last) in share.ports.ranges() {
        let next = program.label();
        program.jump_if(R7, Less, u32::from(*first), next);
        program.jump_if(R7, LessOrEqual, u32::from(*last), ours);
        program.place(next);
    }
    program.jump(kernel);
}

/// Jumps to `kernel` when that has a socket for the tuple on the stack. `R9` is the protocol.
fn leave_to_sockets(program: &mut Assembler, kernel: Label) {
    let [udp, found, nobody] = std::array::from_fn(|_| program.label());
    program.copy(R1, R6);
    program.stack_address(R2, TUPLE);
    program.apply(Operation::Set, R3, TUPLE_BYTES);
    program.apply(Operation::Set, R4, -1);
    program.apply(Operation::Set, R5, 0);
    program.jump_if(R9, Equal, UDP, udp);
    program.call(Helper::FindTcpSocket);
    program.jump_if_64(R0, Equal, 0, nobody);
    program.jump(found);
    program.place(udp);
    program.call(Helper::FindUdpSocket);
    program.jump_if_64(R0, Equal, 0, nobody);
    program.place(found);
    program.copy(R1, R0);
    program.call(Helper::ReleaseSocket);
    program.jump(kernel);
    program.place(nobody);
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    const ADDRESS: Ipv4Addr = Ipv4Addr::LOCALHOST;

    fn share(ports: std::ops::RangeInclusive<u16>) -> Share {
        Share { address: ADDRESS, ports: PortBounds::of(|port| ports.contains(&port)), link: LinkHeader::Ethernet }
    }

    fn packet(protocol: u32, to: Ipv4Addr, port: u16, fragment: u16) -> Vec<u8> {
        let mut frame = vec![0; 64];
        frame[12..14].copy_from_slice(&IPV4.to_be_bytes());
        frame[14] = 0x46;
        frame[20..22].copy_from_slice(&fragment.to_be_bytes());
        frame[23] = u8::try_from(protocol).unwrap();
        frame[26..30].copy_from_slice(&[203, 0, 113, 1]);
        frame[30..34].copy_from_slice(&to.octets());
        // Behind four bytes of options.
        frame[38..40].copy_from_slice(&443_u16.to_be_bytes());
        frame[40..42].copy_from_slice(&port.to_be_bytes());
        frame
    }

    fn is_dropped(guard: &Program, frame: &[u8]) -> bool {
        guard.test_run(frame).unwrap().result.cast_signed() == TC_ACT_SHOT
    }

    #[test]
    fn kernel_does_not_see_what_is_for_our_ports() {
        let guard = adopted_guard(&share(61_000..=65_000)).unwrap();
        for protocol in [TCP, UDP] {
            assert!(is_dropped(&guard, &packet(protocol, ADDRESS, 61_000, 0x4000)));
            assert!(is_dropped(&guard, &packet(protocol, ADDRESS, 65_000, 0x2000)), "the first piece has ports");
            assert!(!is_dropped(&guard, &packet(protocol, ADDRESS, 60_999, 0)));
            assert!(!is_dropped(&guard, &packet(protocol, ADDRESS, 65_001, 0)));
            assert!(!is_dropped(&guard, &packet(protocol, ADDRESS, 61_000, 7)), "a later piece has none");
            assert!(!is_dropped(&guard, &packet(protocol, Ipv4Addr::new(10, 0, 0, 1), 61_000, 0)));
        }
        assert!(!is_dropped(&guard, &packet(ICMP, ADDRESS, 61_000, 0)));
        let mut arp = packet(UDP, ADDRESS, 61_000, 0);
        arp[12..14].copy_from_slice(&ARP.to_be_bytes());
        assert!(!is_dropped(&guard, &arp));
    }

    #[test]
    fn service_on_one_of_our_ports_keeps_what_comes_to_it() {
        let (tcp, udp) = (TcpListener::bind((ADDRESS, 0)).unwrap(), UdpSocket::bind((ADDRESS, 0)).unwrap());
        let (tcp, udp) = (tcp.local_addr().map(|a| (a.port(), tcp)), udp.local_addr().map(|a| (a.port(), udp)));
        let ((tcp_port, _listener), (udp_port, _socket)) = (tcp.unwrap(), udp.unwrap());
        let guard = adopted_guard(&share(1..=65_535)).unwrap();
        assert!(!is_dropped(&guard, &packet(TCP, ADDRESS, tcp_port, 0)));
        assert!(!is_dropped(&guard, &packet(UDP, ADDRESS, udp_port, 0)));
        assert!(is_dropped(&guard, &packet(TCP, ADDRESS, 1, 0)));
    }

    #[test]
    fn programs_for_interfaces_without_link_header_are_accepted() {
        let share = Share { link: LinkHeader::None, ..share(61_000..=65_000) };
        adopted_guard(&share).unwrap();
        filter(&share).unwrap();
        filter(&Share { link: LinkHeader::Ethernet, ..share }).unwrap();
    }
}
