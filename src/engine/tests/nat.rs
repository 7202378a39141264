//! Mappings, ports, placement and TCP.

use super::*;

#[test]
fn udp_goes_out_with_its_port_and_the_reply_comes_back_to_the_hosts_mac() {
    let mut router = Router::new();
    let sent = router.out_one(&udp((HOST_A, 5000), (SERVER, 53), b"query"));
    let (uplink, external) = (sent.uplink(), sent.ip().source);
    assert_eq!(external, Ipv4Addr::new(10, 77, uplink.0, 2));
    assert_eq!((sent.ports(), sent.ip().ttl), ((5000, 53), 63));
    assert_eq!(sent.link[..6], [2, 0, 0, 1, uplink.0, 1]);
    sent.assert_checksums();
    let back = router.send_from_uplink(uplink, &udp((SERVER, 53), (external, 5000), b"answer"));
    assert_eq!(back.len(), 1);
    assert_eq!((back[0].egress, back[0].ip().destination), (Egress::Lan(LAN), HOST_A));
    assert_eq!(back[0].link[..6], MAC_A.0);
    back[0].assert_checksums();
}

#[test]
fn one_endpoint_has_one_mapping_whatever_the_destination() {
    let mut router = Router::new();
    let first = router.out_one(&udp((HOST_A, 5000), (SERVER, 53), b""));
    for remote in [(SERVER, 54), (OTHER_SERVER, 53), (OTHER_SERVER, 9)] {
        let next = router.out_one(&udp((HOST_A, 5000), remote, b""));
        assert_eq!((next.uplink(), next.ip().source, next.ports().0), (first.uplink(), first.ip().source, 5000));
    }
}

#[test]
fn two_hosts_with_one_port_do_not_share_it() {
    let mut router = Router::with(&engine_config(1, 1));
    let first = router.out_one(&tcp((HOST_A, 40_000), (SERVER, 80), SYN, (1, 0)));
    let second = router.out_one(&tcp((HOST_B, 40_000), (SERVER, 80), SYN, (1, 0)));
    assert_eq!(first.ports().0, 40_000);
    assert_ne!(second.ports().0, 40_000);
    assert!(second.ports().0 >= 1024);
    second.assert_checksums();
    let answer = tcp((SERVER, 80), (second.ip().source, second.ports().0), SYN_ACK, (9, 2));
    let back = router.send_from_uplink(second.uplink(), &answer);
    assert_eq!((back[0].ip().destination, back[0].ports().1), (HOST_B, 40_000));
}

#[test]
fn low_port_stays_low() {
    let mut router = Router::with(&engine_config(1, 1));
    router.out_one(&udp((HOST_A, 123), (SERVER, 123), b""));
    let second = router.out_one(&udp((HOST_B, 123), (SERVER, 123), b""));
    assert!(second.ports().0 < 1024 && second.ports().0 != 123);
}

#[test]
fn flows_spread_over_both_lines_and_never_move() {
    let mut router = Router::new();
    let first: Vec<_> = (0..20).map(|n| router.out_one(&udp((HOST_A, 6000 + n), (SERVER, 53), b"")).uplink()).collect();
    assert_eq!(first.iter().filter(|uplink| uplink.0 == 0).count(), 10);
    router.snapshot.uplinks[0].availability = Availability::NoCarrier;
    for (n, uplink) in (0..).zip(&first) {
        assert_eq!(router.out_one(&udp((HOST_A, 6000 + n), (SERVER, 53), b"")).uplink(), *uplink);
    }
    for n in 0..20 {
        assert_eq!(router.out_one(&udp((HOST_A, 7000 + n), (SERVER, 53), b"")).uplink(), UplinkId(1));
    }
    // A new flow of a mapping whose line is down gets a mapping on another line; the old flow stays.
    let (down, _) = (0..).zip(&first).find(|(_, uplink)| uplink.0 == 0).unwrap();
    assert_eq!(router.out_one(&udp((HOST_A, 6000 + down), (OTHER_SERVER, 53), b"")).uplink(), UplinkId(1));
    assert_eq!(router.out_one(&udp((HOST_A, 6000 + down), (SERVER, 53), b"")).uplink(), UplinkId(0));
}

#[test]
fn no_line_is_told_to_the_host_and_nothing_leaks() {
    let mut router = Router::new();
    router.snapshot.uplinks.iter_mut().for_each(|uplink| uplink.next_hop = None);
    let sent = router.send_from_lan(&udp((HOST_A, 5000), (SERVER, 53), b""));
    assert_eq!(sent.len(), 1);
    assert_eq!((sent[0].egress, &sent[0].packet[20..22]), (Egress::Lan(LAN), &[3_u8, 0][..]));
    assert_eq!(router.dropped(), [(DropReason::NoUplink, 1)]);
}

