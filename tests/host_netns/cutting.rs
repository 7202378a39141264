//! Who cuts super-packets behind a PPPoE header: whoever it is, the same segments come out at the other end.

use std::net::Ipv4Addr;
use std::num::NonZeroU16;
use std::os::fd::AsFd;
use std::time::Duration;

use potato::engine::DropReason;
use potato::engine::counters::DropCounters;
use potato::host::Host;
use potato::io::{self, Cutting, Framing, PacketPort, open_uplink};
use potato::sys::clock;
use potato::wire::pppoe::{LINK_LENGTH, SessionHeader, SessionId, session_header};
use potato::wire::segmentation::{Cut, segments};
use potato::wire::{BufferPool, Checksum, Ipv4, MacAddress, PacketBuffer, Segmentation, VnetHeader};

use crate::topology::{Topology, run};
use crate::{block_on, picture};

const SIZE: u16 = 1_440;
const HEADERS: usize = 52;
/// To everybody: the ends have addresses that the kernel gave them.
const MACS: (MacAddress, MacAddress) = (MacAddress([0xff; 6]), MacAddress([2, 0, 0, 0, 0, 1]));

/// Segments of a stream in one, with twelve bytes of options; PSH is set.
fn super_packet(payload: usize, sequence: u32) -> PacketBuffer {
    let mut bytes = vec![0; HEADERS];
    bytes[0] = 0x45;
    bytes[2..4].copy_from_slice(&u16::try_from(HEADERS + payload).unwrap().to_be_bytes());
    bytes[4..10].copy_from_slice(&[0xff, 0xfe, 0x40, 0, 63, 6]);
    bytes[12..16].copy_from_slice(&Ipv4Addr::new(10, 99, 0, 2).octets());
    bytes[16..20].copy_from_slice(&Ipv4Addr::new(203, 0, 113, 1).octets());
    bytes[20..24].copy_from_slice(&[0x9c, 0x40, 0x01, 0xbb]);
    bytes[24..28].copy_from_slice(&sequence.to_be_bytes());
    bytes[32..36].copy_from_slice(&[8 << 4, 0x18, 1, 2]);
    bytes[40..52].fill(1);
    bytes.extend((0..payload).map(|at| (at % 251) as u8));
    potato::wire::ipv4::write_checksum(&mut bytes, 20);
    let mut packet = PacketBuffer::new();
    packet.fill(&bytes);
    packet.set_link_header(&session_header(MACS, SessionId::new(0x1234).unwrap(), bytes.len()));
    packet.header_length = HEADERS as u16;
    if payload > usize::from(SIZE) {
        packet.vnet = VnetHeader {
            checksum: Checksum::Unfinished { start: 20, offset: 16 },
            segmentation: Segmentation::Tcp4 { size: SIZE, ecn: false },
        };
    }
    packet
}

/// What must come of it.
fn cut(packet: &PacketBuffer) -> Vec<Vec<u8>> {
    let cut = Cut { tcp_header_length: HEADERS - 20, size: NonZeroU16::new(SIZE).unwrap(), ecn: false };
    let mut all = Vec::new();
    let ip = Ipv4::parse(packet.packet()).unwrap();
    segments(packet.packet(), &ip, cut, PacketBuffer::new, |piece| all.push(piece.packet().to_vec()));
    all
}

fn receive(port: &mut PacketPort, wanted: usize) -> Vec<PacketBuffer> {
    let (mut pool, mut batch, drops) = (BufferPool::new(4), Vec::new(), DropCounters::default());
    let start = clock::monotonic();
    while batch.len() < wanted && clock::monotonic() - start < Duration::from_secs(5) {
        port.receive(&mut pool, &mut batch, &drops).unwrap();
        std::thread::yield_now();
    }
    batch
}

fn sends_segments(topology: &Topology, way: Cutting) {
    let mut far =
        topology.in_outside(|| open_uplink(link_index("wan1-out"), 1, Framing::Pppoe(Cutting::Here), None)).unwrap();
    let mut near = open_uplink(link_index("wan1"), 1, Framing::Pppoe(way), None).unwrap();
    let (mut pool, drops) = (BufferPool::new(64), DropCounters::default());
    // Before, between and behind them, packets that are not cut, so that the order is seen too.
    let lengths = [500, 60_000, 10 * usize::from(SIZE), 7, 2 * usize::from(SIZE) + 1, 1_441, 300];
    let mut packets: Vec<PacketBuffer> =
        (1..).zip(lengths).map(|(number, length)| super_packet(length, number << 20)).collect();
    let expected: Vec<Vec<u8>> = packets.iter().flat_map(cut).collect();
    for packet in &mut packets {
        if packet.vnet.segmentation == Segmentation::None {
            let finished = cut(packet).remove(0);
            packet.packet_mut().copy_from_slice(&finished);
        }
    }
    near[0].send(&mut packets, &mut pool, &drops);
    assert!(packets.is_empty());
    assert!(DropReason::ALL.iter().all(|&reason| drops.value(reason) == 0));
    let received = receive(&mut far[0], expected.len());
    assert_eq!(received.len(), expected.len());
    for (number, (piece, expected)) in received.iter().zip(&expected).enumerate() {
        let header: [u8; LINK_LENGTH] = piece.link_header().try_into().unwrap();
        let header = SessionHeader::parse(&header, piece.length()).unwrap();
        assert_eq!((header.session, header.length), (0x1234, expected.len()), "segment {number}");
        assert!(piece.packet()[..header.length] == expected[..], "segment {number}");
        assert_eq!(piece.vnet.segmentation, Segmentation::None);
        assert!(!matches!(piece.vnet.checksum, Checksum::Unfinished { .. }), "segment {number}");
    }
}

/// In the namespace of the calling thread.
fn link_index(name: &str) -> u32 {
    run(&format!("ip -o link show dev {name}")).split(':').next().and_then(|index| index.parse().ok()).unwrap()
}

#[test]
fn super_packets_of_a_session_leave_as_the_same_segments_by_whoever_cuts() {
    let topology = Topology::new();
    let run_dir = tempfile::tempdir().unwrap();
    topology.in_machine(|| {
        let before = picture::take();
        block_on(async {
            let mut host = Host::start(run_dir.path()).await.unwrap();
            let (guard, program) = (io::uplink_guard(None).unwrap(), io::cutting_program().unwrap());
            let uplink = host.interface("wan1").await.unwrap();
            host.prepare_uplink(&uplink, guard.as_fd()).await.unwrap();
            sends_segments(&topology, Cutting::Here);
            assert_eq!(host.let_kernel_cut(&uplink, program.as_fd()).await.unwrap(), Cutting::Kernel);
            let offloads = run("ethtool -k wan1");
            assert!(offloads.contains("tx-checksum-ip-generic: off") && offloads.contains("tx-tcp-segmentation: off"));
            sends_segments(&topology, Cutting::Kernel);
            host.undo().await.unwrap();
        });
        picture::assert_back_to(&before);
    });
}

#[test]
fn kernel_does_not_cut_where_somebody_elses_qdisc_has_no_egress() {
    let topology = Topology::new();
    let run_dir = tempfile::tempdir().unwrap();
    topology.in_machine(|| {
        let before = picture::take();
        block_on(async {
            let mut host = Host::start(run_dir.path()).await.unwrap();
            let program = io::cutting_program().unwrap();
            let uplink = host.interface("wan2").await.unwrap();
            assert_eq!(host.let_kernel_cut(&uplink, program.as_fd()).await.unwrap(), Cutting::Here);
            host.undo().await.unwrap();
        });
        picture::assert_back_to(&before);
    });
}
