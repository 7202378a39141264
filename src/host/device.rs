//! Where a network device is plugged in, as sysfs tells it.
//!
//! Theory of operation: `/sys/class/net/NAME/device` leads to the device's own directory, which stands below those of all that
//! it hangs on: `/sys/devices/pci0000:00/0000:00:14.0/usb2/2-2/2-2:1.0`. Going up, the USB socket and the PCI function next to the
//! device (or the platform device, on boards without PCI) make up its path, `pci-0000:00:14.0-usb-0:2:1.0`. That is what
//! udev calls `ID_PATH`, and for the same reason: the number of the USB bus is left out, for it depends on which controller was
//! found first. Virtual interfaces (veth, bridges, PPP, WireGuard) hang on nothing and have no path.
//!
//! It only reads. The `/sys` of another network namespace tells of other interfaces; one whose number does not fit is not ours.

use std::fmt;
use std::fs;
use std::path::Path;

use super::interface::Interface;
use crate::wire::MacAddress;

/// Every interface, in the network namespace for which sysfs is mounted.
const NETWORK_CLASS: &str = "/sys/class/net";
/// What a USB device's part of a path begins with.
const USB: &str = "usb-0:";

/// Where an interface's device is plugged in; `None`: it is virtual, or gone.
#[must_use]
pub fn device_path(interface: &Interface) -> Option<String> {
    let directory = Path::new(NETWORK_CLASS).join(&interface.name);
    let index = read(&directory.join("ifindex"))?;
    (index == interface.index.to_string()).then_some(())?;
    path_of(&directory)
}

/// Whether a device with this path can be pulled out while the machine runs.
#[must_use]
pub fn is_pluggable(path: &str) -> bool {
    path.contains(USB)
}

/// An interface as sysfs tells of it, for a person who looks for one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    name: String,
    mac: Option<MacAddress>,
    path: Option<String>,
}

impl Seen {
    /// Whether this is its Ethernet address.
    #[must_use]
    pub fn has_mac(&self, mac: MacAddress) -> bool {
        self.mac == Some(mac)
    }

    /// Where its device is plugged in, if it has one.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        let mac = self.mac.map(|mac| format!("mac {mac}"));
        let path = self.path.as_ref().map(|path| format!("path {path}"));
        let facts: Vec<_> = mac.into_iter().chain(path).collect();
        if facts.is_empty() { Ok(()) } else { write!(f, " ({})", facts.join(", ")) }
    }
}

/// The interfaces that this machine has, by name; without the loopback, and nothing where there is no sysfs.
#[must_use]
pub fn seen() -> Vec<Seen> {
    seen_below(Path::new(NETWORK_CLASS))
}

fn seen_below(class: &Path) -> Vec<Seen> {
    let Ok(entries) = fs::read_dir(class) else { return Vec::new() };
    let seen = |entry: fs::DirEntry| Seen {
        name: entry.file_name().to_string_lossy().into_owned(),
        mac: read(&entry.path().join("address")).and_then(|mac| mac.parse().ok()),
        path: path_of(&entry.path()),
    };
    let mut all: Vec<Seen> = entries.flatten().map(seen).filter(|seen| seen.name != "lo").collect();
    all.sort();
    all
}

/// The path of the device behind an interface's directory.
fn path_of(interface: &Path) -> Option<String> {
    let device = fs::canonicalize(interface.join("device")).ok()?;
    let mut parts: Vec<String> = Vec::new();
    let mut below = String::new();
    for directory in device.ancestors() {
        let Some(subsystem) = subsystem_of(directory) else { continue };
        // Of several in a row (a hub behind a hub, a bridge behind a bridge) the one next to the device says it all.
        if subsystem != below
            && let Some(part) = part_of(&subsystem, directory)
        {
            parts.insert(0, part);
        }
        below = subsystem;
    }
    (!parts.is_empty()).then(|| parts.join("-"))
}

