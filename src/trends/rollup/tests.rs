//! Scenarios and properties of the roll-up.

use proptest::prelude::*;

use super::*;

/// 2026-11-26 14:00:00 UTC, in milliseconds.
const NOW: u64 = 1_795_701_600_000;

fn sample(name: &str, in_bytes: u64) -> Sample {
    let state = Some(Availability::Usable);
    Sample { name: name.to_owned(), in_bytes, out_bytes: in_bytes / 10, state, ..Sample::default() }
}

fn look(after: u64, lines: &[Sample]) -> Look {
    Look { wall: NOW + after, monotonic: 77_000 + after, lines: lines.to_vec() }
}

fn of_tier(buckets: &BTreeMap<Key, Bucket>, tier: Tier) -> Vec<(u64, Bucket)> {
    buckets.iter().filter(|(key, _)| key.tier == tier).map(|(key, bucket)| (key.start, *bucket)).collect()
}

fn sum(buckets: &BTreeMap<Key, Bucket>, tier: Tier) -> Bucket {
    let mut sum = Bucket::default();
    of_tier(buckets, tier).iter().for_each(|(_, bucket)| sum.add(bucket));
    sum
}

#[test]
fn steady_line_has_a_bucket_each_second_though_looks_come_early_and_late() {
    let mut rollup = Rollup::default();
    for after in [0, 1_030, 1_990, 3_010, 4_000, 5_000] {
        rollup.handle_look(look(after, &[sample("dsl1", 125 * after)]));
    }
    let buckets = rollup.take();
    let seconds = of_tier(&buckets, Tier::Second);
    assert_eq!(seconds.len(), 5);
    for (second, bucket) in seconds {
        assert_eq!((bucket.known, bucket.in_bytes, bucket.rates().0), (1_000, 125_000, 1_000_000), "{second}");
    }
    assert_eq!(of_tier(&buckets, Tier::Hour).len(), 1);
    assert_eq!(sum(&buckets, Tier::Hour).in_bytes, 625_000);
    assert!(rollup.take().is_empty());
}

#[test]
fn gaps_stay_gaps() {
    let mut rollup = Rollup::default();
    rollup.handle_look(look(0, &[sample("dsl1", 0), sample("dsl2", 0)]));
    rollup.handle_look(look(1_000, &[sample("dsl1", 1_000), sample("dsl2", 500)]));
    // One line is not there for a while, the machine sleeps, a counter begins anew.
    rollup.handle_look(look(2_000, &[sample("dsl1", 2_000)]));
    rollup.handle_look(look(3_000, &[sample("dsl1", 3_000), sample("dsl2", 900)]));
    rollup.handle_look(look(60_000, &[sample("dsl1", 90_000), sample("dsl2", 901)]));
    rollup.handle_look(look(61_000, &[sample("dsl1", 90_500), sample("dsl2", 1)]));
    let buckets = rollup.take();
    let seconds = |line: &str| -> Vec<u64> {
        let of_line = buckets.keys().filter(|key| key.tier == Tier::Second && &*key.line == line);
        of_line.map(|key| key.start - NOW / 1_000).collect()
    };
    assert_eq!((seconds("dsl1"), seconds("dsl2")), (vec![0, 1, 2, 60], vec![0]));
    assert_eq!(sum(&buckets, Tier::Minute).in_bytes, 3_000 + 500 + 500);
}

#[test]
fn clock_that_jumps_moves_time_and_invents_none() {
    let mut rollup = Rollup::default();
    let mut at = |monotonic: u64, wall: u64| {
        rollup.handle_look(Look { wall, monotonic, lines: vec![sample("dsl1", monotonic * 100)] });
    };
    at(1_000, NOW);
    at(2_000, NOW + 1_000);
    // An hour on, and back to before the first look; at last to 1970, which has no time before it.
    at(3_000, NOW + 3_602_000);
    at(4_000, NOW - 500);
    at(5_000, NOW + 500);
    at(6_000, 400);
    let buckets = rollup.take();
    let known = of_tier(&buckets, Tier::Hour).iter().map(|(_, bucket)| bucket.known).sum::<u64>();
    assert_eq!((known, sum(&buckets, Tier::Second).in_bytes), (5_000, 500_000));
    let at_now = buckets.iter().find(|(key, _)| key.tier == Tier::Second && key.start == NOW / 1_000);
    assert_eq!(at_now.map(|(_, bucket)| (bucket.known, bucket.rates().0)), Some((1_500, 800_000)), "it came twice");
    assert!(buckets.keys().any(|key| key.start == 0));
}

