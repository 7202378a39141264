//! The file of the trends: SQLite, of bounded size.
//!
//! Every tier is a ring: a bucket's place follows from its time, so that a new one takes the place of one that is too old, nothing
//! is ever deleted, and what is written together lies together on the disk. A bucket that is there already is added to.
//! Days of hosts are kept in a ring as well.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use rusqlite::{OptionalExtension, Row, Transaction, params_from_iter};

use super::bucket::{Bucket, NUMBERS};
use super::rollup::{Key, Tier};
use crate::daemon::report::DayReport;
use crate::daemon::{Database, DatabaseError};

/// Which tables the file has.
const VERSION: i64 = 1;
/// Most lines that anything is kept of: twice as many as a configuration can have. Whose last bucket is the oldest goes.
const MOST_LINES: i64 = 64;
/// Days of hosts that are kept.
const DAYS: i64 = 32;
/// Most hosts of a day.
const MOST_HOSTS: i64 = 4_096;

/// The numbers of a bucket, in their order.
const COLUMNS: [&str; NUMBERS] = [
    "known",
    "in_bytes",
    "out_bytes",
    "loss",
    "loss_known",
    "round_trip",
    "round_trip_known",
    "usable",
    "missing",
    "no_carrier",
    "unresolved",
    "testing",
    "lame",
    "standby",
    "down",
];

static SCHEMA: LazyLock<String> = LazyLock::new(|| {
    let columns = COLUMNS.map(|name| format!("{name} INTEGER NOT NULL")).join(", ");
    format!(
        "CREATE TABLE lines (line INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
         CREATE TABLE buckets (
             step INTEGER NOT NULL, -- seconds
             place INTEGER NOT NULL, -- in the ring
             line INTEGER NOT NULL,
             start INTEGER NOT NULL, -- seconds since 1970
             {columns}, -- times in milliseconds; loss in percent times time; round trip in microseconds times time
             PRIMARY KEY (step, place, line)
         ) WITHOUT ROWID;
         CREATE TABLE days (
             place INTEGER NOT NULL, -- in the ring
             host INTEGER NOT NULL, -- its address
             day INTEGER NOT NULL, -- local days since 1970
             out_bytes INTEGER NOT NULL,
             in_bytes INTEGER NOT NULL,
             PRIMARY KEY (place, host)
         ) WITHOUT ROWID"
    )
});

static ADD_BUCKET: LazyLock<String> = LazyLock::new(|| {
    let added = |name: &str| format!("{name} = {name} * (start = excluded.start) + excluded.{name}");
    format!(
        "INSERT INTO buckets (step, place, line, start, {}) VALUES (?{})
         ON CONFLICT DO UPDATE SET {}, start = excluded.start",
        COLUMNS.join(", "),
        ", ?".repeat(3 + NUMBERS),
        COLUMNS.map(added).join(", "),
    )
});

const ADD_DAY: &str = "INSERT INTO days (place, host, day, out_bytes, in_bytes) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET out_bytes = out_bytes + excluded.out_bytes, in_bytes = in_bytes + excluded.in_bytes";

/// What hosts have used, by local day (since 1970) and host.
pub(super) type Days = BTreeMap<(i64, Ipv4Addr), DayReport>;

/// The open file.
#[derive(Debug)]
pub(super) struct Store(Database);

impl Store {
    /// Opens the file at `path`, or begins one.
    ///
    /// # Errors
    /// When neither is possible.
    pub(super) fn open(path: &Path) -> Result<Self, DatabaseError> {
        Database::open(path, VERSION, &SCHEMA).map(Self)
    }

