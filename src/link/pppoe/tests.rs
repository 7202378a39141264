//! Scenarios with simulated time: a client, and a concentrator that is written here byte by byte, apart from the code
//! under test.

mod concentrator;

use std::net::Ipv4Addr;
use std::time::Duration;

use proptest::prelude::*;

use super::{Account, Client, ClientEvent, Failure, Secret};
use crate::flow::Timestamp;
use crate::link::pppoe::event::Stage;
use crate::wire::MacAddress;
use concentrator::{Auth, Concentrator, GATEWAY, OURS, THEIRS, described, padt, session_frame};

fn account() -> Account {
    Account {
        username: "potato1".to_owned(),
        password: Secret::new(b"secret1".to_vec()),
        service: String::new(),
        concentrator: None,
    }
}

/// A client on a line, with all that it ever sent and told.
struct Line {
    client: Client,
    now: Timestamp,
    peer: Option<Concentrator>,
    sent: Vec<(u64, String)>,
    events: Vec<(u64, ClientEvent)>,
}

impl Line {
    fn with(account: Account, peer: Option<Concentrator>) -> Self {
        let client = Client::new([7; 32], account);
        Self { client, now: Timestamp::from_millis(0), peer, sent: Vec::new(), events: Vec::new() }
    }

    fn started(peer: Concentrator) -> Self {
        let mut line = Self::with(account(), Some(peer));
        line.start();
        line
    }

    fn start(&mut self) {
        self.client.start(self.now, OURS);
        self.settle();
    }

    /// Carries frames to and fro until nobody says anything more.
    fn settle(&mut self) {
        loop {
            let frames: Vec<_> = std::iter::from_fn(|| self.client.poll_transmit()).collect();
            self.events
                .extend(std::iter::from_fn(|| self.client.poll_event()).map(|event| (self.now.as_millis(), event)));
            if frames.is_empty() {
                return;
            }
            for frame in frames {
                self.sent.push((self.now.as_millis(), described(&frame)));
                for answer in self.peer.as_mut().map(|peer| peer.answers(&frame)).unwrap_or_default() {
                    self.client.handle_packet(self.now, &answer);
                }
            }
        }
    }

    fn hear(&mut self, frame: &[u8]) {
        self.client.handle_packet(self.now, frame);
        self.settle();
    }

    /// Lets time pass up to `end`.
    fn run(&mut self, end: u64) {
        let end = Timestamp::from_millis(end);
        while let Some(due) = self.client.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.client.handle_timeout(self.now);
            self.settle();
            assert!(
                self.client.poll_timeout().is_none_or(|next| next > self.now),
                "a timeout that stays due would spin"
            );
        }
        self.now = end;
    }

    fn said(&self) -> Vec<&str> {
        self.sent.iter().map(|(_, text)| text.as_str()).collect()
    }

    /// When it sent what starts so.
    fn times_of(&self, start: &str) -> Vec<u64> {
        self.sent.iter().filter(|(_, text)| text.starts_with(start)).map(|(at, _)| *at).collect()
    }

    fn failures(&self) -> Vec<&Failure> {
        let failure = |event| match event {
            &ClientEvent::Failed(ref failure) | &ClientEvent::Ended(ref failure) => Some(failure),
            ClientEvent::Connected(_) => None,
        };
        self.events.iter().filter_map(|(_, event)| failure(event)).collect()
    }
}

