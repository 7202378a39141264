//! Why a flow has the line that it has.

/// What has decided a flow's line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reason {
    /// It was expected to be done soonest there.
    #[default]
    Soonest = 0,
    /// Its host's port is known to the internet by an address of that line (RFC 4787 REQ-1).
    Mapping = 1,
    /// Its host's flows to the same site leave by it.
    Sticky = 2,
    /// Its first packet came by it.
    Inbound = 3,
    /// Nobody had answered its SYN on another line.
    Rescued = 4,
    /// The line that it had was lost.
    Moved = 5,
}
