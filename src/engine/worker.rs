//! The worker: its state, the loops over batches, and what both directions share.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use super::accounts::{Account, Accounts, Ledger};
use super::budget::Budget;
use super::counters::WorkerCounters;
use super::decisions::Decisions;
use super::drop_reason::DropReason;
use super::listing::{Bulkiness, FlowDirection, FlowFilter, FlowListing, FlowPage, FlowState};
use super::moves::Moves;
use super::outbox::{Egress, Handoff, Ingress, Journey, Outbox};
use super::pace::Pace;
use super::parse::{self, Content, Ports, Way};
use super::session::{self, Opened};
use super::short_queue::ShortQueues;
use super::shortcut::Shortcuts;
use super::transfers::Transfers;
use crate::flow::direction::Direction;
use crate::flow::fragment::{FragmentCache, FragmentKey, Later, PieceRange};
use crate::flow::record::{
    FLAG_FORWARDED, FLAG_INBOUND, FLAG_REPLIED, FLAG_RESCUED, FLAG_RESCUED_AGAIN, FLAG_SHORTCUT, MARK_BULKY,
    MARK_ISOLATED, Tick,
};
use crate::flow::tcp::{TcpState, TcpTracker, TcpVerdict};
use crate::flow::{Endpoint, FlowId, FlowKey, FlowTable, FlowV4, Protocol, Timestamp, timeouts};
use crate::nat::{Ending, Mapping, Mappings};
use crate::placement::{
    Affinity, Bulky, Class, LanId, Load, Reason, RuleId, Snapshot, UplinkId, WorkerId, owner_of_port,
};
use crate::wire::{Ipv4, PacketBuffer, TcpSegment};

/// How often the clock's hand moves while there is something to forget.
const SWEEP_INTERVAL: Duration = Duration::from_millis(250);
/// Moves in a full round, which therefore takes ten seconds: the most that a dead flow or a rested port outlives its time.
const SWEEPS_A_ROUND: u32 = 40;
/// Records in a page of a listing, and records looked at for it.
const PAGE_FLOWS: usize = 512;
const PAGE_RECORDS: u32 = 16_384;

/// Who may send to an open port from outside (RFC 4787 section 5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Filtering {
    /// Whom the host has sent to, address and port.
    #[default]
    AddressAndPort,
    /// Anybody.
    EndpointIndependent,
}

/// Most ports that can be set as movable.
pub const MAX_MOVABLE_PORTS: usize = 16;

/// Ports of protocols over UDP that bear another address amid a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MovablePorts([u16; MAX_MOVABLE_PORTS]);

impl MovablePorts {
    /// The first [`MAX_MOVABLE_PORTS`] of `ports`.
    #[must_use]
    pub fn new(ports: impl IntoIterator<Item = NonZeroU16>) -> Self {
        let mut movable = Self::default();
        for (place, port) in movable.0.iter_mut().zip(ports) {
            *place = port.get();
        }
        movable
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = u16> {
        self.0.iter().copied().filter(|port| *port != 0)
    }

    /// Whether a far end's port is one of them.
    #[must_use]
    pub fn contains(self, port: u16) -> bool {
        port != 0 && self.0.contains(&port)
    }
}

/// What an operator can set about the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Who may send to an open port from outside.
    pub filtering: Filtering,
    /// Which flows go on over another line when theirs is lost.
    pub movable: MovablePorts,
}

/// One worker's share of the router: its flows, its ports, its counters.
#[derive(Debug)]
pub struct Worker {
    pub(super) id: WorkerId,
    pub(super) workers: u8,
    pub(super) settings: Settings,
    pub(super) table: FlowTable,
    pub(super) mappings: Mappings,
    pub(super) load: Arc<Load>,
    pub(super) affinity: Arc<Affinity>,
    pub(super) bulky: Arc<Bulky>,
    pub(super) counters: Arc<WorkerCounters>,
    pub(super) accounts: Arc<Accounts>,
    pub(super) ledger: Ledger,
    pub(super) errors: Budget,
    pub(super) refusals: Budget,
    pub(super) probe_answers: Budget,
    pub(super) shortcuts: Option<Shortcuts>,
    pub(super) transfers: Transfers,
    pub(super) pace: Pace,
    pub(super) decisions: Decisions,
    pub(super) moves: Moves,
    pub(super) short_queues: ShortQueues,
    fragments: FragmentCache,
    next_sweep: Timestamp,
}

