//! Far ends that say anything at any time: a watched line never panics or spins, and asks from its own address only.
//!
//! Input: steps of a byte that says what happens, a byte of length and so many bytes. Bytes are put behind an IPv4 header
//! from a target and, for TCP, UDP and ICMP, to the port that was asked from last; packets as they are come as well.

#![no_main]

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use potato::flow::Timestamp;
use potato::link::health::{
    Capacity, Health, Peers, Probe, Settings, Traffic, Vicinity, Wanted, dns_answer, is_http_status,
};
use potato::nat::ports::PROBE_PORTS;
use potato::wire::ipv4::NewHeader;

const OURS: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 2);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 1);
const FAR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 53);
const LONGEST_STEP: Duration = Duration::from_secs(20);

struct Line {
    health: Health,
    now: Timestamp,
    /// The last packet sent by each protocol.
    sent: [Vec<u8>; 3],
    traffic: Traffic,
}

impl Line {
    fn collect(&mut self) {
        while let Some(packet) = self.health.poll_transmit() {
            assert_eq!(packet[12..16], OURS.octets(), "from the line's own address");
            let kind = match packet[9] {
                1 => 0,
                6 => 1,
                17 => 2,
                other => panic!("protocol {other}"),
            };
            let at = if kind == 0 { 24 } else { 20 };
            let port = u16::from_be_bytes([packet[at], packet[at + 1]]);
            // What says that nobody is there (an ICMP error, an RST) speaks of the port that it was sent to.
            let is_question = [packet[20] == 8, packet.get(33).is_some_and(|flags| flags & 4 == 0), true][kind];
            assert!(PROBE_PORTS.contains(&port) || !is_question, "by port {port}");
            self.sent[kind] = packet;
        }
        while self.health.poll_event().is_some() {}
    }

    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(due) = self.health.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.health.handle_traffic(self.now, self.traffic);
            self.health.handle_timeout(self.now);
            self.collect();
            assert!(self.health.poll_timeout().is_none_or(|next| next > self.now), "a timeout that stays due");
        }
        self.now = end;
    }

    /// A packet from the host and port that was asked last by a protocol, with the ports in place and these bytes behind.
    fn answer(&self, kind: usize, bytes: &[u8]) -> Vec<u8> {
        let asked = &self.sent[kind];
        let mut payload = bytes.to_vec();
        if let (Some(ports), Some(place)) = (asked.get(20..24), payload.get_mut(..4)) {
            if kind > 0 {
                place.copy_from_slice(&[ports[2], ports[3], ports[0], ports[1]]);
            }
        }
        let mut packet = vec![0; 20];
        packet.extend_from_slice(&payload);
        let source = asked.get(16..20).map_or(FAR, |to| Ipv4Addr::new(to[0], to[1], to[2], to[3]));
        NewHeader {
            total_length: packet.len() as u16,
            identification: 1,
            flags_and_offset: 0,
            ttl: 60,
            protocol: [1, 6, 17][kind],
            source,
            destination: OURS,
        }
        .write(&mut packet);
        packet
    }
}

fuzz_target!(|data: &[u8]| {
    let _ = (dns_answer(data), is_http_status(data));
    let at = |port| SocketAddrV4::new(FAR, port);
    let probes = [Probe::Ping(FAR), Probe::Connect(at(443)), Probe::Resolve(at(53)), Probe::Fetch(at(80))];
    let wanted = [Wanted::Gateway].into_iter().chain(probes.map(Wanted::Host)).collect();
    let settings = Settings { targets: Some(wanted), ..Settings::default() };
    let mut line = Line {
        health: Health::new(settings.into(), Capacity::default(), [1; 32]),
        now: Timestamp::from_millis(1_000),
        sent: [const { Vec::new() }; 3],
        traffic: Traffic::default(),
    };
    let vicinity = Vicinity { address: OURS, gateway: GATEWAY, name_servers: Vec::new() };
    line.health.handle_vicinity(line.now, Some(vicinity.clone()));
    let mut rest = data;
    for _ in 0..200 {
        let [what, length, after @ ..] = rest else { break };
        let (bytes, after) = after.split_at(after.len().min(usize::from(*length)));
        rest = after;
        let number = bytes.iter().take(3).fold(0, |number, byte| number << 8 | u64::from(*byte));
        match what % 8 {
            kind @ 0..=2 => {
                let packet = line.answer(usize::from(kind), bytes);
                line.health.handle_packet(line.now, &packet);
            }
            3 => line.pass(Duration::from_millis(number).min(LONGEST_STEP)),
            4 => line.health.handle_packet(line.now, bytes),
            5 => line.health.handle_gateway(line.now),
            6 => {
                line.traffic.connections_tried += number & 15;
                line.traffic.connections_answered += number >> 4 & 15;
                line.traffic.packets_in += number >> 8;
                line.health.handle_peers(if number & 1 == 0 { Peers::Answer } else { Peers::Silent });
            }
            _ => line.health.handle_vicinity(line.now, (number & 1 == 0).then(|| vicinity.clone())),
        }
        line.collect();
        let _ = line.health.status(line.now);
    }
});
