//! What was done to people beside the router, by `potato user`: the router tells of it when it sees it.

use rusqlite::params;

use super::store::{PeopleError, Store};

/// Most that waits; the oldest goes.
const MOST: i64 = 100;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// There is a user more.
    UserAdded,
    /// He has another role or password.
    UserChanged,
    /// He is no more.
    UserRemoved,
    /// There is a token more.
    TokenAdded,
    /// It is no more.
    TokenRemoved,
}

impl Deed {
    const ALL: [(Self, &'static str); 5] = [
        (Self::UserAdded, "user-added"),
        (Self::UserChanged, "user-changed"),
        (Self::UserRemoved, "user-removed"),
        (Self::TokenAdded, "token-added"),
        (Self::TokenRemoved, "token-removed"),
    ];
}

/// Word of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// What was done.
    pub deed: Deed,
    /// To whom, or to which token.
    pub whom: String,
    /// What is otherwise now.
    pub what: Option<String>,
    /// By whom.
    pub by: String,
}

impl Store {
    /// Leaves word for the router.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn leave_word(&self, word: &Word) -> Result<(), PeopleError> {
        let kind = Deed::ALL.iter().find(|(deed, _)| *deed == word.deed).map(|(_, name)| *name);
        let leave = || -> rusqlite::Result<()> {
            let new = "INSERT INTO untold (kind, whom, cause, person) VALUES (?1, ?2, ?3, ?4)";
            self.connection.execute(new, params![kind, word.whom, word.what, word.by])?;
            let last = self.connection.last_insert_rowid();
            self.connection.execute("DELETE FROM untold WHERE id <= ?1", [last.saturating_sub(MOST)]).map(drop)
        };
        leave().map_err(self.failed())
    }

    /// Takes the words that were left, in their order.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn take_words(&mut self) -> Result<Vec<Word>, PeopleError> {
        let take = |connection: &rusqlite::Connection| -> rusqlite::Result<Vec<Word>> {
            let mut statement = connection.prepare("SELECT kind, whom, cause, person FROM untold ORDER BY id")?;
            let words = statement.query_map([], |row| {
                let kind: String = row.get(0)?;
                let deed = Deed::ALL.iter().find(|(_, name)| *name == kind).map(|(deed, _)| *deed);
                let (whom, what, by) = (row.get(1)?, row.get(2)?, row.get(3)?);
                Ok(deed.map(|deed| Word { deed, whom, what, by }))
            })?;
            let words = words.filter_map(Result::transpose).collect::<rusqlite::Result<Vec<_>>>()?;
            if !words.is_empty() {
                connection.execute("DELETE FROM untold", [])?;
            }
            Ok(words)
        };
        let failed = self.failed();
        let taken = self.connection.transaction().and_then(|transaction| {
            let words = take(&transaction)?;
            transaction.commit()?;
            Ok(words)
        });
        taken.map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_taken_once_and_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path()).unwrap();
        assert_eq!(store.take_words().unwrap(), []);
        let word = |whom: u8| Word {
            deed: Deed::UserAdded,
            whom: format!("user{whom}"),
            what: Some("role viewer".to_owned()),
            by: "uid 0".to_owned(),
        };
        for whom in 0..120 {
            store.leave_word(&word(whom)).unwrap();
        }
        let taken = store.take_words().unwrap();
        assert_eq!((taken.len(), &taken[0], &taken[99]), (100, &word(20), &word(119)));
        assert_eq!(store.take_words().unwrap(), []);
    }
}
