//! `potato reserve` and `potato release`: a line for some hosts alone, and an end to that.

use std::path::Path;

use super::{CommandError, Format, order, units};
use crate::daemon::report::{ReleaseOrder, ReleaseReport, ReserveOrder, ReserveReport};

/// Tells the router of `run_dir` to reserve.
pub(super) fn reserve(run_dir: &Path, format: Format, order: &ReserveOrder) -> Result<(), CommandError> {
    order::give(run_dir, format, "/v1/reserve", order, |done: &ReserveReport| (reserved(order, done), &done.warnings))
}

/// Tells the router of `run_dir` to release.
pub(super) fn release(run_dir: &Path, format: Format, order: &ReleaseOrder) -> Result<(), CommandError> {
    order::give(run_dir, format, "/v1/release", order, |done: &ReleaseReport| (released(done), &done.warnings))
}

fn reserved(order: &ReserveOrder, done: &ReserveReport) -> String {
    let uplink = &done.uplink;
    let until = done
        .until
        .as_deref()
        .map_or_else(|| " until it is released".to_owned(), |at| format!(" until {}", units::time(at)));
    let mut text = format!("{uplink} is reserved for {}{until}\n", order.hosts.join(", "));
    if done.hosts.len() > order.hosts.len() {
        text += &format!("with them it is for {}\n", done.hosts.join(", "));
    }
    text += &match done.flows_of_others {
        Some(0) => String::new(),
        Some(1) => "1 connection of another host stays until it ends\n".to_owned(),
        Some(flows) => format!("{} connections of other hosts stay until they end\n", units::count(flows as u64)),
        None => "connections of other hosts stay until they end\n".to_owned(),
    };
    text
}

fn released(done: &ReleaseReport) -> String {
    let ReleaseReport { uplink, released, hosts, .. } = done;
    let left = hosts.join(", ");
    match (released.is_empty(), hosts.is_empty()) {
        (true, true) => format!("{uplink} was not reserved\n"),
        (true, false) => format!("{uplink} was not reserved for these; it is for {left}\n"),
        (false, true) => format!("{uplink} is released: new connections of all hosts get it again\n"),
        (false, false) => format!("{uplink} is released from {}; it stays reserved for {left}\n", released.join(", ")),
    }
}

/// Seconds of a span such as `90s`, `30m`, `2h` or `1d`.
pub(super) fn span(text: &str) -> Result<u64, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let unit = match &text[digits..] {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3_600),
        "d" => Some(86_400),
        _ => None,
    };
    let seconds = text[..digits].parse::<u64>().ok().zip(unit).and_then(|(number, unit)| number.checked_mul(unit));
    seconds
        .filter(|seconds| *seconds > 0)
        .ok_or_else(|| "write a whole number and a unit, as in 90s, 30m, 2h or 1d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn answer_says_for_whom_until_when_and_what_stays() {
        let order = ReserveOrder { uplink: "dsl3".to_owned(), hosts: names(&["laptop"]), ..ReserveOrder::default() };
        let done = |hosts: &[&str], until: Option<&str>, flows_of_others| ReserveReport {
            uplink: "dsl3".to_owned(),
            hosts: names(hosts),
            until: until.map(str::to_owned),
            flows_of_others,
            ..ReserveReport::default()
        };
        let said = |done| reserved(&order, &done);
        let until = Some("2026-11-26T18:00:00+01:00");
        assert_eq!(said(done(&["laptop"], None, Some(0))), "dsl3 is reserved for laptop until it is released\n");
        assert_eq!(
            said(done(&["192.168.10.50", "laptop"], until, Some(7))),
            "dsl3 is reserved for laptop until 2026-11-26 18:00\nwith them it is for 192.168.10.50, laptop\n\
             7 connections of other hosts stay until they end\n"
        );
        assert!(
            said(done(&["laptop"], until, Some(1))).ends_with("\n1 connection of another host stays until it ends\n")
        );
        assert!(said(done(&["laptop"], until, None)).ends_with("\nconnections of other hosts stay until they end\n"));
    }

    #[test]
    fn answer_says_what_is_left_of_reservations() {
        let said = |gone: &[&str], left: &[&str]| {
            let (released, hosts) = (names(gone), names(left));
            self::released(&ReleaseReport { uplink: "dsl3".to_owned(), released, hosts, warnings: Vec::new() })
        };
        assert_eq!(said(&[], &[]), "dsl3 was not reserved\n");
        assert_eq!(said(&[], &["laptop"]), "dsl3 was not reserved for these; it is for laptop\n");
        assert_eq!(said(&["laptop"], &[]), "dsl3 is released: new connections of all hosts get it again\n");
        assert_eq!(said(&["a", "b"], &["laptop"]), "dsl3 is released from a, b; it stays reserved for laptop\n");
    }

    #[test]
    fn spans_are_whole_numbers_with_units() {
        assert_eq!(["3s", "30m", "2h", "1d"].map(span), [3, 1_800, 7_200, 86_400].map(Ok));
        for wrong in ["", "2", "h", "0s", "-2h", "2 h", "1h30m", "99999999999999999999s", "99999999999999999d", "2ü"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }
}
