//! The memory that workers and the shortcut's programs share: how it is laid out, and the workers' side of it.
//!
//! ```text
//! | generation ... | a decision for each processor | tags, in sets of WAYS | entries, in the same sets |
//! 0                DECISIONS                       TAGS                    ENTRIES                     BYTES
//! ```
//!
//! An entry is one direction of a flow: what finds it, what is to be changed, and what was seen. Its set and its tag follow
//! from its key by a hash that whoever does not know the secret cannot predict. Tags lie apart so that a packet of a flow
//! that is not here costs no more than half a cache line. An entry lives while its generation is the current one.
//!
//! Each number has one writer at a time. The worker that claimed an entry writes all of it before it lives; from then
//! on the programs write what was seen, from the processor that handles this direction of the flow; the worker only
//! reads, and ends the entry's life by its generation. After that a program may still be at work on it for a moment, so
//! the worker lets it rest before it gives it away.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::flow::tcp::Windows;
use crate::sys::shared_words::SharedWords;

/// Bytes of an entry: two cache lines, the second of which the programs write.
pub const ENTRY_BYTES: usize = 128;
/// Entries of a set.
pub const WAYS: usize = 4;
/// Binary logarithm of the number of sets.
pub const SET_BITS: u32 = 12;
/// Where the current generation stands.
pub const GENERATION: usize = 0;
/// Where each processor's socket filter leaves its decision for the guard that follows it: an entry's [`field::PLACE`].
pub const DECISIONS: usize = 4_096;
/// Bytes of a decision: a cache line.
pub const DECISION_BYTES: usize = 64;
/// Most processors that there is room for.
pub const MOST_PROCESSORS: usize = 256;
/// Where the tags start: 64 bits each, 0 where there is no entry.
pub const TAGS: usize = DECISIONS + MOST_PROCESSORS * DECISION_BYTES;
/// Bytes of a set's tags.
pub const TAGS_BYTES: usize = WAYS * 8;
/// Where the entries start.
pub const ENTRIES: usize = TAGS + (TAGS_BYTES << SET_BITS);
/// Bytes of all entries: a power of two.
pub const ENTRIES_BYTES: usize = (WAYS << SET_BITS) * ENTRY_BYTES;
/// Bytes of the whole.
pub const BYTES: usize = ENTRIES + ENTRIES_BYTES;

/// Where things stand in an entry. Numbers are in the machine's order but for what is compared with packets or copied into them.
pub mod field {
    /// Source and destination address as in the packet, the source in the upper half of a number.
    pub const ADDRESSES: i16 = 0;
    /// Ports as in the packet in the upper half, then the interface that it comes by (24 bits), then the protocol.
    pub const REST: i16 = 8;
    /// The state of the world for which the entry was made; 0: none, it is dead.
    pub const GENERATION: i16 = 16;
    /// Bytes from the first entry to this, plus 1: so that it is never 0.
    pub const PLACE: i16 = 20;
    /// Bytes from the first entry to that of the other direction.
    pub const PEER: i16 = 24;
    /// Longest IP packet that may pass.
    pub const MTU: i16 = 28;
    /// [`super::COUNTS_HOP`] and others.
    pub const FLAGS: i16 = 30;
    /// The interface that packets leave by.
    pub const EGRESS: i16 = 32;
    /// How they leave: flags of the redirection.
    pub const REDIRECTION: i16 = 36;
    /// The address that replaces source or destination, as in the packet.
    pub const ADDRESS: i16 = 40;
    /// The port that goes with it, as in the packet.
    pub const PORT: i16 = 44;
    /// The port that it replaces, as in the packet.
    pub const OLD_PORT: i16 = 46;
    /// What the changes do to the sum of the IP header.
    pub const HEADER_DIFFERENCE: i16 = 48;
    /// What the new address does to the sum of the pseudo-header.
    pub const PSEUDO_DIFFERENCE: i16 = 52;
    /// The Ethernet header with which packets leave.
    pub const LINK_HEADER: i16 = 56;
    /// Packets that were dropped because the kernel had no memory to change them: 16 bits, and round again. Programs write it.
    pub const FAILED: i16 = 70;
    /// The Ethernet address that packets come from, where that matters.
    pub const LINK_SOURCE: i16 = 72;
    /// TCP: the shift of the sender's windows.
    pub const SCALE: i16 = 78;
    /// TCP, of the sender: [`crate::flow::tcp::Windows`]. From here on programs write.
    pub const END: i16 = 80;
    /// See [`END`].
    pub const ACKNOWLEDGED: i16 = 84;
    /// See [`END`].
    pub const GRANTED: i16 = 88;
    /// See [`END`].
    pub const PAST: i16 = 92;
    /// Packets, as the wire carries them: 32 bits, and round again. So are the two other numbers of packets.
    pub const PACKETS: i16 = 96;
    /// TCP segments with data among them.
    pub const SEGMENTS: i16 = 100;
    /// Their bytes.
    pub const BYTES: i16 = 104;
    /// When the last one came, in nanoseconds since boot.
    pub const LAST: i16 = 112;
    /// TCP segments whose data was sent before, as far as programs have seen it: what the engine has followed meanwhile is
    /// not in [`END`].
    pub const REPEATED: i16 = 120;
    /// Whom the entry belongs to; 0: it is free.
    pub const OWNER: i16 = 124;
}

