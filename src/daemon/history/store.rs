//! The events' file: SQLite, of bounded size.
//!
//! It knows nothing of threads. A file that was put aside ([`Database`]) leaves word: the new one's first event says so.

use std::path::Path;

use rusqlite::{Row, Transaction, params};

use super::calendar::rfc3339;
use super::{Kind, Record, Start};
use crate::daemon::database::{Database, DatabaseError};
use crate::daemon::report::EventReport;

/// Most events that are kept; the oldest go.
pub(super) const MOST_EVENTS: u64 = 10_000;
/// Most characters of any text of an event.
const LONGEST_TEXT: usize = 300;
/// Which tables the file has.
const VERSION: i64 = 1;

const TABLE: &str = "CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    time INTEGER NOT NULL, -- milliseconds since 1970
    kind TEXT NOT NULL,
    uplink TEXT,
    before TEXT,
    after TEXT,
    cause TEXT,
    person TEXT,
    number INTEGER
)";
const COLUMNS: &str = "id, time, kind, uplink, before, after, cause, person, number";

/// The open file.
#[derive(Debug)]
pub(super) struct Store {
    file: Database,
    most_events: u64,
}

impl Store {
    /// Opens the file at `path`, or begins one. `now` is milliseconds since 1970.
    ///
    /// # Errors
    /// When neither is possible.
    pub(super) fn open(path: &Path, now: u64) -> Result<Self, DatabaseError> {
        let mut file = Database::open(path, VERSION, TABLE)?;
        let begun = file.instead_of.take();
        let mut store = Self { file, most_events: MOST_EVENTS };
        if let Some(cause) = begun {
            store.begin_anew(now, &cause)?;
        }
        Ok(store)
    }

    /// Ids go on above those of the file before, of which nobody knows the last: it had fewer than one a second.
    fn begin_anew(&mut self, now: u64, cause: &str) -> Result<(), DatabaseError> {
        let first = i64::try_from(now / 1_000).unwrap_or(i64::MAX);
        let sequence = "INSERT INTO sqlite_sequence (name, seq) VALUES ('events', ?1)";
        let begun = self.file.connection.execute(sequence, [first]);
        begun.map_err(|source| self.file.error(source))?;
        let record = Record { kind: Kind::LogBegun, cause: Some(cause.to_owned()), ..Record::default() };
        self.append(now, &[record]).map(drop)
    }

    /// Adds events that happened at `now`, all or none, and gives the id of the last. The oldest make room for them.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(super) fn append(&mut self, now: u64, records: &[Record]) -> Result<u64, DatabaseError> {
        let most = i64::try_from(self.most_events).unwrap_or(i64::MAX);
        let appended = self.file.connection.transaction().and_then(|transaction| {
            for record in records {
                insert(&transaction, now, record)?;
            }
            let last = transaction.last_insert_rowid();
            transaction.execute("DELETE FROM events WHERE id <= ?1", [last.saturating_sub(most)])?;
            transaction.commit()?;
            Ok(last.unsigned_abs())
        });
        appended.map_err(|source| self.file.error(source))
    }

    /// Up to `limit` events, in their order.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn read(&self, start: Start, limit: usize) -> Result<Vec<EventReport>, DatabaseError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let read = || match start {
            Start::After(id) => {
                let id = i64::try_from(id).unwrap_or(i64::MAX);
                self.select("WHERE id > ?1 ORDER BY id LIMIT ?2", [id, limit])
            }
            Start::Newest => {
                let mut newest = self.select("WHERE id > ?1 ORDER BY id DESC LIMIT ?2", [0, limit])?;
                newest.reverse();
                Ok(newest)
            }
        };
        read().map_err(|source| self.file.error(source))
    }

    fn select(&self, which: &str, parameters: [i64; 2]) -> rusqlite::Result<Vec<EventReport>> {
        let mut statement = self.file.connection.prepare(&format!("SELECT {COLUMNS} FROM events {which}"))?;
        statement.query_map(parameters, report)?.collect()
    }
}

fn insert(transaction: &Transaction<'_>, now: u64, record: &Record) -> rusqlite::Result<()> {
    let cut = |text: &Option<String>| text.as_ref().map(|text| text.chars().take(LONGEST_TEXT).collect::<String>());
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    transaction.execute(
        "INSERT INTO events (time, kind, uplink, before, after, cause, person, number)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            number(now),
            record.kind.name(),
            cut(&record.uplink),
            cut(&record.from),
            cut(&record.to),
            cut(&record.cause),
            cut(&record.by),
            record.count.map(number),
        ],
    )?;
    Ok(())
}

