//! How people name a host of the LAN: by its address, its Ethernet address or its name.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::sync::Arc;

use super::Lan;
use super::error::Mistake;
use super::section::{Value, text};
use super::values;
use crate::wire::MacAddress;

/// Longest name, in bytes (RFC 1035 section 2.3.4, as text).
const LONGEST_NAME: usize = 253;

/// A host of the LAN, as somebody names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostIdentity {
    /// By its address.
    Address(Ipv4Addr),
    /// By its Ethernet address.
    Mac(MacAddress),
    /// By the name that it has told the DHCP server.
    Name(HostName),
}

/// A host's name: 1 to 253 of letters, digits, `-`, `_` and `.`, and not of digits and dots alone. Letters are small ones:
/// names that differ in nothing else are the same (RFC 4343).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostName(Arc<str>);

impl HostName {
    /// The name in `text`, if it is one.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        // Of digits and dots alone are addresses, right ones and wrong ones.
        let is_address = text.chars().all(|c| c.is_ascii_digit() || c == '.');
        let is_name = text.len() <= LONGEST_NAME && text.chars().all(allowed) && !is_address;
        is_name.then(|| Self(text.to_ascii_lowercase().into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for HostIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Mac(mac) => mac.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// What names no host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{}\" names no host; {RIGHT}", .0.escape_debug())]
pub struct HostIdentityError(String);

/// What would be right.
const RIGHT: &str =
    "write an IPv4 address, an Ethernet address or a hostname, as in 192.168.10.50, 02:00:5e:10:00:01 or laptop";

impl FromStr for HostIdentity {
    type Err = HostIdentityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mac = || text.parse().ok().filter(|mac: &MacAddress| !mac.is_group()).map(Self::Mac);
        let address = || text.parse().ok().filter(|address| values::is_host(*address)).map(Self::Address);
        let name = || HostName::new(text).map(Self::Name);
        mac().or_else(address).or_else(name).ok_or_else(|| HostIdentityError(text.to_owned()))
    }
}

/// Reads a host. A name needs a file that says whose it is.
pub(super) fn host(value: &Value<'_>, lan: &Lan) -> Result<HostIdentity, Mistake> {
    let given = text(value)?;
    let host: HostIdentity = given.parse().map_err(|HostIdentityError(given)| {
        Mistake::new(value.span(), format!("\"{}\" names no host", given.escape_debug()), RIGHT)
    })?;
    if matches!(host, HostIdentity::Name(_)) && lan.leases.is_none() {
        let wrong = format!("\"{host}\" is a hostname, and no file says whose it is");
        let right = "add leases = \"/var/lib/misc/dnsmasq.leases\" to [lan], or name the host by its address or Ethernet address";
        return Err(Mistake::new(value.span(), wrong, right));
    }
    Ok(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_told_apart_by_how_they_are_written() {
        let of = |text: &str| text.parse::<HostIdentity>();
        assert_eq!(of("192.168.10.50"), Ok(HostIdentity::Address(Ipv4Addr::new(192, 168, 10, 50))));
        assert_eq!(of("02:00:5E:10:00:01"), Ok(HostIdentity::Mac(MacAddress([2, 0, 0x5e, 0x10, 0, 1]))));
        assert_eq!(of("Laptop-7.lan").map(|host| host.to_string()), Ok("laptop-7.lan".to_owned()));
        assert_eq!(of("Laptop"), of("lapTOP"));
        let long = "a".repeat(254);
        let group = "01:00:5e:00:00:01";
        for wrong in
            ["", "192.168.10", "192.168.10.500", "224.0.0.1", "fe80::1", "lap top", "läptop", "2", group, &long]
        {
            let said = of(wrong).unwrap_err().to_string();
            assert!(said.contains("02:00:5e:10:00:01 or laptop"), "{said}");
        }
    }
}
