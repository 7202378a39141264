//! Ports on real interfaces, each by itself.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use potato::engine::DropReason;
use potato::engine::counters::DropCounters;
use potato::io::{FrameSender, open_lan, open_tun};
use potato::placement::owner_of_port;
use potato::sys::clock;
use potato::sys::poll::PollSet;
use potato::wire::buffer::ETHERNET_LENGTH;
use potato::wire::vnet::{Checksum, Segmentation};
use potato::wire::{BufferPool, PacketBuffer};

use crate::link::{
    FAR, FAR_MAC, INTERNET, Link, NEAR_MAC, buffer, collect, destination_port, frame, interface_index, ip, ipv4, udp,
    udp_frame,
};

#[test]
fn each_reply_reaches_the_socket_of_its_owner_once() {
    const WORKERS: u8 = 3;
    let link = Link::new();
    let mut ports = link.near_ports(WORKERS);
    let sender = link.far_sender();
    let numbers: Vec<u16> = (40_000..40_060).collect();
    for &number in &numbers {
        sender.send(&udp_frame(53, number)).unwrap();
    }
    for (worker, port) in (0..).zip(&mut ports) {
        let owned = |number: &u16| owner_of_port(*number, WORKERS).0 == worker;
        let expected: Vec<u16> = numbers.iter().copied().filter(owned).collect();
        let received = collect(port, expected.len());
        assert_eq!(received.iter().map(destination_port).collect::<Vec<_>>(), expected);
        assert!(received.iter().all(|packet| packet.ethertype() == Some(0x0800) && packet.link_source().0 == FAR_MAC));
    }
}

#[test]
fn uplink_hears_arp_and_ip_but_neither_others_nor_itself() {
    let link = Link::new();
    let mut ports = link.near_ports(1);
    let sender = link.far_sender();
    sender.send(&frame([0xff; 6], 0x0806, &[1; 28])).unwrap();
    sender.send(&frame(NEAR_MAC, 0x88cc, &[2; 46])).unwrap();
    sender.send(&frame([2, 9, 9, 9, 9, 9], 0x0800, &[3; 46])).unwrap();
    let own = link.near(|| FrameSender::open(interface_index("port0"))).unwrap();
    own.send(&frame(FAR_MAC, 0x0806, &[4; 46])).unwrap();
    sender.send(&frame(NEAR_MAC, 0x86dd, &[5; 46])).unwrap();
    let types: Vec<_> = collect(&mut ports[0], 2).iter().map(PacketBuffer::ethertype).collect();
    assert_eq!(types, [Some(0x0806), Some(0x86dd)]);
}

#[test]
fn super_packet_passes_whole_between_two_ports() {
    let link = Link::new();
    let (mut near, mut far) = (link.near_ports(1), link.far_ports(1));
    let mut segment = [443_u16.to_be_bytes(), 40_000_u16.to_be_bytes()].concat();
    segment.extend([0, 0, 0, 1, 0, 0, 0, 0, 5 << 4, 0x10, 0xff, 0xff, 0, 0, 0, 0]);
    segment.resize(20 + 40_000, 0xab);
    let packet = ipv4(6, FAR, INTERNET, &segment);

    let (mut pool, drops) = (BufferPool::new(4), DropCounters::default());
    let mut sent = buffer(&packet);
    sent.vnet.checksum = Checksum::Unfinished { start: 20, offset: 16 };
    sent.vnet.segmentation = Segmentation::Tcp4 { size: 1448, ecn: false };
    sent.header_length = 40;
    let vnet = sent.vnet;
    let mut packets = vec![sent];
    far[0].send(&mut packets, &mut pool, &drops);
    assert!(packets.is_empty());
    assert!(DropReason::ALL.iter().all(|&reason| drops.value(reason) == 0));

    let received = collect(&mut near[0], 1);
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].packet(), packet);
    assert_eq!(received[0].vnet, vnet);
}

#[test]
fn refused_frame_is_counted_and_the_next_is_sent() {
    let link = Link::new();
    let (mut near, mut far) = (link.near_ports(1), link.far_ports(1));
    let (mut pool, drops) = (BufferPool::new(4), DropCounters::default());
    // 9000 bytes are more than the MTU, and this is no super-packet.
    let lengths = [100, 9000, 101, 9000];
    let mut packets = lengths.map(|length| buffer(&ipv4(17, FAR, INTERNET, &vec![0; length]))).into();
    far[0].send(&mut packets, &mut pool, &drops);
    assert_eq!(drops.value(DropReason::SendFailed), 2);
    let lengths: Vec<_> = collect(&mut near[0], 2).iter().map(PacketBuffer::length).collect();
    assert_eq!(lengths, [120, 121]);
}

