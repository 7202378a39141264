//! The question of `GET /v1/explain`, and its answer: what would become of a connection.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::flow::{EndpointV4, FlowKey, Protocol};
use crate::placement::Opening;
use crate::wire::dscp;

/// The query of `GET /v1/explain`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ExplainQuery {
    /// The host: `192.168.10.20`, or `192.168.10.20:5060` where its port matters.
    pub from: String,
    /// The far end: `203.0.113.9:443/tcp`, or `203.0.113.9/icmp`.
    pub to: String,
    /// The mark of its first packet: `ef` or `46`; without it, none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dscp: Option<String>,
}

/// What would become of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExplainReport {
    /// The host, with its port if one was given.
    pub from: String,
    /// The far end, with the protocol.
    pub to: String,
    /// The mark of its first packet.
    pub dscp: u8,
    /// `line`: it gets one; `kernel`: its packets stay with the kernel, untranslated; `refused`.
    pub fate: String,
    /// The rule that decides; nothing: none matches. Those of the router itself begin with `default:`.
    pub rule: Option<String>,
    /// `bulk` or `isolated`; nothing where no line is asked for.
    pub class: Option<String>,
    /// The lines that it may have: those of the first group, those of the next while none of the first works, and so on.
    pub tiers: Vec<Vec<ExplainedLine>>,
    /// The line that it would get now.
    pub uplink: Option<String>,
    /// What decides among the lines of a group: `load` or `stickiness`.
    pub decided_by: Option<String>,
    /// How it sticks to the line of its host's flows to the same site: `never`, `default`, `soft` or `hard`.
    pub stickiness: Option<String>,
    /// What the person should know beside.
    pub notes: Vec<String>,
}

/// A line that a connection may have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExplainedLine {
    /// Its name.
    pub uplink: String,
    /// Its state, as in `status`.
    pub state: String,
}

/// What `--from` says: a host, and its port or 0.
///
/// # Errors
/// Says what is wrong and what would be right.
pub fn parse_from(text: &str) -> Result<EndpointV4, String> {
    let right = "write a host's address, as in 192.168.10.20, or address and port, as in 192.168.10.20:5060";
    let (address, port) = match text.split_once(':') {
        None => (text, Some(0)),
        Some((address, port)) => (address, port.parse().ok().filter(|port| *port > 0)),
    };
    let port =
        port.ok_or_else(|| format!("the port of \"{}\" is not one from 1 to 65535; {right}", text.escape_debug()))?;
    Ok(EndpointV4 { address: parse_address(address, right)?, port })
}

/// What `--to` says: the far end, and the protocol. The port is 0 for ICMP.
///
/// # Errors
/// Says what is wrong and what would be right.
pub fn parse_to(text: &str) -> Result<(EndpointV4, Protocol), String> {
    let right = "write address, port and protocol, as in 203.0.113.9:443/tcp, or 203.0.113.9/icmp";
    let Some((end, protocol)) = text.split_once('/') else {
        return Err(format!("\"{}\" names no protocol; {right}", text.escape_debug()));
    };
    let Some(protocol) = Protocol::ALL.into_iter().find(|known| known.to_string() == protocol) else {
        return Err(format!("unknown protocol \"{}\": one of tcp, udp, icmp; {right}", protocol.escape_debug()));
    };
    let (address, port) = match (protocol, end.split_once(':')) {
        (Protocol::Icmp, None) => (end, 0),
        (Protocol::Icmp, Some(_)) => return Err(format!("ICMP has no ports; {right}")),
        (_, None) => return Err(format!("\"{}\" names no port; {right}", text.escape_debug())),
        (_, Some((address, port))) => {
            let port = port.parse().ok().filter(|port| *port > 0);
            let wrong = || format!("the port of \"{}\" is not one from 1 to 65535; {right}", text.escape_debug());
            (address, port.ok_or_else(wrong)?)
        }
    };
    Ok((EndpointV4 { address: parse_address(address, right)?, port }, protocol))
}

/// What `--dscp` says.
///
/// # Errors
/// Says what would be right.
pub fn parse_dscp(text: &str) -> Result<u8, String> {
    let right = "write a number from 0 to 63, or a name such as ef, af41 or cs5";
    dscp::parse(text).ok_or_else(|| format!("\"{}\" is not a DSCP; {right}", text.escape_debug()))
}

fn parse_address(text: &str, right: &str) -> Result<Ipv4Addr, String> {
    text.parse()
        .map_err(|_| format!("\"{}\" is not an IPv4 address (names are not looked up); {right}", text.escape_debug()))
}

impl ExplainQuery {
    /// The first packet of the connection that is meant.
    ///
    /// # Errors
    /// Says what is wrong and what would be right.
    pub fn opening(&self) -> Result<Opening, String> {
        let (remote, protocol) = parse_to(&self.to)?;
        let internal = parse_from(&self.from)?;
        let dscp = self.dscp.as_deref().map_or(Ok(0), parse_dscp)?;
        Ok(Opening { key: FlowKey { protocol, internal, remote }, dscp })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_is_read_from_three_words() {
        let query = |from: &str, to: &str, dscp: Option<&str>| {
            ExplainQuery { from: from.to_owned(), to: to.to_owned(), dscp: dscp.map(str::to_owned) }.opening()
        };
        let opening = query("192.168.10.20", "203.0.113.9:443/tcp", Some("ef")).unwrap();
        assert_eq!(
            (opening.key.tuple().to_string(), opening.dscp),
            ("tcp 192.168.10.20:0 -> 203.0.113.9:443".to_owned(), 46)
        );
        let opening = query("192.168.10.20:5060", "203.0.113.9/icmp", None).unwrap();
        assert_eq!((opening.key.internal.port, opening.key.protocol, opening.dscp), (5_060, Protocol::Icmp, 0));
        assert!(query("192.168.10.20", "203.0.113.9:443/tcp", Some("af9")).unwrap_err().contains("0 to 63"));
    }

    #[test]
    fn what_cannot_be_read_is_said_with_what_would_be_right() {
        for (from, says) in [
            ("", "names are not looked up"),
            ("printer", "names are not looked up"),
            ("192.168.10.20:", "1 to 65535"),
            ("192.168.10.20:0", "1 to 65535"),
            ("192.168.10.20:99999", "1 to 65535"),
            ("fe80::1", "port"),
        ] {
            let said = parse_from(from).unwrap_err();
            assert!(said.contains(says) && said.contains("192.168.10.20:5060"), "{from}: {said}");
        }
        for (to, says) in [
            ("203.0.113.9", "names no protocol"),
            ("203.0.113.9:443", "names no protocol"),
            ("203.0.113.9/tcp", "names no port"),
            ("203.0.113.9:443/sctp", "one of tcp, udp, icmp"),
            ("203.0.113.9:8/icmp", "ICMP has no ports"),
            ("203.0.113.9:0/udp", "1 to 65535"),
            ("example.org:443/tcp", "names are not looked up"),
        ] {
            let said = parse_to(to).unwrap_err();
            assert!(said.contains(says) && said.contains("203.0.113.9:443/tcp"), "{to}: {said}");
        }
    }
}
