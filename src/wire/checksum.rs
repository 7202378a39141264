//! The Internet checksum (RFC 1071) and its incremental update (RFC 1624).
//!
//! A *partial sum* is a `u32` below 2^16, in the order of the wire, that further partial sums may be added to before
//! [`finish`]. Only the last piece summed may have an odd length.
//!
//! The router never sums a forwarded packet. It notes what it replaces in a [`Delta`] and applies that to the checksum
//! as it stands: right stays right, wrong stays wrong by the same amount, for its receiver to notice. A checksum that
//! is not finished (`NEEDS_CSUM`) holds only the sum of the pseudo-header, so only changed addresses concern it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The partial sum of `bytes`; an odd last byte counts as if a zero followed it.
#[must_use]
pub fn sum(bytes: &[u8]) -> u32 {
    let words = bytes.chunks_exact(4);
    let mut last = [0; 4];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    // RFC 1071 section 2(B): the sum does not depend on byte order, so we add as the machine reads and turn at the end.
    let native = words.map(|word| u64::from(u32::from_ne_bytes([word[0], word[1], word[2], word[3]]))).sum::<u64>()
        + u64::from(u32::from_ne_bytes(last));
    u32::from(u16::from_be(fold(native)))
}

/// The partial sum of an IPv4 header without options: [`sum`] of 20 bytes, in a few instructions.
#[must_use]
pub fn sum_of_header(header: &[u8; 20]) -> u32 {
    let word = |at: usize| u64::from(u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]));
    u32::from(u16::from_be(fold(word(0) + word(4) + word(8) + word(12) + word(16))))
}

/// The checksum field for a partial sum, or for several added.
#[must_use]
pub fn finish(partial: u32) -> u16 {
    !fold_word(partial)
}

/// What a field holds while its checksum is unfinished: the sum itself, without complement.
#[must_use]
pub fn unfinished(partial: u32) -> u16 {
    fold_word(partial)
}

/// The checksum field of the IPv4 header `bytes`, whose own checksum field is zero.
#[must_use]
pub fn of(bytes: &[u8]) -> u16 {
    finish(sum(bytes))
}

/// Whether `bytes`, with their checksum in place, sum up (an IPv4 header, an ICMP message).
#[must_use]
pub fn is_right(bytes: &[u8]) -> bool {
    finish(sum(bytes)) == 0
}

/// The partial sum of the pseudo-header of TCP or UDP over IPv4 (RFC 9293 section 3.1); `length` is that of the
/// layer-4 header and payload together.
#[must_use]
pub fn pseudo_header_v4(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, length: u16) -> u32 {
    sum(&source.octets()) + sum(&destination.octets()) + u32::from(protocol) + u32::from(length)
}

/// The partial sum of the pseudo-header of TCP, UDP or ICMPv6 over IPv6 (RFC 8200 section 8.1).
#[must_use]
pub fn pseudo_header_v6(source: Ipv6Addr, destination: Ipv6Addr, protocol: u8, length: u32) -> u32 {
    sum(&source.octets()) + sum(&destination.octets()) + u32::from(protocol) + sum(&length.to_be_bytes())
}

/// The field of UDP, where zero means that there is no checksum (RFC 768).
#[must_use]
pub fn finish_udp(partial: u32) -> u16 {
    never_zero(finish(partial))
}

/// What the replacement of some words of a packet does to its checksums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    pseudo_header: u32,
    rest: u32,
}

