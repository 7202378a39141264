//! Long transfers on full lines: which of their packets are taken, and that nobody else's are.

use super::*;
use crate::placement::{Knowledge, Rates};

/// A round trip with a queue, when the line carries what it can; with one that is somebody else's; without.
const FULL: Duration = Duration::from_millis(22);
const SLOW: Duration = Duration::from_millis(60);
const QUICK: Duration = Duration::from_millis(10);
/// Segments that come in one.
const FLIGHT: u32 = 40;
const SEGMENT: u32 = 1_400;

/// ECN's two bits: the sender can be told, and is told.
const CAPABLE: u8 = 0b10;
const CONGESTED: u8 = 0b11;

/// A download over the first line, by a host and a server whose segments have time stamps.
struct Download {
    router: Router,
    port: u16,
    external: (Ipv4Addr, u16),
    received: u32,
    ecn: u8,
    /// Segments that did not come, and that came with a mark.
    lost: u32,
    marked: u32,
}

fn stamped(
    (source, source_port): (Ipv4Addr, u16),
    to: (Ipv4Addr, u16),
    numbers: (u32, u32),
    stamps: (u32, u32),
    payload: usize,
    ecn: u8,
) -> Vec<u8> {
    let (value, echo) = stamps;
    let mut options = vec![1, 1, 8, 10];
    options.extend(value.to_be_bytes());
    options.extend(echo.to_be_bytes());
    let builder = PacketBuilder::ipv4(source.octets(), to.0.octets(), 64)
        .tcp(source_port, to.1, numbers.0, 60_000)
        .ack(numbers.1)
        .options_raw(&options)
        .unwrap();
    let mut packet = Vec::new();
    builder.write(&mut packet, &vec![7; payload]).unwrap();
    packet[1] |= ecn;
    let header = etherparse::Ipv4HeaderSlice::from_slice(&packet).unwrap().to_header();
    packet[10..12].copy_from_slice(&header.calc_header_checksum().to_be_bytes());
    packet
}

impl Download {
    /// Over a line that can do 20 Mbit/s, as is known, or is not.
    fn begin(keeps_short: bool) -> Self {
        let mut router = Router::new();
        let capacity = Rates { download: 20_000, upload: 0 };
        router.workers[0]
            .load
            .set_knowledge(UplinkId(0), Knowledge { capacity, speed: capacity, keeps_short, ..Knowledge::default() });
        let port = 5_000;
        let sent = router.out_one(&tcp((HOST_A, port), (SERVER, 80), SYN, (100, 0)));
        assert_eq!(sent.uplink(), UplinkId(0), "the other can do nothing");
        let external = (sent.ip().source, sent.ports().0);
        router.send_from_uplink(UplinkId(0), &tcp((SERVER, 80), external, SYN_ACK, (900, 101)));
        router.out_one(&tcp((HOST_A, port), (SERVER, 80), ACK, (101, 901)));
        Self { router, port, external, received: 901, ecn: 0, lost: 0, marked: 0 }
    }

    /// A flight of segments, and what the host says to each. What does not come is sent again.
    fn round_trip(&mut self, span: Duration) {
        let start = self.router.now;
        for at in 0..FLIGHT {
            let clock = u32::try_from(self.router.now.as_millis()).unwrap();
            let echo = clock.wrapping_sub(u32::try_from(span.as_millis()).unwrap());
            let segment = |download: &Self| {
                stamped(
                    (SERVER, 80),
                    download.external,
                    (download.received, 101),
                    (9, echo),
                    SEGMENT as usize,
                    download.ecn,
                )
            };
            let mut came = self.router.send_from_uplink(UplinkId(0), &segment(self));
            while came.is_empty() {
                self.lost += 1;
                came = self.router.send_from_uplink(UplinkId(0), &segment(self));
            }
            came[0].assert_checksums();
            self.marked += u32::from(came[0].packet[1] & CONGESTED == CONGESTED);
            self.received += SEGMENT;
            let answer = stamped((HOST_A, self.port), (SERVER, 80), (101, self.received), (clock, 9), 0, 0);
            self.router.out_one(&answer);
            self.router.now = start + span * (at + 1) / FLIGHT;
            self.router.workers[0].handle_timeout(self.router.now, &mut self.router.out);
        }
    }

    fn run(&mut self, times: u32, span: Duration) -> u32 {
        let before = self.lost;
        (0..times).for_each(|_| self.round_trip(span));
        self.lost - before
    }
}

fn repeated(router: &Router) -> u64 {
    router.workers[0].counters().uplink(UplinkId(0)).in_repeated.value()
}

#[test]
fn transfer_that_keeps_a_full_line_waiting_loses_packets_that_count_as_nobodys_loss() {
    let mut download = Download::begin(true);
    assert_eq!(download.run(30, QUICK), 0, "nobody waits");
    assert!(download.run(60, FULL) > 3);
    let dropped = download.router.dropped();
    assert!(dropped.iter().all(|(reason, _)| *reason == DropReason::QueueKeptShort), "{dropped:?}");
    assert_eq!(repeated(&download.router), 0, "the line has lost nothing");
}

#[test]
fn sender_that_can_be_told_of_congestion_is_told_and_loses_nothing() {
    let mut download = Download::begin(true);
    download.ecn = CAPABLE;
    download.run(30, QUICK);
    assert_eq!(download.run(60, FULL), 0);
    assert!(download.marked > 3);
}

#[test]
fn line_that_is_not_full_or_not_known_is_let_be() {
    let mut slow = Download::begin(true);
    slow.run(30, QUICK);
    // Until the line's rate is measured again.
    slow.run(10, SLOW);
    assert_eq!(slow.run(40, SLOW), 0, "7 of 20 Mbit/s: the queue is somebody else's");
    let mut unknown = Download::begin(false);
    unknown.run(30, QUICK);
    assert_eq!(unknown.run(60, FULL), 0);
}
