//! Single values: names, addresses, rates, spans of time. Each is read into a type that holds only right ones.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::Ipv4Net;

use super::Uplink;
use super::error::{Mistake, listed, suggestion};
use super::section::{Value, integer, text};
use crate::flow::Protocol;

/// Longest name of a network interface, in bytes (`IFNAMSIZ` less the final zero).
const LONGEST_INTERFACE_NAME: usize = 15;
/// Longest name of an uplink that we accept, so that tables stay readable.
const LONGEST_UPLINK_NAME: usize = 32;
/// Longest `run_dir`, in bytes: a Unix socket's path has at most 107, and we put `/control.sock` behind.
const LONGEST_RUN_DIR: usize = 90;

/// The name of a network interface that the kernel could have.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InterfaceName(Arc<str>);

/// The name of an uplink: 1 to 32 of `a-z`, `0-9`, `_`, `-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UplinkName(Arc<str>);

impl InterfaceName {
    /// The name of the TUN device when nobody says otherwise.
    pub(super) fn potato0() -> Self {
        Self("potato0".into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl UplinkName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name, shared.
    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for UplinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// How fast a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate {
    bits_per_second: u64,
}

impl Rate {
    /// In bits a second: at least 1.
    #[must_use]
    pub const fn bits_per_second(self) -> u64 {
        self.bits_per_second
    }
}

/// Reads the name of a network interface.
pub(super) fn interface_name(value: &Value<'_>) -> Result<InterfaceName, Mistake> {
    let name = text(value)?;
    let wrong = if name.is_empty() {
        "the name is empty".to_owned()
    } else if name.len() > LONGEST_INTERFACE_NAME {
        format!("\"{}\" is longer than an interface name can be", name.escape_debug())
    } else if name == "."
        || name == ".."
        || name.contains(|c: char| c.is_whitespace() || c.is_control() || "/:".contains(c))
    {
        format!("\"{}\" cannot be the name of an interface", name.escape_debug())
    } else {
        return Ok(InterfaceName(name.into()));
    };
    Err(Mistake::new(value.span(), wrong, "1 to 15 characters without spaces, `/` and `:`, as `ip link` shows them"))
}

/// Reads the name of an uplink.
pub(super) fn uplink_name(value: &Value<'_>) -> Result<UplinkName, Mistake> {
    let name = text(value)?;
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
    let wrong = if name == "any" {
        "\"any\" stands for every uplink".to_owned()
    } else if name.is_empty() || name.len() > LONGEST_UPLINK_NAME || !name.chars().all(allowed) {
        format!("\"{}\" cannot be the name of an uplink", name.escape_debug())
    } else {
        return Ok(UplinkName(name.into()));
    };
    Err(Mistake::new(value.span(), wrong, "1 to 32 of a-z, 0-9, `_` and `-`, as in \"dsl1\""))
}

/// Reads one of some words.
pub(super) fn word<T: Copy>(value: &Value<'_>, words: &[(&str, T)]) -> Result<T, Mistake> {
    let given = text(value)?;
    words.iter().find(|(word, _)| *word == given).map(|(_, meaning)| *meaning).ok_or_else(|| {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let near = suggestion(given, &known);
        let all = listed(&known);
        let right = if near.contains(&all) || !near.starts_with("did") {
            format!("one of {all}")
        } else {
            format!("one of {all}; {near}")
        };
        Mistake::new(value.span(), format!("unknown word \"{}\"", given.escape_debug()), right)
    })
}

/// Reads an absolute path.
pub(super) fn directory(value: &Value<'_>) -> Result<PathBuf, Mistake> {
    let path = text(value)?;
    if path.starts_with('/') && !path.contains('\0') {
        return Ok(PathBuf::from(path));
    }
    Err(Mistake::new(
        value.span(),
        format!("\"{}\" is not an absolute path", path.escape_debug()),
        "a path from the root, as in \"/run/potato\"",
    ))
}

/// Reads the path of the run directory.
pub(super) fn run_directory(value: &Value<'_>) -> Result<PathBuf, Mistake> {
    let path = directory(value)?;
    if path.as_os_str().len() <= LONGEST_RUN_DIR {
        return Ok(path);
    }
    let wrong = "the path is too long for the control socket in it";
    Err(Mistake::new(value.span(), wrong, format!("a path of at most {LONGEST_RUN_DIR} bytes")))
}

/// Reads an IPv4 address that one host can have.
pub(super) fn host_address(value: &Value<'_>) -> Result<Ipv4Addr, Mistake> {
    let given = text(value)?;
    let example = "an IPv4 address, as in \"10.77.1.1\"";
    match given.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) if is_host(address) => Ok(address),
        Ok(IpAddr::V4(address)) => {
            Err(Mistake::new(value.span(), format!("{address} is not the address of one host"), example))
        }
        Ok(IpAddr::V6(_)) => Err(Mistake::new(value.span(), "this version does not carry IPv6", example)),
        Err(_) => Err(Mistake::new(value.span(), format!("\"{}\" is not an address", given.escape_debug()), example)),
    }
}

/// Whether one host can have the address.
pub(super) fn is_host(address: Ipv4Addr) -> bool {
    !(address.is_multicast() || address.is_loopback() || address.octets()[0] == 0 || address.octets()[0] >= 240)
}

