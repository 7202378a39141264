//! When downloads begin, on which host, and how long they are.

use std::time::Duration;

/// The tail of the sizes: the variance has no bound but the largest size.
const ALPHA: f64 = 1.3;
/// What sizes are on average, before they are cut.
const MEAN_BYTES: f64 = 200e3;
const SMALLEST: f64 = 4e3;
const LARGEST: f64 = 20e6;

/// A download to be made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Arrival {
    /// After the one before.
    pub(crate) after: Duration,
    /// From 1.
    pub(crate) host: u8,
    pub(crate) bytes: u64,
}

/// An endless row of downloads, the same for the same arguments.
#[derive(Clone, Debug)]
pub(crate) struct Arrivals {
    state: u64,
    mean_gap: f64,
    hosts: u8,
}

impl Arrivals {
    /// Downloads that ask for `load_percent` of `sum_mbit` in the long run.
    pub(crate) fn new(load_percent: u32, sum_mbit: u32, hosts: u8, round: u32) -> Self {
        let bytes_per_second = f64::from(load_percent) / 100.0 * f64::from(sum_mbit) * 1e6 / 8.0;
        let mut sizes = Self { state: 1, mean_gap: 1.0, hosts };
        let count = 100_000;
        let mean = (0..count).map(|_| sizes.size()).sum::<f64>() / f64::from(count);
        Self { state: u64::from(round) << 32 | u64::from(load_percent), mean_gap: mean / bytes_per_second, hosts }
    }

    /// A number from 0 up to 1 (SplitMix64).
    fn random(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn size(&mut self) -> f64 {
        let least = MEAN_BYTES * (ALPHA - 1.0) / ALPHA;
        (least / (1.0 - self.random()).powf(1.0 / ALPHA)).clamp(SMALLEST, LARGEST)
    }
}

impl Iterator for Arrivals {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        let after = Duration::from_secs_f64(-(1.0 - self.random()).ln() * self.mean_gap);
        let host = (self.random() * f64::from(self.hosts)) as u8 + 1;
        Some(Arrival { after, host, bytes: self.size() as u64 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn downloads_ask_for_the_load() {
        let (mut time, mut bytes) = (0.0, 0.0);
        for arrival in Arrivals::new(80, 95, 60, 0).take(200_000) {
            time += arrival.after.as_secs_f64();
            bytes += arrival.bytes as f64;
            assert!((1..=60).contains(&arrival.host));
        }
        let mbit = bytes * 8.0 / time / 1e6;
        assert!((70.0..82.0).contains(&mbit), "{mbit}");
    }
}