impl Delta {
    /// Nothing replaced yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { pseudo_header: 0, rest: 0 }
    }

    /// An address, which is part of the pseudo-header.
    #[inline]
    pub fn replace_address(&mut self, old: IpAddr, new: IpAddr) {
        self.pseudo_header += replacement(sum_of_address(old), sum_of_address(new));
    }

    /// Any other 16-bit word at an even distance from the start of what is summed: a port, an ICMP identifier, the
    /// word of the IPv4 header that holds the time to live.
    #[inline]
    pub fn replace_word(&mut self, old: u16, new: u16) {
        self.rest += replacement(u32::from(old), u32::from(new));
    }

    /// A 16-bit word at `offset` from the start of what is summed, even or odd, as words of TCP options may be.
    pub fn replace_word_at(&mut self, offset: usize, old: u16, new: u16) {
        if offset.is_multiple_of(2) {
            self.replace_word(old, new);
        } else {
            self.replace_word(old.swap_bytes(), new.swap_bytes());
        }
    }

    /// The new value of a finished checksum field that held `field`.
    #[inline]
    #[must_use]
    pub fn apply_complete(self, field: u16) -> u16 {
        // RFC 1624 equation 3: HC' = ~(~HC + ~m + m').
        !fold_word(u32::from(!field) + self.pseudo_header + self.rest)
    }

    /// The same for UDP: zero means "no checksum" and stays, and no other value becomes zero.
    #[inline]
    #[must_use]
    pub fn apply_udp(self, field: u16) -> u16 {
        if field == 0 { 0 } else { never_zero(self.apply_complete(field)) }
    }

    /// The new value of an unfinished checksum field: whoever finishes it sums the new ports himself.
    #[inline]
    #[must_use]
    pub fn apply_unfinished(self, field: u16) -> u16 {
        fold_word(u32::from(field) + self.pseudo_header)
    }
}

/// ~m + m' of one replaced value, small enough that thousands of them can be added.
fn replacement(old: u32, new: u32) -> u32 {
    u32::from(!fold_word(old)) + u32::from(fold_word(new))
}

fn sum_of_address(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(address) => {
            let bits = address.to_bits();
            (bits >> 16) + (bits & 0xffff)
        }
        IpAddr::V6(address) => sum(&address.octets()),
    }
}

/// RFC 768: a UDP checksum that comes out as zero is sent as all ones.
const fn never_zero(field: u16) -> u16 {
    if field == 0 { 0xffff } else { field }
}

/// Adds the carries back until 16 bits are left.
const fn fold(sum: u64) -> u16 {
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    fold_word(sum as u32)
}

