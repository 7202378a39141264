//! Users' traffic, from the workers' counters to the lines.

use super::router::Router;
use super::status;
use super::uplink::UplinkState;
use crate::flow::Timestamp;
use crate::link::health::Peers;

impl Router<'_> {
    /// Tells every line what its users do, and whether those of other lines are answered.
    pub(super) fn observe_traffic(&mut self, now: Timestamp) {
        let counters = self.workers.counters();
        for uplink in &mut self.uplinks {
            uplink.line.handle_traffic(now, status::traffic(counters, uplink.id));
        }
        let answers: Vec<bool> = self.uplinks.iter().map(|uplink| answers_users(uplink, now)).collect();
        for (at, uplink) in self.uplinks.iter_mut().enumerate() {
            let is_other = |(other, answers): (usize, &bool)| other != at && *answers;
            let peers = if answers.iter().enumerate().any(is_other) { Peers::Answer } else { Peers::Silent };
            uplink.line.handle_peers(peers);
        }
    }
}

fn answers_users(uplink: &UplinkState, now: Timestamp) -> bool {
    uplink.line.health().is_some_and(|health| health.answers_users(now))
}
