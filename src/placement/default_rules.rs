//! What an office has on its lines that is urgent and small: of class isolated, unless a rule of the file says otherwise.
//!
//! They stand behind the file's own rules, and only while there is a line for flows of that class. Bulk that hides behind one
//! of these ports (a backup over SSH) is noticed by what it does; a rule of the file with `class = "bulk"` knows it before.

use std::ops::RangeInclusive;

use super::policy::Match;
use crate::flow::Protocol;

/// What the names of default rules begin with, and no name of a rule in the file.
pub const PREFIX: &str = "default:";

/// A rule's name, protocol and ports. Without a protocol, both that have ports are meant.
type NamedPorts = (&'static str, Option<Protocol>, &'static [RangeInclusive<u16>]);

const BY_PORT: [NamedPorts; 7] = [
    ("default:ssh", Some(Protocol::Tcp), &[22..=22]),
    ("default:dns", None, &[53..=53]),
    // RFC 7858, RFC 9250: DNS over TLS and QUIC.
    ("default:dns-encrypted", None, &[853..=853]),
    ("default:ntp", Some(Protocol::Udp), &[123..=123]),
    // XMPP, IRC with and without TLS, Matrix between servers, push messages to telephones.
    (
        "default:chat",
        Some(Protocol::Tcp),
        &[5222..=5223, 5269..=5269, 6667..=6667, 6697..=6697, 8448..=8448, 5228..=5228],
    ),
    ("default:sip", None, &[5060..=5061]),
    // STUN and TURN (RFC 8489, RFC 8656), as telephones and browsers use them.
    ("default:stun", None, &[3478..=3481, 19302..=19302]),
];

/// EF, CS5 and AF4x: what telephones and conferences mark their packets with (RFC 4594 section 4).
const MARKS: [u8; 5] = [46, 40, 34, 36, 38];

/// Each with its name, in their order.
pub fn default_rules() -> impl Iterator<Item = (&'static str, Match)> {
    let by_port = BY_PORT.into_iter().map(|(name, protocol, ports)| {
        (name, Match { protocol, destination_ports: ports.to_vec(), ..Match::default() })
    });
    let icmp = Match { protocol: Some(Protocol::Icmp), ..Match::default() };
    let marked = Match { dscp: MARKS.to_vec(), ..Match::default() };
    by_port.chain([("default:icmp", icmp), ("default:marked", marked)])
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::flow::{EndpointV4, FlowKey};
    use crate::placement::policy::Opening;

    /// The default rule for a flow to this port.
    fn rule_for(protocol: Protocol, port: u16, dscp: u8) -> Option<&'static str> {
        let internal = EndpointV4 { address: Ipv4Addr::new(192, 168, 10, 20), port: 40_000 };
        let remote = EndpointV4 { address: Ipv4Addr::new(203, 0, 113, 9), port };
        let opening = Opening { key: FlowKey { protocol, internal, remote }, dscp };
        default_rules().find(|(_, matches)| matches.is_for(&opening)).map(|(name, _)| name)
    }

    #[test]
    fn an_offices_urgent_flows_are_known_and_others_are_not() {
        use Protocol::{Icmp, Tcp, Udp};
        for (protocol, port, name) in [
            (Tcp, 22, "ssh"),
            (Udp, 53, "dns"),
            (Tcp, 53, "dns"),
            (Tcp, 853, "dns-encrypted"),
            (Udp, 123, "ntp"),
            (Tcp, 5223, "chat"),
            (Tcp, 6697, "chat"),
            (Tcp, 8448, "chat"),
            (Tcp, 5228, "chat"),
            (Udp, 5060, "sip"),
            (Tcp, 5061, "sip"),
            (Udp, 3479, "stun"),
            (Udp, 19302, "stun"),
            (Icmp, 0, "icmp"),
        ] {
            assert_eq!(rule_for(protocol, port, 0), Some(&*format!("{PREFIX}{name}")), "{protocol} {port}");
        }
        for (protocol, port) in [(Tcp, 443), (Udp, 443), (Tcp, 80), (Udp, 22), (Tcp, 123), (Udp, 5222)] {
            assert_eq!(rule_for(protocol, port, 0), None, "{protocol} {port}");
        }
        for mark in [46, 40, 34, 36, 38] {
            assert_eq!(rule_for(Udp, 40_001, mark), Some("default:marked"));
        }
        assert_eq!(rule_for(Udp, 40_001, 8), None);
    }
}
