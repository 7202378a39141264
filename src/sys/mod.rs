//! The kernel's edge: everything that needs `unsafe` lives here, behind safe functions.
#![allow(unsafe_code, reason = "the one module that talks to the kernel directly")]

pub mod affinity;
pub mod bpf;
pub mod clock;
pub mod ethtool;
pub mod eventfd;
pub mod kernel;
pub mod mapped;
pub mod messages;
pub mod netns;
pub mod packet_socket;
pub mod poll;
pub mod prefetch;
pub mod process;
pub mod receive_ring;
pub mod shared_words;
pub mod slab;
pub mod tun;

use std::io;

/// The result of a call that reports failure by -1 and `errno`.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// The same for calls that return a count.
fn check_count(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}
