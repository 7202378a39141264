//! Small eBPF programs, written here instruction by instruction, so that no compiler is needed to build or run.
//!
//! An [`Assembler`] collects instructions and resolves forward jumps; [`Program::load`] gives them to the kernel's
//! verifier. Programs see a packet through [`Assembler::load_bytes`], which copies bytes onto their stack and reads
//! packets whose headers are not in one piece too. A [`SharedMap`] is memory that programs and the router both see.
//!
//! What it does not do: tail calls, loops.

mod assembler;
mod map;
mod program;
mod syscall;

pub use assembler::{
    Assembler, Condition, Helper, Instruction, Label, Operand, Operation, PacketField, Register, Size,
};
pub use map::SharedMap;
pub use program::{Outcome, Program, ProgramKind};
