//! May we do what a router does? Asked before anything is changed.

use std::fs;

/// From linux/capability.h: bit and name of what we need.
const NEEDED: [(u32, &str); 2] = [(12, "CAP_NET_ADMIN"), (13, "CAP_NET_RAW")];

/// We may not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a router needs {}; run it as root. Nothing has been changed", missing.join(" and "))]
pub struct PrivilegeError {
    missing: Vec<&'static str>,
}

/// Checks that this process may change interfaces and open raw sockets.
pub(super) fn check() -> Result<(), PrivilegeError> {
    // A kernel that does not say leaves it to the first step to find out.
    let Some(effective) = fs::read_to_string("/proc/self/status").ok().and_then(|status| effective(&status)) else {
        return Ok(());
    };
    let missing: Vec<_> = NEEDED.iter().filter(|(bit, _)| effective >> bit & 1 == 0).map(|(_, name)| *name).collect();
    if missing.is_empty() { Ok(()) } else { Err(PrivilegeError { missing }) }
}

/// The effective capabilities in a `/proc/<pid>/status`.
fn effective(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read() {
        assert_eq!(effective("Name:\tx\nCapEff:\t0000000000003000\nCapBnd:\t0\n"), Some(0x3000));
        assert_eq!(effective("Name:\tx\n"), None);
    }
}
