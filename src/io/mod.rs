//! Ports that move batches of packets, and the worker threads between them.
//!
//! A port is one worker's packet socket on an interface ([`PacketPort`]) or its queue of the TUN device ([`TunPort`]). Which
//! worker gets a packet is decided in the kernel ([`steering`]), and so is which packets are the engine's at all
//! ([`guard`]). [`Workers`] runs the threads, and is all that the daemon sees of them.

pub mod adopted;
pub mod batch;
pub mod cutting;
pub mod frame_sender;
pub mod guard;
mod linger;
mod mailbox;
pub mod packet_port;
mod ports;
pub mod shortcut;
pub mod steering;
pub mod tun_port;
mod worker_thread;
pub mod workers;

pub use adopted::{LinkHeader, Share, adopted_egress_guard, adopted_guard};
pub use cutting::{Cutting, cutting_program};
pub use frame_sender::FrameSender;
pub use guard::{lan_guard, uplink_guard};
pub use packet_port::{Framing, PacketPort, open_adopted, open_lan, open_uplink};
pub use shortcut::Shortcut;
pub use tun_port::{TunPort, open_tun};
pub use workers::{FailedOver, WorkerFailure, Workers};
