//! Messages of one channel that are still to be sent: in their order, one at a time, tried again later and later.
//!
//! It is bounded: of too many the oldest go, and so do those that are days old, for nobody wants them any more. Both are counted.
//! When a line has come back, what has failed is tried at once.

use std::collections::VecDeque;
use std::time::Duration;

use super::note::Message;

/// Most messages that wait.
const MOST_WAITING: usize = 200;
/// What is older is not sent, in milliseconds.
const OLDEST: u64 = 2 * 86_400_000;
/// After a first failure, in milliseconds; twice as long after each further one. The connection may have been one over the line that
/// was lost, so the first is short.
const FIRST_DELAY: u64 = 500;
/// Longest delay, in milliseconds.
const LONGEST_DELAY: u64 = 3_600_000;

/// Why a message was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SendError {
    /// It may work later; not before this time, if the other side has named one.
    #[error("{what}")]
    Later {
        /// What is wrong.
        what: String,
        /// How long to wait at least.
        after: Option<Duration>,
    },
    /// This message will never be taken.
    #[error("{0}")]
    Never(String),
}

impl SendError {
    /// It may work later.
    #[expect(clippy::needless_pass_by_value, reason = "it is what errors are mapped by")]
    pub(super) fn later(what: impl ToString) -> Self {
        Self::Later { what: what.to_string(), after: None }
    }
}

/// A change of what waits, to be kept on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// One more waits.
    Added(Message),
    /// This one does not any more.
    Removed(String),
}

/// What waits, and how it goes.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: VecDeque<Message>,
    /// Whether the first one is on its way.
    is_sending: bool,
    /// In a row.
    failures: u32,
    /// Milliseconds since 1970.
    not_before: u64,
    changes: Vec<Change>,
    /// Messages that were given up.
    pub(super) dropped: u64,
    /// Why the last attempt failed; `None`: it did not.
    pub(super) last_error: Option<String>,
    /// When the last message was sent, in milliseconds since 1970.
    pub(super) last_sent: Option<u64>,
}

impl Outbox {
    /// What an earlier run has left, in its order.
    pub(super) fn restored(waiting: Vec<Message>) -> Self {
        Self { waiting: waiting.into(), ..Self::default() }
    }

    /// One more is to be sent.
    pub(super) fn add(&mut self, message: Message) {
        self.changes.push(Change::Added(message.clone()));
        self.waiting.push_back(message);
        while self.waiting.len() > MOST_WAITING {
            self.give_up(usize::from(self.is_sending));
        }
    }

    /// The message to send now, if there is one and none is on its way.
    pub(super) fn poll_transmit(&mut self, now: u64) -> Option<Message> {
        if self.is_sending || now < self.not_before {
            return None;
        }
        while self.waiting.front().is_some_and(|first| now.saturating_sub(first.written) > OLDEST) {
            self.give_up(0);
        }
        let first = self.waiting.front()?;
        self.is_sending = true;
        Some(first.clone())
    }

    /// When there is something to do: milliseconds since 1970.
    pub(super) fn poll_timeout(&self) -> Option<u64> {
        (!self.is_sending && !self.waiting.is_empty()).then_some(self.not_before)
    }

    /// What is to be kept on disk since the last call.
    pub(super) fn poll_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// What has become of the message that was given out.
    pub(super) fn handle_outcome(&mut self, now: u64, id: &str, outcome: Result<(), SendError>) {
        let is_first = self.waiting.front().is_some_and(|first| first.id == id);
        if !self.is_sending || !is_first {
            return;
        }
        self.is_sending = false;
        match outcome {
            Ok(()) => {
                self.remove(0);
                (self.failures, self.not_before, self.last_error, self.last_sent) = (0, 0, None, Some(now));
            }
            Err(SendError::Never(what)) => {
                self.give_up(0);
                self.last_error = Some(what);
            }
            Err(SendError::Later { what, after }) => {
                let delay = FIRST_DELAY.saturating_mul(1 << self.failures.min(20)).min(LONGEST_DELAY);
                let asked = after.map_or(0, |after| u64::try_from(after.as_millis()).unwrap_or(LONGEST_DELAY));
                self.not_before = now + delay.max(asked.min(LONGEST_DELAY));
                self.failures = self.failures.saturating_add(1);
                self.last_error = Some(what);
            }
        }
    }

