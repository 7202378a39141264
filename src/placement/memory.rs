//! What all workers remember together of something that has a hash: a fixed table of words that nobody locks.
//!
//! Theory of operation. A hash belongs to a *set* of eight slots, which is a cache line. A slot is one word: a tag (more of
//! the hash), a line, how many live things it stands for, and when the last of them has ended. Every change is one
//! compare-and-exchange of one word, so a slot is never half written. A new hash takes a slot that is free, else the one
//! that has ended longest; one that stands for something live is never taken, so numbers stay true: what has been counted is there
//! to be counted off. While all eight are live a ninth is not remembered, and its owner is told.
//!
//! Two hashes with the same set and tag are taken for one: with 2^35 different ones that is one in millions, and costs a flow
//! nothing but its choice of a line.
//!
//! Times are whole seconds and wrap after 48 days. What was not touched for as long would count as fresh for a while, if nothing else
//! has needed its slot.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::ids::{MAX_UPLINKS, UplinkId};
use crate::flow::Timestamp;

/// Slots of a set: a cache line.
const WAYS: usize = 8;

// The bits of a word, the lowest first.
const ENDED_BITS: u32 = 22;
const LIVE_BITS: u32 = 15;
const LINE_BITS: u32 = 5;
const TAG_BITS: u32 = 22;

const _: () = assert!(ENDED_BITS + LIVE_BITS + LINE_BITS + TAG_BITS == u64::BITS, "an entry is one word");
const _: () = assert!(MAX_UPLINKS <= 1 << LINE_BITS, "a line's number fits");

/// Most live things that an entry stands for.
const MOST_LIVE: u32 = (1 << LIVE_BITS) - 1;
/// Workers read the clock one after the other: what ended this much later than now has ended now.
const SKEW: Duration = Duration::from_secs(60);

/// A time in whole seconds, as far as the bits go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Second(u32);

impl Second {
    const MASK: u32 = (1 << ENDED_BITS) - 1;

    #[expect(clippy::cast_possible_truncation, reason = "only the lowest bits are kept")]
    fn at(time: Timestamp) -> Self {
        Self((time.as_millis() / 1_000) as u32 & Self::MASK)
    }

    fn since(self, earlier: Self) -> Duration {
        let passed = self.0.wrapping_sub(earlier.0) & Self::MASK;
        if u64::from(Self::MASK - passed) < SKEW.as_secs() {
            return Duration::ZERO;
        }
        Duration::from_secs(passed.into())
    }
}

/// A slot that is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    /// Never zero, so that no entry is the word of a free slot.
    tag: u32,
    line: UplinkId,
    live: u32,
    ended: Second,
}

impl Entry {
    fn word(self) -> u64 {
        let with = |word: u64, bits: u32, field: u32| word << bits | u64::from(field);
        let word = with(u64::from(self.tag), LINE_BITS, self.line.0.into());
        with(with(word, LIVE_BITS, self.live), ENDED_BITS, self.ended.0)
    }

    /// `None`: the slot is free.
    #[expect(clippy::cast_possible_truncation, reason = "every field is masked")]
    fn from_word(mut word: u64) -> Option<Self> {
        let mut take = |bits: u32| {
            let field = word & ((1 << bits) - 1);
            word >>= bits;
            field as u32
        };
        let (ended, live, line, tag) =
            (Second(take(ENDED_BITS)), take(LIVE_BITS), UplinkId(take(LINE_BITS) as u8), take(TAG_BITS));
        (tag != 0).then_some(Self { tag, line, live, ended })
    }

    /// Whether it is still to be heeded: something lives, or the last has ended less than `hold` ago.
    fn holds(self, now: Second, hold: Duration) -> bool {
        self.live > 0 || now.since(self.ended) < hold
    }
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Set([AtomicU64; WAYS]);

/// Whether something was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Touched {
    /// It was.
    Known,
    /// It was not, and is now.
    New,
    /// It was not, and there is no room for it.
    NoRoom,
}

/// The table.
#[derive(Debug)]
pub(super) struct Memory {
    sets: Box<[Set]>,
    /// How long something is remembered after its end.
    hold: Duration,
}

impl Memory {
    /// An empty table with at least `slots` slots, whose entries are remembered for `hold` after their end. All memory is taken
    /// now: eight bytes a slot.
    pub(super) fn new(slots: usize, hold: Duration) -> Self {
        let sets = slots.div_ceil(WAYS).next_power_of_two();
        Self { sets: (0..sets).map(|_| Set::default()).collect(), hold }
    }

    /// The set and the tag of a hash.
    #[expect(clippy::cast_possible_truncation, reason = "every field is masked")]
    fn place(&self, hash: u64) -> (&Set, u32) {
        let tag = (hash >> (u64::BITS - TAG_BITS)) as u32;
        (&self.sets[hash as usize & (self.sets.len() - 1)], tag.max(1))
    }

