//! Who gets a frame: the engine or the kernel. Never both, never nobody.
//!
//! A packet socket is a tap: the kernel sees the same frame after it. So an interface has two programs that are each
//! other's opposite, made from one predicate: the socket's filter accepts what is for the engine, the guard on the
//! ingress hook drops it before the kernel's own stack sees it. (A tap for all protocols runs before the hook.)
//!
//! - Uplink: everything is for the engine, its socket takes ARP, IPv4, IPv6 and PPPoE of it, and the kernel sees nothing.
//! - LAN: unicast frames to the interface whose destination is not the kernel's business.
//!
//! Where there is a shortcut, the filter may decide that a frame is neither's, and the guard carries it (see [`super::shortcut`]).
//!
//! Frames with a VLAN number belong to a VLAN interface on top of this one: both programs leave them to the kernel.

use std::io;

use ipnet::Ipv4Net;

use super::shortcut::{Hook, Shortcut, TC_ACT_OK, TC_ACT_SHOT};
use crate::sys::bpf::{Assembler, Condition, Label, Operation, PacketField, Program, ProgramKind, Register, Size};
use crate::wire::buffer::ETHERNET_LENGTH;
use crate::wire::pppoe::{ETHERTYPE_DISCOVERY, ETHERTYPE_SESSION};

/// From linux/if_packet.h.
const PACKET_HOST: u32 = 0;
const PACKET_OTHERHOST: u32 = 3;

pub(super) const ARP: u16 = 0x0806;
pub(super) const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const PPPOE: [u16; 2] = [ETHERTYPE_DISCOVERY, ETHERTYPE_SESSION];

/// Results of a socket filter: bytes to keep.
pub(super) const IGNORE: i32 = 0;
pub(super) const ACCEPT: i32 = -1;

/// Never routed, so always the kernel's: loopback, link-local, multicast, and the rest up to broadcast, with length of
/// prefix. (Class E, 240/4, holds the limited broadcast.)
const NEVER_ROUTED: [([u8; 4], u8); 4] =
    [([127, 0, 0, 0], 8), ([169, 254, 0, 0], 16), ([224, 0, 0, 0], 4), ([240, 0, 0, 0], 4)];

/// What a program does with frames for the engine, and with the others.
#[derive(Clone, Copy)]
struct Verdicts {
    kind: ProgramKind,
    engine: i32,
    kernel: i32,
}

const FILTER: Verdicts = Verdicts { kind: ProgramKind::SocketFilter, engine: ACCEPT, kernel: IGNORE };
const GUARD: Verdicts = Verdicts { kind: ProgramKind::TrafficControl, engine: TC_ACT_SHOT, kernel: TC_ACT_OK };

/// The guard of an uplink: its kernel stack sees nothing. To be attached at `clsact` ingress with direct action.
///
/// # Errors
/// Without the right to load programs.
pub fn uplink_guard(shortcut: Option<&Shortcut>) -> io::Result<Program> {
    let mut program = start(GUARD, Hook::Uplink, shortcut);
    let kernel = program.label();
    skip_vlans(&mut program, kernel);
    finish(program, "potato_uplink", GUARD, None, kernel)
}

/// The guard of a LAN interface: its kernel stack does not see what the engine takes. To be attached at `clsact` ingress
/// with direct action. `kernel_networks` holds what the kernel reaches without us, the machine's own addresses too.
///
/// # Errors
/// With more networks than a program can hold (about 10,000), or without the right to load programs.
pub fn lan_guard(kernel_networks: &[Ipv4Net], shortcut: Option<&Shortcut>) -> io::Result<Program> {
    lan_program(kernel_networks, GUARD, shortcut)
}

/// The filter of a packet socket on a LAN interface: the opposite of [`lan_guard`].
pub(super) fn lan_filter(kernel_networks: &[Ipv4Net], shortcut: Option<&Shortcut>) -> io::Result<Program> {
    lan_program(kernel_networks, FILTER, shortcut)
}

/// The filter of a packet socket on an uplink.
pub(super) fn uplink_filter(shortcut: Option<&Shortcut>) -> io::Result<Program> {
    let mut program = start(FILTER, Hook::Uplink, shortcut);
    let [engine, kernel] = std::array::from_fn(|_| program.label());
    skip_vlans(&mut program, kernel);
    // Frames of others, which an interface in promiscuous mode shows, and our own.
    program.load_field(Register::R7, PacketField::PacketType);
    let below = program.label();
    program.jump_if(Register::R7, Condition::Less, PACKET_OTHERHOST, below);
    program.jump(kernel);
    program.place(below);
    program.load_field(Register::R7, PacketField::Protocol);
    for protocol in [ARP, IPV4, IPV6].into_iter().chain(PPPOE) {
        program.jump_if(Register::R7, Condition::Equal, u32::from(protocol.to_be()), engine);
    }
    program.jump(kernel);
    program.place(engine);
    finish(program, "potato_uplink", FILTER, shortcut.map(|shortcut| (Hook::Uplink, shortcut)), kernel)
}

