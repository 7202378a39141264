//! Taking an uplink down by hand, and putting it back.

use tracing::info;

use super::actor::Actor;
use super::by_hand::{Ordered, too_late};
use super::history::{Kind, Record};
use super::order_refusal::OrderRefusal;
use super::places;
use super::report::{LinkOrder, LinkReport, LinkSeen, LinkState};
use super::router::Router;
use super::status;
use super::uplink::UplinkState;
use crate::link::AdminStatus;
use crate::placement::Availability;

impl Router<'_> {
    /// Does what a person wants of an uplink. To ask for what is so already is no mistake.
    ///
    /// # Errors
    /// When there is no such uplink; says which there are. When it is not as whoever orders has seen it; says who was faster.
    pub(super) fn order_link(&mut self, order: &LinkOrder, actor: &Actor) -> Result<LinkReport, OrderRefusal> {
        let id = status::uplink_named(&order.uplink, &self.uplinks).map_err(|error| {
            self.record_order(order, actor, Some(error.clone()));
            OrderRefusal::Wrong(error)
        })?;
        let uplink = &self.uplinks[id.index()];
        let current = uplink.line.admin_status();
        if order.expect.is_some_and(|seen| admin_status(seen) != current) {
            let refusal = link_too_late(uplink);
            self.record_order(order, actor, Some(refusal.to_string()));
            return Err(refusal);
        }
        let wanted = match (order.state, current) {
            (LinkState::Up, _) | (LinkState::Toggle, AdminStatus::Down) => AdminStatus::Up,
            (LinkState::Down, _) | (LinkState::Toggle, AdminStatus::Up) => AdminStatus::Down,
        };
        let changed = current != wanted;
        let state = if wanted == AdminStatus::Up { LinkState::Up } else { LinkState::Down };
        let order = &LinkOrder { state, ..order.clone() };
        let (name, state) = (&uplink.config.name, state.name());
        info!(uplink = %name, state, by = %actor, changed, "uplink ordered up or down by hand");
        let unchanged = (!changed).then(|| "it was so already".to_owned());
        self.record_order(order, actor, unchanged);
        let uplink = &mut self.uplinks[id.index()];
        if changed {
            uplink.by_hand.link = Some(Ordered::now(actor));
            uplink.by_hand.taken_down_by = (wanted == AdminStatus::Down).then(|| actor.to_string());
            uplink.line.handle_admin(wanted);
            self.publish();
        }
        let mut warnings: Vec<_> = self.remember_orders().err().into_iter().collect();
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

const fn admin_status(seen: LinkSeen) -> AdminStatus {
    match seen {
        LinkSeen::Up => AdminStatus::Up,
        LinkSeen::Down => AdminStatus::Down,
    }
}

/// Somebody else has been faster with this line.
fn link_too_late(uplink: &UplinkState) -> OrderRefusal {
    let is_down = uplink.line.admin_status() == AdminStatus::Down;
    let (is, done) = if is_down { ("is down", "taken down") } else { ("is not down by hand", "put back") };
    too_late(uplink.config.name.as_str(), is, done, uplink.by_hand.link.as_ref())
}
