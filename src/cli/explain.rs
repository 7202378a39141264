//! `potato explain`: what would become of a connection.

use std::fmt::Write as _;
use std::path::Path;

use super::{CommandError, Format, answer, client, in_json};
use crate::daemon::rehearsal::{ExplainQuery, ExplainReport, ExplainedLine};
use crate::wire::dscp;

/// Asks the router of `run_dir`.
pub(super) fn run(run_dir: &Path, format: Format, query: &ExplainQuery) -> Result<(), CommandError> {
    let report: ExplainReport = client::ask(run_dir, &path(query))?;
    match format {
        Format::Json => answer(&in_json(&report)?),
        Format::Table => answer(&drawn(&report)),
    }
}

/// The path to ask for. The values need no escaping: they were read, and have letters, digits, `.`, `:` and `/`.
fn path(query: &ExplainQuery) -> String {
    let dscp = query.dscp.as_ref().map(|dscp| format!("&dscp={dscp}")).unwrap_or_default();
    format!("/v1/explain?from={}&to={}{dscp}", query.from, query.to)
}

fn drawn(report: &ExplainReport) -> String {
    let mark = if report.dscp == 0 { String::new() } else { format!(", DSCP {}", dscp::name(report.dscp)) };
    let mut text = format!("{} -> {}{mark}\n", report.from, report.to);
    let mut say = |what: &str, said: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{what:<10}{said}");
    };
    say("rule", report.rule.as_deref().unwrap_or("none"));
    if let Some(class) = &report.class {
        say("class", class);
    }
    for (at, tier) in report.tiers.iter().enumerate() {
        let names: Vec<_> = tier.iter().map(|ExplainedLine { uplink, state }| format!("{uplink} ({state})")).collect();
        say(if at == 0 { "lines" } else { "  else" }, &names.join(", "));
    }
    match (report.fate.as_str(), &report.uplink) {
        ("kernel", _) => say("goes", "by the kernel's own routes"),
        (_, Some(uplink)) => {
            say("goes by", &format!("{uplink} (by {})", report.decided_by.as_deref().unwrap_or("load")));
        }
        _ => say("goes", "nowhere: it is refused"),
    }
    if let Some(stickiness) = &report.stickiness {
        say("sticky", stickiness);
    }
    report.notes.iter().for_each(|note| say("note", note));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_is_a_line_for_each_thing() {
        let line = |name: &str, state: &str| ExplainedLine { uplink: name.to_owned(), state: state.to_owned() };
        let report = ExplainReport {
            from: "192.168.10.20".to_owned(),
            to: "203.0.113.9:22/tcp".to_owned(),
            dscp: 46,
            fate: "line".to_owned(),
            rule: Some("default:ssh".to_owned()),
            class: Some("isolated".to_owned()),
            tiers: vec![vec![line("dsl3", "lame")], vec![line("dsl1", "up"), line("dsl2", "up")]],
            uplink: Some("dsl1".to_owned()),
            decided_by: Some("load".to_owned()),
            stickiness: Some("default".to_owned()),
            notes: Vec::new(),
        };
        let expected = "192.168.10.20 -> 203.0.113.9:22/tcp, DSCP ef\nrule      default:ssh\nclass     isolated\n\
                        lines     dsl3 (lame)\n  else    dsl1 (up), dsl2 (up)\ngoes by   dsl1 (by load)\n\
                        sticky    default\n";
        assert_eq!(drawn(&report), expected);
        let kernel =
            ExplainReport { fate: "kernel".to_owned(), notes: vec!["n".to_owned()], ..ExplainReport::default() };
        assert!(drawn(&kernel).ends_with("rule      none\ngoes      by the kernel's own routes\nnote      n\n"));
    }

    #[test]
    fn question_is_a_path() {
        let query = ExplainQuery { from: "10.0.0.1".to_owned(), to: "192.0.2.1:53/udp".to_owned(), dscp: None };
        assert_eq!(path(&query), "/v1/explain?from=10.0.0.1&to=192.0.2.1:53/udp");
        let marked = ExplainQuery { dscp: Some("ef".to_owned()), ..query };
        assert!(path(&marked).ends_with("&dscp=ef"));
    }
}
