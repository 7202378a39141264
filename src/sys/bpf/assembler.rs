//! From operations to instructions.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use super::map::SharedMap;

/// A register. `R0` is the result, `R1` at first the packet, `R1` to `R5` are lost in calls, `R10` is the end of the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "registers have numbers for names")]
pub enum Register {
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
    R10,
}

/// Fields of the packet's description (`struct __sk_buff`), by their place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i16)]
pub enum PacketField {
    /// Bytes of it, the link header included where the program sees that.
    Length = 0,
    /// Whom the frame is for: one of the `PACKET_*` numbers.
    PacketType = 4,
    /// EtherType, in network order.
    Protocol = 16,
    /// Whether there was a VLAN tag.
    VlanPresent = 20,
    /// The VLAN tag.
    VlanTag = 24,
    /// The interface that it was received on; 0: this machine has made it.
    Origin = 36,
    /// The interface that it is received or sent on.
    Interface = 40,
    /// Payload bytes of each piece of a super-packet; 0: it is none.
    SegmentSize = 176,
}

/// How much is loaded or stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// 8 bits.
    Byte,
    /// 16 bits.
    Half,
    /// 32 bits.
    Word,
    /// 64 bits.
    Double,
}

impl Size {
    const fn code(self) -> u8 {
        match self {
            Self::Word => 0x00,
            Self::Half => 0x08,
            Self::Byte => 0x10,
            Self::Double => 0x18,
        }
    }

    const fn bits(self) -> i32 {
        match self {
            Self::Byte => 8,
            Self::Half => 16,
            Self::Word => 32,
            Self::Double => 64,
        }
    }
}

/// An operation on numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Operation {
    Add = 0x00,
    Subtract = 0x10,
    Multiply = 0x20,
    Divide = 0x30,
    Or = 0x40,
    And = 0x50,
    ShiftLeft = 0x60,
    ShiftRight = 0x70,
    Modulo = 0x90,
    ExclusiveOr = 0xa0,
    Set = 0xb0,
}

/// A comparison, unsigned but for the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Condition {
    Equal = 0x10,
    NotEqual = 0x50,
    Less = 0xa0,
    LessOrEqual = 0xb0,
    /// As signed numbers.
    SignedLess = 0xc0,
}

/// The second of two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// What a register holds.
    Register(Register),
    /// This number, sign-extended where 64 bits are asked for.
    Constant(i32),
}

impl From<Register> for Operand {
    fn from(register: Register) -> Self {
        Self::Register(register)
    }
}

impl From<i32> for Operand {
    fn from(constant: i32) -> Self {
        Self::Constant(constant)
    }
}

impl From<u32> for Operand {
    /// Its 32 bits as they are: for comparisons of 32 bits.
    fn from(constant: u32) -> Self {
        Self::Constant(constant.cast_signed())
    }
}

/// A function of the kernel's. Arguments are in `R1` to `R5`, the result comes in `R0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Helper {
    /// `(packet, offset, from, length, flags)`: writes into the packet.
    StoreBytes = 9,
    /// `(packet, offset, from, to, size)`: mends a checksum without pseudo-header; size 0: `to` is a difference of sums.
    MendHeaderChecksum = 10,
    /// `(packet, offset, from, to, flags)`: mends a transport checksum, finished or not.
    MendTransportChecksum = 11,
    /// `()`: number of this processor.
    ProcessorNumber = 8,
    /// `(interface, flags)`: sends the packet on; its result is the program's.
    Redirect = 23,
    /// `(packet, offset, to, length)`: reads from the packet.
    LoadBytes = 26,
    /// `(packet, tuple, length of the tuple, namespace, flags)`: the TCP socket that would get the packet, or null. The tuple
    /// is the two addresses and the two ports; namespace -1 is that of the packet.
    FindTcpSocket = 84,
    /// As [`Self::FindTcpSocket`], for UDP.
    FindUdpSocket = 85,
    /// `(socket)`: lets go of what was found.
    ReleaseSocket = 86,
    /// `(packet, length, flags)`: makes room for a link header.
    AddLinkHeader = 43,
    /// `(packet, difference, mode, flags)`: adds bytes behind the link header, or takes them out, by `BPF_ADJ_ROOM_MAC` as mode.
    AdjustRoom = 50,
    /// `()`: nanoseconds since boot, as of the last tick.
    CoarseTime = 160,
}

