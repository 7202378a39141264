//! Concentrators that say anything at any time: the client never panics or spins, what it says is sound, and a connection
//! is one.
//!
//! Input: steps of a byte that says what happens, a byte of length and so many bytes. What a concentrator says is wrapped
//! into frames with the client's mark and session, so that the fuzzer need not guess those; bare frames come as well.

#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use potato::flow::Timestamp;
use potato::link::pppoe::{Account, Client, Discovery, Options, Packet, Secret};
use potato::wire::MacAddress;

const OURS: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
const THEIRS: MacAddress = MacAddress([2, 0, 0, 0, 0, 2]);
const SESSION: [u8; 2] = [0, 7];
const PROTOCOLS: [u16; 6] = [0xc021, 0xc023, 0xc223, 0x8021, 0x8057, 0x0021];
const LONGEST_STEP: Duration = Duration::from_secs(2_000);

struct Line {
    client: Client,
    now: Timestamp,
    host_uniq: Vec<u8>,
    /// Identifier and options of the last Configure-Request of LCP and of IPCP.
    asked: [Vec<u8>; 2],
}

impl Line {
    fn collect(&mut self) {
        let mut frames = 0;
        while let Some(frame) = self.client.poll_transmit() {
            frames += 1;
            assert!(frames <= 32 && frame.len() <= 1_514, "too much is said");
            assert_eq!(frame[6..12], OURS.0);
            if frame[12..14] == [0x88, 0x63] {
                let packet = Discovery::parse(&frame[14..]).expect("what it sends is sound");
                if let Some((_, mark)) = packet.tags().find(|(kind, _)| *kind == 0x0103) {
                    self.host_uniq = mark.to_vec();
                }
            } else {
                let packet = Packet::parse(&frame[22..]).expect("what it sends is sound");
                match (u16::from_be_bytes([frame[20], frame[21]]), packet.code) {
                    (0xc021, 1) => self.asked[0] = [&[packet.identifier], packet.data].concat(),
                    (0x8021, 1) => self.asked[1] = [&[packet.identifier], packet.data].concat(),
                    _ => {}
                }
            }
        }
        while let Some(event) = self.client.poll_event() {
            assert!(!format!("{event:?}").contains("hunter2"));
        }
    }

    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(due) = self.client.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.client.handle_timeout(self.now);
            self.collect();
            assert!(self.client.poll_timeout().is_none_or(|next| next > self.now), "a timeout that stays due");
        }
        self.now = end;
    }

    fn hear_discovery(&mut self, code: u8, tags: &[u8]) {
        let mark = [&[1, 3, 0, self.host_uniq.len() as u8][..], &self.host_uniq].concat();
        let length = ((mark.len() + tags.len()) as u16).to_be_bytes();
        let session = if matches!(code, 0x65 | 0xa7) { SESSION } else { [0, 0] };
        let header = [&[0x88, 0x63, 0x11, code], &session[..], &length].concat();
        self.hear(&[&OURS.0[..], &THEIRS.0, &header, &mark, tags].concat());
    }

    fn hear_session(&mut self, protocol: u16, information: &[u8]) {
        let length = (information.len() as u16 + 2).to_be_bytes();
        let header = [&[0x88, 0x64, 0x11, 0], &SESSION[..], &length, &protocol.to_be_bytes()].concat();
        self.hear(&[&OURS.0[..], &THEIRS.0, &header, information].concat());
    }

    fn hear(&mut self, frame: &[u8]) {
        self.client.handle_packet(self.now, frame);
    }

    /// Agrees to what was last asked for.
    fn agree(&mut self, which: usize) {
        let Some((&identifier, options)) = self.asked[which].split_first() else { return };
        let packet = Packet { code: 2, identifier, data: options }.to_bytes();
        self.hear_session([0xc021, 0x8021][which], &packet);
    }
}

fuzz_target!(|data: &[u8]| {
    let account = Account {
        username: "me".to_owned(),
        password: Secret::new(b"hunter2".to_vec()),
        service: String::new(),
        concentrator: None,
    };
    let mut line = Line {
        client: Client::new([1; 32], account),
        now: Timestamp::from_millis(1_000),
        host_uniq: Vec::new(),
        asked: [Vec::new(), Vec::new()],
    };
    let lan = "100.64.3.0/24".parse().expect("a network");
    line.client.handle_lan_networks(line.now, &[lan]);
    line.client.handle_interface_mtu(1_508);
    line.client.start(line.now, OURS);
    line.collect();
    let mut rest = data;
    for _ in 0..200 {
        let [what, length, after @ ..] = rest else { break };
        let (bytes, after) = after.split_at(after.len().min(usize::from(*length)));
        rest = after;
        match what % 10 {
            0 => line.hear_discovery([0x07, 0x65, 0xa7, 0x09][usize::from(what >> 6)], bytes),
            1..=3 => line.hear_session(PROTOCOLS[usize::from(what / 10) % PROTOCOLS.len()], bytes),
            4 => line.agree(usize::from(what >> 7)),
            5 => {
                let number = bytes.iter().take(4).fold(0, |number, byte| number << 8 | u64::from(*byte));
                line.pass(Duration::from_millis(number).min(LONGEST_STEP));
            }
            6 => line.hear(bytes),
            7 => {
                let _ = Discovery::parse(bytes).map(|packet| packet.tags().count());
                let _ = Packet::parse(bytes).and_then(|packet| Options::parse(packet.data)).map(Iterator::count);
            }
            8 if what >> 4 == 0 => line.client.release(),
            8 if what >> 4 == 1 => line.client.stop(),
            _ => line.client.start(line.now, OURS),
        }
        line.collect();
        if let Some(connection) = line.client.connection() {
            let address = connection.address;
            assert!(!address.is_unspecified() && !address.is_multicast() && address.octets()[..3] != [100, 64, 3]);
            assert!((576..=1_500).contains(&connection.mtu) && line.client.problem().is_none());
        }
    }
});
