//! What must outlive a restart, in SQLite: what the core remembers, and the messages that are still to be sent.
//!
//! Each [`Store::keep`] is one transaction, so what has come of an event is on disk with the event's id, or neither is. A file that
//! cannot be read is put aside. What cannot be written is kept in memory and written with the next change that can be.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, params};
use tracing::{info, warn};

use super::desk::Memory;
use super::note::Message;
use super::outbox::Change;

/// Which tables the file has.
const VERSION: i64 = 1;
/// Most changes that wait for a disk that takes none; the oldest are then not kept.
const MOST_WAITING: usize = 5_000;
/// Somebody who reads the file beside us may take this long.
const LONGEST_LOCK: Duration = Duration::from_millis(500);

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
    connection: Option<Connection>,
    waiting: Vec<(Arc<str>, Change)>,
    is_failing: bool,
}

impl Store {
    /// Opens the file at `path`, or begins one. Without it, all is in memory alone, and it is tried again.
    pub(super) fn open(path: &Path) -> (Self, Kept) {
        let mut store = Self { path: path.to_owned(), connection: None, waiting: Vec::new(), is_failing: false };
        let opened = connect(path).or_else(|error| {
            if !path.exists() {
                return Err(error);
            }
            let aside = suffixed(path, ".broken");
            warn!(path = %path.display(), %error, kept_as = %aside.display(), "queue of notifications is broken; a new one is begun");
            put_aside(path, &aside).and_then(|()| connect(path))
        });
        match opened {
            Ok((connection, kept)) => {
                store.connection = Some(connection);
                (store, kept)
            }
            Err(error) => {
                store.note_failure(&error);
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
        let Some(connection) = &self.connection else { return };
        if let Err(error) = connection.execute("DELETE FROM waiting WHERE channel = ?1", [channel]) {
            self.note_failure(&error.to_string());
        }
    }

    fn write(&mut self, memory: &Memory) -> Result<(), String> {
        if self.connection.is_none() {
            self.connection = Some(connect(&self.path)?.0);
        }
        let Some(connection) = &mut self.connection else { return Ok(()) };
        let content = serde_json::to_string(memory).map_err(|error| error.to_string())?;
        let written = connection.transaction().and_then(|transaction| {
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

fn connect(path: &Path) -> Result<(Connection, Kept), String> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(|error| error.to_string())?;
    }
    let opened = Connection::open(path).and_then(|connection| {
        connection.busy_timeout(LONGEST_LOCK)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        if tables == 0 {
            connection.execute_batch(&format!("BEGIN; {TABLES}; PRAGMA user_version = {VERSION}; COMMIT"))?;
        }
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        Ok((connection, version))
    });
    let (connection, version) = opened.map_err(|error| error.to_string())?;
    if version != VERSION {
        return Err(format!("it is of version {version}, which this program does not know"));
    }
    let kept = read(&connection)?;
    Ok((connection, kept))
}

fn read(connection: &Connection) -> Result<Kept, String> {
    let text = |error: rusqlite::Error| error.to_string();
    let mut kept = Kept::default();
    let mut memory = connection.prepare("SELECT content FROM memory").map_err(text)?;
    let rows = memory.query_map([], |row| row.get::<_, String>(0)).map_err(text)?;
    for content in rows {
        kept.memory = serde_json::from_str(&content.map_err(text)?).map_err(|error| error.to_string())?;
    }
    let mut waiting = connection.prepare("SELECT channel, message FROM waiting ORDER BY number").map_err(text)?;
    let rows = waiting.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))).map_err(text)?;
    for row in rows {
        let (channel, message) = row.map_err(text)?;
        let message = serde_json::from_str(&message).map_err(|error| error.to_string())?;
        kept.waiting.entry(channel).or_default().push(message);
    }
    Ok(kept)
}

fn put_aside(path: &Path, aside: &Path) -> Result<(), String> {
    fs::rename(path, aside).map_err(|error| error.to_string())?;
    // They belong to the broken file, and SQLite would put them into the new one.
    for suffix in ["-wal", "-shm"] {
        let _not_there_is_fine = fs::remove_file(suffixed(path, suffix));
    }
    Ok(())
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
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
}
