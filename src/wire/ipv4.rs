//! The IPv4 header (RFC 791): parsed once with every length checked, rewritten in place.

use std::net::Ipv4Addr;

use super::checksum::{self, Delta};

/// Bytes of a header without options.
pub const HEADER_LENGTH: usize = 20;
/// Smallest MTU that a link may have (RFC 791).
pub const SMALLEST_MTU: u16 = 68;

/// The two bits of ECN: none, one or the other if the sender can be told, both: congestion.
const CONGESTION: u16 = 0b11;

const OPTION_END: u8 = 0;
const OPTION_NO_OPERATION: u8 = 1;
const OPTION_LOOSE_SOURCE_ROUTE: u8 = 131;
const OPTION_STRICT_SOURCE_ROUTE: u8 = 137;

/// What is wrong with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ipv4Error {
    /// Too short, or version and lengths contradict each other.
    Malformed,
    /// The header's checksum is wrong.
    BadChecksum,
    /// It names its own route (RFC 7126 sections 4.3 and 4.4: drop).
    SourceRoute,
}

/// A fragment's place in its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentPlace {
    /// Offset of the piece's first byte in the datagram's payload.
    pub offset: u16,
    /// Whether pieces follow.
    pub more: bool,
}

/// The fields of a header that has been checked. All lengths in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4 {
    /// Header with options.
    pub header_length: usize,
    /// Header and payload; at most the bytes given to [`Self::parse`].
    pub total_length: usize,
    /// Identification, for fragments.
    pub identification: u16,
    /// Whether routers must not fragment it.
    pub dont_fragment: bool,
    /// Its place if it is a piece of a datagram.
    pub fragment: Option<FragmentPlace>,
    /// What the sender has marked it with (RFC 2474): 0 to 63.
    pub dscp: u8,
    /// Time to live.
    pub ttl: u8,
    /// Protocol number of the payload.
    pub protocol: u8,
    /// Who sends.
    pub source: Ipv4Addr,
    /// Who receives.
    pub destination: Ipv4Addr,
}

impl Ipv4 {
    /// Parses the header at the start of `packet`. Bytes behind the total length (Ethernet padding) are ignored.
    ///
    /// # Errors
    /// When the header is malformed, its checksum is wrong, or it is source-routed.
    // In line, so that the fields stay in registers: whoever copies them from memory waits for the stores to get there.
    #[inline(always)]
    pub fn parse(packet: &[u8]) -> Result<Self, Ipv4Error> {
        let parsed = Self::parse_fields(packet)?;
        if parsed.total_length > packet.len() {
            return Err(Ipv4Error::Malformed);
        }
        let header = &packet[..parsed.header_length];
        let sum = match <&[u8; HEADER_LENGTH]>::try_from(header) {
            Ok(plain) => checksum::sum_of_header(plain),
            Err(_) => checksum::sum(header),
        };
        if checksum::finish(sum) != 0 {
            return Err(Ipv4Error::BadChecksum);
        }
        if parsed.header_length > HEADER_LENGTH && is_source_routed(&header[HEADER_LENGTH..]) {
            return Err(Ipv4Error::SourceRoute);
        }
        Ok(parsed)
    }

