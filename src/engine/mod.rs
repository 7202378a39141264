//! The packet's path, without I/O: a [`Worker`] takes a batch of packets and the time, and leaves in an [`Outbox`]
//! what is to be sent where.
//!
//! A worker owns its flows and mappings outright; nothing on the path takes a lock, allocates or asks the system.
//! `outbound` and `inbound` are the two directions, with the same numbered stages. A packet ends in a `Verdict`: sent,
//! handed to the worker that owns its flow, or dropped under a [`DropReason`] that is counted.

pub mod accounts;
mod budget;
mod busy;
pub mod counters;
mod decisions;
pub mod drop_reason;
mod failover;
mod forget;
mod forwarding;
mod hop;
mod icmp_error;
mod inbound;
pub mod listing;
mod moves;
mod opening;
mod outbound;
pub mod outbox;
mod pace;
mod parse;
pub mod persist;
mod places;
mod refusal;
mod repeated;
mod session;
mod short_queue;
pub mod shortcut;
mod sites;
mod slowing;
#[cfg(test)]
mod tests;
mod transfers;
mod warm_up;
pub mod worker;

pub use accounts::{Account, Accounts, HostAccount, HostId, Limit, Limits, Opener, Usage};
pub use counters::{Counter, UplinkCounters, WorkerCounters};
pub use drop_reason::DropReason;
pub use failover::{FailOverPage, FailOverStep};
pub use listing::{Bulkiness, FlowDirection, FlowFilter, FlowListing, FlowPage, FlowState};
pub use outbox::{Egress, Handoff, Ingress, Journey, Outbox};
pub use persist::{EngineConfig, EngineError, FlowAddresses, UplinkIdentity, open, open_with_addresses};
pub use shortcut::table::ShortcutTable;
pub use worker::{Filtering, MAX_MOVABLE_PORTS, MovablePorts, Settings, Worker};
