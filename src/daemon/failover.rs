//! What the loop does when lines are lost, wait or are back: it tells the [`crate::placement::Pool`] how the lines are, gives
//! each its duty, has the workers end flows, and keeps what has come of it as events.

use tracing::{error, info, warn};

use super::endings::Ending;
use super::history::{Kind, Record};
use super::places;
use super::router::{Router, now};
use super::uplink::UplinkState;
use crate::flow::Timestamp;
use crate::io::FailedOver;
use crate::placement::{Availability, Condition, Duty, Ended, PoolEvent, UplinkId};

/// What a line can do, as the pool wants to know it.
fn condition(uplink: &UplinkState) -> Condition {
    match uplink.line.availability() {
        Availability::Usable | Availability::Standby => Condition::Works,
        Availability::Testing => Condition::Held,
        // Flows of a line that somebody has taken down go on, as long as it has a carrier and a gateway beneath; those of one that
        // somebody has redialled wait for their address.
        Availability::Down | Availability::Unresolved if uplink.line.holds_flows() => Condition::Held,
        Availability::Missing
        | Availability::NoCarrier
        | Availability::Unresolved
        | Availability::Lame
        | Availability::Down => Condition::Lost,
    }
}

impl Router<'_> {
    /// Gives every line its duty: to be called before a snapshot is made.
    pub(super) fn assign_duties(&mut self, now: Timestamp) {
        self.failover.pool.handle_reserved(now, self.reserved_uplinks());
        self.failover.pool.handle_conditions(now, self.uplinks.iter().map(condition));
        for uplink in &mut self.uplinks {
            uplink.duty = self.failover.pool.duty(uplink.id);
        }
    }

    /// Does what the pool wants: to be called after a snapshot was published, and the lines have told what has happened.
    pub(super) fn heed_pool(&mut self) {
        while let Some(event) = self.failover.pool.poll_event() {
            match event {
                PoolEvent::EndFlows(uplink, why) => self.end_flows(uplink, why),
                PoolEvent::DutyChanged(uplink, duty) => self.tell_duty(uplink, duty),
                PoolEvent::Emptied => {
                    let reserved = self.reserved_uplinks();
                    let how = |uplink: &UplinkState| {
                        let own = if reserved.contains(uplink.id) { " and reserved" } else { "" };
                        format!("{} {}{own}", uplink.config.name, uplink.availability().name())
                    };
                    let cause = places::configured(&self.uplinks).map(how).collect::<Vec<_>>().join(", ");
                    error!(lines = %cause, "no uplink works: hosts are told that the internet cannot be reached");
                    self.history.record(Record { kind: Kind::NoUplink, cause: Some(cause), ..Record::default() });
                }
                PoolEvent::Filled(uplink) => {
                    let uplink = self.uplinks[uplink.index()].config.name.to_string();
                    info!(%uplink, "an uplink works again");
                    self.history.record(Record { kind: Kind::UplinkBack, uplink: Some(uplink), ..Record::default() });
                }
            }
        }
    }

    /// Has the workers end a line's flows, while the loop goes on.
    fn end_flows(&self, uplink: UplinkId, why: Ended) {
        let (failing_over, tell) = (self.workers.fail_over(uplink), self.failover.tell.clone());
        tokio::spawn(async move {
            let outcome = failing_over.await;
            // The loop may have ended meanwhile.
            let _ = tell.send(Ending { uplink, why, outcome });
        });
    }

    fn tell_duty(&mut self, uplink: UplinkId, duty: Duty) {
        let is_reserved = self.reserved_uplinks().contains(uplink);
        let uplink = &mut self.uplinks[uplink.index()];
        uplink.duty_told = duty;
        let (name, up, standby) = (&uplink.config.name, Availability::Usable.name(), Availability::Standby.name());
        let (from, to, cause) = match duty {
            Duty::Serves if is_reserved => (standby, up, "it is reserved"),
            Duty::Serves => (standby, up, "no better line works"),
            Duty::Waits => (up, standby, "a better line works"),
        };
        info!(uplink = %name, state = to, cause, "uplink changed its duty");
        self.history.record(Record {
            kind: Kind::UplinkChanged,
            uplink: Some(name.to_string()),
            from: Some(from.to_owned()),
            to: Some(to.to_owned()),
            cause: Some(cause.to_owned()),
            ..Record::default()
        });
    }

    /// Takes in what has become of a line's flows.
    pub(super) fn note_ending(&mut self, ending: Ending) {
        let Ending { uplink, why, outcome } = ending;
        if outcome.kept > 0 {
            self.failover.pool.handle_kept(now(), uplink);
        }
        let FailedOver { reset, told, moved, rescued, .. } = outcome;
        let count = reset + told + moved + rescued;
        if count == 0 {
            return;
        }
        let uplink = self.uplinks[uplink.index()].config.name.to_string();
        let why = match why {
            Ended::Lost => "line lost",
            Ended::Drained => "drain time over",
            Ended::Readdressed => "line has another address",
        };
        warn!(%uplink, why, reset, told, moved, rescued, "flows of an uplink ended");
        self.history.record(Record {
            kind: Kind::FlowsEnded,
            uplink: Some(uplink),
            cause: Some(format!("{why}: {}", counted(&outcome))),
            count: Some(count),
            ..Record::default()
        });
    }
}

/// As people read it: "12 connections reset, 3 flows moved".
fn counted(outcome: &FailedOver) -> String {
    let counts = [
        (outcome.reset, "connection reset", "connections reset"),
        (outcome.told, "datagram flow refused", "datagram flows refused"),
        (outcome.moved, "flow moved", "flows moved"),
        (outcome.rescued, "SYN left to another line", "SYNs left to another line"),
    ];
    let said = counts.iter().filter(|(count, ..)| *count > 0);
    let said = said.map(|(count, one, many)| format!("{count} {}", if *count == 1 { one } else { many }));
    said.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_happened_is_said() {
        let outcome = FailedOver { reset: 12, moved: 1, ..FailedOver::default() };
        assert_eq!(counted(&outcome), "12 connections reset, 1 flow moved");
        let outcome = FailedOver { told: 1, rescued: 2, kept: 1, ..FailedOver::default() };
        assert_eq!(counted(&outcome), "1 datagram flow refused, 2 SYNs left to another line");
    }
}
