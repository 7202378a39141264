//! Whether a place in the snapshot is somebody's.

/// Whether somebody has a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// An uplink of the configuration. Leaves by: a configuration without it -> Vacant.
    Configured,
    /// Nobody. Leaves by: a new uplink.
    Vacant,
}
