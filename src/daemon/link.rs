//! Taking an uplink down by hand, and putting it back.

use tracing::info;

use super::actor::Actor;
use super::admin_file::TakenDown;
use super::history::{Kind, Record};
use super::places;
use super::report::{LinkOrder, LinkReport, LinkState};
use super::router::Router;
use super::status;
use crate::link::AdminStatus;
use crate::placement::Availability;

impl Router<'_> {
    /// Does what a person wants of an uplink. To ask for what is so already is no mistake.
    ///
    /// # Errors
    /// When there is no such uplink; says which there are.
    pub(super) fn order_link(&mut self, order: &LinkOrder, actor: &Actor) -> Result<LinkReport, String> {
        let id = status::uplink_named(&order.uplink, &self.uplinks).inspect_err(|error| {
            self.record_order(order, actor, Some(error.clone()));
        })?;
        let uplink = &self.uplinks[id.index()];
        let wanted = match order.state {
            LinkState::Up => AdminStatus::Up,
            LinkState::Down => AdminStatus::Down,
        };
        let changed = uplink.line.admin_status() != wanted;
        let (name, state) = (&uplink.config.name, order.state.name());
        info!(uplink = %name, state, by = %actor, changed, "uplink ordered up or down by hand");
        let unchanged = (!changed).then(|| "it was so already".to_owned());
        self.record_order(order, actor, unchanged);
        let uplink = &mut self.uplinks[id.index()];
        if changed {
            uplink.ordered_by = Some(actor.to_string());
            uplink.taken_down_by = (wanted == AdminStatus::Down).then(|| actor.to_string());
            uplink.line.handle_admin(wanted);
            self.publish();
        }
        let down: TakenDown = places::configured(&self.uplinks)
            .filter_map(|uplink| uplink.taken_down_by.clone().map(|by| (uplink.config.name.to_string(), by)))
            .collect();
        let mut warnings: Vec<_> = self.admin_file.update(down).err().into_iter().collect();
        let takes_flows =
            |availability| matches!(availability, Availability::Usable | Availability::Testing | Availability::Lame);
        if !places::configured(&self.uplinks).any(|uplink| takes_flows(uplink.availability())) {
            warnings.push("no uplink is up: new connections have no way out".to_owned());
        }
        let uplink = &self.uplinks[id.index()];
        Ok(LinkReport {
            uplink: uplink.config.name.to_string(),
            state: uplink.availability().name().to_owned(),
            changed,
            warnings,
        })
    }

    fn record_order(&self, order: &LinkOrder, actor: &Actor, why_not: Option<String>) {
        self.history.record(Record {
            kind: Kind::LinkOrdered,
            uplink: Some(order.uplink.clone()),
            to: Some(order.state.name().to_owned()),
            cause: why_not,
            by: Some(actor.to_string()),
            ..Record::default()
        });
    }
}
