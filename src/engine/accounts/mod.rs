//! Accounts of LAN hosts: what each sends and receives by which line, what it has, and what it may have.
//!
//! Theory of operation: a host gets a number at its first flow, and every flow's record has its host's. So a packet adds to a
//! counter by arithmetic; who is who is asked ([`DashMap`], by all workers) at a flow's first packet only. Each worker writes
//! a ledger of its own, readers add them up. What limits ask for (live flows, ports, the pace of new flows) is shared:
//! an atomic operation where a flow or a port begins and ends. Two workers that open a flow in the same moment may exceed a limit
//! by one.
//!
//! There are [`MOST_HOSTS`] numbers. Number 0 is everybody else: hosts that came when no number was free share its account
//! and its limits, so that nobody evades them by addresses that he makes up. Who has had neither flow nor port for an hour gives its number back
//! ([`Accounts::forget_away`]); what was counted for it stays in the account of the others, so that the sum over all accounts is
//! always that of the lines' counters.
//!
//! Nothing is allocated here after the start but what the map may want for a host that it has never seen.

mod ledger;
mod limits;

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crossbeam::queue::ArrayQueue;
use dashmap::DashMap;

use super::drop_reason::DropReason;
use crate::flow::Timestamp;
use crate::nat::PortsHeld;
use crate::placement::{Class, UplinkId, WorkerId};

pub(super) use ledger::Ledger;
pub use ledger::{Account, Usage};
pub use limits::{Limit, Limits};
use limits::{LimitCells, Pace};

/// Hosts that have an account of their own at one time.
pub const MOST_HOSTS: usize = 4_096;
/// A host that has had nothing for this long gives its number back.
const AWAY: Duration = Duration::from_secs(3_600);
/// The same when nearly all numbers are given away.
const AWAY_IN_NEED: Duration = Duration::from_secs(60);
/// So few free numbers are a need.
const NEED: usize = MOST_HOSTS / 8;
/// Shards of the map, and what each has room for from the start: more than chance puts there.
const SHARDS: usize = 16;
const ROOM: usize = 4 * MOST_HOSTS;

/// A host's number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostId(pub u16);

impl HostId {
    /// Everybody who has no number of his own.
    pub const OTHERS: Self = Self(0);

    const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Who opens a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opener {
    /// A LAN host.
    Host,
    /// Somebody on the internet, towards a LAN host: the host cannot help how often.
    Internet,
    /// The router itself, or a flow that is there already: nothing is limited.
    Router,
}

/// What all workers share of a host.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Row {
    sessions: AtomicU32,
    /// When it last opened a flow: seconds since boot.
    seen: AtomicU32,
    pace: Pace,
    refused: [AtomicU64; Limit::ALL.len()],
}

/// A host's account, added up over all workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostAccount {
    /// Its number.
    pub id: HostId,
    /// Its address; `None`: all who have no account of their own.
    pub address: Option<Ipv4Addr>,
    /// Flows that live now.
    pub sessions: u32,
    /// External ports that it has now, those that rest among them.
    pub ports: u32,
    /// Connections that each limit has refused it, in the order of [`Limit::ALL`].
    pub refused: [u64; Limit::ALL.len()],
    /// By class and line, in this order; only what is not zero.
    pub lines: Vec<(Class, UplinkId, Usage)>,
}

impl HostAccount {
    /// All lines and classes together.
    #[must_use]
    pub fn total(&self) -> Usage {
        self.lines.iter().fold(Usage::default(), |sum, (.., usage)| sum.plus(*usage))
    }
}

/// The accounts of all hosts. Shared by the workers and whoever reads.
#[derive(Debug)]
pub struct Accounts {
    numbers: DashMap<Ipv4Addr, HostId>,
    free: ArrayQueue<HostId>,
    rows: Box<[Row]>,
    ports: Arc<PortsHeld>,
    /// One for each worker, and one for what hosts that are gone have left.
    ledgers: Box<[Ledger]>,
    limits: LimitCells,
    /// Connections refused so far, so that whoever watches sees at a glance that there are more.
    refusals: AtomicU64,
}

impl Accounts {
    /// Nobody is known, nothing is limited.
    ///
    /// # Errors
    /// When the memory cannot be had.
    pub fn new(workers: u8) -> io::Result<Self> {
        let free = ArrayQueue::new(MOST_HOSTS);
        for number in (1..=MOST_HOSTS).filter_map(|number| u16::try_from(number).ok()) {
            let _there_is_room = free.push(HostId(number));
        }
        Ok(Self {
            numbers: DashMap::with_capacity_and_shard_amount(ROOM, SHARDS),
            free,
            rows: (0..=MOST_HOSTS).map(|_| Row::default()).collect(),
            ports: Arc::new(PortsHeld::new(MOST_HOSTS + 1)),
            ledgers: (0..=workers).map(|_| Ledger::new(MOST_HOSTS + 1)).collect::<io::Result<_>>()?,
            limits: LimitCells::default(),
            refusals: AtomicU64::new(0),
        })
    }

