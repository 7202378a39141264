//! Processor time: of everything on the machine, from `/proc/stat`.

use std::io;
use std::time::Duration;

use potato::sys::clock;

use crate::topology::wait_until;

/// Busy share of the machine below which it counts as quiet.
const QUIET: f64 = 0.1;

/// Processor time used by everything on the machine while `work` runs, in seconds.
pub(crate) fn busy_seconds<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<(T, f64)> {
    let (processors, idle_before) = idle_seconds()?;
    let start = clock::monotonic();
    let result = work()?;
    let elapsed = (clock::monotonic() - start).as_secs_f64();
    let (_, idle_after) = idle_seconds()?;
    Ok((result, (elapsed * processors - (idle_after - idle_before)).max(0.0)))
}

/// Processors, and the seconds that they have been idle in sum: what is not idle is busy, interrupts too.
fn idle_seconds() -> io::Result<(f64, f64)> {
    const TICKS_PER_SECOND: f64 = 100.0;
    let text = std::fs::read_to_string("/proc/stat")?;
    let processors = text.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu ")).count();
    let fields: Vec<f64> =
        text.lines().next().unwrap_or_default().split_whitespace().skip(1).flat_map(str::parse).collect();
    let idle = fields.iter().skip(3).take(2).sum::<f64>();
    Ok((processors as f64, idle / TICKS_PER_SECOND))
}

/// Waits until nothing else keeps the machine busy, at most for `patience`. Says whether it became quiet.
pub(crate) fn wait_until_quiet(patience: Duration) -> io::Result<bool> {
    let (processors, _) = idle_seconds()?;
    Ok(wait_until(patience, || {
        let rest = || {
            std::thread::sleep(Duration::from_millis(200));
            Ok(())
        };
        busy_seconds(rest).is_ok_and(|((), busy)| busy < QUIET * processors * 0.2)
    }))
}
