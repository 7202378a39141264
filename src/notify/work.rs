//! The shell of the core: clocks, the event log, the disk, and those who send.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{info, warn};
use utoipa::OpenApi;

use super::api::{self, Ask, TestError};
use super::desk::{Desk, Memory, PostState, test_message};
use super::note::Message;
use super::outbox::SendError;
use super::report::{ChannelReport, NotifyReport, TestOrder, TestReport};
use super::send::{self, Context};
use super::store::Store;
use super::teller::Moment;
use super::xmpp::{Bot, Job};
use crate::config::{Channel, ChannelKind, Config};
use crate::daemon::{Actor, Handle, rfc3339};
use crate::sys::clock;

/// The file in the state directory.
const FILE: &str = "notify.db";
/// Events that are read at once.
const EVENTS_AT_ONCE: usize = 500;
/// How often the lines' state is looked at: the events tell of it at once, but they can be lost with the disk. Hours begin by this
/// clock, too.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A bot that is not connected by then cannot send a message now.
const LONGEST_DELIVERY: Duration = Duration::from_secs(60);
/// A test waits no longer than this: whoever has asked waits, too.
const LONGEST_TEST: Duration = Duration::from_secs(9);
/// A clock that differs by more from what it should show was set, in milliseconds.
const CLOCK_SET: u64 = 60_000;
/// Questions that may wait.
const WAITING: usize = 16;

/// Works until it is dropped, or the router stops.
pub(super) async fn run(router: Handle) {
    let (asks, mut asked) = mpsc::channel(WAITING);
    router.add_paths(&api::routes(asks), &api::Document::openapi());
    let mut work = Work::start(router).await;
    let (mut news, mut config) = (work.router.news(), work.router.config());
    work.take_settings();
    work.catch_up().await;
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        work.settle().await;
        let mut wait = pin!(work.wait());
        tokio::select! {
            changed = news.changed() => match changed {
                Ok(()) => work.take_events().await,
                Err(_) => return,
            },
            changed = config.changed() => match changed {
                Ok(()) => {
                    work.take_settings();
                    work.catch_up().await;
                }
                Err(_) => return,
            },
            _ = ticks.tick() => work.look().await,
            Some(ended) = work.deliveries.join_next_with_id(), if !work.deliveries.is_empty() => work.note_delivery(ended),
            Some(ask) = asked.recv() => work.answer(ask),
            Some(channel) = work.connected.recv() => work.desk.handle_channel_ready(&channel),
            () = &mut wait => {}
        }
    }
}

/// All that is at work.
struct Work {
    router: Handle,
    settings: watch::Receiver<Arc<Config>>,
    channels: Vec<Channel>,
    desk: Desk,
    store: Option<Store>,
    kept: Memory,
    bots: BTreeMap<Arc<str>, Bot>,
    deliveries: JoinSet<Result<(), SendError>>,
    /// Which message of which channel a delivery is of.
    under_way: HashMap<Id, (Arc<str>, String)>,
    /// What bots say when they are connected: their channel's name.
    connected: mpsc::Receiver<Arc<str>>,
    tell_connected: mpsc::Sender<Arc<str>>,
    /// What the clocks showed last: since 1970, and since boot.
    clocks: (u64, u64),
    host_name: String,
}

impl Work {
    async fn start(router: Handle) -> Self {
        let settings = router.config();
        let path: PathBuf = settings.borrow().router.state_dir.join(FILE);
        let opened = tokio::task::spawn_blocking(move || Store::open(&path)).await;
        let (store, kept) = opened.map(|(store, kept)| (Some(store), kept)).unwrap_or_default();
        let (tell_connected, connected) = mpsc::channel(WAITING);
        Self {
            router,
            settings,
            channels: Vec::new(),
            kept: kept.memory.clone(),
            desk: Desk::restored(kept.memory, kept.waiting),
            store,
            bots: BTreeMap::new(),
            deliveries: JoinSet::new(),
            under_way: HashMap::new(),
            connected,
            tell_connected,
            clocks: (wall(), monotonic()),
            host_name: host_name(),
        }
    }

