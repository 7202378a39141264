//! What people say to the bot, and what it answers. Pure.

use std::fmt::Write as _;

use crate::daemon::report::{LinkReport, LinkState, RedialReport, StatusReport, UplinkReport};

/// What somebody wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// To know how the lines are.
    Status,
    /// A line up or down.
    Link(LinkState, String),
    /// A line redialled.
    Redial(String),
    /// Something else.
    Unclear,
}

/// What it says to whom it does not understand.
pub(super) const HELP: &str = "I understand: status, up LINE, down LINE, redial LINE (as in \"up dsl3\")";
/// What it says to whom may not order.
pub(super) const NOT_FOR_YOU: &str = "that is not for you to order; operators in the router's configuration may";
/// What it says in a room.
pub(super) const NOT_IN_A_ROOM: &str = "I take orders in a chat with me alone";

/// What a message asks for. In a room it may begin with the bot's name.
pub(super) fn wish(text: &str, nick: &str) -> Wish {
    let text = text.trim().to_lowercase();
    let text =
        text.strip_prefix(&nick.to_lowercase()).map_or(text.as_str(), |rest| rest.trim_start_matches([':', ',']));
    let words: Vec<_> = text.split_whitespace().collect();
    let line = |line: &str| line.chars().take(40).collect::<String>();
    match words.as_slice() {
        ["status" | "status?"] => Wish::Status,
        ["up", name] => Wish::Link(LinkState::Up, line(name)),
        ["down", name] => Wish::Link(LinkState::Down, line(name)),
        ["redial", name] => Wish::Redial(line(name)),
        _ => Wish::Unclear,
    }
}

/// How all lines are.
pub(super) fn told(status: &StatusReport) -> String {
    let mut text = summary(status).1;
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

/// How present the bot is, and what it says of itself: nothing, `away` or `dnd` (RFC 6121 section 4.7.2.1).
pub(super) fn summary(status: &StatusReport) -> (Option<&'static str>, String) {
    let works = |uplink: &&UplinkReport| matches!(uplink.state.as_str(), "up" | "standby");
    let (up, all) = (status.uplinks.iter().filter(works).count(), status.uplinks.len());
    let show = match up {
        0 => Some("dnd"),
        _ if up < all => Some("away"),
        _ => None,
    };
    (show, format!("{up} of {all} lines up"))
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
    fn wishes_are_understood_as_people_write_them() {
        for (text, expected) in [
            ("status", Wish::Status),
            ("  Status?\n", Wish::Status),
            ("potato: status", Wish::Status),
            ("Up dsl3", Wish::Link(LinkState::Up, "dsl3".to_owned())),
            ("potato, down dsl3", Wish::Link(LinkState::Down, "dsl3".to_owned())),
            ("redial dsl3", Wish::Redial("dsl3".to_owned())),
            ("up", Wish::Unclear),
            ("redial", Wish::Unclear),
            ("up dsl3 dsl4", Wish::Unclear),
            ("", Wish::Unclear),
        ] {
            assert_eq!(wish(text, "Potato"), expected, "{text}");
        }
    }

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
        assert_eq!((told(&status).as_str(), summary(&status).0), (expected, Some("away")));
    }
}
