//! Which uplink a new flow gets.

pub mod choose;
pub mod pool;
pub mod uplink;

pub use choose::{Demand, Load, choose, choose_other, is_eligible};
pub use pool::{Condition, Duty, Ended, Member, Pool, PoolEvent, Rank};
pub use uplink::{
    AddressOwner, Availability, DhcpAnswers, Lan, LanId, LanLink, MAX_LANS, MAX_UPLINKS, NextHop, Snapshot, Uplink,
    UplinkId, WorkerId, owner_of_port,
};
