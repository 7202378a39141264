//! How an uplink has lost its interface.

use std::fmt;

use crate::host::{Interface, device};

/// What has become of an interface that an uplink had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Departure {
    /// It is gone.
    Removed,
    /// It is gone, and was plugged in at a socket where people pull things out.
    Pulled {
        /// Where.
        path: String,
    },
    /// It is there as it was, and not this uplink's: the configuration says otherwise now.
    Reassigned,
    /// It is there under another name, which is not this uplink's.
    Renamed {
        /// How it is called now.
        to: String,
    },
}

impl Departure {
    /// What has become of `known`, whose device was at `path`, now that there are these interfaces.
    pub(super) fn of(known: &Interface, path: Option<&str>, there: &[Interface]) -> Self {
        let now = there.iter().find(|interface| interface.index == known.index);
        match (now, path) {
            (Some(now), _) if now.name == known.name => Self::Reassigned,
            (Some(now), _) => Self::Renamed { to: now.name.clone() },
            (None, Some(path)) if device::is_pluggable(path) => Self::Pulled { path: path.to_owned() },
            (None, _) => Self::Removed,
        }
    }
}

impl fmt::Display for Departure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Removed => f.write_str("interface removed"),
            Self::Pulled { path } => write!(f, "interface removed: stick pulled at {path}"),
            Self::Reassigned => f.write_str("interface removed: the configuration names another"),
            Self::Renamed { to } => write!(f, "interface removed: it is called {to} now"),
        }
    }
}
