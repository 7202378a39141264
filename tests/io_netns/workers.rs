//! Worker threads between a LAN and an uplink, both Ethernet, with a real engine in them.
//!
//! ```text
//!  lan.far 10.0.0.2 === lan.near [workers] uplink.near 192.0.2.1 === uplink.far, the internet
//! ```

use std::net::Ipv4Addr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use potato::engine::persist::{EngineConfig, UplinkIdentity};
use potato::engine::worker::Settings;
use potato::engine::{DropReason, FlowFilter, persist};
use potato::flow::Timestamp;
use potato::io::{FrameSender, PacketPort, Workers, open_lan};
use potato::placement::{
    AddressOwner, Availability, DhcpAnswers, Lan, LanId, LanLink, NextHop, Snapshot, Uplink, UplinkId,
};
use potato::sys::clock;
use potato::wire::{MacAddress, PacketBuffer};
use tokio::sync::mpsc;

use crate::link::{
    FAR, FAR_MAC, INTERNET, Link, NEAR_MAC, collect, destination_port, frame, interface_index, ipv4, udp, udp_frame,
};

const EXTERNAL: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const WORKERS: u8 = 2;
const LAN: LanId = LanId(1);
const UPLINK: UplinkId = UplinkId(0);

struct Router {
    lan: Link,
    uplink: Link,
    workers: Workers,
    to_daemon: mpsc::Receiver<(UplinkId, PacketBuffer)>,
    host: FrameSender,
    host_ports: Vec<PacketPort>,
    internet: FrameSender,
    internet_ports: Vec<PacketPort>,
}

fn snapshot() -> Snapshot {
    let lan = |id, link| Lan { id, interface: 1, link, address: Ipv4Addr::new(10, 0, 0, 1), mtu: 1500 };
    Snapshot {
        generation: 1,
        uplinks: vec![Uplink {
            id: UPLINK,
            name: "wan".into(),
            interface: Some(1),
            availability: Availability::Usable,
            external: Some(EXTERNAL),
            mtu: 1500,
            weight: NonZeroU32::MIN,
            next_hop: Some(NextHop::Ethernet { gateway: MacAddress(FAR_MAC), own: MacAddress(NEAR_MAC) }),
            dhcp: DhcpAnswers::Unwanted,
            probed: std::sync::Arc::default(),
            owner: AddressOwner::Router,
        }],
        lans: vec![Some(lan(LanId::TUN, LanLink::Tun)), Some(lan(LAN, LanLink::Ethernet(MacAddress(NEAR_MAC))))],
        kernel_networks: vec!["10.0.0.0/24".parse().unwrap()],
        policy: std::sync::Arc::default(),
        forwards: std::sync::Arc::default(),
    }
}

impl Router {
    fn new() -> Self {
        let (lan, uplink) = (Link::new(), Link::new());
        let config = EngineConfig {
            file: None,
            boot_id: [0; 16],
            workers: WORKERS,
            flows: 1024,
            uplinks: vec![UplinkIdentity { name: "wan".to_owned(), external: Some(EXTERNAL) }],
            seed: [7; 32],
            settings: Settings::default(),
            shortcut: None,
        };
        let engine = persist::open(&config, Timestamp::from(clock::monotonic())).unwrap();
        let (sender, to_daemon) = mpsc::channel(4);
        let workers =
            Workers::spawn(engine, lan.tun_ports(WORKERS), Arc::new(ArcSwap::from_pointee(snapshot())), sender)
                .unwrap();
        let lan_ports =
            lan.near(|| open_lan(interface_index("port0"), WORKERS, &snapshot().kernel_networks, None)).unwrap();
        workers.attach_lan(LAN, lan_ports);
        workers.attach_uplink(UPLINK, uplink.near_ports(WORKERS));
        Self {
            host: lan.far_sender(),
            host_ports: lan.far_ports(1),
            internet: uplink.far_sender(),
            internet_ports: uplink.far_ports(1),
            lan,
            uplink,
            workers,
            to_daemon,
        }
    }

    fn sum(&self, count: impl Fn(&potato::engine::WorkerCounters) -> u64) -> u64 {
        self.workers.counters().iter().map(|counters| count(counters)).sum()
    }

    fn wait_for(&self, what: &str, count: impl Fn(&potato::engine::WorkerCounters) -> u64) {
        let start = clock::monotonic();
        while self.sum(&count) == 0 {
            assert!(clock::monotonic() - start < Duration::from_secs(5), "{what} did not happen");
            std::thread::yield_now();
        }
    }
}