    /// The channels are as the configuration says from now on.
    fn take_settings(&mut self) {
        let channels = self.settings.borrow_and_update().channels.clone();
        for gone in self.desk.handle_settings(&channels) {
            if let Some(store) = &mut self.store {
                store.forget_channel(&gone);
            }
        }
        self.bots.retain(|name, bot| {
            let is_same = |channel: &Channel| {
                channel.name == *name && matches!(&channel.kind, ChannelKind::Xmpp(xmpp) if **xmpp == bot.settings)
            };
            channels.iter().any(is_same)
        });
        for channel in &channels {
            if let ChannelKind::Xmpp(settings) = &channel.kind
                && !self.bots.contains_key(&channel.name)
            {
                let bot = Bot::start((&channel.name, &self.host_name), settings, &self.router, &self.tell_connected);
                self.bots.insert(Arc::clone(&channel.name), bot);
            }
        }
        if !channels.is_empty() {
            info!(channels = channels.len(), "notifications are sent");
        }
        self.channels = channels;
    }

    /// Goes on from the event that was handled last, or from now if there never was one.
    async fn catch_up(&mut self) {
        if self.channels.is_empty() {
            return;
        }
        let newest = self.router.events(None, 1).await.ok();
        let newest = newest.map(|events| events.last().map_or(0, |event| event.id));
        let last = self.desk.memory().last_event;
        // Ids that were handled and are not there any more: somebody has taken the log away.
        if let Some(newest) = newest.filter(|newest| last.is_none_or(|last| last > *newest)) {
            self.desk.skip_to(newest);
        }
        self.look().await;
    }

    async fn take_events(&mut self) {
        if self.channels.is_empty() {
            return;
        }
        loop {
            let since = self.desk.memory().last_event.unwrap_or(0);
            // Without a log there is none to tell of; the lines' state says what matters.
            let events = self.router.events(Some(since), EVENTS_AT_ONCE).await.unwrap_or_default();
            let moment = moment();
            events.iter().for_each(|event| self.desk.handle_event(moment, event));
            if events.len() < EVENTS_AT_ONCE {
                return;
            }
        }
    }

    /// Looks at what no event may have told.
    async fn look(&mut self) {
        self.mind_the_clock();
        if self.channels.is_empty() {
            return;
        }
        self.take_events().await;
        if let Some(status) = self.router.status().await {
            let lines = status.uplinks.iter().map(|uplink| (uplink.name.as_str(), uplink.state.as_str()));
            self.desk.handle_status(moment(), lines);
        }
    }

    fn mind_the_clock(&mut self) {
        let before = std::mem::replace(&mut self.clocks, (wall(), monotonic()));
        let expected = before.0 + self.clocks.1.saturating_sub(before.1);
        if self.clocks.0.abs_diff(expected) > CLOCK_SET {
            let by = i64::try_from(self.clocks.0).unwrap_or(i64::MAX) - i64::try_from(expected).unwrap_or(i64::MAX);
            self.desk.handle_clock_set(expected, by);
        }
    }

    /// Writes what is due, keeps it, and then has it sent.
    async fn settle(&mut self) {
        let moment = moment();
        self.desk.handle_timeout(moment);
        self.keep().await;
        while let Some((name, message)) = self.desk.poll_transmit(moment.now) {
            let Some(channel) = self.channels.iter().find(|channel| channel.name == name) else { continue };
            let id = message.id.clone();
            let delivery = self.delivery(channel, message);
            let task = self.deliveries.spawn(delivery);
            self.under_way.insert(task.id(), (name, id));
        }
    }

    async fn keep(&mut self) {
        let changes = self.desk.poll_changes();
        if changes.is_empty() && *self.desk.memory() == self.kept {
            return;
        }
        self.kept = self.desk.memory().clone();
        let Some(mut store) = self.store.take() else { return };
        let memory = self.kept.clone();
        let kept = tokio::task::spawn_blocking(move || {
            store.keep(&memory, changes);
            store
        });
        self.store = kept.await.ok();
    }

    /// Waits until the core has something to do.
    fn wait(&self) -> impl Future<Output = ()> + use<> {
        let now = wall();
        let next = self.desk.poll_timeout(now);
        async move {
            match next {
                Some(next) => sleep(Duration::from_millis(next.saturating_sub(now))).await,
                None => std::future::pending().await,
            }
        }
    }

