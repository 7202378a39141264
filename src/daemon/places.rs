//! Places in the snapshot: an uplink has one for as long as it is configured, and its flows know it by that.
//!
//! The list of uplinks has an entry for every place that was ever used, so the number of a place is its position there. The
//! place of an uplink that is removed stands vacant, without address and interface, until another uplink is given it.

use std::path::Path;
use std::sync::Arc;

use super::admin_file::AdminFile;
use super::by_hand::ByHand;
use super::history::History;
use super::lease_file::LeaseFile;
use super::place::Place;
use super::uplink::{LineSeeds, UplinkState};
use super::{DaemonError, engine};
use crate::config::{self, UplinkName};
use crate::host::ports;
use crate::link::health;
use crate::placement::UplinkId;

/// What an uplink's state is made from, besides its own configuration.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surroundings<'r> {
    pub(super) state_dir: &'r Path,
    pub(super) health: &'r Arc<health::Settings>,
    pub(super) admin_file: &'r AdminFile,
    pub(super) history: &'r History,
}

/// An uplink in a place, whose interface nobody has seen yet. `flows_address` is what its flows of an earlier run have.
///
/// # Errors
/// When the system has no random bytes, or the kernel leaves us no ports of an address that it has itself.
pub(super) fn uplink_in(
    place: UplinkId,
    uplink: &config::Uplink,
    flows_address: Option<std::net::Ipv4Addr>,
    surroundings: Surroundings<'_>,
) -> Result<UplinkState, DaemonError> {
    let Surroundings { state_dir, health, admin_file, history } = surroundings;
    let lease_file = LeaseFile::open(state_dir, &uplink.name);
    let by_hand = ByHand::remembered(admin_file, uplink);
    let seeds = LineSeeds { client: engine::seed()?, probes: engine::seed()?, health: Arc::clone(health) };
    let mut state = UplinkState::new(place, uplink.clone(), flows_address, seeds, by_hand, lease_file, history.clone());
    if state.is_adopted() {
        state.ports = ports::left_by_kernel()?;
    }
    Ok(state)
}

/// The uplink of this name.
pub(super) fn named<'u>(uplinks: &'u [UplinkState], name: &UplinkName) -> Option<&'u UplinkState> {
    configured(uplinks).find(|uplink| uplink.config.name == *name)
}

/// The uplinks of the configuration.
pub(super) fn configured(uplinks: &[UplinkState]) -> impl Iterator<Item = &UplinkState> {
    uplinks.iter().filter(|uplink| uplink.place == Place::Configured)
}
