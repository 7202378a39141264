//! A small world around the engine, for tests, benches and fuzz targets:
//!
//! ```text
//!   192.168.10.20.. -- LAN 1 (Ethernet) --+-- workers --+-- uplink 0: 10.77.1.2 -- internet
//!           router's own -- LAN 0 (TUN) --+             +-- uplink 1: 10.77.2.2 -- ...
//! ```
//!
//! Packets are plain bytes. What a worker hands over is delivered at once.

#![allow(dead_code, unreachable_pub, reason = "every user takes a part of it")]

use std::net::Ipv4Addr;
use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

use etherparse::PacketBuilder;
use potato::engine::shortcut::table::{self, ShortcutTable};
use potato::engine::{self, Egress, EngineConfig, Filtering, MovablePorts, Outbox, Settings, UplinkIdentity, Worker};
use potato::flow::{Protocol, Timestamp};
use potato::placement::{
    AddressOwner, Availability, DhcpAnswers, Lan, LanId, LanLink, NextHop, Snapshot, Uplink, UplinkId,
};
use potato::sys::shared_words::SharedWords;
use potato::wire::{MacAddress, PacketBuffer, VnetHeader};

/// The far port whose flows may move.
pub const MOVABLE: NonZeroU16 = NonZeroU16::new(443).unwrap();
/// Ethernet LAN 1, where the hosts are.
pub const LAN: LanId = LanId(1);
const GATEWAY: MacAddress = MacAddress([2, 0, 0, 0, 0, 0xfe]);
const ROUTER: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
const HOST: MacAddress = MacAddress([2, 0, 0, 0, 0, 0x20]);

/// A packet that the engine wants sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub egress: Egress,
    pub bytes: Vec<u8>,
    pub vnet: VnetHeader,
}

/// The engine and all around it.
pub struct World {
    pub now: Timestamp,
    pub snapshot: Snapshot,
    pub workers: Vec<Worker>,
    pub out: Outbox,
    batch: Vec<PacketBuffer>,
}

/// What a world is made of.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub workers: u8,
    pub uplinks: u8,
    pub flows: usize,
    pub filtering: Filtering,
    pub shortcut: bool,
}

impl Default for Size {
    fn default() -> Self {
        Self { workers: 1, uplinks: 2, flows: 4_096, filtering: Filtering::AddressAndPort, shortcut: true }
    }
}

pub fn external(uplink: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, uplink + 1, 2)
}

pub fn host(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 168, 10, 20 + number)
}

pub fn remote(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(203, 0, 113, 1 + number)
}

pub fn snapshot(uplinks: u8) -> Snapshot {
    let uplink = |id: u8| Uplink {
        id: UplinkId(id),
        name: format!("dsl{id}").into(),
        interface: Some(1),
        availability: Availability::Usable,
        external: Some(external(id)),
        mtu: 1_500,
        weight: NonZeroU32::MIN,
        next_hop: Some(NextHop::Ethernet { gateway: GATEWAY, own: ROUTER }),
        dhcp: DhcpAnswers::Unwanted,
        probed: std::sync::Arc::default(),
        owner: AddressOwner::Router,
    };
    let lan =
        |id: u8, link| Lan { id: LanId(id), interface: 1, link, address: Ipv4Addr::new(192, 168, 10, 1), mtu: 1_500 };
    Snapshot {
        generation: 1,
        uplinks: (0..uplinks).map(uplink).collect(),
        lans: vec![Some(lan(0, LanLink::Tun)), Some(lan(1, LanLink::Ethernet(ROUTER)))],
        kernel_networks: vec!["192.168.10.0/24".parse().unwrap()],
        policy: std::sync::Arc::default(),
        forwards: std::sync::Arc::default(),
    }
}