/// The time to live is one less behind the router.
pub const COUNTS_HOP: u16 = 1;
/// The port changes too.
pub const CHANGES_PORT: u16 = 2;
/// Packets leave for the TUN device, without link header.
pub const LEAVES_BY_TUN: u16 = 4;

/// What finds an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) addresses: u64,
    pub(super) rest: u64,
}

/// What is to be done with packets of one direction, before anything was seen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Action {
    pub(super) mtu: u16,
    pub(super) flags: u16,
    pub(super) egress: u32,
    pub(super) redirection: u32,
    pub(super) address: [u8; 4],
    pub(super) port: [u8; 2],
    pub(super) old_port: [u8; 2],
    pub(super) header_difference: u32,
    pub(super) pseudo_difference: u32,
    pub(super) link_header: [u8; 14],
    pub(super) link_source: [u8; 6],
    pub(super) windows: Windows,
}

/// What the programs have seen of one direction since the entry was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) windows: Windows,
    pub(super) packets: u32,
    pub(super) segments: u32,
    pub(super) repeated: u32,
    pub(super) bytes: u64,
    /// Milliseconds since boot; 0: none came.
    pub(super) last: u64,
    pub(super) failed: u16,
}

/// A claimed entry, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(u32);

const WORDS: usize = ENTRY_BYTES / 8;
const REST_WORD: usize = field::REST as usize / 8;
const GENERATION_WORD: usize = field::GENERATION as usize / 8;
const OWNER_WORD: usize = field::OWNER as usize / 8;
const CLAIMED: u64 = u64::from_ne_bytes([0, 0, 0, 0, 1, 1, 1, 1]);

/// The shared memory. Clones are the same memory.
#[derive(Clone, Debug)]
pub struct ShortcutTable {
    words: SharedWords,
    multipliers: [u64; 2],
}

impl ShortcutTable {
    /// Over memory of [`BYTES`] bytes, all zero. `secret` is random: it makes the hash unpredictable.
    ///
    /// # Panics
    /// When there is less memory.
    #[must_use]
    pub fn new(words: SharedWords, secret: [u64; 2]) -> Self {
        assert!(words.words().len() * 8 >= BYTES, "a shortcut table needs {BYTES} bytes");
        Self { words, multipliers: secret.map(|number| number | 1) }
    }

    /// The hash of a key is `(addresses * multipliers[0] ^ rest) * multipliers[1]`; its upper [`SET_BITS`] are the set, and
    /// all of it, with the lowest bit set, is the tag.
    #[must_use]
    pub fn multipliers(&self) -> [u64; 2] {
        self.multipliers
    }

    /// Makes `generation` the current one: entries of all others are dead.
    pub fn set_generation(&self, generation: u32) {
        let word = u64::from_ne_bytes(join([generation.to_ne_bytes(), [0; 4]]));
        self.words.words()[GENERATION / 8].store(word, Ordering::Release);
    }

    fn words_of(&self, place: Place) -> &[AtomicU64] {
        let start = ENTRIES / 8 + place.0 as usize * WORDS;
        &self.words.words()[start..start + WORDS]
    }

    fn hash(&self, key: Key) -> u64 {
        let [first, second] = self.multipliers;
        (key.addresses.wrapping_mul(first) ^ key.rest).wrapping_mul(second)
    }

    fn tag_of(&self, place: Place) -> &AtomicU64 {
        &self.words.words()[TAGS / 8 + place.0 as usize]
    }

    /// Claims a free entry in the key's set.
    pub(super) fn claim(&self, key: Key) -> Option<Place> {
        let hash = self.hash(key);
        let set = (hash >> (u64::BITS - SET_BITS)) as usize;
        let mut ways = (0..WAYS).map(|way| Place((set * WAYS + way) as u32));
        ways.find(|&place| {
            let owner = &self.words_of(place)[OWNER_WORD];
            owner.compare_exchange(0, CLAIMED, Ordering::Acquire, Ordering::Relaxed).is_ok()
        })
    }

