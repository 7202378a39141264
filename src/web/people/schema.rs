//! The tables of the people's file.

use std::time::Duration;

use rusqlite::Connection;

/// Which tables the file has.
pub(super) const VERSION: i64 = 1;
/// Somebody who uses the file beside us (`potato user`) may take this long.
const LONGEST_LOCK: Duration = Duration::from_secs(2);

/// Times are seconds since 1970.
const TABLES: &str = "
CREATE TABLE users (
    name TEXT PRIMARY KEY,
    role TEXT NOT NULL,
    password TEXT NOT NULL, -- argon2id, as a PHC string
    created INTEGER NOT NULL,
    last_seen INTEGER
) WITHOUT ROWID;
CREATE TABLE sessions (
    digest BLOB PRIMARY KEY, -- SHA-256 of the cookie's value
    user TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    created INTEGER NOT NULL,
    used INTEGER NOT NULL,
    address TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX sessions_user ON sessions (user);
CREATE TABLE tokens (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    digest BLOB NOT NULL UNIQUE,
    name TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    created INTEGER NOT NULL,
    last_used INTEGER
);
CREATE TABLE claim (code TEXT NOT NULL);
CREATE TABLE untold ( -- what was done beside the router, which it tells of when it sees it
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    whom TEXT NOT NULL,
    cause TEXT,
    person TEXT NOT NULL
)";

/// Makes the file ready, and gives its version.
pub(super) fn prepare(connection: &Connection) -> rusqlite::Result<i64> {
    connection.busy_timeout(LONGEST_LOCK)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // Who was removed is to stay so when the power fails in the next second.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // What is deleted is to be gone from the file.
    connection.pragma_update(None, "secure_delete", true)?;
    let version = |connection: &Connection| connection.pragma_query_value(None, "user_version", |row| row.get(0));
    if version(connection)? == 0_i64 {
        // Two that begin at one time: the second finds what the first has made.
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let made = match version(connection)? {
            0_i64 => connection.execute_batch(&format!("{TABLES}; PRAGMA user_version = {VERSION}")),
            _ => Ok(()),
        };
        connection.execute_batch(if made.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
        made?;
    }
    version(connection)
}
