//! The file that remembers which uplinks are down by hand, and who took them down: `links.json` in the state directory.
//!
//! A line that a person has taken down is not to come back because the machine was restarted. If the file cannot be
//! written, the line is down all the same, until the router ends; whoever asked for it is told.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::state_file;

/// The uplinks that are down, and who did that.
pub(super) type TakenDown = BTreeMap<String, String>;

/// The file's content, as JSON.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    down: TakenDown,
}

/// The file.
#[derive(Debug)]
pub(super) struct AdminFile {
    path: PathBuf,
    /// What it says, as far as we know.
    written: TakenDown,
}

impl AdminFile {
    /// Reads the file, if there is one.
    pub(super) fn open(state_dir: &Path) -> Self {
        let path = state_dir.join("links.json");
        let written = match read(&path) {
            Ok(down) => down,
            Err(error) if error.kind() == io::ErrorKind::NotFound => TakenDown::new(),
            Err(error) => {
                warn!(path = %path.display(), %error, "which uplinks are down by hand cannot be read; none is");
                TakenDown::new()
            }
        };
        Self { path, written }
    }

    /// Who took the uplink down, if it is down.
    pub(super) fn remembered(&self, uplink: &str) -> Option<&str> {
        self.written.get(uplink).map(String::as_str)
    }

    /// Writes which uplinks are down now, if that is news. What could not be written is tried again by the next call.
    ///
    /// # Errors
    /// Says which file, why not, and what to do about it.
    pub(super) fn update(&mut self, down: TakenDown) -> Result<(), String> {
        if down == self.written {
            return Ok(());
        }
        let content = Content { down };
        let bytes = serde_json::to_vec_pretty(&content).map_err(io::Error::from);
        match bytes.and_then(|bytes| state_file::write(&self.path, &bytes)) {
            Ok(()) => {
                self.written = content.down;
                Ok(())
            }
            Err(error) => {
                let path = self.path.display();
                warn!(%path, %error, "not remembered which uplinks are down by hand");
                Err(format!(
                    "not remembered, so a restart of the router forgets it: {path}: {error}; \
                     give state_dir room, let the router write there, and say it again"
                ))
            }
        }
    }
}

fn read(path: &Path) -> io::Result<TakenDown> {
    let content: Content = serde_json::from_slice(&fs::read(path)?)?;
    Ok(content.down)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn down(names: &[&str]) -> TakenDown {
        names.iter().map(|name| ((*name).to_owned(), "uid 0, pid 7".to_owned())).collect()
    }

    #[test]
    fn what_is_taken_down_is_remembered_until_it_is_put_back() {
        let folder = tempfile::tempdir().unwrap();
        let state_dir = folder.path().join("not/there/yet");
        let mut file = AdminFile::open(&state_dir);
        assert_eq!(file.remembered("dsl1"), None);
        file.update(down(&[])).unwrap();
        assert!(!state_dir.exists(), "nothing to remember, nothing written");
        file.update(down(&["dsl1", "dsl3"])).unwrap();
        let mut file = AdminFile::open(&state_dir);
        assert_eq!((file.remembered("dsl1"), file.remembered("dsl2")), (Some("uid 0, pid 7"), None));
        file.update(down(&[])).unwrap();
        assert_eq!(AdminFile::open(&state_dir).remembered("dsl1"), None);
        assert_eq!(fs::read_dir(&state_dir).unwrap().count(), 1, "nothing else is left behind");
    }

    #[test]
    fn what_could_not_be_written_is_said_and_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        // A file where the directory should be: nobody can write there, root neither.
        let state_dir = folder.path().join("state");
        fs::write(&state_dir, "").unwrap();
        let mut file = AdminFile::open(&state_dir);
        for _ in 0..2 {
            let said = file.update(down(&["dsl1"])).unwrap_err();
            assert!(said.contains("links.json") && said.contains("restart"), "{said}");
        }
        fs::remove_file(&state_dir).unwrap();
        file.update(down(&["dsl1"])).unwrap();
        assert!(AdminFile::open(&state_dir).remembered("dsl1").is_some());
    }

    #[test]
    fn broken_file_takes_nothing_down() {
        let folder = tempfile::tempdir().unwrap();
        for content in ["", "{", "[]", "{\"down\": [\"dsl1\"]}", "{\"down\": {\"dsl1\": 5}}"] {
            fs::write(folder.path().join("links.json"), content).unwrap();
            assert_eq!(AdminFile::open(folder.path()).remembered("dsl1"), None, "{content}");
        }
    }
}
