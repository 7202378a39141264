//! What rules tell flows apart by: networks, ports, marks, Ethernet addresses.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;

use ipnet::Ipv4Net;

use super::error::Mistake;
use super::section::{Value, integer, text, wrong_type};
use super::values;
use crate::wire::{MacAddress, dscp};

const NETWORK: &str = "an IPv4 address or network, as in \"203.0.113.7\" or \"192.168.20.0/24\"";
const PORTS: &str = "a port from 1 to 65535, as in 443, or a range of them, as in \"8000-8100\"";
const DSCP: &str = "a number from 0 to 63, or a name such as \"ef\", \"af41\" or \"cs5\"";

/// Reads a network, or a host's address as one of its own.
pub(super) fn network(value: &Value<'_>) -> Result<Ipv4Net, Mistake> {
    let given = text(value).map_err(|mistake| Mistake { right: NETWORK.to_owned(), ..mistake })?;
    let wrong = |wrong: String, right: &str| Err(Mistake::new(value.span(), wrong, right));
    match given.split('/').next().unwrap_or_default().parse::<IpAddr>() {
        Ok(IpAddr::V6(_)) => return wrong("this version does not carry IPv6".to_owned(), NETWORK),
        Ok(IpAddr::V4(_)) => {}
        Err(_) => return wrong(format!("\"{}\" is not an address or network", given.escape_debug()), NETWORK),
    }
    if let Ok(address) = given.parse::<Ipv4Addr>() {
        if !values::is_host(address) {
            return wrong(format!("{address} is not the address of one host"), NETWORK);
        }
        return Ok(Ipv4Net::from(address));
    }
    match given.parse::<Ipv4Net>() {
        Ok(network) if network.addr() == network.network() => Ok(network),
        Ok(network) => wrong(
            format!("{network} is an address in a network"),
            &format!("the network \"{}\", or the address without a prefix length", network.trunc()),
        ),
        Err(_) => wrong(format!("\"{}\" is not an address or network", given.escape_debug()), NETWORK),
    }
}

/// Reads a port or a range of ports.
pub(super) fn ports(value: &Value<'_>) -> Result<RangeInclusive<u16>, Mistake> {
    if value.get_ref().as_integer().is_some() {
        let port = values::port(value).map_err(|mistake| Mistake { right: PORTS.to_owned(), ..mistake })?;
        return Ok(port.get()..=port.get());
    }
    let Some(given) = value.get_ref().as_str() else { return Err(wrong_type(value, PORTS)) };
    let wrong = |wrong: &str| Mistake::new(value.span(), format!("\"{}\" {wrong}", given.escape_debug()), PORTS);
    let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0);
    match given.split_once('-').map(|(first, last)| (port(first), port(last))) {
        Some((Some(first), Some(last))) if first <= last => Ok(first..=last),
        Some((Some(_), Some(_))) => Err(wrong("begins behind its end")),
        _ => Err(wrong("is not a range of ports")),
    }
}

/// Reads a DSCP.
pub(super) fn mark(value: &Value<'_>) -> Result<u8, Mistake> {
    if value.get_ref().as_integer().is_some() {
        let number = integer(value, 0..=i64::from(dscp::HIGHEST))
            .map_err(|mistake| Mistake { right: DSCP.to_owned(), ..mistake })?;
        return u8::try_from(number).map_err(|_| Mistake::new(value.span(), "out of range", DSCP));
    }
    let Some(given) = value.get_ref().as_str() else { return Err(wrong_type(value, DSCP)) };
    dscp::named(given)
        .ok_or_else(|| Mistake::new(value.span(), format!("\"{}\" is not a DSCP", given.escape_debug()), DSCP))
}

/// Reads the Ethernet address of one host.
pub(super) fn host_mac(value: &Value<'_>) -> Result<MacAddress, Mistake> {
    let given = text(value)?;
    match given.parse::<MacAddress>() {
        Ok(mac) if !mac.is_group() && mac != MacAddress::default() => Ok(mac),
        _ => {
            let wrong = format!("\"{}\" is not the Ethernet address of one host", given.escape_debug());
            Err(Mistake::new(
                value.span(),
                wrong,
                "six hexadecimal pairs joined by colons, as in \"02:00:5e:10:00:01\"",
            ))
        }
    }
}
