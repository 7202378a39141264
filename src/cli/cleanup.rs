//! `potato cleanup`: undoes what a router that was killed left.

use std::path::Path;

use super::{CommandError, answer};
use crate::host::{self, FlowFile};

/// Undoes what the journal in `run_dir` tells of, and deletes the flows' file or keeps it.
pub(super) fn run(run_dir: &Path, flow_file: FlowFile) -> Result<(), CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CommandError::Runtime)?;
    let done = runtime.block_on(host::cleanup(run_dir, flow_file))?;
    if done.is_empty() {
        return answer("nothing to undo\n");
    }
    answer(&done.iter().map(|line| format!("{line}\n")).collect::<String>())
}