    /// Changes the first entry with this tag that `change` wants changed; gives it as it was.
    fn change(set: &Set, tag: u32, change: impl Fn(Entry) -> Option<Entry>) -> Option<Entry> {
        let mut slots = set.0.iter();
        slots.find_map(|slot| {
            let changed = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
                Entry::from_word(word).filter(|entry| entry.tag == tag).and_then(&change).map(Entry::word)
            });
            changed.ok().and_then(Entry::from_word)
        })
    }

    /// The line that is remembered, if any.
    pub(super) fn line(&self, now: Timestamp, hash: u64) -> Option<UplinkId> {
        let ((set, tag), now) = (self.place(hash), Second::at(now));
        let entries = set.0.iter().filter_map(|slot| Entry::from_word(slot.load(Ordering::Relaxed)));
        let mut held = entries.filter(|entry| entry.tag == tag && entry.holds(now, self.hold));
        held.next().map(|entry| entry.line)
    }

    /// Counts something live more, and remembers its line. Says whether there was room.
    pub(super) fn enter(&self, now: Timestamp, hash: u64, line: UplinkId) -> bool {
        let (set, tag) = self.place(hash);
        let fresh = Entry { tag, line, live: 1, ended: Second::at(now) };
        loop {
            let more = |entry: Entry| Some(Entry { line, live: (entry.live + 1).min(MOST_LIVE), ..entry });
            if let Some(before) = Self::change(set, tag, more) {
                return before.live < MOST_LIVE;
            }
            match Self::insert(set, fresh) {
                Touched::New => return true,
                Touched::NoRoom => return false,
                // Another worker was quicker: perhaps with the same.
                Touched::Known => {}
            }
        }
    }

    /// Counts off something that [`Self::enter`] has counted.
    pub(super) fn leave(&self, now: Timestamp, hash: u64) {
        let ((set, tag), ended) = (self.place(hash), Second::at(now));
        let _ = Self::change(set, tag, |entry| Some(Entry { live: entry.live.checked_sub(1)?, ended, ..entry }));
    }

    /// Gives what is remembered another line.
    pub(super) fn set_line(&self, hash: u64, line: UplinkId) {
        let (set, tag) = self.place(hash);
        let _ = Self::change(set, tag, |entry| Some(Entry { line, ..entry }));
    }

    /// Remembers something that has no life from now on. Says whether it was remembered already.
    pub(super) fn touch(&self, now: Timestamp, hash: u64) -> Touched {
        let ((set, tag), ended) = (self.place(hash), Second::at(now));
        loop {
            match Self::change(set, tag, |entry| Some(Entry { ended, ..entry })) {
                Some(before) if before.holds(ended, self.hold) => return Touched::Known,
                Some(_) => return Touched::New,
                None => {}
            }
            match Self::insert(set, Entry { tag, line: UplinkId(0), live: 0, ended }) {
                Touched::Known => {}
                outcome => return outcome,
            }
        }
    }

    /// Puts an entry into the slot of the set that can best be missed. `Known`: somebody has changed that meanwhile.
    fn insert(set: &Set, entry: Entry) -> Touched {
        let now = entry.ended;
        let mut best: Option<(Duration, &AtomicU64, u64)> = None;
        for slot in &set.0 {
            let word = slot.load(Ordering::Relaxed);
            let age = match Entry::from_word(word) {
                None => Duration::MAX,
                Some(old) if old.tag == entry.tag => return Touched::Known,
                Some(old) if old.live > 0 => continue,
                Some(old) => now.since(old.ended),
            };
            // The first of equals, so that two who look at the same set want the same slot.
            if best.is_none_or(|(oldest, ..)| age > oldest) {
                best = Some((age, slot, word));
            }
        }
        let Some((_, slot, word)) = best else { return Touched::NoRoom };
        match slot.compare_exchange(word, entry.word(), Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => Touched::New,
            Err(_) => Touched::Known,
        }
    }

    /// How many live things there are in all: for tests.
    #[cfg(test)]
    fn live(&self) -> u64 {
        let words = self.sets.iter().flat_map(|set| &set.0).map(|slot| slot.load(Ordering::Relaxed));
        words.filter_map(Entry::from_word).map(|entry| u64::from(entry.live)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::hash::HashKey;
    use proptest::prelude::*;
    use std::collections::HashMap;

    const HOLD: Duration = Duration::from_secs(600);
    const DSL1: UplinkId = UplinkId(0);
    const DSL2: UplinkId = UplinkId(31);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn hash(thing: u64) -> u64 {
        HashKey::new(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef).hash(thing, 0)
    }

    #[test]
    fn line_is_remembered_while_something_lives_and_so_long_after() {
        let memory = Memory::new(64, HOLD);
        assert_eq!(memory.line(at(5), hash(1)), None);
        assert!(memory.enter(at(5), hash(1), DSL1) && memory.enter(at(6), hash(1), DSL2));
        assert_eq!(memory.line(at(50_000), hash(1)), Some(DSL2));
        memory.leave(at(50_000), hash(1));
        memory.leave(at(50_001), hash(1));
        memory.leave(at(50_002), hash(1));
        assert_eq!((memory.line(at(50_600), hash(1)), memory.live()), (Some(DSL2), 0));
        memory.set_line(hash(1), DSL1);
        assert_eq!(memory.line(at(50_600), hash(1)), Some(DSL1));
        assert_eq!(memory.line(at(50_602), hash(1)), None);
        assert_eq!(memory.line(at(50_000), hash(2)), None);
    }

    #[test]
    fn only_what_has_ended_longest_gives_way_and_nothing_that_lives() {
        let memory = Memory::new(WAYS, HOLD);
        for thing in 0..8 {
            assert!(memory.enter(at(thing), hash(thing), DSL1));
        }
        assert!(!memory.enter(at(10), hash(8), DSL1), "all are in use");
        memory.leave(at(20), hash(3));
        memory.leave(at(21), hash(6));
        assert!(memory.enter(at(22), hash(8), DSL2));
        assert_eq!([3, 6, 8].map(|thing| memory.line(at(22), hash(thing))), [None, Some(DSL1), Some(DSL2)]);
        assert_eq!(memory.live(), 7);
    }

    #[test]
    fn touching_tells_what_is_news() {
        let memory = Memory::new(WAYS, HOLD);
        assert_eq!(memory.touch(at(0), hash(1)), Touched::New);
        assert_eq!(memory.touch(at(599), hash(1)), Touched::Known);
        assert_eq!(memory.touch(at(1_198), hash(1)), Touched::Known);
        assert_eq!(memory.touch(at(1_798), hash(1)), Touched::New);
    }

    #[test]
    fn worker_whose_clock_was_read_later_ends_nothing_in_the_past() {
        let memory = Memory::new(WAYS, HOLD);
        assert!(memory.enter(at(100), hash(1), DSL1));
        memory.leave(at(102), hash(1));
        assert_eq!(memory.line(at(101), hash(1)), Some(DSL1));
        assert_eq!(memory.line(at(102 + 40 * 24 * 3_600), hash(1)), None);
    }

    /// Four threads that each count on and off at random; whoever was told that he is counted counts himself off.
    #[test]
    fn threads_that_share_a_table_leave_it_with_true_numbers() {
        let memory = Memory::new(32, HOLD);
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                let memory = &memory;
                scope.spawn(move || {
                    let mut counted = Vec::new();
                    for step in 0..40_000_u64 {
                        let draw = hash(step << 8 | thread);
                        let (thing, line) = (hash(draw % 40), UplinkId((draw >> 40) as u8 & 31));
                        match draw >> 60 {
                            0..7 if memory.enter(at(step / 100), thing, line) => counted.push(thing),
                            7..14 => {
                                if let Some(thing) = counted.pop() {
                                    memory.leave(at(step / 100), thing);
                                }
                            }
                            _ => drop(memory.line(at(step / 100), thing)),
                        }
                    }
                    counted.into_iter().for_each(|thing| memory.leave(at(1_000), thing));
                });
            }
        });
        assert_eq!(memory.live(), 0);
    }

    proptest! {
        #[test]
        fn entry_is_one_word(tag in 1_u32..1 << TAG_BITS, line in 0_u8..32, live in 0..=MOST_LIVE, ended in 0..=Second::MASK) {
            let entry = Entry { tag, line: UplinkId(line), live, ended: Second(ended) };
            prop_assert_eq!(Entry::from_word(entry.word()), Some(entry));
        }

        #[test]
        fn numbers_are_those_of_a_table_without_bounds(
            steps in prop::collection::vec((0_u64..24, 0_u8..32, any::<bool>(), 0_u64..400), 1..400),
        ) {
            let memory = Memory::new(16, HOLD);
            let (mut counted, mut now) = (HashMap::<u64, (u32, UplinkId)>::new(), 0);
            for (thing, line, enters, passed) in steps {
                now += passed;
                let (line, known) = (UplinkId(line), counted.get(&thing).is_some_and(|(live, _)| *live > 0));
                if enters {
                    let is_counted = memory.enter(at(now), hash(thing), line);
                    prop_assert!(is_counted || !known, "what lives is never lost");
                    if is_counted {
                        let entry = counted.entry(thing).or_insert((0, line));
                        *entry = (entry.0 + 1, line);
                    }
                } else if known {
                    memory.leave(at(now), hash(thing));
                    counted.entry(thing).and_modify(|entry| entry.0 -= 1);
                }
                for (thing, (live, line)) in &counted {
                    let remembered = memory.line(at(now), hash(*thing));
                    prop_assert!(remembered == Some(*line) || (*live == 0 && remembered.is_none()));
                }
                prop_assert_eq!(memory.live(), counted.values().map(|entry| u64::from(entry.0)).sum::<u64>());
            }
        }
    }
}
