//! The lines as a pool, and the endings of flows that are under way.

use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::uplink::UplinkState;
use crate::config::{Drain, Role, Tariff};
use crate::flow::Timestamp;
use crate::io::FailedOver;
use crate::placement::{Ended, Member, Pool, Rank, UplinkId};

/// A line's flows have been ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    pub(super) uplink: UplinkId,
    pub(super) why: Ended,
    pub(super) outcome: FailedOver,
}

/// The pool, and what the endings that are under way tell.
#[derive(Debug)]
pub(super) struct Failover {
    pub(super) pool: Pool,
    pub(super) tell: UnboundedSender<Ending>,
    endings: UnboundedReceiver<Ending>,
}

impl Failover {
    /// For these lines, none of which works yet.
    pub(super) fn new(now: Timestamp, uplinks: &[UplinkState]) -> Self {
        let (tell, endings) = unbounded_channel();
        Self { pool: Pool::new(now, uplinks.iter().map(member)), tell, endings }
    }

    /// Takes in that the lines' settings or roles are others, or lines are new.
    pub(super) fn handle_settings(&mut self, now: Timestamp, uplinks: &[UplinkState]) {
        self.pool.handle_members(now, uplinks.iter().map(member));
    }

    /// The next ending. Dropping the future loses none.
    pub(super) async fn ending(&mut self) -> Option<Ending> {
        self.endings.recv().await
    }

    /// When [`Self::handle_timeout`] is due.
    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        self.pool.poll_timeout()
    }

    /// Does what is due at `now`.
    pub(super) fn handle_timeout(&mut self, now: Timestamp) {
        self.pool.handle_timeout(now);
    }
}

/// A line as the pool knows it. One that people have made standby has the drain time of one that is always in use, none: what it
/// has stays until it ends.
fn member(uplink: &UplinkState) -> Member {
    let rank = match (uplink.config.tariff, uplink.role()) {
        (Tariff::Metered, _) => Rank::Metered,
        (Tariff::Flat, Role::Standby) => Rank::Standby,
        (Tariff::Flat, Role::Balanced | Role::Isolated) => Rank::Regular,
    };
    Member { rank, drain: drain(uplink) }
}

/// How long a line keeps its flows when it waits; `None`: as long as they live.
pub(super) fn drain(uplink: &UplinkState) -> Option<Duration> {
    match uplink.config.drain {
        Drain::After(span) => Some(span),
        Drain::Never => None,
    }
}
