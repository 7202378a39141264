use super::*;
use crate::config::{Security, Server};
use crate::link::pppoe::Secret;

const ANNA: &str = "anna@example.net/phone";
const BOSS: &str = "boss@example.net/desk";

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

fn conversation() -> Conversation {
    Conversation::new(settings(), "s".to_owned())
}

fn element(name: &str, attributes: &[(&str, &str)], children: Vec<Element>) -> Element {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    let attributes = attributes.iter().map(owned).collect();
    Element { name: name.to_owned(), attributes, children, text: String::new() }
}

fn body(text: &str) -> Element {
    Element { name: "body".to_owned(), text: text.to_owned(), ..Element::default() }
}

/// What is sent after somebody has said something, and what has happened.
fn say(conversation: &mut Conversation, from: &str, kind: &str, text: &str) -> (String, Option<Event>) {
    conversation.handle_element(&element("message", &[("from", from), ("type", kind)], vec![body(text)])).unwrap();
    (conversation.poll_transmit().unwrap_or_default(), conversation.poll_event())
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[test]
fn operators_alone_order_and_in_a_chat_alone() {
    let mut conversation = conversation();
    let answer = |to: &str, kind| Answer { to: to.to_owned(), kind };
    let order = Order::Down("dsl3".to_owned());
    let ordered = Event::Ordered("boss@example.net".to_owned(), order, answer(BOSS, "chat"));
    assert_eq!(say(&mut conversation, BOSS, "chat", "down dsl3"), (String::new(), Some(ordered)));
    assert_eq!(say(&mut conversation, ANNA, "chat", "status").1, Some(Event::Asked(answer(ANNA, "chat"))));
    let (said, event) = say(&mut conversation, ANNA, "chat", "down dsl3");
    assert!(said.contains("not for you to order") && event.is_none(), "{said}");
    let (said, event) = say(&mut conversation, "eve@example.net", "chat", "down dsl3");
    assert_eq!((said.as_str(), event), ("", Some(Event::Stranger("eve@example.net".to_owned()))));
    let (said, event) = say(&mut conversation, "lines@rooms.example.net/boss", "groupchat", "potato: down dsl3");
    assert!(said.contains(wish::NOT_IN_A_ROOM) && event.is_none(), "{said}");
    let of_room = answer("lines@rooms.example.net", "groupchat");
    assert_eq!(
        say(&mut conversation, "lines@rooms.example.net/x", "groupchat", "status").1,
        Some(Event::Asked(of_room))
    );
    for (from, text) in [
        ("lines@rooms.example.net/potato", "status"),
        ("other@rooms.example.net/x", "status"),
        ("lines@rooms.example.net", "status"),
    ] {
        assert_eq!(say(&mut conversation, from, "groupchat", text), (String::new(), None), "{from}");
    }
}

#[test]
fn what_was_said_while_we_were_away_is_no_order() {
    let mut conversation = conversation();
    for old in [element("delay", &[], vec![]), element("x", &[("stamp", "20260101T00:00:00")], vec![])] {
        let message = element("message", &[("from", BOSS)], vec![body("down dsl3"), old]);
        conversation.handle_element(&message).unwrap();
        assert_eq!((conversation.poll_event(), conversation.poll_transmit()), (None, None));
    }
}

/// Gives the answer to the last ping.
fn pong(conversation: &mut Conversation, id: &str) -> Option<Event> {
    conversation.handle_element(&element("iq", &[("type", "result"), ("id", id)], vec![])).unwrap();
    conversation.poll_event()
}

fn refusal(from: &str) -> Element {
    let error = element("error", &[], vec![element("service-unavailable", &[], vec![])]);
    element("message", &[("type", "error"), ("id", "m1"), ("from", from)], vec![error])
}

#[test]
fn message_is_settled_when_the_server_answers_behind_it() {
    let mut conversation = conversation();
    let begun = now();
    conversation.send(begun, "m1".to_owned(), "dsl1 is <lost>");
    let sent = conversation.poll_transmit().unwrap();
    for part in
        ["to='anna@example.net' type='chat'", "to='boss@example.net'", "type='groupchat'", "dsl1 is &lt;lost&gt;"]
    {
        assert!(sent.contains(part), "{part}: {sent}");
    }
    assert_eq!(conversation.poll_timeout(), Some(begun + LONGEST_SILENCE));
    assert_eq!(pong(&mut conversation, "another"), None);
    assert_eq!(pong(&mut conversation, "s-1"), Some(Event::Settled("m1".to_owned(), Ok(()))));
    assert_eq!(conversation.poll_timeout(), None);
}

#[test]
fn one_who_refuses_again_and_again_does_not_make_it_fail_for_all() {
    let mut conversation = conversation();
    conversation.send(now(), "m1".to_owned(), "x");
    for from in [ANNA, ANNA, "anna@example.net/desk", "eve@example.net", "anna@example.net"] {
        conversation.handle_element(&refusal(from)).unwrap();
    }
    assert_eq!(conversation.poll_event(), Some(Event::Bounced("anna@example.net: service-unavailable".to_owned())));
    assert_eq!(pong(&mut conversation, "s-1"), Some(Event::Settled("m1".to_owned(), Ok(()))));
    conversation.send(now(), "m1".to_owned(), "x");
    for from in [ANNA, BOSS, "lines@rooms.example.net"] {
        conversation.handle_element(&refusal(from)).unwrap();
        assert!(matches!(conversation.poll_event(), Some(Event::Bounced(_))), "{from}");
    }
    let why = Err("lines@rooms.example.net: service-unavailable".to_owned());
    assert_eq!(pong(&mut conversation, "s-2"), Some(Event::Settled("m1".to_owned(), why)));
}

#[test]
fn room_that_throws_us_out_is_entered_again_and_others_cannot_do_that() {
    let mut conversation = conversation();
    conversation.show(now(), Summary { working: 2, all: 2 });
    conversation.enter_room();
    let entered = conversation.poll_transmit().unwrap();
    assert!(entered.contains("/muc") && entered.ends_with("<status>2 of 2 lines up</status></presence>"), "{entered}");
    let presence = |from, kind| element("presence", &[("from", from), ("type", kind)], vec![]);
    for from in ["eve@example.net", "lines@rooms.example.net/eve"] {
        conversation.handle_element(&presence(from, "unavailable")).unwrap();
    }
    conversation.handle_element(&presence("eve@example.net", "error")).unwrap();
    conversation.keep_alive(now());
    assert!(!conversation.poll_transmit().unwrap().contains("/muc"));
    for kind in ["unavailable", "error"] {
        conversation.handle_element(&presence("lines@rooms.example.net/potato", kind)).unwrap();
        conversation.keep_alive(now());
        assert!(conversation.poll_transmit().unwrap().contains("/muc"), "{kind}");
    }
}

#[test]
fn requests_are_answered_and_a_stream_error_ends_it() {
    let mut conversation = conversation();
    let request =
        element("iq", &[("type", "get"), ("id", "'/><x"), ("from", "a@b")], vec![element("ping", &[], vec![])]);
    conversation.handle_element(&request).unwrap();
    assert_eq!(conversation.poll_transmit().unwrap(), "<iq type='result' id='&apos;/&gt;&lt;x' to='a@b'/>");
    conversation.handle_element(&element("iq", &[("type", "set")], vec![])).unwrap();
    assert!(conversation.poll_transmit().unwrap().contains("service-unavailable"));
    assert!(
        conversation
            .handle_element(&element("error", &[], vec![element("conflict", &[], vec![])]))
            .unwrap_err()
            .contains("conflict")
    );
}

#[test]
fn presence_shows_how_many_lines_are_up() {
    let mut conversation = conversation();
    for (working, shown) in
        [(2, "<presence><status>2 of 2"), (1, "<show>away</show><status>1 of 2"), (0, "<show>dnd</show><status>0 of 2")]
    {
        conversation.show(now(), Summary { working, all: 2 });
        let sent = conversation.poll_transmit().unwrap();
        assert!(sent.contains(shown), "{sent}");
        conversation.show(now(), Summary { working, all: 2 });
        assert_eq!(conversation.poll_transmit(), None, "no news");
    }
}

#[test]
fn when_the_first_line_is_back_the_server_must_answer_soon() {
    let mut conversation = conversation();
    let begun = now();
    conversation.show(begun, Summary { working: 1, all: 2 });
    conversation.send(begun, "m1".to_owned(), "x");
    conversation.show(begun, Summary { working: 2, all: 2 });
    conversation.show(begun, Summary { working: 0, all: 2 });
    assert_eq!(conversation.poll_timeout(), Some(begun + LONGEST_SILENCE));
    let back = begun + Duration::from_secs(3);
    conversation.show(back, Summary { working: 1, all: 2 });
    assert_eq!(conversation.poll_timeout(), Some(back + SHORT_SILENCE));
    assert!(conversation.poll_transmit().unwrap().contains("id='s-2'"));
    assert_eq!(pong(&mut conversation, "s-2"), Some(Event::Settled("m1".to_owned(), Ok(()))));
    assert_eq!(conversation.poll_timeout(), None, "the connection is alive");
}
