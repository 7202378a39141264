//! Tokens: what scripts show instead of signing in. They end when somebody removes them.

use rusqlite::{OptionalExtension, params};

use super::name::Name;
use super::role::Role;
use super::secret::Digest;
use super::sessions::Holder;
use super::store::{PeopleError, Store, role, seconds};

/// That a token is used is written at most so often: a minute.
const NOTED_EVERY: u64 = 60;

/// A token, as others may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its number.
    pub id: i64,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Since when there is one, in seconds since 1970.
    pub created: u64,
    /// When somebody last came with it, to the minute.
    pub last_used: Option<u64>,
}

impl Store {
    /// Adds a token, and gives its number.
    ///
    /// # Errors
    /// When there is one of that name, or the file cannot be written.
    pub fn add_token(&mut self, name: &Name, role: Role, digest: &Digest, now: u64) -> Result<i64, PeopleError> {
        let new = "INSERT INTO tokens (name, role, digest, created) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
        let values = params![name.as_str(), role.name(), digest.bytes(), seconds(now)];
        if self.connection.execute(new, values).map_err(self.failed())? == 0 {
            return Err(PeopleError::TokenTaken(name.clone()));
        }
        Ok(self.connection.last_insert_rowid())
    }

    /// All tokens, the oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn tokens(&self) -> Result<Vec<Token>, PeopleError> {
        let read = || -> rusqlite::Result<Vec<Token>> {
            let select = "SELECT id, name, role, created, last_used FROM tokens ORDER BY id";
            let mut statement = self.connection.prepare(select)?;
            let tokens = statement.query_map([], |row| {
                Ok(Token {
                    id: row.get(0)?,
                    name: row.get(1)?,
                    role: role(&row.get::<_, String>(2)?),
                    created: row.get::<_, i64>(3)?.unsigned_abs(),
                    last_used: row.get::<_, Option<i64>>(4)?.map(i64::unsigned_abs),
                })
            })?;
            tokens.collect()
        };
        read().map_err(self.failed())
    }

    /// Whose token that is, if it is one.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn token(&mut self, digest: &Digest, now: u64) -> Result<Option<Holder>, PeopleError> {
        let select = "SELECT name, role, last_used FROM tokens WHERE digest = ?1";
        let found = self.connection.query_row(select, [digest.bytes()], |row| {
            let used: Option<i64> = row.get(2)?;
            Ok((Holder { name: row.get(0)?, role: role(&row.get::<_, String>(1)?) }, used.map(i64::unsigned_abs)))
        });
        let Some((holder, used)) = found.optional().map_err(self.failed())? else { return Ok(None) };
        if used.is_none_or(|used| now.saturating_sub(used) >= NOTED_EVERY) {
            // On a full disk it is one all the same.
            let note = "UPDATE tokens SET last_used = ?2 WHERE digest = ?1";
            let _noted = self.connection.execute(note, params![digest.bytes(), seconds(now)]);
        }
        Ok(Some(holder))
    }

    /// Removes a token, by its number or its name, and tells its name.
    ///
    /// # Errors
    /// When there is none, or the file cannot be written.
    pub fn remove_token(&mut self, which: &str) -> Result<String, PeopleError> {
        let delete = "DELETE FROM tokens WHERE id = (SELECT id FROM tokens
                      WHERE CAST(id AS TEXT) = ?1 OR name = ?1 ORDER BY name = ?1 LIMIT 1) RETURNING name";
        let removed = self.connection.query_row(delete, [which], |row| row.get(0)).optional();
        removed.map_err(self.failed())?.ok_or_else(|| PeopleError::NoSuchToken(which.to_owned()))
    }
}