/// Reads a host's address with the length of its network's prefix.
pub(super) fn interface_address(value: &Value<'_>) -> Result<Ipv4Net, Mistake> {
    let given = text(value)?;
    let wrong = |wrong: String, right: &str| Mistake::new(value.span(), wrong, right);
    let example = "an address and the length of its network's prefix, as in \"10.77.1.2/24\"";
    if let Ok(IpAddr::V6(_)) = given.split('/').next().unwrap_or("").parse::<IpAddr>() {
        return Err(wrong("this version does not carry IPv6".to_owned(), example));
    }
    if let Ok(address) = given.parse::<Ipv4Addr>() {
        return Err(wrong(format!("{address} has no prefix length"), example));
    }
    let network: Ipv4Net = given
        .parse()
        .map_err(|_| wrong(format!("\"{}\" is not an address with a prefix length", given.escape_debug()), example))?;
    if !(1..=31).contains(&network.prefix_len()) {
        return Err(wrong(
            format!("a network of /{} has no room for a gateway", network.prefix_len()),
            "a prefix length from 1 to 31",
        ));
    }
    if !is_host(network.addr()) {
        return Err(wrong(format!("{} is not the address of one host", network.addr()), example));
    }
    if let Some(role) = reserved_in(network, network.addr()) {
        return Err(wrong(
            format!("{} is the {role} address of {}, not a host's", network.addr(), network.trunc()),
            example,
        ));
    }
    Ok(network)
}

/// What `address` is in `network` if it cannot be a host's. RFC 3021: a /31 has two hosts and nothing else.
pub(super) fn reserved_in(network: Ipv4Net, address: Ipv4Addr) -> Option<&'static str> {
    match address {
        _ if network.prefix_len() >= 31 => None,
        address if address == network.network() => Some("network"),
        address if address == network.broadcast() => Some("broadcast"),
        _ => None,
    }
}

/// The first and the last address in `network` that a host can have.
pub(super) fn hosts(network: Ipv4Net) -> (Ipv4Addr, Ipv4Addr) {
    let (first, last) = (network.network().to_bits(), network.broadcast().to_bits());
    let margin = u32::from(network.prefix_len() < 31);
    (Ipv4Addr::from_bits(first + margin), Ipv4Addr::from_bits(last - margin))
}

/// Splits "20mbit" into 20 and "mbit".
fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    Some((text[..digits].parse().ok()?, &text[digits..]))
}

/// Reads a rate: a whole number and `bit`, `kbit`, `mbit` or `gbit`, a second.
pub(super) fn rate(value: &Value<'_>) -> Result<Rate, Mistake> {
    let given = text(value)?;
    let parsed = number_and_unit(given).and_then(|(number, unit)| {
        let unit = match unit.to_ascii_lowercase().as_str() {
            "bit" => 1,
            "kbit" => 1_000,
            "mbit" => 1_000_000,
            "gbit" => 1_000_000_000,
            _ => return None,
        };
        number.checked_mul(unit).filter(|rate| (1..=1_000_000_000_000).contains(rate))
    });
    parsed.map(|bits_per_second| Rate { bits_per_second }).ok_or_else(|| {
        let right = "a whole number and a unit, as in \"512kbit\", \"20mbit\" or \"1gbit\" (a second)";
        Mistake::new(value.span(), format!("\"{}\" is not a rate", given.escape_debug()), right)
    })
}

/// The router's own address on the LAN and a port, where it is to `serve` something: "serve the pages".
pub(super) fn listen(value: &Value<'_>, usual_port: u16, serve: &str) -> Result<SocketAddr, Mistake> {
    let given = text(value)?;
    let wrong = |wrong: String| {
        let right = format!("the router's own address on the LAN and a port, as in \"192.168.10.1:{usual_port}\"");
        Mistake::new(value.span(), wrong, right)
    };
    let listen = given
        .parse::<SocketAddr>()
        .map_err(|_| wrong(format!("\"{}\" is not an address and a port", given.escape_debug())))?;
    if listen.ip().is_unspecified() || listen.ip().is_multicast() || listen.port() == 0 {
        return Err(wrong(format!("{listen} would {serve} to more than the LAN, or to nobody")));
    }
    Ok(listen)
}

/// Reads a span of time: a whole number and `ms`, `s`, `m` or `h`; more than nothing and at most a day.
pub(super) fn duration(value: &Value<'_>) -> Result<Duration, Mistake> {
    let given = text(value)?;
    let parsed = number_and_unit(given).and_then(|(number, unit)| {
        let unit = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        number.checked_mul(unit).filter(|span| (1..=86_400_000).contains(span)).map(Duration::from_millis)
    });
    parsed.ok_or_else(|| {
        let right = "a whole number and a unit, as in \"500ms\", \"2s\" or \"5m\"";
        Mistake::new(value.span(), format!("\"{}\" is not a span of time", given.escape_debug()), right)
    })
}

/// The words for protocols; those that have ports come first.
pub(super) const PROTOCOLS: [(&str, Protocol); 3] =
    [("tcp", Protocol::Tcp), ("udp", Protocol::Udp), ("icmp", Protocol::Icmp)];

/// The name of an uplink of the file.
pub(super) fn known_uplink(value: &Value<'_>, uplinks: &[Uplink]) -> Result<UplinkName, Mistake> {
    let name = text(value)?;
    uplinks.iter().find(|uplink| uplink.name.as_str() == name).map(|uplink| uplink.name.clone()).ok_or_else(|| {
        let known: Vec<_> = uplinks.iter().map(|uplink| uplink.name.as_str()).collect();
        let right = suggestion(name, &known);
        Mistake::new(value.span(), format!("there is no uplink named \"{}\"", name.escape_debug()), right)
    })
}

/// A port.
pub(super) fn port(value: &Value<'_>) -> Result<NonZeroU16, Mistake> {
    let number = integer(value, 1..=65_535)?;
    u16::try_from(number)
        .ok()
        .and_then(NonZeroU16::new)
        .ok_or_else(|| Mistake::new(value.span(), format!("{number} is not a port"), "a whole number from 1 to 65535"))
}
