//! A place in the snapshot gets another uplink while the program runs.

use super::worker::Worker;
use crate::placement::UplinkId;

impl Worker {
    /// Makes room for an uplink, and starts its counters at zero. To be done before the snapshot has it; the flows of whoever
    /// had the place before must have been forgotten. Takes memory when the place is new, and time in proportion to it.
    pub fn take_in_uplink(&mut self, uplink: UplinkId) {
        self.mappings.make_room(uplink.index() + 1);
        self.counters.uplink(uplink).reset();
    }
}
