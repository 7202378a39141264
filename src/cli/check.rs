//! `potato check`: is the file right, and what would it do?

use std::path::Path;

use super::{CommandError, answer, complain};
use crate::config;

/// Checks the file at `path`.
pub(super) fn run(path: &Path) -> Result<(), CommandError> {
    let config = config::load(path)?;
    for warning in &config.warnings {
        complain(&format!("{}:{}: {} has no effect in this version", path.display(), warning.line, warning.what));
    }
    let lans: Vec<_> = config.lan.interfaces.iter().map(config::InterfaceName::as_str).collect();
    let (count, plural) = (config.uplinks.len(), if config.uplinks.len() == 1 { "" } else { "s" });
    answer(&format!(
        "{}: ok: {count} uplink{plural}, LAN {}, capture {}\n",
        path.display(),
        lans.join(", "),
        config.lan.capture.name()
    ))
}
