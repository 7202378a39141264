//! The loop: takes one event after the other and does what follows from it.
//!
//! What follows from a change of the machine is always found out by asking "how should it be now?" ([`super::settle`]),
//! not by undoing the last step, so an event that came twice, late or out of order does no harm.

use std::future::Future;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ipnet::Ipv4Net;
use tokio::sync::{mpsc, watch};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};
use tracing::{debug, error, info};

use super::admin_file::AdminFile;
use super::api::Request;
use super::control::Control;
use super::endings::{Ending, Failover};
use super::event::{Event, Signals};
use super::handle::{Companion, Companions, Handle};
use super::history::History;
use super::hosts::{Heard, Hosts};
use super::hosts_watch::HostsWatch;
use super::lan::{LanState, TunState};
use super::lan_leases::LanLeases;
use super::offenders::Offenders;
use super::place::Place;
use super::places::{self, Surroundings};
use super::queue_drops::QueueDrops;
use super::rates::Rates;
use super::report::{FlowsQuery, FlowsReport, StatusReport, UplinkReport, WhyQuery};
use super::reservation_file::ReservationFile;
use super::reservations::Reservations;
use super::rules::RuleIds;
use super::supervisor::{Supervisor, Wishes};
use super::uplink::UplinkState;
use super::{DaemonError, control_socket, engine, status};
use crate::config::Config;
use crate::engine::{FlowAddresses, FlowFilter};
use crate::flow::Timestamp;
use crate::host::{Host, HostEvent, HostEvents};
use crate::io::{self, Shortcut, WorkerFailure, Workers};
use crate::link::{dhcp, health};
use crate::placement::{Availability, Ended, Isolation, LanId, Snapshot, UplinkId};
use crate::sys::bpf::Program;
use crate::sys::{affinity, clock};
use crate::wire::PacketBuffer;
use crate::wire::buffer::{ETHERTYPE_ARP, ETHERTYPE_IPV4};
use crate::wire::fragmentation::finish_checksum;
use crate::wire::pppoe::{ETHERTYPE_DISCOVERY, ETHERTYPE_SESSION};

/// Frames for the daemon that may wait; more are dropped and counted.
const WAITING_FRAMES: usize = 256;
/// A burst of changed routes and addresses is looked at once, this much after the first.
const REFRESH_DELAY: Duration = Duration::from_millis(100);
/// A step that failed is tried again after this.
const RETRY_DELAY: Duration = Duration::from_secs(5);
/// How often the counters are looked at for rates.
const TICK: Duration = Duration::from_secs(1);
/// Flows that one question about a choice is answered for.
const MOST_EXPLAINED: usize = 20;
/// Flows are listed page by page; an answer that takes longer than this is not given.
const LONGEST_LISTING: Duration = Duration::from_secs(5);

/// All that the loop knows and holds. Dropped, the workers stop and their sockets close.
pub(super) struct Router<'h> {
    pub(super) path: PathBuf,
    pub(super) config: Config,
    /// The same, for others to see.
    pub(super) told_config: watch::Sender<Arc<Config>>,
    pub(super) host: &'h mut Host,
    pub(super) workers: Workers,
    pub(super) worker_count: u8,
    pub(super) uplink_guard: Program,
    /// `None`: switched off, or this kernel cannot.
    pub(super) shortcut: Option<Shortcut>,
    pub(super) uplinks: Vec<UplinkState>,
    pub(super) lans: Vec<LanState>,
    pub(super) tun: TunState,
    pub(super) kernel_networks: Vec<Ipv4Net>,
    pub(super) hosts: Hosts,
    pub(super) hosts_watch: HostsWatch,
    pub(super) offenders: Offenders,
    pub(super) rule_ids: RuleIds,
    /// Where names of hosts come from.
    pub(super) lan_leases: LanLeases,
    pub(super) reservations: Reservations,
    pub(super) reservation_file: ReservationFile,
    /// When routes and addresses are to be looked at again.
    pub(super) refresh_at: Option<Timestamp>,
    /// When what failed is to be tried again.
    pub(super) retry_at: Option<Timestamp>,
    /// Which uplinks are down by hand, as their file remembers.
    pub(super) admin_file: AdminFile,
    pub(super) history: History,
    pub(super) failover: Failover,
    /// Who has the role of the isolated line, when nobody is named.
    pub(super) isolation: Isolation,
    /// How lines are watched.
    pub(super) health: Arc<health::Settings>,
    /// The addresses that flows have, as their file remembers them.
    pub(super) addresses: FlowAddresses,
    snapshot: Arc<ArcSwap<Snapshot>>,
    rates: Rates,
    /// When lines were last looked at for what they can do.
    pub(super) learnt_at: Timestamp,
    queue_drops: QueueDrops,
    /// Who has started us and wants to know how we are.
    pub(super) supervisor: Supervisor,
    started: Timestamp,
    events: HostEvents,
    frames: mpsc::Receiver<(UplinkId, PacketBuffer)>,
    failed: Pin<Box<dyn Future<Output = WorkerFailure> + Send>>,
    ticks: Interval,
}

