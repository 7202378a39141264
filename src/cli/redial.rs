//! `potato redial`: an uplink gets its address anew.

use std::path::Path;

use super::{CommandError, Format, answer, client, complain, in_json};
use crate::daemon::report::{RedialOrder, RedialReport};

/// Tells the router of `run_dir`.
pub(super) fn run(run_dir: &Path, format: Format, order: &RedialOrder) -> Result<(), CommandError> {
    let done: RedialReport = client::tell(run_dir, "/v1/redial", order)?;
    match format {
        Format::Json => answer(&in_json(&done)?),
        Format::Table => {
            answer(&said(&done))?;
            done.warnings.iter().for_each(|warning| complain(&format!("warning: {warning}")));
            Ok(())
        }
    }
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
