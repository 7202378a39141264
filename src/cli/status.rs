//! `potato status`: how the router and its lines are.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::table::{Align, Table};
use super::{CommandError, Format, answer, client, in_json, units};
use crate::daemon::report::{HealthReport, StatusReport, UplinkReport, WhenDown};

/// Asks the router of `run_dir`.
pub(super) fn run(run_dir: &Path, format: Format) -> Result<(), CommandError> {
    let status: StatusReport = client::ask(run_dir, "/v1/status")?;
    match format {
        Format::Json => answer(&in_json(&status)?),
        Format::Table => answer(&drawn(&status)),
    }
}

fn drawn(status: &StatusReport) -> String {
    let mut text = String::new();
    let engine = &status.engine;
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(
        text,
        "Potato {}, pid {}, up {}, {} worker{}",
        status.version,
        status.pid,
        units::seconds(status.uptime_seconds),
        status.workers,
        if status.workers == 1 { "" } else { "s" }
    );
    for lan in &status.lans {
        let capture = lan.capture.as_deref().map(|capture| format!(", capture {capture}")).unwrap_or_default();
        let address = lan.address.map_or("no address".to_owned(), |address| address.to_string());
        let _ = writeln!(text, "LAN {}: {}, {address}{capture}", lan.interface, lan.state);
    }
    let _ = writeln!(
        text,
        "{} flows now, {} in the shortcut, {} since the start; {} packets in {} batches (mean {:.1}), {} handed over\n",
        units::count(engine.flows),
        units::count(engine.shortcut_flows),
        units::count(engine.flows_created),
        units::count(engine.received),
        units::count(engine.batches),
        engine.mean_batch,
        units::count(engine.handed_over)
    );
    if !status.rules.is_empty() {
        let _ = writeln!(text, "Rules: {}\n", status.rules.join(", "));
    }
    let _ = write!(text, "{}", lines(&status.uplinks));
    for uplink in &status.uplinks {
        if let Some(problem) = &uplink.problem {
            let _ = writeln!(text, "\n{}: {problem}", uplink.name);
        }
        if let Some(by) = &uplink.taken_down_by {
            let name = &uplink.name;
            let _ = writeln!(text, "\n{name}: taken down by hand ({by}); `potato link up {name}` puts it back");
        }
    }
    for UplinkReport { name, role, role_set_by, role_configured, .. } in &status.uplinks {
        if let Some(by) = role_set_by {
            let _ = writeln!(
                text,
                "\n{name}: {role} by hand ({by}); `potato role {name} configured` makes it {role_configured} again"
            );
        }
    }
    if status.uplinks.iter().any(|uplink| !uplink.reserved.is_empty()) {
        let _ = write!(text, "\n{}", reservations(&status.uplinks));
    }
    let dropped: Vec<_> = std::iter::once(("from the LAN", &engine.drops))
        .chain(status.uplinks.iter().map(|uplink| (uplink.name.as_str(), &uplink.drops)))
        .filter(|(_, drops)| !drops.is_empty())
        .collect();
    if !dropped.is_empty() {
        let mut table = Table::new(&[("DROPPED", Align::Left), ("REASON", Align::Left), ("PACKETS", Align::Right)]);
        for (place, drops) in dropped {
            for (reason, packets) in drops {
                table.row(vec![place.to_owned(), reason.clone(), units::count(*packets)]);
            }
        }
        let _ = write!(text, "\n{table}");
    }
    text
}

fn lines(uplinks: &[UplinkReport]) -> Table {
    let mut table = Table::new(&[
        ("UPLINK", Align::Left),
        ("INTERFACE", Align::Left),
        ("STATE", Align::Left),
        ("ROLE", Align::Left),
        ("ADDRESS", Align::Left),
        ("GATEWAY", Align::Left),
        ("RTT", Align::Right),
        ("LOSS", Align::Right),
        ("RESENT", Align::Right),
        ("WEIGHT", Align::Right),
        ("FLOWS", Align::Right),
        ("OUT", Align::Right),
        ("IN", Align::Right),
        ("SENT", Align::Right),
        ("RECEIVED", Align::Right),
        ("DROPPED", Align::Right),
    ]);
    for uplink in uplinks {
        table.row(vec![
            uplink.name.clone(),
            uplink.interface.clone(),
            uplink.state.clone(),
            uplink.role.clone(),
            uplink.address.clone().unwrap_or_else(dash),
            uplink.gateway.clone().unwrap_or_else(dash),
            uplink.health.as_ref().map_or_else(dash, round_trip),
            uplink.health.as_ref().map_or_else(dash, loss),
            uplink.health.as_ref().map_or_else(dash, resent),
            uplink.weight.to_string(),
            units::count(uplink.flows),
            units::rate(uplink.out.bits_per_second),
            units::rate(uplink.back.bits_per_second),
            units::bytes(uplink.out.bytes),
            units::bytes(uplink.back.bytes),
            units::count(total(&uplink.drops)),
        ]);
    }
    table
}

