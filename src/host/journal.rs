//! The journal: how to undo each step, written and on disk before the step is done.
//!
//! A text file, `run_dir/journal`. The first line names the boot and the network namespace that it tells of; each further
//! line is one [`Undo`]. Entries are undone last first. A line without its end was torn by a crash while it was being
//! written, so its step was never begun: it does not count, nor does a line that this version does not know. What is told of
//! an earlier boot, or of a namespace that is gone (a container made anew), has vanished with it.
//!
//! An entry names its interface by index, because that is what was changed (the name is for the reader): an interface made
//! again under the same name has nothing that must be undone, and one renamed still has.
//!
//! This module only keeps the book. The entries' text is in `entry`, what they mean to the kernel in `undo`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::entry::Undo;
use super::error::HostError;

const JOURNAL: &str = "journal";
const MAGIC: &str = "potato-journal-1";

/// Where we are: entries are good for one boot of the machine and one network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    boot: String,
    namespace: u64,
}

impl Place {
    fn here() -> io::Result<Self> {
        Ok(Self {
            boot: fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned(),
            namespace: fs::metadata("/proc/thread-self/ns/net")?.ino(),
        })
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        (words.next()? == MAGIC).then_some(())?;
        Some(Self { boot: words.next()?.to_owned(), namespace: words.next()?.parse().ok()? })
    }
}

/// Whether some process, or some mount, as of `ip netns`, holds the network namespace, as far as we can see.
fn exists(namespace: u64) -> bool {
    let mounted = format!("net:[{namespace}]");
    if fs::read_to_string("/proc/self/mountinfo").is_ok_and(|mounts| mounts.contains(&mounted)) {
        return true;
    }
    let Ok(processes) = fs::read_dir("/proc") else { return true };
    let inode = |process: fs::DirEntry| fs::metadata(process.path().join("ns/net")).map(|file| file.ino());
    processes.flatten().any(|process| inode(process).is_ok_and(|inode| inode == namespace))
}

/// The book of one run.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    entries: Vec<Undo>,
}

impl Journal {
    /// Begins a new journal that holds `entries` already, in place of any old one.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn create(run_dir: &Path, entries: Vec<Undo>) -> Result<Self, HostError> {
        let path = run_dir.join(JOURNAL);
        let file = write_new(&path, &entries).map_err(|source| HostError::RunDir {
            action: "write the journal",
            path: path.clone(),
            source,
        })?;
        Ok(Self { path, file, entries })
    }

    /// What an earlier run left to be undone, in the order in which it was done. Nothing, if there is no journal, or what it
    /// tells of is gone.
    ///
    /// # Errors
    /// When the file cannot be read, or tells of another network namespace that is still there.
    pub fn read(run_dir: &Path) -> Result<Vec<Undo>, HostError> {
        let path = run_dir.join(JOURNAL);
        let error = |source| HostError::RunDir { action: "read the journal", path: path.clone(), source };
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(error(source)),
        };
        let here = Place::here().map_err(error)?;
        let text = String::from_utf8_lossy(&bytes);
        let mut lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        match lines.next().and_then(Place::parse) {
            Some(written_in) if written_in.boot != here.boot => Ok(Vec::new()),
            Some(written_in) if written_in.namespace != here.namespace && exists(written_in.namespace) => {
                Err(HostError::OtherNamespace { path, written_in: written_in.namespace, here: here.namespace })
            }
            Some(written_in) if written_in == here => Ok(lines.filter_map(|line| line.parse().ok()).collect()),
            Some(_) | None => Ok(Vec::new()),
        }
    }

    /// Writes down how to undo the step that is about to be done. A step that is in the book already stays as it was
    /// first written: that is the state to go back to.
    ///
    /// # Errors
    /// When the file cannot be written; then the step must not be done.
    pub fn record(&mut self, undo: Undo) -> Result<(), HostError> {
        if self.entries.iter().any(|entry| entry.is_same_step(&undo)) {
            return Ok(());
        }
        let line = format!("{undo}\n");
        self.file
            .write_all(line.as_bytes())
            .and_then(|()| self.file.sync_data())
            .map_err(|source| HostError::RunDir { action: "write the journal", path: self.path.clone(), source })?;
        self.entries.push(undo);
        Ok(())
    }

    /// Forgets the entries that `keep` does not hold on to, on disk too.
    ///
    /// # Errors
    /// When the file cannot be written; the old one stays.
    pub fn retain(&mut self, keep: impl Fn(&Undo) -> bool) -> Result<(), HostError> {
        if self.entries.iter().all(&keep) {
            return Ok(());
        }
        let entries = self.entries.iter().filter(|entry| keep(entry)).cloned().collect();
        let run_dir = self.path.parent().unwrap_or(Path::new("."));
        *self = Self::create(run_dir, entries)?;
        Ok(())
    }

    /// What is to be undone, in the order in which it was done.
    #[must_use]
    pub fn entries(&self) -> &[Undo] {
        &self.entries
    }

    /// Deletes the book: all is undone.
    pub fn remove(self) {
        let _gone_already_is_fine = fs::remove_file(&self.path);
    }
}

