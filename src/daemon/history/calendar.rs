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

/// Milliseconds since 1970 of a time that [`rfc3339`] has written.
#[must_use]
pub fn milliseconds(text: &str) -> Option<u64> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<u64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second, rest) = (number(11..13)?, number(14..16)?, number(17..19)?, number(20..23)?);
    let days = days_since_1970(year, month, day)?;
    Some(days.checked_mul(DAY)? + hour * 3_600_000 + minute * 60_000 + second * 1_000 + rest)
}

/// The day counted from 1970, of a date from then on. Years start in March here, as in [`date`].
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    let (year, months_since_march) =
        if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month.checked_add(9)?) };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * months_since_march + 2) / 5 + day.checked_sub(1)?;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * ERA + day_of_era).checked_sub(BEFORE_1970)
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
            assert_eq!((rfc3339(seconds * 1_000).as_str(), milliseconds(text)), (text, Some(seconds * 1_000)));
        }
        for text in ["", "yesterday", "1969-12-31T00:00:00.000Z", "2026-11-00T00:00:00.000Z", "2026-11-26"] {
            assert_eq!(milliseconds(text), None, "{text}");
        }
        assert_eq!(rfc3339(1_234), "1970-01-01T00:00:01.234Z");
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut before = date(0);
        for day in 1..200_000 {
            let now = date(day);
            assert_eq!(days_since_1970(now.0, now.1, now.2), Some(day));
            let (year, month, day) = before;
            assert!(
                now == (year, month, day + 1) || now == (year, month + 1, 1) || now == (year + 1, 1, 1),
                "{before:?} {now:?}"
            );
            before = now;
        }
    }
}
