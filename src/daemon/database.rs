//! Files of SQLite's in the state directory.
//!
//! Opened with a log beside it (WAL), so that readers do not stop writers and a commit does not wait for the disk. A file that
//! SQLite cannot read, that another version has written, or that is another file's copy is put aside under another name and a new
//! one begun: what the past has left never stops the present.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};
use tracing::warn;

/// Somebody who reads the file beside us may take this long.
const LONGEST_LOCK: Duration = Duration::from_millis(500);

/// Why a file cannot be used now.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// Its directory cannot be made, or it cannot be put aside.
    #[error("{}: {source}", path.display())]
    Directory {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// SQLite refuses.
    #[error("{}: {source}", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Its answer.
        source: rusqlite::Error,
    },
    /// Written by another version.
    #[error("{}: written in version {found} of its format, which this program does not know", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// What stands in it.
        found: i64,
    },
    /// Something in it is not as SQLite leaves it.
    #[error("{}: {what}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What SQLite finds.
        what: String,
    },
}

impl DatabaseError {
    /// Whether the file itself is the reason, so that another one would do.
    fn is_in_the_file(&self) -> bool {
        match self {
            Self::Directory { .. } => false,
            Self::Sqlite { source, .. } => {
                matches!(source.sqlite_error_code(), Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt))
            }
            Self::Version { .. } | Self::Broken { .. } => true,
        }
    }
}

/// A file that is open.
#[derive(Debug)]
pub struct Database {
    /// Its path.
    pub path: PathBuf,
    /// The way to it.
    pub connection: Connection,
    /// Why another file was put aside for it, and where that is; `None`: there was none, or it is the same.
    pub instead_of: Option<String>,
}

impl Database {
    /// Opens the file at `path`, whose tables `schema` makes, in the version of the format that is given; or begins one.
    ///
    /// # Errors
    /// When neither is possible.
    pub fn open(path: &Path, version: i64, schema: &str) -> Result<Self, DatabaseError> {
        match Self::open_as_it_is(path, version, schema) {
            Err(error) if error.is_in_the_file() => {
                let aside = suffixed(path, ".broken");
                let moved = fs::rename(path, &aside);
                moved.map_err(|source| DatabaseError::Directory { path: path.to_owned(), source })?;
                // They belong to the broken file, and SQLite would put them into the new one.
                for suffix in ["-wal", "-shm"] {
                    let _not_there_is_fine = fs::remove_file(suffixed(path, suffix));
                }
                warn!(%error, kept_as = %aside.display(), "a file of the state directory is broken; a new one is begun");
                let instead_of = Some(format!("{error}; kept as {}", aside.display()));
                Ok(Self { instead_of, ..Self::open_as_it_is(path, version, schema)? })
            }
            outcome => outcome,
        }
    }

    fn open_as_it_is(path: &Path, version: i64, schema: &str) -> Result<Self, DatabaseError> {
        if let Some(directory) = path.parent() {
            let failed = |source| DatabaseError::Directory { path: path.to_owned(), source };
            fs::create_dir_all(directory).map_err(failed)?;
        }
        let _sqlite_says_what_is_wrong = begin_private(path);
        let failed = |source| DatabaseError::Sqlite { path: path.to_owned(), source };
        let connection = Connection::open(path).map_err(failed)?;
        let (found, damage) = prepare(&connection, version, schema).map_err(failed)?;
        if found != version {
            return Err(DatabaseError::Version { path: path.to_owned(), found });
        }
        match damage {
            Some(what) => Err(DatabaseError::Broken { path: path.to_owned(), what }),
            None => Ok(Self { path: path.to_owned(), connection, instead_of: None }),
        }
    }

    /// Names the file in what SQLite says.
    #[must_use]
    pub fn error(&self, source: rusqlite::Error) -> DatabaseError {
        DatabaseError::Sqlite { path: self.path.clone(), source }
    }
}

/// Makes the file at `path`, for its owner alone, unless it is there. SQLite gives the files beside it the same permissions.
///
/// # Errors
/// When it can be neither made nor written.
pub fn begin_private(path: &Path) -> io::Result<()> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path).map(drop)
}

/// Makes the file ready, and gives its version and what is broken about it.
fn prepare(connection: &Connection, version: i64, schema: &str) -> rusqlite::Result<(i64, Option<String>)> {
    connection.busy_timeout(LONGEST_LOCK)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    let found = |connection: &Connection| connection.pragma_query_value(None, "user_version", |row| row.get(0));
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables == 0 && found(connection)? == 0 {
        connection.execute_batch(&format!("BEGIN; {schema}; PRAGMA user_version = {version}; COMMIT"))?;
    }
    Ok((found(connection)?, damage(connection, schema)?))
}

/// What is broken about a file, if something is.
fn damage(connection: &Connection, schema: &str) -> rusqlite::Result<Option<String>> {
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Ok(Some(verdict));
    }
    let example = Connection::open_in_memory()?;
    example.execute_batch(schema)?;
    let found = columns(connection)?;
    let mut missing = columns(&example)?.into_iter().filter(|column| !found.contains(column));
    Ok(missing.next().map(|(table, column)| format!("its table {table} has no {column}, so it is another file")))
}

/// All tables' columns: table and column.
fn columns(connection: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    let all = "SELECT tables.name, columns.name FROM sqlite_schema AS tables, pragma_table_info(tables.name) AS columns
        WHERE tables.type = 'table'";
    let mut statement = connection.prepare(all)?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn files_are_for_their_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/some.db");
        let file = Database::open(&path, 1, "CREATE TABLE words (word TEXT)").unwrap();
        file.connection.execute("INSERT INTO words VALUES ('secret')", []).unwrap();
        for suffix in ["", "-wal", "-shm"] {
            let mode = fs::metadata(suffixed(&path, suffix)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{suffix}");
        }
    }
}
