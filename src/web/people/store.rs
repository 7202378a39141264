//! The people's file, and the users in it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, TransactionBehavior, params};

use super::name::{Name, NameError};
use super::password::{Hash, PasswordError};
use super::role::Role;
use super::schema::{self, VERSION};
use super::secret::{self, NoRandomness};
use crate::daemon::begin_private;

/// The file in the state directory.
const FILE: &str = "people.db";

/// Why something cannot be done about people.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// The file cannot be made.
    #[error("{}: {source}; let this user write there", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file cannot be read or written.
    #[error("{}: {source}{}", path.display(), remedy(source))]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: rusqlite::Error,
    },
    /// Another version has written it.
    #[error("{}: version {found} of the users' file, which this program does not know", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// What it says.
        found: i64,
    },
    /// That is no name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// There is somebody of that name.
    #[error("there is a user {0} already; `potato user password {0}` gives another password")]
    NameTaken(Name),
    /// There is nobody of that name.
    #[error("there is no user {0}; `potato user list` shows who there is")]
    NoSuchUser(Name),
    /// Nobody could add anybody any more.
    #[error("{0} is the last admin; make somebody else one first")]
    LastAdmin(Name),
    /// There is a token of that name.
    #[error("there is a token {0} already; take another name")]
    TokenTaken(Name),
    /// There is no such token.
    #[error("there is no token {0}; `potato token list` shows those that there are")]
    NoSuchToken(String),
    /// Somebody was faster, or it was long ago.
    #[error("the router has users already; sign in, or have an admin add you")]
    Claimed,
    /// That is not what the console shows.
    #[error("that is not the code that the router has printed on its console; `potato user claim-code` there shows it")]
    WrongCode,
    /// The password is not good enough, or cannot be hashed.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// A bug: whoever worked on it has stopped.
    #[error("interrupted: {0}")]
    Interrupted(String),
    /// No secret can be made.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

fn remedy(source: &rusqlite::Error) -> &'static str {
    match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            "; the file is broken: move it away, start the router again and claim it anew"
        }
        Some(ErrorCode::DiskFull | ErrorCode::ReadOnly | ErrorCode::SystemIoFailure) => {
            "; give state_dir room and let the router write there"
        }
        _ => "",
    }
}

/// A user, as others may see him.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Who.
    pub name: String,
    /// What he may do.
    pub role: Role,
    /// When he last did something by the pages, in seconds since 1970.
    pub last_seen: Option<u64>,
}

/// The open file.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    pub(super) connection: Connection,
}

impl Store {
    /// Opens the file in `state_dir`, and makes it if it is not there: for its owner alone.
    ///
    /// # Errors
    /// When it cannot be used. A file that is broken is not replaced: whoever could break it would be its new owner.
    pub fn open(state_dir: &Path) -> Result<Self, PeopleError> {
        let path = state_dir.join(FILE);
        let failed = |source| PeopleError::File { path: path.clone(), source };
        fs::create_dir_all(state_dir).map_err(failed)?;
        begin_private(&path).map_err(failed)?;
        let failed = |source| PeopleError::Sqlite { path: path.clone(), source };
        let connection = Connection::open(&path).map_err(failed)?;
        let found = schema::prepare(&connection).map_err(failed)?;
        if found != VERSION {
            return Err(PeopleError::Version { path, found });
        }
        Ok(Self { path, connection })
    }

    /// Says of which file something is wrong.
    pub(super) fn failed(&self) -> impl FnOnce(rusqlite::Error) -> PeopleError + use<> {
        let path = self.path.clone();
        move |source| PeopleError::Sqlite { path, source }
    }

