//! The clocks, read in one place. The core takes time as an argument.

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
