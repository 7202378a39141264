//! The programs of the shortcut: they carry plain packets of busy flows where the engine has written how (see
//! [`crate::engine::shortcut`]).
//!
//! A packet socket is a tap that sees a frame before the interface's ingress hook does, so the work is shared on Ethernet:
//! the socket's filter **decides**, and refuses the frame if the shortcut takes it; the guard on the hook, which runs next on
//! the same processor for the same frame, finds the decision and **acts** on it. On the TUN device, where the queue comes
//! after the hook, one program does both.
//!
//! To decide is to make the checks of `engine::outbound` and `engine::inbound` on a packet that is plain: IPv4 without options,
//! no fragment, time to live left, lengths that agree, no piece longer than the way out carries, and for TCP nothing but
//! ACK (and PSH, ECE, CWR) within the windows of both sides. In doubt the frame is the engine's. To act is to
//! change one endpoint and the time to live, to mend the checksums, finished or not, and to redirect.

use std::io;

use crate::engine::shortcut::table::{
    BYTES, CHANGES_PORT, COUNTS_HOP, DECISION_BYTES, DECISIONS, ENTRIES, ENTRIES_BYTES, ENTRY_BYTES, GENERATION,
    LEAVES_BY_TUN, MOST_PROCESSORS, SET_BITS, ShortcutTable, TAGS, TAGS_BYTES, WAYS, field,
};
use crate::flow::tcp::{MORE_PAST, QUESTION_BYTES};
use crate::sys::affinity;
use crate::sys::bpf::{
    Assembler, Condition, Helper, Label, Operation, PacketField, Program, ProgramKind, Register, SharedMap, Size,
};
use crate::wire::buffer::ETHERNET_LENGTH;
use Condition::{Equal, Less, LessOrEqual, NotEqual, SignedLess};
use Operation::{Add, And, Divide, ExclusiveOr, Multiply, Or, Set, ShiftLeft, ShiftRight, Subtract};
use Register::{R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10};

/// Results of a program on a hook.
pub(super) const TC_ACT_OK: i32 = 0;
pub(super) const TC_ACT_SHOT: i32 = 2;

/// Flags of the helpers.
const PSEUDO_HEADER: i32 = 0x10;
const ZERO_MEANS_NONE: i32 = 0x20;

const TCP: i32 = 6;
const UDP: i32 = 17;
const IP_LENGTH: i32 = 20;

// Where a program keeps the headers on its stack: the source of the Ethernet header and its type, IP, TCP or UDP.
const LINK: i16 = -48;
const IP: i16 = -40;
const TRANSPORT: i16 = IP + 20;
const UDP_BYTES: i32 = 8;
const TCP_BYTES: i32 = 20;
const LINK_BYTES: i32 = 8;
// And what it has found out about the packet.
const PIECES: i16 = -56;
const WIRE_BYTES: i16 = -64;
/// Bytes of the IP header from the time to live on, and the ports: what changes.
const CHANGING: i16 = -16;
const CHANGING_FROM: i32 = 8;
const CHANGING_BYTES: i32 = 16;

/// The memory of the shortcut and its table, as programs see it. Programs keep the memory alive.
#[derive(Debug)]
pub struct Shortcut {
    map: SharedMap,
    table: ShortcutTable,
}

/// Which packets a program sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hook {
    /// What a LAN interface receives: from known hosts.
    Lan,
    /// What an uplink receives.
    Uplink,
    /// What the kernel sends to the TUN device: without link header.
    Tun,
}

impl Hook {
    fn link_length(self) -> i32 {
        if self == Self::Tun { 0 } else { i32::try_from(ETHERNET_LENGTH).unwrap_or(0) }
    }

    fn is_outbound(self) -> bool {
        self != Self::Uplink
    }
}

impl Shortcut {
    /// Makes the memory. `secret` makes the table's hash unpredictable.
    ///
    /// # Errors
    /// Without `CAP_BPF`, on a kernel that lacks what it takes (Linux 5.11), or with more processors than there is room for.
    pub fn create(secret: [u64; 2]) -> io::Result<Self> {
        if affinity::configured_processors() > MOST_PROCESSORS {
            return Err(io::Error::other(format!("more than {MOST_PROCESSORS} processors")));
        }
        let map = SharedMap::create("potato_shortcut", BYTES)?;
        let table = ShortcutTable::new(map.words(), secret);
        let shortcut = Self { map, table };
        // What this kernel cannot do, it says here.
        shortcut.tun_program()?;
        Ok(shortcut)
    }

