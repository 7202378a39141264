//! The switches of one interface under `/proc/sys/net`. They are those of the network namespace of the calling thread.

use std::fs;
use std::io;
use std::path::PathBuf;

use super::error::HostError;

/// Which protocol a switch is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `net/ipv4/conf`.
    Ipv4,
    /// `net/ipv6/conf`. Not there on a machine that was booted without IPv6.
    Ipv6,
}

impl Family {
    /// Its directory's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        }
    }
}

fn path(family: Family, interface: &str, key: &str) -> PathBuf {
    ["/proc/sys/net", family.name(), "conf", interface, key].iter().collect()
}

/// The value without its line end; `None` when there is no such interface or switch.
pub(super) fn read(family: Family, interface: &str, key: &str) -> Result<Option<String>, HostError> {
    let path = path(family, interface, key);
    match fs::read_to_string(&path) {
        Ok(value) => Ok(Some(value.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(HostError::Sysctl { action: "read".to_owned(), path, source }),
    }
}

/// Sets the value.
pub(super) fn write(family: Family, interface: &str, key: &str, value: &str) -> Result<(), HostError> {
    let path = path(family, interface, key);
    fs::write(&path, value).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => HostError::NoInterface { name: interface.to_owned() },
        io::ErrorKind::PermissionDenied => {
            HostError::Permission { what: format!("write {value:?} to {}", path.display()) }
        }
        _ => HostError::Sysctl { action: format!("write {value:?}"), path, source },
    })
}
