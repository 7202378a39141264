//! Scenarios: what hosts on both sides see, with simulated time.

mod accounts;
mod bulky;
mod failover;
mod forwards;
mod hostile;
mod icmp;
mod nat;
mod probes;
mod repeated;
mod reserve;
mod restart;
mod session;
mod short_queues;
mod shortcut;
mod sites;
mod transfers;

use std::net::Ipv4Addr;
use std::num::NonZeroU32;
use std::time::Duration;

use etherparse::PacketBuilder;

use super::*;
use crate::flow::Timestamp;
use crate::placement::{
    AddressOwner, Availability, DhcpAnswers, Lan, LanId, LanLink, NextHop, Snapshot, Uplink, UplinkId,
};
use crate::wire::{Ipv4, MacAddress, PacketBuffer, Tcp, Udp, VnetHeader};

const HOST_A: Ipv4Addr = Ipv4Addr::new(192, 168, 10, 20);
const HOST_B: Ipv4Addr = Ipv4Addr::new(192, 168, 10, 21);
const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 168, 10, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
const OTHER_SERVER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
const LAN: LanId = LanId(1);
const MAC_A: MacAddress = MacAddress([2, 0, 0, 0, 0, 20]);

const SYN: u8 = 0x02;
const SYN_ACK: u8 = 0x12;
const ACK: u8 = 0x10;

/// What left the router.
#[derive(Debug)]
struct Sent {
    egress: Egress,
    packet: Vec<u8>,
    link: Vec<u8>,
    vnet: VnetHeader,
}

impl Sent {
    fn ip(&self) -> Ipv4 {
        Ipv4::parse(&self.packet).expect("the router sends sound headers")
    }

    /// Source and destination port, or ICMP identifier twice.
    fn ports(&self) -> (u16, u16) {
        let ip = self.ip();
        let transport = &self.packet[ip.header_length..];
        match ip.protocol {
            6 => Tcp::parse(transport).map(|tcp| (tcp.source_port, tcp.destination_port)).unwrap(),
            17 => Udp::parse(transport, true).map(|udp| (udp.source_port, udp.destination_port)).unwrap(),
            _ => {
                let identifier = u16::from_be_bytes([transport[4], transport[5]]);
                (identifier, identifier)
            }
        }
    }

    fn uplink(&self) -> UplinkId {
        match self.egress {
            Egress::Uplink(uplink) => uplink,
            Egress::Lan(_) => panic!("sent to a LAN: {self:?}"),
        }
    }

    fn assert_checksums(&self) {
        let sliced = etherparse::SlicedPacket::from_ip(&self.packet).expect("an independent parser reads it");
        let Some(etherparse::NetSlice::Ipv4(ip)) = &sliced.net else { panic!("not IPv4") };
        let header = ip.header().to_header();
        match &sliced.transport {
            Some(etherparse::TransportSlice::Udp(udp)) => {
                assert_eq!(udp.checksum(), udp.to_header().calc_checksum_ipv4(&header, udp.payload()).unwrap());
            }
            Some(etherparse::TransportSlice::Tcp(tcp)) => {
                assert_eq!(tcp.checksum(), tcp.to_header().calc_checksum_ipv4(&header, tcp.payload()).unwrap());
            }
            Some(etherparse::TransportSlice::Icmpv4(icmp)) => {
                assert!(crate::wire::checksum::is_right(icmp.slice()));
            }
            other => panic!("{other:?}"),
        }
    }
}

/// A router with two lines and one Ethernet LAN, and a clock that the test moves.
struct Router {
    workers: Vec<Worker>,
    snapshot: Snapshot,
    now: Timestamp,
    out: Outbox,
}

fn uplink(id: u8) -> Uplink {
    Uplink {
        id: UplinkId(id),
        name: format!("dsl{id}").into(),
        interface: Some(1),
        availability: Availability::Usable,
        external: Some(Ipv4Addr::new(10, 77, id, 2)),
        mtu: 1500,
        weight: NonZeroU32::MIN,
        next_hop: Some(NextHop::Ethernet {
            gateway: MacAddress([2, 0, 0, 1, id, 1]),
            own: MacAddress([2, 0, 0, 1, id, 2]),
        }),
        dhcp: DhcpAnswers::Unwanted,
        probed: std::sync::Arc::default(),
        owner: AddressOwner::Router,
    }
}