/// What is known before a packet is read.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) now: Timestamp,
    pub(super) snapshot: &'a Snapshot,
    /// Where the packet's flow is, if the guess is right.
    pub(super) likely: Option<FlowId>,
    /// How far the packet has come between the workers.
    pub(super) journey: Journey,
}

impl<'a> Context<'a> {
    /// Of a packet that nobody has looked at yet, or of none.
    pub(super) fn new(now: Timestamp, snapshot: &'a Snapshot) -> Self {
        Self { now, snapshot, likely: None, journey: Journey::default() }
    }
}

/// What becomes of a packet.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Send it; its link header is written.
    Transmit(Egress),
    /// It is for one of our own external addresses: handle it as if it came from that uplink. A fragment has these ports
    /// now.
    Hairpin(UplinkId, Option<Ports>),
    /// Another worker owns its flow.
    Handoff(WorkerId),
    /// Another worker owns its flow, or knows more; so far it has come.
    PassOn(WorkerId, Journey),
    /// It is the daemon's.
    Daemon(UplinkId),
    /// Its pieces have been queued in its stead.
    Replaced,
    /// It is not forwarded.
    Drop(DropReason),
}

impl From<Result<Self, DropReason>> for Verdict {
    fn from(result: Result<Self, DropReason>) -> Self {
        result.unwrap_or_else(Self::Drop)
    }
}

/// What a worker is made of.
pub(super) struct Parts {
    pub(super) id: WorkerId,
    pub(super) workers: u8,
    pub(super) settings: Settings,
    pub(super) table: FlowTable,
    pub(super) mappings: Mappings,
    pub(super) load: Arc<Load>,
    pub(super) affinity: Arc<Affinity>,
    pub(super) bulky: Arc<Bulky>,
    pub(super) accounts: Arc<Accounts>,
    pub(super) shortcuts: Option<Shortcuts>,
}