#[test]
fn lan_port_takes_the_internet_and_leaves_the_rest() {
    let link = Link::new();
    let networks = ["198.51.100.0/24".parse().unwrap()];
    let mut ports = link.near(|| open_lan(interface_index("port0"), 1, &networks, None)).unwrap();
    let sender = link.far_sender();
    let internet = ipv4(17, FAR, Ipv4Addr::new(9, 9, 9, 9), &udp(4000, 54, b""));
    sender.send(&udp_frame(4000, 53)).unwrap();
    sender.send(&frame([0xff; 6], 0x0800, &internet)).unwrap();
    sender.send(&frame(NEAR_MAC, 0x0806, &[0; 46])).unwrap();
    sender.send(&frame(NEAR_MAC, 0x0800, &internet)).unwrap();
    let received = collect(&mut ports[0], 1);
    assert_eq!(received.iter().map(destination_port).collect::<Vec<_>>(), [54]);
    assert_eq!(received[0].link_header().len(), ETHERNET_LENGTH);
}

/// Long packets do not fit into the ring's places and come another way.
#[test]
fn lan_port_receives_long_and_short_packets_whole_and_in_order() {
    let link = Link::new();
    let mut ports = link.near(|| open_lan(interface_index("port0"), 1, &[], None)).unwrap();
    let mut far = link.far_ports(1);
    let packet = |number: usize| {
        let long = number % 3 == 1;
        let mut segment = vec![0x9c, 0x40, 0x01, 0xbb];
        segment.extend([0, 0, 0, 1, 0, 0, 0, 0, 5 << 4, 0x10, 0xff, 0xff, 0, 0, 0, 0]);
        segment.resize(20 + if long { 20_000 + number } else { 100 + number }, number as u8);
        (long, ipv4(6, FAR, Ipv4Addr::new(9, 9, 9, 9), &segment))
    };
    let (mut pool, drops) = (BufferPool::new(4), DropCounters::default());
    let mut packets = Vec::new();
    for (long, packet) in (0..30).map(packet) {
        let mut sent = buffer(&packet);
        if long {
            sent.vnet.checksum = Checksum::Unfinished { start: 20, offset: 16 };
            sent.vnet.segmentation = Segmentation::Tcp4 { size: 1448, ecn: false };
        }
        sent.header_length = 40;
        packets.push(sent);
    }
    far[0].send(&mut packets, &mut pool, &drops);
    let received = collect(&mut ports[0], 30);
    assert!(DropReason::ALL.iter().all(|&reason| drops.value(reason) == 0));
    for (number, received) in received.iter().enumerate() {
        let (long, sent) = packet(number);
        assert_eq!(received.packet(), sent, "{number}");
        assert_eq!(received.vnet.segmentation.size().is_some(), long, "{number}");
    }
}

#[test]
fn lan_port_on_an_interface_that_goes_down_and_up_or_away_says_so() {
    let link = Link::new();
    let mut ports = link.near(|| open_lan(interface_index("port0"), 1, &[], None)).unwrap();
    ip(&format!("-n {} link set port0 down", link.near));
    let (mut pool, mut batch, drops) = (BufferPool::new(4), Vec::new(), DropCounters::default());
    let error = ports[0].receive(&mut pool, &mut batch, &drops).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENETDOWN));
    ip(&format!("-n {} link set port0 up", link.near));
    let internet = ipv4(17, FAR, Ipv4Addr::new(9, 9, 9, 9), &udp(4000, 54, b""));
    let (sender, start) = (link.far_sender(), clock::monotonic());
    while batch.is_empty() && clock::monotonic() - start < Duration::from_secs(5) {
        let _ = sender.send(&frame(NEAR_MAC, 0x0800, &internet));
        ports[0].receive(&mut pool, &mut batch, &drops).unwrap();
    }
    assert_eq!(destination_port(&batch[0]), 54);
    ip(&format!("-n {} link del port0", link.near));
    while ports[0].receive(&mut pool, &mut batch, &drops).is_ok() {
        assert!(clock::monotonic() - start < Duration::from_secs(5), "it never says that it is dead");
    }
}