/// A whole new file under a name of its own, put in place when it is on disk.
fn write_new(path: &Path, entries: &[Undo]) -> io::Result<File> {
    let here = Place::here()?;
    let new = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&new)?;
    let mut text = format!("{MAGIC} {} {}\n", here.boot, here.namespace);
    for entry in entries {
        text.push_str(&format!("{entry}\n"));
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    if let Some(directory) = path.parent() {
        File::open(directory)?.sync_all()?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::super::entry::{Target, one_of_each};
    use super::*;

    fn target() -> Target {
        Target { index: 7, name: "wan1".to_owned() }
    }

    #[test]
    fn every_entry_survives_the_disk_in_order() {
        let run_dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::create(run_dir.path(), Vec::new()).unwrap();
        for entry in one_of_each() {
            journal.record(entry).unwrap();
        }
        assert_eq!(Journal::read(run_dir.path()).unwrap(), one_of_each());
    }

    #[test]
    fn torn_last_line_does_not_count() {
        let run_dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::create(run_dir.path(), Vec::new()).unwrap();
        journal.record(Undo::Mtu(target(), 1400)).unwrap();
        journal.record(Undo::Mtu(Target { index: 8, name: "wan2".to_owned() }, 1500)).unwrap();
        let path = run_dir.path().join(JOURNAL);
        let whole = fs::read(&path).unwrap();
        for torn in 1..10 {
            fs::write(&path, &whole[..whole.len() - torn]).unwrap();
            assert_eq!(Journal::read(run_dir.path()).unwrap(), [Undo::Mtu(target(), 1400)]);
        }
        for torn in 0..whole.len() {
            fs::write(&path, &whole[..torn]).unwrap();
            assert!(Journal::read(run_dir.path()).unwrap().len() < 2);
        }
    }

    #[test]
    fn unknown_and_mangled_lines_are_passed_over() {
        let run_dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::create(run_dir.path(), Vec::new()).unwrap();
        let path = run_dir.path().join(JOURNAL);
        let mut text = fs::read(&path).unwrap();
        text.extend_from_slice(
            b"teleport 1 wan1\nmtu x wan1 9\nsysctl 7 ../../x ipv4 a b\n\n\xff\xfe\nmtu 7 wan1 1400 1\n",
        );
        fs::write(&path, text).unwrap();
        journal = Journal { file: OpenOptions::new().append(true).open(&path).unwrap(), ..journal };
        journal.record(Undo::Table(7400)).unwrap();
        assert_eq!(Journal::read(run_dir.path()).unwrap(), [Undo::Table(7400)]);
    }

    #[test]
    fn first_state_of_a_repeated_step_is_the_one_kept() {
        let run_dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::create(run_dir.path(), Vec::new()).unwrap();
        journal.record(Undo::Mtu(target(), 1400)).unwrap();
        journal.record(Undo::Mtu(target(), 1500)).unwrap();
        journal.record(Undo::Mtu(Target { index: 8, ..target() }, 9000)).unwrap();
        let expected = [Undo::Mtu(target(), 1400), Undo::Mtu(Target { index: 8, ..target() }, 9000)];
        assert_eq!(journal.entries(), expected);
        assert_eq!(Journal::read(run_dir.path()).unwrap(), expected);
    }

    #[test]
    fn what_is_no_longer_needed_is_forgotten_on_disk_too() {
        let run_dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::create(run_dir.path(), one_of_each()).unwrap();
        journal.retain(|entry| entry.target().is_none()).unwrap();
        journal.record(Undo::Table(1)).unwrap();
        assert_eq!(Journal::read(run_dir.path()).unwrap().len(), 3);
        journal.remove();
        assert_eq!(Journal::read(run_dir.path()).unwrap(), []);
    }

    #[test]
    fn journal_of_an_earlier_boot_has_nothing_to_undo() {
        let run_dir = tempfile::tempdir().unwrap();
        let here = Place::here().unwrap();
        let text = format!("{MAGIC} another-boot {}\ntable 7400\n", here.namespace);
        fs::write(run_dir.path().join(JOURNAL), text).unwrap();
        assert_eq!(Journal::read(run_dir.path()).unwrap(), []);
    }

    #[test]
    fn journal_of_a_namespace_that_is_gone_has_nothing_to_undo() {
        let run_dir = tempfile::tempdir().unwrap();
        let text = format!("{MAGIC} {} 1\ntable 7400\n", Place::here().unwrap().boot);
        fs::write(run_dir.path().join(JOURNAL), text).unwrap();
        assert_eq!(Journal::read(run_dir.path()).unwrap(), []);
    }
}
