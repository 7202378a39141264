//! What lines can do, how long they take and what they lose: from the workers' measurements and the probes to placement.

use std::time::Duration;

use super::learned::Queues;
use super::router::Router;
use super::uplink::UplinkState;
use super::{learned, places};
use crate::flow::Timestamp;
use crate::link::health::Health;

/// Lines are looked at this often while they carry anything; the workers measure no oftener.
const INTERVAL: Duration = Duration::from_millis(250);
/// Looks that are closer see the same.
const SHORTEST: Duration = Duration::from_millis(200);

impl Router<'_> {
    /// When lines are to be looked at again; `None`: they carry nothing.
    pub(super) fn learning_due(&self) -> Option<Timestamp> {
        let load = self.workers.load();
        let is_busy = |uplink: &UplinkState| load.transfers(uplink.id) > 0;
        places::configured(&self.uplinks).any(is_busy).then(|| self.learnt_at + INTERVAL)
    }

    /// Looks at what lines carry, and whether their questions wait.
    pub(super) fn learn(&mut self, now: Timestamp) {
        if now.since(self.learnt_at) < SHORTEST {
            return;
        }
        self.learnt_at = now;
        let load = self.workers.load();
        for uplink in &mut self.uplinks {
            let round_trip = uplink.line.health().and_then(Health::last_round_trip);
            uplink.learned.rates.observe(now, load.moving(uplink.id), round_trip);
        }
    }

    /// Looks at what lines usually take and lose.
    pub(super) fn learn_usual(&mut self, now: Timestamp) {
        for uplink in &mut self.uplinks {
            if let Some(health) = uplink.line.health() {
                uplink.learned.observe_usual(now, health);
            }
        }
    }

    /// Tells placement what is known of the lines.
    pub(super) fn publish_knowledge(&self) {
        let lines: Vec<_> = places::configured(&self.uplinks).collect();
        let queues = if self.config.router.short_queues { Queues::Short } else { Queues::Any };
        let known: Vec<_> = lines.iter().map(|uplink| uplink.known()).collect();
        for (uplink, knowledge) in lines.iter().zip(learned::knowledge(&known, queues)) {
            self.workers.load().set_knowledge(uplink.id, knowledge);
        }
    }
}
