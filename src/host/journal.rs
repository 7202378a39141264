//! The journal: how to undo each step, written and on disk before the step is done.
//!
//! A text file, `run_dir/journal`. The first line names the boot and the network namespace that it tells of; each further
//! line is one [`Undo`]. Entries are undone last first. A line without its end was torn by a crash while it was being
//! written, so its step was never begun: it does not count, nor does a line that this version does not know. What is told of
//! an earlier boot was undone by the reboot.
//!
//! An entry names its interface by index, because that is what was changed (the name is for the reader): an interface made
//! again under the same name has nothing that must be undone, and one renamed still has.
//!
//! This module only keeps the book. What an entry means to the kernel is in `undo`.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::{FromStr, SplitAsciiWhitespace};

use ipnet::Ipv6Net;

use super::error::HostError;
use super::sysctl::Family;

const JOURNAL: &str = "journal";
const MAGIC: &str = "potato-journal-1";

/// The interface that an entry is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What identifies it.
    pub index: u32,
    /// What it was called at that time.
    pub name: String,
}

/// How to undo one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undo {
    /// Write the old value back.
    Sysctl {
        /// Whose switch.
        target: Target,
        /// Of which protocol.
        family: Family,
        /// The switch's name.
        key: String,
        /// What it was.
        value: String,
    },
    /// Set the link down.
    LinkDown(Target),
    /// Restore the MTU.
    Mtu(Target, u32),
    /// Restore the transmit queue's length.
    QueueLength(Target, u32),
    /// Restore an offload to what was wanted before.
    Feature {
        /// Whose.
        target: Target,
        /// The kernel's name of it.
        feature: String,
        /// What was wanted.
        on: bool,
    },
    /// Delete our filter at clsact ingress.
    Filter {
        /// Where.
        target: Target,
        /// At this priority (`pref`), under our handle.
        priority: u16,
    },
    /// Delete the clsact qdisc, unless somebody else has come to use it.
    Clsact(Target),
    /// Delete our rule for packets from this interface.
    Rule {
        /// The incoming interface's name, as in the rule.
        interface: String,
        /// The rule's priority.
        priority: u32,
    },
    /// Delete our routes from this table.
    Table(u32),
    /// Put a static IPv6 address back.
    Ipv6Address(Target, Ipv6Net),
}

impl Undo {
    /// Whether both are about the same thing, whatever its old state: the first one written is right.
    fn is_same_step(&self, other: &Self) -> bool {
        let without_state = |undo: &Self| {
            let mut undo = undo.clone();
            match &mut undo {
                Self::Sysctl { value, .. } => value.clear(),
                Self::Mtu(_, value) | Self::QueueLength(_, value) => *value = 0,
                Self::Feature { on, .. } => *on = false,
                _ => {}
            }
            undo
        };
        without_state(self) == without_state(other)
    }

    /// The interface without which there is nothing to undo.
    #[must_use]
    pub fn target(&self) -> Option<&Target> {
        match self {
            Self::Sysctl { target, .. } | Self::Feature { target, .. } | Self::Filter { target, .. } => Some(target),
            Self::LinkDown(target) | Self::Mtu(target, _) | Self::QueueLength(target, _) => Some(target),
            Self::Clsact(target) | Self::Ipv6Address(target, _) => Some(target),
            Self::Rule { .. } | Self::Table(_) => None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.index, self.name)
    }
}

impl fmt::Display for Undo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sysctl { target, family, key, value } => write!(f, "sysctl {target} {} {key} {value}", family.name()),
            Self::LinkDown(target) => write!(f, "link-down {target}"),
            Self::Mtu(target, mtu) => write!(f, "mtu {target} {mtu}"),
            Self::QueueLength(target, length) => write!(f, "queue-length {target} {length}"),
            Self::Feature { target, feature, on } => write!(f, "feature {target} {feature} {on}"),
            Self::Filter { target, priority } => write!(f, "filter {target} {priority}"),
            Self::Clsact(target) => write!(f, "clsact {target}"),
            Self::Rule { interface, priority } => write!(f, "rule {interface} {priority}"),
            Self::Table(table) => write!(f, "table {table}"),
            Self::Ipv6Address(target, address) => write!(f, "ipv6-address {target} {address}"),
        }
    }
}

