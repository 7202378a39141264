//! Which uplink a new flow gets.

pub mod choose;
pub mod coverage;
pub mod default_rules;
pub mod ids;
pub mod policy;
pub mod pool;
pub mod uplink;

pub use choose::{Demand, Load, candidates, choose, choose_other, takes_flows};
pub use coverage::Ranges;
pub use default_rules::default_rules;
pub use ids::{LanId, MAX_LANS, MAX_UPLINKS, UplinkId, WorkerId, owner_of_port};
pub use policy::{
    Action, Class, Decision, Fallback, Match, Opening, Policy, Reserved, Rule, RuleId, Stickiness, Tiers, UplinkSet,
};
pub use pool::{Condition, Duty, Ended, Member, Pool, PoolEvent, Rank};
pub use uplink::{AddressOwner, Availability, DhcpAnswers, Lan, LanLink, NextHop, Snapshot, Uplink};
