//! A worker's thread: waits for packets, hands batches to the engine, and sends what that leaves in its outbox.
//!
//! Theory of operation. The thread owns everything it touches for a packet: the engine's [`Worker`], its own queue of the
//! TUN device, its own packet socket on every interface, its pool of buffers. Others reach it through its
//! [`Mailbox`] only. Each round it waits (level-triggered), takes one batch of each port that is ready, and sends what
//! came of them: at once after a full batch, so that packets are sent while they are in the cache, else at the end of the
//! round, so that short batches share the system calls. The clock and the snapshot are read once a batch.
//!
//! Without traffic it wakes only when the engine wants to forget something.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, Cache};
use crossbeam::channel::Receiver;
use tokio::sync::mpsc;
use tracing::debug;

use super::batch::MOST;
use super::linger::Linger;
use super::mailbox::{Command, HANDOFFS, Mailbox};
use super::packet_port::reason_when_detached;
use super::ports::{Fate, Ports, ingress_of};
use crate::engine::counters::DropCounters;
use crate::engine::outbox::Ingress;
use crate::engine::{DropReason, Outbox, Worker, WorkerCounters};
use crate::flow::Timestamp;
use crate::placement::{LanId, Snapshot, UplinkId};
use crate::sys::clock;
use crate::sys::poll::{Event, PollSet};
use crate::wire::{PacketBuffer, Segmentation};

/// Free buffers that a worker keeps: a full batch in, what it becomes, and what waits as fragments or at other workers.
/// Memory is only taken for those that were ever used, as far as packets reached into them.
const BUFFERS: usize = 512;
/// A packet that is cut becomes many if it is longer than this.
const LONG: usize = 8_192;
/// How often the kernel is asked what it dropped, while there is traffic.
const MISSED_INTERVAL: Duration = Duration::from_secs(1);
/// The mailbox's token: beyond those of the ports.
const MAILBOX: u64 = u64::MAX;

/// Why a thread ended.
#[derive(Debug)]
pub(super) enum End {
    /// It was told to.
    Stopped,
    /// The TUN device is gone, and with it the way to the kernel.
    TunLost,
}

/// All that a worker's thread owns.
pub(super) struct WorkerThread {
    worker: Worker,
    counters: Arc<WorkerCounters>,
    waiting: PollSet,
    ports: Ports,
    mailboxes: Arc<[Mailbox]>,
    commands: Receiver<Command>,
    snapshot: Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>,
    to_daemon: mpsc::Sender<(UplinkId, PacketBuffer)>,
    outbox: Outbox,
    batch: Vec<PacketBuffer>,
    /// In the batch's place while its packets are handled one by one.
    single: Vec<PacketBuffer>,
    missed_counted: Timestamp,
    linger: Linger,
}

/// Whether the engine may make dozens of packets of this one.
fn becomes_many(packet: &PacketBuffer) -> bool {
    packet.length() > LONG && matches!(packet.vnet.segmentation, Segmentation::Udp { .. })
}

fn now() -> Timestamp {
    Timestamp::from(clock::monotonic())
}

fn drops_of(counters: &WorkerCounters, ingress: Ingress) -> &DropCounters {
    match ingress {
        Ingress::Lan(_) => &counters.lan_drops,
        Ingress::Uplink(uplink) => &counters.uplink(uplink).drops,
    }
}

impl WorkerThread {
    pub(super) fn new(
        worker: Worker,
        mailboxes: Arc<[Mailbox]>,
        commands: Receiver<Command>,
        snapshot: Arc<ArcSwap<Snapshot>>,
        to_daemon: mpsc::Sender<(UplinkId, PacketBuffer)>,
    ) -> io::Result<Self> {
        let mut waiting = PollSet::default();
        waiting.add(&mailboxes[worker.id().index()], MAILBOX);
        Ok(Self {
            counters: worker.counters(),
            worker,
            waiting,
            ports: Ports::default(),
            mailboxes,
            commands,
            snapshot: Cache::new(snapshot),
            to_daemon,
            outbox: Outbox::new(BUFFERS),
            batch: Vec::with_capacity(MOST),
            single: Vec::with_capacity(1),
            missed_counted: now(),
            linger: Linger::default(),
        })
    }

