//! `potato flows`: the connections that the router knows.

use std::path::Path;

use super::table::{Align, Table};
use super::{CommandError, Format, answer, client, complain, in_json, units};
use crate::daemon::report::{FlowsQuery, FlowsReport};

/// Asks the router of `run_dir`.
pub(super) fn run(run_dir: &Path, format: Format, query: &FlowsQuery) -> Result<(), CommandError> {
    let found: FlowsReport = client::ask(run_dir, &path(query))?;
    match format {
        Format::Json => answer(&in_json(&found)?),
        Format::Table => {
            answer(&drawn(&found).to_string())?;
            if found.limited {
                complain(&format!("only the first {} flows are shown; --limit shows more", found.flows.len()));
            }
            Ok(())
        }
    }
}

/// The path to ask for. The values need no escaping: a name, an address, a word and a number.
fn path(query: &FlowsQuery) -> String {
    let parameters = [
        query.host.map(|host| format!("host={host}")),
        query.uplink.as_ref().map(|uplink| format!("uplink={uplink}")),
        query.protocol.as_ref().map(|protocol| format!("protocol={protocol}")),
        query.limit.map(|limit| format!("limit={limit}")),
    ];
    let parameters: Vec<_> = parameters.into_iter().flatten().collect();
    if parameters.is_empty() { "/v1/flows".to_owned() } else { format!("/v1/flows?{}", parameters.join("&")) }
}

fn drawn(found: &FlowsReport) -> Table {
    let mut table = Table::new(&[
        ("PROTOCOL", Align::Left),
        ("HOST", Align::Left),
        ("", Align::Left),
        ("REMOTE", Align::Left),
        ("UPLINK", Align::Left),
        ("EXTERNAL", Align::Left),
        ("STATE", Align::Left),
        ("SENT", Align::Right),
        ("RECEIVED", Align::Right),
        ("AGE", Align::Right),
        ("EXPIRES IN", Align::Right),
    ]);
    for flow in &found.flows {
        table.row(vec![
            flow.protocol.clone(),
            flow.host.clone(),
            // Who has opened it points at the other.
            if flow.direction == "inbound" { "<-" } else { "->" }.to_owned(),
            flow.remote.clone(),
            flow.uplink.clone(),
            flow.external.clone(),
            flow.state.clone(),
            units::bytes(flow.out.bytes),
            units::bytes(flow.back.bytes),
            units::seconds(flow.age_seconds),
            units::seconds(flow.expires_in_seconds),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_set_is_asked_for() {
        assert_eq!(path(&FlowsQuery::default()), "/v1/flows");
        let query = FlowsQuery { host: Some([10, 0, 0, 1].into()), limit: Some(5), ..FlowsQuery::default() };
        assert_eq!(path(&query), "/v1/flows?host=10.0.0.1&limit=5");
    }
}