#[test]
fn session_comes_up_by_chap() {
    let line = Line::started(Concentrator::new(Auth::Chap));
    let expected = [
        "PADI service= to all",
        "PADR service= cookie=secret relay=r1",
        "7 LCP request 1: mru=1492 magic",
        "7 LCP ack 1: mru=1492 auth=chap magic",
        "7 CHAP response 9",
        "7 IPCP request 1: address=0.0.0.0 dns=0.0.0.0 dns2=0.0.0.0",
        "7 IPCP ack 1: address=10.99.0.1",
        "7 IPCP request 2: address=10.99.0.2 dns=192.0.2.53 dns2=0.0.0.0",
    ];
    assert_eq!(line.said(), expected);
    let connection = line.client.connection().unwrap();
    assert_eq!((connection.session.number(), connection.concentrator), (7, THEIRS));
    assert_eq!((connection.concentrator_name.as_str(), connection.mtu), ("lab", 1_492));
    assert_eq!((connection.address, connection.gateway), (Ipv4Addr::new(10, 99, 0, 2), GATEWAY));
    assert_eq!(connection.name_servers, [Ipv4Addr::new(192, 0, 2, 53)]);
    assert_eq!(line.events, [(0, ClientEvent::Connected(connection.clone()))]);
    assert_eq!(line.client.problem(), None);
}

#[test]
fn session_comes_up_by_pap_and_without_any_proof() {
    for (auth, proof) in [(Auth::Pap, Some("7 PAP request 1: potato1 secret1")), (Auth::None, None)] {
        let line = Line::started(Concentrator::new(auth));
        assert!(line.client.connection().is_some(), "{:?}", line.sent);
        assert_eq!(line.said().into_iter().find(|text| text.contains("PAP")), proof);
    }
}

#[test]
fn longer_packets_are_agreed_where_both_have_room() {
    for (interface_mtu, knows, mtu) in
        [(1_508, true, 1_500), (1_508, false, 1_492), (1_500, true, 1_492), (9_000, true, 1_500), (1_400, true, 1_392)]
    {
        let mut line =
            Line::with(account(), Some(Concentrator { knows_max_payload: knows, ..Concentrator::new(Auth::Pap) }));
        line.client.handle_interface_mtu(interface_mtu);
        line.start();
        assert_eq!(line.client.connection().map(|connection| connection.mtu), Some(mtu), "{interface_mtu} {knows}");
        assert_eq!(line.said()[0].contains("max=1500"), interface_mtu >= 1_508);
    }
}

#[test]
fn only_the_service_and_concentrator_asked_for_are_dialled() {
    let wanting = |service: &str, concentrator: Option<&str>| Account {
        service: service.to_owned(),
        concentrator: concentrator.map(str::to_owned),
        ..account()
    };
    for (account, comes_up) in [
        (wanting("internet", Some("lab")), true),
        (wanting("telephone", None), false),
        (wanting("", Some("another")), false),
    ] {
        let mut line = Line::with(account, Some(Concentrator::new(Auth::Pap)));
        line.start();
        line.run(10_000);
        assert_eq!(line.client.connection().is_some(), comes_up);
        let unwanted = Failure::NotWanted("lab".to_owned());
        let expected = if comes_up { vec![] } else { vec![&unwanted] };
        assert_eq!(line.failures(), expected, "once");
        assert_eq!(line.times_of("PADR").len(), usize::from(comes_up));
    }
}

#[test]
fn wrong_password_is_told_and_tried_again_ever_more_slowly() {
    for auth in [Auth::Pap, Auth::Chap] {
        let mut line = Line::started(Concentrator { password: b"another", ..Concentrator::new(auth) });
        let refused = Failure::AuthenticationRefused("no such user".to_owned());
        assert_eq!((line.failures(), line.client.problem()), (vec![&refused], Some(&refused)));
        assert!(line.said().ends_with(&["7 LCP terminate 2", "PADT 7"]), "{:?}", line.sent);
        line.run(1_000_000);
        assert_eq!(line.failures().len(), 1, "told once");
        let dials = line.times_of("PADI");
        let waits: Vec<_> = dials.windows(2).map(|pair| (pair[1] - pair[0]) / 1_000).collect();
        for (wait, about) in waits.iter().zip([30, 60, 120, 240, 300]) {
            assert!((about * 3 / 4..=about * 5 / 4).contains(wait), "{waits:?}");
        }
        // Put right at the other end.
        if let Some(peer) = &mut line.peer {
            peer.password = b"secret1";
        }
        line.run(1_400_000);
        assert!(line.client.connection().is_some() && line.client.problem().is_none());
    }
}