    /// The table.
    #[must_use]
    pub fn table(&self) -> ShortcutTable {
        self.table.clone()
    }

    /// The program for the TUN device's egress hook.
    ///
    /// # Errors
    /// Without the right to load programs.
    pub fn tun_program(&self) -> io::Result<Program> {
        self.whole_program(Hook::Tun, "potato_tun")
    }

    /// Decides and acts in one.
    fn whole_program(&self, hook: Hook, name: &str) -> io::Result<Program> {
        let mut program = Assembler::new();
        let miss = program.label();
        self.decide(&mut program, hook, miss);
        self.act(&mut program, hook, miss);
        program.place(miss);
        program.finish_with(TC_ACT_OK);
        Program::load(ProgramKind::TrafficControl, name, &program.assemble()?)
    }

    /// `R9` = where this processor's decision is. Loses `R0` to `R5`.
    fn find_decision(&self, program: &mut Assembler) {
        program.call(Helper::ProcessorNumber);
        program.apply(And, R0, MOST_PROCESSORS as i32 - 1);
        program.apply(Multiply, R0, DECISION_BYTES as i32);
        program.set_address(R9, &self.map, DECISIONS as u32);
        program.apply(Add, R9, R0);
    }

    /// For the start of a socket's filter: no decision yet. Keeps `R9` for [`Self::leave_decision`].
    pub(super) fn clear_decision(&self, program: &mut Assembler) {
        self.find_decision(program);
        program.apply(Set, R1, 0);
        program.store(Size::Word, R9, 0, R1);
    }

    /// For a socket's filter: falls through for a frame that the guard shall carry, after [`Self::decide`].
    pub(super) fn leave_decision(program: &mut Assembler) {
        program.load(Size::Word, R1, R7, field::PLACE);
        program.store(Size::Word, R9, 0, R1);
    }

    /// For the start of a guard: carries the frame if the filter has decided so, else goes on.
    pub(super) fn act_on_decision(&self, program: &mut Assembler, hook: Hook) {
        let undecided = program.label();
        self.find_decision(program);
        program.load(Size::Word, R8, R9, 0);
        program.jump_if(R8, Equal, 0, undecided);
        program.apply(Set, R1, 0);
        program.store(Size::Word, R9, 0, R1);
        self.find_entry(program, R7, R8);
        self.act(program, hook, undecided);
        program.place(undecided);
    }

    /// `entry` = address of the entry at `place`, which is lost: bytes from the first, or one more.
    fn find_entry(&self, program: &mut Assembler, entry: Register, place: Register) {
        program.apply(And, place, (ENTRIES_BYTES - ENTRY_BYTES) as i32);
        program.set_address(entry, &self.map, ENTRIES as u32);
        program.apply(Add, entry, place);
    }

    /// Falls through with the entry in `R7` for a packet that is to be carried, and notes it there; else jumps to `miss`.
    /// Keeps `R9`.
    pub(super) fn decide(&self, program: &mut Assembler, hook: Hook, miss: Label) {
        read_headers(program, hook, miss);
        self.look_up(program, miss);
        self.check_life(program, miss);
        if hook == Hook::Lan {
            check_source(program, miss);
        }
        check_lengths(program, hook, miss);
        self.check_windows(program, miss);
        count(program);
    }

