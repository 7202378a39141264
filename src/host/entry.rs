//! The journal's entries: how to undo one step, as a line of text.
//!
//! Words with spaces between; no name of an interface, switch or offload has spaces. What is read back may have been tampered
//! with or torn, so names that could lead elsewhere in `/proc/sys` are refused.

use std::fmt;
use std::str::{FromStr, SplitAsciiWhitespace};

use ipnet::{Ipv4Net, Ipv6Net};

use super::sysctl::Family;

/// The interface that an entry is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What identifies it.
    pub index: u32,
    /// What it was called at that time.
    pub name: String,
}

/// How to undo one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undo {
    /// Write the old value back.
    Sysctl {
        /// Whose switch.
        target: Target,
        /// Of which protocol.
        family: Family,
        /// The switch's name.
        key: String,
        /// What it was.
        value: String,
    },
    /// Set the link down.
    LinkDown(Target),
    /// Restore the MTU.
    Mtu(Target, u32),
    /// Restore the transmit queue's length.
    QueueLength(Target, u32),
    /// Restore an offload to what was wanted before.
    Feature {
        /// Whose.
        target: Target,
        /// The kernel's name of it.
        feature: String,
        /// What was wanted.
        on: bool,
    },
    /// Delete our filter at clsact ingress.
    Filter {
        /// Where.
        target: Target,
        /// At this priority (`pref`), under our handle.
        priority: u16,
    },
    /// Delete our filter at clsact egress.
    EgressFilter {
        /// Where.
        target: Target,
        /// At this priority, under our handle.
        priority: u16,
    },
    /// Delete the clsact qdisc, unless somebody else has come to use it.
    Clsact(Target),
    /// Delete our rule for packets from this interface.
    Rule {
        /// The incoming interface's name, as in the rule.
        interface: String,
        /// The rule's priority.
        priority: u32,
    },
    /// Delete our routes from this table.
    Table(u32),
    /// Take the IPv4 address off that we set.
    Ipv4Address(Target, Ipv4Net),
    /// Put a static IPv6 address back.
    Ipv6Address {
        /// Where.
        target: Target,
        /// The address and its network.
        address: Ipv6Net,
        /// How it was set (`IFA_F_*`).
        flags: u32,
    },
}

impl Undo {
    /// Whether both are about the same thing, whatever its old state: the first one written is right.
    pub(super) fn is_same_step(&self, other: &Self) -> bool {
        let without_state = |undo: &Self| {
            let mut undo = undo.clone();
            match &mut undo {
                Self::Sysctl { value, .. } => value.clear(),
                Self::Mtu(_, value) | Self::QueueLength(_, value) => *value = 0,
                Self::Feature { on, .. } => *on = false,
                _ => {}
            }
            undo
        };
        without_state(self) == without_state(other)
    }

    /// The interface without which there is nothing to undo.
    #[must_use]
    pub fn target(&self) -> Option<&Target> {
        match self {
            Self::Sysctl { target, .. } | Self::Feature { target, .. } | Self::Filter { target, .. } => Some(target),
            Self::LinkDown(target) | Self::Mtu(target, _) | Self::QueueLength(target, _) => Some(target),
            Self::EgressFilter { target, .. } => Some(target),
            Self::Clsact(target) | Self::Ipv4Address(target, _) | Self::Ipv6Address { target, .. } => Some(target),
            Self::Rule { .. } | Self::Table(_) => None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.index, self.name)
    }
}

impl fmt::Display for Undo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sysctl { target, family, key, value } => write!(f, "sysctl {target} {} {key} {value}", family.name()),
            Self::LinkDown(target) => write!(f, "link-down {target}"),
            Self::Mtu(target, mtu) => write!(f, "mtu {target} {mtu}"),
            Self::QueueLength(target, length) => write!(f, "queue-length {target} {length}"),
            Self::Feature { target, feature, on } => write!(f, "feature {target} {feature} {on}"),
            Self::Filter { target, priority } => write!(f, "filter {target} {priority}"),
            Self::EgressFilter { target, priority } => write!(f, "egress-filter {target} {priority}"),
            Self::Clsact(target) => write!(f, "clsact {target}"),
            Self::Rule { interface, priority } => write!(f, "rule {interface} {priority}"),
            Self::Table(table) => write!(f, "table {table}"),
            Self::Ipv4Address(target, address) => write!(f, "ipv4-address {target} {address}"),
            Self::Ipv6Address { target, address, flags } => write!(f, "ipv6-address {target} {address} {flags}"),
        }
    }
}