#[test]
fn exhausted_ports_are_told_and_live_mappings_stay() {
    let mut config = engine_config(1, 1);
    config.flows = 70_000;
    let mut router = Router::with(&config);
    // All but the DHCP client's own.
    for port in (1..1024).filter(|port| *port != 68) {
        router.out_one(&udp((HOST_A, port), (SERVER, 53), b""));
    }
    let sent = router.send_from_lan(&udp((HOST_B, 500), (SERVER, 53), b""));
    assert_eq!(sent[0].packet[20..22], [3, 13]);
    assert_eq!(router.dropped(), [(DropReason::NoPort, 1)]);
    assert_eq!(router.out_one(&udp((HOST_A, 500), (SERVER, 53), b"")).ports().0, 500);
}

#[test]
fn stranger_is_filtered_and_let_in_where_the_setting_says_so() {
    let mut router = Router::new();
    let sent = router.out_one(&udp((HOST_A, 5000), (SERVER, 53), b""));
    let stranger = udp((OTHER_SERVER, 53), (sent.ip().source, 5000), b"");
    router.assert_dropped(DropReason::Filtered, |router| router.send_from_uplink(sent.uplink(), &stranger));
    let mut config = engine_config(1, 2);
    config.settings.filtering = Filtering::EndpointIndependent;
    let mut router = Router::with(&config);
    let sent = router.out_one(&udp((HOST_A, 5000), (SERVER, 53), b""));
    let let_in = router.send_from_uplink(sent.uplink(), &stranger);
    assert_eq!((let_in[0].egress, let_in[0].ip().destination), (Egress::Lan(LanId::TUN), HOST_A));
    let answer = router.out_one(&udp((HOST_A, 5000), (OTHER_SERVER, 53), b""));
    assert_eq!((answer.uplink(), answer.ports().0), (sent.uplink(), 5000));
    assert_eq!(router.send_from_uplink(sent.uplink(), &stranger)[0].link[..6], MAC_A.0);
}

#[test]
fn reply_over_another_line_is_not_taken() {
    let mut router = Router::new();
    let sent = router.out_one(&udp((HOST_A, 5000), (SERVER, 53), b""));
    let other = UplinkId(1 - sent.uplink().0);
    let to_other = udp((SERVER, 53), (Ipv4Addr::new(10, 77, other.0, 2), 5000), b"");
    router.assert_dropped(DropReason::NoMapping, |router| router.send_from_uplink(other, &to_other));
}

#[test]
fn udp_mapping_lives_five_minutes_and_its_port_rests_two_more() {
    let mut router = Router::with(&engine_config(1, 1));
    let sent = router.out_one(&udp((HOST_A, 5000), (SERVER, 53), b""));
    let reply = udp((SERVER, 53), (sent.ip().source, 5000), b"");
    router.wait(Duration::from_secs(280));
    assert_eq!(router.send_from_uplink(sent.uplink(), &reply).len(), 1);
    router.wait(Duration::from_secs(300));
    router.assert_dropped(DropReason::NoMapping, |router| router.send_from_uplink(sent.uplink(), &reply));
    assert_ne!(router.out_one(&udp((HOST_B, 5000), (SERVER, 53), b"")).ports().0, 5000);
    assert_eq!(router.out_one(&udp((HOST_A, 5000), (SERVER, 53), b"")).ports().0, 5000);
}

#[test]
fn everything_is_forgotten_in_the_end_and_the_worker_sleeps() {
    let mut router = Router::new();
    for port in 5000..5050 {
        router.out_one(&udp((HOST_A, port), (SERVER, 53), b""));
    }
    assert!(router.workers[0].poll_timeout().is_some());
    router.wait(Duration::from_secs(300));
    assert_eq!(router.workers[0].counters().flows.value(), 0);
    router.wait(Duration::from_secs(120));
    assert_eq!(router.workers[0].poll_timeout(), None);
}

