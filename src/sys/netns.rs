//! Network namespaces by name, as `ip netns` keeps them: enter one with a thread of its own.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

/// Runs `work` on a fresh thread inside the namespace `name` and waits for its result.
///
/// # Errors
/// When the namespace is not there or may not be entered.
///
/// # Panics
/// When `work` panics: its panic goes on here.
pub fn run_in<T: Send>(name: &str, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    let namespace = File::open(Path::new("/run/netns").join(name))?;
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || enter(&namespace).map(|()| work()));
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Moves the calling thread, and no other, into `namespace`.
fn enter(namespace: &File) -> io::Result<()> {
    // SAFETY: setns takes no pointers, and the descriptor is open for as long as `namespace` is borrowed.
    match unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
