//! Small eBPF programs, written here instruction by instruction, so that no compiler is needed to build or run.
//!
//! An [`Assembler`] collects instructions and resolves forward jumps; [`Program::load`] gives them to the kernel's
//! verifier. Programs see a packet through [`Assembler::load_bytes`], which copies bytes onto their stack and reads
//! packets whose headers are not in one piece too.
//!
//! What it does not do: maps, tail calls, loops.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

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
    R6 = 6,
    R7,
    R8,
    R10 = 10,
}

/// Fields of the packet's description (`struct __sk_buff`), by their place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i16)]
pub enum PacketField {
    /// Whom the frame is for: one of the `PACKET_*` numbers.
    PacketType = 4,
    /// EtherType, in network order.
    Protocol = 16,
    /// Whether there was a VLAN tag.
    VlanPresent = 20,
    /// The VLAN tag.
    VlanTag = 24,
}

/// Bytes to load from the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// 8 bits.
    Byte,
    /// 16 bits, in network order.
    Half,
    /// 32 bits, in network order.
    Word,
}

/// An operation with a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Operation {
    Add = 0x07,
    And = 0x57,
    ShiftLeft = 0x67,
    ShiftRight = 0x77,
    Modulo = 0x97,
    Set = 0xb7,
}

/// A comparison of 32 bits with a constant, unsigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Condition {
    Equal = 0x16,
    NotEqual = 0x56,
    Less = 0xa6,
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

const JUMP: u8 = 0x05;
const COPY: u8 = 0xbf;
const TO_NETWORK_ORDER: u8 = 0xdc;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;
const LOAD_BYTE: u8 = 0x71;
const LOAD_HALF: u8 = 0x69;
const LOAD_WORD: u8 = 0x61;
const HELPER_SKB_LOAD_BYTES: i32 = 26;

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

    fn push(&mut self, code: u8, destination: Register, source: Register, offset: i16, immediate: i32) {
        let (low, high) = if cfg!(target_endian = "little") { (destination, source) } else { (source, destination) };
        let registers = low as u8 | (high as u8) << 4;
        self.instructions.push(Instruction { code, registers, offset, immediate });
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
        self.push(COPY, destination, source, 0, 0);
    }

    /// `register = register <operation> immediate`
    pub fn apply(&mut self, operation: Operation, register: Register, immediate: i32) {
        self.push(operation as u8, register, Register::R0, 0, immediate);
    }

    /// `register = packet.field`
    pub fn load_field(&mut self, register: Register, field: PacketField) {
        self.push(LOAD_WORD, register, Register::R6, field as i16, 0);
    }

    /// Copies `length` bytes of the packet, from `R2` on, to the stack at `slot` (negative), and jumps to `missing`
    /// when the packet is too short.
    pub fn load_bytes(&mut self, slot: i16, length: i32, missing: Label) {
        self.copy(Register::R1, Register::R6);
        self.copy(Register::R3, Register::R10);
        self.apply(Operation::Add, Register::R3, i32::from(slot));
        self.apply(Operation::Set, Register::R4, length);
        self.push(CALL, Register::R0, Register::R0, 0, HELPER_SKB_LOAD_BYTES);
        self.jump_if(Register::R0, Condition::NotEqual, 0, missing);
    }

    /// `register = stack[slot]`, in the machine's order.
    pub fn load_stack(&mut self, size: Size, register: Register, slot: i16) {
        let (code, bits) = match size {
            Size::Byte => (LOAD_BYTE, 0),
            Size::Half => (LOAD_HALF, 16),
            Size::Word => (LOAD_WORD, 32),
        };
        self.push(code, register, Register::R10, slot, 0);
        if bits != 0 {
            self.push(TO_NETWORK_ORDER, register, Register::R0, 0, bits);
        }
    }

    /// Jumps to a label further on.
    pub fn jump(&mut self, label: Label) {
        self.jumps.push((self.instructions.len(), label));
        self.push(JUMP, Register::R0, Register::R0, 0, 0);
    }

    /// Jumps to a label further on if the lower 32 bits of `register` compare so with `immediate`.
    pub fn jump_if(&mut self, register: Register, condition: Condition, immediate: u32, label: Label) {
        self.jumps.push((self.instructions.len(), label));
        self.push(condition as u8, register, Register::R0, 0, immediate.cast_signed());
    }

    /// Ends with this result.
    pub fn finish_with(&mut self, result: i32) {
        self.apply(Operation::Set, Register::R0, result);
        self.exit();
    }

    /// Ends with `R0` as the result.
    pub fn exit(&mut self) {
        self.push(EXIT, Register::R0, Register::R0, 0, 0);
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

/// Where a program is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ProgramKind {
    /// On a socket, in a fanout group, or on a TUN device.
    SocketFilter = 1,
    /// On an interface's ingress hook (`clsact`, direct action).
    TrafficControl = 3,
}