fn answer_to(packet: &PacketBuffer) -> Vec<u8> {
    let bytes = packet.packet();
    let source_port = u16::from_be_bytes([bytes[20], bytes[21]]);
    let answer = ipv4(17, INTERNET, EXTERNAL, &udp(53, source_port, b"answer"));
    frame(NEAR_MAC, 0x0800, &answer)
}

#[tokio::test]
async fn packets_cross_and_come_back_and_flows_are_listed() {
    let mut router = Router::new();
    for port in 4000..4020 {
        router.host.send(&udp_frame(port, 53)).unwrap();
    }
    let sent = collect(&mut router.internet_ports[0], 20);
    assert_eq!(sent.len(), 20);
    for packet in &sent {
        assert_eq!(packet.packet()[12..16], EXTERNAL.octets());
        router.internet.send(&answer_to(packet)).unwrap();
    }
    let answers = collect(&mut router.host_ports[0], 20);
    let mut ports: Vec<u16> = answers.iter().map(destination_port).collect();
    ports.sort_unstable();
    assert_eq!(ports, (4000..4020).collect::<Vec<u16>>());
    assert!(answers.iter().all(|packet| packet.packet()[16..20] == FAR.octets()));
    let flows = router.workers.list_flows(FlowFilter::default(), 100).await;
    assert_eq!(flows.len(), 20);
    assert_eq!(router.workers.list_flows(FlowFilter::default(), 3).await.len(), 3);
    // Ports were kept, so both sides steered to one worker, and both workers took part.
    assert_eq!(router.sum(|counters| counters.handed_over.value()), 0);
    assert!(router.workers.counters().iter().all(|counters| counters.received.value() > 0));
}

#[tokio::test]
async fn icmp_error_is_handed_to_the_worker_of_its_flow() {
    let mut router = Router::new();
    // Port 4002 is worker 1's; ICMP errors come to worker 0.
    router.host.send(&udp_frame(4002, 53)).unwrap();
    let sent = collect(&mut router.internet_ports[0], 1);
    let mut error = vec![3, 3, 0, 0, 0, 0, 0, 0];
    error.extend(&sent[0].packet()[..28]);
    let sum = error.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum::<u32>();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    error[2..4].copy_from_slice(&sum.to_be_bytes());
    router.internet.send(&frame(NEAR_MAC, 0x0800, &ipv4(1, INTERNET, EXTERNAL, &error))).unwrap();
    let errors = collect(&mut router.host_ports[0], 1);
    assert_eq!((errors[0].packet()[9], errors[0].packet()[20]), (1, 3));
    assert_eq!(router.sum(|counters| counters.handed_over.value()), 1);
}

#[tokio::test]
async fn arp_goes_to_the_daemon_and_its_full_queue_is_counted() {
    let mut router = Router::new();
    for _ in 0..5 {
        router.internet.send(&frame([0xff; 6], 0x0806, &[0; 46])).unwrap();
    }
    let (uplink, packet) = router.to_daemon.recv().await.unwrap();
    assert_eq!((uplink, packet.ethertype()), (UPLINK, Some(0x0806)));
    for _ in 0..5 {
        router.internet.send(&frame([0xff; 6], 0x0806, &[0; 46])).unwrap();
    }
    router.wait_for("a full queue", |counters| counters.uplink(UPLINK).drops.value(DropReason::DaemonFull));
}

#[tokio::test]
async fn detached_uplink_drops_and_a_new_port_takes_over() {
    let mut router = Router::new();
    router.workers.detach_uplink(UPLINK);
    router.host.send(&udp_frame(4000, 53)).unwrap();
    router.wait_for("a drop", |counters| counters.uplink(UPLINK).drops.value(DropReason::UplinkDown));
    router.workers.attach_uplink(UPLINK, router.uplink.near_ports(WORKERS));
    router.host.send(&udp_frame(4000, 53)).unwrap();
    let sent = collect(&mut router.internet_ports[0], 1);
    router.internet.send(&answer_to(&sent[0])).unwrap();
    assert_eq!(collect(&mut router.host_ports[0], 1).len(), 1);
}

#[tokio::test]
async fn interface_that_is_deleted_is_no_failure() {
    let router = Router::new();
    crate::link::ip(&format!("-n {} link del port0", router.uplink.near));
    assert!(router.workers.list_flows(FlowFilter::default(), 1).await.is_empty());
    let failed = tokio::time::timeout(Duration::from_millis(50), router.workers.failed()).await;
    assert!(failed.is_err());
    router.workers.stop();
}

#[tokio::test]
async fn lost_tun_device_is_reported() {
    let router = Router::new();
    crate::link::ip(&format!("-n {} link del potato0", router.lan.near));
    let failure = tokio::time::timeout(Duration::from_secs(5), router.workers.failed()).await.unwrap();
    assert!(failure.reason.contains("TUN"), "{failure}");
}