impl Worker {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            id: parts.id,
            workers: parts.workers,
            settings: parts.settings,
            table: parts.table,
            mappings: parts.mappings,
            load: parts.load,
            affinity: parts.affinity,
            bulky: parts.bulky,
            counters: Arc::default(),
            ledger: parts.accounts.ledger(parts.id),
            accounts: parts.accounts,
            errors: Budget::of_errors(),
            refusals: Budget::of_refusals(),
            probe_answers: Budget::of_probe_answers(),
            shortcuts: parts.shortcuts,
            transfers: Transfers::default(),
            pace: Pace::default(),
            decisions: Decisions::default(),
            moves: Moves::default(),
            short_queues: ShortQueues::default(),
            fragments: FragmentCache::new(),
            next_sweep: Timestamp::default(),
        }
    }

    /// Which worker this is.
    #[must_use]
    pub fn id(&self) -> WorkerId {
        self.id
    }

    /// The counters, to be read by others while the worker runs.
    #[must_use]
    pub fn counters(&self) -> Arc<WorkerCounters> {
        Arc::clone(&self.counters)
    }

    /// What all workers' flows ask of each line, to be read by others while the workers run.
    #[must_use]
    pub fn load(&self) -> Arc<Load> {
        Arc::clone(&self.load)
    }

    /// Which lines hosts' flows to a site keep to, of all workers.
    #[must_use]
    pub fn affinity(&self) -> Arc<Affinity> {
        Arc::clone(&self.affinity)
    }

    /// What has turned out bulky, of all workers.
    #[must_use]
    pub fn bulky(&self) -> Arc<Bulky> {
        Arc::clone(&self.bulky)
    }

    /// Handles packets that came from a LAN (or from the router itself, by the TUN device), and empties `batch`.
    pub fn handle_lan(
        &mut self,
        now: Timestamp,
        snapshot: &Snapshot,
        lan: LanId,
        batch: &mut Vec<PacketBuffer>,
        out: &mut Outbox,
    ) {
        self.handle_batch(Context::new(now, snapshot), Ingress::Lan(lan), batch, out);
    }

    /// Handles packets that came from an uplink, and empties `batch`.
    pub fn handle_uplink(
        &mut self,
        now: Timestamp,
        snapshot: &Snapshot,
        uplink: UplinkId,
        batch: &mut Vec<PacketBuffer>,
        out: &mut Outbox,
    ) {
        self.handle_batch(Context::new(now, snapshot), Ingress::Uplink(uplink), batch, out);
    }

    fn handle_batch(
        &mut self,
        context: Context<'_>,
        ingress: Ingress,
        batch: &mut Vec<PacketBuffer>,
        out: &mut Outbox,
    ) {
        while !batch.is_empty() {
            let mut guesses = self.warm_up(ingress, batch);
            for (at, packet) in batch.drain(..guesses.packets()).enumerate() {
                let Some(packet) = self.open_session(context.snapshot, ingress, packet, out) else { continue };
                let context = Context { likely: self.likely(&mut guesses, at), ..context };
                if parse::is_fragment(packet.packet()) {
                    self.handle_fragment(context, ingress, packet, out);
                } else {
                    self.handle_packet(context, ingress, None, packet, out);
                }
            }
        }
    }

    /// Frees a packet of a line by PPPoE of its session's header. `None`: it was none to forward.
    fn open_session(
        &mut self,
        snapshot: &Snapshot,
        ingress: Ingress,
        mut packet: PacketBuffer,
        out: &mut Outbox,
    ) -> Option<PacketBuffer> {
        let Ingress::Uplink(uplink) = ingress else { return Some(packet) };
        match session::open(snapshot, uplink, &mut packet) {
            Opened::Packet => return Some(packet),
            Opened::Control => out.daemon.push((uplink, packet)),
            Opened::Drop(reason) => self.drop(ingress, reason, packet, out),
        }
        None
    }

    /// Handles a packet that another worker received and this one owns.
    pub fn handle_handoff(&mut self, now: Timestamp, snapshot: &Snapshot, handoff: Handoff, out: &mut Outbox) {
        let ports = handoff.ports.map(|(source, destination)| Ports { source, destination });
        let context = Context { journey: handoff.journey, ..Context::new(now, snapshot) };
        self.handle_packet(context, handoff.ingress, ports, handoff.packet, out);
    }

    /// One packet from any side, to its end. `ports` are those of its datagram, for a fragment.
    fn handle_packet(
        &mut self,
        context: Context<'_>,
        ingress: Ingress,
        mut ports: Option<Ports>,
        mut packet: PacketBuffer,
        out: &mut Outbox,
    ) {
        let (mut side, mut journey) = (ingress, context.journey);
        let mut verdict = match ingress {
            Ingress::Lan(lan) => self.outbound(context, lan, ports, &mut packet, out),
            Ingress::Uplink(uplink) => self.inbound(context, uplink, ports, &mut packet, out),
        };
        if let Verdict::Hairpin(uplink, translated) = verdict {
            side = Ingress::Uplink(uplink);
            ports = translated;
            journey = Journey { is_hairpin: true, asked: None };
            verdict = self.inbound(Context { journey, ..context }, uplink, ports, &mut packet, out);
        }
        if let Verdict::PassOn(owner, further) = verdict {
            journey = further;
            verdict = Verdict::Handoff(owner);
        }
        match verdict {
            Verdict::Transmit(egress) => out.transmit(egress, packet),
            Verdict::Handoff(owner) => {
                self.counters.handed_over.add(1);
                let ports = ports.map(|ports| (ports.source, ports.destination));
                out.handoffs.push(Handoff { owner, ingress: side, ports, journey, packet });
            }
            Verdict::Daemon(uplink) => out.daemon.push((uplink, packet)),
            Verdict::Replaced | Verdict::Hairpin(..) | Verdict::PassOn(..) => out.pool.give(packet),
            Verdict::Drop(reason) => self.drop(side, reason, packet, out),
        }
    }

    fn drop(&mut self, ingress: Ingress, reason: DropReason, packet: PacketBuffer, out: &mut Outbox) {
        match ingress {
            Ingress::Lan(_) => self.counters.lan_drops.count(reason),
            Ingress::Uplink(uplink) => self.counters.uplink(uplink).drops.count(reason),
        }
        out.pool.give(packet);
    }

    /// A piece of a datagram: finds the ports that its first piece carries, or holds it until that comes.
    fn handle_fragment(&mut self, context: Context<'_>, ingress: Ingress, mut packet: PacketBuffer, out: &mut Outbox) {
        let way = match ingress {
            Ingress::Lan(_) => Way::Outbound,
            Ingress::Uplink(_) => Way::Inbound,
        };
        let parsed = match parse::parse(&mut packet, way) {
            Ok(parsed) => parsed,
            Err(reason) => return self.drop(ingress, reason, packet, out),
        };
        let (Some(range), key) = (piece_range(&parsed.ip), fragment_key(&parsed.ip)) else {
            return self.drop(ingress, DropReason::BadFragment, packet, out);
        };
        match parsed.content {
            Content::Flow { ports, .. } => {
                let both = (ports.source, ports.destination);
                if self.fragments.first(context.now, key, both, range).is_err() {
                    return self.drop(ingress, DropReason::BadFragment, packet, out);
                }
                self.handle_packet(context, ingress, Some(ports), packet, out);
                while let Some(held) = self.fragments.release(key) {
                    self.handle_packet(context, ingress, Some(ports), held, out);
                }
            }
            Content::LaterFragment(_) => match self.fragments.later(context.now, key, range, packet) {
                Later::Forward { ports: (source, destination), packet } => {
                    self.handle_packet(context, ingress, Some(Ports { source, destination }), packet, out);
                }
                Later::Held => {}
                Later::Refused { packet, .. } => self.drop(ingress, DropReason::FragmentDropped, packet, out),
            },
            // RFC 5508 REQ-3: an error is checked as a whole, which a piece of one cannot be.
            Content::IcmpError => self.drop(ingress, DropReason::MalformedIcmpError, packet, out),
        }
    }

    /// Whether this worker owns a port; else who does.
    pub(super) fn check_owner(&self, port: u16) -> Result<(), WorkerId> {
        let owner = owner_of_port(port, self.workers);
        if owner == self.id { Ok(()) } else { Err(owner) }
    }

    /// Lets TCP's state machine see a segment of a flow, and says when the flow expires if nothing more comes.
    pub(super) fn track(
        record: &mut FlowV4,
        direction: Direction,
        segment: Option<&TcpSegment>,
    ) -> Result<Duration, DropReason> {
        let Some(segment) = segment else {
            return Ok(lifetime(record));
        };
        match record.body.tcp.observe(direction, segment) {
            TcpVerdict::Forward => Ok(record.body.tcp.timeout()),
            TcpVerdict::Reopen => {
                record.body.tcp = TcpTracker::open(segment, false).ok_or(DropReason::TcpNoConnection)?;
                // Who opens it is the original side now.
                let is_inbound = record.has(FLAG_INBOUND) != (direction == Direction::Reply);
                record.body.flags &= !(FLAG_REPLIED | FLAG_INBOUND | FLAG_RESCUED | FLAG_RESCUED_AGAIN);
                if is_inbound {
                    record.body.flags |= FLAG_INBOUND;
                }
                Ok(record.body.tcp.timeout())
            }
            TcpVerdict::OutOfWindow => Err(DropReason::TcpOutOfWindow),
            TcpVerdict::BadState => Err(DropReason::TcpNoConnection),
            TcpVerdict::Aborted => Err(DropReason::LineLost),
        }
    }

    /// The accounts of all hosts, to be read and limited by others while the worker runs.
    #[must_use]
    pub fn accounts(&self) -> Arc<Accounts> {
        Arc::clone(&self.accounts)
    }

    /// Counts a flow of an uplink and a host.
    pub(super) fn count(&self, account: Account) {
        let Account { host, uplink, .. } = account;
        self.accounts.begin_session(host);
        self.ledger.add_flow(account);
        self.load.add(uplink);
        let counters = self.counters.uplink(uplink);
        counters.flows.add(1);
        counters.isolated_flows.add((account.class == Class::Isolated).into());
        self.counters.flows.add(1);
    }

    /// Counts that an uplink and a host have a flow less.
    pub(super) fn uncount(&self, account: Account) {
        let Account { host, uplink, .. } = account;
        self.ledger.remove_flow(account);
        self.accounts.end_session(host);
        self.load.remove(uplink);
        let counters = self.counters.uplink(uplink);
        counters.flows.subtract(1);
        counters.isolated_flows.subtract((account.class == Class::Isolated).into());
        self.counters.flows.subtract(1);
    }

    /// Forgets a flow.
    pub(super) fn end_flow(&mut self, now: Timestamp, id: FlowId) {
        if self.table.record(id).has(FLAG_SHORTCUT) {
            self.end_shortcut(now, id);
        }
        self.end_transfer(id);
        self.leave_site(now, id);
        let record = self.table.remove(id);
        if record.key().is_none() {
            return;
        }
        if let Some(mapping) = mapping_of(&record) {
            let ending = match record.body.tcp.state() {
                TcpState::TimeWait | TcpState::Reset if mapping.protocol == Protocol::Tcp => Ending::Seen,
                _ => Ending::Silent,
            };
            self.mappings.remove_flow(now, mapping, ending);
        }
        if record.body.tcp.state() != TcpState::Aborted {
            self.uncount(Account::of(&record));
        }
    }

    /// Finds a live flow. One that has expired is forgotten here and now.
    pub(super) fn find_live(&mut self, context: Context<'_>, key: &FlowKey) -> Option<FlowId> {
        let id = self.table.find_near(context.likely, key)?;
        if self.table.record(id).has(FLAG_SHORTCUT) {
            self.catch_up(id);
        }
        if self.table.record(id).body.expires > Tick::at(context.now) {
            return Some(id);
        }
        self.end_flow(context.now, id);
        None
    }

    /// Forgets what has expired, a bounded share of the table each time.
    pub fn handle_timeout(&mut self, now: Timestamp, out: &mut Outbox) {
        let is_news = self.visit_shortcuts(now);
        self.review_transfers(now);
        self.pace.measure(now, is_news, &self.counters, &self.load);
        if now < self.next_sweep {
            return;
        }
        self.next_sweep = now + SWEEP_INTERVAL;
        let mut budget = self.table.round() / SWEEPS_A_ROUND + 1;
        while let Some(id) = self.table.next_expired(now, &mut budget) {
            self.end_flow(now, id);
        }
        if !self.mappings.is_empty() {
            self.mappings.sweep(now, self.mappings.round() / SWEEPS_A_ROUND as usize + 1);
        }
        let expired = self.fragments.handle_timeout(now, &mut out.pool);
        for _ in 0..expired {
            self.counters.lan_drops.count(DropReason::FragmentDropped);
        }
    }

    /// When [`Self::handle_timeout`] or [`Self::review_moves`] wants to be called; `None`: when something has happened, not before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let has_work = !self.table.is_empty() || !self.mappings.is_empty() || !self.fragments.is_empty();
        let visit = self.shortcuts.as_ref().and_then(Shortcuts::poll_timeout);
        let due = has_work.then_some(self.next_sweep).into_iter().chain(visit);
        let pace = self.pace.poll_timeout(!self.transfers.is_empty());
        due.chain(self.moves.poll_timeout()).chain(self.transfers.poll_timeout()).chain(pace).min()
    }

    /// Up to a page of the flows that match, from `cursor` on (0 at first, then [`FlowPage::next`]).
    #[must_use]
    pub fn list_flows(&self, now: Timestamp, snapshot: &Snapshot, filter: &FlowFilter, cursor: u32) -> FlowPage {
        let mut page = FlowPage::default();
        let tick = Tick::at(now);
        for (at, record) in self.table.records_from(cursor) {
            if page.flows.len() >= PAGE_FLOWS || at - cursor >= PAGE_RECORDS {
                page.next = Some(at);
                break;
            }
            if record.body.expires > tick && record.body.tcp.state() != TcpState::Aborted {
                page.flows.extend(self.list(now, snapshot, filter, record));
            }
        }
        page
    }

    fn list(&self, now: Timestamp, snapshot: &Snapshot, filter: &FlowFilter, record: &FlowV4) -> Option<FlowListing> {
        let (body, key) = (&record.body, record.key()?);
        let uplink = UplinkId(body.uplink);
        let external = snapshot.uplink(uplink).and_then(|uplink| uplink.external)?;
        if !filter.is_for(&key, uplink) {
            return None;
        }
        Some(FlowListing {
            tuple: key.tuple(),
            direction: if record.has(FLAG_INBOUND) { FlowDirection::Inbound } else { FlowDirection::Outbound },
            external: Endpoint { address: external.into(), port: body.external_port },
            uplink,
            bulkiness: if record.is_marked(MARK_BULKY) { Bulkiness::Bulky } else { Bulkiness::Unseen },
            state: state_of(record),
            out: (body.out_packets, body.out_bytes),
            back: (body.in_packets, body.in_bytes),
            age: now.since(body.created.timestamp()),
            expires_in: body.expires.timestamp().since(now),
            rule: RuleId(body.rule),
            class: if record.is_marked(MARK_ISOLATED) { Class::Isolated } else { Class::Bulk },
            reason: Reason::from_number(body.reason),
            scores: self.decisions.recall(&key).map(|scores| scores.as_slice().to_vec()).unwrap_or_default(),
        })
    }
}

