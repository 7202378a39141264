//! Which interfaces there are, and whose they are: what has come, gone and been renamed.

use tracing::{info, warn};

use super::DaemonError;
use super::departure::Departure;
use super::matching::{self, Wanted};
use super::place::Place;
use super::places;
use super::router::{Router, now};
use super::uplink::UplinkState;
use crate::config::UplinkInterface;
use crate::host::{Interface, device};

impl Router<'_> {
    /// Looks which interfaces there are now: what an event says may be old, our own steps have changed it since.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub(super) async fn look_at_interfaces(&mut self) -> Result<(), DaemonError> {
        let there = self.host.interfaces().await?;
        let outcome = self.note_interfaces(&there).await;
        self.survive(outcome, "interface cannot be put back as it was");
        self.settle_interfaces().await;
        Ok(())
    }

    /// Takes in which interfaces there are. An interface with another number is another interface.
    ///
    /// # Errors
    /// When an interface that is no uplink's any more cannot be put back as it was.
    pub(super) async fn note_interfaces(&mut self, there: &[Interface]) -> Result<(), DaemonError> {
        for lan in 0..self.lans.len() {
            self.note_lan(lan, there);
        }
        let assigned = self.assign(there);
        let mut left = Vec::new();
        for (at, interface) in assigned.iter().enumerate() {
            left.extend(self.note_uplink(at, *interface, there));
        }
        // One that another uplink has from now on is prepared anew, without a gap in its guard.
        left.retain(|index| assigned.iter().flatten().all(|interface| interface.index != *index));
        for index in left {
            self.host.release(index).await?;
        }
        Ok(())
    }

    /// The interface of each place; a vacant one gets none.
    fn assign<'i>(&self, there: &'i [Interface]) -> Vec<Option<&'i Interface>> {
        let held = |uplink: &UplinkState| uplink.interface.as_ref().map(|interface| interface.index);
        let wanted: Vec<_> = places::configured(&self.uplinks)
            .map(|uplink| Wanted { by: &uplink.config.interface, held: held(uplink) })
            .collect();
        let lans = self.lans.iter().map(|lan| lan.name.as_str());
        let taken: Vec<_> = lans.chain([self.config.lan.tun.as_str(), "lo"]).collect();
        let mut assigned = matching::assign(&wanted, there, &taken, device::device_path).into_iter();
        let of_place = |uplink: &UplinkState| match uplink.place {
            Place::Configured => assigned.next().flatten(),
            Place::Vacant => None,
        };
        self.uplinks.iter().map(of_place).collect()
    }

    /// Takes in which interface is an uplink's; gives the number of the one that is no longer.
    fn note_uplink(&mut self, at: usize, interface: Option<&Interface>, there: &[Interface]) -> Option<u32> {
        let uplink = &mut self.uplinks[at];
        let known = uplink.interface.take();
        let is_same = known.as_ref().map(|known| known.index) == interface.map(|interface| interface.index);
        if is_same {
            if let (Some(known), Some(interface)) = (&known, interface)
                && known.name != interface.name
            {
                info!(uplink = %uplink.config.name, from = %known.name, to = %interface.name, "interface is renamed");
            }
            uplink.interface = interface.cloned();
            return None;
        }
        if let Some(known) = &known {
            self.workers.detach_uplink(uplink.id);
            uplink.close();
            uplink.departure = Departure::of(known, uplink.path.as_deref(), there);
            // Told to the line even if the new one comes at once: its gateway is to be asked for again.
            uplink.update_line(now());
        }
        uplink.path = interface.and_then(device::device_path);
        uplink.interface = interface.cloned();
        known.map(|known| known.index)
    }

    fn note_lan(&mut self, at: usize, there: &[Interface]) {
        let lan = &mut self.lans[at];
        let interface = there.iter().find(|interface| interface.name == lan.name.as_str());
        if lan.interface.as_ref().map(|known| known.index) != interface.map(|interface| interface.index) {
            self.workers.detach_lan(lan.id);
            (lan.open, lan.guard_stale, lan.mode, lan.address) = (false, false, None, None);
            lan.networks.clear();
            // Its address may be there already, and no event may come for that.
            self.refresh_at.get_or_insert(now());
        }
        lan.interface = interface.cloned();
    }

    /// Says which uplinks have no interface yet, and what there is instead.
    pub(super) fn warn_of_missing(&self) {
        for uplink in places::configured(&self.uplinks).filter(|uplink| uplink.interface.is_none()) {
            let (name, interface) = (&uplink.config.name, &uplink.config.interface);
            let there = match interface {
                UplinkInterface::Name(_) => String::new(),
                UplinkInterface::Mac(_) | UplinkInterface::Path(_) => device_list(),
            };
            warn!(uplink = %name, %interface, there, "interface is not there yet");
        }
        let missing = self.lans.iter().filter(|lan| lan.interface.is_none());
        missing.for_each(|lan| warn!(interface = %lan.name, "LAN interface is not there yet"));
    }
}

/// What there is, for whoever looks for an interface that is not.
fn device_list() -> String {
    device::seen().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
