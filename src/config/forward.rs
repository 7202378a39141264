//! `[[forward]]`: ports of lines that a LAN host, or the router itself, answers.
//!
//! Each is read alone (`forward`) and then held against those before it (`conflicts`): two may not answer one port of a line.

use std::net::Ipv4Addr;
use std::num::NonZeroU16;
use std::ops::{Range, RangeInclusive};

use ipnet::Ipv4Net;

use super::error::Mistake;
use super::section::{Section, Value, integer, list, text, wrong_type};
use super::values::{self, UplinkName};
use super::{Uplink, UplinkKind};
use crate::flow::Protocol;
use crate::nat::ports::{DHCP_CLIENT_PORT, PROBE_PORTS};

/// Keys of the section.
pub(super) const KEYS: [&str; 6] = ["name", "uplink", "protocol", "port", "to", "source"];

/// Most forwards: a packet for one is held against them all.
const MOST: usize = 256;
/// Fewest ports of a line that forwards must leave, for connections of hosts.
const FEWEST_LEFT: usize = 16_384;

/// `[[forward]]`: ports of lines, and who answers them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Its name, if it has one.
    pub name: Option<String>,
    /// The lines.
    pub lines: ForwardedLines,
    /// TCP, UDP or both.
    pub protocols: Vec<Protocol>,
    /// The ports outside: never 0.
    pub ports: RangeInclusive<u16>,
    /// Who answers.
    pub to: ForwardTarget,
    /// The port inside that the first port outside leads to; those that follow lead to those that follow, 65535 at most.
    pub to_port: NonZeroU16,
    /// Networks that may connect; empty: everybody may.
    pub sources: Vec<Ipv4Net>,
}

/// Lines with a forward.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwardedLines {
    /// Every line but those of kind `adopted`.
    Any,
    /// These: at least one, none of kind `adopted`.
    Named(Vec<UplinkName>),
}

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardTarget {
    /// A LAN host.
    Host(Ipv4Addr),
    /// The router itself.
    Router,
}

impl ForwardedLines {
    fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Named(ours), Self::Named(theirs)) => ours.iter().any(|name| theirs.contains(name)),
            _ => true,
        }
    }

    fn contains(&self, name: &UplinkName) -> bool {
        match self {
            Self::Any => true,
            Self::Named(names) => names.contains(name),
        }
    }
}

/// Reads all `[[forward]]`. `line_at` says in which line of the file a byte stands.
pub(super) fn forwards(
    sections: &[Section<'_, '_>],
    uplinks: &[Uplink],
    line_at: impl Fn(usize) -> usize,
) -> Result<Vec<Forward>, Mistake> {
    if let Some(beyond) = sections.get(MOST) {
        let wrong = format!("{} forwards are too many", sections.len());
        return Err(Mistake::new(beyond.span.clone(), wrong, format!("at most {MOST}; one can have a range of ports")));
    }
    let mut forwards: Vec<Forward> = Vec::with_capacity(sections.len());
    for section in sections {
        let forward = forward(section, uplinks)?;
        conflicts(section, &forward, forwards.iter().zip(sections), &line_at)?;
        leaves_ports(section, &forwards.iter().chain([&forward]), uplinks)?;
        forwards.push(forward);
    }
    Ok(forwards)
}

/// Whether one means every line, and there are some that it cannot have.
pub(super) fn leaves_adopted_out(forward: &Forward, uplinks: &[Uplink]) -> bool {
    forward.lines == ForwardedLines::Any && uplinks.iter().any(is_adopted)
}

fn is_adopted(uplink: &Uplink) -> bool {
    matches!(uplink.kind, UplinkKind::Adopted { .. })
}

fn forward(section: &Section<'_, '_>, uplinks: &[Uplink]) -> Result<Forward, Mistake> {
    let lines = section.required("uplink", "\"any\"", |value| lines(value, uplinks))?;
    let protocols = section.required("protocol", "\"tcp\"", protocols)?;
    let ports = section.required("port", "8080", ports)?;
    reserved(section.place("port"), &ports, &protocols)?;
    let (to, to_port) = section.required("to", "\"192.168.10.10:80\"", |value| target(value, &ports))?;
    if let ForwardTarget::Host(address) = to {
        not_outside(section.place("to"), address, uplinks)?;
    }
    let sources = section.optional("source", |value| list(value, network))?.unwrap_or_default();
    let name = section.optional("name", |value| text(value).map(str::to_owned))?;
    Ok(Forward { name, lines, protocols, ports, to, to_port, sources })
}