    /// Finds the entry of the packet on the stack. `R2` holds what [`load_rest`] makes.
    fn look_up(&self, program: &mut Assembler, miss: Label) {
        let [first, second] = self.table.multipliers();
        load_addresses(program, R3, IP + 12);
        load_rest(program, R2, IP + 9, TRANSPORT);
        program.copy(R4, R3);
        program.set(R5, first);
        program.apply(Multiply, R4, R5);
        program.apply(ExclusiveOr, R4, R2);
        program.set(R5, second);
        program.apply(Multiply, R4, R5);
        // R5: the tag, R0: the set, R1: its tags, R7: its entries.
        program.copy(R5, R4);
        program.apply(Or, R5, 1);
        program.apply(ShiftRight, R4, (u64::BITS - SET_BITS).cast_signed());
        program.copy(R0, R4);
        program.apply(Multiply, R0, TAGS_BYTES as i32);
        program.set_address(R1, &self.map, TAGS as u32);
        program.apply(Add, R1, R0);
        program.apply(Multiply, R4, (WAYS * ENTRY_BYTES) as i32);
        program.set_address(R7, &self.map, ENTRIES as u32);
        program.apply(Add, R7, R4);
        let (found, ways) = (program.label(), [(); WAYS].map(|()| program.label()));
        for (offset, way) in (0..).step_by(8).zip(ways) {
            program.load(Size::Double, R0, R1, offset);
            program.jump_if_64(R0, Equal, R5, way);
        }
        program.jump(miss);
        for (offset, way) in (0..).step_by(ENTRY_BYTES).zip(ways) {
            program.place(way);
            program.apply(Add, R7, offset);
            program.jump(found);
        }
        program.place(found);
        program.load(Size::Double, R1, R7, field::ADDRESSES);
        program.jump_if_64(R1, NotEqual, R3, miss);
        program.load(Size::Double, R1, R7, field::REST);
        program.jump_if_64(R1, NotEqual, R2, miss);
    }

    fn check_life(&self, program: &mut Assembler, miss: Label) {
        program.set_address(R1, &self.map, GENERATION as u32);
        program.load(Size::Word, R1, R1, 0);
        program.load(Size::Word, R2, R7, field::GENERATION);
        program.jump_if(R1, NotEqual, R2, miss);
    }

    /// TCP: flags, then conditions I to IV of `flow::tcp::side`, then what the sender has said. `R3` is the packet's
    /// length, `R4` that of its headers. UDP has no such checks.
    fn check_windows(&self, program: &mut Assembler, miss: Label) {
        const ACK: i32 = 0x10;
        const FIN_SYN_RST_ACK_URG: i32 = 0x37;
        let done = program.label();
        program.load_stack(Size::Byte, R1, IP + 9);
        program.jump_if(R1, Equal, UDP, done);
        program.load_stack(Size::Byte, R1, TRANSPORT + 13);
        program.apply(And, R1, FIN_SYN_RST_ACK_URG);
        program.jump_if(R1, NotEqual, ACK, miss);
        program.apply(Subtract, R3, R4);
        program.load(Size::Word, R1, R7, field::PEER);
        self.find_entry(program, R8, R1);

        // R1: sequence number, R2: acknowledgement, R3: end.
        program.load_stack(Size::Word, R1, TRANSPORT + 4);
        program.load_stack(Size::Word, R2, TRANSPORT + 8);
        program.apply_32(Add, R3, R1);
        // I: it starts at or before the receiver's limit.
        program.load(Size::Word, R4, R8, field::GRANTED);
        jump_if_before(program, R4, R1, miss);
        // II: it ends at or after what may have to be sent again.
        program.load(Size::Word, R4, R7, field::END);
        program.load(Size::Word, R5, R8, field::PAST);
        program.apply_32(Subtract, R4, R5);
        jump_if_before(program, R3, R4, miss);
        // III and IV: it acknowledges what was sent, and not long ago.
        program.load(Size::Word, R4, R8, field::END);
        jump_if_before(program, R4, R2, miss);
        program.load(Size::Word, R5, R7, field::PAST);
        program.apply_32(Subtract, R4, R5);
        jump_if_before(program, R2, R4, miss);

        count_segments(program);
        store_if_later(program, field::END, R3);
        store_if_later(program, field::ACKNOWLEDGED, R2);
        // R3: the window.
        program.load_stack(Size::Half, R3, TRANSPORT + 14);
        program.load(Size::Byte, R4, R7, field::SCALE);
        program.apply(And, R4, 0xf);
        program.apply_32(ShiftLeft, R3, R4);
        let (smaller, open) = (program.label(), program.label());
        program.copy(R4, R3);
        program.apply_32(Add, R4, MORE_PAST.cast_signed());
        program.load(Size::Word, R5, R7, field::PAST);
        program.jump_if(R4, LessOrEqual, R5, smaller);
        program.store(Size::Word, R7, field::PAST, R4);
        program.place(smaller);
        program.jump_if(R3, NotEqual, 0, open);
        program.apply(Set, R3, 1);
        program.place(open);
        program.apply_32(Add, R3, R2);
        store_if_later(program, field::GRANTED, R3);
        program.place(done);
    }

