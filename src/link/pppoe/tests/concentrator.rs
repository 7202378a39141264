//! A concentrator for the scenarios, and what it reads in a client's frames.

use std::net::Ipv4Addr;

use md5::{Digest, Md5};

use crate::link::pppoe::event::Stage;
use crate::wire::MacAddress;

pub(super) const OURS: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
pub(super) const THEIRS: MacAddress = MacAddress([2, 0, 0, 0, 0, 2]);
pub(super) const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);

/// How a client has to prove who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Auth {
    None,
    Pap,
    Chap,
}

/// Answers like one of flesh and blood, and at once.
#[derive(Clone, Debug)]
pub(super) struct Concentrator {
    pub(super) auth: Auth,
    pub(super) session: u16,
    pub(super) password: &'static [u8],
    pub(super) address: Ipv4Addr,
    pub(super) knows_max_payload: bool,
    /// Tag of the error that it answers a PADR with.
    pub(super) error: Option<u16>,
    pub(super) gives_no_session: bool,
    pub(super) is_silent_in: Option<Stage>,
    /// It says nothing at all.
    pub(super) is_dead: bool,
    /// What each side has agreed to.
    pub(super) we_agreed: bool,
    pub(super) they_agreed: bool,
}

impl Concentrator {
    pub(super) fn new(auth: Auth) -> Self {
        Self {
            auth,
            session: 7,
            password: b"secret1",
            address: Ipv4Addr::new(10, 99, 0, 2),
            knows_max_payload: false,
            error: None,
            gives_no_session: false,
            is_silent_in: None,
            is_dead: false,
            we_agreed: false,
            they_agreed: false,
        }
    }

    /// Its own Configure-Request for the link.
    pub(super) fn link_request(&mut self, identifier: u8) -> Vec<u8> {
        (self.we_agreed, self.they_agreed) = (false, false);
        let auth: &[u8] = match self.auth {
            Auth::None => &[],
            Auth::Pap => &[3, 4, 0xc0, 0x23],
            Auth::Chap => &[3, 5, 0xc2, 0x23, 5],
        };
        let unit = if self.knows_max_payload { 220 } else { 212 };
        self.ppp(0xc021, 1, identifier, &[&[1, 4, 5, unit], auth, &[5, 6, 1, 2, 3, 4]].concat())
    }

    fn ppp(&self, protocol: u16, code: u8, identifier: u8, data: &[u8]) -> Vec<u8> {
        let length = u16::try_from(data.len() + 4).unwrap().to_be_bytes();
        session_frame(self.session, protocol, &[&[code, identifier], &length[..], data].concat())
    }

    pub(super) fn answers(&mut self, frame: &[u8]) -> Vec<Vec<u8>> {
        if self.is_dead {
            return Vec::new();
        }
        if frame[13] == 0x63 {
            return self.discovery(frame[15], &tags(frame));
        }
        let (protocol, packet) = (u16::from_be_bytes([frame[20], frame[21]]), &frame[22..]);
        if u16::from_be_bytes([frame[16], frame[17]]) != self.session {
            return Vec::new();
        }
        let (code, identifier, data) = (packet[0], packet[1], &packet[4..]);
        match protocol {
            0xc021 => self.link(code, identifier, data),
            0xc023 | 0xc223 if self.is_silent_in != Some(Stage::Authentication) => {
                self.authentication(protocol, identifier, data)
            }
            0x8021 if self.is_silent_in != Some(Stage::Network) => self.network(code, identifier, data),
            _ => Vec::new(),
        }
    }

    fn discovery(&self, code: u8, asked: &[(u16, Vec<u8>)]) -> Vec<Vec<u8>> {
        let echoed = asked
            .iter()
            .filter(|(kind, _)| [0x0103, 0x0110].contains(kind) || (*kind == 0x0120 && self.knows_max_payload));
        let mut answer: Vec<(u16, Vec<u8>)> = echoed.cloned().collect();
        answer.push((0x0101, b"internet".to_vec()));
        match code {
            0x09 => {
                answer.extend([(0x0102, b"lab".to_vec()), (0x0104, b"secret".to_vec()), (0x0110, b"r1".to_vec())]);
                vec![discovery_frame(0x07, 0, &answer)]
            }
            0x19 if self.gives_no_session => Vec::new(),
            0x19 => match self.error {
                Some(error) => {
                    answer.push((error, b"sorry".to_vec()));
                    vec![discovery_frame(0x65, 0, &answer)]
                }
                None => {
                    let mut peer = self.clone();
                    let mut frames = vec![discovery_frame(0x65, self.session, &answer)];
                    if self.is_silent_in != Some(Stage::Link) {
                        frames.push(peer.link_request(1));
                    }
                    frames
                }
            },
            _ => Vec::new(),
        }
    }