/// A filter that accepts nothing, for the time before the real one.
pub(super) fn deaf_filter() -> io::Result<Program> {
    let mut program = Assembler::new();
    program.finish_with(IGNORE);
    Program::load(ProgramKind::SocketFilter, "potato_deaf", &program.assemble()?)
}

fn lan_program(kernel_networks: &[Ipv4Net], verdicts: Verdicts, shortcut: Option<&Shortcut>) -> io::Result<Program> {
    let mut program = start(verdicts, Hook::Lan, shortcut);
    let [ipv6, engine, kernel] = std::array::from_fn(|_| program.label());
    skip_vlans(&mut program, kernel);
    program.load_field(Register::R7, PacketField::PacketType);
    program.jump_if(Register::R7, Condition::NotEqual, PACKET_HOST, kernel);
    program.load_field(Register::R7, PacketField::Protocol);
    program.jump_if(Register::R7, Condition::Equal, u32::from(IPV6.to_be()), ipv6);
    program.jump_if(Register::R7, Condition::NotEqual, u32::from(IPV4.to_be()), kernel);

    load_destination(&mut program, 16, 4, kernel);
    program.load_stack(Size::Word, Register::R7, -8);
    let never_routed = NEVER_ROUTED.iter().map(|&(address, length)| (u32::from_be_bytes(address), length));
    let networks = kernel_networks.iter().map(|network| (network.network().to_bits(), network.prefix_len()));
    for (address, length) in never_routed.chain(networks) {
        jump_if_within(&mut program, address, length, kernel);
    }
    program.jump(engine);

    // 2000::/3 is what the internet uses of IPv6.
    program.place(ipv6);
    load_destination(&mut program, 24, 1, kernel);
    program.load_stack(Size::Byte, Register::R7, -8);
    program.apply(Operation::And, Register::R7, 0xe0);
    program.jump_if(Register::R7, Condition::NotEqual, 0x20, kernel);
    program.place(engine);
    let decides = shortcut.filter(|_| verdicts.kind == ProgramKind::SocketFilter);
    finish(program, "potato_lan", verdicts, decides.map(|shortcut| (Hook::Lan, shortcut)), kernel)
}

/// A filter starts without a decision, a guard with acting on it.
fn start(verdicts: Verdicts, hook: Hook, shortcut: Option<&Shortcut>) -> Assembler {
    let mut program = Assembler::new();
    match (verdicts.kind, shortcut) {
        (_, None) => {}
        (ProgramKind::SocketFilter, Some(shortcut)) => shortcut.clear_decision(&mut program),
        (ProgramKind::TrafficControl, Some(shortcut)) => shortcut.act_on_decision(&mut program, hook),
    }
    program
}

/// Falls through for what is for the engine; some of that, a filter leaves to the guard and the shortcut.
fn finish(
    mut program: Assembler,
    name: &str,
    verdicts: Verdicts,
    decides: Option<(Hook, &Shortcut)>,
    kernel: Label,
) -> io::Result<Program> {
    if let Some((hook, shortcut)) = decides {
        let engine = program.label();
        shortcut.decide(&mut program, hook, engine);
        Shortcut::leave_decision(&mut program);
        program.finish_with(IGNORE);
        program.place(engine);
    }
    program.finish_with(verdicts.engine);
    program.place(kernel);
    program.finish_with(verdicts.kernel);
    Program::load(verdicts.kind, name, &program.assemble()?)
}

pub(super) fn skip_vlans(program: &mut Assembler, kernel: Label) {
    let untagged = program.label();
    program.load_field(Register::R7, PacketField::VlanPresent);
    program.jump_if(Register::R7, Condition::Equal, 0, untagged);
    program.load_field(Register::R7, PacketField::VlanTag);
    // IEEE 802.1Q: number 0 only carries a priority; such a frame is for the interface itself.
    program.apply(Operation::And, Register::R7, 0xfff);
    program.jump_if(Register::R7, Condition::NotEqual, 0, kernel);
    program.place(untagged);
}

