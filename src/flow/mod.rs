//! Connections: what names one, the table that finds it, how TCP moves through its life, and when it is forgotten.

pub mod time;
pub mod tuple;

pub use time::Timestamp;
pub use tuple::{Endpoint, Protocol, Tuple};
