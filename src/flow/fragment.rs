//! Lets the pieces of a fragmented datagram be translated one by one, in whatever order they come (RFC 4787 REQ-14).
//!
//! Theory of operation: only the first piece (offset 0) carries ports. The cache remembers them for the others, and
//! holds others that come before it. A datagram is forgotten once all of its bytes have passed. Nothing is reassembled:
//! the pieces go on as they came. What is checked on the way is that no byte comes twice, since overlapping pieces
//! show one datagram to us and another to the receiver (RFC 1858, RFC 3128).
//!
//! Everything is bounded and allocated at the start: so many datagrams, so many pieces of each, so many held packets.
//! When something is full, the oldest makes room: the sender's own oldest if it takes up a quarter already, so that a
//! flood pushes out itself. A datagram that comes in one burst, as they do, needs its place for microseconds only.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::time::Timestamp;
use crate::wire::{BufferPool, PacketBuffer};

/// RFC 791: no datagram is longer than this, with its header.
const LONGEST_DATAGRAM: usize = 65_535;
const SHORTEST_IP_HEADER: usize = 20;
const SHORTEST_TCP_HEADER: u16 = 20;
const TCP: u8 = 6;

/// Datagrams on their way at once.
const DATAGRAMS: usize = 256;
/// Pieces of one datagram. 65,535 bytes over an MTU of 1,280 are 53.
const PIECES: usize = 64;
/// Packets held. A buffer has 66 KB.
const HELD: usize = 128;
/// How long ports are remembered: as long as receivers wait for missing pieces (RFC 1122 section 3.3.2 allows more).
const LIFETIME: Duration = Duration::from_secs(30);
/// How long a piece waits for the first one.
const HOLD: Duration = Duration::from_secs(5);
/// The same piece so much later is of a new datagram with a reused identification (RFC 6864 section 4): duplicates
/// come within a round trip.
const REUSE: Duration = Duration::from_secs(2);

/// What the pieces of one datagram have in common (RFC 791 section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FragmentKey {
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
    /// The IP identification.
    pub identification: u16,
    /// The IP protocol number.
    pub protocol: u8,
}

/// The bytes of the datagram's payload that a piece carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PieceRange {
    start: u16,
    end: u16,
    is_last: bool,
}

impl PieceRange {
    /// A piece of `length` bytes at `offset` bytes, with others behind it when `more`. `None` when it is empty, ends
    /// beyond the longest datagram, or is not the last and ends amid a unit of 8 bytes.
    #[must_use]
    pub fn new(offset: u16, length: usize, more: bool) -> Option<Self> {
        let end = usize::from(offset) + length;
        if length == 0 || end > LONGEST_DATAGRAM - SHORTEST_IP_HEADER || (more && !length.is_multiple_of(8)) {
            return None;
        }
        Some(Self { start: offset, end: u16::try_from(end).ok()?, is_last: !more })
    }

    const fn length(self) -> u16 {
        self.end - self.start
    }

    const fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// Whether one of them is the last piece and the other reaches beyond it.
    const fn contradicts(self, other: Self) -> bool {
        (self.is_last && other.end > self.end) || (other.is_last && self.end > other.end)
    }
}

/// Why a piece is not forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FragmentError {
    /// The same bytes have passed already.
    #[error("duplicate")]
    Duplicate,
    /// Some of its bytes have passed already, or the datagram ends before them.
    #[error("overlap")]
    Overlap,
    /// Part of the TCP header would be in the second piece: RFC 1858 section 3, RFC 3128.
    #[error("TCP header in pieces")]
    Tiny,
    /// More pieces than any link makes.
    #[error("too many pieces")]
    TooManyPieces,
    /// It has waited longest, and its place was needed.
    #[error("too many packets held")]
    HoldFull,
}

