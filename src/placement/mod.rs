//! Which uplink a new flow gets.

pub mod choose;
pub mod uplink;

pub use choose::{Load, choose, is_eligible};
pub use uplink::{
    AddressOwner, Availability, DhcpAnswers, Lan, LanId, LanLink, MAX_LANS, MAX_UPLINKS, NextHop, Snapshot, Uplink,
    UplinkId, WorkerId, owner_of_port,
};
