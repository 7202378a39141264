//! What the tracker needs to know of a TCP segment.

/// RFC 7323 section 2.3: a larger shift is taken as this one.
pub(super) const LARGEST_WINDOW_SCALE: u8 = 14;

/// The flags of a TCP header, as its fourteenth byte holds them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// Synchronize sequence numbers.
    pub const SYN: Self = Self(0x02);
    /// Reset the connection.
    pub const RST: Self = Self(0x04);
    /// Push.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgement field counts.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer counts.
    pub const URG: Self = Self(0x20);
    /// Explicit congestion notification echo.
    pub const ECE: Self = Self(0x40);
    /// Congestion window reduced.
    pub const CWR: Self = Self(0x80);

    /// Whether all of `flags` are set.
    #[must_use]
    pub const fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Whether some stack might send this combination: one of SYN, SYN and ACK, RST (with ACK or without), ACK, FIN and
    /// ACK; the rest (PSH, URG, ECE, CWR) is free. So NULL, Xmas, a lone FIN, and any two of SYN, FIN and RST are not.
    #[must_use]
    pub const fn is_plausible(self) -> bool {
        const ACK_FIN: u8 = TcpFlags::ACK.0 | TcpFlags::FIN.0;
        const SYN_ACK: u8 = TcpFlags::SYN.0 | TcpFlags::ACK.0;
        const RST_ACK: u8 = TcpFlags::RST.0 | TcpFlags::ACK.0;
        let decisive = self.0 & (Self::SYN.0 | Self::FIN.0 | Self::RST.0 | Self::ACK.0);
        matches!(decisive, 0x02 | SYN_ACK | 0x04 | RST_ACK | 0x10 | ACK_FIN)
    }
}

impl std::ops::BitOr for TcpFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// One TCP segment. A super-packet is one segment with a long payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpSegment {
    /// Sequence number.
    pub sequence: u32,
    /// Acknowledgement number; counts only with the ACK flag.
    pub acknowledgement: u32,
    /// The window field as it stands in the header, not scaled.
    pub window: u16,
    /// The flags.
    pub flags: TcpFlags,
    /// Bytes of payload.
    pub payload_length: u32,
    /// The shift of the window scale option, which only a SYN may carry.
    pub window_scale: Option<u8>,
    /// The highest right edge in the SACK option, if there is one.
    pub sack_highest: Option<u32>,
}

impl TcpSegment {
    pub(super) const fn is_syn(&self) -> bool {
        self.flags.contains(TcpFlags::SYN)
    }

    pub(super) const fn is_fin(&self) -> bool {
        self.flags.contains(TcpFlags::FIN)
    }

    pub(super) const fn is_reset(&self) -> bool {
        self.flags.contains(TcpFlags::RST)
    }

    pub(super) const fn is_acknowledging(&self) -> bool {
        self.flags.contains(TcpFlags::ACK)
    }

    /// The sequence number behind it: SYN and FIN count as a byte each (RFC 9293 section 3.4).
    pub(super) fn end(&self) -> u32 {
        self.sequence
            .wrapping_add(self.payload_length)
            .wrapping_add(u32::from(self.is_syn()))
            .wrapping_add(u32::from(self.is_fin()))
    }

    /// The window scale that it offers, if it does.
    pub(super) fn offered_scale(&self) -> Option<u8> {
        self.window_scale.filter(|_| self.is_syn()).map(|scale| scale.min(LARGEST_WINDOW_SCALE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_combinations_that_stacks_send_are_plausible() {
        let allowed = [0x02, 0x12, 0x04, 0x14, 0x10, 0x11];
        for flags in 0..=255_u8 {
            assert_eq!(TcpFlags(flags).is_plausible(), allowed.contains(&(flags & 0x17)), "flags {flags:#04x}");
        }
    }

    #[test]
    fn syn_and_fin_count_as_a_byte_each() {
        let mut segment = TcpSegment { sequence: u32::MAX, flags: TcpFlags::SYN, ..TcpSegment::default() };
        assert_eq!(segment.end(), 0);
        segment.flags = TcpFlags::FIN | TcpFlags::ACK;
        segment.payload_length = 10;
        assert_eq!(segment.end(), 10);
    }
}