    /// Parses a header quoted in an ICMP error: the payload behind it may have been cut (RFC 792), so the total length
    /// may exceed `quoted`.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_quoted(quoted: &[u8]) -> Result<Self, Ipv4Error> {
        let parsed = Self::parse_fields(quoted)?;
        // RFC 5508 REQ-3a: a wrong checksum in the embedded header: drop.
        if !checksum::is_right(&quoted[..parsed.header_length]) {
            return Err(Ipv4Error::BadChecksum);
        }
        Ok(parsed)
    }

    #[inline(always)]
    fn parse_fields(packet: &[u8]) -> Result<Self, Ipv4Error> {
        let fixed: &[u8; HEADER_LENGTH] = packet.first_chunk().ok_or(Ipv4Error::Malformed)?;
        let half = |at: usize| u16::from_be_bytes([fixed[at], fixed[at + 1]]);
        let header_length = usize::from(fixed[0] & 0x0f) * 4;
        let total_length = usize::from(half(2));
        if fixed[0] >> 4 != 4
            || header_length < HEADER_LENGTH
            || header_length > packet.len()
            || total_length < header_length
        {
            return Err(Ipv4Error::Malformed);
        }
        let flags = half(6);
        let (offset, more) = ((flags & 0x1fff) * 8, flags & 0x2000 != 0);
        Ok(Self {
            header_length,
            total_length,
            identification: half(4),
            dont_fragment: flags & 0x4000 != 0,
            fragment: (offset != 0 || more).then_some(FragmentPlace { offset, more }),
            dscp: fixed[1] >> 2,
            ttl: fixed[8],
            protocol: fixed[9],
            source: Ipv4Addr::new(fixed[12], fixed[13], fixed[14], fixed[15]),
            destination: Ipv4Addr::new(fixed[16], fixed[17], fixed[18], fixed[19]),
        })
    }

    /// Bytes behind the header.
    #[must_use]
    pub fn payload_length(&self) -> usize {
        self.total_length - self.header_length
    }
}

/// Tells the receiver of a packet that there is congestion, if its sender wants to hear of it so (RFC 3168 section 5): says
/// whether it does. `packet` starts with a header that was parsed.
pub fn mark_congestion(packet: &mut [u8]) -> bool {
    let Some(header) = packet.first_chunk_mut::<HEADER_LENGTH>() else { return false };
    let before = u16::from_be_bytes([header[0], header[1]]);
    if before & CONGESTION == 0 {
        return false;
    }
    let after = before | CONGESTION;
    header[1] |= CONGESTION as u8;
    let mut delta = Delta::new();
    delta.replace_word(before, after);
    let mended = delta.apply_complete(u16::from_be_bytes([header[10], header[11]]));
    header[10..12].copy_from_slice(&mended.to_be_bytes());
    true
}

fn is_source_routed(mut options: &[u8]) -> bool {
    while let Some((&kind, rest)) = options.split_first() {
        match kind {
            OPTION_END => return false,
            OPTION_NO_OPERATION => options = rest,
            OPTION_LOOSE_SOURCE_ROUTE | OPTION_STRICT_SOURCE_ROUTE => return true,
            _ => match rest.first() {
                Some(&length) if usize::from(length) >= 2 => options = options.get(length.into()..).unwrap_or(&[]),
                _ => return false,
            },
        }
    }
    false
}

/// Which address of a packet is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressField {
    /// The source.
    Source,
    /// The destination.
    Destination,
}

impl AddressField {
    /// Where the address stands in an IPv4 header.
    const fn offset(self) -> usize {
        match self {
            Self::Source => 12,
            Self::Destination => 16,
        }
    }

    /// The other one.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Source => Self::Destination,
            Self::Destination => Self::Source,
        }
    }
}

/// Replaces an address and mends the header's checksum (RFC 1624). `packet` starts with a header that was parsed.
#[inline]
pub fn replace_address(packet: &mut [u8], field: AddressField, address: Ipv4Addr) {
    let at = field.offset();
    let old = Ipv4Addr::new(packet[at], packet[at + 1], packet[at + 2], packet[at + 3]);
    packet[at..at + 4].copy_from_slice(&address.octets());
    let mut delta = Delta::new();
    delta.replace_address(old.into(), address.into());
    mend_checksum(packet, delta);
}

/// Takes one from the time to live and mends the checksum. The time to live must be above zero.
#[inline]
pub fn decrement_ttl(packet: &mut [u8]) {
    let old = u16::from_be_bytes([packet[8], packet[9]]);
    let new = old.wrapping_sub(0x0100);
    packet[8..10].copy_from_slice(&new.to_be_bytes());
    let mut delta = Delta::new();
    delta.replace_word(old, new);
    mend_checksum(packet, delta);
}

fn mend_checksum(packet: &mut [u8], delta: Delta) {
    let field = u16::from_be_bytes([packet[10], packet[11]]);
    packet[10..12].copy_from_slice(&delta.apply_complete(field).to_be_bytes());
}

