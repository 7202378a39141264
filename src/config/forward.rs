//! `[[forward]]`: ports of lines that LAN hosts answer.

use std::net::SocketAddrV4;
use std::num::NonZeroU16;

use super::Uplink;
use super::error::Mistake;
use super::section::{Section, text};
use super::values::{self, UplinkName};
use crate::flow::Protocol;

/// Keys of the section.
pub(super) const KEYS: [&str; 4] = ["uplink", "protocol", "port", "to"];

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

/// Reads a `[[forward]]`.
pub(super) fn forward(section: &Section<'_, '_>, uplinks: &[Uplink]) -> Result<Forward, Mistake> {
    let uplink = section.required("uplink", "\"any\"", |value| match text(value)? {
        "any" => Ok(None),
        _ => values::known_uplink(value, uplinks).map(Some),
    })?;
    Ok(Forward {
        uplink,
        protocol: section.required("protocol", "\"tcp\"", |value| values::word(value, &values::PROTOCOLS[..2]))?,
        port: section.required("port", "8080", values::port)?,
        to: section.required("to", "\"192.168.10.10:80\"", |value| {
            let given = text(value)?;
            given.parse::<SocketAddrV4>().ok().filter(|to| to.port() != 0).ok_or_else(|| {
                let wrong = format!("\"{}\" is not an address and a port", given.escape_debug());
                Mistake::new(value.span(), wrong, "an IPv4 address and a port, as in \"192.168.10.10:80\"")
            })
        })?,
    })
}
