//! Waiting for what is about to be: always for a condition, always with a bound.

use std::time::Duration;

use potato::demo::lab::LabError;
use potato::demo::lab::router::wait_until;

use crate::Must;

/// How long anything may take that should be there at once, on a machine that does much else.
pub const SOON: Duration = Duration::from_secs(10);

/// Waits for a condition; `look` says what it sees while it is not fulfilled.
///
/// # Panics
/// When it is not fulfilled soon.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    wait_until(what, SOON, || Ok::<_, LabError>(look())).must()
}
