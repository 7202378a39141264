//! `potato reload`: the running router reads its configuration again and applies it.

use std::path::Path;

use super::{CommandError, Format, order};
use crate::daemon::report::ReloadReport;

/// Tells the router of `run_dir`.
pub(super) fn run(run_dir: &Path, format: Format) -> Result<(), CommandError> {
    order::give(run_dir, format, "/v1/reload", &(), |done: &ReloadReport| (done.text() + "\n", &done.warnings))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_says_what_is_different_in_one_line() {
        let changes = vec!["added dsl7".to_owned(), "dsl2: weight 1 -> 3".to_owned()];
        let report = ReloadReport { changes, unchanged: 5, warnings: Vec::new() };
        assert_eq!(report.text(), "added dsl7; dsl2: weight 1 -> 3; 5 uplinks unchanged");
        assert_eq!(ReloadReport { unchanged: 1, ..ReloadReport::default() }.text(), "1 uplink unchanged");
    }
}
