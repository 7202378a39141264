//! Ports that move batches of packets, and the worker threads between them.

pub mod guard;
pub mod steering;

pub use guard::{lan_guard, uplink_guard};
