//! The daemon's handle on the worker threads.

use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use crossbeam::channel::{Sender, unbounded};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep;
use tracing::error;

use super::mailbox::{Command, Mailbox};
use super::packet_port::PacketPort;
use super::ports::Port;
use super::tun_port::TunPort;
use super::worker_thread::{End, WorkerThread};
use crate::engine::outbox::Ingress;
use crate::engine::{Accounts, FailOverPage, FailOverStep, FlowFilter, FlowListing, Worker, WorkerCounters};
use crate::flow::{FlowKey, Timestamp};
use crate::nat::ports::PortBounds;
use crate::placement::{Affinity, Bulky, Finding, LanId, Load, Snapshot, UplinkId, WorkerId};
use crate::sys::clock;
use crate::wire::PacketBuffer;

/// Most workers: what a handoff's set of owners can name.
const MOST_WORKERS: usize = 64;

/// A worker that no longer works. The others go on, but its flows are dead: the program should end and start again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("worker {worker} has failed: {reason}")]
pub struct WorkerFailure {
    /// Which one.
    pub worker: WorkerId,
    /// What happened.
    pub reason: String,
}

/// Between two pages of flows that end, packets have the worker for this long: at most 64,000 flows a second end in each.
const PAUSE: Duration = Duration::from_millis(2);

/// What the ending of an uplink's flows came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FailedOver {
    /// Connections whose host got a reset.
    pub reset: u64,
    /// Datagram flows whose host got an error.
    pub told: u64,
    /// Flows that go on over another line.
    pub moved: u64,
    /// Connections whose SYN opens them on another line when it is sent again.
    pub rescued: u64,
    /// Workers that have kept what they had left, for the line was back or no other took flows; and flows that no other line
    /// is for.
    pub kept: u64,
}

impl FailedOver {
    fn add(&mut self, page: &FailOverPage) {
        self.reset += u64::from(page.reset);
        self.told += u64::from(page.told);
        self.moved += u64::from(page.moved);
        self.rescued += u64::from(page.rescued);
        self.kept += u64::from(page.step == FailOverStep::Kept) + u64::from(page.kept);
    }
}

/// The running workers. Dropping it stops them and waits for them.
#[derive(Debug)]
pub struct Workers {
    threads: Vec<JoinHandle<()>>,
    commands: Vec<Sender<Command>>,
    mailboxes: Arc<[Mailbox]>,
    counters: Vec<Arc<WorkerCounters>>,
    accounts: Arc<Accounts>,
    load: Arc<Load>,
    bulky: Option<Arc<Bulky>>,
    affinity: Option<Arc<Affinity>>,
    failure: watch::Receiver<Option<WorkerFailure>>,
}

