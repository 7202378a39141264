//! The pure core: events, the lines' state and the time go in, messages come out.
//!
//! It composes what is known of the lines ([`Lines`]), what each channel's people believe ([`Teller`]) and what waits to be sent
//! ([`Outbox`]). All of it but the outboxes is one value that is kept on disk together with the id of the last event and the
//! messages that came of it, so a program that is killed at any moment goes on from there: no event is lost or told twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::lines::Lines;
use super::note::{Message, Note};
use super::outbox::{Change, Outbox, SendError};
use super::teller::{Moment, Teller, wanted};
use crate::config::{Channel, Terms};
use crate::daemon::report::EventReport;

/// What is kept on disk beside the messages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Memory {
    /// The last event that was handled; `None`: none ever was.
    pub(super) last_event: Option<u64>,
    lines: Lines,
    tellers: BTreeMap<String, Teller>,
    /// Messages written so far.
    written: u64,
}

/// A channel at work.
#[derive(Debug)]
struct Post {
    terms: Terms,
    outbox: Outbox,
}

/// The core.
#[derive(Debug, Default)]
pub(super) struct Desk {
    memory: Memory,
    posts: BTreeMap<Arc<str>, Post>,
    /// What waits for channels that no configuration has named yet.
    restored: BTreeMap<String, Vec<Message>>,
}

/// How a channel is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PostState {
    pub(super) queued: usize,
    pub(super) dropped: u64,
    pub(super) last_error: Option<String>,
    pub(super) last_sent: Option<u64>,
}

impl Desk {
    /// Goes on from what an earlier run has left.
    pub(super) fn restored(memory: Memory, waiting: BTreeMap<String, Vec<Message>>) -> Self {
        Self { memory, posts: BTreeMap::new(), restored: waiting }
    }

    /// What is to be kept on disk.
    pub(super) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// These are the channels from now on. One that was there under the same name goes on with what waits for it; what waits for
    /// one that is no more is gone, and named in the result.
    pub(super) fn handle_settings(&mut self, channels: &[Channel]) -> Vec<String> {
        let mut before = std::mem::take(&mut self.posts);
        for channel in channels {
            let name = Arc::clone(&channel.name);
            let outbox = match before.remove(&name) {
                Some(post) => post.outbox,
                None => Outbox::restored(self.restored.remove(&*name).unwrap_or_default()),
            };
            self.posts.insert(name, Post { terms: channel.terms.clone(), outbox });
        }
        self.memory.tellers.retain(|name, _| self.posts.contains_key(name.as_str()));
        if channels.is_empty() {
            // Nobody follows the events from here on, so there is nothing to go on from.
            self.memory = Memory::default();
        }
        let restored = std::mem::take(&mut self.restored).into_keys();
        before.into_keys().map(|name| name.to_string()).chain(restored).collect()
    }

    /// Takes in an event; those that were handled before are ignored.
    pub(super) fn handle_event(&mut self, moment: Moment, event: &EventReport) {
        if self.memory.last_event.is_some_and(|last| event.id <= last) {
            return;
        }
        self.memory.last_event = Some(event.id);
        if self.memory.lines.handle_event(moment.now, event) {
            self.handle_line_back();
        }
        for (name, post) in &self.posts {
            let teller = self.memory.tellers.entry(name.to_string()).or_default();
            teller.handle_event(moment, &post.terms, event);
        }
    }

    /// There were events before this one, which are not for us.
    pub(super) fn skip_to(&mut self, last_event: u64) {
        self.memory.last_event = Some(last_event);
    }

    /// Takes in the state of every line from the router itself, and so all that no event has told.
    pub(super) fn handle_status<'s>(&mut self, moment: Moment, status: impl Iterator<Item = (&'s str, &'s str)>) {
        if self.memory.lines.handle_status(moment.now, status) {
            self.handle_line_back();
        }
    }

    /// Writes what is due.
    pub(super) fn handle_timeout(&mut self, moment: Moment) {
        let Self { memory: Memory { tellers, lines, written, .. }, posts, .. } = self;
        for (name, post) in posts {
            let teller = tellers.entry(name.to_string()).or_default();
            let notes = wanted(&post.terms, teller.poll_notes(moment, &post.terms, lines));
            if !notes.is_empty() {
                *written += 1;
                let id = format!("potato-{:x}-{written}", moment.now);
                post.outbox.add(Message { id, written: moment.now, notes });
            }
        }
    }

    /// The next message to send, and by which channel.
    pub(super) fn poll_transmit(&mut self, now: u64) -> Option<(Arc<str>, Message)> {
        let mut posts = self.posts.iter_mut();
        posts.find_map(|(name, post)| Some((Arc::clone(name), post.outbox.poll_transmit(now)?)))
    }

    /// When [`Self::handle_timeout`] or [`Self::poll_transmit`] has something to do next, in milliseconds since 1970; hours begin
    /// unasked.
    pub(super) fn poll_timeout(&self, now: u64) -> Option<u64> {
        let of_post = |(name, post): (&Arc<str>, &Post)| {
            let teller = self.memory.tellers.get(&**name);
            let due = teller.and_then(|teller| teller.poll_timeout(now, &post.terms, &self.memory.lines));
            due.into_iter().chain(post.outbox.poll_timeout()).min()
        };
        self.posts.iter().filter_map(of_post).min()
    }

    /// Changes of what waits, by channel.
    pub(super) fn poll_changes(&mut self) -> Vec<(Arc<str>, Change)> {
        let of_post = |(name, post): (&Arc<str>, &mut Post)| {
            let name = Arc::clone(name);
            post.outbox.poll_changes().into_iter().map(move |change| (Arc::clone(&name), change))
        };
        self.posts.iter_mut().flat_map(of_post).collect()
    }

    /// What has become of a message.
    pub(super) fn handle_outcome(&mut self, now: u64, channel: &str, id: &str, outcome: Result<(), SendError>) {
        if let Some(post) = self.posts.get_mut(channel) {
            post.outbox.handle_outcome(now, id, outcome);
        }
    }

    /// What has failed on this channel may work now.
    pub(super) fn handle_channel_ready(&mut self, channel: &str) {
        if let Some(post) = self.posts.get_mut(channel) {
            post.outbox.handle_line_back();
        }
    }

    /// The clock was set by so much, in milliseconds; it showed `before`.
    pub(super) fn handle_clock_set(&mut self, before: u64, by: i64) {
        self.posts.values_mut().for_each(|post| post.outbox.handle_clock_set(before, by));
    }

    fn handle_line_back(&mut self) {
        self.posts.values_mut().for_each(|post| post.outbox.handle_line_back());
    }

    /// How a channel is; `None`: there is none of that name.
    pub(super) fn state(&self, channel: &str) -> Option<PostState> {
        let outbox = &self.posts.get(channel)?.outbox;
        Some(PostState {
            queued: outbox.len(),
            dropped: outbox.dropped,
            last_error: outbox.last_error.clone(),
            last_sent: outbox.last_sent,
        })
    }
}

/// What somebody sends to see whether a channel works.
pub(super) fn test_message(now: u64, by: &str) -> Message {
    let text = format!("a test of this channel, sent by {by}");
    let note = Note { event: "test".to_owned(), by: Some(by.to_owned()), time: now, text, ..Note::default() };
    Message { id: format!("potato-test-{now:x}"), written: now, notes: vec![note] }
}

#[cfg(test)]
mod tests;