    /// Bytes that a worker's share comes to when every host is counted.
    #[must_use]
    pub const fn bytes() -> usize {
        Ledger::bytes(MOST_HOSTS + 1)
    }

    /// From now on, hosts may have so much. What they have already stays.
    pub fn set_limits(&self, limits: Limits) {
        self.limits.set(limits);
    }

    /// What hosts may have.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let of = |limit| self.limits.get(limit);
        Limits { sessions: of(Limit::Sessions), new_per_second: of(Limit::Rate), ports: of(Limit::Ports) }
    }

    /// Where the ports of each host are counted.
    #[must_use]
    pub(super) fn ports(&self) -> Arc<PortsHeld> {
        Arc::clone(&self.ports)
    }

    /// What a worker writes.
    pub(super) fn ledger(&self, worker: WorkerId) -> Ledger {
        self.ledgers[worker.index()].clone()
    }

    /// Asks for one more flow of the host at `address`: its number, or which limit forbids it.
    ///
    /// # Errors
    /// The limit that is reached, as what the packet is counted under.
    pub fn admit(&self, now: Timestamp, address: Ipv4Addr, opener: Opener) -> Result<HostId, DropReason> {
        let host = self.number_of(now, address);
        let row = &self.rows[host.index()];
        if opener == Opener::Router {
            return Ok(host);
        }
        if self.limits.get(Limit::Sessions).is_some_and(|most| row.sessions.load(Ordering::Relaxed) >= most) {
            return Err(self.refuse(host, Limit::Sessions));
        }
        let limits_pace = opener == Opener::Host;
        if limits_pace && self.limits.get(Limit::Rate).is_some_and(|most| !row.pace.take_turn(now, most)) {
            return Err(self.refuse(host, Limit::Rate));
        }
        Ok(host)
    }

    /// Asks for one more port of a host.
    ///
    /// # Errors
    /// When it has as many as it may have, as what the packet is counted under.
    pub fn admit_port(&self, host: HostId, opener: Opener) -> Result<(), DropReason> {
        let is_full = |most| self.ports.of(host.0) >= most;
        if opener != Opener::Router && self.limits.get(Limit::Ports).is_some_and(is_full) {
            return Err(self.refuse(host, Limit::Ports));
        }
        Ok(())
    }

    fn refuse(&self, host: HostId, limit: Limit) -> DropReason {
        self.rows[host.index()].refused[limit as usize].fetch_add(1, Ordering::Relaxed);
        self.refusals.fetch_add(1, Ordering::Relaxed);
        limit.drop_reason()
    }

    /// A host's number, which it gets now if it has none. Its row is stamped while the map is held, so that the number is not
    /// taken away before the flow is counted.
    fn number_of(&self, now: Timestamp, address: Ipv4Addr) -> HostId {
        if let Some(number) = self.numbers.get(&address) {
            self.stamp(now, *number);
            return *number;
        }
        match self.numbers.entry(address) {
            dashmap::Entry::Occupied(number) => {
                self.stamp(now, *number.get());
                *number.get()
            }
            dashmap::Entry::Vacant(place) => {
                let Some(number) = self.free.pop() else { return HostId::OTHERS };
                self.stamp(now, number);
                *place.insert(number)
            }
        }
    }

    fn stamp(&self, now: Timestamp, host: HostId) {
        let seen = u32::try_from(now.since(Timestamp::default()).as_secs()).unwrap_or(u32::MAX);
        self.rows[host.index()].seen.store(seen, Ordering::Relaxed);
    }

    /// Counts a flow that a host has from now on.
    pub(super) fn begin_session(&self, host: HostId) {
        self.rows[host.index()].sessions.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the end of one. What the flow has counted elsewhere is visible to whoever sees this.
    pub(super) fn end_session(&self, host: HostId) {
        self.rows[host.index()].sessions.fetch_sub(1, Ordering::Release);
    }

    /// Takes the numbers of hosts away that have nothing and have opened nothing for an hour (a minute when numbers are
    /// scarce). Gives how many. Takes time in proportion to the hosts; only one thread may call it.
    pub fn forget_away(&self, now: Timestamp) -> usize {
        let patience = if self.free.len() < NEED { AWAY_IN_NEED } else { AWAY };
        let known: Vec<(Ipv4Addr, HostId)> = self.numbers.iter().map(|entry| (*entry.key(), *entry.value())).collect();
        let mut forgotten = 0;
        for (address, host) in known {
            let has_gone = |_: &Ipv4Addr, host: &HostId| self.is_away(now, *host, patience);
            if self.numbers.remove_if(&address, has_gone).is_some() {
                self.forget(host);
                forgotten += 1;
            }
        }
        forgotten
    }

    fn is_away(&self, now: Timestamp, host: HostId, patience: Duration) -> bool {
        let row = &self.rows[host.index()];
        let seen = Timestamp::from_millis(u64::from(row.seen.load(Ordering::Relaxed)) * 1_000);
        row.sessions.load(Ordering::Acquire) == 0 && self.ports.of(host.0) == 0 && now.since(seen) >= patience
    }

    /// Makes a number free that nobody knows any more.
    fn forget(&self, host: HostId) {
        if let Some((of_the_gone, of_workers)) = self.ledgers.split_last() {
            of_workers.iter().for_each(|ledger| of_the_gone.take_over(host, ledger));
        }
        let row = &self.rows[host.index()];
        row.pace.reset();
        for (own, of_others) in row.refused.iter().zip(&self.rows[HostId::OTHERS.index()].refused) {
            of_others.fetch_add(own.swap(0, Ordering::Relaxed), Ordering::Relaxed);
        }
        let _there_is_room = self.free.push(host);
    }

    /// Forgets what a worker has counted on a line, for another uplink has its place.
    pub(super) fn forget_line_of(&self, ledger: &Ledger, uplink: UplinkId) {
        // Those that nobody has are not looked at: that would take memory.
        let known: Vec<HostId> = self.numbers.iter().map(|entry| *entry.value()).collect();
        ledger.forget_line(known.into_iter().chain([HostId::OTHERS]), uplink);
    }

    /// The same for what hosts that are gone have left. The workers forget for themselves.
    pub fn forget_line(&self, uplink: UplinkId) {
        if let Some(of_the_gone) = self.ledgers.last() {
            of_the_gone.forget_line([HostId::OTHERS], uplink);
        }
    }

    /// The accounts of all hosts, and that of all others first. Takes memory, and time in proportion to the hosts.
    #[must_use]
    pub fn list(&self) -> Vec<HostAccount> {
        let known = self.numbers.iter().map(|entry| (*entry.value(), Some(*entry.key())));
        let mut known: Vec<_> = std::iter::once((HostId::OTHERS, None)).chain(known).collect();
        known.sort_unstable();
        known.into_iter().map(|(id, address)| self.account(id, address)).collect()
    }

    /// Hosts that have an account of their own, and external ports that all hosts have together, those that rest among them.
    #[must_use]
    pub fn sums(&self) -> (usize, u64) {
        (self.numbers.len(), self.ports.all())
    }

    /// Connections that limits have refused so far, of all hosts together.
    #[must_use]
    pub fn refusals(&self) -> u64 {
        self.refusals.load(Ordering::Relaxed)
    }

    /// Connections that each limit has refused each host, in the order of [`Limit::ALL`]; only hosts that were refused some.
    pub fn refused(&self) -> impl Iterator<Item = (HostId, [u64; Limit::ALL.len()])> + '_ {
        let of = |row: &Row| std::array::from_fn(|at| row.refused[at].load(Ordering::Relaxed));
        let rows = (0..).map(HostId).zip(&self.rows).map(move |(host, row)| (host, of(row)));
        rows.filter(|(_, refused)| refused.iter().any(|count| *count > 0))
    }

    /// The address of a host; `None` when nobody has the number.
    #[must_use]
    pub fn address_of(&self, host: HostId) -> Option<Ipv4Addr> {
        self.numbers.iter().find(|entry| *entry.value() == host).map(|entry| *entry.key())
    }

    fn account(&self, id: HostId, address: Option<Ipv4Addr>) -> HostAccount {
        let mut lines: Vec<(Class, UplinkId, Usage)> = Vec::new();
        for (class, uplink, usage) in self.ledgers.iter().flat_map(|ledger| ledger.cells(id)) {
            match lines.iter_mut().find(|(of, on, _)| (*of, *on) == (class, uplink)) {
                Some((.., sum)) => *sum = sum.plus(usage),
                None => lines.push((class, uplink, usage)),
            }
        }
        lines.sort_unstable_by_key(|(class, uplink, _)| (*class as u8, *uplink));
        let row = &self.rows[id.index()];
        HostAccount {
            id,
            address,
            sessions: row.sessions.load(Ordering::Relaxed),
            ports: self.ports.of(id.0),
            refused: std::array::from_fn(|at| row.refused[at].load(Ordering::Relaxed)),
            lines,
        }
    }
}
