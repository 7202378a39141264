//! An engine with very many live flows, and batches of their packets in an order that caches cannot guess.

#![allow(dead_code, unreachable_pub, reason = "every bench takes a part of it")]

#[path = "../../tests/world/mod.rs"]
pub mod world;

use std::net::Ipv4Addr;
use std::time::Duration;

use potato::engine::Outbox;
use potato::flow::{EndpointV4, FlowKey, Protocol};
use potato::placement::UplinkId;
use potato::sys::clock;
use potato::wire::{PacketBuffer, VnetHeader, ipv4};
use world::{LAN, Size, World, datagram, segment, source};

/// Packets in a batch.
pub const BATCH: usize = 64;
/// The flow counts of every bench, with their names.
pub const SIZES: [(&str, usize); 3] = [("1k_flows", 1_000), ("64k_flows", 64_000), ("1m_flows", 1_000_000)];
/// A step through the flows that visits all and looks random.
const STRIDE: usize = 611_953;

const INTERNET: UplinkId = UplinkId(0);

/// Hosts' ports are 1,000; the far ends make up the rest.
pub fn key(protocol: Protocol, number: usize) -> FlowKey {
    let (endpoint, far) = (number % 1_000, number / 1_000);
    let host = Ipv4Addr::new(192, 168, 10, 20 + (endpoint / 100) as u8);
    let far = Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 1)) + far as u32);
    let internal = EndpointV4 { address: host, port: 20_000 + endpoint as u16 };
    FlowKey { protocol, internal, remote: EndpointV4 { address: far, port: 443 } }
}

/// Hosts that open one connection after the other, over six lines.
pub struct NewFlows {
    world: World,
    opened: u32,
    template: Vec<u8>,
    batch: Vec<PacketBuffer>,
}

impl NewFlows {
    /// Connections that are opened until all is forgotten: each has a port of its own.
    const MOST: u32 = 200_000;

    pub fn new() -> Self {
        let nobody = (Ipv4Addr::UNSPECIFIED, 0);
        let template = segment(nobody, nobody, (1_001, 0), true, &[]);
        Self { world: Self::world(), opened: 0, template, batch: Vec::with_capacity(BATCH) }
    }

    fn world() -> World {
        World::new(Size { uplinks: 6, flows: Self::MOST as usize, shortcut: false, ..Size::default() })
    }

    /// Opens `count` connections (at most [`BATCH`]) in one batch. How long the engine took.
    pub fn open(&mut self, count: usize) -> Duration {
        if self.opened + BATCH as u32 > Self::MOST {
            (self.world, self.opened) = (Self::world(), 0);
        }
        for _ in 0..count {
            let number = self.opened;
            self.opened += 1;
            let host = Ipv4Addr::from(u32::from(Ipv4Addr::new(192, 168, 10, 20)) + number / 10_000);
            let mut packet = self.world.buffer(&self.template, VnetHeader::default());
            let bytes = packet.packet_mut();
            bytes[12..16].copy_from_slice(&host.octets());
            bytes[16..20].copy_from_slice(&world::remote(1).octets());
            bytes[20..22].copy_from_slice(&(20_000 + (number % 10_000) as u16).to_be_bytes());
            bytes[22..24].copy_from_slice(&443_u16.to_be_bytes());
            ipv4::write_checksum(bytes, 20);
            self.batch.push(packet);
        }
        let World { now, snapshot, workers, out, .. } = &mut self.world;
        let start = clock::monotonic();
        workers[0].handle_lan(*now, snapshot, LAN, &mut self.batch, out);
        let spent = clock::monotonic() - start;
        assert_eq!(recycle(&mut self.world), count, "every connection is opened");
        spent
    }
}

/// The way of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Outbound,
    Inbound,
}

/// The engine and a packet of each kind, to be given the endpoints of one flow after the other.
pub struct Traffic {
    world: World,
    protocol: Protocol,
    flows: usize,
    next: usize,
    template: Vec<u8>,
    external_ports: Vec<u16>,
    batch: Vec<PacketBuffer>,
}

impl Traffic {
    /// `flows` flows that both sides have spoken on.
    pub fn new(protocol: Protocol, flows: usize) -> Self {
        let world = World::new(Size { uplinks: 1, flows: flows + flows / 8, shortcut: false, ..Size::default() });
        let mut traffic = Self {
            world,
            protocol,
            flows,
            next: 0,
            template: Vec::new(),
            external_ports: vec![0; 1_000],
            batch: Vec::with_capacity(BATCH),
        };
        for number in 0..flows {
            traffic.open(number);
        }
        let ends = ((Ipv4Addr::UNSPECIFIED, 0), (Ipv4Addr::UNSPECIFIED, 0));
        traffic.template = match protocol {
            Protocol::Tcp => segment(ends.0, ends.1, (1_001, 1_001), false, &[0; 6]),
            _ => datagram(protocol, ends.0, ends.1, 64, &[0; 18]),
        };
        traffic
    }

    fn open(&mut self, number: usize) {
        let key = key(self.protocol, number);
        let (host, far) = ((key.internal.address, key.internal.port), (key.remote.address, key.remote.port));
        let seen = if self.protocol == Protocol::Tcp {
            world::connect(&mut self.world, host, far).1
        } else {
            let sent = self.world.host_sends(&datagram(self.protocol, host, far, 64, b"x"));
            let seen = source(&sent[0].bytes);
            self.world.internet_sends(INTERNET, &datagram(self.protocol, far, seen, 64, b"x"));
            seen
        };
        self.external_ports[number % 1_000] = seen.1;
    }

    /// The next packet: of a flow far from the last one's.
    fn packet(&mut self, way: Way) -> PacketBuffer {
        self.next = (self.next + STRIDE) % self.flows;
        let key = key(self.protocol, self.next);
        let external = EndpointV4 { address: world::external(0), port: self.external_ports[self.next % 1_000] };
        let (from, to) = match way {
            Way::Outbound => (key.internal, key.remote),
            Way::Inbound => (key.remote, external),
        };
        let mut packet = self.world.buffer(&self.template, VnetHeader::default());
        let bytes = packet.packet_mut();
        bytes[12..16].copy_from_slice(&from.address.octets());
        bytes[16..20].copy_from_slice(&to.address.octets());
        bytes[20..22].copy_from_slice(&from.port.to_be_bytes());
        bytes[22..24].copy_from_slice(&to.port.to_be_bytes());
        ipv4::write_checksum(bytes, 20);
        packet
    }

    /// Passes `count` packets (at most [`BATCH`]) in one batch. How long the engine took, without what is around it.
    pub fn pass(&mut self, way: Way, count: usize) -> Duration {
        for _ in 0..count {
            let packet = self.packet(way);
            self.batch.push(packet);
        }
        let World { now, snapshot, workers, out, .. } = &mut self.world;
        let start = clock::monotonic();
        match way {
            Way::Outbound => workers[0].handle_lan(*now, snapshot, LAN, &mut self.batch, out),
            Way::Inbound => workers[0].handle_uplink(*now, snapshot, INTERNET, &mut self.batch, out),
        }
        let spent = clock::monotonic() - start;
        assert_eq!(recycle(&mut self.world), count, "every packet is forwarded");
        spent
    }
}

fn recycle(world: &mut World) -> usize {
    let Outbox { uplinks, lans, pool, .. } = &mut world.out;
    let queues = uplinks.iter_mut().chain(lans);
    queues.flat_map(|queue| queue.drain(..)).map(|packet| pool.give(packet)).count()
}
