//! The event log: what has happened to the lines, and who has ordered what, kept over restarts in `state_dir/events.db`.
//!
//! Theory of operation: whoever has something to tell gives a [`Record`] to the [`History`]. That only puts it on a bounded
//! queue; one thread of its own (`writer`) writes it into SQLite (`store`), and answers readers. So a disk that is
//! full, slow or read-only never stops the loop, and packets know nothing of all this. What could not be kept is counted,
//! and the next event that can be kept tells how many are missing.
//!
//! Ids only grow, also when a broken file is replaced: whoever remembers the last id that he has seen can go on from there.

mod calendar;
mod store;
mod writer;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam::channel::{Sender, bounded};
use tokio::sync::{oneshot, watch};
use tracing::warn;

pub use self::calendar::{milliseconds, rfc3339};
use self::writer::{Message, Writer};
use super::report::EventReport;
use crate::sys::clock;

/// The file in the state directory.
const FILE: &str = "events.db";
/// Events, and questions for them, that may wait for the disk.
const WAITING: usize = 256;
/// At the end the disk has this long for what waits.
const LONGEST_END: Duration = Duration::from_secs(2);

/// What an event is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// The program has taken the machine over.
    #[default]
    RouterStarted,
    /// It has ended by itself or by a signal.
    RouterStopped,
    /// A line can do more or less than before.
    UplinkChanged,
    /// A line's gateway has another Ethernet address.
    GatewayMoved,
    /// Somebody else on a line uses our address.
    AddressConflict,
    /// A line has an address by DHCP, or its lease says something new.
    LeaseObtained,
    /// A line's lease is over.
    LeaseEnded,
    /// A DHCP server does not give the address that it was asked for.
    LeaseDenied,
    /// What a DHCP server offers cannot be used.
    LeaseRefused,
    /// Somebody uses the address that a DHCP server gave.
    LeaseDeclined,
    /// No DHCP server answers.
    DhcpServerSilent,
    /// No line works any more.
    NoUplink,
    /// The first line works again.
    UplinkBack,
    /// The flows of a line have ended, for it was lost or drained.
    FlowsEnded,
    /// A host wants more than one host may have.
    HostLimited,
    /// A line by PPPoE has lost its session, or gets none.
    SessionFailed,
    /// Somebody wants a line up or down.
    LinkOrdered,
    /// Somebody wants a line redialled.
    RedialOrdered,
    /// A line has another role by hand, or somebody wants it to have one.
    RoleOrdered,
    /// Somebody has reserved a line for hosts.
    LineReserved,
    /// Somebody has released a reserved line.
    LineReleased,
    /// Nothing has come of an order to reserve or to release a line.
    ReservationRefused,
    /// The hours at which the configuration reserves a line have begun.
    ReservationBegun,
    /// The time of a reservation is over.
    ReservationEnded,
    /// Somebody wants the configuration read again.
    ReloadOrdered,
    /// Another configuration has a line that was not there.
    UplinkAdded,
    /// Another configuration does not have a line that was there: so many flows ended.
    UplinkRemoved,
    /// Another configuration makes a line a new one: so many flows of the old one ended.
    UplinkReplaced,
    /// Another configuration gives a line other settings.
    UplinkSet,
    /// Another line is for urgent traffic than before, as the router thinks best.
    IsolatedMoved,
    /// What was taken for urgent and small carries much.
    IsolatedBulky,
    /// Somebody has made the router his with the code from its console.
    Claimed,
    /// Somebody has signed in.
    SignedIn,
    /// Somebody has signed out.
    SignedOut,
    /// Somebody has tried to sign in.
    SignInFailed,
    /// There is a user more.
    UserAdded,
    /// A user has another role or password.
    UserChanged,
    /// A user is no more.
    UserRemoved,
    /// There is a token for a script more.
    TokenAdded,
    /// A token is good for nothing any more.
    TokenRemoved,
    /// Somebody has written another configuration by the pages.
    ConfigurationWritten,
    /// The events of another file are gone from here.
    LogBegun,
    /// Some events before this one could not be kept.
    EventsLost,
}

impl Kind {
    /// As in `events --json`.
    const fn name(self) -> &'static str {
        match self {
            Self::RouterStarted => "router-started",
            Self::RouterStopped => "router-stopped",
            Self::UplinkChanged => "uplink-changed",
            Self::GatewayMoved => "gateway-moved",
            Self::AddressConflict => "address-conflict",
            Self::LeaseObtained => "lease-obtained",
            Self::LeaseEnded => "lease-ended",
            Self::LeaseDenied => "lease-denied",
            Self::LeaseRefused => "lease-refused",
            Self::LeaseDeclined => "lease-declined",
            Self::DhcpServerSilent => "dhcp-server-silent",
            Self::NoUplink => "no-uplink",
            Self::UplinkBack => "uplink-back",
            Self::FlowsEnded => "flows-ended",
            Self::HostLimited => "host-limited",
            Self::SessionFailed => "session-failed",
            Self::LinkOrdered => "link-ordered",
            Self::RedialOrdered => "redial-ordered",
            Self::RoleOrdered => "role-ordered",
            Self::LineReserved => "line-reserved",
            Self::LineReleased => "line-released",
            Self::ReservationRefused => "reservation-refused",
            Self::ReservationBegun => "reservation-begun",
            Self::ReservationEnded => "reservation-ended",
            Self::ReloadOrdered => "reload-ordered",
            Self::UplinkAdded => "uplink-added",
            Self::UplinkRemoved => "uplink-removed",
            Self::UplinkReplaced => "uplink-replaced",
            Self::UplinkSet => "uplink-set",
            Self::IsolatedMoved => "isolated-moved",
            Self::IsolatedBulky => "isolated-bulky",
            Self::Claimed => "claimed",
            Self::SignedIn => "signed-in",
            Self::SignedOut => "signed-out",
            Self::SignInFailed => "sign-in-failed",
            Self::UserAdded => "user-added",
            Self::UserChanged => "user-changed",
            Self::UserRemoved => "user-removed",
            Self::TokenAdded => "token-added",
            Self::TokenRemoved => "token-removed",
            Self::ConfigurationWritten => "configuration-written",
            Self::LogBegun => "log-begun",
            Self::EventsLost => "events-lost",
        }
    }
}

