//! Network namespaces, as the demo and the tests use them: a thread enters one, and sockets that it opens belong there.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use super::check;

/// Where `ip netns` keeps its namespaces.
const NAMED: &str = "/run/netns";

/// Moves the calling thread, and it alone, into the namespace at `path`, as `/run/netns/<name>` or `/proc/<pid>/ns/net`.
///
/// # Errors
/// When there is no such namespace, or without the right to enter it.
pub fn enter(path: &Path) -> io::Result<()> {
    let namespace = File::open(path)?;
    // SAFETY: the call touches no memory of ours; the kernel checks that the descriptor is a network namespace.
    check(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) })?;
    Ok(())
}

/// Runs `work` in the namespace that `ip netns` knows by `name`, in a thread of its own, and waits for it.
///
/// # Errors
/// When the namespace cannot be entered.
///
/// # Panics
/// When `work` does, with the same message.
pub fn run_in<R: Send>(name: &str, work: impl FnOnce() -> R + Send) -> io::Result<R> {
    let path = Path::new(NAMED).join(name);
    let result = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            enter(&path)?;
            Ok(work())
        });
        thread.join()
    });
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