    /// Changes the packet as the entry in `R7` says and ends. Jumps to `other` when it is not the entry's after all.
    pub(super) fn act(&self, program: &mut Assembler, hook: Hook, other: Label) {
        let failed = program.label();
        let link = hook.link_length();
        program.apply(Set, R2, link + CHANGING_FROM);
        program.load_bytes(CHANGING, CHANGING_BYTES, other);
        load_addresses(program, R3, CHANGING + 4);
        load_rest(program, R2, CHANGING + 1, CHANGING + 12);
        program.load(Size::Double, R1, R7, field::ADDRESSES);
        program.jump_if_64(R1, NotEqual, R3, other);
        program.load(Size::Double, R1, R7, field::REST);
        program.jump_if_64(R1, NotEqual, R2, other);

        mend_transport(program, hook, failed);
        mend_header(program, hook);
        change_link(program, hook, failed);
        program.load(Size::Word, R1, R7, field::EGRESS);
        program.load(Size::Word, R2, R7, field::REDIRECTION);
        program.call(Helper::Redirect);
        program.exit();

        program.place(failed);
        program.apply(Set, R1, 1);
        program.add_to(Size::Half, R7, field::FAILED, R1, R2);
        program.finish_with(TC_ACT_SHOT);
    }
}

/// Puts the headers on the stack and checks that IP's is plain.
fn read_headers(program: &mut Assembler, hook: Hook, miss: Label) {
    if hook == Hook::Tun {
        program.apply(Set, R2, 0);
        program.load_bytes(IP, IP_LENGTH + UDP_BYTES, miss);
    } else {
        program.apply(Set, R2, hook.link_length() - LINK_BYTES);
        program.load_bytes(LINK, LINK_BYTES + IP_LENGTH + UDP_BYTES, miss);
    }
    let known = program.label();
    program.load_stack(Size::Byte, R1, IP);
    program.jump_if(R1, NotEqual, 0x45, miss);
    program.load_stack(Size::Half, R1, IP + 6);
    program.apply(And, R1, 0x3fff);
    program.jump_if(R1, NotEqual, 0, miss);
    program.load_stack(Size::Byte, R1, IP + 8);
    program.jump_if(R1, LessOrEqual, 1, miss);
    program.load_stack(Size::Byte, R1, IP + 9);
    program.jump_if(R1, Equal, UDP, known);
    program.jump_if(R1, NotEqual, TCP, miss);
    program.apply(Set, R2, hook.link_length() + IP_LENGTH + UDP_BYTES);
    program.load_bytes(TRANSPORT + UDP_BYTES as i16, TCP_BYTES - UDP_BYTES, miss);
    program.place(known);
}

/// `register` = both addresses, as [`field::ADDRESSES`]. Loses `R1`.
fn load_addresses(program: &mut Assembler, register: Register, slot: i16) {
    program.load(Size::Word, register, R10, slot);
    program.apply(ShiftLeft, register, 32);
    program.load(Size::Word, R1, R10, slot + 4);
    program.apply(Or, register, R1);
}

/// `register` = ports, interface and protocol, as [`field::REST`]. Loses `R1`.
fn load_rest(program: &mut Assembler, register: Register, protocol: i16, ports: i16) {
    program.load(Size::Word, register, R10, ports);
    program.apply(ShiftLeft, register, 32);
    program.load_field(R1, PacketField::Interface);
    program.apply(ShiftLeft, R1, 8);
    program.apply(Or, register, R1);
    program.load(Size::Byte, R1, R10, protocol);
    program.apply(Or, register, R1);
}

/// The host must still have the Ethernet address that replies go to.
fn check_source(program: &mut Assembler, miss: Label) {
    for (size, offset) in [(Size::Word, 0), (Size::Half, 4)] {
        program.load(size, R1, R10, LINK + offset);
        program.load(size, R2, R7, field::LINK_SOURCE + offset);
        program.jump_if(R1, NotEqual, R2, miss);
    }
}

