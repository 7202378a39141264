//! The life of a bot: connected again and again; connected, it speaks and listens.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncWriteExt, BufReader, ReadHalf, WriteHalf, split};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tracing::{debug, info, warn};

use super::Job;
use super::element::{Element, bare, escaped};
use super::login::{Connection, LoginError, Session, log_in};
use super::reader::Elements;
use super::talk::{self, Wish};
use crate::config::Xmpp;
use crate::daemon::report::{LinkOrder, LinkState, RedialOrder};
use crate::daemon::{Actor, Handle};
use crate::notify::outbox::SendError;

/// How long the log-in may take.
const LONGEST_LOGIN: Duration = Duration::from_secs(20);
/// How long a write may take: the server reads, or it is gone.
const LONGEST_WRITE: Duration = Duration::from_secs(10);
/// A server that has not answered a ping by then is gone.
const LONGEST_SILENCE: Duration = Duration::from_secs(15);
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
/// Messages that wait for the server's answer.
const MOST_UNANSWERED: usize = 8;

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
            let why = match timeout(LONGEST_LOGIN, log_in(&self.settings, &self.resource)).await {
                Err(_) => format!("not logged in within {} s", LONGEST_LOGIN.as_secs()),
                Ok(Err(error)) => {
                    // A password that is wrong is not tried more often for it: servers count.
                    may_hurry = !matches!(error, LoginError::Refused { .. } | LoginError::Scram(_));
                    error.to_string()
                }
                Ok(Ok(session)) => {
                    info!(channel = %self.channel, jid = %session.jid, "bot is connected");
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
                self.pause(delay).await;
            } else {
                sleep(delay.max(FIRST_DELAY)).await;
            }
            delay = (delay * 2).clamp(FIRST_DELAY, LONGEST_DELAY);
        }
    }

    /// Waits before the next attempt; less when something has happened to a line.
    async fn pause(&self, delay: Duration) {
        let mut news = self.router.news();
        let happened = async {
            let _ended_is_happened = news.changed().await;
            // What has happened is to have its effect first.
            sleep(HURRY).await;
        };
        tokio::select! { () = sleep(delay) => {}, () = happened => {} }
    }

    /// Speaks and listens until the session ends; says why it has.
    async fn talk(&mut self, session: Session) -> String {
        let (reading, writing) = split(session.elements.into_source());
        let (hear, mut heard) = mpsc::channel(WAITING);
        // What is read is lost when reading is given up half-way, so a task of its own does nothing else.
        let reader = tokio::spawn(listen(Elements::new(BufReader::new(reading)), hear));
        let mut talk = Talk { life: self, writing, shown: None, unanswered: Vec::new(), pings: 0, room: Room::Outside };
        let why = talk.run(&mut heard).await;
        reader.abort();
        why
    }
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

/// A ping that the server has not answered, and the message before it.
struct Unanswered {
    id: String,
    sent: Instant,
    message: Option<Sent>,
}

/// A message on its way.
struct Sent {
    id: String,
    recipients: usize,
    /// Recipients that do not exist, or do not want it.
    refused: usize,
    said: String,
    done: oneshot::Sender<Result<(), SendError>>,
}

/// A session.
struct Talk<'l> {
    life: &'l mut Life,
    writing: WriteHalf<Connection>,
    /// What the presence shows.
    shown: Option<String>,
    unanswered: Vec<Unanswered>,
    pings: u64,
    room: Room,
}

/// Whether we are in the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    /// We have asked to be let in, and nobody has said no.
    Inside,
    /// We are to ask; or nobody wants us anywhere.
    Outside,
}

