//! Which processors a thread may run on.

use std::io;

use super::check;

/// The processors that this thread may use, in ascending order.
///
/// # Errors
/// When the kernel does not tell.
pub fn allowed_processors() -> io::Result<Vec<usize>> {
    // SAFETY: a cpu_set_t is a plain bit array; all zero is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is writable and its true size is given; 0 names the calling thread.
    check(unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) })?;
    let most = usize::try_from(libc::CPU_SETSIZE).unwrap_or(0);
    // SAFETY: `processor` is below CPU_SETSIZE, so within the array.
    Ok((0..most).filter(|&processor| unsafe { libc::CPU_ISSET(processor, &set) }).collect())
}

/// How many processors the machine may have, those that are off included.
#[must_use]
pub fn configured_processors() -> usize {
    // SAFETY: the call touches no memory of ours.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_NPROCESSORS_CONF) }).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_thread_may_run_somewhere() {
        let processors = allowed_processors().unwrap();
        assert!(!processors.is_empty() && processors.is_sorted());
    }
}