    /// Works until told to stop.
    pub(super) fn run(&mut self) -> io::Result<End> {
        loop {
            for index in 0..self.wait()? {
                let event = self.waiting.event(index);
                let end = if event.token == MAILBOX { self.read_mailbox() } else { self.serve(event) };
                if let Some(end) = end {
                    return Ok(end);
                }
            }
            self.flush();
            self.keep_time();
        }
    }

    /// Waits until a port is ready or the engine wants to be called; in a flood of short packets, lingers first.
    fn wait(&mut self) -> io::Result<usize> {
        if let Some(until) = self.linger.until(clock::monotonic()) {
            while clock::monotonic() < until {
                let ready = self.waiting.wait(Some(Duration::ZERO))?;
                if ready > 0 {
                    return Ok(ready);
                }
                std::thread::yield_now();
            }
        }
        let timeout = self.worker.poll_timeout().map(|due| due.since(now()));
        self.waiting.wait(timeout)
    }

    /// Takes one batch from a port that is ready.
    fn serve(&mut self, event: Event) -> Option<End> {
        let ingress = ingress_of(event.token);
        let drops = drops_of(&self.counters, ingress);
        // Detached by a command earlier in this round.
        let slot = self.ports.slot(ingress)?;
        let result = slot.port.receive(&mut self.outbox.pool, &mut self.batch, drops);
        if self.batch.is_empty() {
            return match result {
                Err(error) => self.strike(ingress, Some(&error)),
                Ok(false) if event.failed => self.strike(ingress, None),
                Ok(_) => None,
            };
        }
        slot.acquit();
        let full = matches!(result, Ok(true));
        self.counters.batches.add(1);
        self.counters.received.add(self.batch.len() as u64);
        self.linger.observe(&self.batch);
        let grows = self.batch.iter().any(becomes_many) && self.snapshot.load().cuts_super_packets();
        if grows {
            self.handle_one_by_one(ingress);
        } else {
            self.handle(ingress);
        }
        if full {
            self.flush();
        }
        None
    }

    /// Handles the batch.
    fn handle(&mut self, ingress: Ingress) {
        let (now, snapshot) = (now(), self.snapshot.load());
        match ingress {
            Ingress::Lan(lan) => self.worker.handle_lan(now, snapshot, lan, &mut self.batch, &mut self.outbox),
            Ingress::Uplink(uplink) => {
                self.worker.handle_uplink(now, snapshot, uplink, &mut self.batch, &mut self.outbox);
            }
        }
        debug_assert!(self.batch.is_empty(), "the engine empties the batch");
    }

    /// Handles a batch of which a packet may become dozens, and sends what each becomes before the next: so that the same few
    /// buffers, which are in the cache, serve them all.
    fn handle_one_by_one(&mut self, ingress: Ingress) {
        let mut packets = std::mem::replace(&mut self.batch, std::mem::take(&mut self.single));
        for packet in packets.drain(..) {
            let is_many = becomes_many(&packet);
            self.batch.push(packet);
            self.handle(ingress);
            if is_many {
                self.flush();
            }
        }
        self.single = std::mem::replace(&mut self.batch, packets);
    }

    fn strike(&mut self, ingress: Ingress, error: Option<&io::Error>) -> Option<End> {
        let fate = self.ports.strike(&mut self.waiting, ingress, now(), error);
        (fate == Fate::GivenUp && ingress == Ingress::Lan(LanId::TUN)).then_some(End::TunLost)
    }

    /// Handles what other workers and the daemon have left.
    fn read_mailbox(&mut self) -> Option<End> {
        let mailboxes = Arc::clone(&self.mailboxes);
        let mailbox = &mailboxes[self.worker.id().index()];
        mailbox.answer();
        // Bounded, so that a busy neighbour cannot keep this worker from its own ports.
        for count in 1..=HANDOFFS {
            let Some(handoff) = mailbox.handoffs.pop() else { break };
            self.worker.handle_handoff(now(), self.snapshot.load(), handoff, &mut self.outbox);
            if count % MOST == 0 {
                self.flush();
            }
        }
        if !mailbox.handoffs.is_empty() {
            mailbox.wake();
        }
        while let Ok(command) = self.commands.try_recv() {
            if let Some(end) = self.obey(command) {
                return Some(end);
            }
        }
        None
    }

