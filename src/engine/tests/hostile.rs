//! Packets that nobody should send: no panic, one counter moves by one, nothing private outside.

use super::*;
use crate::wire::ipv4::write_checksum;
use crate::wire::{Checksum, Segmentation};

fn changed(mut packet: Vec<u8>, changes: &[(usize, u8)]) -> Vec<u8> {
    for &(at, value) in changes {
        packet[at] = value;
    }
    let header = usize::from(packet[0] & 15) * 4;
    if (20..=packet.len()).contains(&header) {
        write_checksum(&mut packet, header);
    }
    packet
}

#[test]
fn malformed_packets_are_counted_under_their_reason() {
    use DropReason::*;
    let mut router = Router::new();
    let udp = || udp((HOST_A, 5000), (SERVER, 53), b"12345678");
    let tcp = |flags| tcp((HOST_A, 5000), (SERVER, 80), flags, (1, 1));
    let from_zero = |source: [u8; 4]| {
        let [a, b, c, d] = source;
        changed(udp(), &[(12, a), (13, b), (14, c), (15, d)])
    };
    let to = |[a, b, c, d]: [u8; 4]| changed(udp(), &[(16, a), (17, b), (18, c), (19, d)]);
    let cases: Vec<(DropReason, Vec<u8>)> = vec![
        (MalformedIp, vec![]),
        (MalformedIp, udp()[..19].to_vec()),
        (MalformedIp, changed(udp(), &[(0, 0x44)])),
        (MalformedIp, changed(udp(), &[(0, 0x4f)])),
        (MalformedIp, changed(udp(), &[(0, 0x05)])),
        (MalformedIp, changed(udp(), &[(2, 1)])),
        (MalformedIp, changed(udp(), &[(3, 19)])),
        (BadIpChecksum, {
            let mut packet = udp();
            packet[10] ^= 1;
            packet
        }),
        (MalformedTransport, changed(udp(), &[(25, 7)])),
        (MalformedTransport, changed(udp(), &[(25, 99)])),
        (MalformedTransport, changed(tcp(SYN), &[(32, 0x40)])),
        (MalformedTransport, changed(tcp(SYN), &[(32, 0xf0)])),
        (UnsupportedProtocol, changed(udp(), &[(9, 132)])),
        (UnsupportedProtocol, changed(udp(), &[(9, 2)])),
        (UnsupportedProtocol, changed(udp(), &[(9, 253)])),
        (UnsupportedProtocol, changed(udp(), &[(9, 136)])),
        (BadTcpFlags, tcp(0)),
        (BadTcpFlags, tcp(3)),
        (BadTcpFlags, tcp(0x29)),
        (TcpNoConnection, tcp(ACK)),
        (TcpNoConnection, tcp(0x04)),
        (TcpNoConnection, tcp(SYN_ACK)),
        (BadSource, from_zero([0, 0, 0, 0])),
        (BadSource, from_zero([127, 0, 0, 1])),
        (BadSource, from_zero([224, 0, 0, 1])),
        (BadSource, from_zero([255, 255, 255, 255])),
        (BadSource, from_zero([10, 77, 0, 2])),
        (BadDestination, to([224, 0, 0, 251])),
        (BadDestination, to([255, 255, 255, 255])),
        (BadDestination, to([169, 254, 3, 3])),
        (BadDestination, to([127, 0, 0, 1])),
        (LocalDestination, to([192, 168, 10, 77])),
        (TtlExceeded, changed(udp(), &[(8, 0)])),
        (Ipv6, {
            let mut packet = udp();
            packet[0] = 0x65;
            packet
        }),
        (IcmpNoFlow, echo(HOST_A, SERVER, 5, false)),
        (IcmpUnsupported, changed(echo(HOST_A, SERVER, 5, true), &[(20, 13)])),
    ];
    for (reason, packet) in cases {
        let mut frame = Router::framed(&packet, MAC_A);
        if reason == Ipv6 {
            frame.set_link_header(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 20, 0x86, 0xdd]);
        }
        router.assert_dropped(reason, |router| router.lan_frame(frame));
    }
    assert_eq!(router.workers[0].counters().flows.value(), 0);
}

#[test]
fn trailing_padding_is_cut_and_missing_udp_checksum_stays_missing() {
    let mut router = Router::new();
    let mut packet = changed(udp((HOST_A, 5000), (SERVER, 53), b""), &[(26, 0), (27, 0)]);
    packet.extend([0xee; 18]);
    let sent = router.out_one(&packet);
    assert_eq!((sent.packet.len(), &sent.packet[26..28]), (28, &[0_u8, 0][..]));
}

