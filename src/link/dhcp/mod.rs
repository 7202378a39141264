//! DHCP for one line: an address, a gateway and a few facts from the provider's server (RFC 2131).
//!
//! Theory of operation. [`Client`] is a state machine without sockets or clock. Its owner says when the line has a
//! carrier and hands it the DHCP messages (the payload of UDP to port 68) and the ARP packets that came; it gives whole
//! Ethernet frames to send, says when it wants to be called again, and tells as [`ClientEvent`]s what has happened.
//!
//! ```text
//!            remembered address: Rebooting --ACK--+
//!  carrier <                      | NAK, silence  v
//!            none: ---------> Selecting -> Requesting --ACK--> Probing --silence--> Bound -T1-> Renewing -T2-> Rebinding
//!                                 ^           | NAK, silence     | answered: DECLINE   ^----ACK----+-----ACK------+
//!                                 +-----------+------ Waiting <--+                           NAK, end of the lease: again
//! ```
//!
//! `message` reads and writes messages, [`Lease`] is what a server's answer comes to, `frame` wraps messages in UDP, IP
//! and Ethernet.
//!
//! What it does not do: ask for more than an uplink needs (no host name, no INFORM), keep several offers to compare
//! (the first acceptable one is taken: a line that is up sooner is worth more), or use a lease that is over.

mod client;
mod event;
mod frame;
mod lease;
mod message;
#[cfg(test)]
mod tests;

pub use client::Client;
pub use event::{ClientEvent, LeaseEnd, Remembered, Standing};
pub use frame::message_of;
pub use lease::{Lease, Lifetime, Unusable};
pub use message::{Reply, ReplyKind};