/// How long a flow lives on after a packet that TCP's state machine did not see.
pub(super) fn lifetime(record: &FlowV4) -> Duration {
    match Protocol::from_number(record.body.protocol) {
        Some(Protocol::Tcp) => record.body.tcp.timeout(),
        Some(Protocol::Icmp) => timeouts::ICMP_QUERY,
        Some(Protocol::Udp) | None => timeouts::UDP,
    }
}

/// The mapping that counts a flow; `None` for a free record, and for a flow of a forward.
pub(super) fn mapping_of(record: &FlowV4) -> Option<Mapping> {
    if record.has(FLAG_FORWARDED) {
        return None;
    }
    Some(Mapping {
        protocol: Protocol::from_number(record.body.protocol)?,
        uplink: UplinkId(record.body.uplink),
        external_port: record.body.external_port,
    })
}

fn fragment_key(ip: &Ipv4) -> FragmentKey {
    FragmentKey {
        source: ip.source,
        destination: ip.destination,
        identification: ip.identification,
        protocol: ip.protocol,
    }
}

fn piece_range(ip: &Ipv4) -> Option<PieceRange> {
    let place = ip.fragment?;
    PieceRange::new(place.offset, ip.payload_length(), place.more)
}

fn state_of(record: &FlowV4) -> FlowState {
    if record.body.protocol == Protocol::Tcp as u8 {
        match record.body.tcp.state() {
            TcpState::Fresh
            | TcpState::SynSent
            | TcpState::SimultaneousOpen
            | TcpState::SynReceived
            | TcpState::PickedUp => FlowState::Opening,
            TcpState::Established => FlowState::Established,
            TcpState::HalfClosed | TcpState::Closing => FlowState::Closing,
            TcpState::TimeWait => FlowState::TimeWait,
            TcpState::Reset | TcpState::Aborted => FlowState::Reset,
        }
    } else if record.has(FLAG_REPLIED) {
        FlowState::Established
    } else {
        FlowState::Opening
    }
}
