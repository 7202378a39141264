//! The keeper over restarts, and with disks that do not keep.

use std::fs;

use super::*;
use crate::placement::Availability;
use crate::trends::report::Span;
use crate::trends::rollup::Sample;

/// 2026-11-26 14:00:00 UTC, in seconds.
const NOW: u64 = 1_795_701_600;

/// Nobody wants to know of hosts.
type Quiet = Keeper<fn(BTreeMap<Ipv4Addr, DayReport>)>;

fn opened(path: PathBuf) -> Quiet {
    Keeper::new(path, |_| {})
}

fn look(second: u64, lines: &[(&str, u64)]) -> Look {
    let sample = |(name, in_bytes): &(&str, u64)| Sample {
        name: (*name).to_owned(),
        in_bytes: *in_bytes,
        loss_percent: Some(2),
        state: Some(Availability::Usable),
        ..Sample::default()
    };
    Look { wall: (NOW + second) * 1_000, monotonic: 5_000 + second * 1_000, lines: lines.iter().map(sample).collect() }
}

fn asked(uplink: Option<&str>, span: Span, most: Option<u64>) -> HistoryQuery {
    HistoryQuery { uplink: uplink.map(str::to_owned), span, most }
}

/// Seconds in which a line carries a megabit.
fn carry(keeper: &mut Quiet, seconds: std::ops::RangeInclusive<u64>) {
    for second in seconds {
        keeper.handle_look(look(second, &[("dsl1", second * 125_000), ("dsl2", 0)]));
    }
}

#[test]
fn history_outlives_the_program_and_the_time_between_is_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trends.db");
    let mut keeper = opened(path.clone());
    carry(&mut keeper, 0..=100);
    let (sender, receiver) = crossbeam::channel::bounded(4);
    let (done, ended) = crossbeam::channel::bounded(1);
    sender.send(Message::Finish(done)).unwrap();
    keeper.run(&receiver);
    ended.try_recv().unwrap();

    let mut keeper = opened(path);
    carry(&mut keeper, 130..=150);
    let report = keeper.history(NOW + 150, &asked(Some("dsl1"), Span::Hour, None));
    let points = report.points.unwrap();
    let times: Vec<u64> = points.iter().map(|point| point.time - NOW).collect();
    assert_eq!(times, (0..100).chain(130..150).collect::<Vec<_>>());
    let expected = PointReport {
        time: NOW,
        in_bps: 1_000_000,
        loss_percent: Some(2.0),
        state: Some("up".to_owned()),
        working_percent: Some(100.0),
        ..PointReport::default()
    };
    assert_eq!((report.step_seconds, &points[0]), (1, &expected));
    let report = keeper.history(NOW + 150, &asked(None, Span::Year, None));
    let lines = report.uplinks.unwrap();
    assert_eq!((report.step_seconds, lines["dsl1"].len(), lines["dsl1"][0].in_bps), (3_600, 1, 1_000_000));
    assert_eq!((lines.len(), lines["dsl2"][0].in_bps), (2, 0));
    let nobody = keeper.history(NOW + 150, &asked(Some("dsl9"), Span::Day, None));
    assert_eq!((nobody.points, nobody.uplinks), (Some(Vec::new()), None));
}

#[test]
fn fewer_points_are_of_longer_times() {
    let folder = tempfile::tempdir().unwrap();
    let mut keeper = opened(folder.path().join("trends.db"));
    carry(&mut keeper, 0..=3_650);
    let points = |keeper: &mut Quiet, most| {
        let report = keeper.history(NOW + 3_650, &asked(Some("dsl1"), Span::Hour, most));
        (report.step_seconds, report.points.unwrap())
    };
    let (step, all) = points(&mut keeper, None);
    assert_eq!((step, all.len()), (1, 3_599));
    for most in [0, 10, 100, 600, 3_600, 1 << 40] {
        let (step, fewer) = points(&mut keeper, Some(most));
        assert!(fewer.len() as u64 <= most.max(10), "{most}: {} points of {step} s", fewer.len());
        assert!(fewer.iter().all(|point| point.in_bps == 1_000_000 && point.time % step == 0));
    }
}

#[test]
fn disk_that_cannot_be_written_stops_nothing_and_what_waits_is_kept_later() {
    let folder = tempfile::tempdir().unwrap();
    // A file where the directory should be: nobody can write there, root neither.
    let state_dir = folder.path().join("state");
    fs::write(&state_dir, "").unwrap();
    let path = state_dir.join("trends.db");
    let mut keeper = opened(path.clone());
    carry(&mut keeper, 0..=100);
    let points = |keeper: &mut Quiet| keeper.history(NOW + 200, &asked(Some("dsl1"), Span::Hour, None)).points.unwrap();
    assert_eq!((points(&mut keeper).len(), keeper.health), (100, Health::Losing));
    fs::remove_file(&state_dir).unwrap();
    carry(&mut keeper, 101..=200);
    assert_eq!((points(&mut keeper).len(), keeper.health), (200, Health::Keeping));
    keeper.write();
    assert_eq!(points(&mut opened(path)).len(), 200);
}

#[test]
fn days_are_named_as_the_calendar_has_them() {
    assert_eq!((date(0), date(20_783)), ("1970-01-01".to_owned(), "2026-11-26".to_owned()));
    let mut keeper = opened(tempfile::tempdir().unwrap().path().join("trends.db"));
    assert_eq!(keeper.host_days(0, 30_000), HostDaysReport::default());
}