impl World {
    pub fn new(size: Size) -> Self {
        let uplinks =
            (0..size.uplinks).map(|id| UplinkIdentity { name: format!("dsl{id}"), external: Some(external(id)) });
        let config = EngineConfig {
            file: None,
            boot_id: [0; 16],
            workers: size.workers,
            flows: size.flows,
            uplinks: uplinks.collect(),
            seed: [7; 32],
            settings: Settings { filtering: size.filtering, movable: MovablePorts::new([MOVABLE]) },
            shortcut: size.shortcut.then(|| ShortcutTable::new(SharedWords::anonymous(table::BYTES).unwrap(), [7, 9])),
        };
        let now = Timestamp::from_millis(1_000_000);
        Self {
            now,
            snapshot: snapshot(size.uplinks),
            workers: engine::open(&config, now).unwrap(),
            out: Outbox::new(256),
            batch: Vec::with_capacity(256),
        }
    }

    /// A packet in a buffer, as a port with Ethernet receives it.
    pub fn buffer(&mut self, bytes: &[u8], vnet: VnetHeader) -> PacketBuffer {
        let mut buffer = self.out.pool.take();
        buffer.fill(bytes);
        let mut header = [0; 14];
        header[..6].copy_from_slice(&ROUTER.0);
        header[6..12].copy_from_slice(&HOST.0);
        header[12..].copy_from_slice(&[0x08, 0x00]);
        buffer.set_link_header(&header);
        buffer.vnet = vnet;
        buffer
    }

    /// What happens when a LAN host sends `bytes` and worker 0 gets them.
    pub fn host_sends(&mut self, bytes: &[u8]) -> Vec<Sent> {
        self.host_sends_with(bytes, VnetHeader::default())
    }

    pub fn host_sends_with(&mut self, bytes: &[u8], vnet: VnetHeader) -> Vec<Sent> {
        let buffer = self.buffer(bytes, vnet);
        self.batch.push(buffer);
        self.workers[0].handle_lan(self.now, &self.snapshot, LAN, &mut self.batch, &mut self.out);
        self.collect()
    }

    /// What happens when `bytes` come in on an uplink and worker 0 gets them.
    pub fn internet_sends(&mut self, uplink: UplinkId, bytes: &[u8]) -> Vec<Sent> {
        self.internet_sends_with(uplink, bytes, VnetHeader::default())
    }

    pub fn internet_sends_with(&mut self, uplink: UplinkId, bytes: &[u8], vnet: VnetHeader) -> Vec<Sent> {
        let buffer = self.buffer(bytes, vnet);
        self.batch.push(buffer);
        self.workers[0].handle_uplink(self.now, &self.snapshot, uplink, &mut self.batch, &mut self.out);
        self.collect()
    }

    pub fn collect(&mut self) -> Vec<Sent> {
        while let Some(handoff) = self.out.handoffs.pop() {
            let owner = handoff.owner.index();
            self.workers[owner].handle_handoff(self.now, &self.snapshot, handoff, &mut self.out);
        }
        let mut sent = Vec::new();
        let Outbox { uplinks, lans, pool, daemon, .. } = &mut self.out;
        for (id, queue) in (0..).zip(uplinks) {
            sent.extend(queue.drain(..).map(|packet| take(Egress::Uplink(UplinkId(id)), packet, pool)));
        }
        for (id, queue) in (0..).zip(lans) {
            sent.extend(queue.drain(..).map(|packet| take(Egress::Lan(LanId(id)), packet, pool)));
        }
        daemon.drain(..).for_each(|(_, packet)| pool.give(packet));
        sent
    }

    /// Time jumps: what lived before is over, though not all of it is forgotten yet.
    pub fn skip(&mut self, span: Duration) {
        self.now = self.now + span;
        for worker in &mut self.workers {
            worker.handle_timeout(self.now, &mut self.out);
        }
    }

    /// Time passes; every worker forgets what it may.
    pub fn wait(&mut self, span: Duration) {
        let steps = 1 + span.as_millis() / 250;
        let end = self.now + span;
        for _ in 0..=steps.min(120) {
            self.now = end.min(self.now + Duration::from_millis(250).max(span / 100));
            for worker in &mut self.workers {
                worker.handle_timeout(self.now, &mut self.out);
            }
        }
        self.now = end;
    }
}