/// What becomes of a piece that is not the first.
#[derive(Debug)]
pub enum Later {
    /// The first piece has passed.
    Forward {
        /// The datagram's source and destination port.
        ports: (u16, u16),
        /// The piece.
        packet: PacketBuffer,
    },
    /// The cache keeps it until the first piece comes.
    Held,
    /// A packet is to be dropped: this one, or (`HoldFull`) an older one whose place this one has taken.
    Refused {
        /// The packet to drop.
        packet: PacketBuffer,
        /// Why.
        reason: FragmentError,
    },
}

#[derive(Debug)]
struct Datagram {
    /// Those of the first piece. Leaves `None` by: the first piece came.
    ports: Option<(u16, u16)>,
    pieces: [PieceRange; PIECES],
    count: usize,
    began: Timestamp,
    touched: Timestamp,
}

impl Datagram {
    fn new(now: Timestamp) -> Self {
        let nothing = PieceRange { start: 0, end: 0, is_last: false };
        Self { ports: None, pieces: [nothing; PIECES], count: 0, began: now, touched: now }
    }

    fn pieces(&self) -> &[PieceRange] {
        &self.pieces[..self.count]
    }

    fn add(&mut self, now: Timestamp, range: PieceRange) -> Result<(), FragmentError> {
        if self.pieces().contains(&range) {
            return Err(FragmentError::Duplicate);
        }
        if self.pieces().iter().any(|&piece| piece.overlaps(range) || piece.contradicts(range)) {
            return Err(FragmentError::Overlap);
        }
        *self.pieces.get_mut(self.count).ok_or(FragmentError::TooManyPieces)? = range;
        self.count += 1;
        self.touched = now;
        Ok(())
    }

    fn is_complete(&self) -> bool {
        let bytes: u32 = self.pieces().iter().map(|piece| u32::from(piece.length())).sum();
        self.pieces().iter().any(|piece| piece.is_last && u32::from(piece.end) == bytes)
    }

    fn lifetime(&self) -> Duration {
        if self.ports.is_some() { LIFETIME } else { HOLD }
    }
}

#[derive(Debug)]
struct Held {
    key: FragmentKey,
    since: Timestamp,
    /// Counts up, so that the oldest is known within a millisecond too.
    number: u64,
    /// Its datagram was forgotten; it only waits to be given back.
    is_doomed: bool,
    packet: PacketBuffer,
}

/// The datagrams on their way, and their pieces that came too early.
#[derive(Debug)]
pub struct FragmentCache {
    /// Keys of `datagrams`, in the same order, together so that a search touches little memory.
    keys: Vec<FragmentKey>,
    datagrams: Vec<Datagram>,
    held: Vec<Held>,
    next_number: u64,
}

impl Default for FragmentCache {
    fn default() -> Self {
        Self::new()
    }
}

impl FragmentCache {
    /// An empty cache. Allocates all that it will ever use, but for the packets that it is given.
    #[must_use]
    pub fn new() -> Self {
        Self {
            keys: Vec::with_capacity(DATAGRAMS),
            datagrams: Vec::with_capacity(DATAGRAMS),
            held: Vec::with_capacity(HELD),
            next_number: 0,
        }
    }

