//! A server's stream to the bot, and what people say in it: read the same however it is cut, and whoever sends it gets nobody but
//! an operator obeyed, and no XML of his own into what the bot sends.
//!
//! The bot is a part of the program, with TLS, SQLite and a web server around it, which would take minutes to build for this. What
//! reads what others send needs none of them, so these files are compiled into the target as they stand.

#![no_main]
#![allow(dead_code, reason = "the rest of the bot uses the rest of them")]

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use potato::config::{self, Security, Server, Xmpp};
use potato::link::pppoe::Secret;
use tokio::io::{AsyncBufRead, BufReader};

#[path = "../../src/notify"]
mod notify {
    pub mod said;
}
#[path = "../../src/notify/xmpp/challenge.rs"]
mod challenge;
#[path = "../../src/notify/xmpp/conversation.rs"]
mod conversation;
#[path = "../../src/notify/xmpp/element.rs"]
mod element;
#[path = "../../src/notify/xmpp/reader.rs"]
mod reader;
#[path = "../../src/notify/xmpp/wish.rs"]
mod wish;

use challenge::{Challenge, ROUNDS};
use conversation::{Conversation, Event, Summary};
use element::{Element, bare};
use reader::{Elements, ReadError};

/// What the client's nonce is to a challenge.
const NONCE: &str = "ours";
/// What the bot tells.
const MESSAGE: &str = "m1";

/// What comes at once without waiting: nothing here waits.
fn at_once<T>(work: impl Future<Output = T>) -> T {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("all bytes are there"),
    }
}

/// All elements of a stream, and why there are no more.
fn read(source: impl AsyncBufRead + Unpin) -> (Vec<Element>, ReadError) {
    at_once(async {
        let mut elements = Elements::new(source);
        let mut all = Vec::new();
        if let Err(end) = elements.open().await {
            return (all, end);
        }
        loop {
            match elements.next().await {
                Ok(element) => all.push(element),
                Err(end) => return (all, end),
            }
        }
    })
}

fn settings() -> Xmpp {
    let server = Server { host: "example.net".to_owned(), port: 5222, security: Security::StartTls, ca_file: None };
    Xmpp {
        user: "potato".to_owned(),
        domain: "example.net".to_owned(),
        server,
        password: Secret::default(),
        room: Some("lines@rooms.example.net".to_owned()),
        nick: "potato".to_owned(),
        people: vec!["anna@example.net".to_owned()],
        operators: vec!["boss@example.net".to_owned()],
    }
}

fn check_end(end: &str) {
    assert!(!end.is_empty() && end.len() < 2_000 && !end.chars().any(char::is_control), "{end:?}");
}

fn check_challenge(text: &str) {
    let Ok(challenge) = Challenge::parse(text, NONCE) else { return };
    assert!(challenge.nonce.starts_with(NONCE) && challenge.nonce.len() > NONCE.len());
    assert!(ROUNDS.contains(&challenge.rounds.get()));
}

/// What is sent is whole, and speaks to those alone whom the configuration names.
fn check_sent(sent: &str, settings: &Xmpp) {
    assert!(sent.chars().all(|c| !c.is_control() || c == '\n' || c == '\t'), "{sent:?}");
    let (all, end) = read(format!("<stream:stream>{sent}</stream:stream>").as_bytes());
    assert!(matches!(end, ReadError::Closed), "{end}: {sent}");
    for element in all {
        let to = bare(element.attribute("to").unwrap_or_default());
        let mut known = settings.people.iter().chain(&settings.operators).chain(&settings.room);
        match element.name.as_str() {
            "message" => assert!(known.any(|known| *known == to), "{sent}"),
            "presence" => assert!(to.is_empty() || known.any(|known| *known == to), "{sent}"),
            "iq" => {}
            other => panic!("{other}: {sent}"),
        }
    }
}

/// Does what the program would, and gives the ids of messages that are done with.
fn handle(conversation: &mut Conversation, event: Event, element: &Element, settings: &Xmpp) -> Option<String> {
    match event {
        Event::Asked(answer) => conversation.answer(&answer, "dsl1: <up>\ndsl2: 'down'"),
        Event::Ordered(who, _, answer) => {
            assert!(settings.operators.contains(&who) && bare(element.attribute("from").unwrap_or_default()) == who);
            assert_ne!(element.attribute("type"), Some("groupchat"));
            conversation.answer(&answer, "done");
        }
        Event::Settled(id, _) => return Some(id),
        Event::Bounced(_) | Event::NotLetIn(_) | Event::Stranger(_) => {}
    }
    None
}

fuzz_target!(|data: &[u8]| {
    // The first byte says how much comes at once.
    let Some((piece, stream)) = data.split_first() else { return };
    let (elements, end) = read(stream);
    let (slowly, slow_end) = read(BufReader::with_capacity(usize::from(*piece).max(1), stream));
    assert_eq!((&elements, end.to_string()), (&slowly, slow_end.to_string()));
    check_end(&end.to_string());

    let settings = settings();
    let mut conversation = Conversation::new(settings.clone(), "s".to_owned());
    let now = Instant::now();
    conversation.show(now, Summary { working: 2, all: 2 });
    conversation.enter_room();
    conversation.send(now, MESSAGE.to_owned(), "dsl1 is <lost> & 'gone'");
    let mut settled = Vec::new();
    for element in &elements {
        check_challenge(&element.text);
        if let Err(end) = conversation.handle_element(element) {
            check_end(&end);
        }
        while let Some(event) = conversation.poll_event() {
            settled.extend(handle(&mut conversation, event, element, &settings));
        }
        if let Some(sent) = conversation.poll_transmit() {
            check_sent(&sent, &settings);
        }
        conversation.keep_alive(now);
    }
    assert!(settled.is_empty() || settled == [MESSAGE]);
});
