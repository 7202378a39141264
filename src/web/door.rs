//! What all requests share: the way to the router, the people's file, and who has failed to prove who he is.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use tokio::sync::{Semaphore, watch};
use tokio::task::spawn_blocking;
use tokio::time::MissedTickBehavior;
use tracing::{error, info};

use super::company::Company;
use super::people::password::{Hash, Password, PasswordError};
use super::people::secret::NoRandomness;
use super::people::{Deed, Name, PeopleError, Store, Word};
use super::quota::Quota;
use super::throttle::Throttle;
use crate::config::Look;
use crate::daemon::{EventKind, EventRecord, Handle, refused};
use crate::sys::clock;

/// Passwords that are hashed at one time: each takes a processor and 19 MiB.
const HASHING: usize = 1;
/// How often it is looked whether `potato user` has done something.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Passwords that may wait for that.
const WAITING: usize = 8;

/// The way to all that requests share. Clones lead to the same.
#[derive(Clone)]
pub(super) struct Door(Arc<Shared>);

struct Shared {
    router: Handle,
    state_dir: PathBuf,
    /// `None`: not opened yet, or it has failed; the next request tries again.
    store: Mutex<Option<Store>>,
    hashing: Semaphore,
    waiting: Semaphore,
    /// What a name that nobody has is held against, so that it takes as long as one that somebody has.
    nobody: OnceLock<Hash>,
    throttle: Mutex<Throttle>,
    failures_told: Mutex<Quota>,
    company: Company,
    /// Changes when somebody may have become somebody else.
    changes: watch::Sender<()>,
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    clock::wall().as_secs()
}

impl Door {
    pub(super) fn new(router: Handle) -> Self {
        let state_dir = router.config().borrow().router.state_dir.clone();
        Self(Arc::new(Shared {
            router,
            state_dir,
            store: Mutex::new(None),
            hashing: Semaphore::new(HASHING),
            waiting: Semaphore::new(WAITING),
            nobody: OnceLock::new(),
            throttle: Mutex::default(),
            failures_told: Mutex::default(),
            company: Company::default(),
            changes: watch::Sender::new(()),
        }))
    }

    /// The way to the router.
    pub(super) fn router(&self) -> &Handle {
        &self.0.router
    }

    /// Who is here.
    pub(super) fn company(&self) -> &Company {
        &self.0.company
    }

    /// Who may look.
    pub(super) fn look(&self) -> Look {
        self.0.router.config().borrow().web.as_ref().map(|web| web.look).unwrap_or_default()
    }