/// A line that this version cannot read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownEntry;

impl FromStr for Undo {
    type Err = UnknownEntry;

    fn from_str(line: &str) -> Result<Self, UnknownEntry> {
        let mut words = line.split_ascii_whitespace();
        let undo = match next::<String>(&mut words)?.as_str() {
            "sysctl" => Self::Sysctl {
                target: target(&mut words)?,
                family: match next::<String>(&mut words)?.as_str() {
                    "ipv4" => Family::Ipv4,
                    "ipv6" => Family::Ipv6,
                    _ => return Err(UnknownEntry),
                },
                key: name(&mut words)?,
                value: next(&mut words)?,
            },
            "link-down" => Self::LinkDown(target(&mut words)?),
            "mtu" => Self::Mtu(target(&mut words)?, next(&mut words)?),
            "queue-length" => Self::QueueLength(target(&mut words)?, next(&mut words)?),
            "feature" => {
                Self::Feature { target: target(&mut words)?, feature: next(&mut words)?, on: next(&mut words)? }
            }
            "filter" => Self::Filter { target: target(&mut words)?, priority: next(&mut words)? },
            "clsact" => Self::Clsact(target(&mut words)?),
            "rule" => Self::Rule { interface: name(&mut words)?, priority: next(&mut words)? },
            "table" => Self::Table(next(&mut words)?),
            "ipv6-address" => Self::Ipv6Address(target(&mut words)?, next(&mut words)?),
            _ => return Err(UnknownEntry),
        };
        if words.next().is_some() { Err(UnknownEntry) } else { Ok(undo) }
    }
}

fn next<T: FromStr>(words: &mut SplitAsciiWhitespace<'_>) -> Result<T, UnknownEntry> {
    words.next().ok_or(UnknownEntry)?.parse().map_err(|_| UnknownEntry)
}

/// A name that may become part of a path.
fn name(words: &mut SplitAsciiWhitespace<'_>) -> Result<String, UnknownEntry> {
    let name: String = next(words)?;
    if name.contains('/') || name == "." || name == ".." { Err(UnknownEntry) } else { Ok(name) }
}

fn target(words: &mut SplitAsciiWhitespace<'_>) -> Result<Target, UnknownEntry> {
    Ok(Target { index: next(words)?, name: name(words)? })
}

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

    /// What an earlier run left to be undone, in the order in which it was done. Nothing, if there is no journal, or the
    /// machine was booted since.
    ///
    /// # Errors
    /// When the file cannot be read, or tells of another network namespace.
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
            Some(written_in) if written_in.namespace != here.namespace => {
                Err(HostError::OtherNamespace { path, written_in: written_in.namespace, here: here.namespace })
            }
            Some(_) => Ok(lines.filter_map(|line| line.parse().ok()).collect()),
            None => Ok(Vec::new()),
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
    use super::*;

    fn target() -> Target {
        Target { index: 7, name: "wan1".to_owned() }
    }

    fn one_of_each() -> Vec<Undo> {
        let (key, value) = ("forwarding".to_owned(), "1".to_owned());
        vec![
            Undo::Sysctl { target: target(), family: Family::Ipv4, key, value },
            Undo::LinkDown(target()),
            Undo::Mtu(target(), 1400),
            Undo::QueueLength(target(), 500),
            Undo::Feature { target: target(), feature: "rx-gro".to_owned(), on: false },
            Undo::Filter { target: target(), priority: 1 },
            Undo::Clsact(target()),
            Undo::Rule { interface: "lan0".to_owned(), priority: 7400 },
            Undo::Table(7400),
            Undo::Ipv6Address(target(), "2001:db8::1/64".parse().unwrap()),
        ]
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
        let text = format!("{MAGIC} {} 1\ntable 7400\n", here.boot);
        fs::write(run_dir.path().join(JOURNAL), text).unwrap();
        assert!(matches!(Journal::read(run_dir.path()), Err(HostError::OtherNamespace { written_in: 1, .. })));
    }
}
