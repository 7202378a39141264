//! When which line of the demo's is to fail: drawn from a seed, without a clock.
//!
//! Every fault and every line has its turn before one comes again. At most [`AT_ONCE`] lines are in trouble at one time, so
//! that there is always a way out, and each is left in peace for [`PEACE`] when it is well again.

use std::time::Duration;

use super::fault::Fault;
use super::variety::Variety;

/// Until here all is well: whoever has just come shall see what that looks like.
pub(super) const FIRST: Duration = Duration::from_secs(15);
/// Lines in trouble at one time.
pub(super) const AT_ONCE: usize = 2;
/// A line that was in trouble is in none for so long.
const PEACE: Duration = Duration::from_secs(15);
/// From one incident to the next: at least, and up to so much more.
const BETWEEN: (Duration, Duration) = (Duration::from_secs(9), Duration::from_secs(9));

/// One line in trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Incident {
    /// The line's number, from 1.
    pub(super) line: usize,
    pub(super) fault: Fault,
    /// After the start of the demo.
    pub(super) begins: Duration,
    pub(super) ends: Duration,
}

/// All incidents, in the order in which they begin. There is no last one.
#[derive(Debug)]
pub(super) struct Schedule {
    variety: Variety,
    /// Lines, the next one first. Each is put back at the end.
    lines: Vec<usize>,
    /// Faults that have not had their turn.
    faults: Vec<Fault>,
    /// Those that are not over, or not for long.
    recent: Vec<Incident>,
    next_begins: Duration,
}

impl Schedule {
    /// For lines 1 to `lines`, of which there are more than [`AT_ONCE`].
    pub(super) fn new(lines: usize, seed: u64) -> Self {
        let mut variety = Variety(seed);
        let mut order: Vec<usize> = (1..=lines).collect();
        variety.shuffle(&mut order);
        Self { variety, lines: order, faults: Vec::new(), recent: Vec::new(), next_begins: FIRST }
    }

    fn next_fault(&mut self) -> Fault {
        if self.faults.is_empty() {
            self.faults = Fault::ALL.to_vec();
            self.variety.shuffle(&mut self.faults);
        }
        self.faults.pop().unwrap_or(Fault::CarrierLost)
    }

    /// How long a fault lasts: a lossy line is found out after some seconds only.
    fn length(&mut self, fault: Fault) -> Duration {
        let (least, more) = match fault {
            Fault::CarrierLost => (7, 6),
            Fault::StickPulled => (9, 7),
            Fault::Lossy => (20, 8),
        };
        Duration::from_secs(least + self.variety.below(more))
    }

    /// The first time, from `at` on, at which a line may fail.
    fn free_from(&self, at: Duration) -> Duration {
        let mut ends: Vec<Duration> =
            self.recent.iter().map(|incident| incident.ends).filter(|ends| *ends > at).collect();
        ends.sort_unstable();
        // As many may end as leaves one place.
        ends.len().checked_sub(AT_ONCE).map_or(at, |last| ends[last])
    }
}

impl Iterator for Schedule {
    type Item = Incident;

    fn next(&mut self) -> Option<Incident> {
        let begins = self.free_from(self.next_begins);
        self.recent.retain(|incident| incident.ends + PEACE > begins);
        let is_free = |line: &usize| self.recent.iter().all(|incident| incident.line != *line);
        let at = self.lines.iter().position(is_free)?;
        let line = self.lines.remove(at);
        self.lines.push(line);
        let fault = self.next_fault();
        let incident = Incident { line, fault, begins, ends: begins + self.length(fault) };
        self.recent.push(incident);
        let (least, more) = BETWEEN;
        self.next_begins = begins + least + Duration::from_secs(self.variety.below(more.as_secs()));
        Some(incident)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: usize = 6;

    fn hours(seed: u64) -> Vec<Incident> {
        Schedule::new(LINES, seed).take_while(|incident| incident.begins < Duration::from_secs(3 * 3_600)).collect()
    }

    #[test]
    fn nothing_happens_before_the_first_quarter_of_a_minute_and_then_something_soon() {
        for seed in 0..50 {
            let incidents = hours(seed);
            assert_eq!(incidents[0].begins, FIRST);
            let gaps = incidents.windows(2).map(|pair| pair[1].begins - pair[0].begins);
            assert!(gaps.clone().all(|gap| gap >= BETWEEN.0), "seed {seed}");
            assert!(gaps.max().unwrap() < Duration::from_secs(40), "seed {seed}");
        }
    }

    #[test]
    fn most_lines_are_well_at_any_time_and_none_fails_twice_at_once() {
        for seed in 0..50 {
            let incidents = hours(seed);
            for (at, incident) in incidents.iter().enumerate() {
                let before = &incidents[..at];
                let running = before.iter().filter(|earlier| earlier.ends > incident.begins).count();
                assert!(running < AT_ONCE, "seed {seed}: {incident:?}");
                let same = before.iter().filter(|earlier| earlier.line == incident.line);
                assert!(
                    same.clone().all(|earlier| earlier.ends + PEACE <= incident.begins),
                    "seed {seed}: {incident:?}"
                );
            }
        }
    }

    #[test]
    fn every_fault_and_every_line_has_its_turn() {
        for seed in 0..50 {
            let incidents = hours(seed);
            let mut faults: Vec<Fault> = incidents[..3].iter().map(|incident| incident.fault).collect();
            faults.sort_unstable();
            assert_eq!(faults, Fault::ALL, "seed {seed}");
            let first = &incidents[..LINES + 3];
            assert!((1..=LINES).all(|line| first.iter().any(|incident| incident.line == line)), "seed {seed}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_day() {
        assert_eq!(hours(7), hours(7));
        assert_ne!(hours(7), hours(8));
    }
}
