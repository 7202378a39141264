//! `potato events`: what has happened to the lines, and who has ordered what.

use std::path::Path;

use super::{CommandError, Format, answer, client, in_json};
use crate::daemon::report::{EventReport, EventsQuery, EventsReport};

/// Asks the router of `run_dir`; follows its events until it stops, if that is asked for.
pub(super) fn run(run_dir: &Path, format: Format, query: EventsQuery) -> Result<(), CommandError> {
    let path = path(query);
    if !query.follow {
        let found: EventsReport = client::ask(run_dir, &path)?;
        return match format {
            Format::Json => answer(&in_json(&found)?),
            Format::Table => answer(&found.events.iter().map(line).collect::<String>()),
        };
    }
    client::listen(run_dir, &path, |bytes| {
        let event: EventReport = serde_json::from_slice(bytes)?;
        match format {
            // An event a line, for those who read them as they come.
            Format::Json => answer(&(serde_json::to_string(&event)? + "\n")),
            Format::Table => answer(&line(&event)),
        }
    })
}

/// The path to ask for.
fn path(query: EventsQuery) -> String {
    let since = query.since.map_or_else(String::new, |since| format!("&since={since}"));
    format!("/v1/events?follow={}{since}", query.follow)
}

/// The event in a line, as people read it; one of another version as far as it is understood.
fn line(event: &EventReport) -> String {
    format!("{:>6}  {}  {}\n", event.id, event.time, event.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_told_a_line_each() {
        let of = |text: &str| Some(text.to_owned());
        let at = |id, event: &str| EventReport {
            id,
            time: "2026-11-25T14:52:11.250Z".to_owned(),
            event: event.to_owned(),
            ..EventReport::default()
        };
        let lost =
            EventReport { cause: of("carrier lost"), from: of("up"), to: of("no-carrier"), ..at(9, "uplink-changed") };
        let by = of("uid 0, pid 812");
        let events = [
            EventReport { to: of("0.1.0"), ..at(8, "router-started") },
            EventReport { uplink: of("dsl1"), ..lost },
            EventReport { uplink: of("dsl3"), to: of("down"), by: by.clone(), ..at(10, "link-ordered") },
            EventReport {
                uplink: of("dsl3"),
                from: of("up"),
                to: of("down"),
                cause: of("taken down by hand"),
                by: by.clone(),
                ..at(11, "uplink-changed")
            },
            EventReport {
                uplink: of("\u{1b}[2J"),
                to: of("up"),
                cause: of("no such uplink"),
                by,
                ..at(12, "link-ordered")
            },
            EventReport { uplink: of("dsl4"), cause: of("authentication refused: no"), ..at(12, "session-failed") },
            EventReport {
                by: of("192.168.10.66"),
                cause: of("has 16,384 sessions, the most that a host may have"),
                count: Some(2_311),
                ..at(12, "host-limited")
            },
            EventReport { cause: of("it is unchanged"), by: of("SIGHUP"), ..at(13, "reload-ordered") },
            EventReport { cause: of("dsl1 no-carrier, dsl2 lame"), ..at(13, "no-uplink") },
            EventReport { uplink: of("dsl2"), ..at(13, "uplink-back") },
            EventReport {
                uplink: of("dsl1"),
                cause: of("line lost: 12 connections reset, 3 flows moved"),
                count: Some(15),
                ..at(13, "flows-ended")
            },
            EventReport { to: of("dsl4"), from: of("dsl3"), cause: of("dsl3 is lame"), ..at(13, "isolated-moved") },
            EventReport { from: of("dsl4"), ..at(13, "isolated-moved") },
            EventReport { cause: of("192.168.10.30's tcp"), ..at(13, "isolated-bulky") },
            EventReport { to: of("bert"), cause: of("role viewer"), by: of("anna"), ..at(13, "user-added") },
            EventReport { count: Some(3), ..at(14, "events-lost") },
            EventReport { cause: of("signal"), ..at(15, "router-stopped") },
            EventReport { cause: of("file is not a database"), ..at(1_795_618_331, "log-begun") },
            EventReport {
                uplink: of("dsl1"),
                to: of("100.64.0.7/24"),
                cause: of("gateway 100.64.0.1"),
                by: of("server 100.64.0.1"),
                ..at(16, "lease-obtained")
            },
            EventReport {
                uplink: of("dsl3"),
                to: of("192.168.10.50, laptop"),
                cause: of("until 2026-11-25 18:00"),
                by: of("uid 0, pid 812"),
                ..at(17, "line-reserved")
            },
            EventReport {
                uplink: of("dsl3"),
                to: of("laptop"),
                cause: of("its time is over"),
                by: of("uid 0, pid 812"),
                ..at(18, "reservation-ended")
            },
            at(1_795_618_332, "of-tomorrow"),
        ];
        let expected = "     8  2026-11-25T14:52:11.250Z  router 0.1.0 started
     9  2026-11-25T14:52:11.250Z  dsl1: up -> no-carrier: carrier lost
    10  2026-11-25T14:52:11.250Z  link down dsl3 ordered (by uid 0, pid 812)
    11  2026-11-25T14:52:11.250Z  dsl3: up -> down: taken down by hand (by uid 0, pid 812)
    12  2026-11-25T14:52:11.250Z  link up  [2J ordered: no such uplink (by uid 0, pid 812)
    12  2026-11-25T14:52:11.250Z  dsl4: no session: authentication refused: no
    12  2026-11-25T14:52:11.250Z  192.168.10.66 has 16,384 sessions, the most that a host may have: 2,311 connections refused
    13  2026-11-25T14:52:11.250Z  configuration ordered to be read again: it is unchanged (by SIGHUP)
    13  2026-11-25T14:52:11.250Z  no uplink works: dsl1 no-carrier, dsl2 lame
    13  2026-11-25T14:52:11.250Z  dsl2 works again
    13  2026-11-25T14:52:11.250Z  flows of dsl1 ended: line lost: 12 connections reset, 3 flows moved
    13  2026-11-25T14:52:11.250Z  dsl4 is for urgent traffic now: dsl3 is lame
    13  2026-11-25T14:52:11.250Z  dsl4 is for urgent traffic no more
    13  2026-11-25T14:52:11.250Z  urgent traffic is bulk: 192.168.10.30's tcp
    13  2026-11-25T14:52:11.250Z  user bert added: role viewer (by anna)
    14  2026-11-25T14:52:11.250Z  3 events could not be kept
    15  2026-11-25T14:52:11.250Z  router stopped: signal
1795618331  2026-11-25T14:52:11.250Z  event log begun anew: file is not a database
    16  2026-11-25T14:52:11.250Z  dsl1: lease of 100.64.0.7/24 obtained: gateway 100.64.0.1 (by server 100.64.0.1)
    17  2026-11-25T14:52:11.250Z  dsl3 reserved for 192.168.10.50, laptop: until 2026-11-25 18:00 (by uid 0, pid 812)
    18  2026-11-25T14:52:11.250Z  reservation of dsl3 for laptop ended: its time is over (by uid 0, pid 812)
1795618332  2026-11-25T14:52:11.250Z  of-tomorrow
";
        assert_eq!(events.iter().map(line).collect::<String>(), expected);
    }

    #[test]
    fn only_what_is_set_is_asked_for() {
        assert_eq!(path(EventsQuery::default()), "/v1/events?follow=false");
        assert_eq!(path(EventsQuery { since: Some(7), follow: true }), "/v1/events?follow=true&since=7");
    }
}