/// Leaves the packet's length in `R3` and that of its headers in `R4`; pieces and bytes on the wire on the stack.
fn check_lengths(program: &mut Assembler, hook: Hook, miss: Label) {
    let (udp, known, whole) = (program.label(), program.label(), program.label());
    program.load_stack(Size::Half, R3, IP + 2);
    program.load_field(R1, PacketField::Length);
    program.apply(Subtract, R1, hook.link_length());
    program.jump_if(R1, Less, R3, miss);

    program.load_stack(Size::Byte, R1, IP + 9);
    program.jump_if(R1, Equal, UDP, udp);
    // The data offset counts words, in the upper half of the byte.
    program.load_stack(Size::Byte, R4, TRANSPORT + 12);
    program.apply(ShiftRight, R4, 2);
    program.apply(And, R4, 0x3c);
    program.jump_if(R4, Less, TCP_BYTES, miss);
    program.apply(Add, R4, IP_LENGTH);
    program.jump_if(R3, Less, R4, miss);
    program.jump(known);
    program.place(udp);
    program.load_stack(Size::Half, R4, TRANSPORT + 4);
    program.apply(Add, R4, IP_LENGTH);
    program.jump_if(R4, NotEqual, R3, miss);
    program.apply(Set, R4, IP_LENGTH + UDP_BYTES);
    program.jump_if(R3, Less, R4, miss);
    program.place(known);

    // R2: the longest piece, R5: how many.
    program.copy(R2, R3);
    program.apply(Set, R5, 1);
    program.load_field(R1, PacketField::SegmentSize);
    program.jump_if(R1, Equal, 0, whole);
    program.copy(R2, R4);
    program.apply(Add, R2, R1);
    program.copy(R5, R3);
    program.apply(Subtract, R5, R4);
    program.apply(Add, R5, R1);
    program.apply(Subtract, R5, 1);
    program.apply(Divide, R5, R1);
    program.jump_if(R5, NotEqual, 0, whole);
    program.apply(Set, R5, 1);
    program.place(whole);
    program.load(Size::Half, R1, R7, field::MTU);
    program.jump_if(R1, Less, R2, miss);
    program.store(Size::Double, R10, PIECES, R5);
    program.apply(Subtract, R5, 1);
    program.apply(Multiply, R5, R4);
    program.apply(Add, R5, R3);
    program.store(Size::Double, R10, WIRE_BYTES, R5);
}

/// Jumps if sequence number `first` comes before `second`. Loses `R0`.
fn jump_if_before(program: &mut Assembler, first: Register, second: Register, label: Label) {
    program.apply_32(Set, R0, first);
    program.apply_32(Subtract, R0, second);
    program.jump_if(R0, SignedLess, 0, label);
}

/// Stores a sequence number of the sender's unless a later one is there. Loses `R0`, `R4`.
fn store_if_later(program: &mut Assembler, at: i16, number: Register) {
    let earlier = program.label();
    program.load(Size::Word, R4, R7, at);
    jump_if_before(program, number, R4, earlier);
    program.store(Size::Word, R7, at, number);
    program.place(earlier);
}

/// TCP: counts segments with data, and those whose data was sent before (see `flow::tcp::Payload`). `R1` is the sequence
/// number, `R3` the end. Loses `R0`, `R4`, `R5`.
fn count_segments(program: &mut Assembler) {
    let counted = program.label();
    program.copy(R5, R3);
    program.apply_32(Subtract, R5, R1);
    program.jump_if(R5, Equal, 0, counted);
    program.load(Size::Double, R0, R10, PIECES);
    program.add_to(Size::Word, R7, field::SEGMENTS, R0, R4);
    program.jump_if(R5, LessOrEqual, QUESTION_BYTES.cast_signed(), counted);
    program.load(Size::Word, R4, R7, field::END);
    jump_if_before(program, R4, R3, counted);
    program.load(Size::Double, R0, R10, PIECES);
    program.add_to(Size::Word, R7, field::REPEATED, R0, R4);
    program.place(counted);
}

fn count(program: &mut Assembler) {
    for (size, slot, at) in [(Size::Word, PIECES, field::PACKETS), (Size::Double, WIRE_BYTES, field::BYTES)] {
        program.load(Size::Double, R1, R10, slot);
        program.add_to(size, R7, at, R1, R2);
    }
    program.call(Helper::CoarseTime);
    program.store(Size::Double, R7, field::LAST, R0);
}