/// Puts `length` bytes of the IP header, from `offset` on, at -8 of the stack.
fn load_destination(program: &mut Assembler, offset: usize, length: i32, missing: Label) {
    // Socket filters and the ingress hook both see the Ethernet header first.
    let from = i32::try_from(ETHERNET_LENGTH + offset).unwrap_or(0);
    program.apply(Operation::Set, Register::R2, from);
    program.load_bytes(-8, length, missing);
}

/// Jumps when the address in R7 is within the network.
fn jump_if_within(program: &mut Assembler, address: u32, length: u8, label: Label) {
    // Registers have 64 bits, so a shift by 32 is one that leaves nothing.
    let shift = 32 - u32::from(length.min(32));
    program.copy(Register::R8, Register::R7);
    program.apply(Operation::ShiftRight, Register::R8, shift.cast_signed());
    program.jump_if(Register::R8, Condition::Equal, address.checked_shr(shift).unwrap_or(0), label);
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    /// To the loopback device's address, all zero, which is how the kernel's test run knows "for this host".
    fn frame(ethertype: u16, destination: Ipv4Addr) -> Vec<u8> {
        let mut frame = vec![0; 60];
        frame[12..14].copy_from_slice(&ethertype.to_be_bytes());
        frame[14] = 0x45;
        frame[30..34].copy_from_slice(&destination.octets());
        frame
    }

    fn dropped(guard: &Program, frame: &[u8]) -> bool {
        match guard.test_run(frame).unwrap().result.cast_signed() {
            TC_ACT_SHOT => true,
            TC_ACT_OK => false,
            other => panic!("verdict {other}"),
        }
    }

    #[test]
    fn lan_guard_takes_the_internet_and_leaves_the_rest() {
        let networks: Vec<Ipv4Net> =
            ["192.168.10.0/24", "10.0.0.0/8", "203.0.113.7/32"].iter().map(|text| text.parse().unwrap()).collect();
        let guard = lan_guard(&networks, None).unwrap();
        for taken in ["198.51.100.1", "203.0.113.6", "203.0.113.8", "192.168.11.1", "11.0.0.0", "9.9.9.9", "126.1.1.1"]
        {
            assert!(dropped(&guard, &frame(IPV4, taken.parse().unwrap())), "{taken}");
        }
        let left = ["192.168.10.1", "192.168.10.255", "10.200.0.1", "203.0.113.7", "127.0.0.1", "169.254.3.4"];
        for left in left.into_iter().chain(["224.0.0.251", "239.1.1.1", "255.255.255.255"]) {
            assert!(!dropped(&guard, &frame(IPV4, left.parse().unwrap())), "{left}");
        }
    }

    #[test]
    fn lan_guard_leaves_frames_that_are_not_for_the_interface_and_other_protocols() {
        let guard = lan_guard(&[], None).unwrap();
        let mut other_host = frame(IPV4, Ipv4Addr::new(9, 9, 9, 9));
        other_host[0] = 2;
        assert!(!dropped(&guard, &other_host));
        other_host[..6].fill(0xff);
        assert!(!dropped(&guard, &other_host));
        assert!(!dropped(&guard, &frame(ARP, Ipv4Addr::new(9, 9, 9, 9))));
        let mut ipv6 = frame(IPV6, Ipv4Addr::UNSPECIFIED);
        assert!(!dropped(&guard, &ipv6));
        ipv6[14 + 24] = 0x2a;
        assert!(dropped(&guard, &ipv6));
        ipv6[14 + 24] = 0xfe;
        assert!(!dropped(&guard, &ipv6));
    }

    #[test]
    fn a_default_network_leaves_everything_to_the_kernel() {
        let guard = lan_guard(&["0.0.0.0/0".parse().unwrap()], None).unwrap();
        assert!(!dropped(&guard, &frame(IPV4, Ipv4Addr::new(9, 9, 9, 9))));
    }

    #[test]
    fn uplink_guard_drops_everything() {
        let guard = uplink_guard(None).unwrap();
        for ethertype in [ARP, IPV4, IPV6, 0x88cc].into_iter().chain(PPPOE) {
            assert!(dropped(&guard, &frame(ethertype, Ipv4Addr::new(9, 9, 9, 9))));
        }
    }

    #[test]
    fn many_networks_are_an_error_not_a_panic() {
        let networks: Vec<Ipv4Net> =
            (0..20_000_u32).map(|n| Ipv4Net::new(Ipv4Addr::from_bits(n << 8), 24).unwrap()).collect();
        assert!(lan_guard(&networks, None).is_err());
        lan_guard(&networks[..5_000], None).unwrap();
    }
}
