//! `[[reserve]]`: lines that some hosts have for themselves.

use super::error::Mistake;
use super::host::{self, HostIdentity};
use super::section::{Section, Value, list, text};
use super::values::{self, UplinkName};
use super::{Lan, Uplink};
use crate::placement::Fallback;

/// Keys of the section.
pub(super) const KEYS: [&str; 5] = ["uplink", "hosts", "from", "until", "when_down"];

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// `[[reserve]]`: a line for some hosts only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// The line.
    pub uplink: UplinkName,
    /// The hosts.
    pub hosts: Vec<HostIdentity>,
    /// When it holds, each day; `None`: always.
    pub hours: Option<Hours>,
    /// What the hosts do while the line does not work.
    pub when_down: Fallback,
}

/// A part of every day, by the router's clock and time zone. It may go over midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    /// Its first minute.
    pub from: TimeOfDay,
    /// The minute after its last; another than `from`.
    pub until: TimeOfDay,
}

impl Hours {
    /// Whether this minute of the day is in it.
    #[must_use]
    pub fn contains(self, minute: u16) -> bool {
        let since = |start: TimeOfDay, at: u16| (at + DAY - start.minute_of_day()) % DAY;
        since(self.from, minute) < since(self.from, self.until.minute_of_day())
    }
}

/// A time of day on the router's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeOfDay {
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
}

impl TimeOfDay {
    /// The time in a text such as "18:00".
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let two_digits =
            |text: &str| (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok());
        let (hour, minute) = text.split_once(':')?;
        let (hour, minute) = (two_digits(hour)??, two_digits(minute)??);
        (hour < 24 && minute < 60).then_some(Self { hour, minute })
    }

    /// Minutes since midnight.
    #[must_use]
    pub fn minute_of_day(self) -> u16 {
        u16::from(self.hour) * 60 + u16::from(self.minute)
    }
}

/// Reads a `[[reserve]]`.
pub(super) fn reservation(section: &Section<'_, '_>, uplinks: &[Uplink], lan: &Lan) -> Result<Reservation, Mistake> {
    Ok(Reservation {
        uplink: section.required("uplink", "\"dsl3\"", |value| values::known_uplink(value, uplinks))?,
        hosts: section.required("hosts", "[\"192.168.10.50\"]", |value| list(value, |value| host::host(value, lan)))?,
        hours: hours(section)?,
        when_down: section.optional("when_down", when_down)?.unwrap_or(Fallback::Pool),
    })
}

fn hours(section: &Section<'_, '_>) -> Result<Option<Hours>, Mistake> {
    let (from, until) = (section.optional("from", time_of_day)?, section.optional("until", time_of_day)?);
    if from.is_none() && until.is_none() {
        return Ok(None);
    }
    // Of one that is not there, midnight.
    let hours = Hours { from: from.unwrap_or_default(), until: until.unwrap_or_default() };
    if hours.from == hours.until {
        let key = if until.is_some() { "until" } else { "from" };
        let right = "another time than the other one (which is midnight if it is not there), or neither `from` nor `until`: \
                     then it holds always";
        return Err(Mistake::new(section.place(key), "it would end when it begins", right).of_key(key));
    }
    Ok(Some(hours))
}

fn when_down(value: &Value<'_>) -> Result<Fallback, Mistake> {
    values::word(value, &[("pool", Fallback::Pool), ("refuse", Fallback::Refuse)])
}

fn time_of_day(value: &Value<'_>) -> Result<TimeOfDay, Mistake> {
    let right = "hour and minute in quotes, as in \"18:00\"";
    let given = text(value).map_err(|mistake| Mistake { right: right.to_owned(), ..mistake })?;
    TimeOfDay::parse(given)
        .ok_or_else(|| Mistake::new(value.span(), format!("\"{}\" is not a time of day", given.escape_debug()), right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_begin_and_end_each_day_also_over_midnight() {
        let hours = |from, until| {
            let of = |text| TimeOfDay::parse(text).unwrap();
            Hours { from: of(from), until: of(until) }
        };
        let at = |hours: Hours, times: [&str; 4]| {
            times.map(|time| hours.contains(TimeOfDay::parse(time).unwrap().minute_of_day()))
        };
        let day = hours("08:00", "18:00");
        assert_eq!(at(day, ["07:59", "08:00", "17:59", "18:00"]), [false, true, true, false]);
        let night = hours("22:00", "06:00");
        assert_eq!(at(night, ["21:59", "22:00", "05:59", "06:00"]), [false, true, true, false]);
        let morning = hours("00:00", "12:30");
        assert_eq!(at(morning, ["00:00", "12:29", "12:30", "23:59"]), [true, true, false, false]);
        let evening = hours("12:30", "00:00");
        assert_eq!(at(evening, ["00:00", "12:29", "12:30", "23:59"]), [false, false, true, true]);
    }
}
