//! What is known of one sender's sequence numbers, and which of its segments fit.
//!
//! Written after Guido van Rooij, "Real Stateful TCP Packet Filtering in IP Filter" (2001). A segment of sender S for
//! receiver R fits when
//!
//! ```text
//!  I    it starts at or before the highest byte that R has ever allowed        (S.limit)
//!  II   it ends at or after what S may still have to send again                (S.end less a window of R)
//!  III  it acknowledges nothing that R has not sent                            (R.end)
//!  IV   it acknowledges nothing that is far in the past                        (R.end less a window of S)
//! ```
//!
//! The bounds below (II and IV) lie [`MORE_PAST`] further back, so that delayed duplicates pass as well, and so that a
//! fragmented segment, whose length is unknown and taken to be the longest, does no harm.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::segment::LARGEST_WINDOW_SCALE;
use crate::wire::TcpSegment;

/// How much older than the lowest byte of the window a segment may be: one unscaled window and some packets.
pub const MORE_PAST: u32 = 66_000;

/// What one sender has said so far, in the numbers that conditions I to IV are made of: for somebody else who forwards
/// plain segments of the connection for a while.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Windows {
    /// The sequence number behind the last byte that it has sent.
    pub end: u32,
    /// The highest acknowledgement that it has sent.
    pub acknowledged: u32,
    /// The sequence number behind the last byte that it has ever allowed the other side to send.
    pub granted: u32,
    /// Its largest window in bytes, and [`MORE_PAST`].
    pub past: u32,
    /// The shift of its windows.
    pub scale: u8,
}

/// Bytes of the largest window that there is.
pub(super) const LARGEST_WINDOW: u32 = (u16::MAX as u32) << LARGEST_WINDOW_SCALE;

/// One sender's side of a connection.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(super) struct Side {
    /// The sequence number behind the last byte that it has sent.
    pub(super) end: u32,
    /// The sequence number behind the last byte that the other side has ever allowed it to send.
    limit: u32,
    /// The highest acknowledgement that it has sent; until its first, the lowest that it may send.
    pub(super) acknowledged: u32,
    /// The largest window that it has offered, to be shifted by `scale`.
    largest_window: u16,
    /// The shift of its windows: offered until both SYNs were seen, agreed from then on.
    scale: u8,
    marks: u8,
}

impl Side {
    /// It has acknowledged something of this connection.
    pub(super) const ANSWERED: u8 = 1;
    /// It has sent FIN.
    pub(super) const FIN: u8 = 2;
    /// Its FIN was acknowledged.
    pub(super) const FIN_ACKNOWLEDGED: u8 = 4;
    /// Its SYN carried a window scale.
    const OFFERS_SCALE: u8 = 8;

    /// The side of who sent `segment`, a SYN with ACK or without, and may acknowledge from `lowest` on. Nothing is known
    /// of what it may send yet.
    pub(super) fn of_syn(segment: &TcpSegment, lowest: u32) -> Self {
        let mut side = Self {
            end: segment.end(),
            limit: segment.sequence.wrapping_add(1),
            acknowledged: lowest,
            largest_window: segment.window.max(1),
            ..Self::default()
        };
        side.offer_scale(segment);
        side
    }

    /// The side of a sender whose SYN we have not seen: it and its peer are taken to offer the largest windows.
    pub(super) fn of_stranger(end: u32, lowest: u32, window: u16) -> Self {
        Self {
            end,
            limit: end.wrapping_add(LARGEST_WINDOW),
            acknowledged: lowest,
            largest_window: window.max(1),
            scale: LARGEST_WINDOW_SCALE,
            ..Self::default()
        }
    }

    pub(super) const fn has(&self, marks: u8) -> bool {
        self.marks & marks == marks
    }

    pub(super) const fn mark(&mut self, marks: u8) {
        self.marks |= marks;
    }

    /// Takes note of the SYN sent once more: a stack may leave options away in its later tries, and the answer is to
    /// whichever arrived.
    pub(super) fn repeat_syn(&mut self, segment: &TcpSegment) {
        self.end = later(self.end, segment.end());
        self.largest_window = self.largest_window.max(segment.window);
        self.offer_scale(segment);
    }

    fn offer_scale(&mut self, segment: &TcpSegment) {
        if let Some(scale) = segment.offered_scale() {
            self.scale = scale;
            self.mark(Self::OFFERS_SCALE);
        }
    }