fn snapshot(uplinks: u8) -> Snapshot {
    let lan = |id, link| Some(Lan { id, interface: 1, link, address: ROUTER, mtu: 1500 });
    Snapshot {
        generation: 1,
        uplinks: (0..uplinks).map(uplink).collect(),
        lans: vec![lan(LanId::TUN, LanLink::Tun), lan(LAN, LanLink::Ethernet(MacAddress([2, 0, 0, 0, 0, 1])))],
        kernel_networks: vec!["192.168.10.0/24".parse().unwrap()],
        policy: std::sync::Arc::default(),
        forwards: std::sync::Arc::default(),
    }
}

fn engine_config(workers: u8, uplinks: u8) -> EngineConfig {
    EngineConfig {
        file: None,
        boot_id: [7; 16],
        workers,
        flows: 1_000,
        uplinks: (0..uplinks)
            .map(|id| UplinkIdentity { name: format!("dsl{id}"), external: Some(Ipv4Addr::new(10, 77, id, 2)) })
            .collect(),
        seed: [9; 32],
        settings: Settings::default(),
        shortcut: None,
    }
}

impl Router {
    fn new() -> Self {
        Self::with(&engine_config(1, 2))
    }

    fn with(config: &EngineConfig) -> Self {
        let now = Timestamp::from_millis(1_000_000);
        let uplinks = u8::try_from(config.uplinks.len()).unwrap();
        Self { workers: open(config, now).unwrap(), snapshot: snapshot(uplinks), now, out: Outbox::new(8) }
    }

    fn wait(&mut self, span: Duration) {
        self.now = self.now + span;
        // A full round of the clock's hand.
        for _ in 0..45 {
            self.now = self.now + Duration::from_millis(250);
            for worker in &mut self.workers {
                worker.handle_timeout(self.now, &mut self.out);
            }
        }
    }

    /// A packet in a frame, as a port receives it.
    fn framed(packet: &[u8], source: MacAddress) -> PacketBuffer {
        let mut buffer = PacketBuffer::new();
        buffer.fill(packet);
        let mut link = [0; 14];
        link[6..12].copy_from_slice(&source.0);
        link[12..].copy_from_slice(&[8, 0]);
        buffer.set_link_header(&link);
        buffer
    }

    fn send_from_lan(&mut self, packet: &[u8]) -> Vec<Sent> {
        self.lan_frame(Self::framed(packet, MAC_A))
    }

    fn lan_frame(&mut self, frame: PacketBuffer) -> Vec<Sent> {
        self.workers[0].handle_lan(self.now, &self.snapshot, LAN, &mut vec![frame], &mut self.out);
        self.collect()
    }

    fn send_from_uplink(&mut self, uplink: UplinkId, packet: &[u8]) -> Vec<Sent> {
        let frame = Self::framed(packet, MacAddress([2, 0, 0, 1, uplink.0, 1]));
        self.workers[0].handle_uplink(self.now, &self.snapshot, uplink, &mut vec![frame], &mut self.out);
        self.collect()
    }

    /// Takes what is to be sent, after every handoff has come to its worker.
    fn collect(&mut self) -> Vec<Sent> {
        while let Some(handoff) = self.out.handoffs.pop() {
            let owner = handoff.owner.index();
            self.workers[owner].handle_handoff(self.now, &self.snapshot, handoff, &mut self.out);
        }
        let mut sent = Vec::new();
        let uplinks = (0..).map(|id| Egress::Uplink(UplinkId(id))).zip(&mut self.out.uplinks);
        let lans = (0..).map(|id| Egress::Lan(LanId(id))).zip(&mut self.out.lans);
        for (egress, queue) in uplinks.chain(lans) {
            sent.extend(queue.drain(..).map(|buffer| Sent {
                egress,
                packet: buffer.packet().to_vec(),
                link: buffer.link_header().to_vec(),
                vnet: buffer.vnet,
            }));
        }
        for sent in &sent {
            if matches!(sent.egress, Egress::Uplink(_)) {
                assert_eq!(sent.ip().source.octets()[..2], [10, 77], "no private address leaves an uplink");
            }
        }
        sent
    }