/// Something that has happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// What it is of.
    pub kind: Kind,
    /// The line that it is about.
    pub uplink: Option<String>,
    /// How it was before.
    pub from: Option<String>,
    /// How it is now, or is wanted to be; of users and tokens: who it is about.
    pub to: Option<String>,
    /// Why; of an order that changes nothing: why not.
    pub cause: Option<String>,
    /// Who did it.
    pub by: Option<String>,
    /// How many.
    pub count: Option<u64>,
}

/// Which events are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// The last ones that there are.
    Newest,
    /// Those after the one with this id.
    After(u64),
}

/// The way to the event log. Clones lead to the same one.
#[derive(Clone, Debug)]
pub(super) struct History {
    queue: Sender<Message>,
    lost: Arc<AtomicU64>,
    counts: Arc<Mutex<BTreeMap<&'static str, u64>>>,
    news: watch::Receiver<u64>,
}

impl History {
    /// Starts the event log of `state_dir`. What is wrong with that is logged, and no failure.
    pub(super) fn start(state_dir: &Path) -> Self {
        let (queue, waiting) = bounded(WAITING);
        let (tell, news) = watch::channel(0);
        let lost = Arc::new(AtomicU64::new(0));
        let writer = Writer::new(state_dir.join(FILE), Arc::clone(&lost), tell);
        let thread = std::thread::Builder::new().name("events".to_owned());
        if let Err(error) = thread.spawn(move || writer.run(&waiting)) {
            warn!(%error, "no thread for the event log; no events are kept");
        }
        Self { queue, lost, counts: Arc::default(), news }
    }

    /// Keeps an event, if that is possible. Does not wait.
    pub(super) fn record(&self, record: Record) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(record.kind.name()).or_default() += 1;
        let time = u64::try_from(clock::wall().as_millis()).unwrap_or(u64::MAX);
        if self.queue.try_send(Message::Record(time, record)).is_err() && self.lost.fetch_add(1, Ordering::Relaxed) == 0
        {
            warn!("events are lost: the disk of state_dir is too slow for them");
        }
    }

    /// Events so far by what they are of, those that could not be kept among them.
    pub(super) fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Up to `limit` events, in their order.
    ///
    /// # Errors
    /// When there is no log to read, says why.
    pub(super) async fn read(&self, start: Start, limit: usize) -> Result<Vec<EventReport>, String> {
        let (answer, answered) = oneshot::channel();
        let busy = |_| "the disk of state_dir is too slow for the event log; try again".to_owned();
        self.queue.try_send(Message::Read { start, limit, answer }).map_err(busy)?;
        answered.await.map_err(|_| "the event log has ended".to_owned())?
    }

    /// Changes whenever there is a new event; ends when there will be no more.
    pub(super) fn news(&self) -> watch::Receiver<u64> {
        let mut news = self.news.clone();
        news.mark_unchanged();
        news
    }

    /// Waits until all that was recorded is kept; not for ever.
    pub(super) async fn finish(self) {
        let (answer, answered) = oneshot::channel();
        let asked = self.queue.send_timeout(Message::Finish(answer), LONGEST_END);
        if asked.is_err() || tokio::time::timeout(LONGEST_END, answered).await.is_err() {
            warn!("the last events are not kept: the disk of state_dir is too slow for them");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(uplink: &str) -> Record {
        Record { kind: Kind::UplinkChanged, uplink: Some(uplink.to_owned()), ..Record::default() }
    }

    #[tokio::test]
    async fn events_outlive_the_program_and_readers_go_on_from_where_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let state_dir = folder.path().join("not/there/yet");
        let history = History::start(&state_dir);
        history.record(record("dsl1"));
        history.record(record("dsl2"));
        history.finish().await;

        let history = History::start(&state_dir);
        let mut news = history.news();
        let before = history.read(Start::Newest, 10).await.unwrap();
        assert_eq!(before.iter().map(|event| event.id).collect::<Vec<_>>(), [1, 2]);
        history.record(record("dsl3"));
        news.changed().await.unwrap();
        let after = history.read(Start::After(2), 10).await.unwrap();
        assert_eq!((after.len(), after[0].uplink.as_deref()), (1, Some("dsl3")));
        history.finish().await;
        assert!(news.changed().await.is_err(), "nothing comes any more");
    }

    #[tokio::test]
    async fn directory_that_cannot_be_written_loses_events_and_a_later_one_tells() {
        let folder = tempfile::tempdir().unwrap();
        // A file where the directory should be: nobody can write there, root neither.
        let state_dir = folder.path().join("state");
        std::fs::write(&state_dir, "").unwrap();
        let history = History::start(&state_dir);
        for uplink in ["dsl1", "dsl2", "dsl3"] {
            history.record(record(uplink));
        }
        let said = history.read(Start::Newest, 10).await.unwrap_err();
        assert!(said.contains("events.db"), "{said}");
        std::fs::remove_file(&state_dir).unwrap();
        history.record(record("dsl4"));
        let kept = history.read(Start::Newest, 10).await.unwrap();
        let kept: Vec<_> = kept.iter().map(|event| (event.event.as_str(), event.count)).collect();
        assert_eq!(kept, [("events-lost", Some(3)), ("uplink-changed", None)]);
    }
}
