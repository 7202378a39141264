//! The kernel's edge: everything that needs `unsafe` lives here, behind safe functions.
#![allow(unsafe_code, reason = "the one module that talks to the kernel directly")]

pub mod clock;
pub mod netns;
pub mod process;