    /// Changes when a session may have ended, or a role may be another.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.0.changes.subscribe()
    }

    /// Somebody may have become somebody else.
    pub(super) fn note_change(&self) {
        self.0.changes.send_replace(());
    }

    /// Keeps an event.
    pub(super) fn tell(&self, kind: EventKind, whom: Option<String>, by: Option<String>, cause: Option<String>) {
        self.0.router.record(EventRecord { kind, to: whom, by, cause, ..EventRecord::default() });
    }

    /// Tells of what `potato user` does, as soon as it is seen.
    pub(super) async fn hear_words(&self) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // What cannot be read now can be later; whoever signs in is told why.
            let words = self.people(Store::take_words).await.unwrap_or_default();
            if !words.is_empty() {
                self.note_change();
            }
            for Word { deed, whom, what, by } in words {
                let kind = match deed {
                    Deed::UserAdded => EventKind::UserAdded,
                    Deed::UserChanged => EventKind::UserChanged,
                    Deed::UserRemoved => EventKind::UserRemoved,
                    Deed::TokenAdded => EventKind::TokenAdded,
                    Deed::TokenRemoved => EventKind::TokenRemoved,
                };
                self.tell(kind, Some(whom), Some(by), what);
            }
        }
    }

    /// Asks the people's file, beside the runtime.
    pub(super) async fn people<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Store) -> Result<T, PeopleError> + Send + 'static,
    ) -> Result<T, PeopleError> {
        let shared = Arc::clone(&self.0);
        let asked = spawn_blocking(move || {
            let mut place = shared.store.lock().unwrap_or_else(PoisonError::into_inner);
            let store = match place.take() {
                Some(store) => store,
                None => Store::open(&shared.state_dir)?,
            };
            let answer = ask(place.insert(store));
            if matches!(answer, Err(PeopleError::Sqlite { .. })) {
                // Opened anew next time: it may have been replaced.
                *place = None;
            }
            answer
        });
        asked.await.unwrap_or_else(|error| Err(PeopleError::Interrupted(error.to_string())))
    }

    /// Prints the code that makes the first user, while there is none.
    pub(super) async fn print_claim_code(&self, url: &str) {
        match self.people(Store::claim_code).await {
            Ok(None) => {}
            Ok(Some(code)) => info!(%code, at = %url, "router is nobody's yet: claim it with this code"),
            Err(error) => error!(%error, "nobody can sign in"),
        }
    }

    /// Computes with a password, when it is its turn.
    async fn computed<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Response> {
        let busy = || slowed("too many people sign in at this moment", Duration::from_secs(1));
        let _place = self.0.waiting.try_acquire().map_err(|_| busy())?;
        let _turn = self.0.hashing.acquire().await.map_err(|_| busy())?;
        spawn_blocking(work).await.map_err(|_| busy())
    }

    /// What is to be kept of a new password.
    pub(super) async fn hash(&self, password: Password) -> Result<Hash, Response> {
        self.computed(move || password.hash()).await?.map_err(|error| denied(&error.into()))
    }

    /// Whether `password` is the one of `name`. It takes the same time when there is nobody of that name.
    pub(super) async fn is_password_of(&self, name: Option<&Name>, password: Password) -> Result<bool, Response> {
        let kept = match name.cloned() {
            Some(name) => {
                let kept = self.people(move |store| store.password_of(&name)).await;
                kept.map_err(|error| denied(&error))?
            }
            None => None,
        };
        let shared = Arc::clone(&self.0);
        self.computed(move || {
            let hash = kept.as_ref().or_else(|| shared.nobody());
            let is_it = hash.is_some_and(|hash| password.is_of(hash));
            is_it && kept.is_some()
        })
        .await
    }

    /// Makes the first answer to an unknown name as quick as all later ones.
    pub(super) fn prepare(&self) {
        let shared = Arc::clone(&self.0);
        drop(spawn_blocking(move || shared.nobody().is_some()));
    }

    /// Whether somebody at `from` may try to prove that he is `name`.
    pub(super) fn begin_try(&self, from: IpAddr, name: &str) -> Result<(), Response> {
        let begun = self.throttle().begin(clock::monotonic(), from, name);
        begun.map_err(|wait| slowed("too many tries have failed", wait))
    }

    /// The try has succeeded.
    pub(super) fn forgive_try(&self, from: IpAddr, name: &str) {
        self.throttle().forgive(from, name);
    }

    /// The try has failed: tells of it, unless that has been told often enough.
    pub(super) fn tell_failure(&self, name: &str, from: IpAddr) {
        let told = self.0.failures_told.lock().unwrap_or_else(PoisonError::into_inner).take(clock::monotonic());
        let Some(untold) = told else { return };
        let more = if untold == 0 { String::new() } else { format!("; {untold} more were not told of") };
        let name = name.chars().take(32).collect();
        self.tell(EventKind::SignInFailed, Some(name), None, Some(format!("from {from}{more}")));
        info!(%from, "sign-in failed");
    }

    fn throttle(&self) -> std::sync::MutexGuard<'_, Throttle> {
        self.0.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn nobody(&self) -> Option<&Hash> {
        if self.nobody.get().is_none() {
            let hash = Password::typed(String::new()).hash().ok()?;
            let _first_stays = self.nobody.set(hash);
        }
        self.nobody.get()
    }
}

/// Says that it is too soon (RFC 6585 section 4).
pub(super) fn slowed(why: &str, wait: Duration) -> Response {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let plural = if seconds == 1 { "" } else { "s" };
    let mut response = refused(StatusCode::TOO_MANY_REQUESTS, &format!("{why}; try again in {seconds} second{plural}"));
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    response
}

/// Says why something was not done about people.
pub(super) fn denied(error: &PeopleError) -> Response {
    let status = match error {
        PeopleError::NameTaken(_) | PeopleError::TokenTaken(_) | PeopleError::LastAdmin(_) | PeopleError::Claimed => {
            StatusCode::CONFLICT
        }
        PeopleError::NoSuchUser(_) | PeopleError::NoSuchToken(_) => StatusCode::NOT_FOUND,
        PeopleError::WrongCode => StatusCode::FORBIDDEN,
        PeopleError::Password(PasswordError::NoRandomness(NoRandomness) | PasswordError::NoMemory) => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        PeopleError::Password(_) | PeopleError::Name(_) => StatusCode::UNPROCESSABLE_ENTITY,
        PeopleError::File { .. }
        | PeopleError::Sqlite { .. }
        | PeopleError::Version { .. }
        | PeopleError::NoRandomness(_)
        | PeopleError::Interrupted(_) => {
            error!(%error, "users cannot be looked up or changed");
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    refused(status, &error.to_string())
}
