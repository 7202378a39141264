//! What a line did in a span of time: sums, so that spans can be put together and averages stay weighted by time.

use crate::placement::Availability;

/// Sums over the part of a span that something is known of. Times are in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bucket {
    /// How much of the span is known.
    pub(super) known: u64,
    /// Bytes from the internet.
    pub(super) in_bytes: u64,
    /// Bytes to it.
    pub(super) out_bytes: u64,
    /// Loss, in percent times milliseconds.
    pub(super) loss: u64,
    /// How long loss was known.
    pub(super) loss_known: u64,
    /// Round trip, in microseconds times milliseconds.
    pub(super) round_trip: u64,
    /// How long round trips were known.
    pub(super) round_trip_known: u64,
    /// How long it was in each state, by the place in [`Availability::ALL`].
    pub(super) states: [u64; Availability::ALL.len()],
}

/// How many numbers a bucket is.
pub(super) const NUMBERS: usize = 7 + Availability::ALL.len();

impl Bucket {
    /// Puts another part of the span, or another span, to this one.
    pub(super) fn add(&mut self, other: &Self) {
        let sums = self.numbers().into_iter().zip(other.numbers());
        let mut numbers = [0; NUMBERS];
        numbers.iter_mut().zip(sums).for_each(|(sum, (own, theirs))| *sum = own.saturating_add(theirs));
        *self = Self::from_numbers(numbers);
    }

    /// As numbers, in the order of the file.
    pub(super) fn numbers(&self) -> [u64; NUMBERS] {
        let Self { known, in_bytes, out_bytes, loss, loss_known, round_trip, round_trip_known, states } = *self;
        let sums = [known, in_bytes, out_bytes, loss, loss_known, round_trip, round_trip_known];
        std::array::from_fn(|at| sums.get(at).copied().unwrap_or_else(|| states[at - sums.len()]))
    }

    /// The other way round.
    pub(super) fn from_numbers(numbers: [u64; NUMBERS]) -> Self {
        let [known, in_bytes, out_bytes, loss, loss_known, round_trip, round_trip_known, states @ ..] = numbers;
        Self { known, in_bytes, out_bytes, loss, loss_known, round_trip, round_trip_known, states }
    }

    /// Bits a second from the internet and to it, over what is known.
    pub(super) fn rates(&self) -> (u64, u64) {
        let rate = |bytes: u64| {
            let bits = u128::from(bytes) * 8_000;
            u64::try_from(bits.checked_div(u128::from(self.known)).unwrap_or_default()).unwrap_or(u64::MAX)
        };
        (rate(self.in_bytes), rate(self.out_bytes))
    }

    /// Mean loss in percent.
    pub(super) fn loss_percent(&self) -> Option<f64> {
        mean(self.loss, self.loss_known)
    }

    /// Mean round trip in milliseconds.
    pub(super) fn round_trip_ms(&self) -> Option<f64> {
        mean(self.round_trip, self.round_trip_known).map(|microseconds| microseconds / 1e3)
    }

    /// The state that it was in for the longest; `None`: that is not known.
    pub(super) fn state(&self) -> Option<Availability> {
        let known = Availability::ALL.into_iter().zip(self.states).filter(|(_, time)| *time > 0);
        known.max_by_key(|(_, time)| *time).map(|(state, _)| state)
    }

    /// The share of what is known in which it worked, in percent.
    pub(super) fn working_percent(&self) -> Option<f64> {
        let works = |state| matches!(state, Availability::Usable | Availability::Standby);
        let working = Availability::ALL.into_iter().zip(self.states).filter(|(state, _)| works(*state));
        mean(working.map(|(_, time)| time).sum::<u64>() * 100, self.states.iter().sum())
    }
}

#[expect(clippy::cast_precision_loss, reason = "a mean to show, not to reckon with")]
fn mean(sum: u64, weight: u64) -> Option<f64> {
    (weight > 0).then(|| sum as f64 / weight as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_weighted_by_time_and_unknown_time_has_no_weight() {
        let quiet = Bucket { known: 900, in_bytes: 0, loss: 0, loss_known: 900, ..Bucket::default() };
        let busy = Bucket { known: 100, in_bytes: 12_500, loss: 100 * 50, loss_known: 100, ..Bucket::default() };
        let mut both = quiet;
        both.add(&busy);
        assert_eq!((quiet.rates().0, busy.rates().0, both.rates().0), (0, 1_000_000, 100_000));
        assert_eq!((both.loss_percent(), both.round_trip_ms()), (Some(5.0), None));
        assert_eq!(Bucket::default().rates(), (0, 0));
    }

    #[test]
    fn state_is_the_longest_and_working_is_a_share() {
        let mut bucket = Bucket::default();
        assert_eq!((bucket.state(), bucket.working_percent()), (None, None));
        let place = |state| Availability::ALL.iter().position(|other| *other == state).unwrap();
        bucket.states[place(Availability::Usable)] = 45_000;
        bucket.states[place(Availability::Lame)] = 15_000;
        assert_eq!((bucket.state(), bucket.working_percent()), (Some(Availability::Usable), Some(75.0)));
    }
}
