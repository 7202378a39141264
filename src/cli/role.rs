//! `potato role`: an uplink gets another role by hand.

use std::path::Path;

use super::{CommandError, Format, order, units};
use crate::daemon::report::{RoleOrder, RoleReport};

/// Tells the router of `run_dir`.
pub(super) fn run(run_dir: &Path, format: Format, order: &RoleOrder) -> Result<(), CommandError> {
    order::give(run_dir, format, "/v1/role", order, |done: &RoleReport| (said(done), &done.warnings))
}

fn said(done: &RoleReport) -> String {
    let RoleReport { uplink, role, flows, changed, .. } = done;
    let configured = if done.set_by.is_some() { "" } else { ", as configured" };
    match (changed, flows) {
        (false, _) => format!("{uplink} was {role} already{configured}\n"),
        (true, 0) => format!("{uplink} is {role} from now on{configured}\n"),
        (true, 1) => format!("{uplink} is {role} from now on{configured}; its connection stays\n"),
        (true, _) => {
            let flows = units::count(*flows);
            format!("{uplink} is {role} from now on{configured}; its {flows} connections stay\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_says_the_role_and_what_stays() {
        let of = |set_by: Option<&str>, changed, flows| RoleReport {
            uplink: "dsl3".to_owned(),
            role: "standby".to_owned(),
            set_by: set_by.map(str::to_owned),
            changed,
            flows,
            ..RoleReport::default()
        };
        for (done, text) in [
            (of(Some("anna"), true, 1_200), "dsl3 is standby from now on; its 1,200 connections stay\n"),
            (of(Some("anna"), true, 1), "dsl3 is standby from now on; its connection stays\n"),
            (of(None, true, 0), "dsl3 is standby from now on, as configured\n"),
            (of(None, false, 4), "dsl3 was standby already, as configured\n"),
        ] {
            assert_eq!(said(&done), text);
        }
    }
}
