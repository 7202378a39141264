//! The packets of discovery (RFC 2516 section 5): which concentrators are there, and a session with one.

use crate::wire::pppoe::{HEADER_LENGTH, VERSION_AND_TYPE};

/// Codes (RFC 2516 section 5).
pub(super) mod code {
    pub(in crate::link::pppoe) const PADI: u8 = 0x09;
    pub(in crate::link::pppoe) const PADO: u8 = 0x07;
    pub(in crate::link::pppoe) const PADR: u8 = 0x19;
    pub(in crate::link::pppoe) const PADS: u8 = 0x65;
    pub(in crate::link::pppoe) const PADT: u8 = 0xa7;
}

/// Tags (RFC 2516 appendix A, RFC 4638 section 3).
pub(super) mod tag {
    pub(in crate::link::pppoe) const END_OF_LIST: u16 = 0x0000;
    pub(in crate::link::pppoe) const SERVICE_NAME: u16 = 0x0101;
    pub(in crate::link::pppoe) const CONCENTRATOR_NAME: u16 = 0x0102;
    pub(in crate::link::pppoe) const HOST_UNIQ: u16 = 0x0103;
    pub(in crate::link::pppoe) const COOKIE: u16 = 0x0104;
    pub(in crate::link::pppoe) const RELAY_SESSION_ID: u16 = 0x0110;
    pub(in crate::link::pppoe) const MAX_PAYLOAD: u16 = 0x0120;
    pub(in crate::link::pppoe) const SERVICE_NAME_ERROR: u16 = 0x0201;
    pub(in crate::link::pppoe) const SYSTEM_ERROR: u16 = 0x0202;
    pub(in crate::link::pppoe) const GENERIC_ERROR: u16 = 0x0203;
}

/// A packet of discovery: what follows the Ethernet header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discovery<'a> {
    /// What it is.
    pub code: u8,
    /// The session that it gives or ends; else 0.
    pub session: u16,
    tags: &'a [u8],
}

impl<'a> Discovery<'a> {
    /// Reads a packet; what is behind its length is padding. `None` when a length cannot be.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let header: &[u8; HEADER_LENGTH] = bytes.first_chunk()?;
        let half = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let tags = bytes.get(HEADER_LENGTH..HEADER_LENGTH + usize::from(half(4)))?;
        let packet = Self { code: header[1], session: half(2), tags };
        (header[0] == VERSION_AND_TYPE && packet.is_whole()).then_some(packet)
    }

    /// All tags, in order.
    pub fn tags(&self) -> impl Iterator<Item = (u16, &'a [u8])> {
        let mut rest = self.tags;
        std::iter::from_fn(move || {
            let (kind, value, after) = first_tag(rest)?;
            rest = after;
            // RFC 2516 appendix A: what follows the end is no tag.
            (kind != tag::END_OF_LIST).then_some((kind, value))
        })
        .fuse()
    }

    /// The first tag of a kind.
    pub(super) fn tag(&self, kind: u16) -> Option<&'a [u8]> {
        self.tags().find(|(other, _)| *other == kind).map(|(_, value)| value)
    }

    fn is_whole(&self) -> bool {
        let mut rest = self.tags;
        while !rest.is_empty() {
            match first_tag(rest) {
                Some((tag::END_OF_LIST, ..)) => return true,
                Some((.., after)) => rest = after,
                None => return false,
            }
        }
        true
    }
}

fn first_tag(tags: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let &[a, b, c, d] = tags.first_chunk()?;
    let (value, after) = tags[4..].split_at_checked(u16::from_be_bytes([c, d]).into())?;
    Some((u16::from_be_bytes([a, b]), value, after))
}

/// Writes a packet with these tags. Those that no packet has room for are left out.
pub(super) fn write(code: u8, session: u16, tags: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![VERSION_AND_TYPE, code];
    bytes.extend(session.to_be_bytes());
    bytes.extend([0, 0]);
    for (kind, value) in tags {
        let Ok(length) = u16::try_from(value.len()) else { continue };
        bytes.extend(kind.to_be_bytes());
        bytes.extend(length.to_be_bytes());
        bytes.extend_from_slice(value);
    }
    let length = u16::try_from(bytes.len() - HEADER_LENGTH).unwrap_or(0);
    bytes.truncate(HEADER_LENGTH + usize::from(length));
    bytes[4..6].copy_from_slice(&length.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 2516 appendix B, example of a PADO, as it is printed there.
    const PADO: [u8; 38] = [
        0x11, 0x07, 0x00, 0x00, 0x00, 0x20, 0x01, 0x01, 0x00, 0x00, 0x01, 0x02, 0x00, 0x18, 0x47, 0x6f, 0x20, 0x52,
        0x65, 0x64, 0x42, 0x61, 0x63, 0x6b, 0x20, 0x2d, 0x20, 0x65, 0x73, 0x68, 0x73, 0x68, 0x65, 0x73, 0x68, 0x6f,
        0x6f, 0x74,
    ];

    #[test]
    fn example_of_the_specification_is_read_and_written() {
        let pado = Discovery::parse(&PADO).unwrap();
        assert_eq!((pado.code, pado.session), (code::PADO, 0));
        assert_eq!(pado.tag(tag::SERVICE_NAME), Some(&[][..]));
        assert_eq!(pado.tag(tag::CONCENTRATOR_NAME), Some(&b"Go RedBack - eshsheshoot"[..]));
        let tags: Vec<_> = pado.tags().collect();
        assert_eq!(write(code::PADO, 0, &tags), PADO);
    }

    #[test]
    fn lengths_that_cannot_be_are_refused() {
        for end in 0..PADO.len() {
            assert_eq!(Discovery::parse(&PADO[..end]), None, "{end} bytes");
        }
        for (at, value) in [(0, 0x12), (5, 0x21), (5, 0x1f), (5, 3), (13, 0x19), (9, 200)] {
            let mut broken = PADO;
            broken[at] = value;
            assert_eq!(Discovery::parse(&broken), None, "byte {at} = {value}");
        }
    }

    #[test]
    fn tags_behind_the_end_do_not_count() {
        let bytes = write(code::PADT, 9, &[(tag::COOKIE, b"a"), (0, b""), (tag::HOST_UNIQ, b"b")]);
        let packet = Discovery::parse(&bytes).unwrap();
        assert_eq!((packet.tags().count(), packet.tag(tag::HOST_UNIQ)), (1, None));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            session in any::<u16>(),
            tags in proptest::collection::vec((1..u16::MAX, proptest::collection::vec(any::<u8>(), 0..90)), 0..9),
            padding in 0..50_usize,
        ) {
            let tags: Vec<_> = tags.iter().map(|(kind, value)| (*kind, &value[..])).collect();
            let mut bytes = write(code::PADS, session, &tags);
            bytes.extend(std::iter::repeat_n(0, padding));
            let packet = Discovery::parse(&bytes).unwrap();
            prop_assert_eq!((packet.code, packet.session), (code::PADS, session));
            prop_assert_eq!(packet.tags().collect::<Vec<_>>(), tags);
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Some(packet) = Discovery::parse(&[&[0x11][..], &bytes].concat()) {
                prop_assert!(packet.tags().count() <= bytes.len() / 4);
            }
        }
    }
}
