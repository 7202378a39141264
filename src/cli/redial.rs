//! `potato redial`: an uplink gets its address anew.

use std::path::Path;

use super::{CommandError, Format, order};
use crate::daemon::report::{RedialOrder, RedialReport};

/// Tells the router of `run_dir`.
pub(super) fn run(run_dir: &Path, format: Format, order: &RedialOrder) -> Result<(), CommandError> {
    order::give(run_dir, format, "/v1/redial", order, |done: &RedialReport| (said(done), &done.warnings))
}

fn said(done: &RedialReport) -> String {
    let RedialReport { uplink, state, what, .. } = done;
    format!("{uplink}: {what}; its state is {state}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_says_what_is_done() {
        let done = RedialReport {
            uplink: "dsl3".to_owned(),
            state: "connecting".to_owned(),
            what: "its session is ended and dialled anew".to_owned(),
            ..RedialReport::default()
        };
        assert_eq!(said(&done), "dsl3: its session is ended and dialled anew; its state is connecting\n");
    }
}
