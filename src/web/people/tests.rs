//! The people's file, from outside.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::password::Hash;
use super::secret::{Digest, Secret};
use super::{Holder, Name, PeopleError, Role, Store, Use, User};

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
    fs::write(folder.path().join("people.db"), "no database, but longer than a header of one, by much: x").unwrap();
    let error = Store::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("people.db") && error.contains("claim it anew"), "{error}");
}