pub(super) fn now() -> Timestamp {
    Timestamp::from(clock::monotonic())
}

/// Runs the router until a signal ends it. Whatever it did to the machine is in `host`'s journal.
pub(super) async fn route(
    path: &Path,
    config: Config,
    host: &mut Host,
    mut signals: Signals,
    (history, companions): (&History, &'static [Companion]),
) -> Result<(), DaemonError> {
    let socket = control_socket(&config.router.run_dir);
    let mut router = Router::start(path, config, host, history.clone()).await?;
    let mut control =
        Control::open(&socket, history.clone()).map_err(DaemonError::during(socket.display().to_string()))?;
    let handle = Handle::new(control.api(), router.told_config.subscribe(), path);
    let companions =
        Companions::start(companions, &handle).map_err(DaemonError::during("start what runs beside the router"))?;
    info!(control = %socket.display(), "router is running");
    let outcome = router.run(&mut control, &mut signals).await;
    info!("router is stopping");
    router.supervisor.stopping();
    if outcome.is_ok() {
        router.release();
    }
    companions.finish().await;
    outcome
}

impl<'h> Router<'h> {
    async fn start(path: &Path, config: Config, host: &'h mut Host, history: History) -> Result<Self, DaemonError> {
        let processors = affinity::allowed_processors().map_or(1, |processors| processors.len());
        let worker_count = config.router.workers.count(processors);
        let shortcut = engine::build_shortcut(&config)?;
        let table = shortcut.as_ref().map(Shortcut::table);
        let (engine, addresses) = engine::build_engine(&config, worker_count, table, now())?;
        let tun_name = config.lan.tun.clone();
        let queues = io::open_tun(tun_name.as_str(), worker_count.get())
            .map_err(DaemonError::during(format!("make the TUN device {tun_name}")))?;
        let (to_daemon, frames) = mpsc::channel(WAITING_FRAMES);
        let snapshot = Arc::new(ArcSwap::from_pointee(Snapshot::default()));
        let workers = Workers::spawn(engine, queues, Arc::clone(&snapshot), to_daemon)
            .map_err(DaemonError::during("start the workers"))?;
        workers.accounts().set_limits(config.limits);
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let admin_file = AdminFile::open(&config.router.state_dir);
        let reservation_file = ReservationFile::open(&config.router.state_dir);
        let health = Arc::new(config.health.clone());
        let mut uplinks = Vec::new();
        for (id, uplink) in (0..).map(UplinkId).zip(&config.uplinks) {
            let (state_dir, health) = (&config.router.state_dir, &health);
            let surroundings = Surroundings { state_dir, health, admin_file: &admin_file, history: &history };
            uplinks.push(places::uplink_in(id, uplink, addresses.of(id), surroundings)?);
        }
        for uplink in uplinks.iter().filter(|uplink| uplink.is_adopted()) {
            workers.take_in_uplink(uplink.id, &uplink.ports).await;
        }
        let lans = (1..).zip(&config.lan.interfaces).map(|(id, name)| LanState::new(LanId(id), name.clone()));
        let mut router = Router {
            path: path.to_owned(),
            failover: Failover::new(now(), &uplinks),
            uplinks,
            lans: lans.collect(),
            tun: TunState::default(),
            uplink_guard: io::uplink_guard(shortcut.as_ref())
                .map_err(DaemonError::during("load the uplinks' guard"))?,
            shortcut,
            worker_count: worker_count.get(),
            kernel_networks: Vec::new(),
            hosts: Hosts::default(),
            hosts_watch: HostsWatch::default(),
            offenders: Offenders::default(),
            rule_ids: RuleIds::new(&config),
            lan_leases: LanLeases::new(config.lan.leases.clone()),
            reservations: Reservations::new(reservation_file.remembered().to_vec()),
            reservation_file,
            refresh_at: None,
            retry_at: None,
            admin_file,
            history,
            health,
            isolation: Isolation::default(),
            addresses,
            snapshot,
            rates: Rates::default(),
            learnt_at: Timestamp::default(),
            queue_drops: QueueDrops::default(),
            supervisor: Supervisor::new(now(), &Wishes::of_environment()),
            started: now(),
            events: host.watch().await?,
            frames,
            failed: Box::pin(workers.failed()),
            ticks,
            workers,
            told_config: watch::Sender::new(Arc::new(config.clone())),
            config,
            host,
        };
        router.forget_roles();
        router.settle_all().await?;
        // Before the first packet: nobody's connection is to go where it may not.
        router.take_in_reservations();
        let _published_below = router.turn();
        router.publish();
        Ok(router)
    }

    async fn run(&mut self, control: &mut Control, signals: &mut Signals) -> Result<(), DaemonError> {
        loop {
            match self.next_event(control, signals).await? {
                Event::Stop => return Ok(()),
                // Whatever comes of it is in the log and among the events.
                Event::Reload => drop(self.reload("SIGHUP").await),
                Event::Host(event) => self.handle_host(event).await?,
                Event::Frame(uplink, frame) => self.handle_frame(uplink, frame),
                Event::FlowsEnded(ending) => self.note_ending(ending),
                Event::Control(request) => self.answer(request).await,
                Event::Timeout => self.handle_timeout().await?,
                Event::Tick => {
                    self.rates.sample(now(), status::sample(self.workers.counters(), &self.uplinks));
                    self.learn_usual(now());
                    self.observe_queues().await;
                    self.look_at_accounts(now());
                    self.watch_limits(now());
                    let policy = Arc::clone(&self.snapshot.load().policy);
                    self.tell_bulky(&policy);
                    let is_moved = self.assign_isolation(now(), &policy);
                    if self.turn() == Heard::News || is_moved {
                        self.publish();
                    }
                }
            }
            self.change_addresses().await;
            self.tell_supervisor();
        }
    }

    fn tell_supervisor(&mut self) {
        if !self.supervisor.is_there() {
            return;
        }
        let lines = || places::configured(&self.uplinks);
        let works =
            |uplink: &&UplinkState| matches!(uplink.availability(), Availability::Usable | Availability::Standby);
        let (working, all) = (lines().filter(works).count(), lines().count());
        self.supervisor.handle_turn(now(), working, all);
    }

    async fn next_event(&mut self, control: &mut Control, signals: &mut Signals) -> Result<Event, DaemonError> {
        let wait = self.poll_timeout().map(|due| due.since(now()));
        let event = tokio::select! {
            event = signals.next() => event,
            event = self.events.next() => Event::Host(event.ok_or(DaemonError::Deaf)?),
            Some((uplink, frame)) = self.frames.recv() => Event::Frame(uplink, frame),
            Some(ending) = self.failover.ending() => Event::FlowsEnded(ending),
            request = control.next() => Event::Control(request),
            () = sleep(wait.unwrap_or_default()), if wait.is_some() => Event::Timeout,
            _ = self.ticks.tick() => Event::Tick,
            failure = &mut self.failed => return Err(failure.into()),
        };
        Ok(event)
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        let lines = self.uplinks.iter().filter_map(|uplink| uplink.line.poll_timeout());
        let own = [self.refresh_at, self.retry_at, self.failover.poll_timeout(), self.learning_due()];
        lines.chain(own.into_iter().flatten()).min()
    }

    async fn handle_timeout(&mut self) -> Result<(), DaemonError> {
        let now = now();
        self.observe_traffic(now);
        self.learn(now);
        for uplink in &mut self.uplinks {
            uplink.line.handle_timeout(now);
        }
        self.failover.handle_timeout(now);
        if self.retry_at.is_some_and(|due| due <= now) {
            self.retry_at = None;
            self.settle_interfaces().await;
            self.refresh_at = Some(now);
        }
        if self.refresh_at.is_some_and(|due| due <= now) {
            self.refresh_at = None;
            let outcome = self.refresh().await;
            self.survive(outcome, "routes and addresses not taken over");
        }
        self.publish();
        Ok(())
    }

    async fn handle_host(&mut self, event: HostEvent) -> Result<(), DaemonError> {
        match event {
            HostEvent::InterfaceRemoved { name, .. } if name == self.config.lan.tun.as_str() => {
                return Err(DaemonError::TunRemoved { interface: name });
            }
            HostEvent::InterfaceAdded(_) | HostEvent::InterfaceChanged(_) | HostEvent::InterfaceRemoved { .. } => {
                let outcome = self.look_at_interfaces().await;
                self.survive(outcome, "interface not taken over");
            }
            HostEvent::AddressesChanged { .. } | HostEvent::RoutesChanged => self.refresh_soon(),
            // The kernel tells of each of them again and again.
            HostEvent::NeighborSeen(neighbor) if self.hear(neighbor) == Heard::Nothing => return Ok(()),
            HostEvent::NeighborSeen(_) => {}
            HostEvent::RulesChanged | HostEvent::Resync => {
                self.tun.stale = true;
                self.refresh_soon();
            }
        }
        self.publish();
        Ok(())
    }

    pub(super) fn refresh_soon(&mut self) {
        self.refresh_at.get_or_insert(now() + REFRESH_DELAY);
    }

    /// Logs a step that failed while the router runs, and has it tried again. An interface that vanished meanwhile is
    /// not worth a word: an event of its own tells.
    pub(super) fn survive(&mut self, outcome: Result<(), DaemonError>, what: &'static str) {
        match outcome {
            Err(error) if !error.is_gone() => {
                error!(%error, "{what}");
                self.retry_at.get_or_insert(now() + RETRY_DELAY);
            }
            _ => {}
        }
    }

    fn handle_frame(&mut self, id: UplinkId, mut frame: PacketBuffer) {
        let (Some(uplink), now) = (self.uplinks.get_mut(id.index()), now()) else { return };
        let before = uplink.standing();
        match frame.ethertype() {
            Some(ETHERTYPE_ARP) => uplink.line.handle_packet(now, frame.packet()),
            Some(ETHERTYPE_IPV4) if finish_checksum(&mut frame).is_some() => {
                match dhcp::message_of(frame.packet(), frame.vnet.checksum) {
                    Some(message) => uplink.line.handle_dhcp(now, frame.link_source(), message),
                    None => uplink.line.handle_answer(now, frame.packet()),
                }
            }
            Some(ETHERTYPE_DISCOVERY | ETHERTYPE_SESSION) => uplink.line.handle_pppoe(now, frame.frame()),
            _ => return,
        }
        // Most ARP, most answers to probes, offers and messages to somebody else change nothing that a worker reads.
        if uplink.standing() == before { uplink.pump() } else { self.publish() }
    }

    /// Gives the packet path the addresses that lines have got. Flows never change theirs: an uplink that has another
    /// address than its flows has none for the workers until those flows are ended.
    async fn change_addresses(&mut self) {
        let changed = |uplink: &UplinkState| {
            let address = uplink.line.ends().map(|ends| ends.address);
            let is_new =
                |address: &Ipv4Addr| uplink.place == Place::Configured && uplink.flows_address != Some(*address);
            address.filter(is_new).map(|address| (uplink.id, address))
        };
        let changes: Vec<_> = self.uplinks.iter().filter_map(changed).collect();
        if changes.is_empty() {
            return;
        }
        self.publish();
        for (id, address) in changes {
            let uplink = &mut self.uplinks[id.index()];
            if let Some(before) = uplink.flows_address.replace(address) {
                info!(uplink = %uplink.config.name, %before, %address, "uplink has another address; its flows are ended");
                if uplink.line.is_redialled() {
                    // Somebody has wanted it so: their hosts are told at once, where another line takes what they do next.
                    let outcome = self.workers.fail_over(id).await;
                    self.note_ending(Ending { uplink: id, why: Ended::Readdressed, outcome });
                }
                self.workers.forget_flows(id).await;
            }
            self.addresses.set(id, address);
        }
        self.publish();
    }

    /// Gives back the addresses that were given for a time.
    fn release(&mut self) {
        for uplink in &mut self.uplinks {
            uplink.line.release();
            uplink.pump();
        }
    }

    /// Gives the workers a new snapshot, and then lets the lines speak: an answer may come at once.
    pub(super) fn publish(&mut self) {
        let now = now();
        let lans: Vec<Ipv4Net> = self.lans.iter().flat_map(|lan| &lan.networks).copied().collect();
        for uplink in &mut self.uplinks {
            uplink.line.handle_lan_networks(now, &lans);
            uplink.update_line(now);
        }
        self.assign_duties(now);
        self.publish_knowledge();
        let current = self.snapshot.load_full();
        self.assign_isolation(now, &current.policy);
        let mut new = Snapshot {
            generation: current.generation,
            uplinks: self.uplinks.iter().map(UplinkState::snapshot).collect(),
            lans: std::iter::once(self.tun.snapshot()).chain(self.lans.iter().map(LanState::snapshot)).collect(),
            kernel_networks: self.kernel_networks.clone(),
            policy: self.policy(&current.policy),
            forwards: self.forwards(&current.forwards),
        };
        if new != *current {
            if !new.is_same_for_flows(&current) {
                new.generation = current.generation.checked_add(1).unwrap_or(1);
                // First the shortcut: it must not carry by the old snapshot what workers judge by the new one.
                if let Some(shortcut) = &self.shortcut {
                    shortcut.table().set_generation(new.generation);
                }
            }
            self.snapshot.store(Arc::new(new));
        }
        self.uplinks.iter_mut().for_each(UplinkState::pump);
        self.heed_pool();
    }

    /// What the workers read now.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    async fn answer(&mut self, request: Request) {
        // Whoever asked may have gone away.
        match request {
            Request::Status(answer) => {
                self.observe_queues().await;
                drop(answer.send(self.status()));
            }
            Request::Flows(query, answer) => drop(answer.send(self.flows(&query).await)),
            Request::Hosts(answer) => self.tell_hosts(now(), answer),
            Request::Accounts(answer) => drop(answer.send(self.workers.accounts().list())),
            Request::Explain(query, answer) => drop(answer.send(self.explain(&query))),
            Request::Why(query, answer) => drop(answer.send(self.why(&query).await)),
            Request::Link(order, actor, answer) => drop(answer.send(self.order_link(&order, &actor))),
            Request::Redial(order, actor, answer) => drop(answer.send(self.order_redial(&order, &actor))),
            Request::Role(order, actor, answer) => drop(answer.send(self.order_role(&order, &actor))),
            Request::Reserve(order, actor, answer) => drop(answer.send(self.order_reserve(&order, &actor).await)),
            Request::Release(order, actor, answer) => drop(answer.send(self.order_release(&order, &actor))),
            Request::Reload(actor, answer) => drop(answer.send(self.reload(&actor.to_string()).await)),
        }
    }

    /// Numbers to show; if the kernel will not tell them now, it will another time.
    async fn observe_queues(&mut self) {
        match self.host.queue_drops().await {
            Ok(counters) => self.queue_drops.observe(counters),
            Err(error) => debug!(%error, "the queues' counters are not told"),
        }
    }

    fn status(&self) -> StatusReport {
        let now = now();
        StatusReport {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_seconds: now.since(self.started).as_secs(),
            workers: self.worker_count,
            tun: self.config.lan.tun.to_string(),
            lans: self.lans.iter().map(status::lan).collect(),
            uplinks: self
                .config
                .uplinks
                .iter()
                .filter_map(|uplink| places::named(&self.uplinks, &uplink.name))
                .map(|uplink| UplinkReport {
                    reserved: self.reserved_report(uplink.config.name.as_str()),
                    role: self.role_of(uplink),
                    isolated: self.isolated_flows(uplink.id),
                    ..status::uplink(uplink, &self.workers, &self.rates, &self.queue_drops, now)
                })
                .collect(),
            engine: status::engine(&self.workers, &self.lans, &self.queue_drops),
            rules: self.snapshot.load().policy.rules.iter().map(|rule| rule.name.to_string()).collect(),
        }
    }

    async fn flows(&self, query: &FlowsQuery) -> Result<FlowsReport, String> {
        let (filter, limit) = status::filter(query, &self.uplinks)?;
        self.list(filter, limit).await
    }

    async fn why(&self, query: &WhyQuery) -> Result<FlowsReport, String> {
        self.list(status::flow_meant(query)?, MOST_EXPLAINED).await
    }

    async fn list(&self, filter: FlowFilter, limit: usize) -> Result<FlowsReport, String> {
        let listing = self.workers.list_flows(filter, limit + 1);
        match tokio::time::timeout(LONGEST_LISTING, listing).await {
            Ok(found) => Ok(status::flows(found, limit, &self.uplinks, &self.rule_ids)),
            Err(_) => Err("the workers are too busy to list so many flows; ask for fewer with limit".to_owned()),
        }
    }
}