/// A header to be written: 20 bytes, no options.
#[derive(Clone, Copy, Debug)]
pub struct NewHeader {
    /// Header and payload, in bytes.
    pub total_length: u16,
    /// Identification.
    pub identification: u16,
    /// Flags and offset, as on the wire.
    pub flags_and_offset: u16,
    /// Time to live.
    pub ttl: u8,
    /// Protocol number of the payload.
    pub protocol: u8,
    /// Who sends.
    pub source: Ipv4Addr,
    /// Who receives.
    pub destination: Ipv4Addr,
}

impl NewHeader {
    /// Writes it to the first 20 bytes of `packet`, checksum included.
    ///
    /// # Panics
    /// When `packet` is shorter than that.
    pub fn write(&self, packet: &mut [u8]) {
        let header = &mut packet[..HEADER_LENGTH];
        header.fill(0);
        header[0] = 0x45;
        header[2..4].copy_from_slice(&self.total_length.to_be_bytes());
        header[4..6].copy_from_slice(&self.identification.to_be_bytes());
        header[6..8].copy_from_slice(&self.flags_and_offset.to_be_bytes());
        header[8] = self.ttl;
        header[9] = self.protocol;
        header[12..16].copy_from_slice(&self.source.octets());
        header[16..20].copy_from_slice(&self.destination.octets());
        let sum = checksum::of(header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
    }
}

/// Recomputes the checksum of a header whose fields were changed otherwise.
pub fn write_checksum(packet: &mut [u8], header_length: usize) {
    packet[10..12].fill(0);
    let sum = checksum::of(&packet[..header_length]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// Whether an address can be one host's: not zero, loopback, multicast, reserved or broadcast.
#[must_use]
pub fn is_one_host(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    first != 0 && first != 127 && first < 224
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> [u8; HEADER_LENGTH] {
        let mut packet = [0; HEADER_LENGTH];
        NewHeader {
            total_length: 20,
            identification: 7,
            flags_and_offset: 0x4000,
            ttl: 64,
            protocol: 6,
            source: Ipv4Addr::new(192, 168, 10, 20),
            destination: Ipv4Addr::new(203, 0, 113, 1),
        }
        .write(&mut packet);
        packet
    }

    #[test]
    fn rewritten_header_keeps_a_right_checksum() {
        let mut packet = header();
        replace_address(&mut packet, AddressField::Source, Ipv4Addr::new(10, 77, 1, 2));
        decrement_ttl(&mut packet);
        let parsed = Ipv4::parse(&packet).unwrap();
        assert_eq!((parsed.source, parsed.ttl), (Ipv4Addr::new(10, 77, 1, 2), 63));
    }

    #[test]
    fn broken_headers_are_refused() {
        let good = header();
        assert_eq!(Ipv4::parse(&good[..19]), Err(Ipv4Error::Malformed));
        for (at, value) in [(0, 0x55), (0, 0x44), (0, 0x46), (3, 19), (3, 21)] {
            let mut bad = good;
            bad[at] = value;
            assert_eq!(Ipv4::parse(&bad), Err(Ipv4Error::Malformed), "byte {at} = {value:#x}");
        }
        let mut bad = good;
        bad[10] ^= 1;
        assert_eq!(Ipv4::parse(&bad), Err(Ipv4Error::BadChecksum));
    }

    #[test]
    fn source_route_is_refused_and_other_options_pass() {
        let mut packet = [0; 28];
        packet[..20].copy_from_slice(&header());
        packet[0] = 0x47;
        packet[3] = 28;
        for (option, expected) in
            [(131, Err(Ipv4Error::SourceRoute)), (137, Err(Ipv4Error::SourceRoute)), (148, Ok(()))]
        {
            packet[20..24].copy_from_slice(&[option, 4, 0, 0]);
            write_checksum(&mut packet, 28);
            assert_eq!(Ipv4::parse(&packet).map(drop), expected);
        }
    }
}