    /// Sends from the LAN what must come out of an uplink, and returns it.
    fn out_one(&mut self, packet: &[u8]) -> Sent {
        let mut sent = self.send_from_lan(packet);
        assert_eq!(sent.len(), 1, "{sent:?} {:?}", self.dropped());
        sent[0].uplink();
        sent.remove(0)
    }

    /// Every reason counted so far, with how often.
    fn dropped(&self) -> Vec<(DropReason, u64)> {
        let count = |reason| {
            let of = |worker: &Worker| {
                let counters = worker.counters();
                let uplinks = (0..2).map(|id| counters.uplink(UplinkId(id)).drops.value(reason)).sum::<u64>();
                counters.lan_drops.value(reason) + uplinks
            };
            self.workers.iter().map(of).sum::<u64>()
        };
        DropReason::ALL.iter().map(|&reason| (reason, count(reason))).filter(|(_, count)| *count > 0).collect()
    }

    /// Asserts that a packet is dropped for `reason`, which moves by one, and nothing else.
    fn assert_dropped(&mut self, reason: DropReason, send: impl FnOnce(&mut Self) -> Vec<Sent>) {
        let before: u64 = self.dropped().iter().map(|(_, count)| count).sum();
        let of_reason = |router: &Self| router.dropped().iter().find(|(r, _)| *r == reason).map_or(0, |(_, n)| *n);
        let earlier = of_reason(self);
        let sent = send(self);
        assert!(!sent.iter().any(|sent| matches!(sent.egress, Egress::Uplink(_))), "{sent:?}");
        assert_eq!(of_reason(self), earlier + 1, "{reason:?}: {:?}", self.dropped());
        assert_eq!(self.dropped().iter().map(|(_, count)| count).sum::<u64>(), before + 1);
    }
}

fn udp(source: (Ipv4Addr, u16), destination: (Ipv4Addr, u16), payload: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ipv4(source.0.octets(), destination.0.octets(), 64).udp(source.1, destination.1);
    let mut packet = Vec::new();
    builder.write(&mut packet, payload).unwrap();
    packet
}

fn tcp(source: (Ipv4Addr, u16), destination: (Ipv4Addr, u16), flags: u8, numbers: (u32, u32)) -> Vec<u8> {
    let mut header = etherparse::TcpHeader::new(source.1, destination.1, numbers.0, 65_535);
    header.acknowledgment_number = numbers.1;
    (header.fin, header.syn, header.rst) = (flags & 1 != 0, flags & 2 != 0, flags & 4 != 0);
    (header.psh, header.ack, header.urg) = (flags & 8 != 0, flags & 16 != 0, flags & 32 != 0);
    if header.syn {
        header.set_options(&[etherparse::TcpOptionElement::MaximumSegmentSize(1460)]).unwrap();
    }
    let builder = PacketBuilder::ipv4(source.0.octets(), destination.0.octets(), 64).tcp_header(header);
    let mut packet = Vec::new();
    builder.write(&mut packet, &[]).unwrap();
    packet
}

fn echo(source: Ipv4Addr, destination: Ipv4Addr, identifier: u16, is_request: bool) -> Vec<u8> {
    let builder = PacketBuilder::ipv4(source.octets(), destination.octets(), 64);
    let mut packet = Vec::new();
    if is_request {
        builder.icmpv4_echo_request(identifier, 1).write(&mut packet, b"potato").unwrap();
    } else {
        builder.icmpv4_echo_reply(identifier, 1).write(&mut packet, b"potato").unwrap();
    }
    packet
}
