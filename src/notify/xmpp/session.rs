//! The life of a bot: connected again and again; connected, it speaks and listens.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncWriteExt, BufReader, ReadHalf, WriteHalf, split};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};
use tracing::{debug, info, warn};

use super::Job;
use super::conversation::{Answer, Conversation, Event};
use super::element::Element;
use super::login::{Connection, LoginError, Session, log_in, nonce};
use super::reader::Elements;
use super::talk;
use super::wish::Order;
use crate::config::Xmpp;
use crate::daemon::report::{LinkOrder, LinkState, RedialOrder};
use crate::daemon::{Actor, Handle};
use crate::notify::outbox::SendError;
use crate::notify::said::fit_to_show;

/// How long the log-in may take.
const LONGEST_LOGIN: Duration = Duration::from_secs(20);
/// How long a write may take: the server reads, or it is gone.
const LONGEST_WRITE: Duration = Duration::from_secs(10);
/// How often a server that has nothing to say is asked whether it is there.
const PING_EVERY: Duration = Duration::from_secs(60);
/// How often it is looked whether the lines are as the presence says; news of them come at once.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Before a second attempt; twice as long before each further one, up to the longest.
const FIRST_DELAY: Duration = Duration::from_secs(1);
const LONGEST_DELAY: Duration = Duration::from_secs(300);
/// How soon it is tried again when something has happened to a line: that may have been ours, or one that is there again.
const HURRY: Duration = Duration::from_millis(200);
/// A session that lasts so long is a good one.
const STEADY: Duration = Duration::from_secs(30);
/// Elements that wait for us.
const WAITING: usize = 16;

/// What a bot is made of.
pub(super) struct Life {
    pub(super) channel: Arc<str>,
    pub(super) settings: Xmpp,
    /// What tells this session of the account from others.
    pub(super) resource: String,
    pub(super) router: Handle,
    pub(super) jobs: mpsc::Receiver<Job>,
    pub(super) problem: watch::Sender<String>,
    pub(super) connected: mpsc::Sender<Arc<str>>,
}

impl Life {
    /// Lives until it is dropped.
    pub(super) async fn live(mut self) {
        let mut delay = Duration::ZERO;
        loop {
            let mut may_hurry = true;
            // What happens while we try or talk may be why it ends, or the reason to try again.
            let mut news = self.router.news();
            let why = match timeout(LONGEST_LOGIN, log_in(&self.settings, &self.resource)).await {
                Err(_) => format!("not logged in within {} s", LONGEST_LOGIN.as_secs()),
                Ok(Err(error)) => {
                    // A password that is wrong is not tried more often for it: servers count.
                    may_hurry = !matches!(error, LoginError::Refused { .. } | LoginError::Scram(_));
                    error.to_string()
                }
                Ok(Ok(session)) => {
                    info!(channel = %self.channel, jid = fit_to_show(&session.jid), "bot is connected");
                    self.problem.send_replace(String::new());
                    let begun = Instant::now();
                    let why = self.talk(session).await;
                    // Two that throw each other out are not to do it all day.
                    if begun.elapsed() > STEADY {
                        delay = Duration::ZERO;
                    }
                    why
                }
            };
            let is_news = *self.problem.borrow() != why;
            if is_news {
                warn!(channel = %self.channel, error = %why, "bot is not connected");
            }
            self.problem.send_replace(why);
            if may_hurry {
                tokio::select! { () = sleep(delay) => {}, () = happened(&mut news) => {} }
            } else {
                sleep(delay.max(FIRST_DELAY)).await;
            }
            delay = (delay * 2).clamp(FIRST_DELAY, LONGEST_DELAY);
        }
    }

    /// Speaks and listens until the session ends; says why it has.
    async fn talk(&mut self, session: Session) -> String {
        let (reading, writing) = split(session.elements.into_source());
        let (hear, mut heard) = mpsc::channel(WAITING);
        // What is read is lost when reading is given up half-way, so a task of its own does nothing else.
        let reader = tokio::spawn(listen(Elements::new(BufReader::new(reading)), hear));
        let conversation = Conversation::new(self.settings.clone(), nonce());
        let mut talk = Talk { life: self, writing, conversation, under_way: HashMap::new() };
        let why = talk.run(&mut heard).await;
        reader.abort();
        why
    }
}

/// Waits until something has happened to a line, and then for that to have its effect.
async fn happened(news: &mut watch::Receiver<u64>) {
    let _ended_is_happened = news.changed().await;
    sleep(HURRY).await;
}

/// Reads elements for as long as there are some, and at last why there are no more.
async fn listen(mut elements: Elements<BufReader<ReadHalf<Connection>>>, hear: mpsc::Sender<Result<Element, String>>) {
    loop {
        let next = elements.next().await.map_err(|error| error.to_string());
        let is_end = next.is_err();
        if hear.send(next).await.is_err() || is_end {
            return;
        }
    }
}

