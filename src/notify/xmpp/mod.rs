//! XMPP: a bot that tells people, and listens to some of them.
//!
//! A client of our own (RFC 6120, 6121, XEP-0045, XEP-0199), small: it logs in, speaks, and understands three commands. The library that there is, `tokio-xmpp`, has a
//! licence that this project does not take and brings 170 crates.
//!
//! Theory of operation: a task for each channel connects, again and again, later each time (`session`). Connected, it sends what it
//! is given ([`Job`]) and asks the server for an answer behind each message (a ping): once that has come, the server has the message,
//! for it works in order. Its presence shows how many lines are up. What is read and said is pure (`reader`, `challenge`,
//! `conversation`, `wish`) and fuzzed.
//!
//! What it does not do: it asks for no SRV records (RFC 6120 section 3.2.1) but connects to the account's domain, as section 3.2.2 has it
//! where there are none; `server` in the file names another. The system's resolver knows no such records, and a resolver of our own would be
//! 23 more crates for what is one line in a file.

mod challenge;
mod conversation;
mod element;
mod login;
mod reader;
mod scram;
mod session;
mod talk;
mod wish;

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;

use super::outbox::SendError;
use crate::config::Xmpp;
use crate::daemon::Handle;

/// Messages that wait for a bot.
const WAITING: usize = 4;

/// A message to be sent.
#[derive(Debug)]
pub(super) struct Job {
    /// Names it to whoever gets it.
    pub(super) id: String,
    pub(super) text: String,
    /// Told when the server has it.
    pub(super) done: oneshot::Sender<Result<(), SendError>>,
}

/// A bot at work. Dropped, it ends.
#[derive(Debug)]
pub(super) struct Bot {
    pub(super) settings: Xmpp,
    pub(super) jobs: mpsc::Sender<Job>,
    /// Why it is not connected; empty: it is.
    pub(super) problem: watch::Receiver<String>,
    task: AbortHandle,
}

impl Bot {
    /// Starts the bot of a channel on the machine `host`; it says the channel's name to `connected` whenever it is.
    pub(super) fn start(
        (name, host): (&Arc<str>, &str),
        settings: &Xmpp,
        router: &Handle,
        connected: &mpsc::Sender<Arc<str>>,
    ) -> Self {
        let (jobs, given) = mpsc::channel(WAITING);
        let (tell, problem) = watch::channel("not connected yet".to_owned());
        let life = session::Life {
            channel: Arc::clone(name),
            settings: settings.clone(),
            resource: format!("potato-{host}"),
            router: router.clone(),
            jobs: given,
            problem: tell,
            connected: connected.clone(),
        };
        let task = tokio::spawn(life.live()).abort_handle();
        Self { settings: settings.clone(), jobs, problem, task }
    }
}

impl Drop for Bot {
    fn drop(&mut self) {
        self.task.abort();
    }
}