#[test]
fn lying_offload_metadata_is_refused() {
    let mut router = Router::new();
    let packet = udp((HOST_A, 5000), (SERVER, 53), &[0; 64]);
    for (checksum, segmentation) in [
        (Checksum::Unfinished { start: 20, offset: 16 }, Segmentation::None),
        (Checksum::Unfinished { start: 90, offset: 6 }, Segmentation::None),
        (Checksum::Unfinished { start: 0, offset: 6 }, Segmentation::None),
        (Checksum::Complete, Segmentation::Tcp4 { size: 10, ecn: false }),
        (Checksum::Complete, Segmentation::Tcp6 { size: 10, ecn: false }),
    ] {
        let mut frame = Router::framed(&packet, MAC_A);
        frame.vnet = VnetHeader { checksum, segmentation };
        router.assert_dropped(DropReason::BadOffload, |router| router.lan_frame(frame));
    }
}

#[test]
fn unsolicited_packets_from_outside_meet_silence() {
    let mut router = Router::new();
    let external = router.snapshot.uplinks[0].external.unwrap();
    for (reason, packet) in [
        (DropReason::NoMapping, tcp((SERVER, 4000), (external, 80), SYN, (1, 0))),
        (DropReason::NoMapping, udp((SERVER, 4000), (external, 53), b"")),
        (DropReason::NoMapping, echo(SERVER, external, 1, true)),
        (DropReason::NoMapping, udp((SERVER, 4000), (HOST_A, 53), b"")),
    ] {
        router.assert_dropped(reason, |router| {
            let sent = router.send_from_uplink(UplinkId(0), &packet);
            assert!(sent.is_empty());
            sent
        });
    }
}

#[test]
fn address_resolution_goes_to_the_daemon() {
    let mut router = Router::new();
    let mut frame = PacketBuffer::new();
    frame.fill(&[0; 28]);
    frame.set_link_header(&[255, 255, 255, 255, 255, 255, 2, 0, 0, 1, 0, 1, 8, 6]);
    router.workers[0].handle_uplink(router.now, &router.snapshot, UplinkId(0), &mut vec![frame], &mut router.out);
    assert_eq!(router.out.daemon.len(), 1);
    assert_eq!(router.dropped(), []);
}

#[test]
fn dhcp_answers_go_to_the_daemon_only_while_it_waits_for_one() {
    let mut router = Router::new();
    let external = router.snapshot.uplinks[0].external.unwrap();
    let offered = Ipv4Addr::new(100, 64, 7, 9);
    let to = |destination| udp((SERVER, 67), (destination, 68), b"answer");
    // The same by broadcast, to the address that is offered, to the one that is had, and while there is none.
    let answers = [to(Ipv4Addr::BROADCAST), to(offered), to(external)];
    for answer in &answers {
        router.assert_dropped(DropReason::NoMapping, |router| router.send_from_uplink(UplinkId(0), answer));
    }
    router.snapshot.uplinks[0].dhcp = DhcpAnswers::Awaited;
    for answer in &answers {
        assert!(router.send_from_uplink(UplinkId(0), answer).is_empty());
    }
    router.snapshot.uplinks[0].external = None;
    assert!(router.send_from_uplink(UplinkId(0), &answers[1]).is_empty());
    assert_eq!(router.out.daemon.drain(..).map(|(uplink, _)| uplink).collect::<Vec<_>>(), [UplinkId(0); 4]);
    // Nothing else goes there.
    for other in [
        udp((SERVER, 67), (offered, 67), b""),
        tcp((SERVER, 67), (offered, 68), SYN, (1, 0)),
        echo(SERVER, offered, 68, false),
    ] {
        router.assert_dropped(DropReason::NoMapping, |router| router.send_from_uplink(UplinkId(0), &other));
    }
    let answer = to(offered);
    router.assert_dropped(DropReason::NoMapping, |router| router.send_from_uplink(UplinkId(1), &answer));
}

#[test]
fn no_host_gets_the_port_of_the_dhcp_client() {
    let mut router = Router::new();
    let sent = router.out_one(&udp((HOST_A, 68), (SERVER, 67), b"odd"));
    assert_ne!(sent.ports().0, 68);
    assert!(sent.ports().0 < 1024);
}

#[test]
fn full_table_refuses_and_keeps_what_it_has() {
    let mut router = Router::new();
    for port in 0..1000 {
        router.out_one(&udp((HOST_A, 2000 + port), (SERVER, 53), b""));
    }
    let sent = router.send_from_lan(&udp((HOST_B, 9000), (SERVER, 53), b""));
    assert_eq!(sent[0].packet[20..22], [3, 13]);
    assert_eq!(router.dropped(), [(DropReason::TableFull, 1)]);
    router.out_one(&udp((HOST_A, 2000), (SERVER, 53), b""));
}

#[test]
fn flood_of_refused_packets_is_answered_within_a_limit() {
    let mut router = Router::new();
    let expired = changed(udp((HOST_A, 5000), (SERVER, 53), b""), &[(8, 1)]);
    let answers: usize = (0..1000).map(|_| router.send_from_lan(&expired).len()).sum();
    assert_eq!(answers, 200);
    assert_eq!(router.workers[0].counters().errors_suppressed.value(), 800);
}
