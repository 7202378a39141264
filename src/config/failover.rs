//! What becomes of flows whose line is lost, or is not needed any more: `movable_udp`, `metered`, `drain`.

use std::num::NonZeroU16;
use std::time::Duration;

use toml::de::DeValue;

use super::error::Mistake;
use super::section::{Section, Value, integer, list, switch, text, wrong_type};
use super::{Drain, Role, Tariff, values};
use crate::engine::{MAX_MOVABLE_PORTS, MovablePorts};

/// QUIC (RFC 9000 section 9 lets a client's address change) and WireGuard, which knows its peers by their keys.
const DEFAULT_MOVABLE_PORTS: [NonZeroU16; 2] = [NonZeroU16::new(443).unwrap(), NonZeroU16::new(51_820).unwrap()];
/// Calls and downloads that somebody waits for mostly end by themselves in this time.
const DEFAULT_DRAIN: Duration = Duration::from_secs(300);

/// The ports when the file names none.
pub(super) fn default_movable_ports() -> MovablePorts {
    MovablePorts::new(DEFAULT_MOVABLE_PORTS)
}

/// Reads the ports whose flows may move; an empty list is one, too.
pub(super) fn movable_ports(value: &Value<'_>) -> Result<MovablePorts, Mistake> {
    if let DeValue::Array(items) = value.get_ref() {
        if items.is_empty() {
            return Ok(MovablePorts::default());
        }
        if items.len() > MAX_MOVABLE_PORTS {
            let wrong = format!("{} ports are too many", items.len());
            return Err(Mistake::new(value.span(), wrong, format!("at most {MAX_MOVABLE_PORTS}")));
        }
    }
    let port = |value: &Value<'_>| integer(value, 1..=i64::from(u16::MAX));
    let ports = list(value, port)?;
    Ok(MovablePorts::new(ports.into_iter().filter_map(|port| NonZeroU16::new(u16::try_from(port).ok()?))))
}

/// Reads `metered`.
pub(super) fn tariff(value: &Value<'_>) -> Result<Tariff, Mistake> {
    Ok(if switch(value)? { Tariff::Metered } else { Tariff::Flat })
}

/// Reads `drain`, which only an uplink may have that is not always in use.
pub(super) fn drain(section: &Section<'_, '_>, role: Role, tariff: Tariff) -> Result<Drain, Mistake> {
    let given = section.optional("drain", span)?;
    let is_reserve = role == Role::Standby || tariff == Tariff::Metered;
    if given.is_some() && !is_reserve {
        let right = "role = \"standby\" or metered = true beside it, or take the line out";
        return Err(Mistake::new(section.place("drain"), "this uplink is always in use", right).of_key("drain"));
    }
    Ok(given.unwrap_or(if is_reserve { Drain::After(DEFAULT_DRAIN) } else { Drain::Never }))
}

fn span(value: &Value<'_>) -> Result<Drain, Mistake> {
    let right = "a whole number and a unit, as in \"30s\" or \"10m\", or \"never\"";
    if value.get_ref().as_str().is_none() {
        return Err(wrong_type(value, right));
    }
    if text(value)? == "never" {
        return Ok(Drain::Never);
    }
    values::duration(value).map(Drain::After).map_err(|mistake| Mistake { right: right.to_owned(), ..mistake })
}
