//! The system call.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// Calls `bpf(2)`.
pub(super) fn call<T>(command: libc::c_int, attributes: &mut T) -> io::Result<libc::c_int> {
    // SAFETY: `attributes` is a repr(C) prefix of `union bpf_attr` and its true size is given; the addresses in it
    // belong to buffers that the callers keep alive and whose sizes they state.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attributes, size_of::<T>()) };
    libc::c_int::try_from(result).ok().filter(|&result| result >= 0).ok_or_else(io::Error::last_os_error)
}

/// Calls `bpf(2)` for a command that makes a descriptor.
pub(super) fn create<T>(command: libc::c_int, attributes: &mut T) -> io::Result<OwnedFd> {
    // SAFETY: a fresh descriptor that nobody else owns.
    call(command, attributes).map(|descriptor| unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// A buffer's address as `union bpf_attr` wants it.
pub(super) fn address<T: ?Sized>(pointer: *const T) -> u64 {
    pointer.cast::<u8>().addr() as u64
}

/// An object's name: up to 15 letters, digits or underscores.
pub(super) fn name(text: &str) -> [u8; 16] {
    let mut name = [0; 16];
    for (slot, byte) in name.iter_mut().take(15).zip(text.bytes()) {
        *slot = byte;
    }
    name
}
