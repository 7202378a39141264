//! Which way a packet of a flow goes.

/// The way of a packet, seen from the flow. Not the same as outbound and inbound: the original direction of a flow that
/// came in by a port-forward is inbound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Direction {
    /// From who spoke first.
    Original = 0,
    /// From who answered.
    Reply = 1,
}

impl Direction {
    /// The other way.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Original => Self::Reply,
            Self::Reply => Self::Original,
        }
    }

    /// For arrays with an entry a direction.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}