#[test]
fn silence_is_asked_into_for_ever_and_told_once() {
    let mut line = Line::with(account(), None);
    line.start();
    line.run(3_600_000);
    assert_eq!(line.failures(), [&Failure::NoConcentrator]);
    assert!(line.events[0].0 < 11_000, "told soon: {:?}", line.events);
    let asked = line.times_of("PADI");
    let waits: Vec<_> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (number, wait) in waits.iter().enumerate() {
        let about = (1_000 << number.min(10)).min(60_000);
        assert!((about * 3 / 4..=about * 5 / 4).contains(wait), "wait {number}: {wait}");
    }
    assert!(asked.len() > 50, "{}", asked.len());
    line.peer = Some(Concentrator::new(Auth::Pap));
    line.run(3_700_000);
    assert!(line.client.connection().is_some());
}

#[test]
fn peer_that_answers_no_more_echoes_is_given_up_within_ten_seconds() {
    let mut line = Line::started(Concentrator::new(Auth::Chap));
    line.run(100_000);
    assert_eq!(line.times_of("7 LCP echo").len(), 50);
    line.peer.as_mut().unwrap().is_dead = true;
    line.run(112_000);
    assert_eq!(line.failures(), [&Failure::EchoSilence]);
    let at = line.events[1].0;
    assert!((108_000..=110_000).contains(&at), "{at}");
    assert_eq!(line.times_of("PADT 7"), [at]);
    assert_eq!(line.client.connection(), None);
    // Soon dialled again, and up as soon as there is somebody.
    let redial = *line.times_of("PADI").get(1).unwrap();
    assert!((750..=1_250).contains(&(redial - at)), "{redial}");
    line.peer = Some(Concentrator { session: 8, ..Concentrator::new(Auth::Chap) });
    line.run(120_000);
    assert_eq!(line.client.connection().map(|connection| connection.session.number()), Some(8));
}

#[test]
fn session_that_the_concentrator_ends_is_dialled_anew_and_nothing_more_said_in_it() {
    let mut line = Line::started(Concentrator::new(Auth::Pap));
    let before = line.sent.len();
    // Of another session, from somebody else, to somebody else: not ours.
    let mut to_other = padt(7, b"");
    to_other[5] = 9;
    let mut from_other = padt(7, b"");
    from_other[11] = 9;
    for frame in [padt(8, b""), from_other, to_other] {
        line.hear(&frame);
        assert!(line.client.connection().is_some());
    }
    line.hear(&padt(7, b"maintenance"));
    assert_eq!(line.failures(), [&Failure::SessionEnded("maintenance".to_owned())]);
    assert_eq!((line.sent.len(), line.client.connection()), (before, None));
    line.run(2_000);
    assert!(line.client.connection().is_some());
}

#[test]
fn link_that_the_peer_ends_is_acknowledged_and_dialled_anew() {
    let mut line = Line::started(Concentrator::new(Auth::Pap));
    line.hear(&session_frame(7, 0xc021, &[5, 3, 0, 7, b'b', b'y', b'e']));
    assert_eq!(line.failures(), [&Failure::LinkEnded("bye".to_owned())]);
    assert!(line.said().contains(&"7 LCP terminate-ack 3") && line.said().contains(&"PADT 7"));
    line.run(2_000);
    assert!(line.client.connection().is_some());
}

#[test]
fn sessions_that_fall_again_and_again_are_dialled_ever_more_slowly() {
    let mut line = Line::started(Concentrator::new(Auth::None));
    let mut waits = Vec::new();
    for _ in 0..9 {
        let ended_at = line.now.as_millis();
        line.hear(&padt(7, b""));
        line.run(ended_at + 75_500);
        let dialled = *line.times_of("PADI").last().unwrap();
        waits.push((dialled - ended_at) / 100);
        // As if it had come up only now.
        line.now = Timestamp::from_millis(dialled);
    }
    for (wait, about) in waits.iter().zip([10, 20, 40, 80, 160, 320, 600, 600]) {
        assert!((about * 3 / 4..=about * 5 / 4).contains(wait), "{waits:?}");
    }
}

