//! `potato link`: an uplink is taken down by hand, or put back.

use std::path::Path;

use super::{CommandError, Format, order};
use crate::daemon::report::{LinkOrder, LinkReport, LinkState};

/// Tells the router of `run_dir`.
pub(super) fn run(run_dir: &Path, format: Format, order: &LinkOrder) -> Result<(), CommandError> {
    order::give(run_dir, format, "/v1/link", order, |done: &LinkReport| (said(order.state, done), &done.warnings))
}

fn said(wanted: LinkState, done: &LinkReport) -> String {
    let LinkReport { uplink, state, changed, .. } = done;
    let wanted = match wanted {
        LinkState::Toggle if state == LinkState::Down.name() => LinkState::Down,
        LinkState::Up | LinkState::Toggle => LinkState::Up,
        LinkState::Down => LinkState::Down,
    };
    match (wanted, changed) {
        (LinkState::Down, true) => {
            format!("{uplink} is down: it gets no new connections, and those that it has go on\n")
        }
        (LinkState::Down, false) => format!("{uplink} was down already\n"),
        (_, true) if state == "up" => {
            format!("{uplink} is up: it gets its share of new connections again\n")
        }
        (_, true) => format!("{uplink} is put back; its state is {state}\n"),
        (_, false) => format!("{uplink} was not taken down by hand; its state is {state}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_says_what_has_become_of_the_line() {
        let done = |state: &str, changed| LinkReport {
            uplink: "dsl1".to_owned(),
            state: state.to_owned(),
            changed,
            warnings: Vec::new(),
        };
        let expected = [
            (LinkState::Down, "down", true, "dsl1 is down: it gets no new connections, and those that it has go on\n"),
            (LinkState::Down, "down", false, "dsl1 was down already\n"),
            (LinkState::Up, "up", true, "dsl1 is up: it gets its share of new connections again\n"),
            (LinkState::Up, "no-carrier", true, "dsl1 is put back; its state is no-carrier\n"),
            (
                LinkState::Toggle,
                "down",
                true,
                "dsl1 is down: it gets no new connections, and those that it has go on\n",
            ),
            (LinkState::Toggle, "up", true, "dsl1 is up: it gets its share of new connections again\n"),
            (LinkState::Up, "up", false, "dsl1 was not taken down by hand; its state is up\n"),
        ];
        for (wanted, state, changed, text) in expected {
            assert_eq!(said(wanted, &done(state, changed)), text);
        }
    }
}