/// A session: what connects its conversation with the server and the router.
struct Talk<'l> {
    life: &'l mut Life,
    writing: WriteHalf<Connection>,
    conversation: Conversation,
    /// Who waits for what becomes of a message, by its id.
    under_way: HashMap<String, oneshot::Sender<Result<(), SendError>>>,
}

impl Talk<'_> {
    async fn run(&mut self, heard: &mut mpsc::Receiver<Result<Element, String>>) -> String {
        let mut news = self.life.router.news();
        let (mut pings, mut looks) = (interval(PING_EVERY), interval(LOOK_EVERY));
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.show().await;
        self.conversation.enter_room();
        if let Err(why) = self.settle().await {
            return why;
        }
        // Whoever waits may send from here on.
        let _all_ended = self.life.connected.try_send(Arc::clone(&self.life.channel));
        loop {
            let may_send = self.conversation.may_send();
            let silent_at = self.conversation.poll_timeout();
            let silence = async {
                match silent_at {
                    Some(at) => sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            let outcome = tokio::select! {
                next = heard.recv() => match next {
                    Some(Ok(element)) => self.conversation.handle_element(&element),
                    Some(Err(why)) => Err(why),
                    None => Err("reading has ended".to_owned()),
                },
                Some(job) = self.life.jobs.recv(), if may_send => {
                    self.send(job);
                    Ok(())
                }
                changed = news.changed() => match changed {
                    Ok(()) => {
                        self.show().await;
                        Ok(())
                    }
                    Err(_) => Err("the router is stopping".to_owned()),
                },
                _ = looks.tick() => {
                    self.show().await;
                    Ok(())
                }
                _ = pings.tick() => {
                    self.conversation.keep_alive(Instant::now().into_std());
                    Ok(())
                }
                () = silence => Err("the server does not answer".to_owned()),
            };
            if let Err(why) = outcome {
                return why;
            }
            if let Err(why) = self.settle().await {
                return why;
            }
        }
    }

    /// Shows how the lines are, if that is news.
    async fn show(&mut self) {
        if let Some(status) = self.life.router.status().await {
            self.conversation.show(Instant::now().into_std(), talk::summary(&status));
        }
    }

    fn send(&mut self, job: Job) {
        if job.done.is_closed() {
            // Nobody waits for it any more.
            return;
        }
        self.conversation.send(Instant::now().into_std(), job.id.clone(), &job.text);
        self.under_way.insert(job.id, job.done);
    }

    /// Does what has come of what was said, and sends what is to be sent.
    async fn settle(&mut self) -> Result<(), String> {
        while let Some(event) = self.conversation.poll_event() {
            self.handle_event(event).await;
        }
        match self.conversation.poll_transmit() {
            Some(text) => self.write(&text).await,
            None => Ok(()),
        }
    }

    async fn handle_event(&mut self, event: Event) {
        let channel = &self.life.channel;
        match event {
            Event::Asked(to) => {
                let status = self.life.router.status().await;
                self.answer(&to, status.map(|status| talk::told(&status)).as_deref());
            }
            Event::Ordered(from, order, to) => {
                let done = self.order(&from, order).await;
                self.answer(&to, done.as_deref());
            }
            Event::Settled(id, outcome) => {
                if let Some(done) = self.under_way.remove(&id) {
                    // Whoever has waited may be gone.
                    drop(done.send(outcome.map_err(SendError::later)));
                }
            }
            Event::Bounced(said) => warn!(%channel, said = fit_to_show(&said), "bot's message was refused"),
            Event::NotLetIn(said) => warn!(%channel, %said, "bot is not let into the room"),
            Event::Stranger(from) => {
                debug!(%channel, from = fit_to_show(&from), "bot does not listen to strangers");
            }
        }
    }

    fn answer(&mut self, to: &Answer, text: Option<&str>) {
        self.conversation.answer(to, text.unwrap_or("the router is stopping"));
    }

    /// `None`: the router is stopping.
    async fn order(&self, from: &str, order: Order) -> Option<String> {
        let actor = Actor::Correspondent { name: from.into(), channel: Arc::clone(&self.life.channel) };
        let link = async |state, uplink, actor| {
            let outcome = self.life.router.order_link(LinkOrder::new(uplink, state), actor).await?;
            Some(talk::done(state, outcome))
        };
        match order {
            Order::Up(uplink) => link(LinkState::Up, uplink, actor).await,
            Order::Down(uplink) => link(LinkState::Down, uplink, actor).await,
            Order::Redial(uplink) => {
                self.life.router.order_redial(RedialOrder::new(uplink), actor).await.map(talk::redialled)
            }
        }
    }

    async fn write(&mut self, text: &str) -> Result<(), String> {
        let written = async {
            self.writing.write_all(text.as_bytes()).await?;
            self.writing.flush().await
        };
        let written = timeout(LONGEST_WRITE, written).await;
        written.map_err(|_| "the server does not read".to_owned())?.map_err(|error| error.to_string())
    }
}