fn report(row: &Row<'_>) -> rusqlite::Result<EventReport> {
    Ok(EventReport {
        id: row.get::<_, i64>(0)?.unsigned_abs(),
        time: rfc3339(row.get::<_, i64>(1)?.unsigned_abs()),
        event: row.get(2)?,
        uplink: row.get(3)?,
        from: row.get(4)?,
        to: row.get(5)?,
        cause: row.get(6)?,
        by: row.get(7)?,
        count: row.get::<_, Option<i64>>(8)?.map(i64::unsigned_abs),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// 2026-11-25.
    const NOW: u64 = 1_795_618_331_250;

    fn order(by: &str) -> Record {
        let of = |text: &str| Some(text.to_owned());
        Record { kind: Kind::LinkOrdered, uplink: of("dsl1"), to: of("down"), by: of(by), ..Record::default() }
    }

    fn ids(events: &[EventReport]) -> Vec<u64> {
        events.iter().map(|event| event.id).collect()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.db");
        let mut store = Store::open(&path, NOW).unwrap();
        assert_eq!(store.read(Start::Newest, 5).unwrap(), []);
        assert_eq!(store.append(NOW, &[order("uid 0"), order("uid 1")]).unwrap(), 2);
        drop(store);
        let store = Store::open(&path, NOW).unwrap();
        let expected = EventReport {
            id: 2,
            time: "2026-11-25T14:52:11.250Z".to_owned(),
            event: "link-ordered".to_owned(),
            uplink: Some("dsl1".to_owned()),
            to: Some("down".to_owned()),
            by: Some("uid 1".to_owned()),
            ..EventReport::default()
        };
        assert_eq!(store.read(Start::After(1), 5).unwrap(), [expected]);
        assert_eq!(ids(&store.read(Start::Newest, 1).unwrap()), [2]);
        assert_eq!(store.read(Start::After(u64::MAX), 5).unwrap(), []);
    }

    #[test]
    fn oldest_events_go_and_ids_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.db");
        let mut store = Store { most_events: 3, ..Store::open(&path, NOW).unwrap() };
        for _ in 0..10 {
            store.append(NOW, &[order("uid 0")]).unwrap();
        }
        assert_eq!(ids(&store.read(Start::After(0), 100).unwrap()), [8, 9, 10]);
        store.append(NOW, &[order(&"x".repeat(5_000))]).unwrap();
        let newest = store.read(Start::Newest, 1).unwrap();
        assert_eq!(newest[0].by.as_ref().map(String::len), Some(LONGEST_TEXT), "no event is longer than others");
    }

    #[test]
    fn broken_file_is_put_aside_and_the_new_one_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.db");
        let mut store = Store::open(&path, NOW).unwrap();
        for _ in 0..200 {
            store.append(NOW, &[order("uid 0")]).unwrap();
        }
        drop(store);
        let whole = fs::read(&path).unwrap();
        // Torn, overwritten from the start, overwritten in the middle, and never a database at all.
        let mut middle = whole.clone();
        middle[5_000..12_000].fill(0xa5);
        let mut start = whole.clone();
        start[..4_096].fill(0);
        for content in [&whole[..6_000], &start, &middle, b"no database, but longer than a header of one: much"] {
            fs::write(&path, content).unwrap();
            let mut store = Store::open(&path, NOW).unwrap();
            let events = store.read(Start::After(200), 10).unwrap();
            assert_eq!((events.len(), events[0].event.as_str()), (1, "log-begun"), "{events:?}");
            assert!(events[0].cause.as_ref().unwrap().contains("events.db.broken"), "{events:?}");
            let last = store.append(NOW, &[order("uid 0")]).unwrap();
            assert_eq!(last, events[0].id + 1);
            drop(store);
            assert_eq!(fs::read(folder.path().join("events.db.broken")).unwrap(), content);
        }
    }

    #[test]
    fn file_of_another_version_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.db");
        let store = Store::open(&path, NOW).unwrap();
        store.file.connection.pragma_update(None, "user_version", 7).unwrap();
        drop(store);
        let begun = Store::open(&path, NOW).unwrap().read(Start::Newest, 5).unwrap();
        assert!(begun[0].cause.as_ref().unwrap().contains("version 7"), "{begun:?}");
    }

    #[test]
    fn copy_of_another_file_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.db");
        drop(Database::open(&path, VERSION, "CREATE TABLE waiting (number INTEGER PRIMARY KEY)").unwrap());
        let mut store = Store::open(&path, NOW).unwrap();
        let begun = store.read(Start::Newest, 5).unwrap();
        assert!(begun[0].cause.as_ref().unwrap().contains("another file"), "{begun:?}");
        assert!(store.append(NOW, &[order("uid 0")]).is_ok());
    }

    #[test]
    fn full_disk_is_an_error_and_all_before_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(&folder.path().join("events.db"), NOW).unwrap();
        store.append(NOW, &[order("uid 0")]).unwrap();
        let pages: i64 = store.file.connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        store.file.connection.pragma_update(None, "max_page_count", pages).unwrap();
        let many = vec![order(&"x".repeat(200)); 100];
        assert!(store.append(NOW, &many).is_err());
        assert_eq!(ids(&store.read(Start::After(0), 100).unwrap()), [1]);
        store.file.connection.pragma_update(None, "max_page_count", 1_000).unwrap();
        assert_eq!(store.append(NOW, &many).unwrap(), 101);
    }
}