fn lines(value: &Value<'_>, uplinks: &[Uplink]) -> Result<ForwardedLines, Mistake> {
    if let Ok("any") = text(value) {
        return Ok(ForwardedLines::Any);
    }
    let line = |value: &Value<'_>| {
        if let Ok("any") = text(value) {
            return Err(Mistake::new(value.span(), "\"any\" is every line already", "uplink = \"any\" alone"));
        }
        let name = values::known_uplink(value, uplinks)?;
        if uplinks.iter().any(|uplink| uplink.name == name && is_adopted(uplink)) {
            let wrong =
                format!("\"{name}\" is of kind \"adopted\": its address, and what listens there, is the kernel's");
            let right = "forward there by the system's own firewall, or let the router have the line (kind = \"dhcp\" or \"static\")";
            return Err(Mistake::new(value.span(), wrong, right));
        }
        Ok(name)
    };
    list(value, line).map(ForwardedLines::Named)
}

fn protocols(value: &Value<'_>) -> Result<Vec<Protocol>, Mistake> {
    let mut protocols = list(value, |value| values::word(value, &values::PROTOCOLS[..2]))?;
    protocols.sort_unstable();
    protocols.dedup();
    Ok(protocols)
}

/// A port, or the first and the last of a range.
fn ports(value: &Value<'_>) -> Result<RangeInclusive<u16>, Mistake> {
    let right = "a port from 1 to 65535, or a range in quotes, as in \"8000-8010\"";
    if value.get_ref().as_integer().is_some() {
        let port = integer(value, 1..=65_535)?;
        return Ok(u16::try_from(port).map_or(1..=1, |port| port..=port));
    }
    let given = text(value).map_err(|_| wrong_type(value, right))?;
    let wrong = |wrong: String| Mistake::new(value.span(), wrong, right);
    let range = range(given).ok_or_else(|| wrong(format!("\"{}\" is no range of ports", given.escape_debug())))?;
    if range.is_empty() {
        let right = format!("\"{}-{}\"", range.end(), range.start());
        return Err(Mistake::new(value.span(), format!("\"{given}\" ends before it starts"), right));
    }
    Ok(range)
}

/// `"80"` or `"8000-8010"`, without port 0.
fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let port = |text: &str| text.trim().parse::<NonZeroU16>().ok().map(NonZeroU16::get);
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some(port(first)?..=port(last)?)
}

/// Ports of a line that are the router's own.
fn reserved(place: Range<usize>, ports: &RangeInclusive<u16>, protocols: &[Protocol]) -> Result<(), Mistake> {
    let (first, last) = (PROBE_PORTS.start, PROBE_PORTS.end - 1);
    let wrong = if *ports.start() <= last && first <= *ports.end() {
        format!("ports {first} to {last} are the router's own, for the watching of lines")
    } else if ports.contains(&DHCP_CLIENT_PORT) && protocols.contains(&Protocol::Udp) {
        format!("UDP port {DHCP_CLIENT_PORT} is the router's own, for addresses by DHCP")
    } else {
        return Ok(());
    };
    Err(Mistake::new(place, wrong, "a port or range without these").of_key("port"))
}

/// `address`, `address:port`, `address:first-last`, and the same with `router`.
fn target(value: &Value<'_>, ports: &RangeInclusive<u16>) -> Result<(ForwardTarget, NonZeroU16), Mistake> {
    let example =
        "an address of the LAN and a port, as in \"192.168.10.10:80\"; or \"router:22\" for the router itself";
    let given = text(value)?;
    let wrong = |wrong: String| Mistake::new(value.span(), wrong, example);
    let (who, inside) = given.split_once(':').map_or((given, None), |(who, port)| (who, Some(port)));
    let to = match who {
        "router" => ForwardTarget::Router,
        _ => match who.parse::<Ipv4Addr>() {
            Ok(address) if values::is_host(address) => ForwardTarget::Host(address),
            Ok(address) => return Err(wrong(format!("{address} is not the address of one host"))),
            Err(_) => return Err(wrong(format!("\"{}\" is not an address and a port", given.escape_debug()))),
        },
    };
    let inside = match inside {
        None => ports.clone(),
        Some(text) => range(text)
            .filter(|inside| !inside.is_empty())
            .ok_or_else(|| wrong(format!("\"{}\" is no port or range of ports", text.escape_debug())))?,
    };
    let length = |range: &RangeInclusive<u16>| range.end() - range.start();
    if inside.start() != inside.end() && length(&inside) != length(ports) {
        let (outside, inside) = (u32::from(length(ports)) + 1, u32::from(length(&inside)) + 1);
        let right = "as many ports as `port` has, or only the first of them";
        return Err(Mistake::new(value.span(), format!("{inside} ports inside for {outside} outside"), right));
    }
    if inside.start().checked_add(length(ports)).is_none() {
        let right = format!("a first port of at most {}", u16::MAX - length(ports));
        return Err(Mistake::new(value.span(), "the range would go beyond port 65535", right));
    }
    let port = NonZeroU16::new(*inside.start()).ok_or_else(|| wrong("0 is no port".to_owned()))?;
    Ok((to, port))
}