#[test]
fn errors_of_the_concentrator_are_told_with_its_words() {
    let cases = [
        (0x0201, Failure::ServiceRefused("sorry".to_owned())),
        (0x0202, Failure::Concentrator("sorry".to_owned())),
        (0x0203, Failure::Concentrator("sorry".to_owned())),
    ];
    for (tag, failure) in cases {
        let mut line = Line::started(Concentrator { error: Some(tag), ..Concentrator::new(Auth::Pap) });
        assert_eq!(line.failures(), [&failure]);
        assert!(failure.explained().contains("sorry"));
        line.peer = Some(Concentrator::new(Auth::Pap));
        line.run(2_000);
        assert!(line.client.connection().is_some());
    }
}

#[test]
fn offers_that_come_to_nothing_are_given_up() {
    let mut line = Line::started(Concentrator { gives_no_session: true, ..Concentrator::new(Auth::Pap) });
    line.run(9_000);
    assert_eq!(line.times_of("PADR"), [0, 1_000, 3_000, line.times_of("PADI")[1]]);
    assert_eq!(line.failures(), [&Failure::NoSession]);
}

#[test]
fn silent_stages_are_given_up_and_named() {
    let mut line = Line::started(Concentrator { is_silent_in: Some(Stage::Link), ..Concentrator::new(Auth::Pap) });
    line.run(15_000);
    assert_eq!(line.times_of("7 LCP request"), [0, 3_000, 6_000, 9_000, 12_000]);
    assert_eq!(line.failures(), [&Failure::Silent(Stage::Link)]);
    for (auth, stage, silence) in [
        (Auth::Pap, Stage::Authentication, 15_000),
        (Auth::Chap, Stage::Authentication, 15_000),
        (Auth::Pap, Stage::Network, 15_000),
    ] {
        let mut line = Line::started(Concentrator { is_silent_in: Some(stage), ..Concentrator::new(auth) });
        line.run(silence);
        assert_eq!(line.failures(), [&Failure::Silent(stage)], "{auth:?}");
    }
}

#[test]
fn session_left_over_is_ended_once_a_second_at_most() {
    let mut line = Line::with(account(), None);
    line.start();
    let echo = session_frame(99, 0xc021, &[9, 1, 0, 8, 1, 2, 3, 4]);
    (0..5).for_each(|_| line.hear(&echo));
    assert_eq!(line.times_of("PADT 99"), [0]);
    line.run(1_500);
    line.hear(&echo);
    assert_eq!(line.times_of("PADT 99"), [0, 1_500]);
    // And while another is up, which it does no harm.
    line.peer = Some(Concentrator::new(Auth::Pap));
    line.run(5_000);
    line.hear(&echo);
    assert_eq!(line.times_of("PADT 99").len(), 3);
    assert!(line.client.connection().is_some());
}

#[test]
fn pulled_cable_forgets_the_session_and_a_plugged_one_ends_it_first() {
    let mut line = Line::started(Concentrator::new(Auth::Pap));
    line.client.stop();
    line.settle();
    assert_eq!((line.client.connection(), line.client.poll_timeout()), (None, None));
    let before = line.sent.len();
    line.hear(&session_frame(7, 0xc021, &[9, 1, 0, 8, 1, 2, 3, 4]));
    assert_eq!(line.sent.len(), before, "without a carrier nothing is said");
    line.now = Timestamp::from_millis(5_000);
    line.start();
    assert_eq!(line.said()[before..before + 2], ["PADT 7", "PADI service= to all"]);
    assert!(line.client.connection().is_some());
}

#[test]
fn released_session_is_ended_at_both_layers() {
    let mut line = Line::started(Concentrator::new(Auth::Pap));
    let before = line.sent.len();
    line.client.release();
    line.settle();
    assert_eq!(line.said()[before..], ["7 LCP terminate 2", "PADT 7"]);
    assert_eq!((line.client.connection(), line.client.poll_timeout()), (None, None));
}

