//! The lines as a pool, and the endings of flows that are under way.

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::config::{self, Drain, Role, Tariff};
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
    pub(super) fn new(now: Timestamp, uplinks: &[config::Uplink]) -> Self {
        let (tell, endings) = unbounded_channel();
        Self { pool: Pool::new(now, uplinks.iter().map(member)), tell, endings }
    }

    /// Takes in that the lines' settings are others, or lines are new.
    pub(super) fn handle_settings<'u>(&mut self, now: Timestamp, uplinks: impl Iterator<Item = &'u config::Uplink>) {
        self.pool.handle_members(now, uplinks.map(member));
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

fn member(uplink: &config::Uplink) -> Member {
    let rank = match (uplink.tariff, uplink.role) {
        (Tariff::Metered, _) => Rank::Metered,
        (Tariff::Flat, Role::Standby) => Rank::Standby,
        (Tariff::Flat, Role::Balanced | Role::Isolated) => Rank::Regular,
    };
    let drain = match uplink.drain {
        Drain::After(span) => Some(span),
        Drain::Never => None,
    };
    Member { rank, drain }
}