/// A line that this version cannot read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownEntry;

impl FromStr for Undo {
    type Err = UnknownEntry;

    fn from_str(line: &str) -> Result<Self, UnknownEntry> {
        let mut words = line.split_ascii_whitespace();
        let undo = match next::<String>(&mut words)?.as_str() {
            "sysctl" => Self::Sysctl {
                target: target(&mut words)?,
                family: match next::<String>(&mut words)?.as_str() {
                    "ipv4" => Family::Ipv4,
                    "ipv6" => Family::Ipv6,
                    _ => return Err(UnknownEntry),
                },
                key: name(&mut words)?,
                value: next(&mut words)?,
            },
            "link-down" => Self::LinkDown(target(&mut words)?),
            "mtu" => Self::Mtu(target(&mut words)?, next(&mut words)?),
            "queue-length" => Self::QueueLength(target(&mut words)?, next(&mut words)?),
            "feature" => {
                Self::Feature { target: target(&mut words)?, feature: next(&mut words)?, on: next(&mut words)? }
            }
            "filter" => Self::Filter { target: target(&mut words)?, priority: next(&mut words)? },
            "egress-filter" => Self::EgressFilter { target: target(&mut words)?, priority: next(&mut words)? },
            "clsact" => Self::Clsact(target(&mut words)?),
            "rule" => Self::Rule { interface: name(&mut words)?, priority: next(&mut words)? },
            "table" => Self::Table(next(&mut words)?),
            "ipv4-address" => Self::Ipv4Address(target(&mut words)?, next(&mut words)?),
            "ipv6-address" => {
                Self::Ipv6Address { target: target(&mut words)?, address: next(&mut words)?, flags: next(&mut words)? }
            }
            _ => return Err(UnknownEntry),
        };
        if words.next().is_some() { Err(UnknownEntry) } else { Ok(undo) }
    }
}

fn next<T: FromStr>(words: &mut SplitAsciiWhitespace<'_>) -> Result<T, UnknownEntry> {
    words.next().ok_or(UnknownEntry)?.parse().map_err(|_| UnknownEntry)
}

/// A name that may become part of a path.
fn name(words: &mut SplitAsciiWhitespace<'_>) -> Result<String, UnknownEntry> {
    let name: String = next(words)?;
    if name.contains('/') || name == "." || name == ".." { Err(UnknownEntry) } else { Ok(name) }
}

fn target(words: &mut SplitAsciiWhitespace<'_>) -> Result<Target, UnknownEntry> {
    Ok(Target { index: next(words)?, name: name(words)? })
}

/// For the tests here and of the journal.
#[cfg(test)]
pub(super) fn one_of_each() -> Vec<Undo> {
    let target = || Target { index: 7, name: "wan1".to_owned() };
    let (key, value) = ("forwarding".to_owned(), "1".to_owned());
    vec![
        Undo::Sysctl { target: target(), family: Family::Ipv4, key, value },
        Undo::LinkDown(target()),
        Undo::Mtu(target(), 1400),
        Undo::QueueLength(target(), 500),
        Undo::Feature { target: target(), feature: "rx-gro".to_owned(), on: false },
        Undo::Filter { target: target(), priority: 1 },
        Undo::EgressFilter { target: target(), priority: 1 },
        Undo::Clsact(target()),
        Undo::Rule { interface: "lan0".to_owned(), priority: 7400 },
        Undo::Table(7400),
        Undo::Ipv4Address(target(), "192.0.0.8/32".parse().unwrap()),
        Undo::Ipv6Address { target: target(), address: "2001:db8::1/64".parse().unwrap(), flags: 0x202 },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_can_be_read_back() {
        for entry in one_of_each() {
            assert_eq!(entry.to_string().parse(), Ok(entry));
        }
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for line in ["sysctl 7 .. ipv4 forwarding 1", "sysctl 7 wan1 ipv4 ../../x 1", "sysctl 7 a/b ipv4 forwarding 1"]
        {
            assert_eq!(line.parse::<Undo>(), Err(UnknownEntry));
        }
    }
}
