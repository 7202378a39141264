//! Ending the flows of an uplink that gets another address: what they have at their far ends is the old one.

use super::worker::Worker;
use crate::flow::Timestamp;
use crate::placement::UplinkId;

/// Records looked at in one call.
const PAGE_RECORDS: u32 = 16_384;

impl Worker {
    /// Ends an uplink's flows, a page at a time, so that packets do not wait for long. `cursor` is 0 at first, then what
    /// this returned; `None` says that all are ended. Nobody may give the uplink new flows meanwhile: it must have no
    /// address in the snapshot.
    pub fn forget_flows(&mut self, now: Timestamp, uplink: UplinkId, cursor: u32) -> Option<u32> {
        let end = cursor.saturating_add(PAGE_RECORDS);
        let mut next = None;
        let mut keys = Vec::new();
        for (at, record) in self.table.records_from(cursor) {
            if at >= end {
                next = Some(at);
                break;
            }
            keys.extend(record.key().filter(|_| record.body.uplink == uplink.0));
        }
        for id in keys.iter().filter_map(|key| self.table.find(key)).collect::<Vec<_>>() {
            self.end_flow(now, id);
        }
        next
    }
}
