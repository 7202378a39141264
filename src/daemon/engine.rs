//! The seam to the packet path: from the configuration to its workers.

use std::fs::{self, File};
use std::io::{self, Read};
use std::num::NonZeroU8;
use std::path::Path;

use super::DaemonError;
use crate::config::Config;
use crate::engine::{self, EngineConfig, Settings, UplinkIdentity, Worker};
use crate::flow::Timestamp;

use crate::sys::clock;

/// Names the machine's boot: the times in the flow slab count from it.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// The flow slab in the run directory; `cleanup` deletes what begins with it.
const FLOWS_FILE: &str = "flows";
const RANDOM: &str = "/dev/urandom";

/// Makes the workers, with the flows that a killed router has left in the run directory.
pub(super) fn build_engine(config: &Config, workers: NonZeroU8) -> Result<Vec<Worker>, DaemonError> {
    let identity = |uplink: &crate::config::Uplink| UplinkIdentity {
        name: uplink.name.to_string(),
        external: uplink.address.addr(),
    };
    let engine_config = EngineConfig {
        file: Some(config.router.run_dir.join(FLOWS_FILE)),
        boot_id: boot_id().map_err(DaemonError::during(format!("read {BOOT_ID}")))?,
        workers: workers.get(),
        flows: usize::try_from(config.router.flows.get()).unwrap_or(usize::MAX),
        uplinks: config.uplinks.iter().map(identity).collect(),
        seed: random_seed().map_err(DaemonError::during(format!("read {RANDOM}")))?,
        settings: Settings::default(),
    };
    Ok(engine::open(&engine_config, Timestamp::from(clock::monotonic()))?)
}

/// The 16 bytes of the boot's UUID.
fn boot_id() -> io::Result<[u8; 16]> {
    let text = fs::read_to_string(Path::new(BOOT_ID))?;
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    u128::from_str_radix(&digits, 16).map(u128::to_be_bytes).map_err(io::Error::other)
}

fn random_seed() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    File::open(RANDOM)?.read_exact(&mut seed)?;
    Ok(seed)
}
