//! Who has the role of the isolated line, when nobody is named; and what has turned out not to belong there.

use tracing::{info, warn};

use super::history::{Kind, Record};
use super::places;
use super::report::ClassReport;
use super::router::Router;
use super::uplink::UplinkState;
use crate::config::{IsolatedLines, Rate, Role, Tariff};
use crate::engine::WorkerCounters;
use crate::flow::Timestamp;
use crate::placement::{Availability, Finding, Fitness, LineState, Policy, RoleMoved, UplinkId, UplinkSet};

/// Of the losses that a line's health tells: those of a minute.
const MINUTE: usize = 1;

/// How a line is, as far as it could have the role.
fn line_state(uplink: &UplinkState, reserved: UplinkSet, now: Timestamp) -> LineState {
    let is_regular = uplink.role() == Role::Balanced && uplink.config.tariff == Tariff::Flat;
    let fitness = match uplink.availability() {
        _ if !is_regular || reserved.contains(uplink.id) => Fitness::Kept,
        Availability::Usable => Fitness::Fit,
        _ => Fitness::Broken,
    };
    let health = uplink.line.health().map(|health| health.status(now));
    LineState {
        id: uplink.id,
        fitness,
        round_trip: health.as_ref().and_then(|health| health.round_trip).map(|round_trip| round_trip.median),
        loss_percent: health.and_then(|health| health.losses[MINUTE]).unwrap_or(0),
        capacity: uplink.config.download.map(Rate::bits_per_second),
    }
}

impl Router<'_> {
    /// Sees to it that a line has the role, if one is to be picked. Says whether another one has it now.
    pub(super) fn assign_isolation(&mut self, now: Timestamp, policy: &Policy) -> bool {
        let has_role =
            |uplink: &UplinkState| uplink.role() == Role::Isolated && uplink.availability() == Availability::Usable;
        let is_given =
            self.config.router.isolated == IsolatedLines::Roles || places::configured(&self.uplinks).any(has_role);
        let moved = if is_given {
            self.isolation.end()
        } else {
            let reserved = policy.reserved_uplinks();
            let lines: Vec<_> =
                places::configured(&self.uplinks).map(|uplink| line_state(uplink, reserved, now)).collect();
            self.isolation.handle_lines(now, &lines)
        };
        if let Some(moved) = moved {
            self.tell_role(moved);
        }
        moved.is_some()
    }

    fn tell_role(&self, moved: RoleMoved) {
        let name = |id: Option<UplinkId>| Some(self.uplinks.get(id?.index())?.config.name.to_string());
        let (from, to, cause) = (name(moved.from), name(moved.to), moved.cause.text());
        info!(from, to, cause, "isolated line is another one");
        self.history.record(Record {
            kind: Kind::IsolatedMoved,
            uplink: to.clone().or_else(|| from.clone()),
            from,
            to,
            cause: Some(cause.to_owned()),
            ..Record::default()
        });
    }

    /// Lines for flows of class isolated: those that the configuration names, and the one that was picked.
    pub(super) fn isolated_lines(&self) -> UplinkSet {
        let named = places::configured(&self.uplinks).filter(|uplink| uplink.role() == Role::Isolated);
        named.map(|uplink| uplink.id).chain(self.isolation.chosen()).collect()
    }

    /// What a line is for.
    pub(super) fn role_of(&self, uplink: &UplinkState) -> String {
        let is_picked = self.isolation.chosen() == Some(uplink.id);
        let picked = if is_picked { "isolated (auto)" } else { uplink.role().name() };
        picked.to_owned()
    }

    /// What of class isolated there is on a line; `None`: there never was any.
    pub(super) fn isolated_flows(&self, uplink: UplinkId) -> Option<ClassReport> {
        let sum = |read: fn(&WorkerCounters, UplinkId) -> u64| {
            self.workers.counters().iter().map(|worker| read(worker, uplink)).fold(0, u64::wrapping_add)
        };
        let report = ClassReport {
            flows: sum(|worker, id| worker.uplink(id).isolated_flows.value()),
            bytes: sum(|worker, id| worker.uplink(id).isolated_bytes.value()),
            bulky: sum(|worker, id| worker.uplink(id).isolated_bulky.value()),
        };
        (report != ClassReport::default()).then_some(report)
    }

    /// Tells of flows of class isolated that have turned out bulky.
    pub(super) fn tell_bulky(&self, policy: &Policy) {
        while let Some(Finding { key, rule }) = self.workers.take_finding() {
            let rule = policy.rules.iter().find(|known| known.id == rule).map(|rule| rule.name.to_string());
            let (host, protocol) = (key.internal.address, key.protocol);
            let far_end = format!("{}:{}", key.remote.address, key.remote.port);
            warn!(%host, %protocol, %far_end, rule, "urgent traffic is bulk: new connections like it go to the pool");
            let by_rule = rule.map(|rule| format!(" (rule {rule})")).unwrap_or_default();
            let cause = format!("{host}'s {protocol} to {far_end}{by_rule} carries much: new ones go to the pool");
            self.history.record(Record { kind: Kind::IsolatedBulky, cause: Some(cause), ..Record::default() });
        }
    }
}
