//! Signals to other processes.

use std::io;

/// Sends `signal` (a `libc::SIG*` number; 0 only asks whether the process is there) to the process `pid`.
///
/// # Errors
/// When there is no such process, or it is not ours to signal.
pub fn signal(pid: u32, signal: i32) -> io::Result<()> {
    // 0 and negative numbers mean whole groups of processes to kill(2).
    let pid = i32::try_from(pid).ok().filter(|pid| *pid > 0).ok_or(io::ErrorKind::InvalidInput)?;
    // SAFETY: kill takes no pointers.
    match unsafe { libc::kill(pid, signal) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The effective user of this process; 0 is root.
#[must_use]
pub fn effective_user() -> u32 {
    // SAFETY: geteuid takes nothing and cannot fail.
    unsafe { libc::geteuid() }
}