    /// What has failed may work now.
    pub(super) fn handle_line_back(&mut self) {
        (self.failures, self.not_before) = (0, 0);
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The clock was set by so much, in milliseconds: what was written before is not older or younger by that.
    pub(super) fn handle_clock_set(&mut self, before: u64, by: i64) {
        self.not_before = 0;
        for message in self.waiting.iter_mut().filter(|message| message.written <= before) {
            message.written = message.written.saturating_add_signed(by);
        }
    }

    fn give_up(&mut self, at: usize) {
        self.dropped += u64::from(self.remove(at));
    }

    fn remove(&mut self, at: usize) -> bool {
        let removed = self.waiting.remove(at);
        self.changes.extend(removed.iter().map(|message| Change::Removed(message.id.clone())));
        removed.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_703_476_000;

    fn message(id: u64) -> Message {
        Message { id: id.to_string(), written: NOW, notes: Vec::new() }
    }

    fn later() -> Result<(), SendError> {
        Err(SendError::later("refused"))
    }

    #[test]
    fn messages_leave_in_their_order_and_one_at_a_time() {
        let mut outbox = Outbox::default();
        outbox.add(message(1));
        outbox.add(message(2));
        assert_eq!(outbox.poll_transmit(NOW).unwrap().id, "1");
        assert_eq!(outbox.poll_transmit(NOW), None);
        outbox.handle_outcome(NOW, "1", Ok(()));
        assert_eq!((outbox.poll_transmit(NOW).unwrap().id.as_str(), outbox.last_sent), ("2", Some(NOW)));
        let added = [Change::Added(message(1)), Change::Added(message(2)), Change::Removed("1".to_owned())];
        assert_eq!(outbox.poll_changes(), added);
    }

    #[test]
    fn what_fails_is_tried_later_and_later_and_at_once_when_a_line_is_back() {
        let mut outbox = Outbox::default();
        outbox.add(message(1));
        let mut now = NOW;
        let mut delays = Vec::new();
        for _ in 0..16 {
            assert_eq!(outbox.poll_transmit(now).unwrap().id, "1");
            outbox.handle_outcome(now, "1", later());
            let next = outbox.poll_timeout().unwrap();
            assert_eq!(outbox.poll_transmit(next - 1), None);
            delays.push(next - now);
            now = next;
        }
        assert_eq!(delays[..4], [500, 1_000, 2_000, 4_000]);
        assert_eq!(delays[13..], [3_600_000; 3]);
        assert!(outbox.poll_transmit(now).is_some());
        outbox.handle_outcome(now, "1", later());
        outbox.handle_line_back();
        assert!(outbox.poll_transmit(now).is_some());
        let busy = SendError::Later { what: "too many".to_owned(), after: Some(Duration::from_secs(90)) };
        outbox.handle_outcome(now, "1", Err(busy));
        assert_eq!(outbox.poll_timeout(), Some(now + 90_000));
    }

    #[test]
    fn what_nobody_will_take_and_what_is_days_old_is_given_up() {
        let mut outbox = Outbox::restored(vec![message(1), message(2), message(3)]);
        assert!(outbox.poll_transmit(NOW).is_some());
        outbox.handle_outcome(NOW, "1", Err(SendError::Never("malformed".to_owned())));
        assert_eq!((outbox.len(), outbox.dropped, outbox.last_error.as_deref()), (2, 1, Some("malformed")));
        assert_eq!(outbox.poll_transmit(NOW + OLDEST + 1), None);
        assert_eq!((outbox.len(), outbox.dropped), (0, 3));
    }

    #[test]
    fn of_too_many_the_oldest_go_but_not_the_one_on_its_way() {
        let mut outbox = Outbox::default();
        outbox.add(message(0));
        assert!(outbox.poll_transmit(NOW).is_some());
        (1..300).for_each(|id| outbox.add(message(id)));
        assert_eq!((outbox.len(), outbox.dropped), (MOST_WAITING, 100));
        outbox.handle_outcome(NOW, "0", Ok(()));
        assert_eq!(outbox.poll_transmit(NOW).unwrap().id, "101");
    }

    #[test]
    fn a_clock_that_is_set_makes_nothing_old() {
        let mut outbox = Outbox::default();
        let early = Message { written: 5_000, ..message(1) };
        outbox.add(early);
        outbox.handle_clock_set(6_000, i64::try_from(NOW).unwrap());
        assert!(outbox.poll_transmit(NOW + 10_000).is_some());
    }
}
