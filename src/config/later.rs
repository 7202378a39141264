//! Sections that this version reads and checks, so that a file written for a later one is not refused, and that it
//! does not act on: health, reservations, rules, port-forwards, web.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::num::NonZeroU16;

use super::Uplink;
use super::error::Mistake;
use super::section::{Section, Value, integer, list, text};
use super::values::{self, UplinkName};
use crate::flow::Protocol;
use crate::wire::MacAddress;

/// `[[reserve]]`: a line for some hosts only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// The line.
    pub uplink: UplinkName,
    /// The hosts.
    pub hosts: Vec<ReservedHost>,
    /// When it ends; `None`: never.
    pub until: Option<TimeOfDay>,
}

/// A host that a line is reserved for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReservedHost {
    /// By its address.
    Address(Ipv4Addr),
    /// By its Ethernet address.
    Mac(MacAddress),
}

/// A time of day on the router's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeOfDay {
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
}

/// `[[rule]]`: which flows are of a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// Only flows of this protocol.
    pub protocol: Option<Protocol>,
    /// Only flows to one of these ports; empty: to any.
    pub destination_ports: Vec<NonZeroU16>,
    /// Except flows to one of these hosts.
    pub except_destinations: Vec<Ipv4Addr>,
    /// What the flows are for.
    pub class: Class,
}

/// What a flow is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Anything.
    Bulk,
    /// Something that wants a line without bulk on it.
    Isolated,
}

/// `[[forward]]`: a port of a line that a LAN host answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The line; `None`: every line.
    pub uplink: Option<UplinkName>,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The port outside.
    pub port: NonZeroU16,
    /// The host and port inside.
    pub to: SocketAddrV4,
}

/// `[web]`: where the pages are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Web {
    /// Address and port.
    pub listen: SocketAddr,
}

const PROTOCOLS: [(&str, Protocol); 3] = [("tcp", Protocol::Tcp), ("udp", Protocol::Udp), ("icmp", Protocol::Icmp)];

/// Reads a `[[reserve]]`.
pub(super) fn reservation(section: &Section<'_, '_>, uplinks: &[Uplink]) -> Result<Reservation, Mistake> {
    let uplink = section.required("uplink", "\"dsl3\"", |value| known_uplink(value, uplinks))?;
    let hosts = section.required("hosts", "[\"192.168.10.50\"]", |value| list(value, reserved_host))?;
    let until = section.optional("until", time_of_day)?;
    Ok(Reservation { uplink, hosts, until })
}

fn known_uplink(value: &Value<'_>, uplinks: &[Uplink]) -> Result<UplinkName, Mistake> {
    let name = text(value)?;
    uplinks.iter().find(|uplink| uplink.name.as_str() == name).map(|uplink| uplink.name.clone()).ok_or_else(|| {
        let known: Vec<_> = uplinks.iter().map(|uplink| uplink.name.as_str()).collect();
        let right = super::error::suggestion(name, &known);
        Mistake::new(value.span(), format!("there is no uplink named \"{}\"", name.escape_debug()), right)
    })
}

fn reserved_host(value: &Value<'_>) -> Result<ReservedHost, Mistake> {
    if let Ok(mac) = text(value)?.parse() {
        return Ok(ReservedHost::Mac(mac));
    }
    values::host_address(value).map(ReservedHost::Address).map_err(|mistake| Mistake {
        right: "an IPv4 or an Ethernet address, as in \"192.168.10.50\" or \"02:00:5e:10:00:01\"".to_owned(),
        ..mistake
    })
}

fn time_of_day(value: &Value<'_>) -> Result<TimeOfDay, Mistake> {
    let right = "hour and minute in quotes, as in \"18:00\"";
    let given = text(value).map_err(|mistake| Mistake { right: right.to_owned(), ..mistake })?;
    let two_digits =
        |text: &str| (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok());
    let parsed = given.split_once(':').and_then(|(hour, minute)| {
        let (hour, minute) = (two_digits(hour)??, two_digits(minute)??);
        (hour < 24 && minute < 60).then_some(TimeOfDay { hour, minute })
    });
    parsed
        .ok_or_else(|| Mistake::new(value.span(), format!("\"{}\" is not a time of day", given.escape_debug()), right))
}

/// Reads a `[[rule]]`.
pub(super) fn rule(section: &Section<'_, '_>) -> Result<Rule, Mistake> {
    let protocol = section.optional("protocol", |value| values::word(value, &PROTOCOLS))?;
    let destination_ports = section.optional("destination_port", |value| list(value, port))?.unwrap_or_default();
    if !destination_ports.is_empty() && !matches!(protocol, Some(Protocol::Tcp | Protocol::Udp)) {
        let wrong = "ports are of a protocol, and the rule names none that has them";
        return Err(Mistake::new(section.place("destination_port"), wrong, "add protocol = \"tcp\" or \"udp\"")
            .of_key("destination_port"));
    }
    Ok(Rule {
        name: section.required("name", "\"ssh\"", |value| text(value).map(str::to_owned))?,
        protocol,
        destination_ports,
        except_destinations: section
            .optional("except_destination", |value| list(value, values::host_address))?
            .unwrap_or_default(),
        class: section.required("class", "\"isolated\"", |value| {
            values::word(value, &[("isolated", Class::Isolated), ("bulk", Class::Bulk)])
        })?,
    })
}

fn port(value: &Value<'_>) -> Result<NonZeroU16, Mistake> {
    let number = integer(value, 1..=65_535)?;
    u16::try_from(number)
        .ok()
        .and_then(NonZeroU16::new)
        .ok_or_else(|| Mistake::new(value.span(), format!("{number} is not a port"), "a whole number from 1 to 65535"))
}

/// Reads a `[[forward]]`.
pub(super) fn forward(section: &Section<'_, '_>, uplinks: &[Uplink]) -> Result<Forward, Mistake> {
    let uplink = section.required("uplink", "\"any\"", |value| match text(value)? {
        "any" => Ok(None),
        _ => known_uplink(value, uplinks).map(Some),
    })?;
    Ok(Forward {
        uplink,
        protocol: section.required("protocol", "\"tcp\"", |value| values::word(value, &PROTOCOLS[..2]))?,
        port: section.required("port", "8080", port)?,
        to: section.required("to", "\"192.168.10.10:80\"", |value| {
            let given = text(value)?;
            given.parse::<SocketAddrV4>().ok().filter(|to| to.port() != 0).ok_or_else(|| {
                let wrong = format!("\"{}\" is not an address and a port", given.escape_debug());
                Mistake::new(value.span(), wrong, "an IPv4 address and a port, as in \"192.168.10.10:80\"")
            })
        })?,
    })
}

/// Reads `[web]`.
pub(super) fn web(section: &Section<'_, '_>) -> Result<Web, Mistake> {
    let listen = section.required("listen", "\"192.168.10.1:8080\"", |value| {
        let given = text(value)?;
        given.parse::<SocketAddr>().map_err(|_| {
            let wrong = format!("\"{}\" is not an address and a port", given.escape_debug());
            Mistake::new(value.span(), wrong, "an address and a port, as in \"192.168.10.1:8080\"")
        })
    })?;
    Ok(Web { listen })
}
