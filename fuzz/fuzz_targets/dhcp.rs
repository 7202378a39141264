//! Servers that say anything at any time: the client never panics or spins, and a lease in use is a sound one.
//!
//! Input: steps of a byte that says what happens, a byte of length and so many bytes. Options are wrapped into a reply to
//! the last question, so that the fuzzer need not guess transactions; packets and messages as they are come as well.

#![no_main]

use std::net::Ipv4Addr;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use potato::flow::Timestamp;
use potato::link::dhcp::{Client, Reply, message_of};
use potato::wire::{Checksum, MacAddress};

const OURS: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
const THEIRS: MacAddress = MacAddress([2, 0, 0, 0, 0, 2]);
/// Where a message starts in a frame of ours, and the transaction in a message.
const MESSAGE: usize = 14 + 20 + 8;
const LONGEST_STEP: Duration = Duration::from_secs(2_000);

struct Line {
    client: Client,
    now: Timestamp,
    transaction: [u8; 4],
    probed: Vec<Ipv4Addr>,
}

impl Line {
    fn collect(&mut self) {
        while let Some(frame) = self.client.poll_transmit() {
            assert_eq!(frame[6..12], OURS.0);
            if frame[12..14] == [8, 6] {
                self.probed.push(Ipv4Addr::new(frame[38], frame[39], frame[40], frame[41]));
            } else {
                self.transaction.copy_from_slice(&frame[MESSAGE + 4..MESSAGE + 8]);
            }
        }
        while self.client.poll_event().is_some() {}
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

    /// A reply to the last question about one of a few addresses, with these options.
    fn reply(&self, address: u8, options: &[u8]) -> Vec<u8> {
        let mut message = vec![0; 240];
        message[..3].copy_from_slice(&[2, 1, 6]);
        message[4..8].copy_from_slice(&self.transaction);
        message[16..20].copy_from_slice(&[100, 64, address, 9]);
        message[28..34].copy_from_slice(&OURS.0);
        message[236..240].copy_from_slice(&[99, 130, 83, 99]);
        message.extend_from_slice(options);
        message
    }
}

fuzz_target!(|data: &[u8]| {
    let lan = "100.64.3.0/24".parse().expect("a network");
    let mut line = Line {
        client: Client::new([1; 32], None),
        now: Timestamp::from_millis(1_000),
        transaction: [0; 4],
        probed: Vec::new(),
    };
    line.client.handle_lan_networks(line.now, &[lan]);
    line.client.start(line.now, OURS);
    line.collect();
    let mut rest = data;
    for _ in 0..200 {
        let [what, length, after @ ..] = rest else { break };
        let (bytes, after) = after.split_at(after.len().min(usize::from(*length)));
        rest = after;
        match what % 8 {
            0..=2 => {
                let reply = line.reply(what >> 6, bytes);
                line.client.handle_packet(line.now, THEIRS, &reply);
            }
            3 => {
                let number = bytes.iter().take(4).fold(0, |number, byte| number << 8 | u64::from(*byte));
                line.pass(Duration::from_millis(number).min(LONGEST_STEP));
            }
            4 => line.client.handle_arp(line.now, bytes),
            5 => {
                if let Some(message) = message_of(bytes, Checksum::Verified) {
                    line.client.handle_packet(line.now, THEIRS, message);
                }
            }
            6 => drop(Reply::parse(bytes, OURS)),
            _ if what >> 3 == 0 => line.client.release(),
            _ if what >> 3 == 1 => line.client.stop(),
            _ => line.client.start(line.now, OURS),
        }
        line.collect();
        if let Some(lease) = line.client.lease() {
            assert!(line.probed.contains(&lease.address()), "in use without a probe");
            assert!(!lan_contains(lease.address()) && lease.gateway != lease.address());
            assert!(line.client.lease_end().is_none_or(|end| end >= line.now), "over, and still in use");
        }
    }
});

fn lan_contains(address: Ipv4Addr) -> bool {
    address.octets()[..3] == [100, 64, 3]
}
