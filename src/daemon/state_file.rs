//! Small files in the state directory.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Writes `content` to the file at `path`, and makes its directory if need be. Whoever reads the file finds the old content
/// or the new one, whole; after a power cut, too.
pub(super) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&new, path)
}
