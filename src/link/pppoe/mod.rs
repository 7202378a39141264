//! PPPoE for one line: a session with the provider's concentrator (RFC 2516), and in it an address (RFC 1661, 1332).
//!
//! Theory of operation. [`Client`] is a state machine without sockets or clock, as the DHCP client is. Its owner says
//! when the line has a carrier and hands it the frames of PPPoE that came; it gives whole Ethernet frames to send, says
//! when it wants to be called again, and tells as [`ClientEvent`]s what has happened. Packets are not its business: while
//! it has a [`Connection`], the engine puts them into the session and takes them out.
//!
//! ```text
//!  carrier -> Discovering -PADO-> Requesting -PADS-> Session: link (LCP) -> authentication -> network (IPCP) -> up
//!                 ^  ^                | silence                   | refused, silent, ended by the peer, echo unanswered
//!                 |  +----------------+                           v
//!                 +-------------------------------------------- Waiting, longer each time, and longer still when refused
//! ```
//!
//! `discovery` and `packet` read and write, `negotiation` is RFC 1661's automaton for both LCP and IPCP, whose options
//! are `lcp` and `ipcp`, `authentication` is PAP and CHAP, `session` puts them in their order, `frame` wraps it all.
//!
//! It dials for ever. What it does not do: IPv6, compression, several links as one, passwords other than by PAP and
//! CHAP with MD5, or ask the peer for one.

mod account;
mod authentication;
mod client;
mod discovery;
mod event;
mod frame;
mod ipcp;
mod lcp;
mod negotiation;
mod packet;
mod session;
#[cfg(test)]
mod tests;

pub use account::{Account, Secret};
pub use client::Client;
pub use discovery::Discovery;
pub use event::{ClientEvent, Connection, Failure};
pub use packet::{Options, Packet};
