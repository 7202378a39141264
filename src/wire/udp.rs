//! The UDP header (RFC 768).

/// Bytes of a header.
pub const HEADER_LENGTH: usize = 8;
/// Where the checksum stands in the header.
pub const CHECKSUM_OFFSET: usize = 6;

/// A bad header: too short, or a length that contradicts the packet's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// The fields of a header whose length has been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Udp {
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
}

impl Udp {
    /// Parses the header at the start of `transport`, an IP packet's whole payload (or, with `is_fragment`, the first
    /// piece of it).
    ///
    /// # Errors
    /// When it is too short, or its length field is below 8 or above what is there.
    #[inline]
    pub fn parse(transport: &[u8], is_fragment: bool) -> Result<Self, Malformed> {
        let fixed: &[u8; HEADER_LENGTH] = transport.first_chunk().ok_or(Malformed)?;
        let half = |at: usize| u16::from_be_bytes([fixed[at], fixed[at + 1]]);
        let length = usize::from(half(4));
        if length < HEADER_LENGTH || (length > transport.len() && !is_fragment) {
            return Err(Malformed);
        }
        Ok(Self { source_port: half(0), destination_port: half(2) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_must_fit() {
        let mut bytes = [0, 53, 0, 99, 0, 9, 0, 0, 1];
        assert!(Udp::parse(&bytes, false).is_ok());
        bytes[5] = 10;
        assert_eq!(Udp::parse(&bytes, false), Err(Malformed));
        assert!(Udp::parse(&bytes, true).is_ok());
        bytes[5] = 7;
        assert_eq!(Udp::parse(&bytes, false), Err(Malformed));
        assert_eq!(Udp::parse(&bytes[..7], false), Err(Malformed));
    }
}
