//! Which uplink a new flow gets.

pub mod affinity;
pub mod bulky;
pub mod capacity;
pub mod choose;
pub mod coverage;
pub mod default_rules;
mod floor;
pub mod forward;
pub mod ids;
pub mod isolation;
pub mod load;
mod memory;
pub mod policy;
pub mod pool;
pub mod reason;
pub mod score;
#[cfg(test)]
pub(crate) mod testing;
pub mod uplink;

pub use affinity::{Adhesion, Affinity, not_full};
pub use bulky::{Bulky, Finding, is_bulky};
pub use capacity::{Estimate, Learner};
pub use choose::{Choice, Demand, candidates, choose, choose_other, takes_flows};
pub use coverage::Ranges;
pub use default_rules::default_rules;
pub use floor::Floor;
pub use forward::{Door, Forward, Forwards};
pub use ids::{LanId, MAX_LANS, MAX_UPLINKS, UplinkId, WorkerId, owner_of_port};
pub use isolation::{Fitness, Isolation, LineState, RoleCause, RoleMoved};
pub use load::{Knowledge, Load, Rates, is_full};
pub use policy::{
    Action, Class, Decision, Fallback, Match, Opening, Policy, Reserved, Rule, RuleId, Stickiness, Tiers, UplinkSet,
};
pub use pool::{Condition, Duty, Ended, Member, Pool, PoolEvent, Rank};
pub use reason::Reason;
pub use score::{Score, Scores};
pub use uplink::{AddressOwner, Availability, DhcpAnswers, Lan, LanLink, NextHop, Snapshot, Uplink};
