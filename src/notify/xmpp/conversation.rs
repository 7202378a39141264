//! What is said in a session once it is there (RFC 6121, XEP-0045, XEP-0199). Pure: elements and time come in, text to be sent and
//! events come out.
//!
//! Nothing that a server, or somebody by it, sends is obeyed but what an operator says in a chat with us; and whoever is not
//! in the configuration gets no answer but that to a request.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::element::{Element, bare, escaped};
use super::wish::{self, Order, Wish, wish};
use crate::config::Xmpp;

/// A server that has not answered a ping by then is gone.
const LONGEST_SILENCE: Duration = Duration::from_secs(15);
/// When no line has worked and one is back, our connection is likely to have been over another one: it shows sooner that it is not.
const SHORT_SILENCE: Duration = Duration::from_secs(1);
/// Messages that wait for the server's answer.
const MOST_UNANSWERED: usize = 8;

/// Something that the router is to do or to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Somebody may know how the lines are, and wants to.
    Asked(Answer),
    /// An operator, by his address, wants a line up or down.
    Ordered(String, Order, Answer),
    /// What has become of the message with this id; if nobody has got it, what they say.
    Settled(String, Result<(), String>),
    /// A message has not come to somebody: who it is and what he says.
    Bounced(String),
    /// The room does not want us, and says why.
    NotLetIn(String),
    /// A stranger has said something, and was not heard.
    Stranger(String),
}

/// Where an answer goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    to: String,
    kind: &'static str,
}

/// How the lines are, in a presence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) working: usize,
    pub(super) all: usize,
}

impl Summary {
    /// What the presence says.
    pub(super) fn text(self) -> String {
        format!("{} of {} lines up", self.working, self.all)
    }

    /// What it shows: nothing, `away` or `dnd` (RFC 6121 section 4.7.2.1).
    const fn show(self) -> Option<&'static str> {
        match self.working {
            0 => Some("dnd"),
            working if working < self.all => Some("away"),
            _ => None,
        }
    }
}

/// A ping that the server has not answered, and the message before it.
#[derive(Debug)]
struct Unanswered {
    id: String,
    /// When it must have.
    until: Instant,
    message: Option<Sent>,
}

/// A message on its way.
#[derive(Debug)]
struct Sent {
    id: String,
    /// Those who have not sent it back.
    recipients: BTreeSet<String>,
    /// What the last one has said who did.
    said: String,
}

/// Whether we are in the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    /// We have asked to be let in, and nobody has said no.
    Inside,
    /// We are to ask; or nobody wants us anywhere.
    Outside,
}

/// A session's talk.
#[derive(Debug)]
pub(super) struct Conversation {
    settings: Xmpp,
    /// What the ids of our stanzas begin with.
    prefix: String,
    stanzas: u64,
    /// What the presence shows.
    shown: Option<Summary>,
    unanswered: Vec<Unanswered>,
    room: Room,
    output: String,
    events: VecDeque<Event>,
}

impl Conversation {
    /// Begins. Ids of stanzas begin with `prefix`, which is another one for each session.
    pub(super) fn new(settings: Xmpp, prefix: String) -> Self {
        let (shown, unanswered, room) = (None, Vec::new(), Room::Outside);
        Self { settings, prefix, stanzas: 0, shown, unanswered, room, output: String::new(), events: VecDeque::new() }
    }

    /// What is to be sent.
    pub(super) fn poll_transmit(&mut self) -> Option<String> {
        (!self.output.is_empty()).then(|| std::mem::take(&mut self.output))
    }

