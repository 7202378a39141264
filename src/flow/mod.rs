//! Connections: what names one, the table that finds it, how TCP moves through its life, and when it is forgotten.

pub mod direction;
pub mod fragment;
pub mod tcp;
pub mod time;
pub mod tuple;

pub use direction::Direction;
pub use tcp::{TcpState, TcpTracker, TcpVerdict};
pub use time::Timestamp;
pub use tuple::{Endpoint, Protocol, Tuple};
