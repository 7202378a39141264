//! What a client tells.

use std::fmt;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::wire::MacAddress;
use crate::wire::pppoe::SessionId;

/// Longest text of a peer's that is kept.
const LONGEST_TEXT: usize = 120;

/// A session that carries packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Its number.
    pub session: SessionId,
    /// The concentrator's Ethernet address.
    pub concentrator: MacAddress,
    /// The concentrator's name; empty when it tells none.
    pub concentrator_name: String,
    /// Our address.
    pub address: Ipv4Addr,
    /// The peer's.
    pub gateway: Ipv4Addr,
    /// Who resolves names.
    pub name_servers: Vec<Ipv4Addr>,
    /// Longest packet that may be sent, in bytes.
    pub mtu: u16,
}

/// Why there is no session, or no longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No concentrator answers.
    NoConcentrator,
    /// Only concentrators have answered that are not the one asked for, or do not have the service; the last one's name.
    NotWanted(String),
    /// The concentrator does not have the service; with its own words.
    ServiceRefused(String),
    /// The concentrator cannot now, or is in error; with its own words.
    Concentrator(String),
    /// The concentrator has offered a session and does not give it.
    NoSession,
    /// The peer does not answer in this stage.
    Silent(Stage),
    /// The peer and we do not agree in this stage.
    Disagreement(Stage),
    /// Everything that we send comes back.
    LoopedBack,
    /// The peer does not let us in; with its own words.
    AuthenticationRefused(String),
    /// The peer has given an address that no line can have.
    BadAddress(Ipv4Addr),
    /// The address that the peer gives is in a network of the LAN's.
    OverlapsLan {
        /// The address.
        address: Ipv4Addr,
        /// The LAN's network.
        lan: Ipv4Net,
    },
    /// The peer has ended the link (LCP); with its own words.
    LinkEnded(String),
    /// The concentrator has ended the session (PADT); with its own words.
    SessionEnded(String),
    /// The peer answers no more echoes.
    EchoSilence,
    /// The peer has begun to negotiate anew.
    Renegotiated,
    /// The session stands, and nothing that is sent through it is answered.
    CarriesNothing,
    /// Somebody has the line redialled.
    ByHand,
}

/// Stages on the way to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// LCP.
    Link,
    /// PAP or CHAP.
    Authentication,
    /// IPCP.
    Network,
}

impl Stage {
    const fn name(self) -> &'static str {
        match self {
            Self::Link => "the link",
            Self::Authentication => "authentication",
            Self::Network => "the address",
        }
    }
}

impl Failure {
    /// What a person can do about it, where one can.
    #[must_use]
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::NoConcentrator => Some("is the cable in the right port, and the modem up and a bridge?"),
            Self::NotWanted(_) => Some("check `concentrator` and `service`, or take them out"),
            Self::ServiceRefused(_) => Some("check `service`, or take it out"),
            Self::AuthenticationRefused(_) => Some("check `username` and what is in `password_file`"),
            Self::OverlapsLan { .. } => Some("give the LAN another network"),
            Self::LoopedBack => Some("look for a loop in the cabling"),
            _ => None,
        }
    }
}

impl Failure {
    /// What has happened, and what a person can do about it.
    #[must_use]
    pub fn explained(&self) -> String {
        self.remedy().map_or_else(|| self.to_string(), |remedy| format!("{self}; {remedy}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoConcentrator => f.write_str("no concentrator answers"),
            Self::NotWanted(name) => write!(f, "only concentrator \"{name}\" answers, which is not the one asked for"),
            Self::ServiceRefused(said) => with_words(f, "service refused", said),
            Self::Concentrator(said) => with_words(f, "the concentrator reports an error", said),
            Self::NoSession => f.write_str("the concentrator has offered a session and does not give it"),
            Self::Silent(stage) => write!(f, "the peer is silent when it comes to {}", stage.name()),
            Self::Disagreement(stage) => write!(f, "no agreement with the peer about {}", stage.name()),
            Self::LoopedBack => f.write_str("looped back: all that is sent comes back"),
            Self::AuthenticationRefused(said) => with_words(f, "authentication refused", said),
            Self::BadAddress(address) => write!(f, "the peer gives {address}, which is not the address of one host"),
            Self::OverlapsLan { address, lan } => {
                write!(f, "the address given, {address}, is in the LAN's network {lan}")
            }
            Self::LinkEnded(said) => with_words(f, "the peer has ended the link", said),
            Self::SessionEnded(said) => with_words(f, "the concentrator has ended the session", said),
            Self::EchoSilence => f.write_str("the peer answers no more echoes"),
            Self::Renegotiated => f.write_str("the peer has begun anew"),
            Self::CarriesNothing => f.write_str("nothing is answered by way of the session"),
            Self::ByHand => f.write_str("redialled by hand"),
        }
    }
}

fn with_words(f: &mut fmt::Formatter<'_>, what: &str, said: &str) -> fmt::Result {
    if said.is_empty() { f.write_str(what) } else { write!(f, "{what}: {said}") }
}

/// A peer's words, cut short, without what would disturb a terminal.
pub(super) fn words(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.trim().chars().flat_map(char::escape_debug).take(LONGEST_TEXT).collect()
}

/// What has happened to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// A session carries packets.
    Connected(Connection),
    /// The session that carried packets is over.
    Ended(Failure),
    /// An attempt has failed. Told once for each reason, until there was a connection.
    Failed(Failure),
}