    fn link(&mut self, code: u8, identifier: u8, data: &[u8]) -> Vec<Vec<u8>> {
        if self.is_silent_in == Some(Stage::Link) {
            return Vec::new();
        }
        match code {
            1 => {
                self.we_agreed = true;
                [vec![self.ppp(0xc021, 2, identifier, data)], self.after_link()].concat()
            }
            2 => {
                self.they_agreed = true;
                self.after_link()
            }
            9 => vec![self.ppp(0xc021, 10, identifier, &[1, 2, 3, 4])],
            _ => Vec::new(),
        }
    }

    fn after_link(&mut self) -> Vec<Vec<u8>> {
        if !(self.we_agreed && self.they_agreed) {
            return Vec::new();
        }
        (self.we_agreed, self.they_agreed) = (false, false);
        match self.auth {
            Auth::None => vec![self.network_request()],
            Auth::Chap if self.is_silent_in != Some(Stage::Authentication) => {
                vec![self.ppp(0xc223, 1, 9, b"\x04abcdlab")]
            }
            Auth::Pap | Auth::Chap => Vec::new(),
        }
    }

    fn authentication(&self, protocol: u16, identifier: u8, data: &[u8]) -> Vec<Vec<u8>> {
        let is_right = match protocol {
            0xc023 => {
                data == [&b"\x07potato1"[..], &[u8::try_from(self.password.len()).unwrap()], self.password].concat()
            }
            _ => data[1..17] == *Md5::digest([&[9], self.password, b"abcd"].concat()),
        };
        let (good, bad) = if protocol == 0xc023 { (2, 3) } else { (3, 4) };
        match (is_right, protocol) {
            (true, 0xc023) => vec![self.ppp(protocol, good, identifier, b"\x02hi"), self.network_request()],
            (true, _) => vec![self.ppp(protocol, good, identifier, b"hi"), self.network_request()],
            (false, 0xc023) => vec![self.ppp(protocol, bad, identifier, b"\x0cno such user")],
            (false, _) => vec![self.ppp(protocol, bad, identifier, b"no such user")],
        }
    }

    fn network_request(&self) -> Vec<u8> {
        if self.is_silent_in == Some(Stage::Network) {
            return self.ppp(0xc021, 11, 1, &[]);
        }
        self.ppp(0x8021, 1, 1, &[&[3, 6], &GATEWAY.octets()[..]].concat())
    }

    fn network(&self, code: u8, identifier: u8, data: &[u8]) -> Vec<Vec<u8>> {
        let wish = [&[3, 6], &self.address.octets()[..]].concat();
        match code {
            1 if data.starts_with(&wish) => vec![self.ppp(0x8021, 2, identifier, data)],
            1 => vec![self.ppp(0x8021, 3, identifier, &[&wish[..], &[129, 6, 192, 0, 2, 53]].concat())],
            _ => Vec::new(),
        }
    }
}

pub(super) fn session_frame(session: u16, protocol: u16, information: &[u8]) -> Vec<u8> {
    let length = u16::try_from(information.len() + 2).unwrap().to_be_bytes();
    let header = [&[0x88, 0x64, 0x11, 0], &session.to_be_bytes()[..], &length, &protocol.to_be_bytes()].concat();
    [&OURS.0[..], &THEIRS.0, &header, information].concat()
}

pub(super) fn discovery_frame(code: u8, session: u16, tags: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (kind, value) in tags {
        body.extend(kind.to_be_bytes());
        body.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        body.extend(value);
    }
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    let header = [&[0x88, 0x63, 0x11, code], &session.to_be_bytes()[..], &length].concat();
    [&OURS.0[..], &THEIRS.0, &header, &body].concat()
}

/// The end of a session, with these words.
pub(super) fn padt(session: u16, words: &[u8]) -> Vec<u8> {
    discovery_frame(0xa7, session, &[(0x0203, words.to_vec())])
}

