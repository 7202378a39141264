//! The clocks, read in one place. The core takes time as an argument.

use std::os::unix::thread::JoinHandleExt;
use std::thread::JoinHandle;
use std::time::Duration;

/// Time since 1970 (`CLOCK_REALTIME`), for people: it may jump.
#[must_use]
pub fn wall() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a valid, writable timespec; CLOCK_REALTIME always exists, so the call cannot fail.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut now) };
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// Time since boot, not counting sleep (`CLOCK_MONOTONIC`). Survives a restart of the program, not of the machine.
#[must_use]
pub fn monotonic() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a valid, writable timespec; CLOCK_MONOTONIC always exists on Linux, so the call cannot fail.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// Processor time that a thread has used so far; `None`: it has ended, or the kernel does not say.
#[must_use]
pub fn processor_time<T>(thread: &JoinHandle<T>) -> Option<Duration> {
    let mut clock: libc::clockid_t = 0;
    // SAFETY: who has the handle has neither joined nor detached the thread, so its pthread_t is valid; `clock` is writable.
    let failed = unsafe { libc::pthread_getcpuclockid(thread.as_pthread_t(), &raw mut clock) };
    let mut used = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `used` is a valid, writable timespec; a clock of a thread that has ended is refused.
    let is_told = failed == 0 && unsafe { libc::clock_gettime(clock, &raw mut used) } == 0;
    is_told.then(|| Duration::new(used.tv_sec.unsigned_abs(), u32::try_from(used.tv_nsec).unwrap_or(0)))
}

// glibc and musl export it; the libc crate does not declare it for Linux.
unsafe extern "C" {
    /// POSIX: reads the time zone anew, from `TZ` or `/etc/localtime`.
    safe fn tzset();
}

/// What local clocks show beyond UTC at a time (seconds since 1970), in seconds: positive in the east of Greenwich. A time zone
/// that has changed is noticed.
#[must_use]
pub fn utc_offset(at: u64) -> i64 {
    tzset();
    let at = libc::time_t::try_from(at).unwrap_or(libc::time_t::MAX);
    // SAFETY: a `tm` is integers and a pointer, for which all zeros are values.
    let mut local: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are valid for the call, and the result is not used beyond it. A year that does not fit gives
    // null and leaves the zeros.
    unsafe { libc::localtime_r(&raw const at, &raw mut local) };
    local.tm_gmtoff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_of_a_thread_grows_while_it_computes() {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let busy = std::thread::spawn(move || while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {});
        let first = processor_time(&busy).unwrap();
        let deadline = monotonic() + Duration::from_secs(10);
        while processor_time(&busy).unwrap() <= first {
            assert!(monotonic() < deadline, "it computes");
        }
        drop(stop);
        busy.join().unwrap();
    }
}
