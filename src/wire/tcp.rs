//! The TCP header (RFC 9293): what tracking needs of it, and the clamping of the maximum segment size.

use super::checksum::Delta;
use super::vnet::Checksum;

/// Bytes of a header without options.
pub const HEADER_LENGTH: usize = 20;
/// Where the checksum stands in the header.
pub const CHECKSUM_OFFSET: usize = 16;

const OPTION_END: u8 = 0;
const OPTION_NO_OPERATION: u8 = 1;
const OPTION_MAXIMUM_SEGMENT_SIZE: u8 = 2;
const OPTION_WINDOW_SCALE: u8 = 3;
const OPTION_SACK: u8 = 5;
const OPTION_TIMESTAMPS: u8 = 8;
/// NOP NOP TIMESTAMP(10): the options of nearly every segment, which tell tracking nothing.
const USUAL_OPTIONS: [u8; 4] = [1, 1, 8, 10];

/// A bad header: too short, or an offset beyond the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// The fields of a header whose lengths have been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Header with options, in bytes.
    pub header_length: usize,
    /// The segment, for tracking.
    pub segment: TcpSegment,
}

impl Tcp {
    /// Parses the header at the start of `transport`, an IP packet's whole payload.
    ///
    /// # Errors
    /// When it is too short or its data offset is out of bounds.
    // In line for the reason that IPv4's is.
    #[inline(always)]
    pub fn parse(transport: &[u8]) -> Result<Self, Malformed> {
        let fixed: &[u8; HEADER_LENGTH] = transport.first_chunk().ok_or(Malformed)?;
        let header_length = usize::from(fixed[12] >> 4) * 4;
        if header_length < HEADER_LENGTH || header_length > transport.len() {
            return Err(Malformed);
        }
        let half = |at: usize| u16::from_be_bytes([fixed[at], fixed[at + 1]]);
        let word = |at: usize| u32::from_be_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
        let (window_scale, sack_highest) = tracked_options(&transport[HEADER_LENGTH..header_length]);
        let segment = TcpSegment {
            sequence: word(4),
            acknowledgement: word(8),
            window: half(14),
            flags: TcpFlags(fixed[13]),
            #[expect(clippy::cast_possible_truncation, reason = "an IP packet has less than 65,536 bytes")]
            payload_length: (transport.len() - header_length) as u32,
            window_scale,
            sack_highest,
        };
        Ok(Self { source_port: half(0), destination_port: half(2), header_length, segment })
    }
}

/// The flag bits of a segment.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// The sender has no more data.
    pub const FIN: Self = Self(0x01);
    /// The sender opens.
    pub const SYN: Self = Self(0x02);
    /// The sender aborts.
    pub const RST: Self = Self(0x04);
    /// Deliver at once.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgement number counts.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer counts.
    pub const URG: Self = Self(0x20);

    /// Whether all bits of `flags` are set.
    #[must_use]
    pub const fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Both sets together.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether a real stack sends this combination: exactly one of SYN, RST, FIN or a plain ACK, and FIN only with ACK.
    #[must_use]
    pub const fn is_plausible(self) -> bool {
        let (syn, fin, rst, ack) =
            (self.contains(Self::SYN), self.contains(Self::FIN), self.contains(Self::RST), self.contains(Self::ACK));
        match (syn, fin, rst) {
            (true, false, false) => !self.contains(Self::URG),
            (false, false, true) => true,
            (false, _, false) => ack,
            _ => false,
        }
    }
}

impl std::fmt::Debug for TcpFlags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = [(0x02, 'S'), (0x10, 'A'), (0x01, 'F'), (0x04, 'R'), (0x08, 'P'), (0x20, 'U')];
        names.iter().filter(|(bit, _)| self.0 & bit != 0).try_for_each(|(_, name)| write!(f, "{name}"))
    }
}

/// What tracking needs to know of a segment. A super-packet is one segment with a long payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpSegment {
    /// Sequence number of its first byte.
    pub sequence: u32,
    /// Next byte that its sender expects, where ACK is set.
    pub acknowledgement: u32,
    /// Window as on the wire, not scaled.
    pub window: u16,
    /// Its flags.
    pub flags: TcpFlags,
    /// Bytes of payload.
    pub payload_length: u32,
    /// The window scale option of a SYN.
    pub window_scale: Option<u8>,
    /// The highest byte that it acknowledges selectively.
    pub sack_highest: Option<u32>,
}

/// The window scale and the highest selective acknowledgement among the options.
#[inline]
fn tracked_options(options: &[u8]) -> (Option<u8>, Option<u32>) {
    if options.is_empty() || (options.len() == 12 && options[..4] == USUAL_OPTIONS) {
        return (None, None);
    }
    read_options(options)
}

fn read_options(options: &[u8]) -> (Option<u8>, Option<u32>) {
    let (mut window_scale, mut sack_highest) = (None, None);
    for_each_option(options, |kind, value, _| match (kind, value) {
        (OPTION_WINDOW_SCALE, &[shift]) => window_scale = Some(shift),
        (OPTION_SACK, blocks) => {
            for block in blocks.as_chunks::<8>().0 {
                let right = u32::from_be_bytes([block[4], block[5], block[6], block[7]]);
                let higher = |highest: u32| right.wrapping_sub(highest) < 1 << 31;
                if sack_highest.is_none_or(higher) {
                    sack_highest = Some(right);
                }
            }
        }
        _ => {}
    });
    (window_scale, sack_highest)
}

