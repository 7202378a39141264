//! Times of day on the router's clock: when one comes next, and how a time is written for people.
//!
//! Pure: times are seconds since 1970, and whoever asks says what local clocks show beyond UTC ([`crate::sys::clock::utc_offset`]).

use super::history::rfc3339;
use crate::config::TimeOfDay;

/// Seconds of a day.
const DAY: u64 = 86_400;

/// Seconds since 1970 as a local clock has them, as if it were UTC.
fn local(at: u64, offset: i64) -> u64 {
    at.saturating_add_signed(offset)
}

/// Minutes since the last midnight of a local clock.
#[must_use]
pub fn minute_of_day(now: u64, offset: i64) -> u16 {
    // Less than the minutes of a day.
    u16::try_from(local(now, offset) % DAY / 60).unwrap_or_default()
}

/// When local clocks next show a time of day: after `now`, and within a day or so. `offset_at` gives what they show beyond UTC at
/// a time. Of a time that a change of clocks leaves out, the moment that it would have been by the old time.
pub fn next(time: TimeOfDay, now: u64, offset_at: impl Fn(u64) -> i64) -> u64 {
    let midnight = local(now, offset_at(now)) / DAY * DAY;
    let on_day = |days: u64| {
        let shown = midnight + days * DAY + u64::from(time.minute_of_day()) * 60;
        // As by today's offset, and then by the one that holds by then.
        let by_old_time = shown.saturating_add_signed(-offset_at(now));
        let at = shown.saturating_add_signed(-offset_at(by_old_time));
        if local(at, offset_at(at)) == shown { at } else { by_old_time }
    };
    (0..=2).map(on_day).find(|at| *at > now).unwrap_or(now + DAY)
}

/// A time as RFC 3339 has it, as local clocks show it: `2026-11-26T18:00:00+01:00`.
#[must_use]
pub fn written(at: u64, offset: i64) -> String {
    let utc = rfc3339(local(at, offset).saturating_mul(1_000));
    let (sign, minutes) = (if offset < 0 { '-' } else { '+' }, offset.unsigned_abs() / 60);
    let seconds = utc.split('.').next().unwrap_or_default();
    format!("{seconds}{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

/// A time for people: `2026-11-26 18:00`.
#[must_use]
pub fn shown(at: u64, offset: i64) -> String {
    let written = written(at, offset);
    written.get(..16).unwrap_or(&written).replace('T', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-26 14:31:16 UTC.
    const NOW: u64 = 1_795_703_476;
    const HOUR: i64 = 3_600;

    fn next_at(text: &str, now: u64, offset: i64) -> String {
        shown(next(TimeOfDay::parse(text).unwrap(), now, |_| offset), offset)
    }

    #[test]
    fn time_of_day_comes_today_or_tomorrow() {
        assert_eq!(written(NOW, 0), "2026-11-26T14:31:16+00:00");
        assert_eq!(written(NOW, HOUR), "2026-11-26T15:31:16+01:00");
        assert_eq!(written(NOW, -(9 * HOUR + 1_800)), "2026-11-26T05:01:16-09:30");
        assert_eq!(next_at("18:00", NOW, 0), "2026-11-26 18:00");
        assert_eq!(next_at("18:00", NOW, 5 * HOUR), "2026-11-27 18:00");
        assert_eq!(next_at("14:31", NOW, 0), "2026-11-27 14:31");
        assert_eq!(next_at("14:32", NOW, 0), "2026-11-26 14:32");
        assert_eq!(next_at("00:00", NOW, -HOUR), "2026-11-27 00:00");
        assert_eq!((minute_of_day(NOW, 0), minute_of_day(NOW, 10 * HOUR)), (14 * 60 + 31, 31));
    }

    #[test]
    fn clocks_may_be_set_before_it_comes() {
        // 2026-10-25 01:00 UTC: central Europe's clocks go back from 03:00 to 02:00.
        let change = 1_792_890_000;
        let offset_at = |at| if at < change { 2 * HOUR } else { HOUR };
        let at = next(TimeOfDay { hour: 18, minute: 0 }, change - 10_000, offset_at);
        assert_eq!(written(at, offset_at(at)), "2026-10-25T18:00:00+01:00");
        // And forward, over 02:30 in the morning: 2026-03-29 01:00 UTC.
        let change = 1_774_746_000;
        let offset_at = |at| if at < change { HOUR } else { 2 * HOUR };
        let at = next(TimeOfDay { hour: 2, minute: 30 }, change - 10_000, offset_at);
        assert_eq!(written(at, offset_at(at)), "2026-03-29T03:30:00+02:00");
    }
}