impl Workers {
    /// Starts a thread for each worker, `tun` being its queues in the same order. Workers read `snapshot` before each
    /// batch. Frames that are the daemon's business go to `to_daemon`; when that is full they are dropped and counted.
    ///
    /// # Errors
    /// When there are not as many queues as workers, or the kernel has no threads or descriptors left.
    #[expect(clippy::needless_pass_by_value, reason = "callers give these away; each thread has its own copies")]
    pub fn spawn(
        workers: Vec<Worker>,
        tun: Vec<TunPort>,
        snapshot: Arc<ArcSwap<Snapshot>>,
        to_daemon: mpsc::Sender<(UplinkId, PacketBuffer)>,
    ) -> io::Result<Self> {
        let Some(accounts) = workers.first().map(Worker::accounts) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "there must be a worker"));
        };
        let in_order = workers.iter().enumerate().all(|(index, worker)| worker.id().index() == index);
        if workers.len() != tun.len() || workers.len() > MOST_WORKERS || !in_order {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "workers and TUN queues do not match"));
        }
        let mailboxes: Arc<[Mailbox]> = workers.iter().map(|_| Mailbox::new()).collect::<io::Result<Vec<_>>>()?.into();
        let counters = workers.iter().map(Worker::counters).collect();
        let (bulky, affinity) = (workers.first().map(Worker::bulky), workers.first().map(Worker::affinity));
        let (failed, failure) = watch::channel(None);
        let failed = Arc::new(failed);
        let load = workers.first().map(Worker::load).unwrap_or_default();
        let mut running = Self {
            threads: Vec::new(),
            commands: Vec::new(),
            mailboxes,
            counters,
            accounts,
            load,
            bulky,
            affinity,
            failure,
        };
        for (worker, queue) in workers.into_iter().zip(tun) {
            let (commands, inbox) = unbounded();
            let (id, mailboxes) = (worker.id(), Arc::clone(&running.mailboxes));
            let thread = WorkerThread::new(worker, mailboxes, inbox, Arc::clone(&snapshot), to_daemon.clone())?;
            let failed = Arc::clone(&failed);
            let name = format!("worker-{id}");
            running
                .threads
                .push(std::thread::Builder::new().name(name).spawn(move || watch_over(id, thread, &failed))?);
            running.commands.push(commands);
            running.command(id.index(), Command::Attach(Ingress::Lan(LanId::TUN), Box::new(Port::Tun(queue))));
        }
        Ok(running)
    }

    /// Gives each worker its port on an uplink, in place of the one that it had.
    pub fn attach_uplink(&self, uplink: UplinkId, ports: Vec<PacketPort>) {
        self.attach(Ingress::Uplink(uplink), ports);
    }

    /// Closes the ports on an uplink.
    pub fn detach_uplink(&self, uplink: UplinkId) {
        self.detach(Ingress::Uplink(uplink));
    }

    /// Gives each worker its port on a LAN interface, in place of the one that it had.
    pub fn attach_lan(&self, lan: LanId, ports: Vec<PacketPort>) {
        self.attach(Ingress::Lan(lan), ports);
    }

    /// Closes the ports on a LAN interface.
    pub fn detach_lan(&self, lan: LanId) {
        self.detach(Ingress::Lan(lan));
    }

    /// The workers' counters, by [`WorkerId`].
    #[must_use]
    pub fn counters(&self) -> &[Arc<WorkerCounters>] {
        &self.counters
    }

    /// Processor time that each worker has used so far, by [`WorkerId`]; a worker that has failed uses none.
    pub fn processor_times(&self) -> impl Iterator<Item = Duration> + '_ {
        self.threads.iter().map(|thread| clock::processor_time(thread).unwrap_or_default())
    }

    /// The hosts' accounts, which all workers share.
    #[must_use]
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// What all flows ask of each line.
    #[must_use]
    pub fn load(&self) -> &Load {
        &self.load
    }

    /// Whether flows like one have turned out bulky.
    #[must_use]
    pub fn knows_as_bulky(&self, now: Timestamp, key: &FlowKey) -> bool {
        self.bulky.as_ref().is_some_and(|bulky| bulky.knows(now, key))
    }

    /// Which lines hosts' flows to a site keep to.
    #[must_use]
    pub fn affinity(&self) -> Option<&Affinity> {
        self.affinity.as_deref()
    }

    /// The next flow that has turned out bulky, and that nobody has taken out yet.
    #[must_use]
    pub fn take_finding(&self) -> Option<Finding> {
        self.bulky.as_ref()?.take_finding()
    }

    /// Up to `limit` flows that match, page by page, so that no worker stops for long.
    pub async fn list_flows(&self, filter: FlowFilter, limit: usize) -> Vec<FlowListing> {
        let mut flows = Vec::new();
        for worker in 0..self.commands.len() {
            let mut cursor = Some(0);
            while let Some(from) = cursor
                && flows.len() < limit
            {
                let (reply, page) = oneshot::channel();
                self.command(worker, Command::ListFlows { filter: filter.clone(), cursor: from, reply });
                // A worker that has failed lists nothing.
                let page = page.await.unwrap_or_default();
                flows.extend(page.flows);
                cursor = page.next;
            }
        }
        flows.truncate(limit);
        flows
    }

    /// Ends all flows of an uplink, page by page. The published snapshot must not give it an address.
    pub async fn forget_flows(&self, uplink: UplinkId) {
        for worker in 0..self.commands.len() {
            let mut cursor = Some(0);
            while let Some(from) = cursor {
                let (reply, next) = oneshot::channel();
                self.command(worker, Command::ForgetFlows { uplink, cursor: from, reply });
                // A worker that has failed has no flows.
                cursor = next.await.unwrap_or_default();
            }
        }
    }

    /// Makes room for an uplink in a place that nobody has, whose external ports are to be within `bounds`. To be waited for
    /// before a snapshot with it is published.
    pub async fn take_in_uplink(&self, uplink: UplinkId, bounds: &PortBounds) {
        for worker in 0..self.commands.len() {
            let (reply, done) = oneshot::channel();
            self.command(worker, Command::TakeInUplink { uplink, bounds: bounds.clone(), reply });
            // A worker that has failed takes nothing in, and is told of elsewhere.
            drop(done.await);
        }
    }

    /// Ends all flows of an uplink that takes no new ones, kindly, page by page and with pauses, in all workers side by side.
    /// Goes on when the caller has stopped to look after the workers; ends when they do.
    pub fn fail_over(&self, uplink: UplinkId) -> impl Future<Output = FailedOver> + Send + use<> {
        let (commands, mailboxes) = (self.commands.clone(), Arc::clone(&self.mailboxes));
        async move {
            let mut sum = FailedOver::default();
            let mut cursors = vec![FailOverStep::More(0); commands.len()];
            while cursors.iter().any(|step| matches!(step, FailOverStep::More(_))) {
                let mut pages = Vec::new();
                for (worker, step) in cursors.iter().enumerate() {
                    let FailOverStep::More(cursor) = *step else { continue };
                    let (reply, page) = oneshot::channel();
                    send(&commands, &mailboxes, worker, Command::FailOver { uplink, cursor, reply });
                    pages.push((worker, page));
                }
                let mut has_sent = false;
                for (worker, page) in pages {
                    // A worker that has failed has no flows.
                    let page = page.await.unwrap_or_default();
                    has_sent |= page.has_sent();
                    cursors[worker] = page.step;
                    sum.add(&page);
                }
                if has_sent {
                    sleep(PAUSE).await;
                }
            }
            sum
        }
    }

    /// Resolves when a worker has failed.
    pub fn failed(&self) -> impl Future<Output = WorkerFailure> + Send + use<> {
        let mut failure = self.failure.clone();
        async move {
            let found = match failure.wait_for(Option::is_some).await {
                Ok(found) => (*found).clone(),
                Err(_) => None,
            };
            match found {
                Some(failure) => failure,
                // All workers were stopped: there will be no failure.
                None => std::future::pending().await,
            }
        }
    }

    /// Stops the threads and waits until they have ended.
    pub fn stop(self) {
        drop(self);
    }

    fn attach(&self, ingress: Ingress, ports: Vec<PacketPort>) {
        for (worker, port) in ports.into_iter().enumerate().take(self.commands.len()) {
            self.command(worker, Command::Attach(ingress, Box::new(Port::Packet(port))));
        }
    }

    fn detach(&self, ingress: Ingress) {
        for worker in 0..self.commands.len() {
            self.command(worker, Command::Detach(ingress));
        }
    }

    /// Sends a command; to a worker that has failed it is lost, as [`Self::failed`] has told.
    fn command(&self, worker: usize, command: Command) {
        send(&self.commands, &self.mailboxes, worker, command);
    }
}

fn send(commands: &[Sender<Command>], mailboxes: &[Mailbox], worker: usize, command: Command) {
    if commands[worker].send(command).is_ok() {
        mailboxes[worker].wake();
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for worker in 0..self.commands.len() {
            self.command(worker, Command::Stop);
        }
        for thread in self.threads.drain(..) {
            // `watch_over` has caught and reported a panic already.
            drop(thread.join());
        }
    }
}

/// Runs a worker and reports it when it ends without having been told to.
fn watch_over(worker: WorkerId, mut thread: WorkerThread, failed: &watch::Sender<Option<WorkerFailure>>) {
    // Whatever a panic leaves half done inside is dropped unseen.
    let reason = match catch_unwind(AssertUnwindSafe(|| thread.run())) {
        Ok(Ok(End::Stopped)) => return,
        Ok(Ok(End::TunLost)) => "its TUN queue is gone".to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("panic").to_owned()
        }
    };
    error!(worker = %worker, reason, "worker has failed");
    failed.send_replace(Some(WorkerFailure { worker, reason }));
}
