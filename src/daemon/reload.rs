//! Applying a changed configuration: `potato reload` and SIGHUP.
//!
//! Theory of operation: the file is read and held against the configuration that runs ([`super::reload_plan`]). If it is wrong, or
//! asks for what a running router cannot do, nothing is changed and whoever ordered it is told why. Else lines that are no more go
//! first, with their flows; then settings change in place, and new lines come. A line that is the same in both files notices
//! nothing. Nothing after the first change can be refused: an interface that is missing or broken is seen to as ever.

use std::net::Ipv4Addr;
use std::sync::Arc;

use tracing::{error, info, warn};

use super::engine;
use super::health::capacity;
use super::history::{Kind, Record};
use super::lan_leases::LanLeases;
use super::place::Place;
use super::places::{self, Surroundings};
use super::reload_plan::{self, Plan};
use super::report::ReloadReport;
use super::router::{Router, now};
use super::rules;
use super::uplink::UplinkState;
use crate::config::{self, Config};
use crate::placement::UplinkId;
use crate::sys::clock;

impl Router<'_> {
    /// Reads the file again and applies it, on the order of `by`.
    ///
    /// # Errors
    /// What is wrong with the file, or cannot change while the router runs; then nothing has changed.
    pub(super) async fn reload(&mut self, by: &str) -> Result<ReloadReport, String> {
        let path = self.path.display().to_string();
        self.supervisor.reload_begins(clock::monotonic());
        let outcome = match self.read_again() {
            Ok((new, plan)) => Ok(self.apply(new, plan, by).await),
            Err(wrong) => Err(wrong),
        };
        self.supervisor.reload_ends();
        match &outcome {
            Ok(report) => info!(config = %path, by, result = %report.text(), "configuration is applied"),
            Err(error) => error!(config = %path, by, %error, "configuration is not applied; the old one stays"),
        }
        let cause = match &outcome {
            Ok(report) => report.text(),
            Err(wrong) => format!("not applied: {}", wrong.lines().next().unwrap_or_default()),
        };
        let (by, cause) = (Some(by.to_owned()), Some(cause));
        self.history.record(Record { kind: Kind::ReloadOrdered, by, cause, ..Record::default() });
        outcome
    }

    fn read_again(&self) -> Result<(Config, Plan), String> {
        let new = config::load(&self.path).map_err(|error| error.to_string())?;
        let plan = reload_plan::plan(&self.config, &new);
        plan.map(|plan| (new, plan)).map_err(|error| format!("{}: {error}", self.path.display()))
    }

    fn take_config(&mut self, new: Config) {
        self.told_config.send_replace(Arc::new(new.clone()));
        self.config = new;
    }

    async fn apply(&mut self, new: Config, plan: Plan, by: &str) -> ReloadReport {
        let mut report = ReloadReport { unchanged: plan.unchanged.len(), ..ReloadReport::default() };
        let warned = new
            .warnings
            .iter()
            .map(|warning| format!("line {}: {} has no effect in this version", warning.line, warning.what));
        report.warnings.extend(warned);
        report.warnings.extend(new.advice.iter().map(|advice| format!("line {}: {}", advice.line, advice.text)));
        let rules = rules::changes(&self.config, &new);
        let (leases, reservations) =
            (self.config.lan.leases != new.lan.leases, self.config.reservations != new.reservations);
        let forwards = self.config.forwards != new.forwards;
        let isolation = self.config.router.isolated != new.router.isolated;
        let limits = self.config.limits != new.limits;
        let queues = self.config.router.short_queues != new.router.short_queues;
        if self.config.metrics != new.metrics {
            let place = new.metrics.map_or("none".to_owned(), |metrics| metrics.listen.to_string());
            report.changes.push(format!("[metrics] listen = {place}"));
        }
        let web = self.config.web != new.web;
        let channels = self.config.channels != new.channels;
        let is_same = plan.is_empty() && self.config.health == new.health && rules.is_empty();
        if is_same && !leases && !reservations && !forwards && !isolation && !limits && !queues && !web && !channels {
            self.take_config(new);
            return report;
        }
        for name in &plan.removed {
            let flows = self.retire(name).await;
            report.changes.push(format!("removed {name}{}", ended(flows)));
            self.tell(Kind::UplinkRemoved, name, by, None, Some(flows));
        }
        for (uplink, what) in plan.replaced {
            let flows = self.retire(uplink.name.as_str()).await;
            report.changes.push(format!("{}: {what}, as a new line{}", uplink.name, ended(flows)));
            self.tell(Kind::UplinkReplaced, uplink.name.as_str(), by, Some(what), Some(flows));
            self.take_in(&uplink, &mut report).await;
        }
        for (uplink, what) in plan.changed {
            report.changes.push(format!("{}: {what}", uplink.name));
            self.tell(Kind::UplinkSet, uplink.name.as_str(), by, Some(what), None);
            report.changes.extend(self.set_uplink(uplink, by));
        }
        for uplink in plan.added {
            if self.take_in(&uplink, &mut report).await {
                report.changes.push(format!("added {}", uplink.name));
                self.tell(Kind::UplinkAdded, uplink.name.as_str(), by, None, None);
            }
        }
        if self.config.health != new.health {
            report.changes.push("[health] set".to_owned());
            self.health = Arc::new(new.health.clone());
        }
        if limits {
            report.changes.push("[limits] set".to_owned());
            self.workers.accounts().set_limits(new.limits);
        }
        report.changes.extend(rules);
        self.rule_ids.learn(&new);
        if leases {
            report.changes.push("[lan] leases set".to_owned());
            self.lan_leases = LanLeases::new(new.lan.leases.clone());
        }
        if reservations {
            report.changes.push("[[reserve]] set".to_owned());
        }
        if forwards {
            report.changes.push(format!("[[forward]] set: {}", counted(new.forwards.len())));
        }
        if isolation {
            report.changes.push(format!("[router] isolated = \"{}\"", new.router.isolated.name()));
        }
        if queues {
            report.changes.push(format!("[router] short_queues = {}", new.router.short_queues));
        }
        if let Some(settings) = new.web.as_ref().filter(|_| web) {
            report.changes.push(format!("[web] look = \"{}\"", settings.look.name()));
        }
        if channels {
            report.changes.push(format!("[[notify]] set: {}", new.channels.len()));
        }
        self.take_config(new);
        self.pass_on_settings();
        report.warnings.extend(self.remember_orders().err());
        let looked = self.look_at_interfaces().await;
        self.survive(looked, "interface not taken over");
        self.refresh_soon();
        self.publish();
        self.warn_of_missing();
        self.warn_of_forwards();
        report
    }

    /// Tells lines and pool of the settings that there are now.
    fn pass_on_settings(&mut self) {
        let now = now();
        for uplink in &mut self.uplinks {
            uplink.line.handle_health_settings(now, Arc::clone(&self.health), capacity(&uplink.config));
        }
        self.failover.handle_settings(now, &self.uplinks);
        self.take_in_reservations();
        let _published_below = self.turn();
    }

    /// Gives an uplink that goes on other settings; says so if that ends a role that people gave it.
    fn set_uplink(&mut self, uplink: config::Uplink, by: &str) -> Option<String> {
        let state = self.uplinks.iter_mut().find(|state| is_named(state, uplink.name.as_str()))?;
        let (name, configured) = (uplink.name.clone(), uplink.role);
        let given = state.handle_config(uplink)?;
        let (role, giver) = (given.role.name(), given.by);
        self.record_role(name.as_str(), role, configured.name(), None, by.to_owned());
        Some(format!("{name}: role {role}, which {giver} had given it by hand, is over"))
    }

    /// Takes an uplink out of the router; gives how many flows end by that.
    async fn retire(&mut self, name: &str) -> u64 {
        let Some(at) = self.uplinks.iter().position(|uplink| is_named(uplink, name)) else { return 0 };
        let id = self.uplinks[at].id;
        let flows = self.workers.counters().iter().map(|worker| worker.uplink(id).flows.value()).sum();
        let interface = self.uplinks[at].vacate();
        // First nobody gives it new flows, then those that it has end.
        self.publish();
        self.workers.forget_flows(id).await;
        self.workers.detach_uplink(id);
        self.addresses.set_uplink(id, None);
        if let Some(interface) = interface {
            let released = self.host.release(interface.index).await;
            self.survive(released.map_err(Into::into), "interface cannot be put back as it was");
        }
        flows
    }

    /// Gives a new uplink a place; whether it has got one.
    async fn take_in(&mut self, uplink: &config::Uplink, report: &mut ReloadReport) -> bool {
        let vacant = self.uplinks.iter().position(|state| state.place == Place::Vacant);
        let at = vacant.unwrap_or(self.uplinks.len());
        // There are as many places as a configuration can have uplinks.
        let Ok(id) = u8::try_from(at).map(UplinkId) else { return false };
        let surroundings = Surroundings {
            state_dir: &self.config.router.state_dir,
            health: &self.health,
            admin_file: &self.admin_file,
            history: &self.history,
        };
        let address: Option<Ipv4Addr> = uplink.kind.static_address();
        let state = match places::uplink_in(id, uplink, address, surroundings) {
            Ok(state) => state,
            Err(error) => {
                warn!(uplink = %uplink.name, %error, "uplink not added");
                report.warnings.push(format!("{} not added: {error}; reload again", uplink.name));
                return false;
            }
        };
        self.workers.take_in_uplink(id, &state.ports).await;
        self.workers.accounts().forget_line(id);
        self.addresses.set_uplink(id, Some(&engine::identity(uplink)));
        match vacant {
            Some(at) => self.uplinks[at] = state,
            None => self.uplinks.push(state),
        }
        true
    }

    fn tell(&self, kind: Kind, uplink: &str, by: &str, cause: Option<String>, count: Option<u64>) {
        let (uplink, by) = (Some(uplink.to_owned()), Some(by.to_owned()));
        self.history.record(Record { kind, uplink, cause, by, count, ..Record::default() });
    }
}

fn is_named(state: &UplinkState, name: &str) -> bool {
    state.place == Place::Configured && state.config.name.as_str() == name
}

/// How to say how many forwards there are; connections of those that were are not ended.
fn counted(forwards: usize) -> String {
    match forwards {
        0 => "none; connections that there are go on".to_owned(),
        1 => "1 forward".to_owned(),
        _ => format!("{forwards} forwards"),
    }
}

/// How to say it of flows that end.
fn ended(flows: u64) -> String {
    match flows {
        0 => String::new(),
        1 => " (1 connection ended)".to_owned(),
        _ => format!(" ({flows} connections ended)"),
    }
}
