//! Giving an uplink another role by hand, and what is remembered of such orders.
//!
//! A role by hand holds for new flows from the next snapshot on, over restarts, and over reloads until the configuration itself gives
//! the line another role. The one that the configuration gives is no role by hand: to order it is to undo what was ordered.

use tracing::info;

use super::actor::Actor;
use super::admin_file::{Remembered, RoleGiven};
use super::by_hand::{Ordered, too_late};
use super::history::{Kind, Record};
use super::order_refusal::OrderRefusal;
use super::places;
use super::report::{RoleName, RoleOrder, RoleReport, RoleWanted};
use super::router::{Router, now};
use super::status;
use super::uplink::UplinkState;
use crate::config::{Role, Tariff};
use crate::placement::{Availability, UplinkId};

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Balanced => Self::Balanced,
            RoleName::Isolated => Self::Isolated,
            RoleName::Standby => Self::Standby,
        }
    }
}

impl From<Role> for RoleName {
    fn from(role: Role) -> Self {
        match role {
            Role::Balanced => Self::Balanced,
            Role::Isolated => Self::Isolated,
            Role::Standby => Self::Standby,
        }
    }
}

/// The role that is wanted of a line to which the configuration gives another one, or this.
fn wanted(role: RoleWanted, configured: Role) -> Role {
    match role {
        RoleWanted::Balanced => Role::Balanced,
        RoleWanted::Isolated => Role::Isolated,
        RoleWanted::Standby => Role::Standby,
        RoleWanted::Configured => configured,
    }
}

impl Router<'_> {
    /// Gives an uplink a role. To ask for what it has already is no mistake.
    ///
    /// # Errors
    /// When there is no such uplink; says which there are. When it has another role than whoever orders has seen; says who was faster.
    pub(super) fn order_role(&mut self, order: &RoleOrder, actor: &Actor) -> Result<RoleReport, OrderRefusal> {
        let id = status::uplink_named(&order.uplink, &self.uplinks).map_err(OrderRefusal::Wrong);
        let seen = id.and_then(|id| self.role_as_seen(id, order.expect).map(|()| id));
        let id = seen.inspect_err(|refusal| {
            let (role, why_not) = (name_of(order.role), Some(refusal.to_string()));
            self.record_role(&order.uplink, "", role, why_not, actor.to_string());
        })?;
        let uplink = &mut self.uplinks[id.index()];
        let (before, configured, name) = (uplink.role(), uplink.config.role, uplink.config.name.clone());
        let role = wanted(order.role, configured);
        let changed = role != before;
        if changed {
            let by = actor.to_string();
            let given = RoleGiven { role: role.into(), configured: configured.into(), by };
            uplink.by_hand.role = (role != configured).then_some(given);
            uplink.by_hand.role_order = Some(Ordered::now(actor));
        }
        info!(uplink = %name, role = role.name(), by = %actor, changed, "uplink given a role by hand");
        let unchanged = (!changed).then(|| "it was so already".to_owned());
        self.record_role(name.as_str(), before.name(), role.name(), unchanged, actor.to_string());
        if changed {
            self.failover.handle_settings(now(), &self.uplinks);
            self.publish();
        }
        let remembered = self.remember_orders();
        let warnings = remembered.err().into_iter().chain(self.role_warnings(id)).collect();
        Ok(self.role_report(id, changed, warnings))
    }

    fn role_as_seen(&self, id: UplinkId, expect: Option<RoleName>) -> Result<(), OrderRefusal> {
        let uplink = &self.uplinks[id.index()];
        let role = uplink.role();
        if expect.is_none_or(|seen| Role::from(seen) == role) {
            return Ok(());
        }
        let (is, done) = (format!("is {} now", role.name()), format!("made {}", role.name()));
        Err(too_late(uplink.config.name.as_str(), &is, &done, uplink.by_hand.role_order.as_ref()))
    }

    fn role_report(&self, id: UplinkId, changed: bool, warnings: Vec<String>) -> RoleReport {
        let uplink = &self.uplinks[id.index()];
        RoleReport {
            uplink: uplink.config.name.to_string(),
            role: uplink.role().name().to_owned(),
            set_by: uplink.by_hand.role.as_ref().map(|given| given.by.clone()),
            changed,
            flows: self.flows_on(id),
            warnings,
        }
    }

    /// What a person should know who has given a line a role.
    fn role_warnings(&self, id: UplinkId) -> Vec<String> {
        let uplink = &self.uplinks[id.index()];
        let mut warnings = Vec::new();
        if uplink.config.tariff == Tariff::Metered {
            let name = &uplink.config.name;
            warnings.push(format!("{name} is metered: whatever its role, it carries while no other line works"));
        }
        let serves_all = |uplink: &UplinkState| {
            let works = matches!(uplink.availability(), Availability::Usable | Availability::Testing);
            works && uplink.role() == Role::Balanced
        };
        if !places::configured(&self.uplinks).any(serves_all) {
            warnings.push("no balanced uplink works: the others carry everything".to_owned());
        }
        warnings
    }

    /// Keeps in the event log that a line has another role, or why it has not.
    pub(super) fn record_role(&self, uplink: &str, from: &str, to: &str, why_not: Option<String>, by: String) {
        self.history.record(Record {
            kind: Kind::RoleOrdered,
            uplink: Some(uplink.to_owned()),
            from: (!from.is_empty()).then(|| from.to_owned()),
            to: Some(to.to_owned()),
            cause: why_not,
            by: Some(by),
            ..Record::default()
        });
    }

    /// Writes down what people have made of lines, if that is news.
    ///
    /// # Errors
    /// Says what is wrong with the file; it is so all the same.
    pub(super) fn remember_orders(&mut self) -> Result<(), String> {
        let lines =
            || places::configured(&self.uplinks).map(|uplink| (uplink.config.name.to_string(), &uplink.by_hand));
        let down = lines().filter_map(|(name, by_hand)| Some((name, by_hand.taken_down_by.clone()?))).collect();
        let roles = lines().filter_map(|(name, by_hand)| Some((name, by_hand.role.clone()?))).collect();
        self.admin_file.update(Remembered { down, roles })
    }

    /// At the start: a role that was over before it is not to come back with the configuration of then.
    pub(super) fn forget_roles(&mut self) {
        let is_over = |uplink: &UplinkState| {
            uplink.by_hand.role.is_none() && self.admin_file.role(uplink.config.name.as_str()).is_some()
        };
        if places::configured(&self.uplinks).any(is_over) {
            // Nobody is there to be told that the disk is full; the log is.
            drop(self.remember_orders());
        }
    }

    /// Flows that a line has now.
    pub(super) fn flows_on(&self, id: UplinkId) -> u64 {
        self.workers.counters().iter().map(|worker| worker.uplink(id).flows.value()).fold(0, u64::wrapping_add)
    }
}

/// As the order says it.
const fn name_of(role: RoleWanted) -> &'static str {
    match role {
        RoleWanted::Balanced => "balanced",
        RoleWanted::Isolated => "isolated",
        RoleWanted::Standby => "standby",
        RoleWanted::Configured => "configured",
    }
}
