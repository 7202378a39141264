//! The people's file, and the users in it.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OptionalExtension, TransactionBehavior, params};

use super::name::{Name, NameError};
use super::password::{Hash, PasswordError};
use super::role::Role;
use super::schema::{self, VERSION};
use super::secret::{self, NoRandomness};

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
        // SQLite gives the files beside it the same permissions.
        OpenOptions::new().append(true).create(true).mode(0o600).open(&path).map_err(failed)?;
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
            let users = statement.query_map([], |row| {
                let last_seen: Option<i64> = row.get(2)?;
                let role = role(&row.get::<_, String>(1)?);
                Ok(User { name: row.get(0)?, role, last_seen: last_seen.map(i64::unsigned_abs) })
            })?;
            users.collect()
        };
        read().map_err(self.failed())
    }

    /// What somebody may do.
    ///
    /// # Errors
    /// When there is nobody of that name, or the file cannot be read.
    pub fn role_of(&self, name: &Name) -> Result<Role, PeopleError> {
        let select = "SELECT role FROM users WHERE name = ?1";
        let found: Option<String> =
            self.connection.query_row(select, [name.as_str()], |row| row.get(0)).optional().map_err(self.failed())?;
        found.as_deref().map(role).ok_or_else(|| PeopleError::NoSuchUser(name.clone()))
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

/// A role as it is kept; one that this program does not know may as little as possible.
pub(super) fn role(name: &str) -> Role {
    Role::named(name).unwrap_or(Role::Viewer)
}

/// Seconds as SQLite has them.
pub(super) fn seconds(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::web::people::secret::{Digest, Secret};
    use crate::web::people::sessions::{Holder, Use};

    /// 2026-11-26.
    const NOW: u64 = 1_795_700_000;
    const HOUR: u64 = 3_600;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    /// Nobody verifies it here.
    fn hash() -> Hash {
        Hash::kept("$argon2id$...".to_owned())
    }

    /// A file with the admin anna and the viewer bert.
    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path()).unwrap();
        store.add_user(&name("anna"), Role::Admin, &hash(), NOW).unwrap();
        store.add_user(&name("bert"), Role::Viewer, &hash(), NOW).unwrap();
        (folder, store)
    }

    fn signed_in(store: &mut Store, user: &str, at: u64) -> Digest {
        let digest = Secret::for_session().unwrap().digest();
        store.begin_session(&name(user), &digest, at, [192, 168, 10, 20].into()).unwrap();
        digest
    }

    fn holder(store: &mut Store, digest: &Digest, at: u64) -> Option<Holder> {
        store.session(digest, at, Use::Counts).unwrap()
    }

    #[test]
    fn first_user_knows_the_code_and_there_is_no_second_first_one() {
        let folder = tempfile::tempdir().unwrap();
        let state_dir = folder.path().join("not/there/yet");
        let code = Store::open(&state_dir).unwrap().claim_code().unwrap().unwrap();
        // It is the same over restarts.
        let mut store = Store::open(&state_dir).unwrap();
        assert_eq!(store.claim_code().unwrap(), Some(code.clone()));
        let mut claim = |code: &str| store.claim(code, &name("anna"), &hash(), NOW);
        assert!(matches!(claim("AAAA-AAAA-AAAA"), Err(PeopleError::WrongCode)));
        claim(&code.to_lowercase()).unwrap();
        assert!(matches!(claim(&code), Err(PeopleError::Claimed)));
        assert_eq!(store.claim_code().unwrap(), None);
        let expected = User { name: "anna".to_owned(), role: Role::Admin, last_seen: None };
        assert_eq!(store.users().unwrap(), [expected]);
    }

    #[test]
    fn file_and_those_beside_it_are_for_their_owner_alone() {
        let (folder, _store) = store();
        for file in fs::read_dir(folder.path()).unwrap() {
            let file = file.unwrap();
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", file.file_name());
        }
    }

    #[test]
    fn user_who_is_added_ends_the_claim() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path()).unwrap();
        let code = store.claim_code().unwrap().unwrap();
        store.add_user(&name("anna"), Role::Admin, &hash(), NOW).unwrap();
        assert!(matches!(store.check_code(&code), Err(PeopleError::Claimed)));
        let again = store.add_user(&name("anna"), Role::Viewer, &hash(), NOW);
        assert!(matches!(again, Err(PeopleError::NameTaken(_))));
    }

    #[test]
    fn session_ends_unused_after_half_a_day_and_used_after_a_week() {
        let (_folder, mut store) = store();
        let (unused, used) = (signed_in(&mut store, "anna", NOW), signed_in(&mut store, "bert", NOW));
        let bert = Some(Holder { name: "bert".to_owned(), role: Role::Viewer });
        for hours in (0..7 * 24).step_by(11) {
            assert_eq!(holder(&mut store, &used, NOW + hours * HOUR), bert, "{hours}");
        }
        assert_eq!(holder(&mut store, &used, NOW + 7 * 24 * HOUR + 1), None);
        assert!(holder(&mut store, &unused, NOW + 12 * HOUR).is_some());
        let unused = signed_in(&mut store, "anna", NOW);
        // Who only looks whether it goes on does not make it go on.
        assert!(store.session(&unused, NOW + 11 * HOUR, Use::Looks).unwrap().is_some());
        assert_eq!(holder(&mut store, &unused, NOW + 12 * HOUR + 1), None);
        // A clock that jumps back ends nothing.
        let later = signed_in(&mut store, "anna", NOW);
        assert!(holder(&mut store, &later, 5).is_some());
    }

    #[test]
    fn sessions_end_by_signing_out_and_with_role_password_and_user() {
        let (_folder, mut store) = store();
        let (first, second) = (signed_in(&mut store, "bert", NOW), signed_in(&mut store, "bert", NOW));
        let annas = signed_in(&mut store, "anna", NOW);
        store.end_session(&first).unwrap();
        assert!(holder(&mut store, &first, NOW).is_none() && holder(&mut store, &second, NOW).is_some());
        assert_eq!(store.set_role(&name("bert"), Role::Operator).unwrap(), Role::Viewer);
        assert_eq!(holder(&mut store, &second, NOW).unwrap().role, Role::Operator, "at once");
        store.set_password(&name("bert"), &hash()).unwrap();
        assert_eq!(holder(&mut store, &second, NOW), None);
        let third = signed_in(&mut store, "bert", NOW);
        assert_eq!(store.end_sessions_of(&name("bert")).unwrap(), 1);
        assert_eq!(holder(&mut store, &third, NOW), None);
        let fourth = signed_in(&mut store, "bert", NOW);
        store.remove_user(&name("bert")).unwrap();
        assert_eq!(holder(&mut store, &fourth, NOW), None);
        assert!(holder(&mut store, &annas, NOW).is_some(), "others notice nothing");
        let digest = Secret::for_session().unwrap().digest();
        assert!(store.begin_session(&name("bert"), &digest, NOW, [10, 0, 0, 1].into()).is_err());
    }

    #[test]
    fn nobody_has_more_than_twenty_sessions() {
        let (_folder, mut store) = store();
        let all: Vec<_> = (0..25).map(|second| signed_in(&mut store, "anna", NOW + second)).collect();
        let alive = all.iter().filter(|digest| holder(&mut store, digest, NOW + 30).is_some()).count();
        assert_eq!(alive, 20);
        assert!(holder(&mut store, &all[24], NOW + 30).is_some() && holder(&mut store, &all[4], NOW + 30).is_none());
    }

    #[test]
    fn last_admin_stays_one() {
        let (_folder, mut store) = store();
        assert!(matches!(store.remove_user(&name("anna")), Err(PeopleError::LastAdmin(_))));
        assert!(matches!(store.set_role(&name("anna"), Role::Operator), Err(PeopleError::LastAdmin(_))));
        assert_eq!(store.set_role(&name("anna"), Role::Admin).unwrap(), Role::Admin);
        store.set_role(&name("bert"), Role::Admin).unwrap();
        store.remove_user(&name("anna")).unwrap();
        assert!(matches!(store.remove_user(&name("carl")), Err(PeopleError::NoSuchUser(_))));
    }

    #[test]
    fn token_is_good_until_it_is_removed() {
        let (_folder, mut store) = store();
        let secret = Secret::for_token().unwrap();
        let id = store.add_token(&name("backup"), Role::Operator, &secret.digest(), NOW).unwrap();
        assert!(matches!(
            store.add_token(&name("backup"), Role::Viewer, &Digest::of("x"), NOW),
            Err(PeopleError::TokenTaken(_))
        ));
        let expected = Holder { name: "backup".to_owned(), role: Role::Operator };
        assert_eq!(store.token(&secret.digest(), NOW + 5).unwrap(), Some(expected));
        assert_eq!(store.tokens().unwrap()[0].last_used, Some(NOW + 5));
        assert_eq!(store.token(&Digest::of("potato_x"), NOW).unwrap(), None);
        // A name may look like a number: the number goes first, and only one is removed.
        let other = store.add_token(&name(&id.to_string()), Role::Viewer, &Digest::of("y"), NOW).unwrap();
        assert_eq!(store.remove_token(&id.to_string()).unwrap(), "backup");
        assert_eq!(store.token(&secret.digest(), NOW).unwrap(), None);
        assert_eq!(store.tokens().unwrap().iter().map(|token| token.id).collect::<Vec<_>>(), [other]);
        assert!(matches!(store.remove_token("nine"), Err(PeopleError::NoSuchToken(_))));
    }

    #[test]
    fn secrets_are_not_in_the_file() {
        let (folder, mut store) = store();
        let (session, token) = (Secret::for_session().unwrap(), Secret::for_token().unwrap());
        store.begin_session(&name("anna"), &session.digest(), NOW, [10, 0, 0, 1].into()).unwrap();
        store.add_token(&name("backup"), Role::Admin, &token.digest(), NOW).unwrap();
        for file in fs::read_dir(folder.path()).unwrap() {
            let bytes = fs::read(file.unwrap().path()).unwrap();
            let has = |secret: &Secret| bytes.windows(64).any(|window| secret.reveal().as_bytes().ends_with(window));
            assert!(!has(&session) && !has(&token));
        }
    }

    #[test]
    fn broken_file_is_nobodys_way_in() {
        let (folder, store) = store();
        drop(store);
        fs::write(folder.path().join(FILE), "no database, but longer than a header of one, by much: x").unwrap();
        let error = Store::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("people.db") && error.contains("claim it anew"), "{error}");
    }
}
