//! What the file keeps, and what it survives.

use std::fs;

use super::*;

/// 2026-11-26 14:00:00 UTC, in seconds.
const NOW: u64 = 1_795_701_600;
const ALL: (u64, u64) = (0, u64::MAX);

fn key(tier: Tier, start: u64, line: &str) -> Key {
    Key { tier, start, line: line.into() }
}

fn bytes(in_bytes: u64) -> Bucket {
    let mut numbers = [0; NUMBERS];
    numbers.iter_mut().zip(1..).for_each(|(number, at)| *number = at);
    Bucket { in_bytes, ..Bucket::from_numbers(numbers) }
}

fn none() -> Days {
    Days::new()
}

#[test]
fn buckets_are_read_as_they_were_written_and_parts_are_added() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("not/there/yet/trends.db");
    let first = [(key(Tier::Second, NOW, "dsl1"), bytes(5)), (key(Tier::Minute, NOW, "dsl2"), bytes(7))];
    Store::open(&path).unwrap().add(&first.clone().into(), &none()).unwrap();
    let mut store = Store::open(&path).unwrap();
    assert_eq!(store.buckets(Tier::Second, ALL, None).unwrap(), first[..1].iter().cloned().collect());
    assert_eq!(store.buckets(Tier::Minute, ALL, Some("dsl2")).unwrap(), first[1..].iter().cloned().collect());
    assert!(store.buckets(Tier::Minute, ALL, Some("dsl1")).unwrap().is_empty());
    assert!(store.buckets(Tier::Second, (NOW + 1, NOW + 9), None).unwrap().is_empty());
    store.add(&first[..1].iter().cloned().collect(), &none()).unwrap();
    let mut twice = bytes(5);
    twice.add(&bytes(5));
    assert_eq!(
        store.buckets(Tier::Second, ALL, None).unwrap(),
        BTreeMap::from([(key(Tier::Second, NOW, "dsl1"), twice)])
    );
}

#[test]
fn new_buckets_take_the_place_of_those_that_are_too_old_in_whatever_order_times_come() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(&folder.path().join("trends.db")).unwrap();
    let times = (0..5_000).map(|second| NOW + second).chain((0..2_000).map(|second| NOW - second * 7));
    for times in times.collect::<Vec<_>>().chunks(25) {
        let at =
            |start: u64| Tier::ALL.map(|tier| (key(tier, start / tier.step() * tier.step(), "dsl1"), bytes(start)));
        add(&mut store, &times.iter().flat_map(|start| at(*start)).collect());
    }
    let seconds = store.buckets(Tier::Second, ALL, None).unwrap();
    assert_eq!(seconds.len(), 3_600);
    // All are of the last 3,600 places that were written, and none is the sum of two times.
    assert!(seconds.values().all(|bucket| bucket.in_bytes < 2 * NOW));
    let kept: i64 = store.0.connection.query_row("SELECT count(*) FROM buckets", [], |row| row.get(0)).unwrap();
    assert!(kept.unsigned_abs() <= Tier::ALL.map(Tier::kept).iter().sum::<u64>());
}

/// Without waiting for a commit each.
fn add(store: &mut Store, buckets: &BTreeMap<Key, Bucket>) {
    store.0.connection.pragma_update(None, "synchronous", "OFF").unwrap();
    store.add(buckets, &none()).unwrap();
}

#[test]
fn line_that_has_been_away_for_the_longest_makes_room() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(&folder.path().join("trends.db")).unwrap();
    for line in 0..70 {
        // The first one goes on being there.
        let start = NOW + line * 3_600;
        let now =
            [(key(Tier::Hour, start, &format!("dsl{line}")), bytes(1)), (key(Tier::Hour, start, "dsl0"), bytes(1))];
        add(&mut store, &now.into());
    }
    let kept = store.buckets(Tier::Hour, ALL, None).unwrap();
    let lines: std::collections::BTreeSet<_> = kept.keys().map(|key| key.line.to_string()).collect();
    assert_eq!(lines.len(), 64);
    assert!(lines.contains("dsl0") && lines.contains("dsl69") && !lines.contains("dsl1"));
}

#[test]
fn days_of_hosts_are_added_up_and_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(&folder.path().join("trends.db")).unwrap();
    let host = |last| Ipv4Addr::new(192, 168, 10, last);
    let used = |bytes| DayReport { out_bytes: bytes, in_bytes: bytes * 10 };
    for day in 20_000..20_050 {
        for _ in 0..2 {
            store.add(&BTreeMap::new(), &[((day, host(20)), used(5)), ((day, host(21)), used(1))].into()).unwrap();
        }
    }
    assert_eq!(
        store.days(20_049, 20_049).unwrap(),
        [((20_049, host(20)), used(10)), ((20_049, host(21)), used(2))].into()
    );
    assert_eq!(store.days(0, i64::MAX).unwrap().len(), 2 * 32);
    let many = (0..5_000).map(|number| ((20_050, Ipv4Addr::from_bits(0x0a00_0000 + number)), used(1))).collect();
    store.add(&BTreeMap::new(), &many).unwrap();
    store.add(&BTreeMap::new(), &many).unwrap();
    let kept = store.days(20_050, 20_050).unwrap();
    assert_eq!((kept.len(), kept.values().all(|kept| *kept == used(2))), (4_096, true));
}

#[test]
fn broken_file_is_put_aside_and_a_full_one_refuses_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trends.db");
    fs::write(&path, "this is no database, and long enough to be sure of that".repeat(20)).unwrap();
    let mut store = Store::open(&path).unwrap();
    assert!(folder.path().join("trends.db.broken").is_file());
    store.add(&[(key(Tier::Hour, NOW, "dsl1"), bytes(1))].into(), &none()).unwrap();
    let pages: i64 = store.0.connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    store.0.connection.pragma_update(None, "max_page_count", pages).unwrap();
    let many: BTreeMap<Key, Bucket> = (0..3_000).map(|at| (key(Tier::Second, NOW + at, "dsl1"), bytes(at))).collect();
    assert!(store.add(&many, &none()).is_err());
    assert!(store.buckets(Tier::Second, ALL, None).unwrap().is_empty());
    store.0.connection.pragma_update(None, "max_page_count", 100_000).unwrap();
    store.add(&many, &none()).unwrap();
    assert_eq!(store.buckets(Tier::Second, ALL, None).unwrap(), many);
}
