//! The seam to the packet path: from the configuration to its workers.

use std::fs::{self, File};
use std::io::{self, Read};
use std::num::NonZeroU8;

use tracing::warn;

use super::DaemonError;
use crate::config::{Config, Uplink};
use crate::engine::{self, EngineConfig, FlowAddresses, Settings, ShortcutTable, UplinkIdentity, Worker};
use crate::flow::Timestamp;
use crate::io::Shortcut;

/// The file in the run directory that holds the flows. It stays when the router stops, so that a restart keeps them.
const FLOWS_FILE: &str = "flows";

/// Makes the workers, with the flows that an earlier run has left in the run directory, and says which addresses those have.
pub(super) fn build_engine(
    config: &Config,
    workers: NonZeroU8,
    shortcut: Option<ShortcutTable>,
    now: Timestamp,
) -> Result<(Vec<Worker>, FlowAddresses), DaemonError> {
    let engine = EngineConfig {
        file: Some(config.router.run_dir.join(FLOWS_FILE)),
        boot_id: boot_id().map_err(DaemonError::during("read which boot this is"))?,
        workers: workers.get(),
        flows: usize::try_from(config.router.flows.get()).unwrap_or(usize::MAX),
        uplinks: config.uplinks.iter().map(identity).collect(),
        seed: seed()?,
        settings: Settings { movable: config.router.movable_udp, ..Settings::default() },
        shortcut,
    };
    Ok(engine::open_with_addresses(&engine, now)?)
}

/// What makes an uplink the same one in the next run.
pub(super) fn identity(uplink: &Uplink) -> UplinkIdentity {
    UplinkIdentity { name: uplink.name.to_string(), external: uplink.kind.static_address() }
}

/// Makes the shortcut, unless it is switched off. A kernel that cannot have one is a slower router, not a broken one.
pub(super) fn build_shortcut(config: &Config) -> Result<Option<Shortcut>, DaemonError> {
    if !config.router.shortcut {
        return Ok(None);
    }
    let secret = seed()?;
    let (words, _) = secret.as_chunks();
    match Shortcut::create([words[0], words[1]].map(u64::from_ne_bytes)) {
        Ok(shortcut) => Ok(Some(shortcut)),
        Err(error) => {
            warn!(%error, "no shortcut for busy flows on this machine; every packet goes through the workers");
            Ok(None)
        }
    }
}

/// Names this boot of the machine.
fn boot_id() -> io::Result<[u8; 16]> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    parse_boot_id(&text).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not a UUID"))
}

fn parse_boot_id(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.trim().chars().filter(|c| *c != '-').collect();
    (digits.len() == 32).then_some(())?;
    u128::from_str_radix(&digits, 16).ok().map(u128::to_be_bytes)
}

/// Random bytes that nobody can guess.
pub(super) fn seed() -> Result<[u8; 32], DaemonError> {
    let mut seed = [0; 32];
    let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut seed));
    read.map_err(DaemonError::during("/dev/urandom"))?;
    Ok(seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_is_read() {
        let id = parse_boot_id("00112233-4455-6677-8899-aabbccddeeff\n").unwrap();
        assert_eq!((id[0], id[1], id[15]), (0x00, 0x11, 0xff));
        assert_eq!(parse_boot_id("0011"), None);
        assert_eq!(parse_boot_id(&"ä".repeat(16)), None);
    }
}
