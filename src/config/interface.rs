//! How an uplink says which interface is its own: by name, by Ethernet address, or by the place where it is plugged in.
//!
//! Names of USB sticks and LTE dongles depend on who was plugged in first. An Ethernet address belongs to one stick, whatever
//! it is called; a path belongs to one socket, whatever is plugged into it.

use std::fmt;
use std::sync::Arc;

use super::error::Mistake;
use super::section::{Section, Value, text};
use super::values::{InterfaceName, interface_name};
use crate::wire::MacAddress;

/// What an uplink's interface is known by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UplinkInterface {
    /// The interface of this name, whichever that is.
    Name(InterfaceName),
    /// The interface with this Ethernet address, whatever its name.
    Mac(MacAddress),
    /// The interface that is plugged in there, whatever its name.
    Path(DevicePath),
}

impl UplinkInterface {
    /// The name, if it is known by that.
    #[must_use]
    pub fn name(&self) -> Option<&InterfaceName> {
        match self {
            Self::Name(name) => Some(name),
            Self::Mac(_) | Self::Path(_) => None,
        }
    }

    /// The key in the file that says it.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::Name(_) => "interface",
            Self::Mac(_) => "mac",
            Self::Path(_) => "path",
        }
    }
}

impl fmt::Display for UplinkInterface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Mac(mac) => write!(f, "mac {mac}"),
            Self::Path(path) => write!(f, "path {path}"),
        }
    }
}

/// Where a device is plugged in, as udev's `ID_PATH` says it: `pci-0000:00:14.0-usb-0:2:1.0`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DevicePath(Arc<str>);

impl DevicePath {
    /// Whether a device at `path` is meant: it is this one, or a part of it. A stick that has several interfaces may number
    /// them otherwise tomorrow; `pci-0000:00:14.0-usb-0:2` is any of them, and nothing in another socket.
    #[must_use]
    pub fn covers(&self, path: &str) -> bool {
        path.strip_prefix(&*self.0).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '-']))
    }
}

impl fmt::Display for DevicePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Reads which interface is an uplink's: exactly one of three keys.
pub(super) fn read(section: &Section<'_, '_>) -> Result<UplinkInterface, Mistake> {
    let name = section.optional("interface", interface_name)?.map(UplinkInterface::Name);
    let mac = section.optional("mac", mac)?.map(UplinkInterface::Mac);
    let path = section.optional("path", path)?.map(UplinkInterface::Path);
    let mut given = name.into_iter().chain(mac).chain(path);
    let right = "one of `interface`, `mac` and `path`";
    match (given.next(), given.next()) {
        (Some(only), None) => Ok(only),
        (Some(first), Some(second)) => {
            let wrong = format!("the interface is given by `{}` already", first.key());
            Err(Mistake::new(section.place(second.key()), wrong, right).of_key(second.key()))
        }
        (None, _) => {
            let wrong = format!("{} has no `interface`, and no `mac` or `path` in its stead", section.name);
            Err(Mistake::new(section.span.clone(), wrong, "add a line such as interface = \"wan1\""))
        }
    }
}

fn mac(value: &Value<'_>) -> Result<MacAddress, Mistake> {
    let given = text(value)?;
    let right = "six hexadecimal pairs joined by colons, as in \"02:00:5e:10:00:01\"";
    let mac: Result<MacAddress, _> = given.parse();
    let wrong = match mac {
        Ok(mac) if !mac.is_group() && mac != MacAddress::default() => return Ok(mac),
        Ok(mac) => format!("{mac} is not the address of one interface"),
        Err(_) => format!("\"{}\" is not an Ethernet address", given.escape_debug()),
    };
    Err(Mistake::new(value.span(), wrong, right))
}

fn path(value: &Value<'_>) -> Result<DevicePath, Mistake> {
    let given = text(value)?;
    let known = |character: char| character.is_ascii_alphanumeric() || ":.-_".contains(character);
    if ["pci-", "platform-", "usb-"].iter().any(|bus| given.starts_with(bus)) && given.chars().all(known) {
        return Ok(DevicePath(given.into()));
    }
    let wrong = format!("\"{}\" is not where a device is plugged in", given.escape_debug());
    let right = "a path as in \"pci-0000:00:14.0-usb-0:2:1.0\": ID_PATH in `udevadm info /sys/class/net/NAME`";
    Err(Mistake::new(value.span(), wrong, right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_covers_its_socket_and_no_other() {
        let covers = |path: &str, device: &str| DevicePath(path.into()).covers(device);
        let stick = "pci-0000:00:14.0-usb-0:2:1.0";
        assert!(covers(stick, stick) && covers("pci-0000:00:14.0-usb-0:2", stick) && covers("pci-0000:00:14.0", stick));
        assert!(!covers("pci-0000:00:14.0-usb-0:2", "pci-0000:00:14.0-usb-0:2.3:1.0"), "a socket of a hub in it");
        assert!(!covers("pci-0000:00:14.0-usb-0:2", "pci-0000:00:14.0-usb-0:21:1.0"));
        assert!(!covers(stick, "pci-0000:00:14.0-usb-0:2:1.1") && !covers(stick, "pci-0000:00:14.0"));
    }
}