    /// Whether nothing is remembered or held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.datagrams.is_empty() && self.held.is_empty()
    }

    /// Notes the ports of a first piece. When that succeeds the piece is to be forwarded, and then each that
    /// [`Self::release`] gives back.
    ///
    /// # Errors
    /// When the piece must be dropped.
    pub fn first(
        &mut self,
        now: Timestamp,
        key: FragmentKey,
        ports: (u16, u16),
        range: PieceRange,
    ) -> Result<(), FragmentError> {
        let at = self.add(now, key, range)?;
        self.datagrams[at].ports = Some(ports);
        self.forget_if_complete(at);
        Ok(())
    }

    /// A piece that came before the first one; `None` when there are no more.
    pub fn release(&mut self, key: FragmentKey) -> Option<PacketBuffer> {
        let waiting = self.held.iter().enumerate().filter(|(_, held)| held.key == key && !held.is_doomed);
        let (at, _) = waiting.min_by_key(|(_, held)| held.number)?;
        Some(self.held.swap_remove(at).packet)
    }

    /// A piece that is not the first.
    pub fn later(&mut self, now: Timestamp, key: FragmentKey, range: PieceRange, packet: PacketBuffer) -> Later {
        let at = match self.add(now, key, range) {
            Ok(at) => at,
            Err(reason) => return Later::Refused { packet, reason },
        };
        match self.datagrams[at].ports {
            Some(ports) => {
                self.forget_if_complete(at);
                Later::Forward { ports, packet }
            }
            None => self.hold(now, key, packet),
        }
    }

    /// Forgets datagrams whose time is over and gives back what was held for them; how many packets that were.
    pub fn handle_timeout(&mut self, now: Timestamp, pool: &mut BufferPool) -> usize {
        for at in (0..self.datagrams.len()).rev() {
            if now.since(self.datagrams[at].began) >= self.datagrams[at].lifetime() {
                self.forget(at);
            }
        }
        let before = self.held.len();
        for at in (0..before).rev() {
            if self.held[at].is_doomed || now.since(self.held[at].since) >= HOLD {
                pool.give(self.held.swap_remove(at).packet);
            }
        }
        before - self.held.len()
    }

    /// Adds a piece to its datagram, which is made if need be, and says where that is.
    fn add(&mut self, now: Timestamp, key: FragmentKey, range: PieceRange) -> Result<usize, FragmentError> {
        // A first piece must hold the whole TCP header, so none may start amid it.
        if key.protocol == TCP
            && (1..SHORTEST_TCP_HEADER).contains(&if range.start == 0 { range.end } else { range.start })
        {
            return Err(FragmentError::Tiny);
        }
        if let Some(at) = self.keys.iter().position(|&known| known == key) {
            let is_reused = now.since(self.datagrams[at].touched) >= REUSE;
            match self.datagrams[at].add(now, range) {
                Err(FragmentError::Duplicate) if is_reused => self.forget(at),
                result => return result.map(|()| at),
            }
        }
        self.make_room(key.source);
        let mut datagram = Datagram::new(now);
        datagram.add(now, range)?;
        self.keys.push(key);
        self.datagrams.push(datagram);
        Ok(self.keys.len() - 1)
    }

    /// Makes room for a datagram from `source`.
    fn make_room(&mut self, source: Ipv4Addr) {
        if self.datagrams.len() < DATAGRAMS {
            return;
        }
        let own = self.keys.iter().filter(|key| key.source == source).count();
        let may_go = |at: usize| own < DATAGRAMS / 4 || self.keys[at].source == source;
        let oldest = (0..DATAGRAMS).filter(|&at| may_go(at)).min_by_key(|&at| self.datagrams[at].touched);
        if let Some(at) = oldest {
            self.forget(at);
        }
    }

    fn hold(&mut self, now: Timestamp, key: FragmentKey, packet: PacketBuffer) -> Later {
        let held = Held { key, since: now, number: self.next_number, is_doomed: false, packet };
        self.next_number += 1;
        if self.held.len() < HELD {
            self.held.push(held);
            return Later::Held;
        }
        let own = self.held.iter().filter(|held| held.key.source == key.source).count();
        let may_go = |held: &Held| own < HELD / 4 || held.is_doomed || held.key.source == key.source;
        let candidates = self.held.iter_mut().filter(|held| may_go(held));
        match candidates.min_by_key(|held| (!held.is_doomed, held.number)) {
            Some(oldest) => {
                let packet = std::mem::replace(oldest, held).packet;
                Later::Refused { packet, reason: FragmentError::HoldFull }
            }
            None => Later::Refused { packet: held.packet, reason: FragmentError::HoldFull },
        }
    }

    fn forget_if_complete(&mut self, at: usize) {
        if self.datagrams[at].is_complete() {
            self.keys.swap_remove(at);
            self.datagrams.swap_remove(at);
        }
    }

    fn forget(&mut self, at: usize) {
        let key = self.keys.swap_remove(at);
        self.datagrams.swap_remove(at);
        self.held.iter_mut().filter(|held| held.key == key).for_each(|held| held.is_doomed = true);
    }
}

#[cfg(test)]
mod tests;
