//! Processor time, from `/proc`: how much the machine used in all, and how much of it was none of our doing.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use potato::sys::clock;

const TICKS_PER_SECOND: f64 = 100.0;

/// Processor time used while something ran.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    /// By everything on the machine, interrupts too, less `foreign`; in seconds.
    pub(crate) own: f64,
    /// By programs that are neither this one nor its descendants; in seconds.
    pub(crate) foreign: f64,
    /// What there was to use, in seconds.
    pub(crate) available: f64,
}

impl Used {
    /// Share of the machine that other programs took.
    pub(crate) fn foreign_share(self) -> f64 {
        self.foreign / self.available
    }

    /// Whether other programs took so much that what was measured is worth little.
    pub(crate) fn is_disturbed(self) -> bool {
        self.foreign_share() > 0.04
    }
}

/// Runs `work` and tells what was used meanwhile.
pub(crate) fn used_during<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<(T, Used)> {
    let (processors, idle_before) = idle_seconds()?;
    let (start, foreign_before) = (clock::monotonic(), foreign_seconds()?);
    let result = work()?;
    let available = (clock::monotonic() - start).as_secs_f64() * processors;
    let (_, idle_after) = idle_seconds()?;
    let foreign = (foreign_seconds()? - foreign_before).max(0.0);
    Ok((result, Used { own: (available - (idle_after - idle_before) - foreign).max(0.0), foreign, available }))
}

/// Waits until other programs leave the machine alone, at most for `patience`.
pub(crate) fn wait_for_quiet(patience: Duration) -> io::Result<()> {
    let end = clock::monotonic() + patience;
    while clock::monotonic() < end {
        let look = || {
            std::thread::sleep(Duration::from_millis(300));
            Ok(())
        };
        if !used_during(look)?.1.is_disturbed() {
            break;
        }
    }
    Ok(())
}

/// Processors, and the seconds that they have been idle in sum: what is not idle is busy, interrupts too.
fn idle_seconds() -> io::Result<(f64, f64)> {
    let text = std::fs::read_to_string("/proc/stat")?;
    let processors = text.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu ")).count();
    let fields: Vec<f64> =
        text.lines().next().unwrap_or_default().split_whitespace().skip(1).flat_map(str::parse).collect();
    let idle = fields.iter().skip(3).take(2).sum::<f64>();
    Ok((processors as f64, idle / TICKS_PER_SECOND))
}

/// Seconds used so far by all programs but this one, its descendants and the kernel's threads.
fn foreign_seconds() -> io::Result<f64> {
    const KERNEL_THREADS: u32 = 2;
    let mut programs = HashMap::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        if let Some(found) = std::fs::read_to_string(format!("/proc/{id}/stat")).ok().as_deref().and_then(parse_stat) {
            programs.insert(id, found);
        }
    }
    let is_ours = |mut id: u32| {
        while id != 0 {
            if id == std::process::id() || id == KERNEL_THREADS {
                return true;
            }
            id = programs.get(&id).map_or(0, |(parent, _)| *parent);
        }
        false
    };
    let ticks: u64 = programs.iter().filter(|(id, _)| !is_ours(**id)).map(|(_, (_, ticks))| ticks).sum();
    Ok(ticks as f64 / TICKS_PER_SECOND)
}

/// Parent, and ticks used by the process and by its children that have ended.
fn parse_stat(line: &str) -> Option<(u32, u64)> {
    let fields: Vec<_> = line.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11..15)?.iter().flat_map(|field| field.parse::<u64>()).sum();
    Some((fields.get(1)?.parse().ok()?, ticks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_of_a_program_with_spaces_in_its_name() {
        let line = "77 (a (b) c) S 5 77 77 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 9 0 0";
        assert_eq!(parse_stat(line), Some((5, 100)));
    }
}
