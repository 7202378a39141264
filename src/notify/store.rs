//! What must outlive a restart, in SQLite: what the core remembers, and the messages that are still to be sent.
//!
//! Each [`Store::keep`] is one transaction, so what has come of an event is on disk with the event's id, or neither is. A file that
//! cannot be read is put aside ([`Database`]), a message that cannot be is left out. What cannot be written is kept in memory and written with the next change that can be.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, params};
use serde::de::DeserializeOwned;
use tracing::{info, warn};

use super::desk::Memory;
use super::note::Message;
use super::outbox::Change;
use crate::daemon::{Database, DatabaseError};

/// Which tables the file has.
const VERSION: i64 = 1;
/// Most changes that wait for a disk that takes none; the oldest are then not kept.
const MOST_WAITING: usize = 5_000;

const TABLES: &str = "
    CREATE TABLE memory (id INTEGER PRIMARY KEY CHECK (id = 1), content TEXT NOT NULL);
    CREATE TABLE waiting (number INTEGER PRIMARY KEY AUTOINCREMENT, channel TEXT NOT NULL, id TEXT NOT NULL, message TEXT NOT NULL);
    CREATE UNIQUE INDEX waiting_id ON waiting (channel, id);
";

/// What a file holds.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) memory: Memory,
    /// By channel, in their order.
    pub(super) waiting: BTreeMap<String, Vec<Message>>,
}

/// The file.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    file: Option<Database>,
    waiting: Vec<(Arc<str>, Change)>,
    is_failing: bool,
}

impl Store {
    /// Opens the file at `path`, or begins one. Without it, all is in memory alone, and it is tried again.
    pub(super) fn open(path: &Path) -> (Self, Kept) {
        let mut store = Self { path: path.to_owned(), file: None, waiting: Vec::new(), is_failing: false };
        match connect(path) {
            Ok((file, kept)) => {
                store.file = Some(file);
                (store, kept)
            }
            Err(error) => {
                store.note_failure(&error.to_string());
                (store, Kept::default())
            }
        }
    }

    /// Keeps what the core remembers and the changes of what waits: all or, until the next call, none.
    pub(super) fn keep(&mut self, memory: &Memory, changes: Vec<(Arc<str>, Change)>) {
        self.waiting.extend(changes);
        let excess = self.waiting.len().saturating_sub(MOST_WAITING);
        self.waiting.drain(..excess);
        match self.write(memory) {
            Ok(()) => {
                self.waiting.clear();
                if std::mem::take(&mut self.is_failing) {
                    info!(path = %self.path.display(), "queue of notifications is kept again");
                }
            }
            Err(error) => self.note_failure(&error),
        }
    }

    /// Forgets what waits for a channel that is no more.
    pub(super) fn forget_channel(&mut self, channel: &str) {
        let Some(file) = &self.file else { return };
        if let Err(error) = file.connection.execute("DELETE FROM waiting WHERE channel = ?1", [channel]) {
            self.note_failure(&error.to_string());
        }
    }

    fn write(&mut self, memory: &Memory) -> Result<(), String> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(connect(&self.path).map_err(|error| error.to_string())?.0),
        };
        let content = serde_json::to_string(memory).map_err(|error| error.to_string())?;
        let written = file.connection.transaction().and_then(|transaction| {
            for (channel, change) in &self.waiting {
                match change {
                    Change::Added(message) => {
                        let text = serde_json::to_string(message).unwrap_or_default();
                        let add = "INSERT OR IGNORE INTO waiting (channel, id, message) VALUES (?1, ?2, ?3)";
                        transaction.execute(add, params![&**channel, message.id, text])?;
                    }
                    Change::Removed(id) => {
                        let remove = "DELETE FROM waiting WHERE channel = ?1 AND id = ?2";
                        transaction.execute(remove, params![&**channel, id])?;
                    }
                }
            }
            transaction.execute("INSERT OR REPLACE INTO memory (id, content) VALUES (1, ?1)", [content])?;
            transaction.commit()
        });
        written.map_err(|error| error.to_string())
    }

    fn note_failure(&mut self, error: &str) {
        if !std::mem::replace(&mut self.is_failing, true) {
            warn!(path = %self.path.display(), error, "notifications are not kept over a restart: give state_dir room");
        }
    }
}

fn connect(path: &Path) -> Result<(Database, Kept), DatabaseError> {
    let file = Database::open(path, VERSION, TABLES)?;
    let kept = read(&file.connection).map_err(|error| file.error(error))?;
    Ok((file, kept))
}

/// What can be understood of what is in the file.
fn read(connection: &Connection) -> rusqlite::Result<Kept> {
    let mut kept = Kept::default();
    let mut memory = connection.prepare("SELECT content FROM memory")?;
    for content in memory.query_map([], |row| row.get(0))? {
        kept.memory = understood("what people were told", content).unwrap_or_default();
    }
    let mut waiting = connection.prepare("SELECT message, channel FROM waiting ORDER BY number")?;
    let rows = waiting.query_map([], |row| Ok((row.get(0), row.get(1))))?;
    for (message, channel) in rows.map_while(Result::ok) {
        if let (Some(message), Ok(channel)) = (understood("a message", message), channel) {
            kept.waiting.entry(channel).or_default().push(message);
        }
    }
    Ok(kept)
}

