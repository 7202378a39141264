//! A segment as the tracker looks at it.

use crate::wire::{TcpFlags, TcpSegment};

/// RFC 7323 section 2.3: a larger shift is taken as this one.
pub(super) const LARGEST_WINDOW_SCALE: u8 = 14;

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
    fn syn_and_fin_count_as_a_byte_each() {
        let mut segment = TcpSegment { sequence: u32::MAX, flags: TcpFlags::SYN, ..TcpSegment::default() };
        assert_eq!(segment.end(), 0);
        segment.flags = TcpFlags::FIN.union(TcpFlags::ACK);
        segment.payload_length = 10;
        assert_eq!(segment.end(), 10);
    }
}
