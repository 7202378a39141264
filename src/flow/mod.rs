//! Connections: what names one, the table that finds it, how TCP moves through its life, and when it is forgotten.

pub mod direction;
pub mod fragment;
pub mod hash;
pub mod index;
pub mod record;
pub mod table;
pub mod tcp;
pub mod time;
pub mod timeouts;
pub mod tuple;

pub use direction::Direction;
pub use record::{EndpointV4, FlowKey, FlowV4};
pub use table::{FlowId, FlowTable};
pub use tcp::{TcpState, TcpTracker, TcpVerdict};
pub use time::Timestamp;
pub use tuple::{Endpoint, Protocol, Tuple};