fn part_of(subsystem: &str, directory: &Path) -> Option<String> {
    let name = directory.file_name()?.to_str()?;
    match subsystem {
        // "2-3.1:1.0": bus, sockets, configuration and interface.
        "usb" => name.split_once('-').map(|(_bus, sockets)| format!("{USB}{sockets}")),
        "pci" | "platform" => Some(format!("{subsystem}-{name}")),
        _ => None,
    }
}

fn subsystem_of(directory: &Path) -> Option<String> {
    let link = fs::read_link(directory.join("subsystem")).ok()?;
    Some(link.file_name()?.to_str()?.to_owned())
}

fn read(path: &Path) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use super::*;

    /// A sysfs in a directory of its own.
    struct Sysfs(tempfile::TempDir);

    impl Sysfs {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        /// Makes a device from its ancestors, each with its subsystem, and an interface on it.
        fn plug(&self, interface: &str, devices: &[(&str, &str)]) -> PathBuf {
            let mut device = self.0.path().join("devices");
            for (name, subsystem) in devices {
                device.push(name);
                fs::create_dir_all(&device).unwrap();
                if !subsystem.is_empty() {
                    let _made_before = symlink(format!("../../bus/{subsystem}"), device.join("subsystem"));
                }
            }
            let class = self.0.path().join("class/net").join(interface);
            fs::create_dir_all(&class).unwrap();
            fs::write(class.join("address"), "02:00:5e:10:00:01\n").unwrap();
            if !devices.is_empty() {
                symlink(&device, class.join("device")).unwrap();
            }
            class
        }
    }

    #[test]
    fn path_names_the_socket_and_not_the_bus_that_was_found_first() {
        let sysfs = Sysfs::new();
        let controller = [("pci0000:00", ""), ("0000:00:14.0", "pci")];
        let plugged = |interface, bus, hub: &str, device: &str| {
            let devices = [controller.as_slice(), &[(bus, "usb"), (hub, "usb"), (device, "usb")]].concat();
            path_of(&sysfs.plug(interface, &devices)).unwrap()
        };
        assert_eq!(plugged("wwan0", "usb1", "1-2", "1-2:1.0"), "pci-0000:00:14.0-usb-0:2:1.0");
        assert_eq!(plugged("wwan1", "usb2", "2-2", "2-2:1.0"), "pci-0000:00:14.0-usb-0:2:1.0");
        assert_eq!(plugged("wwan2", "usb1", "1-2.3", "1-2.3:1.0"), "pci-0000:00:14.0-usb-0:2.3:1.0");
    }

    #[test]
    fn cards_behind_bridges_and_virtio_have_the_path_of_their_own_function() {
        let sysfs = Sysfs::new();
        let card = sysfs.plug("eth0", &[("0000:00:1c.0", "pci"), ("0000:02:00.0", "pci")]);
        assert_eq!(path_of(&card).unwrap(), "pci-0000:02:00.0");
        let virtio = sysfs.plug("eth1", &[("0000:00:03.0", "pci"), ("virtio0", "virtio")]);
        assert_eq!(path_of(&virtio).unwrap(), "pci-0000:00:03.0");
        let board = sysfs.plug("eth2", &[("soc", "platform"), ("fe300000.ethernet", "platform")]);
        assert_eq!(path_of(&board).unwrap(), "platform-fe300000.ethernet");
        assert!(!is_pluggable("platform-fe300000.ethernet") && is_pluggable("pci-0000:00:14.0-usb-0:2:1.0"));
    }

    #[test]
    fn people_are_told_what_there_is() {
        let sysfs = Sysfs::new();
        sysfs.plug("eth0", &[("0000:02:00.0", "pci")]);
        sysfs.plug("lo", &[]);
        sysfs.plug("veth9", &[]);
        let said: Vec<_> = seen_below(&sysfs.0.path().join("class/net")).iter().map(ToString::to_string).collect();
        let expected = ["eth0 (mac 02:00:5e:10:00:01, path pci-0000:02:00.0)", "veth9 (mac 02:00:5e:10:00:01)"];
        assert_eq!(said, expected);
        assert_eq!(seen_below(Path::new("/nowhere")), []);
        assert_eq!(path_of(&sysfs.0.path().join("class/net/veth9")), None);
    }
}