#[test]
fn redialled_session_is_ended_at_both_layers_and_dialled_at_once() {
    let mut line = Line::started(Concentrator::new(Auth::Pap));
    line.peer = Some(Concentrator { session: 8, ..Concentrator::new(Auth::Pap) });
    let before = line.sent.len();
    line.client.redial_by_hand(line.now);
    assert_eq!(line.client.connection(), None);
    line.settle();
    assert_eq!(line.said()[before..before + 3], ["7 LCP terminate 2", "PADT 7", "PADI service= to all"]);
    assert_eq!(line.failures(), [&Failure::ByHand]);
    assert_eq!(line.client.connection().map(|connection| connection.session.number()), Some(8));
}

#[test]
fn redial_by_hand_does_not_wait_as_long_as_a_refused_password() {
    let mut line = Line::started(Concentrator { password: b"another", ..Concentrator::new(Auth::Pap) });
    line.run(5_000);
    assert_eq!(line.times_of("PADI").len(), 1);
    line.peer = Some(Concentrator::new(Auth::Pap));
    line.client.redial_by_hand(line.now);
    line.settle();
    assert_eq!(line.times_of("PADI"), [0, 5_000]);
    assert!(line.client.connection().is_some() && line.client.problem().is_none());
    line.client.stop();
    line.client.redial_by_hand(line.now);
    assert_eq!((line.client.poll_transmit(), line.client.poll_timeout()), (None, None), "without a carrier");
}

#[test]
fn address_in_the_lan_is_refused_until_the_lan_moves() {
    let lan = "10.99.0.0/24".parse().unwrap();
    let mut line = Line::with(account(), Some(Concentrator::new(Auth::Pap)));
    line.client.handle_lan_networks(line.now, &[lan]);
    line.start();
    let failure = Failure::OverlapsLan { address: Ipv4Addr::new(10, 99, 0, 2), lan };
    assert_eq!(line.client.problem(), Some(&failure));
    assert!(failure.explained().contains("give the LAN another network"));
    line.client.handle_lan_networks(line.now, &["192.168.10.0/24".parse().unwrap()]);
    line.settle();
    assert!(line.client.connection().is_some());
    // And the other way round.
    line.client.handle_lan_networks(line.now, &[lan]);
    line.settle();
    assert_eq!((line.failures().len(), line.client.connection()), (2, None));
}

#[test]
fn address_that_no_host_has_is_refused() {
    for address in [Ipv4Addr::UNSPECIFIED, Ipv4Addr::new(224, 0, 0, 1), Ipv4Addr::LOCALHOST] {
        let mut line = Line::started(Concentrator { address, ..Concentrator::new(Auth::Pap) });
        line.run(20_000);
        assert_eq!(line.client.connection(), None);
        assert!(!line.failures().is_empty(), "{address}");
    }
}

#[test]
fn link_that_the_peer_begins_anew_comes_up_in_the_same_session() {
    let mut line = Line::started(Concentrator::new(Auth::Chap));
    let request = line.peer.as_mut().unwrap().link_request(40);
    line.hear(&request);
    assert_eq!(line.failures(), [&Failure::Renegotiated]);
    assert_eq!(line.events.len(), 3, "{:?}", line.events);
    assert!(line.client.connection().is_some());
    assert_eq!(line.times_of("PADI").len(), 1);
    // The same request once more is one whose answer was lost.
    line.hear(&request);
    assert_eq!((line.events.len(), line.said().last()), (3, Some(&"7 LCP ack 40: mru=1492 auth=chap magic")));
}