/// One instruction as the kernel reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

// Classes of instructions, and where their second operand is.
const LOAD: u8 = 0x61;
const STORE: u8 = 0x63;
const ARITHMETIC_32: u8 = 0x04;
const ARITHMETIC_64: u8 = 0x07;
const COMPARE_64: u8 = 0x05;
const COMPARE_32: u8 = 0x06;
const OF_REGISTER: u8 = 0x08;
// Whole instructions.
const JUMP: u8 = 0x05;
const TO_NETWORK_ORDER: u8 = 0xdc;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;
/// Takes two places; the second carries the upper half.
const LOAD_CONSTANT: u8 = 0x18;
/// In the second register's place of [`LOAD_CONSTANT`]: the lower half is a map's descriptor, the upper an offset in its value.
const OF_MAP_VALUE: u8 = 2;

/// A place to jump to.
#[derive(Clone, Copy, Debug)]
pub struct Label(usize);

/// Collects a program.
#[derive(Debug, Default)]
pub struct Assembler {
    instructions: Vec<Instruction>,
    labels: Vec<Option<usize>>,
    jumps: Vec<(usize, Label)>,
}

impl Assembler {
    /// A program that keeps the packet's description in `R6`.
    #[must_use]
    pub fn new() -> Self {
        let mut program = Self::default();
        program.copy(Register::R6, Register::R1);
        program
    }

    fn push(&mut self, code: u8, destination: Register, source: u8, offset: i16, immediate: i32) {
        let destination = destination as u8;
        let (low, high) = if cfg!(target_endian = "little") { (destination, source) } else { (source, destination) };
        self.instructions.push(Instruction { code, registers: low | high << 4, offset, immediate });
    }

    fn push_operand(&mut self, code: u8, register: Register, operand: Operand) {
        match operand {
            Operand::Register(source) => self.push(code | OF_REGISTER, register, source as u8, 0, 0),
            Operand::Constant(constant) => self.push(code, register, 0, 0, constant),
        }
    }

    /// A new label, to be placed later.
    pub fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// Places a label before the next instruction.
    pub fn place(&mut self, label: Label) {
        self.labels[label.0] = Some(self.instructions.len());
    }

    /// `destination = source`
    pub fn copy(&mut self, destination: Register, source: Register) {
        self.apply(Operation::Set, destination, source);
    }

    /// `register = register <operation> operand`, with 64 bits.
    pub fn apply(&mut self, operation: Operation, register: Register, operand: impl Into<Operand>) {
        self.push_operand(ARITHMETIC_64 | operation as u8, register, operand.into());
    }

    /// `register = register <operation> operand`, with 32 bits; the upper half becomes zero.
    pub fn apply_32(&mut self, operation: Operation, register: Register, operand: impl Into<Operand>) {
        self.push_operand(ARITHMETIC_32 | operation as u8, register, operand.into());
    }

    /// `register = constant`, all 64 bits of it.
    pub fn set(&mut self, register: Register, constant: u64) {
        self.load_constant(register, 0, constant as u32, (constant >> 32) as u32);
    }

    /// `register = address of the map's memory + offset`
    pub fn set_address(&mut self, register: Register, map: &SharedMap, offset: u32) {
        let descriptor = map.as_fd().as_raw_fd().cast_unsigned();
        self.load_constant(register, OF_MAP_VALUE, descriptor, offset);
    }

    fn load_constant(&mut self, register: Register, kind: u8, low: u32, high: u32) {
        self.push(LOAD_CONSTANT, register, kind, 0, low.cast_signed());
        self.push(0, Register::R0, 0, 0, high.cast_signed());
    }