#[test]
fn tcp_opens_carries_and_a_stray_segment_makes_nothing() {
    let mut router = Router::new();
    let stray = tcp((HOST_A, 41_000), (SERVER, 80), ACK, (77, 88));
    router.assert_dropped(DropReason::TcpNoConnection, |router| router.send_from_lan(&stray));
    let syn = router.out_one(&tcp((HOST_A, 41_000), (SERVER, 80), SYN, (100, 0)));
    let external = (syn.ip().source, 41_000);
    let back = router.send_from_uplink(syn.uplink(), &tcp((SERVER, 80), external, SYN_ACK, (500, 101)));
    back[0].assert_checksums();
    router.out_one(&tcp((HOST_A, 41_000), (SERVER, 80), ACK, (101, 501))).assert_checksums();
    let page = router.workers[0].list_flows(router.now, &router.snapshot, &FlowFilter::default(), 0);
    assert_eq!((page.flows.len(), page.flows[0].state, page.next), (1, FlowState::Established, None));
    assert_eq!((page.flows[0].out.0, page.flows[0].back.0), (2, 1));
    let blind = tcp((SERVER, 80), external, 0x04, (900_000_000, 0));
    router.assert_dropped(DropReason::TcpOutOfWindow, |router| router.send_from_uplink(syn.uplink(), &blind));
}

#[test]
fn segment_size_is_clamped_to_the_narrow_line() {
    let mut router = Router::new();
    router.snapshot.uplinks.iter_mut().for_each(|uplink| uplink.mtu = 1400);
    let syn = router.out_one(&tcp((HOST_A, 41_000), (SERVER, 80), SYN, (100, 0)));
    assert_eq!(syn.packet[42..44], 1360_u16.to_be_bytes());
    syn.assert_checksums();
}

#[test]
fn narrow_line_is_told_or_the_packet_cut() {
    let mut router = Router::new();
    router.snapshot.uplinks.iter_mut().for_each(|uplink| uplink.mtu = 1400);
    let mut packet = udp((HOST_A, 5000), (SERVER, 53), &[7; 1472]);
    let pieces = router.send_from_lan(&{
        packet[6] = 0;
        crate::wire::ipv4::write_checksum(&mut packet, 20);
        packet.clone()
    });
    assert_eq!(pieces.len(), 2);
    assert!(pieces.iter().all(|piece| piece.packet.len() <= 1400 && piece.link.len() == 14));
    packet[6] = 0x40;
    crate::wire::ipv4::write_checksum(&mut packet, 20);
    let sent = router.send_from_lan(&packet);
    assert_eq!((sent[0].egress, &sent[0].packet[20..22]), (Egress::Lan(LAN), &[3_u8, 4][..]));
    assert_eq!(sent[0].packet[26..28], 1400_u16.to_be_bytes());
    assert_eq!(router.dropped(), [(DropReason::TooBig, 1)]);
}

#[test]
fn udp_super_packet_is_cut_into_datagrams_and_fragments_for_a_narrow_line() {
    use crate::wire::{Checksum, Segmentation};
    let mut router = Router::new();
    router.snapshot.uplinks.iter_mut().for_each(|uplink| uplink.mtu = 1400);
    let mut packet = udp((HOST_A, 5000), (SERVER, 53), &[7; 1460 * 3 + 100]);
    packet[6] = 0;
    crate::wire::ipv4::write_checksum(&mut packet, 20);
    let mut frame = Router::framed(&packet, MAC_A);
    frame.vnet.segmentation = Segmentation::Udp { size: 1460 };
    frame.vnet.checksum = Checksum::Complete;
    let pieces = router.lan_frame(frame);
    assert_eq!(pieces.len(), 3 * 2 + 1);
    assert!(pieces.iter().all(|piece| piece.packet.len() <= 1400 && piece.link.len() == 14));
    pieces[6].assert_checksums();
    let identifications: std::collections::BTreeSet<_> = pieces.iter().map(|piece| piece.ip().identification).collect();
    assert_eq!(identifications.len(), 4);
    let together: usize = pieces.iter().map(|piece| piece.packet.len() - 20).sum();
    assert_eq!(together, 1460 * 3 + 100 + 4 * 8);
}

#[test]
fn new_connection_on_old_ports_leaves_a_dead_line() {
    let mut router = Router::new();
    let syn = tcp((HOST_A, 41_000), (SERVER, 80), SYN, (100, 0));
    let first = router.out_one(&syn);
    let reset = tcp((SERVER, 80), (first.ip().source, 41_000), 0x14, (0, 101));
    assert_eq!(router.send_from_uplink(first.uplink(), &reset).len(), 1);
    router.snapshot.uplinks[first.uplink().index()].availability = Availability::NoCarrier;
    let second = router.out_one(&tcp((HOST_A, 41_000), (SERVER, 80), SYN, (90_000, 0)));
    assert_ne!(second.uplink(), first.uplink());
}

