//! From what is said to an Ethernet frame, and back.

use super::discovery::Discovery;
use crate::wire::MacAddress;
use crate::wire::buffer::ETHERNET_LENGTH;
use crate::wire::pppoe::{ETHERTYPE_DISCOVERY, ETHERTYPE_SESSION, LINK_LENGTH, SessionHeader, VERSION_AND_TYPE};

/// What is in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content<'a> {
    /// A packet of discovery.
    Discovery(Discovery<'a>),
    /// What PPP carries in a session: its number, the protocol and what follows.
    Session { session: u16, protocol: u16, information: &'a [u8] },
}

/// Who sent a frame of PPPoE to `own`, and what is in it. `None` for those of others, and broken ones.
pub(super) fn parse(own: MacAddress, frame: &[u8]) -> Option<(MacAddress, Content<'_>)> {
    let (ethernet, rest) = frame.split_at_checked(ETHERNET_LENGTH)?;
    let mut source = MacAddress::default();
    source.0.copy_from_slice(&ethernet[6..12]);
    if ethernet[..6] != own.0 || source == own || source.is_group() {
        return None;
    }
    let content = match u16::from_be_bytes([ethernet[12], ethernet[13]]) {
        ETHERTYPE_DISCOVERY => Content::Discovery(Discovery::parse(rest)?),
        ETHERTYPE_SESSION => {
            let header: &[u8; LINK_LENGTH] = frame.first_chunk()?;
            let SessionHeader { session, protocol, length } = SessionHeader::parse(header, frame.len() - LINK_LENGTH)?;
            Content::Session { session, protocol, information: &frame[LINK_LENGTH..LINK_LENGTH + length] }
        }
        _ => return None,
    };
    Some((source, content))
}

/// A frame of discovery.
pub(super) fn discovery((to, own): (MacAddress, MacAddress), packet: &[u8]) -> Vec<u8> {
    ethernet((to, own), ETHERTYPE_DISCOVERY, packet)
}

/// A frame of a session. `information` has less than 65,534 bytes.
pub(super) fn session(way: (MacAddress, MacAddress), session: u16, protocol: u16, information: &[u8]) -> Vec<u8> {
    let mut payload = vec![VERSION_AND_TYPE, 0];
    payload.extend(session.to_be_bytes());
    payload.extend(u16::try_from(information.len() + 2).unwrap_or(u16::MAX).to_be_bytes());
    payload.extend(protocol.to_be_bytes());
    payload.extend_from_slice(information);
    ethernet(way, ETHERTYPE_SESSION, &payload)
}

fn ethernet((to, own): (MacAddress, MacAddress), ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&to.0[..], &own.0, &ethertype.to_be_bytes(), payload].concat()
}
