//! The hosts' accounts as people see them: who has how much, and how fast.
//!
//! Rates need two looks. So whoever asks first waits for the next tick; from then on there is a look each second, for as long as
//! somebody goes on asking. A router that nobody asks looks at nothing.

use std::time::Duration;

use tokio::sync::oneshot;

use super::rates::rate;
use super::report::{HostLineReport, HostReport, HostsReport, LimitsReport, UsageReport};
use crate::engine::{HostAccount, Limit, Limits, Usage};
use crate::flow::Timestamp;
use crate::placement::{Class, UplinkId};

/// Two looks that are closer than this say little.
const SHORTEST_SPAN: Duration = Duration::from_millis(500);
/// A look that is older than this says nothing of now.
const LONGEST_SPAN: Duration = Duration::from_millis(2_500);
/// So long after the last question looks go on.
const ATTENTION: Duration = Duration::from_secs(10);

/// All accounts at one time.
#[derive(Clone, Debug)]
struct Look {
    at: Timestamp,
    accounts: Vec<HostAccount>,
}

/// Who waits, and the last two looks.
#[derive(Debug, Default)]
pub(super) struct HostsWatch {
    before: Option<Look>,
    newest: Option<Look>,
    asked: Timestamp,
    pub(super) waiting: Vec<oneshot::Sender<HostsReport>>,
}

/// Two looks, and what passed between them.
#[derive(Debug)]
pub(super) struct View<'a> {
    before: &'a Look,
    newest: &'a Look,
}

impl HostsWatch {
    /// Somebody asks at `now`. `look` reads the accounts, if that is needed.
    pub(super) fn ask(&mut self, now: Timestamp, look: impl FnOnce() -> Vec<HostAccount>) {
        self.asked = now;
        if self.newest.as_ref().is_none_or(|newest| now.since(newest.at) > LONGEST_SPAN) {
            self.before = None;
            self.newest = Some(Look { at: now, accounts: look() });
        }
    }

    /// Another second has passed.
    pub(super) fn tick(&mut self, now: Timestamp, look: impl FnOnce() -> Vec<HostAccount>) {
        let Some(newest) = &self.newest else { return };
        if self.waiting.is_empty() && now.since(self.asked) > ATTENTION {
            (self.before, self.newest) = (None, None);
        } else if now.since(newest.at) >= SHORTEST_SPAN {
            self.before = self.newest.replace(Look { at: now, accounts: look() });
        }
    }

    /// What can be told now.
    pub(super) fn view(&self) -> Option<View<'_>> {
        Some(View { before: self.before.as_ref()?, newest: self.newest.as_ref()? })
    }
}

impl View<'_> {
    /// What a host's account on a line came to at the look before; nothing if the number was somebody else's.
    fn earlier(&self, host: &HostAccount, class: Class, uplink: UplinkId) -> Usage {
        let is_it = |account: &&HostAccount| (account.id, account.address) == (host.id, host.address);
        let lines = self.before.accounts.iter().find(is_it).map(|account| account.lines.as_slice()).unwrap_or_default();
        let found = lines.iter().find(|(of, on, _)| (*of, *on) == (class, uplink));
        found.map(|(.., usage)| *usage).unwrap_or_default()
    }

    /// As JSON tells it, but for names; `name_of` names lines.
    pub(super) fn report(&self, limits: Limits, name_of: &dyn Fn(UplinkId) -> String) -> HostsReport {
        let span = self.newest.at.since(self.before.at);
        let mut accounts = self.newest.accounts.iter().map(|account| self.host(account, span, name_of));
        let others = accounts.next().unwrap_or_default();
        let hosts = accounts.collect();
        let Limits { sessions, new_per_second, ports } = limits;
        let limits = LimitsReport { sessions, new_per_second, ports };
        #[expect(clippy::cast_possible_truncation, reason = "a few seconds")]
        let over_milliseconds = span.as_millis() as u64;
        HostsReport { hosts, others, limits, over_milliseconds }
    }

    fn host(&self, account: &HostAccount, span: Duration, name_of: &dyn Fn(UplinkId) -> String) -> HostReport {
        let line = |&(class, uplink, usage): &(Class, UplinkId, Usage)| {
            let earlier = self.earlier(account, class, uplink);
            let report = |bytes, before| UsageReport { bytes, bits_per_second: rate(bytes, before, span) };
            HostLineReport {
                uplink: name_of(uplink),
                class: class.name().to_owned(),
                // A look between two of a worker's steps, or a flow that has changed its class.
                sessions: i64::try_from(usage.flows).map_or(0, i64::unsigned_abs),
                flows: usage.opened,
                out: report(usage.out_bytes, earlier.out_bytes),
                back: report(usage.in_bytes, earlier.in_bytes),
            }
        };
        let lines: Vec<_> = account.lines.iter().map(line).collect();
        let refused = Limit::ALL.iter().zip(account.refused).filter(|(_, count)| *count > 0);
        HostReport {
            address: account.address,
            name: None,
            mac: None,
            sessions: account.sessions,
            ports: account.ports,
            flows: lines.iter().map(|line| line.flows).sum(),
            out: sum(lines.iter().map(|line| line.out)),
            back: sum(lines.iter().map(|line| line.back)),
            today: None,
            refused: refused.map(|(limit, count)| (limit.drop_reason().name().to_owned(), count)).collect(),
            lines,
        }
    }
}