#[test]
fn round_trip_is_the_mean_of_the_answers_since_the_look_before() {
    let mut rollup = Rollup::default();
    let line = |round_trips, round_trip_total, loss| {
        [Sample { round_trips, round_trip_total, loss_percent: loss, ..sample("dsl1", 0) }]
    };
    rollup.handle_look(look(0, &line(10, 900_000, None)));
    rollup.handle_look(look(1_000, &line(12, 960_000, Some(10))));
    rollup.handle_look(look(2_000, &line(12, 960_000, Some(20))));
    rollup.handle_look(look(3_000, &line(1, 5_000, None)));
    let buckets = rollup.take();
    let seconds = of_tier(&buckets, Tier::Second);
    let told: Vec<_> = seconds.iter().map(|(_, bucket)| (bucket.round_trip_ms(), bucket.loss_percent())).collect();
    assert_eq!(told, [(Some(30.0), Some(10.0)), (None, Some(20.0)), (None, None)]);
    let minute = sum(&buckets, Tier::Minute);
    assert_eq!((minute.round_trip_ms(), minute.loss_percent()), (Some(30.0), Some(15.0)));
}

#[test]
fn what_could_not_be_kept_waits_until_nobody_would_want_it() {
    let mut rollup = Rollup::default();
    for second in 0..4_000 {
        rollup.handle_look(look(second * 1_000, &[sample("dsl1", second * 100)]));
        if second % 30 == 0 {
            let taken = rollup.take();
            rollup.give_back((NOW + second * 1_000) / 1_000, taken);
        }
    }
    let kept = rollup.take();
    let seconds = of_tier(&kept, Tier::Second).len();
    assert!((3_600..=3_630).contains(&seconds), "{seconds}");
    assert_eq!(sum(&kept, Tier::Hour).in_bytes, 399_900);
}

proptest! {
    /// Whatever the clocks and counters do: every tier has the same sums, no more time than has passed, and no more buckets than
    /// pieces.
    #[test]
    fn tiers_agree_and_nothing_is_invented(
        steps in proptest::collection::vec((0_u64..7_000, -10_000_000_i64..10_000_000, 0_u64..3, 0_u64..1_000_000), 1..60),
    ) {
        let mut rollup = Rollup::default();
        let (mut monotonic, mut wall, mut bytes, mut carried) = (5, NOW, 0_u64, 0);
        for (span, jump, kind, more) in steps {
            monotonic += span;
            wall = (wall + span).saturating_add_signed(if kind == 1 { jump } else { 0 });
            carried += more;
            bytes = if kind == 2 { more } else { bytes + more };
            rollup.handle_look(Look { wall, monotonic, lines: vec![sample("dsl1", bytes)] });
        }
        let buckets = rollup.take();
        let seconds = sum(&buckets, Tier::Second);
        prop_assert!(seconds.known <= monotonic - 5 && seconds.in_bytes <= carried);
        prop_assert_eq!(seconds.states.iter().sum::<u64>(), seconds.known);
        for tier in Tier::ALL {
            prop_assert_eq!(sum(&buckets, tier), seconds);
            for (start, bucket) in of_tier(&buckets, tier) {
                prop_assert!(start % tier.step() == 0 && bucket.known > 0);
            }
        }
    }

    /// However a bucket comes in parts, it is the same in the end; and a mean lies between the least and the most of its parts.
    #[test]
    fn parts_make_the_whole(cuts in proptest::collection::vec(0_u64..=5_000, 0..8), bytes in 0_u64..u64::MAX / 5_000) {
        let whole = Bucket { known: 5_000, in_bytes: bytes, loss: 5_000 * 7, loss_known: 5_000, ..Bucket::default() };
        let mut cuts: Vec<u64> = cuts.into_iter().chain([0, 5_000]).collect();
        cuts.sort_unstable();
        let parts: Vec<Bucket> = cuts.windows(2).map(|pair| part(&whole, pair[0], pair[1])).collect();
        let mut sum = Bucket::default();
        parts.iter().for_each(|part| sum.add(part));
        prop_assert_eq!(sum, whole);
        let rates = || parts.iter().filter(|part| part.known > 0).map(|part| part.rates().0);
        let slack = 8_000;
        prop_assert!(rates().min().unwrap() <= whole.rates().0.saturating_add(slack));
        prop_assert!(rates().max().unwrap().saturating_add(slack) >= whole.rates().0);
    }
}
