//! Addresses and ports: mappings, their ports, and the rewriting of packets (RFC 4787, 5382, 5508, 7857).

pub mod holders;
pub mod mapping;
pub mod ports;
pub mod translate;

pub use holders::PortsHeld;
pub use mapping::{Ending, Mapping, Mappings};
pub use ports::{PortBounds, PortSlice};