    /// Both SYNs were seen: scales count only when both carried one (RFC 7323 section 2.2). The windows of the SYNs
    /// themselves are never scaled.
    pub(super) fn agree(&mut self, other: &mut Self) {
        let scaled = self.has(Self::OFFERS_SCALE) && other.has(Self::OFFERS_SCALE);
        let windows = (self.largest_window, other.largest_window);
        self.settle(scaled, windows.1);
        other.settle(scaled, windows.0);
    }

    fn settle(&mut self, scaled: bool, window_of_other: u16) {
        self.scale = if scaled { self.scale } else { 0 };
        let round_up = (1_u32 << self.shift()) - 1;
        self.largest_window = ((u32::from(self.largest_window) + round_up) >> self.shift()) as u16;
        // `limit` stood behind the SYN.
        self.limit = self.limit.wrapping_add(u32::from(window_of_other));
    }

    fn shift(&self) -> u8 {
        self.scale.min(LARGEST_WINDOW_SCALE)
    }

    fn past(&self) -> u32 {
        (u32::from(self.largest_window) << self.shift()) + MORE_PAST
    }

    /// What it has said to `other`.
    pub(super) fn windows(&self, other: &Self) -> Windows {
        Windows {
            end: self.end,
            acknowledged: self.acknowledged,
            granted: other.limit,
            past: self.past(),
            scale: self.shift(),
        }
    }

    /// Takes note of what it has said to `other` elsewhere. Old news changes nothing.
    pub(super) fn catch_up(&mut self, seen: Windows, other: &mut Self) {
        self.end = later(self.end, seen.end);
        self.acknowledged = later(self.acknowledged, seen.acknowledged);
        other.limit = later(other.limit, seen.granted);
        let largest = seen.past.saturating_sub(MORE_PAST) >> self.shift();
        self.largest_window = self.largest_window.max(u16::try_from(largest).unwrap_or(u16::MAX));
    }

    /// Conditions I and II.
    pub(super) fn may_send(&self, segment: &TcpSegment, receiver: &Self) -> bool {
        !is_before(self.limit, segment.sequence) && !is_before(segment.end(), self.end.wrapping_sub(receiver.past()))
    }

    /// Conditions III and IV. A selective acknowledgement that is recent makes up for an old cumulative one. Where the
    /// start of the connection was not seen, III can only ask what the receiver might have sent.
    pub(super) fn may_acknowledge(&self, segment: &TcpSegment, receiver: &Self, picked_up: bool) -> bool {
        let newest = if picked_up { receiver.limit } else { receiver.end };
        let oldest = if self.has(Self::ANSWERED) { receiver.end.wrapping_sub(self.past()) } else { self.acknowledged };
        let is_recent = |number: u32| !is_before(newest, number) && !is_before(number, oldest);
        !is_before(newest, segment.acknowledgement)
            && (is_recent(segment.acknowledgement)
                || self.has(Self::ANSWERED) && segment.sack_highest.is_some_and(is_recent))
    }

    /// Takes note of a segment of this sender that fits.
    pub(super) fn sent(&mut self, segment: &TcpSegment, receiver: &mut Self, picked_up: bool) {
        self.end = later(self.end, segment.end());
        if segment.is_fin() {
            self.mark(Self::FIN);
        }
        if !segment.is_acknowledging() {
            return;
        }
        let shift = if segment.is_syn() { 0 } else { self.shift() };
        let window = u32::from(segment.window) << shift;
        let raw = if segment.is_syn() { (segment.window >> self.shift()).max(1) } else { segment.window };
        self.largest_window = self.largest_window.max(raw);
        // A closed window still allows a probe of one byte.
        receiver.limit = later(receiver.limit, segment.acknowledgement.wrapping_add(window.max(1)));
        self.acknowledged = if self.has(Self::ANSWERED) {
            later(self.acknowledged, segment.acknowledgement)
        } else {
            segment.acknowledgement
        };
        self.mark(Self::ANSWERED);
        if picked_up {
            receiver.end = later(receiver.end, segment.acknowledgement);
        }
        if receiver.has(Self::FIN) && segment.acknowledgement == receiver.end {
            receiver.mark(Self::FIN_ACKNOWLEDGED);
        }
    }
}

/// Whether `first` comes before `second` in the circle of sequence numbers (RFC 9293 section 3.4).
pub(super) const fn is_before(first: u32, second: u32) -> bool {
    first.wrapping_sub(second) > i32::MAX as u32
}

const fn later(first: u32, second: u32) -> u32 {
    if is_before(first, second) { second } else { first }
}