/// What a field says; one that says nothing that we know takes nothing else with it.
fn understood<T: DeserializeOwned>(what: &str, field: rusqlite::Result<String>) -> Option<T> {
    let read = field.map_err(|error| error.to_string());
    let read = read.and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()));
    read.inspect_err(|error| warn!(%error, "{what} in the queue of notifications cannot be read")).ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    fn message(id: &str) -> Message {
        Message { id: id.to_owned(), written: 7, notes: Vec::new() }
    }

    fn added(id: &str) -> (Arc<str>, Change) {
        ("office".into(), Change::Added(message(id)))
    }

    fn memory(last_event: u64) -> Memory {
        let mut desk = crate::notify::desk::Desk::default();
        desk.skip_to(last_event);
        desk.memory().clone()
    }

    #[test]
    fn what_is_kept_outlives_the_program() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("not/there/yet/notify.db");
        let (mut store, kept) = Store::open(&path);
        assert_eq!((kept.memory, kept.waiting.len()), (Memory::default(), 0));
        store.keep(&memory(5), vec![added("a"), added("b"), added("c")]);
        store.keep(&memory(6), vec![("office".into(), Change::Removed("b".to_owned()))]);
        drop(store);
        let (mut store, kept) = Store::open(&path);
        assert_eq!((kept.memory, &kept.waiting["office"]), (memory(6), &vec![message("a"), message("c")]));
        store.forget_channel("office");
        drop(store);
        assert!(Store::open(&path).1.waiting.is_empty());
    }

    #[test]
    fn broken_file_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify.db");
        for content in ["no database at all", "x"] {
            fs::write(&path, content.repeat(100)).unwrap();
            let (mut store, kept) = Store::open(&path);
            assert!(kept.waiting.is_empty());
            store.keep(&memory(1), vec![added("a")]);
            drop(store);
            assert_eq!(Store::open(&path).1.waiting["office"], [message("a")]);
            assert!(folder.path().join("notify.db.broken").exists());
        }
    }

    #[test]
    fn what_a_full_disk_does_not_take_is_kept_when_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        // A file where the directory should be: nobody can write there, root neither.
        let state_dir = folder.path().join("state");
        fs::write(&state_dir, "").unwrap();
        let path = state_dir.join("notify.db");
        let (mut store, _) = Store::open(&path);
        store.keep(&memory(1), vec![added("a")]);
        fs::remove_file(&state_dir).unwrap();
        store.keep(&memory(2), vec![added("b")]);
        let (_, kept) = Store::open(&path);
        assert_eq!((kept.memory, &kept.waiting["office"]), (memory(2), &vec![message("a"), message("b")]));
    }

    #[test]
    fn message_that_cannot_be_read_takes_no_other_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify.db");
        Store::open(&path).0.keep(&memory(5), vec![added("a"), added("b"), added("c"), added("d")]);
        let beside = Connection::open(&path).unwrap();
        beside.execute_batch("UPDATE waiting SET message = '{\"id\": 7}' WHERE id = 'b'").unwrap();
        beside.execute_batch("UPDATE waiting SET message = x'ff00' WHERE id = 'c'").unwrap();
        let (_, kept) = Store::open(&path);
        assert_eq!((kept.memory, &kept.waiting["office"]), (memory(5), &vec![message("a"), message("d")]));
        beside.execute_batch("UPDATE memory SET content = 'nonsense'").unwrap();
        let (_, kept) = Store::open(&path);
        assert_eq!((kept.memory, kept.waiting["office"].len()), (Memory::default(), 2));
        assert_eq!(fs::read_dir(folder.path()).unwrap().filter(is_aside).count(), 0);
    }

    fn is_aside(file: &std::io::Result<fs::DirEntry>) -> bool {
        file.as_ref().unwrap().file_name().to_string_lossy().ends_with(".broken")
    }

    #[test]
    fn file_that_somebody_else_holds_is_not_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify.db");
        Store::open(&path).0.keep(&memory(1), vec![added("a")]);
        let beside = Connection::open(&path).unwrap();
        beside.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").unwrap();
        let (mut store, _) = Store::open(&path);
        drop(beside);
        store.keep(&memory(2), vec![added("b")]);
        drop(store);
        assert_eq!(Store::open(&path).1.waiting["office"], [message("a"), message("b")]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn damaged_file_costs_what_is_in_it_and_no_more(at in 0_usize..20_000, bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in any::<bool>()) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("notify.db");
            Store::open(&path).0.keep(&memory(1), (0..50).map(|id| added(&id.to_string())).collect());
            let mut content = fs::read(&path).unwrap();
            let at = at.min(content.len());
            if cut {
                content.truncate(at);
            }
            content.splice(at.., bytes);
            fs::write(&path, content).unwrap();
            let (mut store, _) = Store::open(&path);
            store.keep(&memory(2), vec![added("new")]);
            drop(store);
            let kept = Store::open(&path).1;
            prop_assert!(kept.waiting["office"].contains(&message("new")));
        }
    }
}