    /// `register = packet.field`
    pub fn load_field(&mut self, register: Register, field: PacketField) {
        self.load(Size::Word, register, Register::R6, field as i16);
    }

    /// `register = base[offset]`, as it lies there.
    pub fn load(&mut self, size: Size, register: Register, base: Register, offset: i16) {
        self.push(LOAD | size.code(), register, base as u8, offset, 0);
    }

    /// `base[offset] = register`
    pub fn store(&mut self, size: Size, base: Register, offset: i16, register: Register) {
        self.push(STORE | size.code(), base, register as u8, offset, 0);
    }

    /// `base[offset] = base[offset] + register`. Not atomic; `scratch` is lost.
    pub fn add_to(&mut self, size: Size, base: Register, offset: i16, register: Register, scratch: Register) {
        self.load(size, scratch, base, offset);
        self.apply(Operation::Add, scratch, register);
        self.store(size, base, offset, scratch);
    }

    /// Copies `length` bytes of the packet, from `R2` on, to the stack at `slot` (negative), and jumps to `missing`
    /// when the packet is too short.
    pub fn load_bytes(&mut self, slot: i16, length: i32, missing: Label) {
        self.copy(Register::R1, Register::R6);
        self.stack_address(Register::R3, slot);
        self.apply(Operation::Set, Register::R4, length);
        self.call(Helper::LoadBytes);
        self.jump_if(Register::R0, Condition::NotEqual, 0, missing);
    }

    /// `register = address of the stack's slot`
    pub fn stack_address(&mut self, register: Register, slot: i16) {
        self.copy(register, Register::R10);
        self.apply(Operation::Add, register, i32::from(slot));
    }

    /// `register = stack[slot]`, turned from network order to the machine's.
    pub fn load_stack(&mut self, size: Size, register: Register, slot: i16) {
        self.load(size, register, Register::R10, slot);
        if size != Size::Byte {
            self.push(TO_NETWORK_ORDER, register, 0, 0, size.bits());
        }
    }

    /// Calls a function of the kernel's.
    pub fn call(&mut self, helper: Helper) {
        self.push(CALL, Register::R0, 0, 0, helper as i32);
    }

    /// Jumps to a label further on.
    pub fn jump(&mut self, label: Label) {
        self.jumps.push((self.instructions.len(), label));
        self.push(JUMP, Register::R0, 0, 0, 0);
    }

    /// Jumps to a label further on if the lower 32 bits of `register` compare so with those of `operand`.
    pub fn jump_if(&mut self, register: Register, condition: Condition, operand: impl Into<Operand>, label: Label) {
        self.jumps.push((self.instructions.len(), label));
        self.push_operand(COMPARE_32 | condition as u8, register, operand.into());
    }

    /// Jumps to a label further on if all 64 bits of `register` compare so with those of `operand`.
    pub fn jump_if_64(&mut self, register: Register, condition: Condition, operand: impl Into<Operand>, label: Label) {
        self.jumps.push((self.instructions.len(), label));
        self.push_operand(COMPARE_64 | condition as u8, register, operand.into());
    }

    /// Ends with this result.
    pub fn finish_with(&mut self, result: i32) {
        self.apply(Operation::Set, Register::R0, result);
        self.exit();
    }

    /// Ends with `R0` as the result.
    pub fn exit(&mut self) {
        self.push(EXIT, Register::R0, 0, 0, 0);
    }

    /// The finished program.
    ///
    /// # Errors
    /// When a label was not placed, or is too far from its jump: the program is too long.
    pub fn assemble(mut self) -> io::Result<Vec<Instruction>> {
        for (at, label) in self.jumps {
            let distance = self.labels[label.0].and_then(|target| target.checked_sub(at + 1));
            let offset = distance.and_then(|distance| i16::try_from(distance).ok());
            self.instructions[at].offset =
                offset.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "BPF program too long"))?;
        }
        Ok(self.instructions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_that_was_never_placed_is_an_error() {
        let mut program = Assembler::new();
        let nowhere = program.label();
        program.jump(nowhere);
        assert!(program.assemble().is_err());
    }
}
