//! PPP over Ethernet (RFC 2516): the header of session frames, and who may have sent them.
//!
//! ```text
//! Ethernet (14)  version, type, code, session, length (6)  PPP protocol (2)  IP packet ...
//! ```
//!
//! A port of a line by PPPoE receives with [`LINK_LENGTH`] bytes of link header, so the IP packet stands where it always
//! does, and nothing is moved.

use std::num::NonZeroU16;

use super::buffer::ETHERNET_LENGTH;
use super::mac::MacAddress;

// RFC 2516.
/// EtherType of the discovery stage.
pub const ETHERTYPE_DISCOVERY: u16 = 0x8863;
/// EtherType of the session stage.
pub const ETHERTYPE_SESSION: u16 = 0x8864;
/// Section 4: version 1, type 1.
pub const VERSION_AND_TYPE: u8 = 0x11;
/// Section 4: bytes of the header, up to its payload.
pub const HEADER_LENGTH: usize = 6;
/// Section 7: longest packet of a session on plain Ethernet.
pub const PLAIN_MTU: u16 = 1_492;
/// Bytes that PPPoE and PPP take of a frame's payload.
pub const OVERHEAD: u16 = 8;

// Assigned numbers of PPP's protocols (RFC 3818 section 1.3).
/// IPv4.
pub const PROTOCOL_IPV4: u16 = 0x0021;
/// IPv6.
pub const PROTOCOL_IPV6: u16 = 0x0057;
/// The first protocol that controls and carries nothing (RFC 1661 section 2).
pub const FIRST_CONTROL_PROTOCOL: u16 = 0x8000;

/// Bytes before the IP packet: Ethernet, PPPoE and PPP headers.
pub const LINK_LENGTH: usize = ETHERNET_LENGTH + OVERHEAD as usize;

/// A session's number. 0 is none, 65,535 is reserved (RFC 2516 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionId(NonZeroU16);

impl SessionId {
    /// The number, if it can be a session's.
    #[must_use]
    pub const fn new(number: u16) -> Option<Self> {
        match NonZeroU16::new(number) {
            Some(number) if number.get() != u16::MAX => Some(Self(number)),
            _ => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0.get()
    }
}

impl std::fmt::Display for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The header of a session frame, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionHeader {
    /// The session's number, as it stands there.
    pub session: u16,
    /// What PPP carries.
    pub protocol: u16,
    /// Bytes of what PPP carries.
    pub length: usize,
}

impl SessionHeader {
    /// Reads Ethernet, PPPoE and PPP headers of a session frame with `available` bytes behind them. `None` when a field
    /// cannot be or the length exceeds what is there.
    #[must_use]
    pub fn parse(header: &[u8; LINK_LENGTH], available: usize) -> Option<Self> {
        let half = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        // RFC 2516 section 6: code 0 in all frames of a session. RFC 1661 section 2: a protocol's number is odd at its
        // end and even before, which also says that it is not compressed.
        let is_session =
            header[14] == VERSION_AND_TYPE && header[15] == 0 && header[21] & 1 == 1 && header[20] & 1 == 0;
        let length = usize::from(half(18)).checked_sub(2).filter(|length| is_session && *length <= available)?;
        Some(Self { session: half(16), protocol: half(20), length })
    }
}

/// Ethernet, PPPoE and PPP headers of an IPv4 packet of `length` bytes.
#[must_use]
pub fn session_header(
    (destination, source): (MacAddress, MacAddress),
    session: SessionId,
    length: usize,
) -> [u8; LINK_LENGTH] {
    let mut header = [0; LINK_LENGTH];
    header[..6].copy_from_slice(&destination.0);
    header[6..12].copy_from_slice(&source.0);
    header[12..14].copy_from_slice(&ETHERTYPE_SESSION.to_be_bytes());
    header[14] = VERSION_AND_TYPE;
    header[16..18].copy_from_slice(&session.number().to_be_bytes());
    header[20..].copy_from_slice(&PROTOCOL_IPV4.to_be_bytes());
    write_length(&mut header, length);
    header
}

/// Says in headers that [`session_header`] made that the IP packet has `length` bytes.
pub fn write_length(header: &mut [u8; LINK_LENGTH], length: usize) {
    let length = u16::try_from(length + 2).unwrap_or(u16::MAX);
    header[18..20].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MACS: (MacAddress, MacAddress) = (MacAddress([2, 0, 0, 0, 0, 1]), MacAddress([2, 0, 0, 0, 0, 2]));

    #[test]
    fn header_stands_as_the_specification_draws_it() {
        let header = session_header(MACS, SessionId::new(0x1234).unwrap(), 1_492);
        let expected = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0x64, 0x11, 0, 0x12, 0x34, 0x05, 0xd6, 0, 0x21];
        assert_eq!(header, expected);
        assert_eq!([0, 0xffff].map(SessionId::new), [None, None]);
    }

    #[test]
    fn fields_that_cannot_be_are_refused() {
        let good = session_header(MACS, SessionId::new(7).unwrap(), 40);
        assert_eq!(SessionHeader::parse(&good, 39), None, "longer than the frame");
        for (at, value) in [(14, 0x21), (15, 0xa7), (18, 1), (20, 1), (21, 0x20)] {
            let mut bad = good;
            bad[at] = value;
            assert_eq!(SessionHeader::parse(&bad, 40), None, "byte {at} = {value:#x}");
        }
        let mut short = good;
        short[18..20].copy_from_slice(&[0, 1]);
        assert_eq!(SessionHeader::parse(&short, 40), None);
    }

    proptest! {
        #[test]
        fn session_header_is_read_as_it_was_written(session in 1..u16::MAX, length in 0..1_500_usize, padding in 0..50_usize) {
            let header = session_header(MACS, SessionId::new(session).unwrap(), length);
            let read = SessionHeader::parse(&header, length + padding);
            prop_assert_eq!(read, Some(SessionHeader { session, protocol: PROTOCOL_IPV4, length }));
        }
    }
}
