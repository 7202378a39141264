//! Times as people and programs write them.

/// Milliseconds of a day.
const DAY: u64 = 86_400_000;
/// Days of 400 years, after which the calendar repeats.
const ERA: u64 = 146_097;
/// Days from the first of March of the year 0 to the first day of 1970.
const BEFORE_1970: u64 = 719_468;

/// Milliseconds since 1970 as RFC 3339 has them, in UTC: `2026-11-25T14:52:11.250Z`.
#[must_use]
pub fn rfc3339(milliseconds: u64) -> String {
    let (year, month, day) = date(milliseconds / DAY);
    let rest = milliseconds % DAY;
    let (hour, minute, second) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1_000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", rest % 1_000)
}

/// Year, month and day of a day counted from 1970. Years are taken to start in March here: the leap day is their last.
fn date(days_since_1970: u64) -> (u64, u64, u64) {
    let days = days_since_1970 + BEFORE_1970;
    let (era, day_of_era) = (days / ERA, days % ERA);
    let leap_days = day_of_era / 1_460 + day_of_era / 146_096;
    let year_of_era = (day_of_era + day_of_era / 36_524 - leap_days) / 365;
    let day_of_year = day_of_era + year_of_era / 100 - 365 * year_of_era - year_of_era / 4;
    // From March on, five months have 153 days.
    let months_since_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * months_since_march + 2) / 5 + 1;
    let (month, next_year) =
        if months_since_march < 10 { (months_since_march + 3, 0) } else { (months_since_march - 9, 1) };
    (era * 400 + year_of_era + next_year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_calendar_has_them() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (951_868_800, "2000-03-01T00:00:00.000Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339(seconds * 1_000), text);
        }
        assert_eq!(rfc3339(1_234), "1970-01-01T00:00:01.234Z");
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut before = date(0);
        for day in 1..200_000 {
            let now = date(day);
            let (year, month, day) = before;
            assert!(
                now == (year, month, day + 1) || now == (year, month + 1, 1) || now == (year + 1, 1, 1),
                "{before:?} {now:?}"
            );
            before = now;
        }
    }
}