fn tags(frame: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let length = usize::from(u16::from_be_bytes([frame[18], frame[19]]));
    assert_eq!(frame.len(), 20 + length, "the length is the packet's");
    let (mut rest, mut found) = (&frame[20..], Vec::new());
    while let [a, b, c, d, after @ ..] = rest {
        let (value, after) = after.split_at(u16::from_be_bytes([*c, *d]).into());
        found.push((u16::from_be_bytes([*a, *b]), value.to_vec()));
        rest = after;
    }
    found
}

/// A client's frame in words.
pub(super) fn described(frame: &[u8]) -> String {
    assert_eq!(frame[6..12], OURS.0);
    assert_eq!(frame[12], 0x88);
    if frame[13] == 0x63 {
        return described_discovery(frame);
    }
    let session = u16::from_be_bytes([frame[16], frame[17]]);
    assert_eq!((&frame[14..16], &frame[..6]), (&[0x11, 0][..], &THEIRS.0[..]));
    assert_eq!(frame.len(), 20 + usize::from(u16::from_be_bytes([frame[18], frame[19]])));
    let (protocol, packet) = (u16::from_be_bytes([frame[20], frame[21]]), &frame[22..]);
    assert_eq!(packet.len(), usize::from(u16::from_be_bytes([packet[2], packet[3]])));
    let name = match protocol {
        0xc021 => "LCP",
        0xc023 => "PAP",
        0xc223 => "CHAP",
        0x8021 => "IPCP",
        other => panic!("protocol {other:#x}"),
    };
    format!("{session} {name} {}", described_packet(protocol, packet[0], packet[1], &packet[4..]))
}

fn described_discovery(frame: &[u8]) -> String {
    let mut text = match frame[15] {
        0x09 => "PADI".to_owned(),
        0x19 => "PADR".to_owned(),
        0xa7 => return format!("PADT {}", u16::from_be_bytes([frame[16], frame[17]])),
        other => panic!("code {other:#x}"),
    };
    for (kind, value) in tags(frame) {
        let value = || String::from_utf8(value.clone()).unwrap();
        match kind {
            0x0101 => text += &format!(" service={}", value()),
            0x0103 => {}
            0x0104 => text += &format!(" cookie={}", value()),
            0x0110 => text += &format!(" relay={}", value()),
            0x0120 => text += " max=1500",
            other => panic!("tag {other:#x}"),
        }
    }
    if frame[..6] == MacAddress::BROADCAST.0 { text + " to all" } else { text }
}

fn described_packet(protocol: u16, code: u8, identifier: u8, data: &[u8]) -> String {
    match (protocol, code) {
        (0xc223, 2) => format!("response {identifier}"),
        (0xc023, 1) => {
            let (user, rest) = data[1..].split_at(data[0].into());
            format!("request {identifier}: {} {}", String::from_utf8_lossy(user), String::from_utf8_lossy(&rest[1..]))
        }
        (_, 1..=4) => {
            let what = ["request", "ack", "nak", "reject"][usize::from(code) - 1];
            format!("{what} {identifier}:{}", described_options(protocol, data))
        }
        (_, 5) => format!("terminate {identifier}"),
        (_, 6) => format!("terminate-ack {identifier}"),
        (_, 7) => format!("code-reject {identifier}"),
        (0xc021, 8) => format!("protocol-reject {identifier}"),
        (0xc021, 9) => format!("echo {identifier}"),
        (0xc021, 10) => format!("echo-reply {identifier}"),
        other => panic!("{other:?}"),
    }
}

fn described_options(protocol: u16, mut data: &[u8]) -> String {
    let mut text = String::new();
    while let [kind, length, ..] = *data {
        let value = &data[2..length.into()];
        let address = || Ipv4Addr::from(<[u8; 4]>::try_from(value).unwrap());
        text += &match (protocol, kind, value) {
            (0xc021, 1, &[high, low]) => format!(" mru={}", u16::from_be_bytes([high, low])),
            (0xc021, 3, [0xc0, 0x23]) => " auth=pap".to_owned(),
            (0xc021, 3, [0xc2, 0x23, 5]) => " auth=chap".to_owned(),
            (0xc021, 5, [_, _, _, _]) => " magic".to_owned(),
            (0x8021, 3, [_, _, _, _]) => format!(" address={}", address()),
            (0x8021, 129, [_, _, _, _]) => format!(" dns={}", address()),
            (0x8021, 131, [_, _, _, _]) => format!(" dns2={}", address()),
            (_, kind, _) => format!(" option{kind}"),
        };
        data = &data[length.into()..];
    }
    text
}
