//! What a line counts as busy with, and who gets which line by it.

use super::*;

const FIN_ACK: u8 = 0x11;

impl Router {
    fn transfers(&self) -> [u32; 2] {
        [0, 1].map(|id| self.workers[0].load.transfers(UplinkId(id)))
    }

    /// Lets the worker look at its transfers a few times.
    fn look(&mut self, times: u32) {
        for _ in 0..times {
            self.now = self.now + Duration::from_millis(250);
            self.workers[0].handle_timeout(self.now, &mut self.out);
        }
    }
}

/// A download by HOST_A from `port` on, on a line that placement has chosen.
struct Download {
    port: u16,
    line: UplinkId,
    external: Ipv4Addr,
    received: u32,
}

impl Download {
    fn begin(router: &mut Router, port: u16) -> Self {
        let sent = router.out_one(&tcp((HOST_A, port), (SERVER, 80), SYN, (100, 0)));
        let (line, external) = (sent.uplink(), sent.ip().source);
        router.send_from_uplink(line, &tcp((SERVER, 80), (external, port), SYN_ACK, (900, 101)));
        router.out_one(&tcp((HOST_A, port), (SERVER, 80), ACK, (101, 901)));
        Self { port, line, external, received: 901 }
    }

    /// A full segment to the host, and its acknowledgement.
    fn go_on(&mut self, router: &mut Router, segments: u32) {
        for _ in 0..segments {
            let mut segment = tcp((SERVER, 80), (self.external, self.port), ACK, (self.received, 101));
            segment.extend([7; 1_400]);
            let length = u16::try_from(segment.len()).unwrap();
            segment[2..4].copy_from_slice(&length.to_be_bytes());
            let header = etherparse::Ipv4HeaderSlice::from_slice(&segment).unwrap().to_header();
            segment[10..12].copy_from_slice(&header.calc_header_checksum().to_be_bytes());
            assert_eq!(router.send_from_uplink(self.line, &segment).len(), 1, "{:?}", router.dropped());
            self.received += 1_400;
            router.out_one(&tcp((HOST_A, self.port), (SERVER, 80), ACK, (101, self.received)));
        }
    }

    fn end(&self, router: &mut Router) {
        let far = (SERVER, 80);
        router.send_from_uplink(self.line, &tcp(far, (self.external, self.port), FIN_ACK, (self.received, 101)));
        router.out_one(&tcp((HOST_A, self.port), far, FIN_ACK, (101, self.received + 1)));
    }
}

#[test]
fn connection_counts_while_it_moves_bytes() {
    let mut router = Router::new();
    let mut download = Download::begin(&mut router, 5_000);
    let line = download.line.index();
    for _ in 0..5 {
        download.go_on(&mut router, 4);
        router.look(1);
        assert_eq!(router.transfers()[line], 1);
    }
    router.look(2);
    assert_eq!(router.transfers(), [0, 0], "it has nothing to say");
    download.go_on(&mut router, 32);
    assert_eq!(router.transfers()[line], 1, "it goes on");
    download.end(&mut router);
    assert_eq!(router.transfers(), [0, 0], "both have said that it is over");
    router.look(4);
    assert_eq!(router.transfers(), [0, 0]);
}

#[test]
fn new_flows_avoid_the_line_that_is_busy_not_the_one_that_remembers_much() {
    let mut router = Router::new();
    let mut bulk = Download::begin(&mut router, 5_000);
    let other = UplinkId(1 - bulk.line.0);
    for port in 6_000..6_010 {
        let quick = Download::begin(&mut router, port);
        assert_eq!(quick.line, other, "port {port}");
        quick.end(&mut router);
        bulk.go_on(&mut router, 8);
    }
    assert_eq!(router.workers[0].load.flows(other), 10);
}

#[test]
fn flows_that_are_no_transfers_spread_by_number() {
    let mut router = Router::new();
    for port in 6_000..6_010 {
        router.out_one(&udp((HOST_A, port), (SERVER, 53), b"question"));
    }
    assert_eq!([0, 1].map(|id| router.workers[0].load.flows(UplinkId(id))), [5, 5]);
    assert_eq!(router.transfers(), [0, 0]);
}

#[test]
fn transfer_that_expires_or_whose_line_is_left_counts_no_more() {
    let mut router = Router::new();
    for port in 5_000..5_006 {
        Download::begin(&mut router, port).go_on(&mut router, 4);
    }
    assert_eq!(router.transfers(), [3, 3]);
    while let Some(_more) = router.workers[0].forget_flows(router.now, UplinkId(0), 0) {}
    assert_eq!(router.transfers(), [0, 3]);
    router.wait(Duration::from_secs(7_500));
    assert_eq!(router.transfers(), [0, 0]);
}