/// Who answers is inside: nobody on a line, and not the router by an address of a line.
fn not_outside(place: Range<usize>, address: Ipv4Addr, uplinks: &[Uplink]) -> Result<(), Mistake> {
    for uplink in uplinks {
        let UplinkKind::Static { address: network, .. } = uplink.kind else { continue };
        if network.addr() == address {
            let wrong = format!("{address} is the router's own address on {}", uplink.name);
            return Err(Mistake::new(place, wrong, "\"router\" and a port, for the router itself").of_key("to"));
        }
        if network.contains(&address) {
            let wrong = format!("{address} is outside, in the network of {}", uplink.name);
            return Err(Mistake::new(place, wrong, "a host of the LAN, as in \"192.168.10.10:80\"").of_key("to"));
        }
    }
    Ok(())
}

/// A network, or one address.
fn network(value: &Value<'_>) -> Result<Ipv4Net, Mistake> {
    let given = text(value)?;
    let network = given.parse::<Ipv4Net>().or_else(|_| given.parse::<Ipv4Addr>().map(Ipv4Net::from));
    let network = network.map_err(|_| {
        let right = "an IPv4 address or a network, as in \"203.0.113.0/24\"";
        Mistake::new(value.span(), format!("\"{}\" is no network", given.escape_debug()), right)
    })?;
    if network.trunc() == network {
        return Ok(network);
    }
    let wrong = format!("{network} is a host with the prefix length of a network");
    let right = format!("\"{}\" for the network, or \"{}\" for the host", network.trunc(), network.addr());
    Err(Mistake::new(value.span(), wrong, right))
}

/// Refuses ports that a forward before it has on a line.
fn conflicts<'s, 'a: 's, 'i: 'a>(
    section: &Section<'_, '_>,
    forward: &Forward,
    before: impl Iterator<Item = (&'s Forward, &'s Section<'a, 'i>)>,
    line_at: impl Fn(usize) -> usize,
) -> Result<(), Mistake> {
    for (other, its) in before {
        let both = *forward.ports.start().max(other.ports.start())..=*forward.ports.end().min(other.ports.end());
        let protocol = forward.protocols.iter().find(|protocol| other.protocols.contains(protocol));
        let Some(protocol) = protocol.filter(|_| !both.is_empty() && forward.lines.meets(&other.lines)) else {
            continue;
        };
        let name = other.name.as_ref().map(|name| format!(" \"{}\"", name.escape_debug())).unwrap_or_default();
        let line = line_at(its.place("port").start);
        let wrong =
            format!("{protocol} port {} is forwarded by the forward{name} of line {line} already", shown(&both));
        let right = "other ports, or another line in `uplink`";
        return Err(Mistake::new(section.place("port"), wrong, right).of_key("port"));
    }
    Ok(())
}

/// Refuses to forward so much that hosts have no ports left.
fn leaves_ports<'f>(
    section: &Section<'_, '_>,
    forwards: &(impl Iterator<Item = &'f Forward> + Clone),
    uplinks: &[Uplink],
) -> Result<(), Mistake> {
    for (uplink, protocol) in uplinks.iter().flat_map(|uplink| [(uplink, Protocol::Tcp), (uplink, Protocol::Udp)]) {
        let its = forwards.clone().filter(|forward| forward.lines.contains(&uplink.name));
        let its = its.filter(|forward| forward.protocols.contains(&protocol));
        let left = its.fold(1_usize << 16, |left, forward| left.saturating_sub(forward.ports.len()));
        if left < FEWEST_LEFT {
            let wrong =
                format!("hosts have only {left} {protocol} ports of {} left for their own connections", uplink.name);
            let right = format!("forward so few that {FEWEST_LEFT} are left");
            return Err(Mistake::new(section.place("port"), wrong, right).of_key("port"));
        }
    }
    Ok(())
}

fn shown(ports: &RangeInclusive<u16>) -> String {
    if ports.start() == ports.end() {
        ports.start().to_string()
    } else {
        format!("{} to {}", ports.start(), ports.end())
    }
}