#[test]
fn unknown_protocols_and_codes_are_refused() {
    let mut line = Line::started(Concentrator::new(Auth::Pap));
    line.hear(&session_frame(7, 0x8057, &[1, 1, 0, 4]));
    line.hear(&session_frame(7, 0xc021, &[14, 1, 0, 4]));
    line.hear(&session_frame(7, 0xc021, &[9, 5, 0, 9, 1, 2, 3, 4, 77]));
    let last: Vec<_> = line.said().into_iter().rev().take(3).collect();
    assert_eq!(last, ["7 LCP echo-reply 5", "7 LCP code-reject 3", "7 LCP protocol-reject 2"]);
    // A peer that has no IPCP is no use; one without echoes is.
    line.hear(&session_frame(7, 0xc021, &[7, 1, 0, 8, 9, 1, 0, 4]));
    line.peer.as_mut().unwrap().is_dead = true;
    line.run(60_000);
    assert!(line.client.connection().is_some());
    line.hear(&session_frame(7, 0xc021, &[8, 1, 0, 6, 0x80, 0x21]));
    assert_eq!(line.failures(), [&Failure::Disagreement(Stage::Network)]);
}

#[test]
fn session_that_comes_to_nothing_is_given_up_and_dialled_anew() {
    let mut line = Line::started(Concentrator::new(Auth::Chap));
    // Somebody begins the link anew without authentication, and the peer, who did not, agrees to all and asks for nothing.
    line.hear(&session_frame(7, 0xc021, &[1, 0, 0, 4]));
    assert_eq!(line.failures(), [&Failure::Renegotiated]);
    line.run(line.now.as_millis() + 50_000);
    assert_eq!(line.client.connection(), None);
    line.run(line.now.as_millis() + 30_000);
    assert!(line.client.connection().is_some(), "{:?}", line.failures());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever a peer says, and when: no panic, no spinning, bounded answers, and a connection is a sound one.
    #[test]
    fn peer_can_say_anything(
        steps in proptest::collection::vec((0..6_u8, any::<u16>(), proptest::collection::vec(any::<u8>(), 0..24)), 0..60),
    ) {
        let mut line = Line::with(account(), Some(Concentrator::new(Auth::Chap)));
        line.start();
        for (what, number, bytes) in steps {
            let protocol = [0xc021, 0xc023, 0xc223, 0x8021][usize::from(number % 4)];
            let frame = match what {
                0 | 1 => session_frame(7, protocol, &[&bytes[..bytes.len().min(2)], &[0, 4 + number.to_be_bytes()[0] % 16], &bytes].concat()),
                2 => session_frame(number, protocol, &bytes),
                3 => [&OURS.0[..], &THEIRS.0, &[0x88, 0x63], &bytes].concat(),
                4 => padt(number % 9, &bytes),
                _ => {
                    line.run(line.now.as_millis() + u64::from(number));
                    continue;
                }
            };
            let before = line.sent.len();
            line.hear(&frame);
            prop_assert!(line.sent.len() - before < 64, "{:?}", &line.sent[before..]);
            if let Some(connection) = line.client.connection() {
                prop_assert!(!connection.address.is_unspecified() && connection.mtu >= 576);
                prop_assert_eq!(line.client.problem(), None);
            }
        }
        let quiet = Duration::from_secs(600);
        line.run(line.now.as_millis() + quiet.as_millis() as u64);
        prop_assert!(line.client.connection().is_some(), "it dials for ever: {:?}", line.events.last());
    }
}

#[test]
fn frames_to_others_and_broken_ones_are_ignored() {
    let mut line = Line::with(account(), None);
    line.start();
    let before = line.sent.len();
    let echo = session_frame(99, 0xc021, &[9, 1, 0, 8, 1, 2, 3, 4]);
    for end in 0..24 {
        line.hear(&echo[..end]);
    }
    let mut broadcast = echo.clone();
    broadcast[..6].copy_from_slice(&MacAddress::BROADCAST.0);
    let mut group = echo.clone();
    group[6] |= 1;
    let mut own = echo.clone();
    own[6..12].copy_from_slice(&OURS.0);
    for frame in [broadcast, group, own] {
        line.hear(&frame);
    }
    assert_eq!(line.sent.len(), before);
}
