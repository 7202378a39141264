//! Protocols of one line, pure state machines: every input, time too, is an argument.
//!
//! All share their verbs: `handle_packet`, `handle_timeout`, `poll_transmit`, `poll_timeout`, `poll_event`.

pub mod arp;
pub mod dhcp;
pub mod health;
pub mod line;
pub mod neighbor;
pub mod pppoe;

pub use arp::ArpFrame;
pub use line::{AdminStatus, Attachment, CannotRedial, Cause, Ends, InterfaceStatus, Line, LineEvent, Redial};
pub use neighbor::{Neighbor, NeighborEvent};
