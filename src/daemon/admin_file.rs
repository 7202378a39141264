//! The file that remembers what people have made of lines by hand, and who did: `links.json` in the state directory.
//!
//! A line that a person has taken down is not to come back because the machine was restarted, and one that was given a role is
//! to keep it. If the file cannot be written, it is so all the same, until the router ends; whoever asked for it is told.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::report::RoleName;
use super::state_file;

/// A role that somebody has given an uplink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RoleGiven {
    /// The role.
    pub(super) role: RoleName,
    /// The role that the configuration gave it then. Once that is another, the one given by hand is over.
    pub(super) configured: RoleName,
    /// Who did that.
    pub(super) by: String,
}

/// What is remembered: the file's content, as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Remembered {
    /// The uplinks that are down, and who did that.
    pub(super) down: BTreeMap<String, String>,
    /// The uplinks that have not the role that the configuration gives them. Files of before have none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) roles: BTreeMap<String, RoleGiven>,
}

/// The file.
#[derive(Debug)]
pub(super) struct AdminFile {
    path: PathBuf,
    /// What it says, as far as we know.
    written: Remembered,
}

impl AdminFile {
    /// Reads the file, if there is one.
    pub(super) fn open(state_dir: &Path) -> Self {
        let path = state_dir.join("links.json");
        let written = match read(&path) {
            Ok(remembered) => remembered,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Remembered::default(),
            Err(error) => {
                warn!(path = %path.display(), %error, "which uplinks are down by hand cannot be read; none is");
                Remembered::default()
            }
        };
        Self { path, written }
    }

    /// Who took the uplink down, if it is down.
    pub(super) fn remembered(&self, uplink: &str) -> Option<&str> {
        self.written.down.get(uplink).map(String::as_str)
    }

    /// The role that somebody has given the uplink, if somebody has.
    pub(super) fn role(&self, uplink: &str) -> Option<&RoleGiven> {
        self.written.roles.get(uplink)
    }

    /// Writes what is so now, if that is news. What could not be written is tried again by the next call.
    ///
    /// # Errors
    /// Says which file, why not, and what to do about it.
    pub(super) fn update(&mut self, content: Remembered) -> Result<(), String> {
        if content == self.written {
            return Ok(());
        }
        let bytes = serde_json::to_vec_pretty(&content).map_err(io::Error::from);
        match bytes.and_then(|bytes| state_file::write(&self.path, &bytes)) {
            Ok(()) => {
                self.written = content;
                Ok(())
            }
            Err(error) => {
                let path = self.path.display();
                warn!(%path, %error, "not remembered which uplinks are down by hand, and what roles people gave them");
                Err(format!(
                    "not remembered, so a restart of the router forgets it: {path}: {error}; \
                     give state_dir room, let the router write there, and say it again"
                ))
            }
        }
    }
}

fn read(path: &Path) -> io::Result<Remembered> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn down(names: &[&str]) -> Remembered {
        let down = names.iter().map(|name| ((*name).to_owned(), "uid 0, pid 7".to_owned())).collect();
        Remembered { down, ..Remembered::default() }
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
    fn a_role_is_remembered_beside_what_is_down_and_files_of_before_have_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("links.json");
        fs::write(&path, r#"{"down": {"dsl1": "uid 0, pid 7"}}"#).unwrap();
        let mut file = AdminFile::open(folder.path());
        assert_eq!((file.remembered("dsl1"), file.role("dsl1")), (Some("uid 0, pid 7"), None));
        let given = RoleGiven { role: RoleName::Standby, configured: RoleName::Balanced, by: "anna".to_owned() };
        let roles = [("dsl3".to_owned(), given.clone())].into();
        file.update(Remembered { roles, ..down(&["dsl1"]) }).unwrap();
        let mut file = AdminFile::open(folder.path());
        assert_eq!((file.remembered("dsl1"), file.role("dsl3")), (Some("uid 0, pid 7"), Some(&given)));
        file.update(down(&["dsl1"])).unwrap();
        assert!(!fs::read_to_string(path).unwrap().contains("roles"), "as before when there is none");
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
