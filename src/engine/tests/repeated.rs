//! Data that hosts and far ends send again, as lines' health is told of it.

use super::*;
use crate::engine::counters::{UplinkCounters, far_end_group};
use crate::wire::Segmentation;

const LINE: UplinkId = UplinkId(0);

fn router() -> Router {
    Router::with(&engine_config(1, 1))
}

/// A segment with so many bytes of data.
fn data(from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), numbers: (u32, u32), length: usize) -> Vec<u8> {
    let mut header = etherparse::TcpHeader::new(from.1, to.1, numbers.0, 65_535);
    (header.acknowledgment_number, header.ack) = (numbers.1, true);
    let mut packet = Vec::new();
    let builder = PacketBuilder::ipv4(from.0.octets(), to.0.octets(), 64).tcp_header(header);
    builder.write(&mut packet, &vec![7; length]).unwrap();
    packet
}

/// A host's connection to a server, open. Gives the host's port outside.
fn connect(router: &mut Router, port: u16, server: (Ipv4Addr, u16)) -> (Ipv4Addr, u16) {
    let sent = router.out_one(&tcp((HOST_A, port), server, SYN, (100, 0)));
    let outside = (sent.ip().source, sent.ports().0);
    router.send_from_uplink(LINE, &tcp(server, outside, SYN_ACK, (900, 101)));
    router.out_one(&tcp((HOST_A, port), server, ACK, (101, 901)));
    outside
}

fn counted<T>(router: &Router, read: impl Fn(&UplinkCounters) -> T) -> T {
    read(router.workers[0].counters().uplink(LINE))
}

/// Segments out and those sent again, the same in.
fn segments(router: &Router) -> [u64; 4] {
    counted(router, |line| [&line.out_data, &line.out_repeated, &line.in_data, &line.in_repeated].map(Counter::value))
}

/// How often a far end was heard, and how many connections to it are stuck.
fn far_end(router: &Router, address: Ipv4Addr) -> (u64, u64) {
    counted(router, |line| {
        let group = &line.far_ends[far_end_group(address.octets())];
        (group.heard.value(), group.stuck.value())
    })
}

#[test]
fn connection_that_sends_again_in_vain_is_stuck_until_it_is_heard() {
    let mut router = router();
    let (host, server) = ((HOST_A, 5_000), (SERVER, 443));
    let outside = connect(&mut router, 5_000, server);
    assert_eq!((segments(&router), far_end(&router, SERVER)), ([0; 4], (0, 0)), "opening is no data");
    for _ in 0..6 {
        router.out_one(&data(host, server, (101, 901), 700));
    }
    assert_eq!((segments(&router), far_end(&router, SERVER)), ([6, 5, 0, 0], (0, 1)));
    router.send_from_uplink(LINE, &tcp(server, outside, ACK, (901, 801)));
    assert_eq!(far_end(&router, SERVER), (1, 1));
    // What is lost now and then is heard in time.
    for number in 1..10 {
        let sequence = 101 + number * 700;
        router.out_one(&data(host, server, (sequence, 901), 700));
        router.out_one(&data(host, server, (sequence, 901), 700));
        router.send_from_uplink(LINE, &tcp(server, outside, ACK, (901, sequence + 700)));
    }
    assert_eq!((segments(&router), far_end(&router, SERVER)), ([24, 14, 0, 0], (10, 1)));
    assert_ne!(far_end_group(SERVER.octets()), far_end_group(OTHER_SERVER.octets()));
    assert_eq!(far_end(&router, OTHER_SERVER), (0, 0));
}

#[test]
fn what_far_ends_send_again_is_counted_too() {
    let mut router = router();
    let (host, server) = ((HOST_A, 5_000), (SERVER, 443));
    let outside = connect(&mut router, 5_000, server);
    for sequence in [901, 1_601, 901] {
        assert_eq!(router.send_from_uplink(LINE, &data(server, outside, (sequence, 101), 700)).len(), 1);
        router.out_one(&tcp(host, server, ACK, (101, 1_601)));
    }
    assert_eq!(segments(&router), [0, 0, 3, 1]);
}

#[test]
fn super_packet_sent_again_counts_as_its_pieces_and_as_one_repetition() {
    let mut router = router();
    let (host, server) = ((HOST_A, 5_000), (SERVER, 443));
    connect(&mut router, 5_000, server);
    for _ in 0..2 {
        let mut frame = Router::framed(&data(host, server, (101, 901), 4_000), MAC_A);
        frame.vnet.segmentation = Segmentation::Tcp4 { size: 1_000, ecn: false };
        assert_eq!(router.lan_frame(frame).len(), 1);
    }
    assert_eq!((segments(&router), far_end(&router, SERVER)), ([8, 4, 0, 0], (0, 0)));
}
