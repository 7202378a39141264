//! The packets of PPP's control protocols (RFC 1661 section 5): code, identifier, length, data; and the options in it.

/// Codes that LCP and all network control protocols share (RFC 1661 section 5), and LCP's own.
pub(super) mod code {
    pub(in crate::link::pppoe) const CONFIGURE_REQUEST: u8 = 1;
    pub(in crate::link::pppoe) const CONFIGURE_ACK: u8 = 2;
    pub(in crate::link::pppoe) const CONFIGURE_NAK: u8 = 3;
    pub(in crate::link::pppoe) const CONFIGURE_REJECT: u8 = 4;
    pub(in crate::link::pppoe) const TERMINATE_REQUEST: u8 = 5;
    pub(in crate::link::pppoe) const TERMINATE_ACK: u8 = 6;
    pub(in crate::link::pppoe) const CODE_REJECT: u8 = 7;
    pub(in crate::link::pppoe) const PROTOCOL_REJECT: u8 = 8;
    pub(in crate::link::pppoe) const ECHO_REQUEST: u8 = 9;
    pub(in crate::link::pppoe) const ECHO_REPLY: u8 = 10;
    pub(in crate::link::pppoe) const DISCARD_REQUEST: u8 = 11;
}

/// Numbers of the protocols that are spoken here.
pub(super) mod protocol {
    pub(in crate::link::pppoe) const LCP: u16 = 0xc021;
    pub(in crate::link::pppoe) const PAP: u16 = 0xc023;
    pub(in crate::link::pppoe) const CHAP: u16 = 0xc223;
    pub(in crate::link::pppoe) const IPCP: u16 = 0x8021;
}

/// Bytes before the data.
const HEADER_LENGTH: usize = 4;

/// A packet of a control protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// What it is.
    pub code: u8,
    /// Which one it is, or answers.
    pub identifier: u8,
    /// What is in it.
    pub data: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads a packet; what is behind its length is padding. `None` when its length cannot be.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let &[code, identifier, high, low] = bytes.first_chunk()?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        bytes.get(HEADER_LENGTH..length).map(|data| Self { code, identifier, data })
    }

    /// Its bytes; data beyond 65,531 bytes is left out.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        let data = &self.data[..self.data.len().min(usize::from(u16::MAX) - HEADER_LENGTH)];
        let length = u16::try_from(HEADER_LENGTH + data.len()).unwrap_or(u16::MAX);
        let mut bytes = vec![self.code, self.identifier];
        bytes.extend(length.to_be_bytes());
        bytes.extend_from_slice(data);
        bytes
    }
}

/// The options in a Configure packet (RFC 1661 section 6): type, length, value.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a>(&'a [u8]);

impl<'a> Options<'a> {
    /// The options in `data`, if they fill it to the last byte.
    #[must_use]
    pub fn parse(data: &'a [u8]) -> Option<Self> {
        let mut rest = data;
        while !rest.is_empty() {
            let length = usize::from(*rest.get(1)?);
            rest = rest.get(length..).filter(|_| length >= 2)?;
        }
        Some(Self(data))
    }
}

impl<'a> Iterator for Options<'a> {
    /// Type and value.
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let &[kind, length] = self.0.first_chunk()?;
        let value = self.0.get(2..length.into())?;
        self.0 = self.0.get(length.into()..)?;
        Some((kind, value))
    }
}

/// Adds an option to a packet's data. `value` has at most 253 bytes.
pub(super) fn put_option(data: &mut Vec<u8>, kind: u8, value: &[u8]) {
    let value = &value[..value.len().min(253)];
    #[expect(clippy::cast_possible_truncation, reason = "at most 255")]
    data.extend([kind, value.len() as u8 + 2]);
    data.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn packet_with_padding_is_read_and_a_short_one_is_not() {
        let packet = Packet { code: 1, identifier: 7, data: &[1, 4, 5, 212] };
        let mut bytes = packet.to_bytes();
        assert_eq!(bytes, [1, 7, 0, 8, 1, 4, 5, 212]);
        bytes.extend([0; 9]);
        assert_eq!(Packet::parse(&bytes), Some(packet));
        assert_eq!(Packet::parse(&bytes[..7]), None);
        assert_eq!(Packet::parse(&[1, 7, 0, 3]), None);
        assert_eq!(Packet::parse(&[1, 7, 0]), None);
    }

    #[test]
    fn options_that_do_not_fill_their_packet_are_refused() {
        let all: Vec<_> = Options::parse(&[1, 4, 5, 212, 13, 2]).unwrap().collect();
        assert_eq!(all, [(1, &[5, 212][..]), (13, &[][..])]);
        for broken in [&[1, 4, 5][..], &[1], &[1, 0, 0], &[1, 1, 0, 2], &[1, 2, 9]] {
            assert!(Options::parse(broken).is_none(), "{broken:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(options in proptest::collection::vec((any::<u8>(), proptest::collection::vec(any::<u8>(), 0..253)), 0..9)) {
            let mut data = Vec::new();
            options.iter().for_each(|(kind, value)| put_option(&mut data, *kind, value));
            let bytes = Packet { code: 4, identifier: 1, data: &data }.to_bytes();
            let read: Vec<_> = Options::parse(Packet::parse(&bytes).unwrap().data).unwrap().collect();
            let expected: Vec<_> = options.iter().map(|(kind, value)| (*kind, &value[..])).collect();
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Some(packet) = Packet::parse(&bytes) {
                prop_assert!(Options::parse(packet.data).is_none_or(|options| options.count() <= packet.data.len() / 2));
            }
        }
    }
}