/// A program that the kernel has accepted.
#[derive(Debug)]
pub struct Program(OwnedFd);

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_TEST_RUN: libc::c_int = 10;
/// Of the instructions, not of the router: the kernel asks for it.
const LICENSE: &std::ffi::CStr = c"Dual MIT/GPL";
const VERIFIER_LOG: usize = 64 << 10;

/// `union bpf_attr` as `BPF_PROG_LOAD` reads it.
#[derive(Default)]
#[repr(C)]
struct LoadAttributes {
    kind: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buffer: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
}

/// `union bpf_attr` as `BPF_PROG_TEST_RUN` reads it.
#[derive(Default)]
#[repr(C)]
struct TestAttributes {
    program: u32,
    result: u32,
    input_size: u32,
    output_size: u32,
    input: u64,
    output: u64,
    repeat: u32,
    duration: u32,
    context: [u64; 3],
    flags: u64,
    batch_size: u64,
}

fn call<T>(command: libc::c_int, attributes: &mut T) -> io::Result<libc::c_int> {
    // SAFETY: `attributes` is a repr(C) prefix of `union bpf_attr` and its true size is given; the addresses in it
    // belong to buffers that the callers keep alive and whose sizes they state.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attributes, size_of::<T>()) };
    libc::c_int::try_from(result).ok().filter(|&result| result >= 0).ok_or_else(io::Error::last_os_error)
}

fn address<T: ?Sized>(pointer: *const T) -> u64 {
    pointer.cast::<u8>().addr() as u64
}

impl Program {
    /// Gives a program to the kernel; `name` has up to 15 letters, digits or underscores.
    ///
    /// # Errors
    /// When the verifier refuses it (its words are in the error), or without `CAP_BPF` and `CAP_NET_ADMIN`.
    pub fn load(kind: ProgramKind, name: &str, instructions: &[Instruction]) -> io::Result<Self> {
        let too_long = |_| io::Error::from(io::ErrorKind::InvalidInput);
        let mut attributes = LoadAttributes {
            kind: kind as u32,
            instruction_count: u32::try_from(instructions.len()).map_err(too_long)?,
            instructions: address(instructions.as_ptr()),
            license: address(LICENSE.as_ptr()),
            ..LoadAttributes::default()
        };
        for (slot, byte) in attributes.name.iter_mut().take(15).zip(name.bytes()) {
            *slot = byte;
        }
        match call(BPF_PROG_LOAD, &mut attributes) {
            // SAFETY: a fresh descriptor that nobody else owns.
            Ok(descriptor) => Ok(Self(unsafe { OwnedFd::from_raw_fd(descriptor) })),
            Err(error) => Err(Self::explain(name, &error, &mut attributes)),
        }
    }

    /// Loads once more to hear the verifier's reasons.
    fn explain(name: &str, error: &io::Error, attributes: &mut LoadAttributes) -> io::Error {
        let mut log = vec![0_u8; VERIFIER_LOG];
        attributes.log_level = 1;
        attributes.log_size = u32::try_from(log.len()).unwrap_or(0);
        attributes.log_buffer = address(log.as_mut_ptr());
        if let Ok(descriptor) = call(BPF_PROG_LOAD, attributes) {
            // SAFETY: a fresh descriptor that nobody else owns; dropped at once.
            drop(unsafe { OwnedFd::from_raw_fd(descriptor) });
        }
        let words = log.split(|&byte| byte == 0).next().map(String::from_utf8_lossy).unwrap_or_default();
        io::Error::new(error.kind(), format!("cannot load the BPF program {name}: {error} {}", words.trim()))
    }

    /// Runs the program on a frame, without any device, and returns its result. A socket filter sees the frame without
    /// its Ethernet header here, as it does in a fanout group.
    ///
    /// # Errors
    /// When the frame is shorter than an Ethernet header, or the kernel cannot run programs so.
    pub fn test_run(&self, frame: &[u8]) -> io::Result<u32> {
        let mut attributes = TestAttributes {
            program: self.0.as_raw_fd().cast_unsigned(),
            input_size: u32::try_from(frame.len()).unwrap_or(u32::MAX),
            input: address(frame.as_ptr()),
            ..TestAttributes::default()
        };
        call(BPF_PROG_TEST_RUN, &mut attributes)?;
        Ok(attributes.result)
    }
}

impl AsFd for Program {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_program_says_why() {
        let mut program = Assembler::new();
        program.copy(Register::R0, Register::R8);
        program.exit();
        let error = Program::load(ProgramKind::SocketFilter, "broken", &program.assemble().unwrap()).unwrap_err();
        assert!(error.to_string().contains("R8 !read_ok"), "{error}");
    }

    #[test]
    fn label_that_was_never_placed_is_an_error() {
        let mut program = Assembler::new();
        let nowhere = program.label();
        program.jump(nowhere);
        assert!(program.assemble().is_err());
    }
}