    /// Adds buckets and days to those that are there, all or none.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(super) fn add(&mut self, buckets: &BTreeMap<Key, Bucket>, days: &Days) -> Result<(), DatabaseError> {
        let added = self.0.connection.transaction().and_then(|transaction| {
            add_buckets(&transaction, buckets)?;
            add_days(&transaction, days)?;
            transaction.commit()
        });
        added.map_err(|source| self.0.error(source))
    }

    /// The buckets of a tier that begin from `from` to `until` (seconds since 1970); of one line, or of all.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn buckets(
        &self,
        tier: Tier,
        (from, until): (u64, u64),
        line: Option<&str>,
    ) -> Result<BTreeMap<Key, Bucket>, DatabaseError> {
        let read = || {
            let text = format!(
                "SELECT start, name, {} FROM buckets JOIN lines USING (line)
                 WHERE step = ?1 AND start BETWEEN ?2 AND ?3 AND (?4 IS NULL OR name = ?4)",
                COLUMNS.join(", ")
            );
            let mut statement = self.0.connection.prepare(&text)?;
            let parameters = (signed(tier.step()), signed(from), signed(until), line);
            let mut names: BTreeMap<String, Arc<str>> = BTreeMap::new();
            let rows = statement.query_map(parameters, |row| {
                let name: String = row.get(1)?;
                let line = Arc::clone(names.entry(name).or_insert_with_key(|name| name.as_str().into()));
                Ok((Key { tier, start: unsigned(row, 0)?, line }, bucket(row)?))
            })?;
            rows.collect::<rusqlite::Result<_>>()
        };
        read().map_err(|source| self.0.error(source))
    }

    /// What hosts have used on the local days from one to another.
    ///
    /// # Errors
    /// When that cannot be read.
    pub(super) fn days(&self, from: i64, until: i64) -> Result<Days, DatabaseError> {
        let read = || {
            let text = "SELECT day, host, out_bytes, in_bytes FROM days WHERE day BETWEEN ?1 AND ?2";
            let mut statement = self.0.connection.prepare(text)?;
            let rows = statement.query_map([from, until], |row| {
                let used = DayReport { out_bytes: unsigned(row, 2)?, in_bytes: unsigned(row, 3)? };
                Ok(((row.get(0)?, Ipv4Addr::from_bits(row.get(1)?)), used))
            })?;
            rows.collect::<rusqlite::Result<_>>()
        };
        read().map_err(|source| self.0.error(source))
    }
}

fn add_buckets(transaction: &Transaction<'_>, buckets: &BTreeMap<Key, Bucket>) -> rusqlite::Result<()> {
    let mut lines: BTreeMap<Arc<str>, i64> = BTreeMap::new();
    let mut statement = transaction.prepare(&ADD_BUCKET)?;
    for (key, bucket) in buckets {
        let line = match lines.get(&key.line) {
            Some(line) => *line,
            None => line_named(transaction, &key.line)?,
        };
        lines.insert(Arc::clone(&key.line), line);
        let step = key.tier.step();
        let place = key.start / step % key.tier.kept();
        let place = [signed(step), signed(place), line, signed(key.start)];
        statement.execute(params_from_iter(place.into_iter().chain(bucket.numbers().map(signed))))?;
    }
    Ok(())
}

/// The number of a line, which it gets now if it has none.
fn line_named(transaction: &Transaction<'_>, name: &str) -> rusqlite::Result<i64> {
    let known = "SELECT line FROM lines WHERE name = ?1";
    if let Some(line) = transaction.prepare(known)?.query_row([name], |row| row.get(0)).optional()? {
        return Ok(line);
    }
    let lines: i64 = transaction.query_row("SELECT count(*) FROM lines", [], |row| row.get(0))?;
    if lines >= MOST_LINES {
        let oldest = "SELECT line FROM lines LEFT JOIN buckets USING (line) GROUP BY line ORDER BY max(start) LIMIT 1";
        let oldest: i64 = transaction.query_row(oldest, [], |row| row.get(0))?;
        transaction.execute("DELETE FROM buckets WHERE line = ?1", [oldest])?;
        transaction.execute("DELETE FROM lines WHERE line = ?1", [oldest])?;
    }
    transaction.execute("INSERT INTO lines (name) VALUES (?1)", [name])?;
    Ok(transaction.last_insert_rowid())
}

fn add_days(transaction: &Transaction<'_>, days: &Days) -> rusqlite::Result<()> {
    let mut has_room = transaction.prepare(
        "SELECT count(*) < ?3 OR EXISTS (SELECT 1 FROM days WHERE place = ?1 AND host = ?2) FROM days WHERE place = ?1",
    )?;
    let mut add = transaction.prepare(ADD_DAY)?;
    let mut cleared = None;
    for ((day, host), used) in days {
        let place = day.rem_euclid(DAYS);
        if cleared != Some(*day) {
            transaction.execute("DELETE FROM days WHERE place = ?1 AND day != ?2", [place, *day])?;
            cleared = Some(*day);
        }
        let host = i64::from(host.to_bits());
        if has_room.query_row([place, host, MOST_HOSTS], |row| row.get(0))? {
            add.execute([place, host, *day, signed(used.out_bytes), signed(used.in_bytes)])?;
        }
    }
    Ok(())
}

fn bucket(row: &Row<'_>) -> rusqlite::Result<Bucket> {
    let mut numbers = [0; NUMBERS];
    for (at, number) in numbers.iter_mut().enumerate() {
        *number = unsigned(row, at + 2)?;
    }
    Ok(Bucket::from_numbers(numbers))
}

fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)?.unsigned_abs())
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
