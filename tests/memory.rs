//! What a flow costs in memory, all in: record, both indexes, mapping. Measured as the program's resident memory.

use std::net::Ipv4Addr;
use std::num::NonZeroU32;

use potato::engine::{self, EngineConfig, Outbox, Settings, UplinkIdentity, Worker};
use potato::flow::{Protocol, Timestamp};
use potato::placement::{
    AddressOwner, Availability, DhcpAnswers, Lan, LanId, LanLink, NextHop, Snapshot, Uplink, UplinkId, owner_of_port,
};
use potato::wire::ipv4::NewHeader;
use potato::wire::{MacAddress, PacketBuffer};

const FLOWS: u32 = 1_000_000;
const MOST_BYTES: u64 = 160;
const UPLINKS: u8 = 6;
const WORKERS: u8 = 2;

fn external(id: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, id, 2)
}

fn config() -> EngineConfig {
    let identity = |id| UplinkIdentity { name: format!("dsl{id}"), external: Some(external(id)) };
    EngineConfig {
        file: None,
        boot_id: [0; 16],
        workers: WORKERS,
        // The workers' shares are equal, the flows that come to them nearly.
        flows: FLOWS as usize + 64,
        uplinks: (0..UPLINKS).map(identity).collect(),
        seed: [5; 32],
        settings: Settings::default(),
        shortcut: None,
    }
}

fn snapshot() -> Snapshot {
    let uplink = |id| Uplink {
        id: UplinkId(id),
        name: format!("dsl{id}").into(),
        interface: Some(1),
        availability: Availability::Usable,
        external: Some(external(id)),
        mtu: 1500,
        weight: NonZeroU32::MIN,
        next_hop: Some(NextHop::Ethernet { gateway: MacAddress::default(), own: MacAddress::default() }),
        dhcp: DhcpAnswers::Unwanted,
        probed: std::sync::Arc::default(),
        owner: AddressOwner::Router,
    };
    let lan = Lan { id: LanId::TUN, interface: 1, link: LanLink::Tun, address: Ipv4Addr::new(10, 0, 0, 1), mtu: 1500 };
    Snapshot {
        generation: 1,
        uplinks: (0..UPLINKS).map(uplink).collect(),
        lans: vec![Some(lan)],
        kernel_networks: Vec::new(),
        policy: std::sync::Arc::default(),
        forwards: std::sync::Arc::default(),
    }
}

/// The first packet of the flow with this number: every protocol in turn, each from an endpoint of its own. The ports of one
/// worker and the other's come in turn, so that both fill up evenly.
fn first_packet(number: u32) -> ([u8; 40], u16) {
    let mut packet = [0; 40];
    let protocol = Protocol::ALL[number as usize % 3];
    let port = u16::try_from(1024 + number / 3 % 60_000).expect("below 61,024");
    let host = number / 3 / 60_000;
    let header = NewHeader {
        total_length: 40,
        identification: 0,
        flags_and_offset: 0,
        ttl: 64,
        protocol: protocol as u8,
        source: Ipv4Addr::from(0x0a00_0002 + host),
        destination: Ipv4Addr::new(203, 0, 113, 1),
    };
    header.write(&mut packet);
    let transport = &mut packet[20..];
    match protocol {
        Protocol::Icmp => {
            transport[0] = 8;
            transport[4..6].copy_from_slice(&port.to_be_bytes());
        }
        Protocol::Tcp => {
            transport[..2].copy_from_slice(&port.to_be_bytes());
            (transport[12], transport[13]) = (0x50, 0x02);
        }
        Protocol::Udp => {
            transport[..2].copy_from_slice(&port.to_be_bytes());
            transport[5] = 20;
        }
    }
    (packet, port)
}

fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").expect("procfs");
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).expect("a resident size");
    let kilobytes: u64 = line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number");
    kilobytes * 1024
}

#[test]
fn a_million_flows_fit_in_160_bytes_each() {
    let (now, snapshot, mut out) = (Timestamp::from_millis(1_000), snapshot(), Outbox::new(4));
    let mut batch = Vec::with_capacity(1);
    let mut pass = |workers: &mut Vec<Worker>, number| {
        let (packet, port) = first_packet(number);
        let mut buffer: PacketBuffer = out.pool.take();
        buffer.fill(&packet);
        batch.push(buffer);
        let owner = owner_of_port(port, WORKERS);
        workers[owner.index()].handle_lan(now, &snapshot, LanId::TUN, &mut batch, &mut out);
        let Outbox { uplinks, pool, .. } = &mut out;
        uplinks.iter_mut().flat_map(|queue| queue.drain(..)).for_each(|buffer| pool.give(buffer));
    };
    // What the first packet of all takes (buffers, queues) is not the flows'.
    let mut warm_up = engine::open(&EngineConfig { flows: 64, ..config() }, now).expect("memory");
    (0..8).for_each(|number| pass(&mut warm_up, number));
    drop(warm_up);

    let before = resident_bytes();
    let mut workers = engine::open(&config(), now).expect("memory for a million flows");
    (0..FLOWS).for_each(|number| pass(&mut workers, number));
    let alive: u64 = workers.iter().map(|worker| worker.counters().flows.value()).sum();
    assert_eq!(alive, u64::from(FLOWS), "every flow is in the table");
    let bytes = resident_bytes().saturating_sub(before);
    println!("{:.1} bytes a flow", bytes as f64 / f64::from(FLOWS));
    assert!(bytes <= MOST_BYTES * u64::from(FLOWS), "{} bytes a flow", bytes / u64::from(FLOWS));
}
