//! Has the demo's lines fail and recover, as their schedule says.

use std::time::Duration;

use super::lab::{Lab, LabError};
use super::outages::Outages;
use super::schedule::{Incident, Schedule};

/// The same in every demo, so that two people see the same: first a stick is pulled, then a line loses packets, then the fastest
/// one loses its carrier.
const SEED: u64 = 917;

/// Whether lines fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Now and then, one or two at a time.
    Eventful,
    /// Never.
    Calm,
}

/// The lines' troubles: those to come and those that go on.
#[derive(Debug)]
pub(super) struct Troubles {
    schedule: Schedule,
    /// `None`: nothing will ever happen.
    next: Option<Incident>,
    running: Vec<Incident>,
    outages: Outages,
}

impl Troubles {
    /// For so many lines. What happens is written into `outages`.
    pub(super) fn new(mood: Mood, lines: usize, outages: Outages) -> Self {
        let mut schedule = Schedule::new(lines, SEED);
        let next = if mood == Mood::Eventful { schedule.next() } else { None };
        Self { schedule, next, running: Vec::new(), outages }
    }

    /// When something is to happen, after the start of the demo.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        self.running.iter().map(|incident| incident.ends).chain(self.next.map(|next| next.begins)).min()
    }

    /// Does what is due at `elapsed` after the start, which is `now` on the monotonic clock; says what, for people to read.
    pub(super) fn handle_timeout(
        &mut self,
        lab: &Lab,
        elapsed: Duration,
        now: Duration,
    ) -> Result<Vec<String>, LabError> {
        let mut said = Vec::new();
        let name = |line: usize| lab.options().uplinks[line - 1].name.clone();
        let (over, running): (Vec<_>, Vec<_>) =
            self.running.drain(..).partition(|incident: &Incident| incident.ends <= elapsed);
        self.running = running;
        for Incident { line, fault, .. } in over {
            fault.heal(lab, line)?;
            self.outages.end(line, now);
            said.push(format!("{}: {}", name(line), fault.ending()));
        }
        while let Some(incident) = self.next.filter(|incident| incident.begins <= elapsed) {
            let Incident { line, fault, .. } = incident;
            // Written down first: no request is to fail by it before that is known.
            self.outages.begin(line, now);
            fault.make(lab, line)?;
            said.push(format!("{}: {}", name(line), fault.beginning()));
            self.running.push(incident);
            self.next = self.schedule.next();
        }
        Ok(said)
    }
}
