//! What names a line, a LAN and a worker, and which worker owns a port.

use std::fmt;

/// Most uplinks a router can have.
pub const MAX_UPLINKS: usize = 32;
/// Most LAN interfaces a router can have, the TUN device among them.
pub const MAX_LANS: usize = 8;

/// An uplink: its place in [`crate::placement::Snapshot::uplinks`], constant while the router runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UplinkId(pub u8);

impl UplinkId {
    /// For arrays with an entry an uplink.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A LAN-side port: 0 is the TUN device, the others are Ethernet interfaces. Constant while the router runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LanId(pub u8);

impl LanId {
    /// The TUN device, which is always there: the router's own traffic comes by it.
    pub const TUN: Self = Self(0);

    /// For arrays with an entry a LAN.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A worker thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId(pub u8);

impl WorkerId {
    /// For arrays with an entry a worker.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The worker that owns all flows of an internal port, and of an external one (or ICMP identifier).
///
/// One function serves both sides, so a flow whose port is kept through the NAT has one owner seen from either side,
/// and a port that must change is taken from the same worker's slice. The lowest bit does not count: hosts choose ports
/// of one parity, and an RTP port and the RTCP port above it stay together. The steering programs on the sockets
/// compute the same.
#[must_use]
pub const fn owner_of_port(port: u16, workers: u8) -> WorkerId {
    #[expect(clippy::cast_possible_truncation, reason = "a remainder of division by a u8")]
    WorkerId(((port >> 1) % workers as u16) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ports_of_a_media_stream_have_one_owner() {
        assert_eq!(owner_of_port(30_000, 2), owner_of_port(30_001, 2));
        assert_ne!(owner_of_port(30_000, 2), owner_of_port(30_002, 2));
    }
}