    /// The sending of a message: ends when a server has taken it, or has not.
    fn delivery(
        &self,
        channel: &Channel,
        message: Message,
    ) -> impl Future<Output = Result<(), SendError>> + Send + use<> {
        let bot = self.bots.get(&channel.name).map(|bot| (bot.jobs.clone(), bot.problem.clone()));
        let kind = channel.kind.clone();
        let context = Context { now: wall(), utc_offset: utc_offset(), router: self.host_name.clone() };
        async move {
            let Some((jobs, problem)) = bot else { return send::send(&kind, &message, &context).await };
            let (done, outcome) = oneshot::channel();
            let job = Job { text: message.text(context.now, context.utc_offset), id: message.id, done };
            let handed_over = async {
                let gone = || SendError::later("the bot has ended");
                jobs.send(job).await.map_err(|_| gone())?;
                outcome.await.map_err(|_| gone())?
            };
            match tokio::time::timeout(LONGEST_DELIVERY, handed_over).await {
                Ok(outcome) => outcome,
                Err(_) => Err(SendError::later(&*problem.borrow())),
            }
        }
    }

    fn note_delivery(&mut self, ended: Result<(Id, Result<(), SendError>), JoinError>) {
        let (id, outcome) = match ended {
            Ok(ended) => ended,
            Err(error) => (error.id(), Err(SendError::later(&error))),
        };
        let Some((channel, message)) = self.under_way.remove(&id) else { return };
        if let Err(error) = &outcome {
            let is_news =
                self.desk.state(&channel).is_some_and(|state| state.last_error.as_deref() != Some(&error.to_string()));
            if is_news {
                warn!(%channel, %error, "notification not sent");
            }
        }
        self.desk.handle_outcome(wall(), &channel, &message, outcome);
    }

    fn answer(&self, ask: Ask) {
        match ask {
            Ask::List(answer) => drop(answer.send(self.report())),
            Ask::Test(order, actor, answer) => self.test(&order, &actor, answer),
        }
    }

    fn report(&self) -> NotifyReport {
        let of_channel = |channel: &Channel| {
            let PostState { queued, dropped, last_error, last_sent } =
                self.desk.state(&channel.name).unwrap_or_default();
            let problem = self.bots.get(&channel.name).map(|bot| bot.problem.borrow().clone());
            ChannelReport {
                name: channel.name.to_string(),
                kind: channel.kind.name().to_owned(),
                queued,
                dropped,
                last_error: last_error.or(problem.filter(|problem| !problem.is_empty())),
                last_sent: last_sent.map(rfc3339),
            }
        };
        NotifyReport { channels: self.channels.iter().map(of_channel).collect() }
    }

    fn test(&self, order: &TestOrder, actor: &Actor, answer: oneshot::Sender<Result<TestReport, TestError>>) {
        let Some(channel) = self.channels.iter().find(|channel| *channel.name == *order.channel) else {
            let names: Vec<_> = self.channels.iter().map(|channel| &*channel.name).collect();
            let there_are =
                if names.is_empty() { "there are none".to_owned() } else { format!("there are {}", names.join(", ")) };
            let unknown = format!("there is no channel named \"{}\"; {there_are}", order.channel.escape_debug());
            // Whoever has asked may be gone.
            drop(answer.send(Err(TestError::Unknown(unknown))));
            return;
        };
        let begun = monotonic();
        let delivery = self.delivery(channel, test_message(wall(), &actor.to_string()));
        let name = channel.name.to_string();
        let problem = self.bots.get(&channel.name).map(|bot| bot.problem.clone());
        tokio::spawn(async move {
            let outcome = match tokio::time::timeout(LONGEST_TEST, delivery).await {
                Ok(Ok(())) => Ok(TestReport { channel: name, milliseconds: monotonic().saturating_sub(begun) }),
                Ok(Err(error)) => Err(TestError::Failed(format!("{name}: {error}"))),
                Err(_) => {
                    let why = problem.map(|problem| problem.borrow().clone()).unwrap_or_default();
                    Err(TestError::Failed(format!("{name}: not sent within {} s {why}", LONGEST_TEST.as_secs())))
                }
            };
            drop(answer.send(outcome));
        });
    }
}

fn moment() -> Moment {
    Moment { now: wall(), utc_offset: utc_offset() }
}

/// Milliseconds since 1970.
fn wall() -> u64 {
    u64::try_from(clock::wall().as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds since boot.
fn monotonic() -> u64 {
    u64::try_from(clock::monotonic().as_millis()).unwrap_or(u64::MAX)
}

fn utc_offset() -> i64 {
    clock::utc_offset(clock::wall().as_secs())
}

/// What people call this machine.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = name.trim().chars().filter(|c| c.is_ascii_alphanumeric() || "-.".contains(*c)).collect();
    if name.is_empty() { "the router".to_owned() } else { name }
}