/// Mends TCP's or UDP's checksum and replaces the port, where it changes.
fn mend_transport(program: &mut Assembler, hook: Hook, failed: Label) {
    let transport = hook.link_length() + IP_LENGTH;
    let (udp, mended, port_stays) = (program.label(), program.label(), program.label());
    // R8: where the checksum is, R9: whether zero means that there is none.
    program.apply(Set, R8, transport + 16);
    program.apply(Set, R9, 0);
    program.load(Size::Byte, R1, R10, CHANGING + 1);
    program.jump_if(R1, Equal, UDP, udp);
    program.jump(mended);
    program.place(udp);
    program.apply(Set, R8, transport + 6);
    program.apply(Set, R9, ZERO_MEANS_NONE);
    program.place(mended);

    program.copy(R1, R6);
    program.copy(R2, R8);
    program.apply(Set, R3, 0);
    program.load(Size::Word, R4, R7, field::PSEUDO_DIFFERENCE);
    program.copy(R5, R9);
    program.apply(Or, R5, PSEUDO_HEADER);
    program.call(Helper::MendTransportChecksum);
    // Every byte that is changed from here on stands before this one, and is writable now.
    program.jump_if(R0, NotEqual, 0, failed);

    program.load(Size::Half, R1, R7, field::FLAGS);
    program.apply(And, R1, i32::from(CHANGES_PORT));
    program.jump_if(R1, Equal, 0, port_stays);
    program.copy(R1, R6);
    program.copy(R2, R8);
    program.load(Size::Half, R3, R7, field::OLD_PORT);
    program.load(Size::Half, R4, R7, field::PORT);
    program.copy(R5, R9);
    program.apply(Or, R5, 2);
    program.call(Helper::MendTransportChecksum);
    write(program, transport + if hook.is_outbound() { 0 } else { 2 }, field::PORT, 2);
    program.place(port_stays);
}

/// Mends the IP header's checksum and replaces address and time to live.
fn mend_header(program: &mut Assembler, hook: Hook) {
    let header = hook.link_length();
    let hop_counted = program.label();
    program.copy(R1, R6);
    program.apply(Set, R2, header + 10);
    program.apply(Set, R3, 0);
    program.load(Size::Word, R4, R7, field::HEADER_DIFFERENCE);
    program.apply(Set, R5, 0);
    program.call(Helper::MendHeaderChecksum);
    write(program, header + if hook.is_outbound() { 12 } else { 16 }, field::ADDRESS, 4);

    program.load(Size::Half, R1, R7, field::FLAGS);
    program.apply(And, R1, i32::from(COUNTS_HOP));
    program.jump_if(R1, Equal, 0, hop_counted);
    program.load(Size::Byte, R1, R10, CHANGING);
    program.apply(Subtract, R1, 1);
    program.store(Size::Byte, R10, CHANGING, R1);
    program.copy(R1, R6);
    program.apply(Set, R2, header + 8);
    program.stack_address(R3, CHANGING);
    program.apply(Set, R4, 1);
    program.apply(Set, R5, 0);
    program.call(Helper::StoreBytes);
    program.place(hop_counted);
}

fn change_link(program: &mut Assembler, hook: Hook, failed: Label) {
    let without = program.label();
    match hook {
        Hook::Lan => {}
        Hook::Uplink => {
            program.load(Size::Half, R1, R7, field::FLAGS);
            program.apply(And, R1, i32::from(LEAVES_BY_TUN));
            program.jump_if(R1, NotEqual, 0, without);
        }
        Hook::Tun => {
            program.copy(R1, R6);
            program.apply(Set, R2, ETHERNET_LENGTH as i32);
            program.apply(Set, R3, 0);
            program.call(Helper::AddLinkHeader);
            program.jump_if(R0, NotEqual, 0, failed);
        }
    }
    write(program, 0, field::LINK_HEADER, ETHERNET_LENGTH as i32);
    program.place(without);
}

/// Writes bytes of the entry into the packet.
fn write(program: &mut Assembler, offset: i32, from: i16, length: i32) {
    program.copy(R1, R6);
    program.apply(Set, R2, offset);
    program.copy(R3, R7);
    program.apply(Add, R3, i32::from(from));
    program.apply(Set, R4, length);
    program.apply(Set, R5, 0);
    program.call(Helper::StoreBytes);
}

#[cfg(test)]
mod tests;