#[test]
fn fragments_in_any_order_go_out_under_one_port() {
    let mut router = Router::with(&engine_config(2, 1));
    router.out_one(&udp((HOST_B, 5002), (SERVER, 53), b""));
    let mut packet = udp((HOST_A, 5002), (SERVER, 53), &[7; 3000]);
    packet[6] = 0;
    crate::wire::ipv4::write_checksum(&mut packet, 20);
    let mut pieces = Vec::new();
    let header = Ipv4::parse(&packet).unwrap();
    crate::wire::fragmentation::fragment(&packet, &header, 1500, PacketBuffer::new, |piece| {
        pieces.push(piece.packet().to_vec());
    });
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
        for piece in &mut pieces {
            piece[5] += 1;
            crate::wire::ipv4::write_checksum(piece, 20);
        }
        let sent: Vec<Sent> = order.iter().flat_map(|&at| router.send_from_lan(&pieces[at])).collect();
        assert_eq!(sent.len(), 3, "{:?}", router.dropped());
        let mut payload = vec![0; 3008];
        for piece in &sent {
            let at = usize::from(piece.ip().fragment.unwrap().offset);
            payload[at..at + piece.packet.len() - 20].copy_from_slice(&piece.packet[20..]);
        }
        let mut whole = sent[0].packet[..20].to_vec();
        whole[2..4].copy_from_slice(&3028_u16.to_be_bytes());
        whole[6..8].fill(0);
        crate::wire::ipv4::write_checksum(&mut whole, 20);
        whole.extend(payload);
        let whole = Sent { egress: sent[0].egress, packet: whole, link: Vec::new(), vnet: VnetHeader::default() };
        whole.assert_checksums();
        assert_ne!(whole.ports().0, 5002);
    }
}

#[test]
fn hosts_meet_by_their_external_addresses() {
    let mut config = engine_config(2, 1);
    config.settings.filtering = Filtering::EndpointIndependent;
    let mut router = Router::with(&config);
    let b = router.out_one(&udp((HOST_B, 7001), (SERVER, 53), b""));
    let a_to_b = router.send_from_lan(&udp((HOST_A, 5000), (b.ip().source, b.ports().0), b"hello"));
    assert_eq!(a_to_b.len(), 1, "{:?}", router.dropped());
    assert_eq!((a_to_b[0].ip().destination, a_to_b[0].ports().1), (HOST_B, 7001));
    assert_eq!((a_to_b[0].ip().source, a_to_b[0].ports().0), (b.ip().source, 5000));
    a_to_b[0].assert_checksums();
    let b_to_a = router.send_from_lan(&udp((HOST_B, 7001), (b.ip().source, 5000), b"hello"));
    assert_eq!((b_to_a[0].ip().destination, b_to_a[0].ip().source), (HOST_A, b.ip().source));
}

#[test]
fn unfinished_checksum_of_a_super_packet_stays_unfinished_and_right() {
    use crate::wire::{Checksum, Segmentation, checksum};
    let mut router = Router::new();
    router.out_one(&tcp((HOST_A, 41_000), (SERVER, 80), SYN, (100, 0)));
    let external = router.snapshot.uplinks[0].external.unwrap();
    router.send_from_uplink(UplinkId(0), &tcp((SERVER, 80), (external, 41_000), SYN_ACK, (500, 101)));
    let mut packet = tcp((HOST_A, 41_000), (SERVER, 80), ACK, (101, 501));
    packet.extend([5; 8000]);
    packet[2..4].copy_from_slice(&8040_u16.to_be_bytes());
    crate::wire::ipv4::write_checksum(&mut packet, 20);
    let pseudo = |source| checksum::unfinished(checksum::pseudo_header_v4(source, SERVER, 6, 8020)).to_be_bytes();
    packet[36..38].copy_from_slice(&pseudo(HOST_A));
    let mut frame = Router::framed(&packet, MAC_A);
    frame.vnet.checksum = Checksum::Unfinished { start: 20, offset: 16 };
    frame.vnet.segmentation = Segmentation::Tcp4 { size: 1460, ecn: false };
    let sent = router.lan_frame(frame);
    assert_eq!(sent[0].packet[36..38], pseudo(external));
    assert_eq!(sent[0].vnet.segmentation, Segmentation::Tcp4 { size: 1460, ecn: false });
    assert_eq!(router.workers[0].counters().uplink(UplinkId(0)).out_packets.value(), 1 + 6);
}

#[test]
fn every_worker_owns_the_replies_of_its_flows() {
    let mut router = Router::with(&engine_config(2, 2));
    for port in 30_000..30_040 {
        let sent = router.out_one(&udp((HOST_A, port), (SERVER, 53), b""));
        let reply = udp((SERVER, 53), (sent.ip().source, sent.ports().0), b"");
        assert_eq!(router.send_from_uplink(sent.uplink(), &reply).len(), 1, "port {port}");
    }
    let flows: Vec<u64> = router.workers.iter().map(|worker| worker.counters().flows.value()).collect();
    assert_eq!(flows, [20, 20]);
}
