//! Pings and ICMP errors.

use super::*;
use crate::wire::buffer::PacketBuffer;
use crate::wire::icmp::{ErrorKind, write_error};

fn error_about(kind: ErrorKind, source: Ipv4Addr, destination: Ipv4Addr, packet: &[u8]) -> Vec<u8> {
    let mut buffer = PacketBuffer::new();
    write_error(&mut buffer, kind, source, destination, packet);
    buffer.packet().to_vec()
}

#[test]
fn ping_keeps_its_identifier_and_two_hosts_do_not_share_one() {
    let mut router = Router::with(&engine_config(1, 1));
    let first = router.out_one(&echo(HOST_A, SERVER, 77, true));
    let second = router.out_one(&echo(HOST_B, SERVER, 77, true));
    assert_eq!(first.ports().0, 77);
    assert_ne!(second.ports().0, 77);
    second.assert_checksums();
    let reply = echo(SERVER, second.ip().source, second.ports().0, false);
    let back = router.send_from_uplink(second.uplink(), &reply);
    assert_eq!((back[0].ip().destination, back[0].ports().0), (HOST_B, 77));
    back[0].assert_checksums();
}

#[test]
fn last_hop_is_answered_by_the_router() {
    let mut router = Router::new();
    let mut packet = udp((HOST_A, 5000), (SERVER, 33_434), b"");
    packet[8] = 1;
    crate::wire::ipv4::write_checksum(&mut packet, 20);
    let sent = router.send_from_lan(&packet);
    assert_eq!((sent[0].egress, sent[0].ip().source, sent[0].ip().destination), (Egress::Lan(LAN), ROUTER, HOST_A));
    assert_eq!(sent[0].packet[20..22], [11, 0]);
    assert_eq!(sent[0].packet[28..], packet[..]);
    assert_eq!(sent[0].link[..6], MAC_A.0);
    assert_eq!(router.dropped(), [(DropReason::TtlExceeded, 1)]);
    assert_eq!(router.workers[0].counters().flows.value(), 0);
}

#[test]
fn error_from_outside_comes_with_the_hosts_own_packet_inside() {
    let hop = Ipv4Addr::new(198, 51, 100, 9);
    let mut router = Router::with(&engine_config(2, 2));
    for original in [
        udp((HOST_A, 5003), (SERVER, 33_434), b"probe"),
        tcp((HOST_A, 5003), (SERVER, 80), SYN, (5, 0)),
        echo(HOST_A, SERVER, 0x1234, true),
    ] {
        let sent = router.out_one(&original);
        let error = error_about(ErrorKind::TimeExceeded, hop, sent.ip().source, &sent.packet);
        let back = router.send_from_uplink(sent.uplink(), &error);
        assert_eq!(back.len(), 1, "{:?}", router.dropped());
        assert_eq!((back[0].ip().source, back[0].ip().destination), (hop, HOST_A));
        back[0].assert_checksums();
        let mut quoted = back[0].packet[28..].to_vec();
        // All but the time to live (and the sum over it) is what the host has sent; the segment size was not changed.
        assert_eq!(quoted[8] + 1, original[8]);
        quoted[8..12].copy_from_slice(&original[8..12]);
        assert_eq!(quoted, original);
    }
}

#[test]
fn error_neither_ends_nor_refreshes_a_flow() {
    let mut router = Router::new();
    let sent = router.out_one(&udp((HOST_A, 5000), (SERVER, 53), b""));
    let error = error_about(ErrorKind::NetworkUnreachable, SERVER, sent.ip().source, &sent.packet);
    router.wait(Duration::from_secs(200));
    assert_eq!(router.send_from_uplink(sent.uplink(), &error).len(), 1);
    let reply = udp((SERVER, 53), (sent.ip().source, 5000), b"");
    router.wait(Duration::from_secs(100));
    router.assert_dropped(DropReason::NoMapping, |router| router.send_from_uplink(sent.uplink(), &reply));
}

#[test]
fn error_from_the_host_leaves_with_our_address_outside_and_inside() {
    let mut router = Router::with(&engine_config(1, 1));
    router.out_one(&udp((HOST_B, 5000), (SERVER, 53), b""));
    let sent = router.out_one(&udp((HOST_A, 5000), (SERVER, 53), b""));
    let reply = udp((SERVER, 53), (sent.ip().source, sent.ports().0), b"late answer");
    let delivered = router.send_from_uplink(sent.uplink(), &reply).remove(0);
    let error = error_about(ErrorKind::AdministrativelyProhibited, HOST_A, SERVER, &delivered.packet);
    let told = router.out_one(&error);
    assert_eq!((told.ip().source, told.ip().destination), (sent.ip().source, SERVER));
    told.assert_checksums();
    let quoted = Ipv4::parse_quoted(&told.packet[28..]).unwrap();
    assert_eq!((quoted.source, quoted.destination), (SERVER, sent.ip().source));
    assert_eq!(told.packet[50..52], sent.ports().0.to_be_bytes());
}

#[test]
fn bogus_errors_are_dropped_and_leak_nothing() {
    let mut router = Router::new();
    let sent = router.out_one(&udp((HOST_A, 5000), (SERVER, 53), b""));
    let bogus = error_about(ErrorKind::TimeExceeded, HOST_A, SERVER, &udp((SERVER, 9), (HOST_A, 9), b""));
    router.assert_dropped(DropReason::IcmpNoFlow, |router| router.send_from_lan(&bogus));
    let mut broken = error_about(ErrorKind::TimeExceeded, SERVER, sent.ip().source, &sent.packet);
    broken[22] ^= 1;
    router.assert_dropped(DropReason::MalformedIcmpError, |router| router.send_from_uplink(sent.uplink(), &broken));
    let mut inner = sent.packet.clone();
    inner[10] ^= 1;
    let broken = error_about(ErrorKind::TimeExceeded, SERVER, sent.ip().source, &inner);
    router.assert_dropped(DropReason::MalformedIcmpError, |router| router.send_from_uplink(sent.uplink(), &broken));
    let short = error_about(ErrorKind::TimeExceeded, SERVER, sent.ip().source, &sent.packet[..27]);
    router.assert_dropped(DropReason::MalformedIcmpError, |router| router.send_from_uplink(sent.uplink(), &short));
    let nested = error_about(ErrorKind::TimeExceeded, SERVER, sent.ip().source, &bogus);
    router.assert_dropped(DropReason::IcmpNoFlow, |router| router.send_from_uplink(sent.uplink(), &nested));
    let redirect = {
        let mut packet = error_about(ErrorKind::TimeExceeded, SERVER, sent.ip().source, &sent.packet);
        packet[20] = 5;
        packet
    };
    router.assert_dropped(DropReason::IcmpUnsupported, |router| router.send_from_uplink(sent.uplink(), &redirect));
}
