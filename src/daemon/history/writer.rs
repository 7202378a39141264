//! The thread that has the events' file for its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::channel::Receiver;
use tokio::sync::{oneshot, watch};
use tracing::{info, warn};

use super::store::Store;
use super::{Kind, Record, Start};
use crate::daemon::database::DatabaseError;
use crate::daemon::report::EventReport;
use crate::sys::clock;

/// What the thread is asked for.
#[derive(Debug)]
pub(super) enum Message {
    /// Keep this, which happened at this time (milliseconds since 1970).
    Record(u64, Record),
    /// Read up to `limit` events.
    Read { start: Start, limit: usize, answer: oneshot::Sender<Result<Vec<EventReport>, String>> },
    /// End, and say so.
    Finish(oneshot::Sender<()>),
}

/// Whether events were kept when last tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Keeping,
    /// The log has it already. Leaves by: an event is kept -> Keeping.
    Losing,
}

/// The thread's own.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    /// `None`: not opened yet, or it has failed; the next event tries again.
    store: Option<Store>,
    health: Health,
    lost: Arc<AtomicU64>,
    news: watch::Sender<u64>,
}

impl Writer {
    pub(super) fn new(path: PathBuf, lost: Arc<AtomicU64>, news: watch::Sender<u64>) -> Self {
        Self { path, store: None, health: Health::Keeping, lost, news }
    }

    /// Works until told to end, or until nobody is left who could say anything.
    pub(super) fn run(mut self, waiting: &Receiver<Message>) {
        while let Ok(message) = waiting.recv() {
            match message {
                Message::Record(time, record) => self.keep(time, record),
                // Whoever asked may have gone away.
                Message::Read { start, limit, answer } => drop(answer.send(self.read(start, limit))),
                Message::Finish(answer) => {
                    // Closed before it is said: SQLite tidies up.
                    drop(self.store.take());
                    let _nobody_waits_is_fine = answer.send(());
                    return;
                }
            }
        }
    }

    fn keep(&mut self, time: u64, record: Record) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        let missing = (lost > 0).then(|| Record { kind: Kind::EventsLost, count: Some(lost), ..Record::default() });
        let records: Vec<_> = missing.into_iter().chain([record]).collect();
        match self.store().and_then(|store| store.append(time, &records)) {
            Ok(id) => {
                if lost > 0 {
                    info!(lost, "events are kept again");
                }
                self.health = Health::Keeping;
                self.news.send_replace(id);
            }
            Err(error) => {
                self.lost.fetch_add(lost + 1, Ordering::Relaxed);
                self.fail(&error);
            }
        }
    }

    fn read(&mut self, start: Start, limit: usize) -> Result<Vec<EventReport>, String> {
        let read = self.store().and_then(|store| store.read(start, limit));
        read.map_err(|error| {
            self.fail(&error);
            format!("the event log cannot be used: {error}; give state_dir room and let the router write there")
        })
    }

    fn store(&mut self) -> Result<&mut Store, DatabaseError> {
        let store = match self.store.take() {
            Some(store) => store,
            None => Store::open(&self.path, u64::try_from(clock::wall().as_millis()).unwrap_or(u64::MAX))?,
        };
        Ok(self.store.insert(store))
    }

    fn fail(&mut self, error: &DatabaseError) {
        // Opened anew next time: it may be broken, and opening finds out.
        self.store = None;
        if self.health == Health::Keeping {
            warn!(%error, "events cannot be kept; give state_dir room and let the router write there");
        }
        self.health = Health::Losing;
    }
}
