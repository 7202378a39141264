//! Potato, a multi-WAN router: every new connection of a LAN is given one internet line, source-NATed to that
//! line's address, and kept there.
//!
//! # The way of a packet
//!
//! ```text
//!  LAN host -> io (packet socket or TUN) -> engine::outbound -> io (packet socket) -> internet line
//!  LAN host <- io (packet socket or TUN) <- engine::inbound  <- io (packet socket) <- internet line
//! ```
//!
//! [`engine`] is the packet's path and does no I/O: it composes [`wire`] (bytes), [`flow`] (connections),
//! [`placement`] (which line) and [`nat`] (addresses and ports). [`io`] moves batches between sockets and the engine,
//! one thread a worker. [`daemon`] drives the lines ([`link`]), sets the machine up ([`host`]) and answers the commands.
//! A module imports only what stands above it in the list below; `tests/layering.rs` holds that.

pub mod sys;

pub mod wire;

pub mod flow;

pub mod placement;

pub mod nat;

pub mod engine;

pub mod link;

pub mod io;

pub mod host;

pub mod config;

#[cfg(feature = "program")]
pub mod daemon;

#[cfg(feature = "program")]
pub mod trends;

#[cfg(feature = "program")]
pub mod notify;

#[cfg(feature = "program")]
pub mod web;

#[cfg(feature = "program")]
pub mod demo;

#[cfg(feature = "program")]
pub mod cli;