    /// Writes a claimed entry, with the other direction's at `peer`. It does not live yet.
    pub(super) fn write(&self, place: Place, peer: Place, key: Key, action: &Action) {
        let mut entry = [0_u8; ENTRY_BYTES];
        let mut put = |at: i16, bytes: &[u8]| entry[at as usize..at as usize + bytes.len()].copy_from_slice(bytes);
        put(field::ADDRESSES, &key.addresses.to_ne_bytes());
        put(field::REST, &key.rest.to_ne_bytes());
        put(field::PLACE, &(place.offset() + 1).to_ne_bytes());
        put(field::PEER, &peer.offset().to_ne_bytes());
        put(field::MTU, &action.mtu.to_ne_bytes());
        put(field::FLAGS, &action.flags.to_ne_bytes());
        put(field::EGRESS, &action.egress.to_ne_bytes());
        put(field::REDIRECTION, &action.redirection.to_ne_bytes());
        put(field::ADDRESS, &action.address);
        put(field::PORT, &action.port);
        put(field::OLD_PORT, &action.old_port);
        put(field::HEADER_DIFFERENCE, &action.header_difference.to_ne_bytes());
        put(field::PSEUDO_DIFFERENCE, &action.pseudo_difference.to_ne_bytes());
        put(field::LINK_HEADER, &action.link_header);
        put(field::LINK_SOURCE, &action.link_source);
        put(field::SCALE, &[action.windows.scale]);
        put(field::END, &action.windows.end.to_ne_bytes());
        put(field::ACKNOWLEDGED, &action.windows.acknowledged.to_ne_bytes());
        put(field::GRANTED, &action.windows.granted.to_ne_bytes());
        put(field::PAST, &action.windows.past.to_ne_bytes());
        let words = self.words_of(place);
        let (chunks, _) = entry.as_chunks();
        for (word, bytes) in words.iter().zip(chunks).take(OWNER_WORD) {
            word.store(u64::from_ne_bytes(*bytes), Ordering::Relaxed);
        }
        words[OWNER_WORD].store(CLAIMED, Ordering::Relaxed);
    }

    /// Lets an entry live in `generation`. Both directions must have been written.
    pub(super) fn start(&self, place: Place, key: Key, generation: u32) {
        self.store_generation(place, generation);
        self.tag_of(place).store(self.hash(key) | 1, Ordering::Release);
    }

    /// Ends an entry's life; a program may be at work on it a moment longer.
    pub(super) fn end(&self, place: Place) {
        self.store_generation(place, 0);
    }

    fn store_generation(&self, place: Place, generation: u32) {
        let word = u64::from_ne_bytes(join([generation.to_ne_bytes(), (place.offset() + 1).to_ne_bytes()]));
        self.words_of(place)[GENERATION_WORD].store(word, Ordering::Release);
    }

    /// Gives up an entry that has rested.
    pub(super) fn free(&self, place: Place) {
        let words = self.words_of(place);
        self.tag_of(place).store(0, Ordering::Relaxed);
        words[REST_WORD].store(0, Ordering::Relaxed);
        words[OWNER_WORD].store(0, Ordering::Release);
    }

    /// The generation in which the entry lives; 0: it does not.
    pub(super) fn generation_of(&self, place: Place) -> u32 {
        halves(self.words_of(place)[GENERATION_WORD].load(Ordering::Relaxed))[0]
    }

    /// What has been seen so far.
    pub(super) fn seen(&self, place: Place) -> Seen {
        let words = self.words_of(place);
        let word = |at: i16| words[at as usize / 8].load(Ordering::Relaxed);
        let [end, acknowledged] = halves(word(field::END));
        let [granted, past] = halves(word(field::GRANTED));
        let [packets, segments] = halves(word(field::PACKETS));
        let [.., low, high] = word(field::FAILED).to_ne_bytes();
        Seen {
            windows: Windows { end, acknowledged, granted, past, scale: 0 },
            packets,
            segments,
            repeated: halves(word(field::REPEATED))[0],
            bytes: word(field::BYTES),
            last: word(field::LAST) / 1_000_000,
            failed: u16::from_ne_bytes([low, high]),
        }
    }
}

impl Place {
    fn offset(self) -> u32 {
        self.0 * ENTRY_BYTES as u32
    }
}

fn join(halves: [[u8; 4]; 2]) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&halves[0]);
    bytes[4..].copy_from_slice(&halves[1]);
    bytes
}

/// Both halves of a word, as they lie in memory.
fn halves(word: u64) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = word.to_ne_bytes();
    [u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h])]
}
