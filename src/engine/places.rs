//! A place in the snapshot gets another uplink while the program runs.

use super::worker::Worker;
use crate::nat::ports::PortBounds;
use crate::placement::UplinkId;

impl Worker {
    /// Makes room for an uplink, and starts its counters at zero. To be done before the snapshot has it; the flows of whoever
    /// had the place before must have been forgotten. Takes memory when the place is new, and time in proportion to it.
    /// Its external ports are to be within `bounds`.
    pub fn take_in_uplink(&mut self, uplink: UplinkId, bounds: &PortBounds) {
        self.mappings.make_room(uplink.index() + 1);
        self.mappings.set_bounds(uplink, bounds);
        self.counters.uplink(uplink).reset();
        self.accounts.forget_line_of(&self.ledger, uplink);
    }
}
