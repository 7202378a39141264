//! `[[rule]]`: of which class flows are.

use std::net::Ipv4Addr;
use std::num::NonZeroU16;

use super::error::Mistake;
use super::section::{Section, list, text};
use super::values;
use crate::flow::Protocol;
use crate::placement::Class;

/// Keys of the section.
pub(super) const KEYS: [&str; 5] = ["name", "protocol", "destination_port", "except_destination", "class"];

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

/// Reads a `[[rule]]`.
pub(super) fn rule(section: &Section<'_, '_>) -> Result<Rule, Mistake> {
    let protocol = section.optional("protocol", |value| values::word(value, &values::PROTOCOLS))?;
    let destination_ports =
        section.optional("destination_port", |value| list(value, values::port))?.unwrap_or_default();
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