#[test]
fn sockets_keep_their_numbers_when_the_interface_goes_down_and_up() {
    let link = Link::new();
    let mut ports = link.near_ports(2);
    ip(&format!("-n {} link set port0 down", link.near));
    let (mut pool, mut batch, drops) = (BufferPool::new(4), Vec::new(), DropCounters::default());
    for port in &mut ports {
        let error = port.receive(&mut pool, &mut batch, &drops).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENETDOWN));
        assert!(!port.receive(&mut pool, &mut batch, &drops).unwrap());
    }
    ip(&format!("-n {} link set port0 up", link.near));
    let sender = link.far_sender();
    let start = clock::monotonic();
    // Carrier comes back a moment after the interface.
    while batch.is_empty() && clock::monotonic() - start < Duration::from_secs(5) {
        let _ = sender.send(&udp_frame(53, 40_000));
        ports[0].receive(&mut pool, &mut batch, &drops).unwrap();
    }
    sender.send(&udp_frame(53, 40_002)).unwrap();
    assert_eq!(destination_port(&collect(&mut ports[1], 1)[0]), 40_002);
}

#[test]
fn port_on_a_deleted_interface_says_so_once_and_is_quiet() {
    let link = Link::new();
    let mut ports = link.near_ports(1);
    let mut set = PollSet::default();
    set.add(&ports[0], 1);
    ip(&format!("-n {} link del port0", link.near));
    assert_eq!(set.wait(Some(Duration::from_secs(5))).unwrap(), 1);
    assert!(set.event(0).failed);
    let (mut pool, mut batch, drops) = (BufferPool::new(4), Vec::new(), DropCounters::default());
    assert!(ports[0].receive(&mut pool, &mut batch, &drops).is_err());
    assert_eq!(set.wait(Some(Duration::ZERO)).unwrap(), 0);
    let mut packets = vec![buffer(&[0; 40]), buffer(&[0; 40])];
    ports[0].send(&mut packets, &mut pool, &drops);
    assert_eq!((packets.len(), drops.value(DropReason::SendFailed)), (0, 2));
}

#[test]
fn tun_queues_get_the_packets_of_their_source_ports() {
    const WORKERS: u8 = 2;
    let link = Link::new();
    let mut ports = link.tun_ports(WORKERS);
    let sources: Vec<u16> = link.near(|| {
        let sockets: Vec<_> = (0..16).map(|_| UdpSocket::bind((FAR, 0)).unwrap()).collect();
        for socket in &sockets {
            socket.send_to(b"hello", (INTERNET, 53)).unwrap();
        }
        sockets.iter().map(|socket| socket.local_addr().unwrap().port()).collect()
    });
    let (mut pool, drops) = (BufferPool::new(4), DropCounters::default());
    let mut seen = 0;
    for (worker, port) in (0..).zip(&mut ports) {
        let mut batch = Vec::new();
        while port.receive(&mut pool, &mut batch, &drops).unwrap() {}
        seen += batch.len();
        for packet in &batch {
            let source = u16::from_be_bytes([packet.packet()[20], packet.packet()[21]]);
            assert!(sources.contains(&source));
            assert_eq!(owner_of_port(source, WORKERS).0, worker);
            assert_eq!((packet.ethertype(), packet.packet()[9]), (None, 17));
        }
    }
    assert_eq!(seen, sources.len());
}

#[test]
fn packet_written_to_the_tun_reaches_a_local_socket() {
    let link = Link::new();
    let mut ports = link.tun_ports(2);
    let socket = link.near(|| UdpSocket::bind((FAR, 7777))).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let (mut pool, drops) = (BufferPool::new(4), DropCounters::default());
    let mut answer = PacketBuffer::new();
    answer.fill(&ipv4(17, INTERNET, FAR, &udp(53, 7777, b"answer")));
    ports[1].send(&mut vec![answer], &mut pool, &drops);
    let mut text = [0; 16];
    let (length, from) = socket.recv_from(&mut text).unwrap();
    assert_eq!((&text[..length], from), (&b"answer"[..], (INTERNET, 53).into()));

    ip(&format!("-n {} link set potato0 down", link.near));
    let mut lost = PacketBuffer::new();
    lost.fill(&ipv4(17, INTERNET, FAR, &udp(53, 7777, b"lost")));
    ports[0].send(&mut vec![lost], &mut pool, &drops);
    assert_eq!(drops.value(DropReason::SendFailed), 1);
}

#[test]
fn tun_device_that_exists_is_a_clear_error() {
    let link = Link::new();
    let _ports = link.tun_ports(1);
    for taken in ["potato0", "port0"] {
        let error = link.near(|| open_tun(taken, 1)).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
        assert!(error.to_string().contains(taken), "{error}");
    }
    let error = link.near(|| open_tun("a-name-that-is-too-long", 1)).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}
