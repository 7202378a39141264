//! `potato cleanup`: puts the machine back after a router that could not do so itself.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use super::error::HostError;
use super::journal::Journal;
use super::lock;
use super::netlink::Netlink;
use super::undo::undo_all;

/// What becomes of the file that flows outlive a router in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowFile {
    /// It goes: no router is to start here again soon.
    Delete,
    /// It stays, for the next router.
    Keep,
}

/// Undoes what the journal in `run_dir` tells of, and deletes the router's files there, that of the flows as `flow_file`
/// says. A line for each thing done.
///
/// # Errors
/// [`HostError::Running`] when a router is at work there; [`HostError::NotUndone`] when some of it did not work; when the
/// kernel does not answer.
pub async fn cleanup(run_dir: &Path, flow_file: FlowFile) -> Result<Vec<String>, HostError> {
    if !run_dir.exists() {
        return Ok(vec![format!("{}: not there, nothing to do", run_dir.display())]);
    }
    let lock = lock::take(run_dir)?;
    let netlink = Netlink::open()?;
    let mut undone = undo_all(&netlink, &Journal::read(run_dir)?).await?;
    let journal = Journal::create(run_dir, undone.failed.clone())?;
    if undone.failed.is_empty() {
        journal.remove();
    }
    // An interface that is gone is told of once, whatever was changed on it.
    undone.lines.dedup();
    undone.lines.extend(delete_files(run_dir, flow_file));
    lock.release();
    undone.into_result()
}

/// Deletes sockets and flow slabs.
fn delete_files(run_dir: &Path, flow_file: FlowFile) -> Vec<String> {
    let Ok(entries) = fs::read_dir(run_dir) else { return Vec::new() };
    let ours = entries.flatten().map(|entry| entry.path()).filter(|path| goes(path, flow_file));
    ours.filter(|path| fs::remove_file(path).is_ok()).map(|path| format!("deleted {}", path.display())).collect()
}

fn goes(path: &Path, flow_file: FlowFile) -> bool {
    let Ok(metadata) = fs::symlink_metadata(path) else { return false };
    let is_slab = path.file_name().and_then(OsStr::to_str).is_some_and(|name| name.starts_with("flows"));
    metadata.file_type().is_socket() || metadata.is_file() && is_slab && flow_file == FlowFile::Delete
}
