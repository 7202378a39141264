//! Sessions: who has signed in with which browser.

use std::net::IpAddr;

use rusqlite::{OptionalExtension, params};

use super::name::Name;
use super::role::Role;
use super::secret::Digest;
use super::store::{PeopleError, Store, role, seconds};

/// A session that nobody uses ends after this: 12 h.
const LONGEST_REST: u64 = 12 * 3_600;
/// Every session ends after this: 7 days.
pub(crate) const LONGEST_LIFE: u64 = 7 * 86_400;
/// That a session is used is written at most so often: a minute.
const NOTED_EVERY: u64 = 60;
/// Browsers that one user may be signed in with; the oldest is signed out.
const MOST_SESSIONS: i64 = 20;

/// Whose a session or a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The user's or the token's name.
    pub name: String,
    /// What he may do now.
    pub role: Role,
}

/// Whether somebody does something with his session, or it is only looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// It goes on for longer by that.
    Counts,
    /// It does not.
    Looks,
}

impl Store {
    /// Begins a session of `name`.
    ///
    /// # Errors
    /// When the file cannot be written, or he was removed meanwhile.
    pub fn begin_session(&mut self, name: &Name, digest: &Digest, now: u64, from: IpAddr) -> Result<(), PeopleError> {
        let failed = self.failed();
        let begin = |store: &mut Self| -> rusqlite::Result<()> {
            let transaction = store.connection.transaction()?;
            let dead = "DELETE FROM sessions WHERE used < ?1 OR created < ?2";
            transaction.execute(dead, params![since(now, LONGEST_REST), since(now, LONGEST_LIFE)])?;
            let surplus = "DELETE FROM sessions WHERE digest IN
                (SELECT digest FROM sessions WHERE user = ?1 ORDER BY used DESC LIMIT -1 OFFSET ?2)";
            transaction.execute(surplus, params![name.as_str(), MOST_SESSIONS - 1])?;
            let new = "INSERT INTO sessions (digest, user, created, used, address) VALUES (?1, ?2, ?3, ?3, ?4)";
            transaction.execute(new, params![digest.bytes(), name.as_str(), seconds(now), from.to_string()])?;
            transaction
                .execute("UPDATE users SET last_seen = ?2 WHERE name = ?1", params![name.as_str(), seconds(now)])?;
            transaction.commit()
        };
        begin(self).map_err(failed)
    }

    /// Whose session that is, if it is one and has not ended.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn session(&mut self, digest: &Digest, now: u64, how: Use) -> Result<Option<Holder>, PeopleError> {
        let select = "SELECT name, role, used FROM sessions JOIN users ON user = name
                      WHERE digest = ?1 AND used >= ?2 AND sessions.created >= ?3";
        let values = params![digest.bytes(), since(now, LONGEST_REST), since(now, LONGEST_LIFE)];
        let found = self.connection.query_row(select, values, |row| {
            let used: i64 = row.get(2)?;
            Ok((Holder { name: row.get(0)?, role: role(&row.get::<_, String>(1)?) }, used.unsigned_abs()))
        });
        let Some((holder, used)) = found.optional().map_err(self.failed())? else { return Ok(None) };
        if how == Use::Counts && now.saturating_sub(used) >= NOTED_EVERY {
            // On a full disk he is somebody all the same.
            let _noted = self.note_use(digest, &holder.name, now);
        }
        Ok(Some(holder))
    }

    fn note_use(&self, digest: &Digest, name: &str, now: u64) -> rusqlite::Result<()> {
        let now = seconds(now);
        self.connection.execute("UPDATE sessions SET used = ?2 WHERE digest = ?1", params![digest.bytes(), now])?;
        self.connection.execute("UPDATE users SET last_seen = ?2 WHERE name = ?1", params![name, now]).map(drop)
    }

    /// Ends a session.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn end_session(&mut self, digest: &Digest) -> Result<(), PeopleError> {
        let ended = self.connection.execute("DELETE FROM sessions WHERE digest = ?1", [digest.bytes()]);
        ended.map(drop).map_err(self.failed())
    }

    /// Ends all sessions of somebody, and tells how many there were.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn end_sessions_of(&mut self, name: &Name) -> Result<usize, PeopleError> {
        self.connection.execute("DELETE FROM sessions WHERE user = ?1", [name.as_str()]).map_err(self.failed())
    }
}

/// The earliest time that counts.
fn since(now: u64, span: u64) -> i64 {
    seconds(now.saturating_sub(span))
}
