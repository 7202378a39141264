use std::path::Path;

use super::*;
use crate::config::{self, ChannelKind};

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
