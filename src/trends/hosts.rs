//! What hosts use day by day: differences of their accounts, put to the local day in which they were seen.
//!
//! An account is of the time since the router's start, or since its host came. So what counts is what has been added since the look
//! before, cell by cell (by line and class), for a cell begins anew when its host comes back or when another line has
//! its place. Everything is added to what is kept already.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::store::Days;
use crate::daemon::report::DayReport;
use crate::engine::{HostAccount, Usage};
use crate::placement::{Class, UplinkId};

/// Most days and hosts that wait to be kept.
const MOST_WAITING: usize = 20_000;

/// Bytes of a cell, out and in, by line and class.
type Cells = BTreeMap<(UplinkId, u8), (u64, u64)>;

/// The accounts as they were, today, and what waits to be kept.
#[derive(Debug, Default)]
pub(super) struct HostDays {
    before: BTreeMap<Ipv4Addr, Cells>,
    /// The day, and what was used on it; `None`: nothing was seen yet.
    today: Option<(i64, BTreeMap<Ipv4Addr, DayReport>)>,
    waiting: Days,
}

impl HostDays {
    /// Takes in the accounts as they are on local day `day`. `kept` tells what is kept of that day; it is asked when the day
    /// is another than before.
    pub(super) fn handle_accounts(
        &mut self,
        day: i64,
        accounts: &[HostAccount],
        kept: impl FnOnce(i64) -> BTreeMap<Ipv4Addr, DayReport>,
    ) -> &BTreeMap<Ipv4Addr, DayReport> {
        let mut today = match self.today.take() {
            Some((before, today)) if before == day => today,
            _ => self.with_waiting(day, kept(day)),
        };
        let mut now = BTreeMap::new();
        for account in accounts {
            let Some(host) = account.address else { continue };
            let cells = cells(account);
            let used = used(self.before.get(&host), &cells);
            now.insert(host, cells);
            if used != DayReport::default() {
                add(today.entry(host).or_default(), used);
                if self.waiting.len() < MOST_WAITING {
                    add(self.waiting.entry((day, host)).or_default(), used);
                }
            }
        }
        self.before = now;
        &self.today.insert((day, today)).1
    }

    fn with_waiting(&self, day: i64, mut today: BTreeMap<Ipv4Addr, DayReport>) -> BTreeMap<Ipv4Addr, DayReport> {
        for ((_, host), used) in self.waiting.iter().filter(|((of, _), _)| *of == day) {
            add(today.entry(*host).or_default(), *used);
        }
        today
    }

    /// What waits to be kept.
    pub(super) fn waiting(&self) -> &Days {
        &self.waiting
    }

    /// It was kept.
    pub(super) fn forget_waiting(&mut self) {
        self.waiting.clear();
    }
}

fn cells(account: &HostAccount) -> Cells {
    let cell =
        |&(class, uplink, usage): &(Class, UplinkId, Usage)| ((uplink, class as u8), (usage.out_bytes, usage.in_bytes));
    account.lines.iter().map(cell).collect()
}

fn used(before: Option<&Cells>, now: &Cells) -> DayReport {
    let mut sum = DayReport::default();
    for (cell, (out_bytes, in_bytes)) in now {
        let (out_before, in_before) = before.and_then(|before| before.get(cell)).copied().unwrap_or_default();
        let more = |now: u64, before| now.checked_sub(before).unwrap_or(now);
        add(&mut sum, DayReport { out_bytes: more(*out_bytes, out_before), in_bytes: more(*in_bytes, in_before) });
    }
    sum
}

/// Puts more to what was used.
pub(super) fn add(sum: &mut DayReport, more: DayReport) {
    sum.out_bytes = sum.out_bytes.saturating_add(more.out_bytes);
    sum.in_bytes = sum.in_bytes.saturating_add(more.in_bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::HostId;

    fn account(last: u8, lines: &[(u8, u64)]) -> HostAccount {
        let usage = |bytes| Usage { out_bytes: bytes, in_bytes: 10 * bytes, ..Usage::default() };
        HostAccount {
            id: HostId(u16::from(last)),
            address: (last > 0).then_some(Ipv4Addr::new(192, 168, 10, last)),
            sessions: 0,
            ports: 0,
            refused: [0; 3],
            lines: lines.iter().map(|(line, bytes)| (Class::Bulk, UplinkId(*line), usage(*bytes))).collect(),
        }
    }

    fn out(today: &BTreeMap<Ipv4Addr, DayReport>) -> Vec<(u8, u64)> {
        today.iter().map(|(host, used)| (host.octets()[3], used.out_bytes)).collect()
    }

    #[test]
    fn only_what_was_added_counts_and_each_day_begins_at_what_is_kept_of_it() {
        let mut hosts = HostDays::default();
        let kept = |_| BTreeMap::from([(Ipv4Addr::new(192, 168, 10, 20), DayReport { out_bytes: 1_000, in_bytes: 0 })]);
        let never = |_| -> BTreeMap<_, _> { unreachable!("it is the same day") };
        let accounts = [account(0, &[(0, 77)]), account(20, &[(0, 5), (1, 3)]), account(21, &[])];
        assert_eq!(out(hosts.handle_accounts(7, &accounts, kept)), [(20, 1_008)]);
        assert_eq!(out(hosts.handle_accounts(7, &accounts, never)), [(20, 1_008)]);
        // Another line takes the second one's place, and one host's account is new.
        let accounts = [account(20, &[(0, 6), (1, 1)]), account(21, &[(0, 50)])];
        assert_eq!(out(hosts.handle_accounts(7, &accounts, never)), [(20, 1_010), (21, 50)]);
        assert_eq!(hosts.waiting().values().map(|used| used.out_bytes).collect::<Vec<_>>(), [10, 50]);
        // Midnight, a host that comes back, and a clock that is put back.
        let accounts = [account(20, &[(0, 8), (1, 1)])];
        assert_eq!(out(hosts.handle_accounts(8, &accounts, |_| BTreeMap::new())), [(20, 2)]);
        let accounts = [account(20, &[(0, 8), (1, 1)]), account(21, &[(0, 4)])];
        assert_eq!(out(hosts.handle_accounts(7, &accounts, kept)), [(20, 1_010), (21, 54)]);
        hosts.forget_waiting();
        assert_eq!(out(hosts.handle_accounts(8, &accounts, |_| BTreeMap::new())), []);
    }
}