impl Talk<'_> {
    async fn run(&mut self, heard: &mut mpsc::Receiver<Result<Element, String>>) -> String {
        let mut news = self.life.router.news();
        let (mut pings, mut looks) = (interval(PING_EVERY), interval(LOOK_EVERY));
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        if let Err(why) = self.enter().await {
            return why;
        }
        // Whoever waits may send from here on.
        let _all_ended = self.life.connected.try_send(Arc::clone(&self.life.channel));
        loop {
            let may_send = self.unanswered.len() < MOST_UNANSWERED;
            let first = self.unanswered.first().map(|first| first.sent + LONGEST_SILENCE);
            let silence = async {
                match first {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            let outcome = tokio::select! {
                next = heard.recv() => match next {
                    Some(Ok(element)) => self.handle(&element).await,
                    Some(Err(why)) => Err(why),
                    None => Err("reading has ended".to_owned()),
                },
                Some(job) = self.life.jobs.recv(), if may_send => self.send(job).await,
                changed = news.changed() => match changed {
                    Ok(()) => self.show().await,
                    Err(_) => Err("the router is stopping".to_owned()),
                },
                _ = looks.tick() => self.show().await,
                _ = pings.tick() => self.keep_alive().await,
                () = silence => Err(format!("the server has been silent for {} s", LONGEST_SILENCE.as_secs())),
            };
            if let Err(why) = outcome {
                return why;
            }
        }
    }

    /// Shows that we are there, also in the room.
    async fn enter(&mut self) -> Result<(), String> {
        self.show().await?;
        self.enter_room().await
    }

    /// Asks whether the server is there, and goes back into a room that has not wanted us.
    async fn keep_alive(&mut self) -> Result<(), String> {
        if self.room == Room::Outside {
            self.enter_room().await?;
        }
        self.ping(None).await
    }

    /// Our address in the room, if there is one to be in.
    fn place(&self) -> Option<String> {
        let Xmpp { room, nick, .. } = &self.life.settings;
        room.as_ref().map(|room| format!("{room}/{nick}"))
    }

    async fn enter_room(&mut self) -> Result<(), String> {
        let Some(place) = self.place() else { return Ok(()) };
        (self.room, self.shown) = (Room::Inside, None);
        let place = escaped(&place);
        // XEP-0045 section 7.2.
        self.write(format!(
            "<presence to='{place}'><x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x></presence>"
        ))
        .await?;
        self.show().await
    }

    /// Shows how the lines are, if that is news.
    async fn show(&mut self) -> Result<(), String> {
        let Some(status) = self.life.router.status().await else { return Ok(()) };
        let (show, text) = talk::summary(&status);
        if self.shown.as_ref() == Some(&text) {
            return Ok(());
        }
        let show = show.map_or_else(String::new, |show| format!("<show>{show}</show>"));
        let presence = format!("{show}<status>{}</status>", escaped(&text));
        self.shown = Some(text);
        let mut all = format!("<presence>{presence}</presence>");
        if let Some(place) = self.place().filter(|_| self.room == Room::Inside) {
            all += &format!("<presence to='{}'>{presence}</presence>", escaped(&place));
        }
        self.write(all).await
    }

    /// Sends a message to all, and a ping behind it.
    async fn send(&mut self, job: Job) -> Result<(), String> {
        if job.done.is_closed() {
            // Nobody waits for it any more.
            return Ok(());
        }
        let Xmpp { people, operators, room, .. } = &self.life.settings;
        let mut recipients: Vec<(&str, &str)> =
            people.iter().chain(operators).map(|jid| (jid.as_str(), "chat")).collect();
        recipients.sort_unstable();
        recipients.dedup();
        recipients.extend(room.iter().map(|room| (room.as_str(), "groupchat")));
        let text: String = recipients.iter().map(|(to, kind)| message(to, kind, &job.id, &job.text)).collect();
        let (recipients, refused) = (recipients.len(), 0);
        let sent = Sent { id: job.id, recipients, refused, said: String::new(), done: job.done };
        self.write(text).await?;
        self.ping(Some(sent)).await
    }

    /// XEP-0199: the server answers when it has handled all before.
    async fn ping(&mut self, message: Option<Sent>) -> Result<(), String> {
        self.pings += 1;
        let id = format!("ping-{}", self.pings);
        let to = escaped(&self.life.settings.domain);
        self.unanswered.push(Unanswered { id: id.clone(), sent: Instant::now(), message });
        self.write(format!("<iq type='get' id='{id}' to='{to}'><ping xmlns='urn:xmpp:ping'/></iq>")).await
    }

    async fn handle(&mut self, element: &Element) -> Result<(), String> {
        let from = element.attribute("from").unwrap_or_default();
        let kind = element.attribute("type").unwrap_or_default();
        match (element.name.as_str(), kind) {
            ("iq", "get" | "set") => self.answer_request(element, from).await,
            ("iq", _) => {
                self.note_answer(element.attribute("id").unwrap_or_default());
                Ok(())
            }
            ("message", "error") => {
                self.note_refusal(element, from);
                Ok(())
            }
            ("message", _) => self.answer_message(element, from, kind).await,
            ("presence", "subscribe") if self.is_known(from) => {
                let to = escaped(&bare(from));
                self.write(format!("<presence type='subscribed' to='{to}'/>")).await
            }
            ("presence", "error") => {
                let said = element.child("error").map(Element::failure).unwrap_or_default();
                warn!(channel = %self.life.channel, %from, %said, "bot is not let into the room");
                self.room = Room::Outside;
                Ok(())
            }
            ("presence", "unavailable") if self.place().is_some_and(|place| place == from) => {
                self.room = Room::Outside;
                Ok(())
            }
            ("error", _) => Err(format!("the server ends the stream: {}", element.failure())),
            _ => Ok(()),
        }
    }

    /// RFC 6120 section 8.2.3: each request is answered.
    async fn answer_request(&mut self, element: &Element, from: &str) -> Result<(), String> {
        let (id, to) = (escaped(element.attribute("id").unwrap_or_default()), escaped(from));
        let to = if to.is_empty() { String::new() } else { format!(" to='{to}'") };
        let answer = if element.child("ping").is_some() {
            format!("<iq type='result' id='{id}'{to}/>")
        } else {
            format!(
                "<iq type='error' id='{id}'{to}><error type='cancel'><service-unavailable \
                 xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
            )
        };
        self.write(answer).await
    }

    /// The server has all that was sent before this ping.
    fn note_answer(&mut self, id: &str) {
        let Some(at) = self.unanswered.iter().position(|ping| ping.id == id) else { return };
        for sent in self.unanswered.drain(..=at).filter_map(|ping| ping.message) {
            let Sent { recipients, refused, said, done, .. } = sent;
            let outcome = if refused < recipients { Ok(()) } else { Err(SendError::later(said)) };
            // Whoever has waited may be gone.
            drop(done.send(outcome));
        }
    }

    fn note_refusal(&mut self, element: &Element, from: &str) {
        let said = format!("{from}: {}", element.child("error").map(Element::failure).unwrap_or_default());
        warn!(channel = %self.life.channel, %said, "bot's message was refused");
        let id = element.attribute("id").unwrap_or_default();
        let mut messages = self.unanswered.iter_mut().filter_map(|ping| ping.message.as_mut());
        if let Some(sent) = messages.find(|sent| sent.id == id) {
            sent.refused += 1;
            sent.said = said;
        }
    }

    async fn answer_message(&mut self, element: &Element, from: &str, kind: &str) -> Result<(), String> {
        // XEP-0203: what was said while we were away is of then.
        let is_old =
            element.child("delay").is_some() || element.child("x").is_some_and(|x| x.attribute("stamp").is_some());
        let Some(body) = element.child("body").filter(|_| !is_old) else { return Ok(()) };
        let wish = talk::wish(&body.text, &self.life.settings.nick);
        if kind == "groupchat" {
            return self.answer_room(from, wish, &body.text).await;
        }
        if !self.is_known(from) {
            debug!(channel = %self.life.channel, %from, "bot does not listen to strangers");
            return Ok(());
        }
        let reply = self.fulfil(&bare(from), wish).await;
        self.write(message(from, "chat", &super::login::nonce(), &reply)).await
    }

    /// In a room everybody may ask; who somebody is there is not sure enough for orders.
    async fn answer_room(&mut self, from: &str, wish: Wish, text: &str) -> Result<(), String> {
        let (room, nick) = from.split_once('/').unwrap_or((from, ""));
        let is_ours = self.life.settings.room.as_deref() == Some(&*room.to_lowercase());
        let is_for_us = text.trim().to_lowercase().starts_with(&self.life.settings.nick.to_lowercase());
        if !is_ours || nick.is_empty() || nick == self.life.settings.nick {
            return Ok(());
        }
        let reply = match wish {
            Wish::Status => self.fulfil(from, Wish::Status).await,
            Wish::Link(..) | Wish::Redial(_) if is_for_us => talk::NOT_IN_A_ROOM.to_owned(),
            Wish::Unclear if is_for_us => talk::HELP.to_owned(),
            _ => return Ok(()),
        };
        self.write(message(room, "groupchat", &super::login::nonce(), &reply)).await
    }

    /// Does what somebody wishes who may; gives what is answered.
    async fn fulfil(&self, from: &str, wish: Wish) -> String {
        let stopping = || "the router is stopping".to_owned();
        match wish {
            Wish::Status => self.life.router.status().await.map_or_else(stopping, |status| talk::told(&status)),
            Wish::Link(..) | Wish::Redial(_)
                if !self.life.settings.operators.iter().any(|operator| operator == from) =>
            {
                talk::NOT_FOR_YOU.to_owned()
            }
            Wish::Link(state, uplink) => self.order(from, state, uplink).await.unwrap_or_else(stopping),
            Wish::Redial(uplink) => self.redial(from, uplink).await.unwrap_or_else(stopping),
            Wish::Unclear => talk::HELP.to_owned(),
        }
    }

    async fn order(&self, from: &str, state: LinkState, uplink: String) -> Option<String> {
        let outcome = self.life.router.order_link(LinkOrder::new(uplink, state), self.actor(from)).await?;
        Some(talk::done(state, outcome))
    }

    async fn redial(&self, from: &str, uplink: String) -> Option<String> {
        let outcome = self.life.router.order_redial(RedialOrder::new(uplink), self.actor(from)).await?;
        Some(talk::redialled(outcome))
    }

    fn actor(&self, from: &str) -> Actor {
        Actor::Correspondent { name: from.into(), channel: Arc::clone(&self.life.channel) }
    }

    /// Whether it is one of those whom we tell.
    fn is_known(&self, from: &str) -> bool {
        let from = bare(from);
        self.life.settings.people.iter().chain(&self.life.settings.operators).any(|jid| *jid == from)
    }

    async fn write(&mut self, text: String) -> Result<(), String> {
        let written = async {
            self.writing.write_all(text.as_bytes()).await?;
            self.writing.flush().await
        };
        let written = timeout(LONGEST_WRITE, written).await;
        written.map_err(|_| "the server does not read".to_owned())?.map_err(|error| error.to_string())
    }
}

fn message(to: &str, kind: &str, id: &str, text: &str) -> String {
    let (to, id, text) = (escaped(to), escaped(id), escaped(text));
    format!("<message to='{to}' type='{kind}' id='{id}'><body>{text}</body></message>")
}
