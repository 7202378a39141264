//! Lines by PPPoE: what the concentrator sees of them, and what it can do to us.

use super::*;
use crate::wire::pppoe::{LINK_LENGTH, SessionHeader, SessionId, session_header};
use crate::wire::{Checksum, Segmentation, checksum};

const CONCENTRATOR: MacAddress = MacAddress([2, 0, 0, 2, 0, 1]);
const OWN: MacAddress = MacAddress([2, 0, 0, 2, 0, 2]);
const MTU: u16 = 1_492;

fn session() -> SessionId {
    SessionId::new(0x1234).unwrap()
}

/// A router whose first line is by PPPoE.
fn router() -> Router {
    let mut router = Router::with(&engine_config(1, 1));
    let uplink = &mut router.snapshot.uplinks[0];
    (uplink.mtu, uplink.next_hop) =
        (MTU, Some(NextHop::Pppoe { concentrator: CONCENTRATOR, own: OWN, session: session() }));
    router
}

fn external() -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, 2)
}

/// A packet in a frame of the session, as its port receives it.
fn framed(packet: &[u8]) -> PacketBuffer {
    let mut buffer = PacketBuffer::new();
    buffer.fill(packet);
    buffer.set_link_header(&session_header((OWN, CONCENTRATOR), session(), packet.len()));
    buffer
}

fn receive(router: &mut Router, frame: PacketBuffer) -> Vec<Sent> {
    router.workers[0].handle_uplink(router.now, &router.snapshot, UplinkId(0), &mut vec![frame], &mut router.out);
    router.collect()
}

/// The header of what was sent, read, after a look at both addresses.
fn header_of(sent: &Sent) -> SessionHeader {
    let header: [u8; LINK_LENGTH] = sent.link[..].try_into().expect("a session's header");
    assert_eq!((&header[..6], &header[6..12]), (&CONCENTRATOR.0[..], &OWN.0[..]));
    SessionHeader::parse(&header, sent.packet.len()).expect("a sound header")
}

#[test]
fn packets_leave_in_the_session_and_come_back_out_of_it() {
    let mut router = router();
    let sent = router.out_one(&udp((HOST_A, 5_000), (SERVER, 53), b"question"));
    let header = header_of(&sent);
    assert_eq!((header.session, header.protocol, header.length), (0x1234, 0x0021, sent.packet.len()));
    sent.assert_checksums();
    let mut answer = udp((SERVER, 53), (external(), sent.ports().0), b"answer");
    let length = answer.len();
    // Ethernet pads.
    answer.extend([0xee; 12]);
    let mut frame = framed(&answer);
    frame.set_link_header(&session_header((OWN, CONCENTRATOR), session(), length));
    let back = receive(&mut router, frame);
    assert_eq!((back.len(), back[0].egress, back[0].packet.len()), (1, Egress::Lan(LAN), length));
    assert_eq!((back[0].link.len(), &back[0].link[12..]), (14, &[8_u8, 0][..]));
    back[0].assert_checksums();
}

#[test]
fn unfinished_checksum_is_finished_before_the_header_is_put_on() {
    let mut router = router();
    let mut packet = udp((HOST_A, 5_000), (SERVER, 53), b"unfinished");
    let pseudo = checksum::pseudo_header_v4(HOST_A, SERVER, 17, 18);
    packet[26..28].copy_from_slice(&checksum::unfinished(pseudo).to_be_bytes());
    let mut frame = Router::framed(&packet, MAC_A);
    frame.vnet.checksum = Checksum::Unfinished { start: 20, offset: 6 };
    let sent = router.lan_frame(frame);
    assert_eq!((sent.len(), sent[0].vnet), (1, VnetHeader::default()));
    sent[0].assert_checksums();
}

