//! The share of the processors that a thread is given.

use std::io;

use super::check;

/// Asks for precedence of the calling thread over others: `nice` from -20 (most) to 19.
///
/// # Errors
/// When that is not allowed (`CAP_SYS_NICE`).
pub fn set_nice(nice: i32) -> io::Result<()> {
    // SAFETY: the call touches no memory of ours; 0 names the calling thread.
    check(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thread_can_step_back() {
        std::thread::spawn(|| set_nice(5).unwrap()).join().unwrap();
    }
}
