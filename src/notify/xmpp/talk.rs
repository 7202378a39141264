//! What the bot answers, in words. Pure.

use std::fmt::Write as _;

use super::conversation::Summary;
use crate::daemon::report::{LinkReport, LinkState, RedialReport, StatusReport, UplinkReport};

/// How all lines are.
pub(super) fn told(status: &StatusReport) -> String {
    let mut text = summary(status).text();
    for uplink in &status.uplinks {
        let UplinkReport { name, state, .. } = uplink;
        let why = uplink.taken_down_by.as_ref().map(|by| format!(" by {by}")).or_else(|| {
            let loss = uplink.health.as_ref()?.loss_1m_percent.filter(|loss| *loss > 0)?;
            Some(format!(", {loss} % loss"))
        });
        let rates = format!("in {} out {}", rate(uplink.back.bits_per_second), rate(uplink.out.bits_per_second));
        // Writing to a String cannot fail.
        let _ = write!(text, "\n{name}: {state}{} ({rates})", why.unwrap_or_default());
    }
    text
}

/// How many lines there are, and how many of them work.
pub(super) fn summary(status: &StatusReport) -> Summary {
    let works = |uplink: &&UplinkReport| matches!(uplink.state.as_str(), "up" | "standby");
    Summary { working: status.uplinks.iter().filter(works).count(), all: status.uplinks.len() }
}

/// What has become of an order.
pub(super) fn done(state: LinkState, outcome: Result<LinkReport, String>) -> String {
    match outcome {
        Err(wrong) => wrong,
        Ok(report) => {
            let LinkReport { uplink, state: now, changed, warnings } = report;
            let what = match (state, changed) {
                (LinkState::Down, true) => format!("{uplink} is down: no new connections"),
                (LinkState::Up, true) => format!("{uplink} is put back; it is {now}"),
                (LinkState::Toggle, true) => format!("{uplink} is {now}"),
                (_, false) => format!("{uplink} is {now}, as it was"),
            };
            std::iter::once(what).chain(warnings).collect::<Vec<_>>().join("\n")
        }
    }
}

/// What has become of an order to redial.
pub(super) fn redialled(outcome: Result<RedialReport, String>) -> String {
    match outcome {
        Err(wrong) => wrong,
        Ok(RedialReport { uplink, what, warnings, .. }) => {
            std::iter::once(format!("{uplink}: {what}")).chain(warnings).collect::<Vec<_>>().join("\n")
        }
    }
}

fn rate(bits_per_second: u64) -> String {
    match bits_per_second {
        0..1_000_000 => format!("{} kbit/s", bits_per_second / 1_000),
        _ => format!("{}.{} Mbit/s", bits_per_second / 1_000_000, bits_per_second / 100_000 % 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_in_a_few_words() {
        let line = |name: &str, state: &str| UplinkReport {
            name: name.to_owned(),
            state: state.to_owned(),
            ..UplinkReport::default()
        };
        let down = UplinkReport { taken_down_by: Some("anna".to_owned()), ..line("dsl2", "down") };
        let status = StatusReport { uplinks: vec![line("dsl1", "up"), down], ..StatusReport::default() };
        let expected =
            "1 of 2 lines up\ndsl1: up (in 0 kbit/s out 0 kbit/s)\ndsl2: down by anna (in 0 kbit/s out 0 kbit/s)";
        assert_eq!(told(&status), expected);
    }
}
