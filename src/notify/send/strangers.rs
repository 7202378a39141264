//! Servers that answer whatever they like: a message is taken, or it is said why not in a way that can be shown.

use std::net::Ipv4Addr;

use hyper::Method;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{Context, http, mail};
use crate::config::{HttpUrl, Mail, Security, Server};
use crate::notify::note::{Message, Note};
use crate::notify::outbox::SendError;

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// What becomes of something that is sent to a server that says this, whatever it hears.
async fn told(said: &[u8], send: impl AsyncFnOnce(Server) -> Result<(), SendError>) -> Result<(), SendError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = Server { host: "127.0.0.1".to_owned(), port, security: Security::Off, ca_file: None };
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        // Whoever sends may have gone before all is said.
        let _gone = stream.write_all(said).await;
        let _gone = stream.shutdown().await;
        let _gone = stream.read_to_end(&mut Vec::new()).await;
    };
    tokio::join!(send(server), serve).0
}

async fn post(server: Server) -> Result<(), SendError> {
    let url = HttpUrl { server, path: "/x".to_owned() };
    let headers = vec![("content-type", "text/plain".to_owned())];
    http::exchange(http::Outgoing {
        url: &url,
        method: Method::POST,
        path: "/x".to_owned(),
        headers,
        body: "dsl1 is lost".to_owned(),
    })
    .await
}

async fn mail(server: Server) -> Result<(), SendError> {
    let address = || "anna@example.net".to_owned();
    let mail = Mail { server, login: None, from: address(), to: vec![address()] };
    let note = Note { text: "dsl1 is lost".to_owned(), ..Note::default() };
    let message = Message { id: "potato-1-1".to_owned(), written: 0, notes: vec![note] };
    mail::send(&mail, &message, &Context { now: 0, utc_offset: 0, router: "gate".to_owned() }).await
}

fn can_be_shown(outcome: &Result<(), SendError>) -> bool {
    let said = outcome.as_ref().err().map(ToString::to_string).unwrap_or_default();
    said.len() < 2_000 && !said.chars().any(char::is_control)
}

fn nonsense() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..200)
}

fn http_answer() -> impl Strategy<Value = Vec<u8>> {
    let head = prop_oneof![
        (100_u16..600, "[ -~]{0,20}").prop_map(|(status, reason)| format!("HTTP/1.1 {status} {reason}\r\n")),
        "HTTP/[0-9.]{1,4} [0-9]{1,4}\r\n",
    ];
    let header = prop_oneof![
        "Retry-After: [0-9a-zA-Z :+-]{0,25}\r\n",
        "Content-Length: [0-9]{1,20}\r\n",
        Just("Transfer-Encoding: chunked\r\n".to_owned()),
        "[A-Za-z-]{1,10}: [ -~]{0,30}\r\n",
    ];
    (head, proptest::collection::vec(header, 0..4), nonsense())
        .prop_map(|(head, headers, body)| [head.as_bytes(), headers.concat().as_bytes(), b"\r\n", &body].concat())
}

fn smtp_reply() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b"250 ok\r\n".to_vec()),
        Just(b"220 mail.example.net\r\n".to_vec()),
        Just(b"354 go on\r\n".to_vec()),
        "[2-5][0-9]{2}[ -][\\x01-\\x7f]{0,40}\r\n".prop_map(String::into_bytes),
        ("[2-5][0-9]{2}", 300_usize..5_000)
            .prop_map(|(code, length)| format!("{code} {}\r\n", "x".repeat(length)).into_bytes()),
        nonsense(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_answer_of_a_web_server_breaks_anything(answer in prop_oneof![http_answer(), nonsense()]) {
        let outcome = run(told(&answer, post));
        prop_assert!(can_be_shown(&outcome), "{:?}", outcome);
    }

    #[test]
    fn no_reply_of_a_mail_server_breaks_anything(replies in proptest::collection::vec(smtp_reply(), 0..8)) {
        let outcome = run(told(&replies.concat(), mail));
        prop_assert!(can_be_shown(&outcome), "{:?}", outcome);
    }
}

#[test]
fn what_a_mail_server_says_at_length_is_cut_and_steers_no_terminal() {
    let replies = [b"220 hello\r\n".to_vec(), format!("554 \u{1b}[2J{}\r\n", "no ".repeat(900)).into_bytes()];
    let outcome = run(told(&replies.concat(), mail));
    assert!(can_be_shown(&outcome) && outcome.is_err(), "{outcome:?}");
}
