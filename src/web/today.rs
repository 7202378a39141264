//! What each host has used since midnight.
//!
//! Theory of operation: accounts count since the router's start. Twice a minute they are looked at, and what is more than at
//! the look before is added to the day's sums. At midnight of the router's clock a new day begins with nothing. The sums are
//! kept in the state directory every few minutes and read at the start, so a restart costs at most those minutes. Without
//! that file the day begins with the start.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tracing::debug;

use crate::daemon::Handle;
use crate::daemon::report::HostReport;
use crate::sys::clock;

/// The file in the state directory.
const FILE: &str = "today.json";
/// Between two looks at the accounts.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// The file is written at every so many looks.
const LOOKS_A_FILE: u32 = 10;
/// Hosts of one day that have a sum of their own.
const MOST_HOSTS: usize = 4096;

/// What a host has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Usage {
    /// Bytes of IP packets that came back to it.
    #[serde(rename = "in")]
    pub(super) back: u64,
    /// Bytes that it has sent.
    pub(super) out: u64,
}

/// `GET /v1/hosts/today`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Today {
    /// The day, in days since 1970 by the router's clock.
    day: u64,
    /// From when on everything is counted, in seconds since 1970.
    since: u64,
    /// Hosts that have used something.
    hosts: BTreeMap<Ipv4Addr, Usage>,
}

/// The sums of a day, and what they are made from.
#[derive(Debug, Default)]
struct Tally {
    today: Today,
    before: HashMap<Ipv4Addr, Usage>,
}

impl Tally {
    /// Adds what hosts have used since the last look. `now`: seconds since 1970; `offset`: what local clocks show beyond UTC.
    fn take(&mut self, now: u64, offset: i64, hosts: &[HostReport]) {
        let day = now.saturating_add_signed(offset) / 86_400;
        if self.today.day != day {
            self.today = Today { day, since: now, hosts: BTreeMap::new() };
        }
        let mut before = HashMap::with_capacity(hosts.len());
        for host in hosts {
            let Some(address) = host.address else { continue };
            let usage = Usage { back: host.back.bytes, out: host.out.bytes };
            let earlier = self.before.get(&address).copied().unwrap_or_default();
            self.add(address, Usage { back: more(earlier.back, usage.back), out: more(earlier.out, usage.out) });
            before.insert(address, usage);
        }
        self.before = before;
    }

    fn add(&mut self, address: Ipv4Addr, usage: Usage) {
        let hosts = &mut self.today.hosts;
        if usage == Usage::default() || hosts.len() >= MOST_HOSTS && !hosts.contains_key(&address) {
            return;
        }
        let sum = hosts.entry(address).or_default();
        sum.back = sum.back.saturating_add(usage.back);
        sum.out = sum.out.saturating_add(usage.out);
    }
}

/// What has come since; an account that has less than before is a new one.
fn more(before: u64, now: u64) -> u64 {
    now.checked_sub(before).unwrap_or(now)
}

/// Answers `GET /v1/hosts/today` from what [`count`] tells.
pub(super) fn routes<S: Clone + Send + Sync + 'static>(today: watch::Receiver<Today>) -> Router<S> {
    Router::new().route("/v1/hosts/today", get(async move || Json(today.borrow().clone())))
}

/// Counts for as long as the router runs, and tells `today`.
pub(super) async fn count(router: Handle, today: watch::Sender<Today>) {
    let file = router.config().borrow().router.state_dir.join(FILE);
    let mut tally = Tally { today: kept(&file).await, ..Tally::default() };
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for look in 1_u32.. {
        ticks.tick().await;
        let Some(report) = router.hosts().await else { return };
        let now = clock::wall().as_secs();
        tally.take(now, clock::utc_offset(now), &report.hosts);
        today.send_replace(tally.today.clone());
        if look % LOOKS_A_FILE == 0 {
            keep(file.clone(), tally.today.clone()).await;
        }
    }
}

/// What an earlier run has kept; nothing if there is none, or nothing that can be read.
async fn kept(file: &Path) -> Today {
    let file = file.to_owned();
    let read = tokio::task::spawn_blocking(move || fs::read(file)).await;
    read.ok().and_then(Result::ok).and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

/// Keeps the sums. A disk that does not take them costs a few minutes' sums at the next start.
async fn keep(file: PathBuf, today: Today) {
    let written = tokio::task::spawn_blocking(move || write(&file, &today)).await;
    if let Ok(Err(error)) = written {
        debug!(%error, "what hosts have used today is not kept");
    }
}

fn write(file: &Path, today: &Today) -> io::Result<()> {
    let new = file.with_extension("new");
    fs::write(&new, serde_json::to_vec(today)?)?;
    fs::rename(new, file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::report::UsageReport;

    const NOON: u64 = 1_795_694_400;
    const HOST: Ipv4Addr = Ipv4Addr::new(192, 168, 10, 21);

    fn host(back: u64, out: u64) -> HostReport {
        let usage = |bytes| UsageReport { bytes, bits_per_second: 0 };
        HostReport { address: Some(HOST), back: usage(back), out: usage(out), ..HostReport::default() }
    }

    fn sum(tally: &Tally) -> Option<(u64, u64)> {
        tally.today.hosts.get(&HOST).map(|usage| (usage.back, usage.out))
    }

    #[test]
    fn what_comes_between_looks_is_added_and_a_new_account_counts_from_nothing() {
        let mut tally = Tally::default();
        tally.take(NOON, 0, &[host(100, 10)]);
        tally.take(NOON + 30, 0, &[host(150, 10)]);
        assert_eq!(sum(&tally), Some((150, 10)));
        // The host was away, and its account was given up meanwhile.
        tally.take(NOON + 60, 0, &[]);
        tally.take(NOON + 90, 0, &[host(5, 1)]);
        assert_eq!(sum(&tally), Some((155, 11)));
    }

    #[test]
    fn midnight_of_the_local_clock_begins_a_new_day() {
        let mut tally = Tally::default();
        tally.take(NOON, 0, &[host(100, 10)]);
        // Half past eleven at night, UTC: half past midnight an hour further east.
        let late = NOON + 11 * 3_600 + 1_800;
        tally.take(late, 0, &[host(200, 10)]);
        assert_eq!(sum(&tally), Some((200, 10)));
        tally.take(late, 3_600, &[host(230, 10)]);
        assert_eq!((sum(&tally), tally.today.since), (Some((30, 0)), late));
    }

    #[test]
    fn sums_outlive_the_program() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        let mut tally = Tally::default();
        tally.take(NOON, 0, &[host(100, 10)]);
        write(&file, &tally.today).unwrap();
        let read: Today = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        assert_eq!(read, tally.today);
        let mut next = Tally { today: read, ..Tally::default() };
        next.take(NOON + 60, 0, &[host(7, 0)]);
        assert_eq!(sum(&next), Some((107, 10)));
    }

    #[test]
    fn more_hosts_than_there_is_room_for_do_not_fill_the_memory() {
        let mut tally = Tally::default();
        let many: Vec<_> =
            (0..10_000_u32).map(|number| HostReport { address: Some(Ipv4Addr::from(number)), ..host(1, 1) }).collect();
        tally.take(NOON, 0, &many);
        assert_eq!(tally.today.hosts.len(), MOST_HOSTS);
    }
}
