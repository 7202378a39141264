//! `potato hosts`: who uses how much, and by which lines.

use std::cmp::Reverse;
use std::path::Path;

use super::table::{Align, Table};
use super::{CommandError, Format, answer, client, in_json, units};
use crate::daemon::report::{HostReport, HostsReport};

/// What comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Sort {
    /// Who is the fastest now
    #[default]
    Rate,
    /// Who has moved the most since the router was started
    Bytes,
    /// Who has the most connections now
    Flows,
}

impl Sort {
    /// What a host is compared by.
    pub(super) fn key(self, host: &HostReport) -> u64 {
        match self {
            Self::Rate => host.out.bits_per_second + host.back.bits_per_second,
            Self::Bytes => host.out.bytes + host.back.bytes,
            Self::Flows => host.sessions.into(),
        }
    }

    /// The next one, all in turn.
    pub(super) const fn next(self) -> Self {
        match self {
            Self::Rate => Self::Bytes,
            Self::Bytes => Self::Flows,
            Self::Flows => Self::Rate,
        }
    }

    /// As it is written.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Bytes => "bytes",
            Self::Flows => "flows",
        }
    }
}

/// Asks the router of `run_dir`, which takes a second to see how fast everybody is.
pub(super) fn run(run_dir: &Path, format: Format, sort: Sort) -> Result<(), CommandError> {
    let mut found: HostsReport = client::ask(run_dir, "/v1/hosts")?;
    sorted(&mut found.hosts, sort);
    match format {
        Format::Json => answer(&in_json(&found)?),
        Format::Table => answer(&drawn(&found).to_string()),
    }
}

/// The first by `sort` first; equals by their addresses.
pub(super) fn sorted(hosts: &mut [HostReport], sort: Sort) {
    hosts.sort_by_key(|host| (Reverse(sort.key(host)), host.address));
}

fn drawn(found: &HostsReport) -> Table {
    let mut table = Table::new(&[
        ("HOST", Align::Left),
        ("NAME", Align::Left),
        ("OUT", Align::Right),
        ("IN", Align::Right),
        ("SENT", Align::Right),
        ("RECEIVED", Align::Right),
        ("SESSIONS", Align::Right),
        ("PORTS", Align::Right),
        ("FLOWS", Align::Right),
        ("REFUSED", Align::Right),
        ("LINES", Align::Left),
    ]);
    let others = Some(&found.others).filter(|others| others.flows > 0);
    for host in found.hosts.iter().chain(others) {
        table.row(vec![
            host.address.map_or_else(|| "others".to_owned(), |address| address.to_string()),
            host.name.clone().unwrap_or_else(|| "-".to_owned()),
            units::rate(host.out.bits_per_second),
            units::rate(host.back.bits_per_second),
            units::bytes(host.out.bytes),
            units::bytes(host.back.bytes),
            units::count(host.sessions.into()),
            units::count(host.ports.into()),
            units::count(host.flows),
            units::count(host.refused.values().sum()),
            lines(host),
        ]);
    }
    table
}

/// The lines that a host has flows on, with how many: `dsl1 12, dsl3 4`.
pub(super) fn lines(host: &HostReport) -> String {
    let mut lines: Vec<(&str, u64)> = Vec::new();
    for line in host.lines.iter().filter(|line| line.sessions > 0) {
        match lines.iter_mut().find(|(name, _)| *name == line.uplink) {
            Some((_, sessions)) => *sessions += line.sessions,
            None => lines.push((&line.uplink, line.sessions)),
        }
    }
    if lines.is_empty() {
        return "-".to_owned();
    }
    let text: Vec<_> = lines.iter().map(|(name, sessions)| format!("{name} {}", units::count(*sessions))).collect();
    text.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::report::{HostLineReport, UsageReport};

    fn host(last: u8, (rate, bytes, sessions): (u64, u64, u32)) -> HostReport {
        let line = |uplink: &str, class: &str, sessions| HostLineReport {
            uplink: uplink.to_owned(),
            class: class.to_owned(),
            sessions,
            ..HostLineReport::default()
        };
        HostReport {
            address: Some([192, 168, 10, last].into()),
            sessions,
            flows: 1_234,
            back: UsageReport { bytes, bits_per_second: rate },
            lines: vec![line("dsl1", "bulk", 3), line("dsl2", "bulk", 0), line("dsl1", "isolated", 1)],
            ..HostReport::default()
        }
    }

    #[test]
    fn hosts_are_in_the_order_that_is_asked_for() {
        let hosts = [host(20, (5, 900, 1)), host(21, (7, 100, 2)), host(22, (7, 50, 9))];
        let order = |sort| {
            let mut hosts = hosts.clone();
            sorted(&mut hosts, sort);
            hosts.map(|host| host.address.unwrap().octets()[3])
        };
        assert_eq!(order(Sort::Rate), [21, 22, 20]);
        assert_eq!(order(Sort::Bytes), [20, 21, 22]);
        assert_eq!(order(Sort::Flows), [22, 21, 20]);
        assert_eq!(Sort::Rate.next().next().next(), Sort::Rate);
    }

    #[test]
    fn table_shows_the_lines_of_each_host() {
        let found = HostsReport { hosts: vec![host(20, (20_000_000, 3_000_000, 4))], ..HostsReport::default() };
        let text = drawn(&found).to_string();
        assert!(text.lines().nth(1).unwrap().ends_with("4      0  1,234        0  dsl1 4"), "{text}");
        assert!(text.contains("20 Mbit/s") && !text.contains("others"), "{text}");
    }
}
