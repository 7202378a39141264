//! Numbers that look random and are the same in every run.

/// splitmix64, from a seed.
#[derive(Clone, Debug)]
pub(super) struct Variety(pub(super) u64);

impl Variety {
    /// The next number, less than `bound` (1 and up).
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// Brings `items` into another order (Fisher and Yates).
    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let with = usize::try_from(self.below(last as u64 + 1)).unwrap_or(last);
            items.swap(last, with);
        }
    }
}