#[test]
fn tcp_super_packet_is_left_whole_for_its_port_to_cut() {
    let mut router = router();
    let syn = router.out_one(&tcp((HOST_A, 5_000), (SERVER, 80), SYN, (1_000, 0)));
    // The segment size that the server learns: what fits the line.
    assert_eq!(syn.packet[40..44], [2, 4, 0x05, 0xac]);
    let port = syn.ports().0;
    receive(&mut router, framed(&tcp((SERVER, 80), (external(), port), SYN_ACK, (9_000, 1_001))));
    router.out_one(&tcp((HOST_A, 5_000), (SERVER, 80), ACK, (1_001, 9_001)));
    let payload: Vec<u8> = (0..10_000_u32).map(|byte| (byte % 251) as u8).collect();
    let mut whole = tcp((HOST_A, 5_000), (SERVER, 80), 0x18, (1_001, 9_001));
    whole.extend(&payload);
    let length = u16::try_from(whole.len()).unwrap();
    whole[2..4].copy_from_slice(&length.to_be_bytes());
    crate::wire::ipv4::write_checksum(&mut whole, 20);
    let mut frame = Router::framed(&whole, MAC_A);
    frame.vnet.segmentation = Segmentation::Tcp4 { size: 1_452, ecn: false };
    frame.vnet.checksum = Checksum::Unfinished { start: 20, offset: 16 };
    let vnet = frame.vnet;
    let sent = router.lan_frame(frame);
    assert_eq!((sent.len(), sent[0].vnet, sent[0].link.len()), (1, vnet, LINK_LENGTH));
    assert_eq!((sent[0].ports().0, sent[0].packet[40..] == payload), (port, true));
    assert_eq!(header_of(&sent[0]).session, 0x1234);
}

#[test]
fn udp_super_packet_and_long_datagram_leave_in_pieces_that_fit() {
    let mut router = router();
    let whole = udp((HOST_A, 5_000), (SERVER, 53), &[7; 3_000]);
    let mut frame = Router::framed(&whole, MAC_A);
    frame.vnet.segmentation = Segmentation::Udp { size: 1_000 };
    let datagrams = router.lan_frame(frame);
    assert_eq!(datagrams.len(), 3);
    datagrams.iter().for_each(Sent::assert_checksums);
    let mut long = udp((HOST_A, 5_000), (SERVER, 53), &[7; 1_470]);
    // May be fragmented.
    long[6] = 0;
    crate::wire::ipv4::write_checksum(&mut long, 20);
    let fragments = router.send_from_lan(&long);
    assert_eq!(fragments.len(), 2);
    for piece in datagrams.iter().chain(&fragments) {
        assert!(piece.packet.len() <= usize::from(MTU) && header_of(piece).length == piece.packet.len());
    }
}

#[test]
fn frames_that_are_not_the_sessions_are_counted_and_dropped() {
    use DropReason::*;
    let mut router = router();
    let port = router.out_one(&udp((HOST_A, 5_000), (SERVER, 53), b"question")).ports().0;
    let answer = udp((SERVER, 53), (external(), port), b"answer");
    let changed = |at: usize, value: u8| {
        let mut frame = framed(&answer);
        let mut header = frame.link_header().to_vec();
        header[at] = value;
        frame.set_link_header(&header);
        frame
    };
    let cases = [
        (ForeignSession, changed(17, 0x35)),
        (ForeignSession, changed(11, 9)),
        (MalformedSession, changed(14, 0x12)),
        (MalformedSession, changed(15, 1)),
        (MalformedSession, changed(18, 1)),
        (Ipv6, changed(21, 0x57)),
        (NotIp, changed(21, 0x2b)),
        (OutsideSession, changed(13, 0)),
        (OutsideSession, changed(13, 6)),
    ];
    for (reason, frame) in cases {
        router.assert_dropped(reason, |router| receive(router, frame));
    }
    // A length that cuts the packet is the packet's problem.
    let mut short = framed(&answer);
    short.set_link_header(&session_header((OWN, CONCENTRATOR), session(), 19));
    router.assert_dropped(MalformedIp, |router| receive(router, short));
    // Without a session, nothing is its own.
    router.snapshot.uplinks[0].next_hop = None;
    router.assert_dropped(ForeignSession, |router| receive(router, framed(&answer)));
    router.assert_dropped(UplinkDown, |router| router.send_from_lan(&udp((HOST_A, 5_000), (SERVER, 53), b"again")));
}

#[test]
fn discovery_and_control_of_any_session_are_the_daemons_as_they_came() {
    let mut router = router();
    for (ethertype, protocol) in [(0x8863_u16, 0x0101_u16), (0x8864, 0xc021), (0x8864, 0x8021), (0x8864, 0xc223)] {
        let mut header = session_header((OWN, CONCENTRATOR), SessionId::new(9).unwrap(), 6);
        header[12..14].copy_from_slice(&ethertype.to_be_bytes());
        header[20..].copy_from_slice(&protocol.to_be_bytes());
        let mut frame = PacketBuffer::new();
        frame.fill(b"config");
        frame.set_link_header(&header);
        assert!(receive(&mut router, frame).is_empty());
        let (uplink, frame) = router.out.daemon.pop().expect("the daemon gets it");
        assert_eq!((uplink, frame.frame()), (UplinkId(0), &[&header[..], b"config"].concat()[..]));
    }
    assert_eq!(router.dropped(), []);
}
