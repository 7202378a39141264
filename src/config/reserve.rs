//! `[[reserve]]`: lines that some hosts have for themselves.

use std::net::Ipv4Addr;

use super::Uplink;
use super::error::Mistake;
use super::section::{Section, Value, list, text};
use super::values::{self, UplinkName};
use crate::wire::MacAddress;

/// Keys of the section.
pub(super) const KEYS: [&str; 3] = ["uplink", "hosts", "until"];

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

/// Reads a `[[reserve]]`.
pub(super) fn reservation(section: &Section<'_, '_>, uplinks: &[Uplink]) -> Result<Reservation, Mistake> {
    let uplink = section.required("uplink", "\"dsl3\"", |value| values::known_uplink(value, uplinks))?;
    let hosts = section.required("hosts", "[\"192.168.10.50\"]", |value| list(value, reserved_host))?;
    let until = section.optional("until", time_of_day)?;
    Ok(Reservation { uplink, hosts, until })
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
