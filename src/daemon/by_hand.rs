//! What people have made of one line by hand, and who did: whether it is down, its role, when it was redialled.
//!
//! What is to outlive the router is in the [`super::admin_file`]; who was last at it, and when, is known for this run.

use super::actor::Actor;
use super::admin_file::{AdminFile, RoleGiven};
use super::history::rfc3339;
use super::order_refusal::OrderRefusal;
use crate::config::{self, Role};
use crate::sys::clock;

/// Who has ordered something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ordered {
    /// Who.
    pub(super) by: String,
    /// When, in milliseconds since 1970; `None`: in an earlier run.
    at: Option<u64>,
}

impl Ordered {
    /// By `actor`, now.
    pub(super) fn now(actor: &Actor) -> Self {
        Self { by: actor.to_string(), at: u64::try_from(clock::wall().as_millis()).ok() }
    }

    /// In an earlier run.
    fn before(by: &str) -> Self {
        Self { by: by.to_owned(), at: None }
    }
}

/// What people have made of a line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ByHand {
    /// Who has taken it down; `None`: nobody.
    pub(super) taken_down_by: Option<String>,
    /// The role that somebody has given it; `None`: it has the configuration's.
    pub(super) role: Option<RoleGiven>,
    /// Who has last said whether it should be up.
    pub(super) link: Option<Ordered>,
    /// Who has last said what role it should have.
    pub(super) role_order: Option<Ordered>,
    /// Who has last had it redialled.
    pub(super) redial: Option<Ordered>,
    /// How often it was redialled by hand in this run.
    pub(super) redials: u32,
}

impl ByHand {
    /// What the file remembers of an uplink.
    pub(super) fn remembered(file: &AdminFile, uplink: &config::Uplink) -> Self {
        let name = uplink.name.as_str();
        let taken_down_by = file.remembered(name).map(str::to_owned);
        let role = file.role(name).filter(|given| Role::from(given.configured) == uplink.role).cloned();
        Self {
            link: taken_down_by.as_deref().map(Ordered::before),
            role_order: role.as_ref().map(|given| Ordered::before(&given.by)),
            taken_down_by,
            role,
            ..Self::default()
        }
    }
}

/// Somebody else was faster: `name` is not as whoever orders has seen it, but `is`, for `ordered` has had it so (`done`).
pub(super) fn too_late(name: &str, is: &str, done: &str, ordered: Option<&Ordered>) -> OrderRefusal {
    let by = ordered.map(|ordered| ordered.by.clone());
    let at = ordered.and_then(|ordered| ordered.at).map(rfc3339);
    let detail = match (&by, &at) {
        (Some(by), Some(at)) => format!("{name} was {done} by {by} at {at}"),
        (Some(by), None) => format!("{name} was {done} by {by}"),
        (None, _) => format!("{name} {is}"),
    };
    OrderRefusal::TooLate { detail: format!("{detail}; nothing was done"), by, at }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_faster_is_told_as_far_as_it_is_known() {
        let told = |ordered: Option<Ordered>| {
            let OrderRefusal::TooLate { detail, by, at } =
                too_late("dsl1", "is standby", "made standby", ordered.as_ref())
            else {
                panic!("it is too late")
            };
            (detail, by.is_some(), at.is_some())
        };
        let now = Ordered { by: "anna".to_owned(), at: Some(1_795_703_476_000) };
        let at = "dsl1 was made standby by anna at 2026-11-26T14:31:16.000Z; nothing was done";
        assert_eq!(told(Some(now)), (at.to_owned(), true, true));
        let before = "dsl1 was made standby by anna; nothing was done";
        assert_eq!(told(Some(Ordered::before("anna"))), (before.to_owned(), true, false));
        assert_eq!(told(None), ("dsl1 is standby; nothing was done".to_owned(), false, false));
    }
}
