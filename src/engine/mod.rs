//! The packet's path, without I/O: a [`Worker`] takes a batch of packets and the time, and leaves in an [`Outbox`]
//! what is to be sent where.

pub mod counters;
pub mod drop_reason;
pub mod listing;
pub mod outbox;

pub use counters::{Counter, UplinkCounters, WorkerCounters};
pub use drop_reason::DropReason;
pub use listing::{FlowFilter, FlowListing, FlowPage, FlowState};
pub use outbox::{Egress, Handoff, Outbox};

use std::sync::Arc;

use crate::flow::Timestamp;
use crate::placement::{LanId, Snapshot, UplinkId, WorkerId};
use crate::wire::PacketBuffer;

/// One worker's share of the router: its flows, its ports, its counters.
pub struct Worker {
    id: WorkerId,
    counters: Arc<WorkerCounters>,
}

impl Worker {
    /// Which worker this is.
    #[must_use]
    pub fn id(&self) -> WorkerId {
        self.id
    }

    /// The counters, to be read by others while the worker runs.
    #[must_use]
    pub fn counters(&self) -> Arc<WorkerCounters> {
        Arc::clone(&self.counters)
    }

    /// Handles packets that came from a LAN (or from the router itself, by the TUN device), and empties `batch`.
    pub fn handle_lan(
        &mut self,
        _now: Timestamp,
        _snapshot: &Snapshot,
        _lan: LanId,
        _batch: &mut Vec<PacketBuffer>,
        _out: &mut Outbox,
    ) {
    }

    /// Handles packets that came from an uplink, and empties `batch`.
    pub fn handle_uplink(
        &mut self,
        _now: Timestamp,
        _snapshot: &Snapshot,
        _uplink: UplinkId,
        _batch: &mut Vec<PacketBuffer>,
        _out: &mut Outbox,
    ) {
    }

    /// Handles a packet that another worker received and this one owns.
    pub fn handle_handoff(&mut self, _now: Timestamp, _snapshot: &Snapshot, _handoff: Handoff, _out: &mut Outbox) {}

    /// Forgets what has expired, a bounded share of the table each time.
    pub fn handle_timeout(&mut self, _now: Timestamp, _out: &mut Outbox) {}

    /// When [`Self::handle_timeout`] wants to be called; `None`: when something has happened, not before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        None
    }

    /// Up to a page of the flows that match, from `cursor` on (0 at first, then [`FlowPage::next`]).
    #[must_use]
    pub fn list_flows(&self, _now: Timestamp, _filter: &FlowFilter, _cursor: u32) -> FlowPage {
        FlowPage::default()
    }
}
