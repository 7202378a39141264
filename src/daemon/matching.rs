//! Which interface is which uplink's: what the configuration says, held against what there is.
//!
//! Theory of operation: an uplink known by name gets the interface of that name, whichever it is. One known by Ethernet
//! address or by path keeps the interface that it has for as long as that fits, whatever it is called; else it gets the
//! first that fits and is nobody's: not the LAN's, not an uplink's by name. Interfaces that stand on others (VLANs, bridges)
//! have the address of those, and are found by name only.
//!
//! Nothing is remembered here: whatever has come, gone or been renamed meanwhile, the answer is the same.

use crate::config::UplinkInterface;
use crate::host::{Interface, Standing};

/// What is asked for one uplink.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'c> {
    /// As the configuration says.
    pub(super) by: &'c UplinkInterface,
    /// The number of the interface that it has now.
    pub(super) held: Option<u32>,
}

/// The interface of each of `wanted`, in their order; `taken` are the names of those that are no uplink's. `path_of` says where an
/// interface's device is plugged in.
pub(super) fn assign<'i>(
    wanted: &[Wanted<'_>],
    there: &'i [Interface],
    taken: &[&str],
    path_of: impl Fn(&Interface) -> Option<String>,
) -> Vec<Option<&'i Interface>> {
    let is_named = |interface: &Interface| {
        let is_its = |name: &str| name == interface.name;
        let by_name = wanted.iter().filter_map(|wanted| wanted.by.name());
        by_name.map(crate::config::InterfaceName::as_str).chain(taken.iter().copied()).any(is_its)
    };
    let fits = |wanted: &Wanted<'_>, interface: &Interface| match wanted.by {
        UplinkInterface::Name(name) => name.as_str() == interface.name,
        _ if is_named(interface) || interface.standing == Standing::OnOthers => false,
        UplinkInterface::Mac(mac) => interface.has_mac(*mac),
        UplinkInterface::Path(path) => path_of(interface).is_some_and(|there| path.covers(&there)),
    };
    let keeps = |wanted: &Wanted<'_>| {
        there.iter().find(|interface| Some(interface.index) == wanted.held && fits(wanted, interface))
    };
    let mut assigned: Vec<Option<&Interface>> = wanted.iter().map(keeps).collect();
    for (at, wanted) in wanted.iter().enumerate() {
        if assigned[at].is_none() {
            let is_free =
                |interface: &&Interface| assigned.iter().flatten().all(|other| other.index != interface.index);
            assigned[at] = there.iter().filter(is_free).find(|interface| fits(wanted, interface));
        }
    }
    assigned
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config;
    use crate::wire::MacAddress;

    fn interface(index: u32, name: &str) -> Interface {
        let [.., last] = index.to_be_bytes();
        Interface {
            name: name.to_owned(),
            index,
            mac: Some(MacAddress([2, 0, 0, 0, 0, last])),
            permanent_mac: None,
            standing: Standing::Alone,
            mtu: 1_500,
            up: true,
            carrier: true,
            queue_length: 1_000,
        }
    }

    /// What the keys of some uplinks say, as in `mac = "02:00:00:00:00:07"`.
    fn keys(lines: &[&str]) -> Vec<UplinkInterface> {
        let uplink =
            |line: (usize, &&str)| format!("[[uplink]]\nname = \"dsl{}\"\n{}\nkind = \"dhcp\"\n", line.0, line.1);
        let uplinks: String = lines.iter().enumerate().map(uplink).collect();
        let config = config::parse(Path::new("f"), &format!("[lan]\ninterface = \"lan0\"\n{uplinks}")).unwrap();
        config.uplinks.into_iter().map(|uplink| uplink.interface).collect()
    }

    /// The numbers of the interfaces assigned.
    fn assigned(lines: &[&str], held: &[Option<u32>], there: &[Interface]) -> Vec<Option<u32>> {
        let path_of = |interface: &Interface| match interface.index {
            20 => Some("pci-0000:00:14.0-usb-0:2:1.0".to_owned()),
            21 => Some("pci-0000:00:14.0-usb-0:3:1.0".to_owned()),
            _ => None,
        };
        let keys = keys(lines);
        let wanted: Vec<_> = keys.iter().zip(held).map(|(by, held)| Wanted { by, held: *held }).collect();
        let found = assign(&wanted, there, &["lan0"], path_of);
        found.into_iter().map(|found| found.map(|interface| interface.index)).collect()
    }

    #[test]
    fn name_is_followed_to_whoever_has_it() {
        let lines = ["interface = \"wan1\"", "interface = \"wan2\""];
        let swapped = [interface(8, "wan1"), interface(7, "wan2")];
        assert_eq!(assigned(&lines, &[Some(7), Some(8)], &swapped), [Some(8), Some(7)]);
        let renamed = [interface(7, "old"), interface(8, "wan2")];
        assert_eq!(assigned(&lines, &[Some(7), Some(8)], &renamed), [None, Some(8)]);
    }

    #[test]
    fn address_and_path_stay_with_the_interface_through_its_names() {
        let lines = ["mac = \"02:00:00:00:00:07\"", "path = \"pci-0000:00:14.0-usb-0:2\""];
        for names in [["wan1", "wan2"], ["wan2", "wan1"], ["x", "y"]] {
            let there = [interface(7, names[0]), interface(20, names[1]), interface(21, "other")];
            assert_eq!(assigned(&lines, &[None, None], &there), [Some(7), Some(20)]);
        }
        let by_birth = Interface { permanent_mac: Some(MacAddress([2, 0, 0, 0, 0, 7])), ..interface(9, "wan1") };
        assert_eq!(assigned(&lines, &[None, None], &[by_birth]), [Some(9), None]);
    }

    #[test]
    fn interface_that_is_somebodys_is_nobody_elses() {
        let lines = ["mac = \"02:00:00:00:00:07\"", "interface = \"wan1\"", "path = \"pci-0000:00:14.0\""];
        assert_eq!(assigned(&lines, &[None; 3], &[interface(7, "wan1")]), [None, Some(7), None]);
        assert_eq!(assigned(&lines, &[Some(7), None, None], &[interface(7, "wan1")]), [None, Some(7), None]);
        assert_eq!(assigned(&lines, &[None; 3], &[interface(7, "lan0")]), [None, None, None]);
        let vlan = Interface { mac: interface(7, "").mac, standing: Standing::OnOthers, ..interface(6, "wan1.7") };
        assert_eq!(assigned(&lines, &[None; 3], &[vlan, interface(7, "wan9")]), [Some(7), None, None]);
        // Two sockets of one controller fit: what it has, it keeps.
        let sticks = [interface(20, "a"), interface(21, "b")];
        assert_eq!(assigned(&lines, &[None; 3], &sticks), [None, None, Some(20)]);
        assert_eq!(assigned(&lines, &[None, None, Some(21)], &sticks), [None, None, Some(21)]);
    }
}