/// The same for a sum of 32 bits, which two steps fold.
const fn fold_word(sum: u32) -> u16 {
    let sum = (sum >> 16) + (sum & 0xffff);
    ((sum >> 16) + sum) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 1071 section 4.1, word by word, as slow and plain as can be.
    fn plain_sum(bytes: &[u8]) -> u16 {
        let mut sum = 0_u64;
        for word in bytes.chunks(2) {
            sum += u64::from(word[0]) << 8 | u64::from(word.get(1).copied().unwrap_or(0));
        }
        while sum > 0xffff {
            sum = (sum >> 16) + (sum & 0xffff);
        }
        sum as u16
    }

    /// A segment with its pseudo-header in front: addresses, zero, protocol, length, then ports and payload.
    #[derive(Clone, Debug)]
    struct Segment {
        source: Ipv4Addr,
        destination: Ipv4Addr,
        ports: [u16; 2],
        payload: Vec<u8>,
    }

    impl Segment {
        fn pseudo_header(&self) -> u32 {
            pseudo_header_v4(self.source, self.destination, 17, 4 + self.payload.len() as u16)
        }

        fn full(&self) -> u16 {
            let ports: Vec<u8> = self.ports.iter().flat_map(|port| port.to_be_bytes()).collect();
            finish(self.pseudo_header() + sum(&ports) + sum(&self.payload))
        }
    }

    /// Words that like the corners of one's complement.
    fn word() -> impl Strategy<Value = u16> {
        prop_oneof![Just(0), Just(0xffff), Just(0xfffe), Just(1), Just(0x8000), any::<u16>()]
    }

    fn address() -> impl Strategy<Value = Ipv4Addr> {
        (word(), word()).prop_map(|(high, low)| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
    }

    fn segment() -> impl Strategy<Value = Segment> {
        (address(), address(), [word(), word()], proptest::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(source, destination, ports, payload)| Segment { source, destination, ports, payload })
    }

    #[test]
    fn example_of_rfc_1071_sums_to_ddf2() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(sum(&bytes), 0xddf2);
        assert_eq!(of(&bytes), !0xddf2);
    }

    #[test]
    fn example_of_rfc_1624_updates_to_zero() {
        // Section 4: HC = 0xdd2f, m = 0x5555, m' = 0x3285 gives 0x0000 and not 0xffff.
        let mut delta = Delta::new();
        delta.replace_word(0x5555, 0x3285);
        assert_eq!(delta.apply_complete(0xdd2f), 0);
        assert_eq!(delta.apply_udp(0xdd2f), 0xffff);
    }

    #[test]
    fn header_with_its_checksum_in_place_is_right() {
        let mut header = [0x45, 0, 0, 84, 0x12, 0x34, 0x40, 0, 64, 1, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        let checksum = of(&header);
        header[10..12].copy_from_slice(&checksum.to_be_bytes());
        assert!(is_right(&header));
        header[8] -= 1;
        assert!(!is_right(&header));
    }

    #[test]
    fn longest_packet_of_ones_does_not_overflow() {
        assert_eq!(sum(&[0xff; 65_535]), u32::from(plain_sum(&[0xff; 65_535])));
    }

    #[test]
    fn udp_without_checksum_stays_without() {
        let mut delta = Delta::new();
        delta.replace_address(Ipv4Addr::new(10, 0, 0, 1).into(), Ipv4Addr::new(192, 0, 2, 1).into());
        assert_eq!(delta.apply_udp(0), 0);
    }

    #[test]
    fn nothing_replaced_changes_nothing() {
        for field in [0, 1, 0x8000, 0xfffe, 0xffff] {
            assert_eq!(Delta::new().apply_complete(field), field);
            assert_eq!(Delta::new().apply_unfinished(field), field);
        }
    }

    proptest! {
        #[test]
        fn fast_sum_equals_plain_sum(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(sum(&bytes), u32::from(plain_sum(&bytes)));
        }

        #[test]
        fn checksum_incremental_equals_full(
            before in segment(), source in address(), destination in address(), ports in [word(), word()]
        ) {
            let mut delta = Delta::new();
            delta.replace_address(before.source.into(), source.into());
            delta.replace_address(before.destination.into(), destination.into());
            delta.replace_word(before.ports[0], ports[0]);
            delta.replace_word(before.ports[1], ports[1]);
            let after = Segment { source, destination, ports, payload: before.payload.clone() };
            prop_assert_eq!(delta.apply_complete(before.full()), after.full());
            prop_assert_eq!(delta.apply_udp(never_zero(before.full())), never_zero(after.full()));
            let (old, new) = (unfinished(before.pseudo_header()), unfinished(after.pseudo_header()));
            prop_assert_eq!(delta.apply_unfinished(old), new);
        }

        #[test]
        fn wrong_checksum_stays_wrong_by_the_same_amount(before in segment(), error in 1..0xffff_u16, port in word()) {
            let mut delta = Delta::new();
            delta.replace_word(before.ports[0], port);
            let after = Segment { ports: [port, before.ports[1]], ..before.clone() };
            let wrong = !fold(u64::from(!before.full()) + u64::from(error));
            prop_assert_eq!(delta.apply_complete(wrong), !fold(u64::from(!after.full()) + u64::from(error)));
        }

        #[test]
        fn word_of_an_option_at_any_offset_is_replaced(
            mut bytes in proptest::collection::vec(any::<u8>(), 3..40), at in 0..37_usize, new in word()
        ) {
            let at = at % (bytes.len() - 1);
            // A nonzero word that does not change, as every packet has: without it the sum of nothing is ambiguous.
            let fixed = 6;
            let before = finish(fixed + sum(&bytes));
            let mut delta = Delta::new();
            delta.replace_word_at(at, u16::from_be_bytes([bytes[at], bytes[at + 1]]), new);
            bytes[at..at + 2].copy_from_slice(&new.to_be_bytes());
            prop_assert_eq!(delta.apply_complete(before), finish(fixed + sum(&bytes)));
        }

        #[test]
        fn ipv6_addresses_are_replaced_too(old in any::<u128>(), new in any::<u128>(), length in any::<u32>()) {
            let (old, new) = (Ipv6Addr::from(old), Ipv6Addr::from(new));
            let mut delta = Delta::new();
            delta.replace_address(old.into(), new.into());
            let before = unfinished(pseudo_header_v6(old, old, 6, length));
            delta.replace_address(old.into(), new.into());
            prop_assert_eq!(delta.apply_unfinished(before), unfinished(pseudo_header_v6(new, new, 6, length)));
        }
    }
}
