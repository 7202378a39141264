//! Hosts that want more than one host may have: named in an event, at most once a minute for each host and limit.

use std::collections::HashMap;
use std::time::Duration;

use super::thousands::thousands;
use crate::engine::{HostId, Limit, Limits};
use crate::flow::Timestamp;

/// A host is named again after this.
const SILENCE: Duration = Duration::from_secs(60);

/// What has been told.
#[derive(Debug, Default)]
pub(super) struct Offenders {
    told: HashMap<(HostId, Limit), Told>,
    /// Refusals of all hosts at the last look.
    pub(super) refusals: u64,
    /// Something was refused that is not told yet.
    pub(super) has_more: bool,
    /// When hosts that are away were last looked for.
    pub(super) swept: Timestamp,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    at: Timestamp,
    refused: u64,
}

/// A host that was refused something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offence {
    pub(super) host: HostId,
    pub(super) limit: Limit,
    pub(super) refused: u64,
}

impl Offenders {
    /// What is to be told now, of what each host was refused up to now.
    pub(super) fn news(
        &mut self,
        now: Timestamp,
        refused: impl IntoIterator<Item = (HostId, [u64; 3])>,
    ) -> Vec<Offence> {
        self.has_more = false;
        let mut news = Vec::new();
        for (host, counts) in refused {
            for (limit, refused) in Limit::ALL.into_iter().zip(counts) {
                let told = self.told.get(&(host, limit)).copied().filter(|told| told.refused <= refused);
                let new = refused - told.map_or(0, |told| told.refused);
                if new == 0 {
                    continue;
                }
                if told.is_some_and(|told| now.since(told.at) < SILENCE) {
                    self.has_more = true;
                    continue;
                }
                self.told.insert((host, limit), Told { at: now, refused });
                news.push(Offence { host, limit, refused: new });
            }
        }
        news
    }
}

/// What a host does, as it follows its name.
pub(super) fn does(limit: Limit, limits: Limits) -> String {
    let number = |limit: Option<u32>| limit.map_or_else(|| "the".to_owned(), |limit| thousands(limit.into()));
    match limit {
        Limit::Sessions => format!("has {} sessions, the most that a host may have", number(limits.sessions)),
        Limit::Rate => {
            format!("opens more than {} connections a second, the most that a host may", number(limits.new_per_second))
        }
        Limit::Ports => format!("has {} external ports, the most that a host may have", number(limits.ports)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: HostId = HostId(1);
    const B: HostId = HostId(2);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + seconds * 1_000)
    }

    #[test]
    fn host_is_named_once_a_minute_with_all_that_was_refused_since() {
        let mut offenders = Offenders::default();
        let first = offenders.news(at(0), [(A, [0, 17, 0])]);
        assert_eq!(first, [Offence { host: A, limit: Limit::Rate, refused: 17 }]);
        assert_eq!(
            offenders.news(at(1), [(A, [0, 500, 0]), (B, [1, 0, 0])]).len(),
            1,
            "another host is another matter"
        );
        assert!(offenders.has_more);
        let later = offenders.news(at(60), [(A, [0, 9_000, 3]), (B, [1, 0, 0])]);
        let of = |limit, refused| Offence { host: A, limit, refused };
        assert_eq!(later, [of(Limit::Rate, 8_983), of(Limit::Ports, 3)]);
        assert_eq!(offenders.news(at(200), [(A, [0, 9_000, 3]), (B, [1, 0, 0])]), []);
        assert!(!offenders.has_more);
        assert_eq!(offenders.news(at(201), [(A, [0, 2, 0])]), [of(Limit::Rate, 2)], "a number given to another host");
    }

    #[test]
    fn limits_are_said_in_words() {
        let limits = Limits { sessions: Some(16_384), new_per_second: Some(500), ports: Some(8_192) };
        let said = Limit::ALL.map(|limit| does(limit, limits));
        assert_eq!(
            said,
            [
                "has 16,384 sessions, the most that a host may have",
                "opens more than 500 connections a second, the most that a host may",
                "has 8,192 external ports, the most that a host may have"
            ]
        );
    }
}
