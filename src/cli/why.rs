//! `potato why`: why a connection has the line that it has.

use std::fmt::Write as _;
use std::net::SocketAddrV4;
use std::path::Path;

use super::table::{Align, Table};
use super::{CommandError, Format, answer, client, complain, in_json, units};
use crate::daemon::report::{CandidateReport, FlowReport, FlowsReport, WhyQuery};

/// Reads a far end as `potato flows` shows it: with the protocol behind it, or without.
pub(super) fn remote(text: &str) -> Result<(SocketAddrV4, Option<String>), String> {
    let (endpoint, protocol) = text.split_once('/').map_or((text, None), |(before, after)| (before, Some(after)));
    let endpoint = endpoint.parse().map_err(|_| "not ADDRESS:PORT or ADDRESS:PORT/PROTOCOL".to_owned())?;
    match protocol {
        None | Some("tcp" | "udp" | "icmp") => Ok((endpoint, protocol.map(str::to_owned))),
        Some(other) => Err(format!("unknown protocol `{other}`; one of icmp, tcp, udp")),
    }
}

/// Asks the router of `run_dir`.
pub(super) fn run(run_dir: &Path, format: Format, query: &WhyQuery) -> Result<(), CommandError> {
    let found: FlowsReport = client::ask(run_dir, &path(query))?;
    if format == Format::Json {
        return answer(&in_json(&found)?);
    }
    if found.flows.is_empty() {
        return Err(CommandError::NoSuchFlow(query.host));
    }
    let told: Vec<_> = found.flows.iter().map(told).collect();
    answer(&told.join("\n"))?;
    if found.limited {
        complain("there are more; name the far end, too");
    }
    Ok(())
}

/// The path to ask for. The values need no escaping: addresses, numbers and a word.
fn path(query: &WhyQuery) -> String {
    let remote = query.remote.map(|remote| format!("&remote={remote}")).unwrap_or_default();
    let protocol = query.protocol.as_ref().map(|protocol| format!("&protocol={protocol}")).unwrap_or_default();
    format!("/v1/why?host={}{remote}{protocol}", query.host)
}

fn told(flow: &FlowReport) -> String {
    let mut text = format!("{} {} to {} is on {}\n", flow.protocol, flow.host, flow.remote, flow.uplink);
    let rule = flow.rule.as_ref().map_or_else(|| "no rule matched".to_owned(), |rule| format!("by rule \"{rule}\""));
    let _ = writeln!(text, "  class:  {}, {rule}", flow.class);
    let _ = writeln!(text, "  reason: {}", reason(flow));
    if !flow.candidates.is_empty() {
        let _ = writeln!(text, "  when it began, {} ago:", units::seconds(flow.age_seconds));
        for line in candidates(flow).to_string().lines() {
            let _ = writeln!(text, "    {line}");
        }
    } else if flow.reason == "soonest" {
        text.push_str("  what the lines had to do then is forgotten; the router remembers its last choices only\n");
    }
    text
}

fn reason(flow: &FlowReport) -> &'static str {
    match flow.reason.as_str() {
        "soonest" => "it was expected to be done soonest there",
        "fewest-flows" => "it asks for little, and of the lines with room this one had the fewest flows for its weight",
        "only-line" => "it could have no other line",
        "mapping" => "this port of the host's is mapped there already, and all of its flows use that mapping",
        "sticky" => "the host's earlier flows to that site have it",
        "rescued" => "the line that it had first did not answer",
        "moved" => "the line that it had was lost or drained",
        "inbound" => "somebody outside has opened it, by this line",
        _ => "not known; it is older than this run of the router, perhaps",
    }
}

fn candidates(flow: &FlowReport) -> Table {
    let mut table = Table::new(&[
        ("UPLINK", Align::Left),
        ("DONE AFTER", Align::Right),
        ("ITS SHARE", Align::Right),
        ("TRANSFERS", Align::Right),
        ("FLOWS", Align::Right),
        ("RTT", Align::Right),
        ("", Align::Left),
    ]);
    for candidate in &flow.candidates {
        table.row(vec![
            candidate.uplink.clone(),
            format!("{:.0} ms", candidate.expected_ms),
            units::rate(candidate.share_bits_per_second),
            candidate.transfers.to_string(),
            units::count(u64::from(candidate.flows)),
            format!("{} ms", candidate.round_trip_ms),
            remark(flow, candidate).to_owned(),
        ]);
    }
    table
}

fn remark(flow: &FlowReport, candidate: &CandidateReport) -> &'static str {
    match (candidate.uplink == flow.uplink, candidate.bounded_by_loss) {
        (true, false) => "<- chosen",
        (true, true) => "<- chosen; loses packets",
        (false, true) => "loses packets",
        (false, false) => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_end_is_read_as_flows_shows_it() {
        let endpoint = "203.0.113.9:443".parse().unwrap();
        assert_eq!(remote("203.0.113.9:443/tcp"), Ok((endpoint, Some("tcp".to_owned()))));
        assert_eq!(remote("203.0.113.9:443"), Ok((endpoint, None)));
        assert!(remote("203.0.113.9/tcp").unwrap_err().contains("PORT"));
        assert!(remote("203.0.113.9:443/tpc").unwrap_err().contains("`tpc`"));
        let query = WhyQuery {
            host: "192.168.10.20:40000".parse().unwrap(),
            remote: Some(endpoint),
            protocol: Some("tcp".to_owned()),
        };
        assert_eq!(path(&query), "/v1/why?host=192.168.10.20:40000&remote=203.0.113.9:443&protocol=tcp");
    }

    #[test]
    fn choice_is_told_with_what_it_was_made_by() {
        let candidate = |uplink: &str, expected_ms, bounded_by_loss| CandidateReport {
            uplink: uplink.to_owned(),
            expected_ms,
            share_bits_per_second: 5_000_000,
            bounded_by_loss,
            transfers: 3,
            ..CandidateReport::default()
        };
        let mut flow = FlowReport {
            protocol: "tcp".to_owned(),
            host: "192.168.10.20:40000".to_owned(),
            remote: "203.0.113.9:443".to_owned(),
            uplink: "dsl2".to_owned(),
            class: "bulk".to_owned(),
            reason: "soonest".to_owned(),
            rule: Some("web".to_owned()),
            candidates: vec![candidate("dsl1", 640.4, true), candidate("dsl2", 320.0, false)],
            ..FlowReport::default()
        };
        let text = told(&flow);
        for expected in ["is on dsl2", "bulk, by rule \"web\"", "done soonest", "640 ms", "loses packets", "<- chosen"]
        {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        flow.candidates.clear();
        assert!(told(&flow).contains("forgotten"));
    }
}
