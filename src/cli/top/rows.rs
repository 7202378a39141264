//! What the panes of `potato top` list: reports in, rows of text out.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::Duration;

use super::super::table::Align;
use super::super::{hosts, units};
use crate::daemon::report::{FlowReport, HostsReport, StatusReport, UplinkReport};

/// A column: title, side, characters. The one of 0 has what is left.
pub(super) type Column = (&'static str, Align, u16);

/// A row, and what names it whatever its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) cells: Vec<String>,
    /// Something is wrong with it.
    pub(super) is_bad: bool,
}

pub(super) const LINES: &[Column] = &[
    ("LINE", Align::Left, 0),
    ("STATE", Align::Left, 10),
    ("OUT", Align::Right, 10),
    ("IN", Align::Right, 10),
    ("FLOWS", Align::Right, 7),
    ("LOSS", Align::Right, 5),
    ("RTT", Align::Right, 7),
    ("DROPPED", Align::Right, 9),
];
pub(super) const HOSTS: &[Column] = &[
    ("HOST", Align::Left, 15),
    ("NAME", Align::Left, 10),
    ("OUT", Align::Right, 10),
    ("IN", Align::Right, 10),
    ("BYTES", Align::Right, 8),
    ("FLOWS", Align::Right, 6),
    ("LINES", Align::Left, 0),
];
pub(super) const FLOWS: &[Column] = &[
    ("", Align::Left, 4),
    ("HOST", Align::Left, 21),
    ("REMOTE", Align::Left, 21),
    ("LINE", Align::Left, 0),
    ("RATE", Align::Right, 10),
    ("BYTES", Align::Right, 8),
];

/// What comes first among lines.
pub(super) const LINE_SORTS: [&str; 3] = ["name", "rate", "flows"];
/// What comes first among flows.
pub(super) const FLOW_SORTS: [&str; 3] = ["rate", "bytes", "age"];

/// The lines, in the order of the configuration if they are sorted by `name`.
pub(super) fn lines(status: &StatusReport, sort: usize) -> Vec<Row> {
    let mut uplinks: Vec<&UplinkReport> = status.uplinks.iter().collect();
    match LINE_SORTS[sort] {
        "rate" => uplinks.sort_by_key(|uplink| Reverse(uplink.out.bits_per_second + uplink.back.bits_per_second)),
        "flows" => uplinks.sort_by_key(|uplink| Reverse(uplink.flows)),
        _ => {}
    }
    uplinks.into_iter().map(line).collect()
}

fn line(uplink: &UplinkReport) -> Row {
    let health = uplink.health.as_ref();
    let loss = health.and_then(|health| health.loss_15s_percent);
    let round_trip =
        health.and_then(|health| health.round_trip_ms.map(|span| span.median).or(health.last_round_trip_ms));
    Row {
        id: uplink.name.clone(),
        cells: vec![
            uplink.name.clone(),
            uplink.state.clone(),
            units::rate(uplink.out.bits_per_second),
            units::rate(uplink.back.bits_per_second),
            units::count(uplink.flows),
            loss.map_or_else(dash, |percent| format!("{percent}%")),
            round_trip.map_or_else(dash, |milliseconds| format!("{milliseconds} ms")),
            units::count(uplink.drops.values().sum()),
        ],
        is_bad: !matches!(uplink.state.as_str(), "up" | "standby"),
    }
}

/// The hosts that have an account.
pub(super) fn hosts(found: &HostsReport, sort: hosts::Sort) -> Vec<Row> {
    let mut list = found.hosts.clone();
    hosts::sorted(&mut list, sort);
    let row = |host: &crate::daemon::report::HostReport| {
        let address = host.address.map_or_else(dash, |address| address.to_string());
        Row {
            id: address.clone(),
            cells: vec![
                address,
                host.name.clone().unwrap_or_else(dash),
                units::rate(host.out.bits_per_second),
                units::rate(host.back.bits_per_second),
                units::bytes(host.out.bytes + host.back.bytes),
                units::count(host.sessions.into()),
                hosts::lines(host),
            ],
            is_bad: false,
        }
    };
    list.iter().map(row).collect()
}

/// The flows of one look, and how fast each is since the look before.
#[derive(Debug, Default)]
pub(super) struct Flows {
    at: Duration,
    flows: Vec<(FlowReport, u64)>,
    bytes: HashMap<String, u64>,
}

impl Flows {
    /// Takes in what there is at `at`.
    pub(super) fn look(&mut self, at: Duration, flows: Vec<FlowReport>) {
        let span = at.saturating_sub(self.at).as_millis().max(1);
        let mut bytes = HashMap::new();
        let known = std::mem::take(&mut self.bytes);
        let rated = |flow: FlowReport| {
            let now = flow.out.bytes + flow.back.bytes;
            let id = id(&flow);
            let before = known.get(&id).copied().unwrap_or(now);
            bytes.insert(id, now);
            let bits = u128::from(now.saturating_sub(before)) * 8 * 1_000 / span;
            (flow, u64::try_from(bits).unwrap_or(u64::MAX))
        };
        self.flows = flows.into_iter().map(rated).collect();
        (self.at, self.bytes) = (at, bytes);
    }

    /// The first by `sort`, at most `most`.
    pub(super) fn rows(&self, sort: usize, most: usize) -> Vec<Row> {
        let mut flows: Vec<&(FlowReport, u64)> = self.flows.iter().collect();
        let total = |flow: &FlowReport| flow.out.bytes + flow.back.bytes;
        match FLOW_SORTS[sort] {
            "age" => flows.sort_by_key(|(flow, _)| Reverse(flow.age_seconds)),
            "bytes" => flows.sort_by_key(|(flow, _)| Reverse(total(flow))),
            _ => flows.sort_by_key(|(flow, rate)| (Reverse(*rate), Reverse(total(flow)))),
        }
        let row = |(flow, rate): &&(FlowReport, u64)| Row {
            id: id(flow),
            cells: vec![
                flow.protocol.clone(),
                flow.host.clone(),
                flow.remote.clone(),
                flow.uplink.clone(),
                units::rate(*rate),
                units::bytes(total(flow)),
            ],
            is_bad: false,
        };
        flows.iter().take(most).map(row).collect()
    }
}

fn id(flow: &FlowReport) -> String {
    format!("{} {} {}", flow.protocol, flow.host, flow.remote)
}

fn dash() -> String {
    "-".to_owned()
}
