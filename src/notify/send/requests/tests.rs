use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::config::{self, ChannelKind, Piece, Placeholder, Template};

fn kind(section: &str) -> ChannelKind {
    let line = "[[uplink]]\nname = \"dsl1\"\ninterface = \"wan1\"\nkind = \"dhcp\"\n";
    let text = format!("[lan]\ninterface = \"lan0\"\n{line}[[notify]]\nname = \"office\"\n{section}\n");
    config::parse(Path::new("potato.toml"), &text).unwrap().channels.remove(0).kind
}

fn message() -> Message {
    let note = |line: &str, text: &str| Note {
        event: "line-lost".to_owned(),
        line: Some(line.to_owned()),
        cause: Some("\"loss\" of 12 %\n".to_owned()),
        time: 1_000,
        text: text.to_owned(),
        ..Note::default()
    };
    Message {
        id: "potato-1-1".to_owned(),
        written: 2_000,
        notes: vec![note("dsl1", "dsl1 is <lost>"), note("dsl2", "b")],
    }
}

fn context() -> Context {
    Context { now: 2_000, utc_offset: 0, router: "gate".to_owned() }
}

#[test]
fn template_is_filled_in_without_breaking_what_it_is() {
    let template =
        r#"template = '{"text": "{text}", "why": "{cause}", "lines": "{line}", "at": "{time}", "of": "{router}{by}"}'"#;
    let ChannelKind::Webhook(hook) = kind(&format!("kind = \"webhook\"\nurl = \"http://192.0.2.1/x?y\"\n{template}"))
    else {
        panic!("another kind")
    };
    let request = webhook(&hook, &message(), &context());
    let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
    let expected = json!({
        "text": "dsl1 is <lost>\nb", "why": "\"loss\" of 12 %\n", "lines": "dsl1, dsl2",
        "at": "1970-01-01T00:00:01.000Z", "of": "gate"
    });
    assert_eq!((body, request.path.as_str()), (expected, "/x?y"));
    let form = "content_type = \"application/x-www-form-urlencoded\"\ntemplate = \"m={text}&l={line}\"";
    let ChannelKind::Webhook(hook) = kind(&format!("kind = \"webhook\"\nurl = \"http://192.0.2.1/\"\n{form}")) else {
        panic!("another kind")
    };
    assert_eq!(webhook(&hook, &message(), &context()).body, "m=dsl1%20is%20%3Clost%3E%0Ab&l=dsl1%2C%20dsl2");
}

#[test]
fn webhook_without_a_template_gets_all_there_is() {
    let ChannelKind::Webhook(hook) = kind("kind = \"webhook\"\nurl = \"http://192.0.2.1\"") else {
        panic!("another kind")
    };
    let request = webhook(&hook, &message(), &context());
    let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(
        (&body["events"][1]["line"], &body["id"], &body["router"]),
        (&json!("dsl2"), &json!("potato-1-1"), &json!("gate"))
    );
    assert!(request.headers.contains(&("idempotency-key", "potato-1-1".to_owned())));
}

#[test]
fn services_get_what_they_understand() {
    let ChannelKind::Slack(to) = kind("kind = \"slack\"\nurl = \"https://hooks.slack.com/services/T/B/x\"") else {
        panic!("another kind")
    };
    assert_eq!(slack(&to, &message(), &context()).body, r#"{"text":"gate: dsl1 is &lt;lost&gt;\nb"}"#);
    let ChannelKind::Ntfy(to) = kind("kind = \"ntfy\"\nurl = \"https://ntfy.sh/potato\"") else {
        panic!("another kind")
    };
    let request = ntfy(&to, &message(), &context());
    assert_eq!((request.body.as_str(), request.path.as_str()), ("dsl1 is <lost>\nb", "/potato"));
    let room = "server = \"https://matrix.example.net/\"\nroom = \"!a b:example.net\"\ntoken_file = \"/t\"";
    let ChannelKind::Matrix(to) = kind(&format!("kind = \"matrix\"\n{room}")) else { panic!("another kind") };
    let request = matrix(&to, &message(), &context());
    let path = "/_matrix/client/v3/rooms/%21a%20b%3Aexample.net/send/m.room.message/potato-1-1";
    assert_eq!((request.path.as_str(), request.method), (path, Method::PUT));
}

fn note_of(text: String) -> Message {
    let note = Note { line: Some(text.clone()), cause: Some(text.clone()), text, ..Note::default() };
    Message { id: "potato-1-1".to_owned(), written: 2_000, notes: vec![note] }
}

/// A form's value, by hand.
fn decoded(value: &str) -> Vec<u8> {
    let mut bytes = value.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        let mut digit = || char::from(bytes.next().unwrap()).to_digit(16).unwrap();
        decoded.push(if byte == b'%' { u8::try_from(digit() * 16 + digit()).unwrap() } else { byte });
    }
    decoded
}

proptest! {
    #[test]
    fn whatever_is_told_stays_one_value_of_what_the_template_is(text in proptest::collection::vec(any::<char>(), 0..40)) {
        let text: String = text.into_iter().collect();
        let message = note_of(text.clone());
        let of = |before: &str, what, after: &str| {
            Template(vec![Piece::Text(before.to_owned()), Piece::Placeholder(what), Piece::Text(after.to_owned())])
        };
        for what in [Placeholder::Text, Placeholder::Line, Placeholder::Cause] {
            let filled = fill(&of("{\"a\": \"", what, "\"}"), Writing::Json, &message, &context());
            let read: serde_json::Value = serde_json::from_str(&filled).unwrap();
            prop_assert_eq!(read, json!({ "a": text }));
            let filled = fill(&of("a=", what, "&b=1"), Writing::Form, &message, &context());
            let value = filled.strip_prefix("a=").and_then(|rest| rest.strip_suffix("&b=1")).unwrap();
            prop_assert!(value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte)), "{}", value);
            prop_assert_eq!(decoded(value), text.as_bytes());
        }
    }
}
