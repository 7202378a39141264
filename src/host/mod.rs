//! The machine: links, routes, rules, sysctls, offloads, and the journal that undoes what the router changed.
//!
//! [`Host::start`] takes the lock on `run_dir` and undoes what a killed predecessor left. Then `prepare_*` set up one
//! interface each. Every step looks at what is there, writes to the [`journal`] how to undo it, and only then changes
//! it; a step done twice is done once. [`Host::undo`] (or [`cleanup`], after a crash) goes through the journal backwards.
//! [`Host::watch`] tells of interfaces, addresses and routes that come and go.
//!
//! Nothing here reads or sends packets, runs programs (`ip`, `tc`, `nft`), or changes the machine-wide switches: no
//! global `ip_forward`, no `conf/all`, no rule, route or filter of somebody else's. What is ours carries our protocol
//! number (rules and routes, [`routing::PROTOCOL`]) or our handle (filters).

mod adopted;
mod cleanup;
mod cutting;
pub mod device;
mod direct;
pub mod entry;
mod error;
mod events;
mod interface;
pub mod journal;
mod lock;
mod machine;
mod neighbor;
mod netlink;
mod networks;
pub mod ports;
pub mod routing;
mod steps;
mod sysctl;
mod traffic_filter;
mod undo;

pub use adopted::KernelLine;
pub use cleanup::{FlowFile, cleanup};
pub use error::{HostError, HostWarning};
pub use events::{HostEvent, HostEvents};
pub use interface::{Interface, Standing};
pub use machine::{Host, LanCapture};
pub use neighbor::Neighbor;
pub use sysctl::Family;