    fn obey(&mut self, command: Command) -> Option<End> {
        match command {
            Command::Attach(ingress, port) => self.ports.attach(&mut self.waiting, ingress, *port),
            Command::Detach(ingress) => self.ports.detach(&mut self.waiting, ingress),
            Command::ListFlows { filter, cursor, reply } => {
                // Whoever asked may be gone by now.
                let page = self.worker.list_flows(now(), self.snapshot.load(), &filter, cursor);
                if reply.send(page).is_err() {
                    debug!("nobody waits for the flows any more");
                }
            }
            Command::ForgetFlows { uplink, cursor, reply } => {
                // Whoever told us to waits for it.
                let _ = reply.send(self.worker.forget_flows(now(), uplink, cursor));
            }
            Command::TakeInUplink { uplink, bounds, reply } => {
                self.worker.take_in_uplink(uplink, &bounds);
                // Whoever told us to waits for it.
                let _ = reply.send(());
            }
            Command::FailOver { uplink, cursor, reply } => {
                let page = self.worker.fail_over(now(), self.snapshot.load(), uplink, cursor, &mut self.outbox);
                // Whoever told us to is gone when the router stops.
                let _ = reply.send(page);
            }
            Command::Stop => {
                self.worker.settle(now());
                return Some(End::Stopped);
            }
        }
        None
    }

    /// Calls the engine when it wants to be called, and asks the kernel now and then what it dropped.
    fn keep_time(&mut self) {
        let now = now();
        if self.worker.poll_timeout().is_some_and(|due| due <= now) {
            self.worker.handle_timeout(now, &mut self.outbox);
            self.worker.review_moves(now, self.snapshot.load(), &mut self.outbox);
            self.flush();
        }
        if now.since(self.missed_counted) >= MISSED_INTERVAL {
            self.missed_counted = now;
            for (ingress, port) in self.ports.attached() {
                port.count_missed(drops_of(&self.counters, ingress));
            }
        }
    }

    /// Sends everything in the outbox.
    fn flush(&mut self) {
        let Outbox { uplinks, lans, pool, .. } = &mut self.outbox;
        let uplinks = (0..).zip(uplinks).map(|(id, packets)| (Ingress::Uplink(UplinkId(id)), packets));
        let lans = (0..).zip(lans).map(|(id, packets)| (Ingress::Lan(LanId(id)), packets));
        for (egress, packets) in uplinks.chain(lans).filter(|(_, packets)| !packets.is_empty()) {
            let drops = drops_of(&self.counters, egress);
            if let Some(slot) = self.ports.slot(egress) {
                slot.port.send(packets, pool, drops);
            } else {
                drops.add(reason_when_detached(egress), packets.len() as u64);
                packets.drain(..).for_each(|packet| pool.give(packet));
            }
        }
        if !self.outbox.handoffs.is_empty() {
            self.hand_over();
        }
        if !self.outbox.daemon.is_empty() {
            self.tell_daemon();
        }
    }

    fn hand_over(&mut self) {
        let mut called: u64 = 0;
        for handoff in self.outbox.handoffs.drain(..) {
            let owner = handoff.owner.index();
            let refused = match self.mailboxes.get(owner) {
                Some(mailbox) => mailbox.handoffs.push(handoff).err(),
                None => Some(handoff),
            };
            if let Some(handoff) = refused {
                drops_of(&self.counters, handoff.ingress).count(DropReason::HandoffFull);
                self.outbox.pool.give(handoff.packet);
            } else {
                called |= 1_u64.checked_shl(u32::from(owner as u8)).unwrap_or(0);
            }
        }
        for (owner, mailbox) in self.mailboxes.iter().enumerate() {
            if called >> owner & 1 != 0 {
                mailbox.wake();
            }
        }
    }

    fn tell_daemon(&mut self) {
        for message in self.outbox.daemon.drain(..) {
            if let Err(error) = self.to_daemon.try_send(message) {
                let (uplink, packet) = error.into_inner();
                self.counters.uplink(uplink).drops.count(DropReason::DaemonFull);
                self.outbox.pool.give(packet);
            }
        }
    }
}