/// The time stamps of a segment (RFC 7323 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamps {
    /// Its sender's clock.
    pub value: u32,
    /// What the other side's clock said in the last segment that its sender has seen.
    pub echo: u32,
}

impl Timestamps {
    /// Those among the options of a header that was parsed, at the start of `transport`.
    #[must_use]
    pub fn read(transport: &[u8], header_length: usize) -> Option<Self> {
        let mut found = None;
        for_each_option(transport.get(HEADER_LENGTH..header_length)?, |kind, value, _| {
            if let (OPTION_TIMESTAMPS, &[a, b, c, d, e, f, g, h]) = (kind, value) {
                found = Some(Self { value: u32::from_be_bytes([a, b, c, d]), echo: u32::from_be_bytes([e, f, g, h]) });
            }
        });
        found
    }
}

/// Calls `each` with kind, value and the value's offset of every well-formed option, up to the first broken one.
fn for_each_option(options: &[u8], mut each: impl FnMut(u8, &[u8], usize)) {
    let mut at = 0;
    while let Some(&kind) = options.get(at) {
        match kind {
            OPTION_END => return,
            OPTION_NO_OPERATION => at += 1,
            _ => {
                let Some(length) = options.get(at + 1).map(|&length| usize::from(length)).filter(|&length| length >= 2)
                else {
                    return;
                };
                let Some(value) = options.get(at + 2..at + length) else { return };
                each(kind, value, at + 2);
                at += length;
            }
        }
    }
}

/// Lowers the maximum segment size that a SYN announces to `largest`, so that no segment exceeds the path's MTU, and
/// mends the checksum (RFC 4459 section 3.2 calls it MSS clamping). `transport` starts with a header that was parsed.
pub fn clamp_maximum_segment_size(transport: &mut [u8], header_length: usize, checksum: Checksum, largest: u16) {
    let mut found = None;
    for_each_option(&transport[HEADER_LENGTH..header_length], |kind, value, at| {
        if let (OPTION_MAXIMUM_SEGMENT_SIZE, &[high, low]) = (kind, value) {
            found = Some((HEADER_LENGTH + at, u16::from_be_bytes([high, low])));
        }
    });
    let Some((at, announced)) = found.filter(|&(_, announced)| announced > largest) else { return };
    transport[at..at + 2].copy_from_slice(&largest.to_be_bytes());
    if !matches!(checksum, Checksum::Unfinished { .. }) {
        let field = u16::from_be_bytes([transport[CHECKSUM_OFFSET], transport[CHECKSUM_OFFSET + 1]]);
        let mut delta = Delta::new();
        delta.replace_word_at(at, announced, largest);
        let mended = delta.apply_complete(field);
        transport[CHECKSUM_OFFSET..CHECKSUM_OFFSET + 2].copy_from_slice(&mended.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::checksum;

    fn syn(options: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_LENGTH + options.len()];
        bytes[12] = u8::try_from(bytes.len() / 4).unwrap() << 4;
        bytes[13] = TcpFlags::SYN.0;
        bytes[HEADER_LENGTH..].copy_from_slice(options);
        let sum = checksum::of(&bytes);
        bytes[16..18].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    #[test]
    fn time_stamps_are_found_wherever_they_stand() {
        let read = |options: &[u8]| {
            let segment = syn(options);
            Timestamps::read(&segment, segment.len())
        };
        let stamps = Some(Timestamps { value: 0x0102_0304, echo: 0x0506_0708 });
        assert_eq!(read(&[1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8]), stamps);
        assert_eq!(read(&[2, 4, 5, 180, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0]), stamps);
        assert_eq!((read(&[]), read(&[8, 10, 1, 2]), read(&[8, 4, 1, 2])), (None, None, None), "cut or too short");
        assert_eq!(Timestamps::read(&[0; 20], 60), None, "the header ends before its length");
    }

    #[test]
    fn options_of_a_syn_are_read() {
        let parsed = Tcp::parse(&syn(&[2, 4, 5, 180, 4, 2, 3, 3, 7, 0, 0, 0])).unwrap();
        assert_eq!(parsed.segment.window_scale, Some(7));
    }

    #[test]
    fn broken_options_end_the_reading() {
        for options in [[3, 0, 0, 0], [3, 1, 0, 0], [3, 9, 7, 0], [2, 3, 1, 0]] {
            assert_eq!(Tcp::parse(&syn(&options)).unwrap().segment.window_scale, None);
        }
    }

    #[test]
    fn segment_size_is_lowered_and_never_raised() {
        for options in [[2, 4, 5, 180, 1, 1, 1, 0], [1, 2, 4, 5, 180, 1, 1, 0]] {
            let mut bytes = syn(&options);
            let length = bytes.len();
            clamp_maximum_segment_size(&mut bytes, length, Checksum::Complete, 1360);
            assert!(checksum::is_right(&bytes));
            let clamped = bytes.clone();
            clamp_maximum_segment_size(&mut bytes, length, Checksum::Complete, 1400);
            assert_eq!(bytes, clamped);
            assert!(bytes.windows(2).any(|pair| pair == 1360_u16.to_be_bytes()));
        }
    }

    #[test]
    fn flags_that_no_stack_sends_are_implausible() {
        for flags in [0x00, 0x03, 0x06, 0x05, 0x29, 0x01, 0x08, 0x3f] {
            assert!(!TcpFlags(flags).is_plausible(), "{flags:#x}");
        }
        for flags in [0x02, 0x12, 0x10, 0x18, 0x11, 0x04, 0x14, 0x19, 0xc2] {
            assert!(TcpFlags(flags).is_plausible(), "{flags:#x}");
        }
    }
}
