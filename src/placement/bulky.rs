//! What has turned out bulky: flows that were taken to be small and urgent, and carry much.
//!
//! Theory of operation. A flow of class isolated that is in a transfer is looked at several times a second ([`is_bulky`]).
//! When it is bulky, what it is like is remembered for [`HOLD`] after it was last seen so: host, far end, far port and
//! protocol. New flows like it are of class bulk. The flow itself stays where it is.
//!
//! Whoever wants to tell people takes the [`Finding`]s out: one for each thing that was not remembered before. While nobody takes
//! them, those beyond `FINDINGS` are lost.

use std::time::Duration;

use crossbeam::queue::ArrayQueue;

use super::memory::{Memory, Touched};
use super::policy::RuleId;
use crate::flow::hash::HashKey;
use crate::flow::{FlowKey, Timestamp};

// Ours.
/// How long flows like one that was bulky are of class bulk.
pub const HOLD: Duration = Duration::from_hours(1);
/// What an urgent flow may carry in one go: a page of a terminal is some kB, a picture in a chat 1 MB.
pub const MOST_BYTES: u64 = 4_000_000;
/// What carries more than that is bulky if it is at least this fast: below, it hurts nobody.
pub const LEAST_BITS_PER_SECOND: u64 = 500_000;
/// Things that are remembered.
const THINGS: usize = 4_096;
/// Findings that may wait for somebody to take them.
const FINDINGS: usize = 64;

/// Whether a flow that has moved `bytes` in one go, within `span`, is bulky.
#[must_use]
pub fn is_bulky(bytes: u64, span: Duration) -> bool {
    let milliseconds = u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1);
    bytes > MOST_BYTES && bytes.saturating_mul(8_000) / milliseconds >= LEAST_BITS_PER_SECOND
}

/// A flow that has turned out bulky.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The flow.
    pub key: FlowKey,
    /// The rule that took it for urgent.
    pub rule: RuleId,
}

/// All that is remembered.
#[derive(Debug)]
pub struct Bulky {
    memory: Memory,
    hash: HashKey,
    findings: ArrayQueue<Finding>,
}

impl Bulky {
    /// Nothing is remembered yet. `hash` is secret.
    #[must_use]
    pub fn new(hash: HashKey) -> Self {
        Self { memory: Memory::new(THINGS, HOLD), hash, findings: ArrayQueue::new(FINDINGS) }
    }

    /// What flows are like each other by.
    fn kind(&self, key: &FlowKey) -> u64 {
        let addresses = u64::from(u32::from(key.internal.address)) << 32 | u64::from(u32::from(key.remote.address));
        self.hash.hash(u64::from(key.remote.port) << 8 | u64::from(key.protocol as u8), addresses)
    }

    /// Whether a flow is like one that was bulky.
    #[must_use]
    pub fn knows(&self, now: Timestamp, key: &FlowKey) -> bool {
        self.memory.line(now, self.kind(key)).is_some()
    }

    /// A flow that the rule took for urgent is bulky.
    pub fn note(&self, now: Timestamp, key: FlowKey, rule: RuleId) {
        if self.memory.touch(now, self.kind(&key)) == Touched::New {
            // Nobody takes them: then nobody wants to be told.
            let _ = self.findings.push(Finding { key, rule });
        }
    }

    /// The next finding that nobody has taken yet.
    #[must_use]
    pub fn take_finding(&self) -> Option<Finding> {
        self.findings.pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{EndpointV4, Protocol};
    use std::net::Ipv4Addr;

    fn key(host_port: u16, far_port: u16) -> FlowKey {
        let internal = EndpointV4 { address: Ipv4Addr::new(192, 168, 10, 30), port: host_port };
        let remote = EndpointV4 { address: Ipv4Addr::new(203, 0, 113, 7), port: far_port };
        FlowKey { protocol: Protocol::Tcp, internal, remote }
    }

    #[test]
    fn much_and_fast_is_bulky() {
        let second = Duration::from_secs(1);
        assert!(is_bulky(4_000_001, second * 60) && is_bulky(4_000_001, Duration::ZERO));
        assert!(!is_bulky(4_000_000, second), "a picture in a chat");
        assert!(!is_bulky(5_000_000, second * 100), "0.4 Mbit/s");
        assert!(is_bulky(u64::MAX, second));
    }

    #[test]
    fn flows_like_a_bulky_one_are_known_for_an_hour_and_told_once() {
        let bulky = Bulky::new(HashKey::new(3));
        let at = |minutes: u64| Timestamp::from_millis(minutes * 60_000);
        bulky.note(at(0), key(40_000, 22), RuleId(2));
        bulky.note(at(30), key(40_000, 22), RuleId(2));
        assert!(bulky.knows(at(89), &key(50_000, 22)) && !bulky.knows(at(30), &key(40_000, 23)));
        assert!(!bulky.knows(at(90), &key(50_000, 22)));
        assert_eq!(bulky.take_finding(), Some(Finding { key: key(40_000, 22), rule: RuleId(2) }));
        assert_eq!(bulky.take_finding(), None);
        bulky.note(at(90), key(50_000, 22), RuleId(2));
        assert!(bulky.take_finding().is_some());
    }
}