fn reservations(uplinks: &[UplinkReport]) -> Table {
    let mut table = Table::new(&[
        ("RESERVED", Align::Left),
        ("FOR", Align::Left),
        ("ADDRESS", Align::Left),
        ("UNTIL", Align::Left),
        ("WHILE DOWN", Align::Left),
        ("BY", Align::Left),
    ]);
    for uplink in uplinks {
        for reserved in &uplink.reserved {
            let (host, name) = (&reserved.host, reserved.name.as_ref().filter(|name| **name != reserved.host));
            let addresses: Vec<_> = reserved.addresses.iter().map(ToString::to_string).collect();
            table.row(vec![
                uplink.name.clone(),
                name.map_or_else(|| host.clone(), |name| format!("{host} ({name})")),
                if addresses.is_empty() { "not known yet".to_owned() } else { addresses.join(", ") },
                reserved.until.as_deref().map_or_else(|| "released".to_owned(), units::time),
                match reserved.when_down {
                    WhenDown::Pool => "pool".to_owned(),
                    WhenDown::Refuse => "refuse".to_owned(),
                },
                reserved.by.clone(),
            ]);
        }
    }
    table
}

fn dash() -> String {
    "-".to_owned()
}

fn round_trip(health: &HealthReport) -> String {
    health.round_trip_ms.map_or_else(dash, |span| format!("{} ms", span.median))
}

/// The share of their data that hosts have sent again in the last minute.
fn resent(health: &HealthReport) -> String {
    health.retransmitted_1m_percent.map_or_else(dash, |percent| format!("{percent} %"))
}

/// The loss of the last quarter of a minute, with an arrow where it becomes more or less.
fn loss(health: &HealthReport) -> String {
    let arrow = match health.trend.as_deref() {
        Some("rising") => " ↑",
        Some("falling") => " ↓",
        _ => "",
    };
    health.loss_15s_percent.map_or_else(dash, |percent| format!("{percent} %{arrow}"))
}

fn total(drops: &BTreeMap<String, u64>) -> u64 {
    drops.values().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::report::{LanReport, ReservedReport, SpanReport, TrafficReport};

    #[test]
    fn status_is_drawn_with_its_drops() {
        let status = StatusReport {
            version: "0.1.0".to_owned(),
            pid: 7,
            uptime_seconds: 61,
            workers: 2,
            lans: vec![LanReport { interface: "lan0".to_owned(), state: "missing".to_owned(), ..LanReport::default() }],
            uplinks: vec![UplinkReport {
                name: "dsl1".to_owned(),
                state: "up".to_owned(),
                problem: Some("lease refused".to_owned()),
                taken_down_by: Some("uid 0, pid 7".to_owned()),
                role: "standby".to_owned(),
                role_configured: "balanced".to_owned(),
                role_set_by: Some("anna".to_owned()),
                health: Some(HealthReport {
                    loss_15s_percent: Some(12),
                    trend: Some("rising".to_owned()),
                    round_trip_ms: Some(SpanReport { median: 23, p99: 60 }),
                    ..HealthReport::default()
                }),
                out: TrafficReport { packets: 1, bytes: 2_048, bits_per_second: 16_000 },
                reserved: vec![ReservedReport {
                    host: "192.168.10.50".to_owned(),
                    name: Some("laptop".to_owned()),
                    addresses: vec![std::net::Ipv4Addr::new(192, 168, 10, 50)],
                    until: Some("2026-11-26T18:00:00+01:00".to_owned()),
                    by: "uid 0, pid 7".to_owned(),
                    ..ReservedReport::default()
                }],
                drops: BTreeMap::from([("no_mapping".to_owned(), 1_500)]),
                ..UplinkReport::default()
            }],
            ..StatusReport::default()
        };
        let text = drawn(&status);
        assert!(
            text.starts_with("Potato 0.1.0, pid 7, up 1m 1s, 2 workers\nLAN lan0: missing, no address\n"),
            "{text}"
        );
        assert!(text.contains("23 ms  12 % ↑"), "{text}");
        assert!(text.contains("16 kbit/s") && text.contains("2.0 KiB"), "{text}");
        assert!(text.contains("\ndsl1: lease refused\n"), "{text}");
        let by = "\ndsl1: taken down by hand (uid 0, pid 7); `potato link up dsl1` puts it back\n";
        assert!(text.contains(by), "{text}");
        let role = "\ndsl1: standby by hand (anna); `potato role dsl1 configured` makes it balanced again\n";
        assert!(text.contains(role), "{text}");
        let reserved =
            "\ndsl1      192.168.10.50 (laptop)  192.168.10.50  2026-11-26 18:00  pool        uid 0, pid 7\n";
        assert!(text.contains(reserved), "{text}");
        assert!(text.ends_with("dsl1     no_mapping    1,500\n"), "{text}");
    }
}
