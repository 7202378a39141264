//! Which uplink a new flow gets.

pub mod uplink;

pub use uplink::{
    Availability, Lan, LanId, LanLink, MAX_LANS, MAX_UPLINKS, Snapshot, Uplink, UplinkId, WorkerId, owner_of_port,
};