fn take(egress: Egress, packet: PacketBuffer, pool: &mut potato::wire::BufferPool) -> Sent {
    let sent = Sent { egress, bytes: packet.packet().to_vec(), vnet: packet.vnet };
    pool.give(packet);
    sent
}

/// One side of a packet.
pub type End = (Ipv4Addr, u16);

/// A UDP datagram, or an echo request (the source's port is its identifier), built by etherparse.
pub fn datagram(protocol: Protocol, source: End, destination: End, ttl: u8, payload: &[u8]) -> Vec<u8> {
    let ip = PacketBuilder::ipv4(source.0.octets(), destination.0.octets(), ttl);
    let mut bytes = Vec::new();
    match protocol {
        Protocol::Udp => ip.udp(source.1, destination.1).write(&mut bytes, payload),
        Protocol::Icmp => ip.icmpv4_echo_request(source.1, 1).write(&mut bytes, payload),
        Protocol::Tcp => ip.tcp(source.1, destination.1, 1_000, 64_000).syn().write(&mut bytes, payload),
    }
    .unwrap();
    bytes
}

/// An echo reply.
pub fn echo_reply(source: Ipv4Addr, destination: End, ttl: u8, payload: &[u8]) -> Vec<u8> {
    let ip = PacketBuilder::ipv4(source.octets(), destination.0.octets(), ttl);
    let mut bytes = Vec::new();
    ip.icmpv4_echo_reply(destination.1, 1).write(&mut bytes, payload).unwrap();
    bytes
}

/// A TCP segment: sequence, acknowledgement (0: no ACK flag), SYN.
pub fn segment(source: End, destination: End, numbers: (u32, u32), is_syn: bool, payload: &[u8]) -> Vec<u8> {
    let ip = PacketBuilder::ipv4(source.0.octets(), destination.0.octets(), 64);
    let mut tcp = ip.tcp(source.1, destination.1, numbers.0, 64_000);
    if numbers.1 > 0 {
        tcp = tcp.ack(numbers.1);
    }
    if is_syn {
        tcp = tcp.syn();
    }
    let mut bytes = Vec::new();
    tcp.write(&mut bytes, payload).unwrap();
    bytes
}

/// Opens a TCP connection from the host; its uplink and how the far end sees the host. Both sides stand at 1,001.
pub fn connect(world: &mut World, host: End, remote: End) -> (UplinkId, End) {
    let sent = world.host_sends(&segment(host, remote, (1_000, 0), true, &[]));
    let [Sent { egress: Egress::Uplink(uplink), bytes, .. }] = &sent[..] else { panic!("{sent:?}") };
    let seen = source(bytes);
    let answer = world.internet_sends(*uplink, &segment(remote, seen, (1_000, 1_001), true, &[]));
    assert_eq!(answer.len(), 1, "{answer:?}");
    let last = world.host_sends(&segment(host, remote, (1_001, 1_001), false, &[]));
    assert_eq!(last.len(), 1, "{last:?}");
    (*uplink, seen)
}

/// Source address and port, or identifier, of a packet without IP options.
pub fn source(bytes: &[u8]) -> End {
    let at = if bytes[9] == Protocol::Icmp as u8 { 24 } else { 20 };
    (Ipv4Addr::new(bytes[12], bytes[13], bytes[14], bytes[15]), u16::from_be_bytes([bytes[at], bytes[at + 1]]))
}

/// Destination address and port, or identifier, of a packet without IP options.
pub fn destination(bytes: &[u8]) -> End {
    let at = if bytes[9] == Protocol::Icmp as u8 { 24 } else { 22 };
    (Ipv4Addr::new(bytes[16], bytes[17], bytes[18], bytes[19]), u16::from_be_bytes([bytes[at], bytes[at + 1]]))
}