    /// What has happened.
    pub(super) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When the server has been silent for too long.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.unanswered.iter().map(|ping| ping.until).min()
    }

    /// Shows how the lines are, if that is news.
    pub(super) fn show(&mut self, now: Instant, summary: Summary) {
        let before = self.shown.replace(summary);
        if before != Some(summary) {
            self.present();
        }
        if before.is_some_and(|before| before.working == 0) && summary.working > 0 {
            self.ping(now + SHORT_SILENCE, None);
        }
    }

    /// Goes into the room, if there is one.
    pub(super) fn enter_room(&mut self) {
        let Some(place) = self.place() else { return };
        self.room = Room::Inside;
        // XEP-0045 section 7.2.
        self.output += &format!(
            "<presence to='{}'><x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x></presence>",
            escaped(&place)
        );
        self.present();
    }

    /// Asks whether the server is there, and goes back into a room that has not wanted us.
    pub(super) fn keep_alive(&mut self, now: Instant) {
        if self.room == Room::Outside {
            self.enter_room();
        }
        self.ping(now + LONGEST_SILENCE, None);
    }

    /// Whether one more message may be sent.
    pub(super) fn may_send(&self) -> bool {
        self.unanswered.len() < MOST_UNANSWERED
    }

    /// Sends a message to all, and a ping behind it.
    pub(super) fn send(&mut self, now: Instant, id: String, text: &str) {
        let Xmpp { people, operators, room, .. } = &self.settings;
        let people: BTreeSet<&String> = people.iter().chain(operators).collect();
        let chats = people.into_iter().map(|jid| (jid, "chat"));
        let all: Vec<_> = chats.chain(room.iter().map(|room| (room, "groupchat"))).collect();
        let messages: String = all.iter().map(|(to, kind)| message(to, kind, &id, text)).collect();
        let recipients = all.into_iter().map(|(to, _)| to.clone()).collect();
        self.output += &messages;
        self.ping(now + LONGEST_SILENCE, Some(Sent { id, recipients, said: String::new() }));
    }

    /// Answers what somebody has asked.
    pub(super) fn answer(&mut self, Answer { to, kind }: &Answer, text: &str) {
        let id = self.next_id();
        self.output += &message(to, kind, &id, text);
    }

    /// Takes in what has come. The error ends the session.
    pub(super) fn handle_element(&mut self, element: &Element) -> Result<(), String> {
        let from = element.attribute("from").unwrap_or_default();
        let kind = element.attribute("type").unwrap_or_default();
        match (element.name.as_str(), kind) {
            ("iq", "get" | "set") => self.answer_request(element, from),
            ("iq", _) => self.note_answer(element.attribute("id").unwrap_or_default()),
            ("message", "error") => self.note_refusal(element, from),
            ("message", _) => self.handle_message(element, from, kind),
            ("presence", "subscribe") if self.is_known(from) => {
                self.output += &format!("<presence type='subscribed' to='{}'/>", escaped(&bare(from)));
            }
            ("presence", "error") if self.is_of_room(from) => {
                self.room = Room::Outside;
                self.events.push_back(Event::NotLetIn(failure(element)));
            }
            ("presence", "unavailable") if self.place().is_some_and(|place| place == from) => {
                self.room = Room::Outside;
            }
            ("error", _) => return Err(format!("the server ends the stream: {}", element.failure())),
            _ => {}
        }
        Ok(())
    }

    /// Our address in the room, if there is one to be in.
    fn place(&self) -> Option<String> {
        let Xmpp { room, nick, .. } = &self.settings;
        room.as_ref().map(|room| format!("{room}/{nick}"))
    }

    /// Whether it is one of those whom we tell.
    fn is_known(&self, from: &str) -> bool {
        let from = bare(from);
        self.settings.people.iter().chain(&self.settings.operators).any(|jid| *jid == from)
    }

    fn is_of_room(&self, from: &str) -> bool {
        self.settings.room.as_ref().is_some_and(|room| *room == bare(from))
    }

    /// Shows everybody what is to be shown; before anything is, nothing.
    fn present(&mut self) {
        let Some(summary) = self.shown else { return };
        let show = summary.show().map_or_else(String::new, |show| format!("<show>{show}</show>"));
        let presence = format!("{show}<status>{}</status>", summary.text());
        self.output += &format!("<presence>{presence}</presence>");
        if let Some(place) = self.place().filter(|_| self.room == Room::Inside) {
            self.output += &format!("<presence to='{}'>{presence}</presence>", escaped(&place));
        }
    }

    /// XEP-0199: the server answers when it has handled all before.
    fn ping(&mut self, until: Instant, message: Option<Sent>) {
        let (id, to) = (self.next_id(), escaped(&self.settings.domain));
        self.output += &format!("<iq type='get' id='{id}' to='{to}'><ping xmlns='urn:xmpp:ping'/></iq>");
        self.unanswered.push(Unanswered { id, until, message });
    }

    fn next_id(&mut self) -> String {
        self.stanzas += 1;
        format!("{}-{}", self.prefix, self.stanzas)
    }

    /// RFC 6120 section 8.2.3: each request is answered.
    fn answer_request(&mut self, element: &Element, from: &str) {
        let (id, to) = (escaped(element.attribute("id").unwrap_or_default()), escaped(from));
        let to = if to.is_empty() { String::new() } else { format!(" to='{to}'") };
        self.output += &if element.child("ping").is_some() {
            format!("<iq type='result' id='{id}'{to}/>")
        } else {
            format!(
                "<iq type='error' id='{id}'{to}><error type='cancel'><service-unavailable \
                 xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
            )
        };
    }

    /// The server has all that was sent before this ping.
    fn note_answer(&mut self, id: &str) {
        let Some(at) = self.unanswered.iter().position(|ping| ping.id == id) else { return };
        for Sent { id, recipients, said } in self.unanswered.drain(..=at).filter_map(|ping| ping.message) {
            let outcome = if recipients.is_empty() { Err(said) } else { Ok(()) };
            self.events.push_back(Event::Settled(id, outcome));
        }
    }

    /// Somebody does not exist, or does not want the message. He can say so for himself alone, and once.
    fn note_refusal(&mut self, element: &Element, from: &str) {
        let id = element.attribute("id").unwrap_or_default();
        let mut messages = self.unanswered.iter_mut().filter_map(|ping| ping.message.as_mut());
        let Some(sent) = messages.find(|sent| sent.id == id) else { return };
        let from = bare(from);
        if sent.recipients.remove(&from) {
            sent.said = format!("{from}: {}", failure(element));
            self.events.push_back(Event::Bounced(sent.said.clone()));
        }
    }

    fn handle_message(&mut self, element: &Element, from: &str, kind: &str) {
        // XEP-0203: what was said while we were away is of then.
        let is_old =
            element.child("delay").is_some() || element.child("x").is_some_and(|x| x.attribute("stamp").is_some());
        let Some(body) = element.child("body").filter(|_| !is_old) else { return };
        let wish = wish(&body.text, &self.settings.nick);
        if kind == "groupchat" {
            self.handle_room(from, &wish, &body.text);
        } else if self.is_known(from) {
            let answer = Answer { to: from.to_owned(), kind: "chat" };
            self.handle_wish(bare(from), wish, answer);
        } else {
            self.events.push_back(Event::Stranger(from.to_owned()));
        }
    }

    /// In a room everybody may ask; who somebody is there is not sure enough for orders.
    fn handle_room(&mut self, from: &str, wish: &Wish, text: &str) {
        let (room, nick) = from.split_once('/').unwrap_or((from, ""));
        let is_for_us = text.trim().to_lowercase().starts_with(&self.settings.nick.to_lowercase());
        if !self.is_of_room(from) || nick.is_empty() || nick == self.settings.nick {
            return;
        }
        let answer = Answer { to: room.to_owned(), kind: "groupchat" };
        match wish {
            Wish::Status => self.events.push_back(Event::Asked(answer)),
            Wish::Done(_) if is_for_us => self.answer(&answer, wish::NOT_IN_A_ROOM),
            Wish::Unclear if is_for_us => self.answer(&answer, wish::HELP),
            _ => {}
        }
    }

    /// What somebody wishes whom we know.
    fn handle_wish(&mut self, from: String, wish: Wish, answer: Answer) {
        let may_order = self.settings.operators.contains(&from);
        match wish {
            Wish::Status => self.events.push_back(Event::Asked(answer)),
            Wish::Done(order) if may_order => self.events.push_back(Event::Ordered(from, order, answer)),
            Wish::Done(_) => self.answer(&answer, wish::NOT_FOR_YOU),
            Wish::Unclear => self.answer(&answer, wish::HELP),
        }
    }
}

/// The error in an answer, in words.
fn failure(element: &Element) -> String {
    element.child("error").map(Element::failure).unwrap_or_default()
}

fn message(to: &str, kind: &str, id: &str, text: &str) -> String {
    let (to, id, text) = (escaped(to), escaped(id), escaped(text));
    format!("<message to='{to}' type='{kind}' id='{id}'><body>{text}</body></message>")
}

#[cfg(test)]
mod tests;
