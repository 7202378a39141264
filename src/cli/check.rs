//! `potato check`: is the file right, and what would it do?

use std::path::Path;

use super::{CommandError, answer, complain};
use crate::config::{self, UplinkInterface};
use crate::host::device;

/// Checks the file at `path`.
pub(super) fn run(path: &Path) -> Result<(), CommandError> {
    let config = config::load(path)?;
    for warning in &config.warnings {
        complain(&format!("{}:{}: {} has no effect in this version", path.display(), warning.line, warning.what));
    }
    for advice in &config.advice {
        complain(&format!("{}:{}: {}", path.display(), advice.line, advice.text));
    }
    config.uplinks.iter().filter_map(missing).for_each(|note| complain(&note));
    let lans: Vec<_> = config.lan.interfaces.iter().map(config::InterfaceName::as_str).collect();
    let (count, plural) = (config.uplinks.len(), if config.uplinks.len() == 1 { "" } else { "s" });
    answer(&format!(
        "{}: ok: {count} uplink{plural}, LAN {}, capture {}\n",
        path.display(),
        lans.join(", "),
        config.lan.capture.name()
    ))
}

/// What to say of an uplink whose device is not plugged in here. A name may belong to an interface that is made later; an
/// address and a path are of a device, and who looks for one wants to see which there are.
fn missing(uplink: &config::Uplink) -> Option<String> {
    let seen = device::seen();
    let is_there = match &uplink.interface {
        UplinkInterface::Name(_) => return None,
        UplinkInterface::Mac(mac) => seen.iter().any(|seen| seen.has_mac(*mac)),
        UplinkInterface::Path(path) => seen.iter().any(|seen| seen.path().is_some_and(|there| path.covers(there))),
    };
    let there: Vec<_> = seen.iter().map(ToString::to_string).collect();
    (!is_there).then(|| {
        let (name, interface) = (&uplink.name, &uplink.interface);
        format!("uplink \"{name}\": nothing with {interface} is plugged in now; there is {}", there.join(", "))
    })
}
