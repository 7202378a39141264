//! `potato notify`: the channels by which people are told what happens, and a test of one.

use std::path::Path;

use super::table::{Align, Table};
use super::{CommandError, Format, answer, client, in_json};
use crate::notify::report::{NotifyReport, TestOrder, TestReport};

/// Asks the router of `run_dir`.
pub(super) fn list(run_dir: &Path, format: Format) -> Result<(), CommandError> {
    let found: NotifyReport = client::ask(run_dir, "/v1/notify")?;
    match format {
        Format::Json => answer(&in_json(&found)?),
        Format::Table if found.channels.is_empty() => {
            answer("nobody is told anything: the configuration has no [[notify]] section\n")
        }
        Format::Table => answer(&table(&found)),
    }
}

/// Has the router of `run_dir` send a message by this channel.
pub(super) fn test(run_dir: &Path, format: Format, channel: String) -> Result<(), CommandError> {
    let done: TestReport = client::tell(run_dir, "/v1/notify/test", &TestOrder { channel })?;
    match format {
        Format::Json => answer(&in_json(&done)?),
        Format::Table => {
            answer(&format!("{} works: the message was taken within {} ms\n", done.channel, done.milliseconds))
        }
    }
}

fn table(report: &NotifyReport) -> String {
    let mut table = Table::new(&[
        ("CHANNEL", Align::Left),
        ("KIND", Align::Left),
        ("WAITING", Align::Right),
        ("GIVEN UP", Align::Right),
        ("LAST SENT", Align::Left),
        ("PROBLEM", Align::Left),
    ]);
    for channel in &report.channels {
        // What a server has said is not to speak to the terminal.
        let problem = channel.last_error.as_deref().unwrap_or("-");
        table.row(vec![
            channel.name.clone(),
            channel.kind.clone(),
            channel.queued.to_string(),
            channel.dropped.to_string(),
            channel.last_sent.clone().unwrap_or_else(|| "-".to_owned()),
            problem.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
        ]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::report::ChannelReport;

    #[test]
    fn channels_are_listed_with_what_is_wrong() {
        let channel = ChannelReport {
            name: "office".to_owned(),
            kind: "ntfy".to_owned(),
            queued: 3,
            last_error: Some("refused\u{1b}[2J".to_owned()),
            ..ChannelReport::default()
        };
        let text = "CHANNEL  KIND  WAITING  GIVEN UP  LAST SENT  PROBLEM\noffice   ntfy        3         0  -          refused [2J\n";
        assert_eq!(table(&NotifyReport { channels: vec![channel] }), text);
    }
}
