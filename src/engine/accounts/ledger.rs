//! One writer's share of all accounts: bytes and flows by host, class and line.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use super::HostId;
use crate::flow::FlowV4;
use crate::flow::record::MARK_ISOLATED;
use crate::placement::{Class, MAX_UPLINKS, UplinkId};
use crate::sys::shared_words::SharedWords;

/// Classes that are told apart.
pub(super) const CLASSES: usize = 2;
/// Words of a cell: see the constants below.
const WORDS: usize = 4;
const OUT_BYTES: usize = 0;
const IN_BYTES: usize = 1;
const FLOWS: usize = 2;
const OPENED: usize = 3;
/// Cells of a host, a class after the other.
const CELLS: usize = CLASSES * MAX_UPLINKS;

/// What a flow is counted under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its host.
    pub host: HostId,
    /// What it is for.
    pub class: Class,
    /// Its line.
    pub uplink: UplinkId,
}

impl Account {
    /// The one of a flow as it is now.
    #[must_use]
    pub const fn of(record: &FlowV4) -> Self {
        let body = &record.body;
        let class = if record.is_marked(MARK_ISOLATED) { Class::Isolated } else { Class::Bulk };
        Self { host: HostId(body.host), class, uplink: UplinkId(body.uplink) }
    }
}

/// What an account comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of IP packets sent to the internet.
    pub out_bytes: u64,
    /// Bytes of IP packets that came from it.
    pub in_bytes: u64,
    /// Flows that live now.
    pub flows: u64,
    /// Flows made so far.
    pub opened: u64,
}

impl Usage {
    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            out_bytes: self.out_bytes.wrapping_add(other.out_bytes),
            in_bytes: self.in_bytes.wrapping_add(other.in_bytes),
            flows: self.flows.wrapping_add(other.flows),
            opened: self.opened.wrapping_add(other.opened),
        }
    }
}

/// The counters of one writer: plain loads and stores, as [`super::super::counters::Counter`]. The memory is the kernel's zero
/// pages until a host is counted there: 2 KiB a host and writer.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Ledger(SharedWords);

impl Ledger {
    /// All zero, for `hosts` hosts.
    pub(super) fn new(hosts: usize) -> io::Result<Self> {
        SharedWords::anonymous(Self::bytes(hosts)).map(Self)
    }

    /// What [`Self::new`] takes.
    pub(super) const fn bytes(hosts: usize) -> usize {
        hosts * CELLS * WORDS * size_of::<u64>()
    }

    fn add(&self, account: Account, word: usize, amount: u64) {
        let Account { host, class, uplink } = account;
        let cell = usize::from(host.0) * CELLS + class as usize * MAX_UPLINKS + uplink.index() % MAX_UPLINKS;
        if let Some(word) = self.0.words().get(cell * WORDS + word) {
            word.store(word.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
        }
    }

    /// Counts bytes sent to the internet.
    #[inline]
    pub(in crate::engine) fn add_out(&self, account: Account, bytes: u64) {
        self.add(account, OUT_BYTES, bytes);
    }

    /// Counts bytes that came from it.
    #[inline]
    pub(in crate::engine) fn add_in(&self, account: Account, bytes: u64) {
        self.add(account, IN_BYTES, bytes);
    }

    /// Counts a flow that was made.
    pub(in crate::engine) fn add_opened(&self, account: Account) {
        self.add(account, OPENED, 1);
    }

    /// Counts a flow that lives.
    pub(in crate::engine) fn add_flow(&self, account: Account) {
        self.add(account, FLOWS, 1);
    }

    /// Counts one less.
    pub(in crate::engine) fn remove_flow(&self, account: Account) {
        self.add(account, FLOWS, 1_u64.wrapping_neg());
    }

    fn host(&self, host: HostId) -> &[AtomicU64] {
        let start = usize::from(host.0) * CELLS * WORDS;
        self.0.words().get(start..start + CELLS * WORDS).unwrap_or_default()
    }

    /// The cells of a host that are not zero.
    pub(super) fn cells(&self, host: HostId) -> impl Iterator<Item = (Class, UplinkId, Usage)> + '_ {
        let (cells, _) = self.host(host).as_chunks::<WORDS>();
        cells.iter().enumerate().filter_map(|(at, cell)| {
            let of = |word: usize| cell[word].load(Ordering::Relaxed);
            let usage =
                Usage { out_bytes: of(OUT_BYTES), in_bytes: of(IN_BYTES), flows: of(FLOWS), opened: of(OPENED) };
            #[expect(clippy::cast_possible_truncation, reason = "two classes of 32 lines")]
            let (class, uplink) = (Class::from_number((at / MAX_UPLINKS) as u8), UplinkId((at % MAX_UPLINKS) as u8));
            (usage != Usage::default()).then_some((class, uplink, usage))
        })
    }

    /// Adds what another ledger has of a host to what this one has of the nameless, and forgets the host there. Nobody may
    /// write either meanwhile.
    pub(super) fn take_over(&self, host: HostId, from: &Self) {
        for (class, uplink, usage) in from.cells(host) {
            let account = Account { host: HostId::OTHERS, class, uplink };
            let words = [
                (OUT_BYTES, usage.out_bytes),
                (IN_BYTES, usage.in_bytes),
                (FLOWS, usage.flows),
                (OPENED, usage.opened),
            ];
            for (word, amount) in words {
                self.add(account, word, amount);
            }
        }
        from.host(host).iter().for_each(|word| word.store(0, Ordering::Relaxed));
    }

    /// Forgets what was counted on a line for these hosts, for another uplink has the place; flows go on counting themselves.
    pub(super) fn forget_line(&self, hosts: impl IntoIterator<Item = HostId>, uplink: UplinkId) {
        for host in hosts {
            let (cells, _) = self.host(host).as_chunks::<WORDS>();
            for cell in cells.iter().skip(uplink.index()).step_by(MAX_UPLINKS) {
                [OUT_BYTES, IN_BYTES, OPENED].iter().for_each(|word| cell[*word].store(0, Ordering::Relaxed));
            }
        }
    }
}
