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

/// Binds the calling thread to one processor.
///
/// # Errors
/// When there is no such processor, or it is not allowed.
pub fn bind_to(processor: usize) -> io::Result<()> {
    if processor >= usize::try_from(libc::CPU_SETSIZE).unwrap_or(0) {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    // SAFETY: a cpu_set_t is a plain bit array; all zero is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `processor` was checked to be within the array.
    unsafe { libc::CPU_SET(processor, &mut set) };
    // SAFETY: `set` is readable and its true size is given; 0 names the calling thread.
    check(unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_thread_may_use_one_processor() {
        let last = *allowed_processors().unwrap().last().unwrap();
        let seen = std::thread::spawn(move || {
            bind_to(last).unwrap();
            allowed_processors().unwrap()
        });
        assert_eq!(seen.join().unwrap(), [last]);
        assert!(bind_to(1 << 20).is_err());
    }
}
