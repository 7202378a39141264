//! Having an uplink redialled by hand: its session or its lease ends, and it is asked for anew.

use tracing::info;

use super::actor::Actor;
use super::by_hand::{Ordered, too_late};
use super::history::{Kind, Record};
use super::order_refusal::OrderRefusal;
use super::report::{RedialOrder, RedialReport};
use super::router::{Router, now};
use super::status;
use crate::link::Redial;
use crate::placement::UplinkId;

impl Router<'_> {
    /// Redials an uplink. What becomes of its flows is seen when it has an address again.
    ///
    /// # Errors
    /// When there is no such uplink, or nothing to redial. When somebody was faster than whoever orders has seen; says who.
    pub(super) fn order_redial(&mut self, order: &RedialOrder, actor: &Actor) -> Result<RedialReport, OrderRefusal> {
        let outcome = self.redial(order, actor);
        let record = |cause: Option<String>| Record {
            kind: Kind::RedialOrdered,
            uplink: Some(order.uplink.clone()),
            cause,
            by: Some(actor.to_string()),
            ..Record::default()
        };
        self.history.record(record(outcome.as_ref().err().map(ToString::to_string)));
        let (id, redial) = outcome?;
        // Now the line tells what has become of it, and the frames leave.
        self.publish();
        Ok(self.redial_report(id, redial))
    }

    fn redial(&mut self, order: &RedialOrder, actor: &Actor) -> Result<(UplinkId, Redial), OrderRefusal> {
        let id = status::uplink_named(&order.uplink, &self.uplinks).map_err(OrderRefusal::Wrong)?;
        let uplink = &mut self.uplinks[id.index()];
        let (name, by_hand) = (&uplink.config.name, &mut uplink.by_hand);
        if order.expect.is_some_and(|seen| seen != by_hand.redials) {
            return Err(too_late(name.as_str(), "was redialled meanwhile", "redialled", by_hand.redial.as_ref()));
        }
        let redial = uplink.line.handle_redial(now());
        let redial = redial.map_err(|error| OrderRefusal::Wrong(format!("{name} is not redialled: {error}")))?;
        info!(uplink = %name, by = %actor, what = %redial, "uplink is redialled by hand");
        by_hand.redial = Some(Ordered::now(actor));
        by_hand.redials = by_hand.redials.wrapping_add(1);
        Ok((id, redial))
    }

    fn redial_report(&self, id: UplinkId, redial: Redial) -> RedialReport {
        let uplink = &self.uplinks[id.index()];
        let mut warnings = Vec::new();
        if uplink.is_adopted() {
            warnings.push("its address is the kernel's: to get another, have whatever dials it do so again".to_owned());
        }
        if uplink.by_hand.taken_down_by.is_some() {
            warnings.push("it stays down by hand".to_owned());
        }
        RedialReport {
            uplink: uplink.config.name.to_string(),
            state: uplink.availability().name().to_owned(),
            what: redial.to_string(),
            flows: self.flows_on(id),
            warnings,
        }
    }
}