    /// Whether the router is somebody's.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn is_claimed(&self) -> Result<bool, PeopleError> {
        let any = "SELECT EXISTS (SELECT 1 FROM users)";
        self.connection.query_row(any, [], |row| row.get(0)).map_err(self.failed())
    }

    /// The code that makes the first user; `None`: there is one. It stays the same until it is used.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn claim_code(&mut self) -> Result<Option<String>, PeopleError> {
        if self.is_claimed()? {
            return Ok(None);
        }
        if let Some(code) = self.written_code()? {
            return Ok(Some(code));
        }
        let code = secret::claim_code()?;
        let only_one = "INSERT INTO claim (code) SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM claim)";
        self.connection.execute(only_one, [&code]).map_err(self.failed())?;
        self.written_code()
    }

    fn written_code(&self) -> Result<Option<String>, PeopleError> {
        let code = self.connection.query_row("SELECT code FROM claim", [], |row| row.get(0)).optional();
        code.map_err(self.failed())
    }

    /// Whether `typed` is the code that makes the first user.
    ///
    /// # Errors
    /// [`PeopleError::Claimed`] and [`PeopleError::WrongCode`], or when the file cannot be read.
    pub fn check_code(&self, typed: &str) -> Result<(), PeopleError> {
        if self.is_claimed()? {
            return Err(PeopleError::Claimed);
        }
        let code = self.written_code()?.filter(|code| secret::is_code(code, typed));
        code.map(drop).ok_or(PeopleError::WrongCode)
    }

    /// Makes the first user, an admin.
    ///
    /// # Errors
    /// When there is one, or the code is another.
    pub fn claim(&mut self, typed: &str, name: &Name, password: &Hash, now: u64) -> Result<(), PeopleError> {
        self.check_code(typed)?;
        let first = "INSERT INTO users (name, role, password, created) SELECT ?1, 'admin', ?2, ?3
                     WHERE NOT EXISTS (SELECT 1 FROM users)";
        let added = self.connection.execute(first, params![name.as_str(), password.as_str(), seconds(now)]);
        if added.map_err(self.failed())? == 0 {
            return Err(PeopleError::Claimed);
        }
        self.forget_code()
    }

    fn forget_code(&self) -> Result<(), PeopleError> {
        self.connection.execute("DELETE FROM claim", []).map(drop).map_err(self.failed())
    }

    /// Adds a user. The first one takes the place of the claim.
    ///
    /// # Errors
    /// When there is one of that name, or the file cannot be written.
    pub fn add_user(&mut self, name: &Name, role: Role, password: &Hash, now: u64) -> Result<(), PeopleError> {
        let new = "INSERT INTO users (name, role, password, created) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
        let values = params![name.as_str(), role.name(), password.as_str(), seconds(now)];
        if self.connection.execute(new, values).map_err(self.failed())? == 0 {
            return Err(PeopleError::NameTaken(name.clone()));
        }
        self.forget_code()
    }

    /// Everybody, by name.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn users(&self) -> Result<Vec<User>, PeopleError> {
        let read = || -> rusqlite::Result<Vec<User>> {
            let mut statement = self.connection.prepare("SELECT name, role, last_seen FROM users ORDER BY name")?;
            statement.query_map([], user)?.collect()
        };
        read().map_err(self.failed())
    }

    /// Somebody.
    ///
    /// # Errors
    /// When there is nobody of that name, or the file cannot be read.
    pub fn user(&self, name: &Name) -> Result<User, PeopleError> {
        let select = "SELECT name, role, last_seen FROM users WHERE name = ?1";
        let found = self.connection.query_row(select, [name.as_str()], user).optional().map_err(self.failed())?;
        found.ok_or_else(|| PeopleError::NoSuchUser(name.clone()))
    }

    /// What somebody may do.
    ///
    /// # Errors
    /// As [`Self::user`].
    pub fn role_of(&self, name: &Name) -> Result<Role, PeopleError> {
        self.user(name).map(|user| user.role)
    }

    /// What is kept of somebody's password.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn password_of(&self, name: &Name) -> Result<Option<Hash>, PeopleError> {
        let select = "SELECT password FROM users WHERE name = ?1";
        let found = self.connection.query_row(select, [name.as_str()], |row| row.get(0)).optional();
        Ok(found.map_err(self.failed())?.map(Hash::kept))
    }

    /// Gives somebody another password, which ends all his sessions.
    ///
    /// # Errors
    /// When there is nobody of that name, or the file cannot be written.
    pub fn set_password(&mut self, name: &Name, password: &Hash) -> Result<(), PeopleError> {
        let failed = self.failed();
        let mut set = || -> rusqlite::Result<usize> {
            let transaction = self.connection.transaction()?;
            let values = params![name.as_str(), password.as_str()];
            let changed = transaction.execute("UPDATE users SET password = ?2 WHERE name = ?1", values)?;
            transaction.execute("DELETE FROM sessions WHERE user = ?1", [name.as_str()])?;
            transaction.commit()?;
            Ok(changed)
        };
        if set().map_err(failed)? == 0 { Err(PeopleError::NoSuchUser(name.clone())) } else { Ok(()) }
    }

    /// Gives somebody another role, and tells which he had.
    ///
    /// # Errors
    /// When there is nobody of that name, when nobody would be an admin any more, or the file cannot be written.
    pub fn set_role(&mut self, name: &Name, role: Role) -> Result<Role, PeopleError> {
        self.change(name, (role != Role::Admin).then_some(()), |transaction| {
            let values = params![name.as_str(), role.name()];
            transaction.execute("UPDATE users SET role = ?2 WHERE name = ?1", values).map(drop)
        })
    }

    /// Removes somebody, and his sessions.
    ///
    /// # Errors
    /// When there is nobody of that name, when nobody would be an admin any more, or the file cannot be written.
    pub fn remove_user(&mut self, name: &Name) -> Result<Role, PeopleError> {
        self.change(name, Some(()), |transaction| {
            transaction.execute("DELETE FROM users WHERE name = ?1", [name.as_str()]).map(drop)
        })
    }

    /// Makes a change to somebody, and tells which role he had. If he is to be no admin afterwards, there must be another.
    fn change(
        &mut self,
        name: &Name,
        no_admin_afterwards: Option<()>,
        change: impl FnOnce(&Connection) -> rusqlite::Result<()>,
    ) -> Result<Role, PeopleError> {
        let failed = self.failed();
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let outcome = transaction.and_then(|transaction| {
            let select = "SELECT role FROM users WHERE name = ?1";
            let before: Option<String> = transaction.query_row(select, [name.as_str()], |row| row.get(0)).optional()?;
            let Some(before) = before.as_deref().map(role) else {
                return Ok(Err(PeopleError::NoSuchUser(name.clone())));
            };
            let others = "SELECT EXISTS (SELECT 1 FROM users WHERE role = 'admin' AND name <> ?1)";
            let has_other: bool = transaction.query_row(others, [name.as_str()], |row| row.get(0))?;
            if before == Role::Admin && no_admin_afterwards.is_some() && !has_other {
                return Ok(Err(PeopleError::LastAdmin(name.clone())));
            }
            change(&transaction)?;
            transaction.commit()?;
            Ok(Ok(before))
        });
        outcome.map_err(failed)?
    }
}

/// A user, of a row with name, role and when he was last seen.
fn user(row: &Row<'_>) -> rusqlite::Result<User> {
    let last_seen: Option<i64> = row.get(2)?;
    let role = role(&row.get::<_, String>(1)?);
    Ok(User { name: row.get(0)?, role, last_seen: last_seen.map(i64::unsigned_abs) })
}

/// A role as it is kept; one that this program does not know may as little as possible.
pub(super) fn role(name: &str) -> Role {
    Role::named(name).unwrap_or(Role::Viewer)
}

/// Seconds as SQLite has them.
pub(super) fn seconds(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}
