//! The router's hop.

use super::parse::Parsed;
use crate::placement::LanId;

/// Who counts the router's hop in the time to live. It is to be one hop, whichever way packets take through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hop {
    /// The engine.
    Ours,
    /// The kernel, which routes what passes the TUN device; the router's own packets are on their first hop there.
    Kernels,
}

impl Hop {
    /// Of packets that come from or go to `lan`.
    pub(super) fn of(lan: LanId) -> Self {
        if lan == LanId::TUN { Self::Kernels } else { Self::Ours }
    }

    /// Whether the packet may not go on.
    pub(super) fn is_last(self, parsed: &Parsed) -> bool {
        self == Self::Ours && parsed.ip.ttl <= 1
    }
}
