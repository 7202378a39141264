//! An index from hashes to slab positions, made for two things: a look-up touches one cache line, and that line can be
//! asked for ahead of time.
//!
//! Theory of operation: a bucket is a cache line with twelve positions and, for each, a byte of its hash (0: free). A hash
//! names its home bucket; when that is full, the entry goes to the next that is not, and every bucket passed over counts it.
//! So a search ends at the first bucket that nobody was pushed out of, and a removal leaves no tombstone. Two thirds full at
//! most, few entries ever leave home.
//!
//! What it does not do: grow. It is made for as many entries as there can be.

use crate::sys::prefetch::prefetch;

/// Positions in a bucket: what a cache line holds with a tag each and a count.
const PLACES: usize = 12;

/// One cache line. The last four bytes of `tags` count the entries that were pushed past this bucket.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Bucket {
    tags: [u8; 16],
    positions: [u32; PLACES],
}

const _: () = assert!(size_of::<Bucket>() == 64, "a bucket is a cache line");

impl Bucket {
    const EMPTY: Self = Self { tags: [0; 16], positions: [0; PLACES] };

    /// The places whose tag is `tag`.
    fn places_with(&self, tag: u8) -> Places {
        Places(bytes_equal(u128::from_le_bytes(self.tags), tag) & ALL_PLACES)
    }

    fn pushed_past(&self) -> u32 {
        u32::from_ne_bytes([self.tags[12], self.tags[13], self.tags[14], self.tags[15]])
    }

    fn set_pushed_past(&mut self, count: u32) {
        self.tags[12..].copy_from_slice(&count.to_ne_bytes());
    }
}

/// The bytes of a bucket's tags that are places.
const ALL_PLACES: u128 = (1 << (8 * PLACES)) - 1;

/// Places of a bucket, in ascending order: the highest bit of a byte for each.
#[derive(Clone, Copy, Debug)]
struct Places(u128);

impl Iterator for Places {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let place = (self.0 != 0).then(|| self.0.trailing_zeros() as usize / 8)?;
        self.0 &= self.0 - 1;
        Some(place)
    }
}

/// The highest bit of every byte of `word` that equals `byte`.
const fn bytes_equal(word: u128, byte: u8) -> u128 {
    const LOW_BITS: u128 = u128::from_ne_bytes([0x7f; 16]);
    let difference = word ^ u128::from_ne_bytes([byte; 16]);
    !(((difference & LOW_BITS) + LOW_BITS) | difference | LOW_BITS)
}

/// The index.
#[derive(Debug)]
pub struct SlotIndex {
    buckets: Vec<Bucket>,
    length: usize,
}

impl SlotIndex {
    /// An index for at most `capacity` entries. Takes all its memory now.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        let buckets = (capacity + capacity / 2).div_ceil(PLACES) + 1;
        Self { buckets: vec![Bucket::EMPTY; buckets], length: 0 }
    }

    /// Entries in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    fn home(&self, hash: u64) -> usize {
        // The high half, scaled to the number of buckets, whatever that is.
        (((hash >> 32) * self.buckets.len() as u64) >> 32) as usize
    }

    const fn tag(hash: u64) -> u8 {
        let tag = hash as u8;
        if tag == 0 { 1 } else { tag }
    }

    fn after(&self, bucket: usize) -> usize {
        if bucket + 1 == self.buckets.len() { 0 } else { bucket + 1 }
    }

    /// Asks for the cache line that [`Self::find`] will look at first.
    pub fn prefetch(&self, hash: u64) {
        prefetch(&self.buckets[self.home(hash)]);
    }

    /// The position that a search will most likely end at, if it finds anything.
    #[must_use]
    pub fn likely(&self, hash: u64) -> Option<u32> {
        let bucket = &self.buckets[self.home(hash)];
        bucket.places_with(Self::tag(hash)).next().map(|place| bucket.positions[place])
    }

    /// The position under this hash for which `is_it` says so.
    pub fn find(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let (tag, mut at) = (Self::tag(hash), self.home(hash));
        loop {
            let bucket = &self.buckets[at];
            let found = bucket.places_with(tag).map(|place| bucket.positions[place]).find(|&position| is_it(position));
            if found.is_some() {
                return found;
            }
            if bucket.pushed_past() == 0 {
                return None;
            }
            at = self.after(at);
        }
    }

    /// Adds a position that is not there. `false` when there are as many entries as the index was made for and half as
    /// many again.
    #[must_use]
    pub fn insert(&mut self, hash: u64, position: u32) -> bool {
        if self.length >= (self.buckets.len() - 1) * PLACES {
            return false;
        }
        let mut at = self.home(hash);
        loop {
            let bucket = &mut self.buckets[at];
            if let Some(place) = bucket.places_with(0).next() {
                bucket.tags[place] = Self::tag(hash);
                bucket.positions[place] = position;
                self.length += 1;
                return true;
            }
            bucket.set_pushed_past(bucket.pushed_past() + 1);
            at = self.after(at);
        }
    }

    /// Removes a position that was added under this hash; `false` when it is not there.
    pub fn remove(&mut self, hash: u64, position: u32) -> bool {
        let (tag, home) = (Self::tag(hash), self.home(hash));
        let mut at = home;
        let place = loop {
            let bucket = &self.buckets[at];
            if let Some(place) = bucket.places_with(tag).find(|&place| bucket.positions[place] == position) {
                break place;
            }
            if bucket.pushed_past() == 0 {
                return false;
            }
            at = self.after(at);
        };
        self.buckets[at].tags[place] = 0;
        self.length -= 1;
        let mut passed = home;
        while passed != at {
            let bucket = &mut self.buckets[passed];
            bucket.set_pushed_past(bucket.pushed_past() - 1);
            passed = self.after(passed);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn full_index_finds_everything() {
        let mut index = SlotIndex::with_capacity(1000);
        let hash = |n: u32| u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for n in 0..1000 {
            assert!(index.insert(hash(n), n));
        }
        for n in 0..1000 {
            assert_eq!(index.find(hash(n), |found| found == n), Some(n));
        }
        assert_eq!(index.find(hash(1000), |found| found == 1000), None);
    }

    #[test]
    fn entries_of_one_hash_overflow_and_come_back() {
        let mut index = SlotIndex::with_capacity(60);
        for n in 0..60 {
            assert!(index.insert(7, n));
        }
        for n in 0..60 {
            assert_eq!(index.find(7, |found| found == n), Some(n));
            assert!(index.remove(7, n));
            assert!(!index.remove(7, n));
        }
        assert!(index.is_empty());
        assert!(index.buckets.iter().all(|bucket| bucket.pushed_past() == 0));
    }

    proptest! {
        #[test]
        fn behaves_like_a_map(steps in prop::collection::vec((any::<bool>(), 0_u32..40, 0_u64..6), 0..400)) {
            let mut index = SlotIndex::with_capacity(40);
            let mut map = BTreeMap::new();
            for (insert, position, hash) in steps {
                let hash = hash << 33 | hash;
                if insert && !map.contains_key(&position) {
                    prop_assert!(index.insert(hash, position));
                    map.insert(position, hash);
                } else if let Some(hash) = map.remove(&position) {
                    prop_assert!(index.remove(hash, position));
                }
                prop_assert_eq!(index.len(), map.len());
                for (&position, &hash) in &map {
                    prop_assert_eq!(index.find(hash, |found| found == position), Some(position));
                }
            }
        }
    }
}
