//! An order to the running router, and what the person is told of it.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{CommandError, Format, answer, client, complain, in_json};

/// Gives the router of `run_dir` an order. Of what it answers, `told` makes the words for people, and what they should know beside.
pub(super) fn give<Report: DeserializeOwned + Serialize>(
    run_dir: &Path,
    format: Format,
    path: &str,
    order: &impl Serialize,
    told: impl FnOnce(&Report) -> (String, &[String]),
) -> Result<(), CommandError> {
    let done: Report = client::tell(run_dir, path, order)?;
    match format {
        Format::Json => answer(&in_json(&done)?),
        Format::Table => {
            let (text, warnings) = told(&done);
            answer(&text)?;
            warnings.iter().for_each(|warning| complain(&format!("warning: {warning}")));
            Ok(())
        }
    }
}
