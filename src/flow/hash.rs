//! A keyed hash of small fixed-size keys: two folded multiplications under a secret, so that nobody outside can choose
//! addresses and ports that collide, and a look-up costs few cycles.

/// The secret of one table.
#[derive(Clone, Copy, Debug)]
pub struct HashKey {
    first: u64,
    second: u64,
}

impl HashKey {
    /// A key from 16 random bytes.
    #[must_use]
    pub const fn new(seed: u128) -> Self {
        // Odd multipliers lose no information.
        Self { first: (seed >> 64) as u64 | 1, second: seed as u64 | 1 }
    }

    /// The hash of two words.
    #[must_use]
    pub const fn hash(self, low: u64, high: u64) -> u64 {
        let mixed = folded_product(low ^ self.second, high ^ self.first);
        folded_product(mixed ^ self.first, low.rotate_left(32) ^ self.second)
    }
}

const fn folded_product(a: u64, b: u64) -> u64 {
    let product = (a as u128) * (b as u128);
    (product as u64) ^ ((product >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_spread_over_buckets() {
        let key = HashKey::new(0x1234_5678_9abc_def0_0fed_cba9_8765_4321);
        let mut buckets = [0_u32; 64];
        for port in 0..64_000_u64 {
            buckets[usize::try_from(key.hash(port << 16 | 6, 0xc0a8_0a14_cb00_7101) % 64).unwrap()] += 1;
        }
        assert!(buckets.iter().all(|&count| (800..1200).contains(&count)), "{buckets:?}");
    }
}
