//! Two namespaces, a veth pair between them, and frames made by hand.

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use potato::engine::counters::DropCounters;
use potato::io::{FrameSender, Framing, PacketPort, TunPort, open_tun, open_uplink};
use potato::sys::clock;
use potato::sys::netns::run_in;
use potato::wire::{BufferPool, PacketBuffer};

pub(crate) const NEAR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub(crate) const FAR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
pub(crate) const FAR: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
pub(crate) const INTERNET: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);

pub(crate) fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Two namespaces with a link, gone when this is dropped.
pub(crate) struct Link {
    pub(crate) near: String,
    pub(crate) far: String,
}

impl Link {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let unique = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let link = Self { near: format!("potato-io-near-{unique}"), far: format!("potato-io-far-{unique}") };
        let Self { near, far } = &link;
        for namespace in [near, far] {
            ip(&format!("netns add {namespace}"));
            // No router solicitations, no neighbour discovery: only the test's own frames.
            run_in(namespace, || std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1")).unwrap().unwrap();
        }
        let peer = format!("peer name peer0 address 02:00:00:00:00:02 netns {far}");
        ip(&format!("-n {near} link add port0 address 02:00:00:00:00:01 type veth {peer}"));
        ip(&format!("-n {near} link set port0 up"));
        ip(&format!("-n {far} link set peer0 up"));
        link
    }

    pub(crate) fn near<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        run_in(&self.near, work).unwrap()
    }

    pub(crate) fn far<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        run_in(&self.far, work).unwrap()
    }

    pub(crate) fn near_ports(&self, workers: u8) -> Vec<PacketPort> {
        self.near(|| open_uplink(interface_index("port0"), workers, Framing::Ethernet, None)).unwrap()
    }

    pub(crate) fn far_ports(&self, workers: u8) -> Vec<PacketPort> {
        self.far(|| open_uplink(interface_index("peer0"), workers, Framing::Ethernet, None)).unwrap()
    }

    pub(crate) fn far_sender(&self) -> FrameSender {
        self.far(|| FrameSender::open(interface_index("peer0"))).unwrap()
    }

    /// A TUN device that is up and is the way to the internet.
    pub(crate) fn tun_ports(&self, workers: u8) -> Vec<TunPort> {
        let ports = self.near(|| open_tun("potato0", workers)).unwrap();
        ip(&format!("-n {} link set potato0 up", self.near));
        ip(&format!("-n {} addr add {FAR}/32 dev potato0", self.near));
        ip(&format!("-n {} route add 198.51.100.0/24 dev potato0", self.near));
        ports
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        for namespace in [&self.near, &self.far] {
            let _ = Command::new("ip").args(["netns", "del", namespace]).output();
        }
    }
}

/// In the namespace of the calling thread.
pub(crate) fn interface_index(name: &str) -> u32 {
    let output = Command::new("ip").args(["-o", "link", "show", "dev", name]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split(':').next().and_then(|index| index.trim().parse().ok()).unwrap_or_else(|| panic!("no {name}"))
}

pub(crate) fn ipv4(protocol: u8, source: Ipv4Addr, destination: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + payload.len()).unwrap();
    let mut packet = vec![0x45, 0];
    packet.extend(length.to_be_bytes());
    packet.extend([0, 1, 0x40, 0, 64, protocol, 0, 0]);
    packet.extend(source.octets());
    packet.extend(destination.octets());
    let sum: u32 = packet.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(payload);
    packet
}

pub(crate) fn udp(source_port: u16, destination_port: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + data.len()).unwrap();
    let header = [source_port, destination_port, length, 0].map(u16::to_be_bytes).concat();
    [&header, data].concat()
}

pub(crate) fn frame(destination: [u8; 6], ethertype: u16, packet: &[u8]) -> Vec<u8> {
    [&destination[..], &FAR_MAC, &ethertype.to_be_bytes(), packet].concat()
}

pub(crate) fn udp_frame(source_port: u16, destination_port: u16) -> Vec<u8> {
    frame(NEAR_MAC, 0x0800, &ipv4(17, FAR, INTERNET, &udp(source_port, destination_port, b"hello")))
}

/// `packet` in a buffer, with an Ethernet header to the near end.
pub(crate) fn buffer(packet: &[u8]) -> PacketBuffer {
    let mut buffer = PacketBuffer::new();
    buffer.fill(packet);
    buffer.set_link_header(&frame(NEAR_MAC, 0x0800, &[]));
    buffer
}

/// What a port receives until `wanted` packets are there, and a little longer, to see whether there are more.
pub(crate) fn collect(port: &mut PacketPort, wanted: usize) -> Vec<PacketBuffer> {
    let (mut pool, mut batch, drops) = (BufferPool::new(4), Vec::new(), DropCounters::default());
    let start = clock::monotonic();
    let patience = |got: usize| if got < wanted { Duration::from_secs(5) } else { Duration::from_millis(20) };
    while clock::monotonic() - start < patience(batch.len()) {
        port.receive(&mut pool, &mut batch, &drops).unwrap();
        std::thread::yield_now();
    }
    assert!(batch.len() >= wanted, "{} of {wanted} frames came", batch.len());
    batch
}

pub(crate) fn destination_port(packet: &PacketBuffer) -> u16 {
    u16::from_be_bytes([packet.packet()[22], packet.packet()[23]])
}