fn sum(parts: impl Iterator<Item = UsageReport>) -> UsageReport {
    parts.fold(UsageReport::default(), |sum, part| UsageReport {
        bytes: sum.bytes + part.bytes,
        bits_per_second: sum.bits_per_second + part.bits_per_second,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::HostId;
    use std::net::Ipv4Addr;

    fn at(milliseconds: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + milliseconds)
    }

    fn account(number: u16, last: u8, in_bytes: u64) -> HostAccount {
        let usage = Usage { out_bytes: in_bytes / 10, in_bytes, flows: 2, opened: 3 };
        HostAccount {
            id: HostId(number),
            address: (number > 0).then_some(Ipv4Addr::new(192, 168, 10, last)),
            sessions: 2,
            ports: 1,
            refused: [0, 7, 0],
            lines: vec![(Class::Bulk, UplinkId(0), usage), (Class::Isolated, UplinkId(2), usage)],
        }
    }

    #[test]
    fn rates_are_of_the_time_between_two_looks_and_of_the_same_host() {
        let mut watch = HostsWatch::default();
        watch.tick(at(0), || unreachable!("nobody asks"));
        watch.ask(at(0), || vec![account(0, 0, 0), account(1, 20, 1_000), account(2, 21, 5_000)]);
        assert!(watch.view().is_none());
        watch.tick(at(100), || unreachable!("too soon"));
        watch.tick(at(1_100), || vec![account(0, 0, 0), account(1, 20, 111_000), account(2, 99, 5_000)]);
        let limits = Limits { sessions: Some(9), ..Limits::default() };
        let report = watch.view().unwrap().report(limits, &|id| format!("dsl{}", id.0));
        assert_eq!((report.hosts.len(), report.limits.sessions, report.over_milliseconds), (2, Some(9), 1_100));
        let first = &report.hosts[0];
        assert_eq!(first.back, UsageReport { bytes: 222_000, bits_per_second: 2 * 800_000 });
        assert_eq!(first.lines[1].uplink, "dsl2");
        assert_eq!((first.lines[1].class.as_str(), first.lines[1].out.bits_per_second), ("isolated", 80_000));
        assert_eq!((first.flows, first.refused.get("host_rate")), (6, Some(&7)));
        let second = &report.hosts[1];
        assert_eq!(second.lines[0].back.bits_per_second, 5_000 * 8 * 1_000 / 1_100, "a number given to another host");
    }

    #[test]
    fn looks_end_when_nobody_asks_any_more() {
        let mut watch = HostsWatch::default();
        watch.ask(at(0), Vec::new);
        watch.tick(at(1_000), Vec::new);
        watch.ask(at(1_200), || unreachable!("the last look is new enough"));
        watch.tick(at(12_000), || unreachable!("nobody has asked for ten seconds"));
        assert!(watch.view().is_none());
        watch.tick(at(13_000), || unreachable!("nobody asks"));
    }
}
