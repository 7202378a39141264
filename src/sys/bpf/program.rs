//! Programs in the kernel.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::assembler::Instruction;
use super::syscall::{address, call, create, name};

/// Where a program is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ProgramKind {
    /// On a socket, in a fanout group, or on a TUN device.
    SocketFilter = 1,
    /// On an interface's hooks (`clsact`, direct action).
    TrafficControl = 3,
}

/// A program that the kernel has accepted.
#[derive(Debug)]
pub struct Program(OwnedFd);

/// What a test run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The program's result.
    pub result: u32,
    /// The frame as it left it.
    pub frame: Vec<u8>,
}

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_TEST_RUN: libc::c_int = 10;
/// Of the instructions, not of the router: the kernel asks for it.
const LICENSE: &std::ffi::CStr = c"Dual MIT/GPL";
const VERIFIER_LOG: usize = 256 << 10;
/// What a program may add to a frame in a test run.
const ROOM: usize = 64;

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

impl Program {
    /// Gives a program to the kernel; `program_name` has up to 15 letters, digits or underscores.
    ///
    /// # Errors
    /// When the verifier refuses it (its words are in the error), or without `CAP_BPF` and `CAP_NET_ADMIN`.
    pub fn load(kind: ProgramKind, program_name: &str, instructions: &[Instruction]) -> io::Result<Self> {
        let too_long = |_| io::Error::from(io::ErrorKind::InvalidInput);
        let mut attributes = LoadAttributes {
            kind: kind as u32,
            instruction_count: u32::try_from(instructions.len()).map_err(too_long)?,
            instructions: address(instructions.as_ptr()),
            license: address(LICENSE.as_ptr()),
            name: name(program_name),
            ..LoadAttributes::default()
        };
        let loaded = create(BPF_PROG_LOAD, &mut attributes);
        loaded.map(Self).map_err(|error| Self::explain(program_name, &error, &mut attributes))
    }

    /// Loads once more to hear the verifier's reasons.
    fn explain(program_name: &str, error: &io::Error, attributes: &mut LoadAttributes) -> io::Error {
        let mut log = vec![0_u8; VERIFIER_LOG];
        attributes.log_level = 1;
        attributes.log_size = u32::try_from(log.len()).unwrap_or(0);
        attributes.log_buffer = address(log.as_mut_ptr());
        drop(create(BPF_PROG_LOAD, attributes));
        let words = log.split(|&byte| byte == 0).next().map(String::from_utf8_lossy).unwrap_or_default();
        io::Error::new(error.kind(), format!("cannot load the BPF program {program_name}: {error} {}", words.trim()))
    }

    /// Runs the program on a frame of the loopback interface, without any device. A socket filter sees the frame without
    /// its Ethernet header here, as it does in a fanout group.
    ///
    /// # Errors
    /// When the frame is shorter than an Ethernet header, or the kernel cannot run programs so.
    pub fn test_run(&self, frame: &[u8]) -> io::Result<Outcome> {
        let mut output = vec![0; frame.len() + ROOM];
        let mut attributes = TestAttributes {
            program: self.0.as_raw_fd().cast_unsigned(),
            input_size: u32::try_from(frame.len()).unwrap_or(u32::MAX),
            input: address(frame.as_ptr()),
            output_size: u32::try_from(output.len()).unwrap_or(0),
            output: address(output.as_mut_ptr()),
            ..TestAttributes::default()
        };
        call(BPF_PROG_TEST_RUN, &mut attributes)?;
        output.truncate(attributes.output_size as usize);
        Ok(Outcome { result: attributes.result, frame: output })
    }
}

impl AsFd for Program {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::super::assembler::{Assembler, Register};
    use super::*;

    #[test]
    fn refused_program_says_why() {
        let mut program = Assembler::new();
        program.copy(Register::R0, Register::R8);
        program.exit();
        let error = Program::load(ProgramKind::SocketFilter, "broken", &program.assemble().unwrap()).unwrap_err();
        assert!(error.to_string().contains("R8 !read_ok"), "{error}");
    }
}
