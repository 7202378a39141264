//! Lines that are lost, and what hosts see of it.

use super::*;
use crate::engine::shortcut::table::{self, ShortcutTable};
use crate::sys::shared_words::SharedWords;

const RST: u8 = 0x04;
const RST_ACK: u8 = 0x14;
const QUIC: u16 = 443;

/// What a whole failing over came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    reset: u32,
    pub(super) told: u32,
    moved: u32,
    rescued: u32,
    sent: usize,
    pages: u32,
    pub(super) kept: bool,
}

impl Router {
    fn movable() -> Self {
        let mut config = engine_config(1, 2);
        config.settings.movable = MovablePorts::new([QUIC, 51_820].map(|port| port.try_into().unwrap()));
        Self::with(&config)
    }

    pub(super) fn lose(&mut self, line: UplinkId) {
        let uplink = &mut self.snapshot.uplinks[line.index()];
        uplink.availability = Availability::NoCarrier;
        uplink.next_hop = None;
        self.snapshot.generation += 1;
    }

    pub(super) fn give_back(&mut self, line: UplinkId) {
        self.snapshot.uplinks[line.index()] = uplink(line.0);
        self.snapshot.generation += 1;
    }

    /// Ends all flows of a line as the daemon does, and gives what hosts got.
    pub(super) fn fail_over(&mut self, line: UplinkId) -> (Told, Vec<Sent>) {
        let (mut told, mut sent, mut cursor) = (Told::default(), Vec::new(), 0);
        loop {
            let page = self.workers[0].fail_over(self.now, &self.snapshot, line, cursor, &mut self.out);
            sent.extend(self.collect());
            told.reset += page.reset;
            told.told += page.told;
            told.moved += page.moved;
            told.rescued += page.rescued;
            told.pages += 1;
            assert!(page.reset + page.told + page.moved + page.rescued <= 128, "{page:?}");
            match page.step {
                FailOverStep::More(next) => cursor = next,
                step => {
                    told.kept = step == FailOverStep::Kept;
                    told.sent = sent.len();
                    return (told, sent);
                }
            }
        }
    }

    /// Lets time pass in small steps, as the shell does.
    fn review(&mut self, span: Duration) -> Vec<Sent> {
        let (end, mut sent) = (self.now + span, Vec::new());
        while self.now < end {
            self.now = self.now + Duration::from_millis(100);
            self.workers[0].review_moves(self.now, &self.snapshot, &mut self.out);
            sent.extend(self.collect());
        }
        sent
    }

    fn flows_on(&self, line: UplinkId) -> u64 {
        self.workers[0].counters().uplink(line).flows.value()
    }
}

fn other(line: UplinkId) -> UplinkId {
    UplinkId(1 - line.0)
}

/// An open connection from the host's port, over which the server has sent `bytes` bytes that the host has not acknowledged.
fn connect(router: &mut Router, port: u16, bytes: usize) -> (UplinkId, Ipv4Addr) {
    let sent = router.out_one(&tcp((HOST_A, port), (SERVER, 80), SYN, (100, 0)));
    let (line, external) = (sent.uplink(), sent.ip().source);
    router.send_from_uplink(line, &tcp((SERVER, 80), (external, port), SYN_ACK, (900, 101)));
    router.out_one(&tcp((HOST_A, port), (SERVER, 80), ACK, (101, 901)));
    if bytes > 0 {
        let header = PacketBuilder::ipv4(SERVER.octets(), external.octets(), 64).tcp(80, port, 901, 1_000).ack(101);
        let mut packet = Vec::new();
        header.write(&mut packet, &vec![7; bytes]).unwrap();
        assert_eq!(router.send_from_uplink(line, &packet).len(), 1);
    }
    (line, external)
}

/// Port of source, sequence and acknowledgement number, and flags of a segment to the host.
fn segment(sent: &Sent) -> (u16, u32, u32, u8) {
    assert_eq!((sent.egress, sent.ip().source, sent.ip().destination), (Egress::Lan(LAN), SERVER, HOST_A));
    assert_eq!(sent.link[..6], MAC_A.0);
    sent.assert_checksums();
    let tcp = Tcp::parse(&sent.packet[20..]).unwrap();
    (tcp.source_port, tcp.segment.sequence, tcp.segment.acknowledgement, tcp.segment.flags.0)
}

#[test]
fn open_connection_of_a_lost_line_is_reset_for_its_host() {
    let mut router = Router::new();
    let (line, _) = connect(&mut router, 5_000, 0);
    router.lose(line);
    let (told, sent) = router.fail_over(line);
    assert_eq!(told, Told { reset: 1, sent: 1, pages: 1, ..Told::default() });
    assert_eq!(segment(&sent[0]), (80, 901, 101, RST_ACK));
    assert_eq!(router.workers[0].counters().uplink(line).flows_reset.value(), 1);
    assert_eq!((router.flows_on(line), router.workers[0].counters().flows.value()), (0, 0));
    assert_eq!(router.fail_over(line).0, Told { pages: 1, ..Told::default() }, "once is enough");
}

#[test]
fn host_with_data_on_the_way_gets_a_reset_for_either_case() {
    let mut router = Router::new();
    let (line, _) = connect(&mut router, 5_000, 100);
    router.lose(line);
    let (_, sent) = router.fail_over(line);
    assert_eq!(sent.iter().map(segment).collect::<Vec<_>>(), [(80, 901, 101, RST_ACK), (80, 1_001, 101, RST_ACK)]);
}

#[test]
fn host_that_did_not_hear_it_is_told_again_and_its_next_connection_opens() {
    let mut router = Router::new();
    let (line, external) = connect(&mut router, 5_000, 0);
    router.lose(line);
    router.fail_over(line);
    let data = tcp((HOST_A, 5_000), (SERVER, 80), ACK, (101, 951));
    for address in [Some(external), None] {
        router.snapshot.uplinks[line.index()].external = address;
        router.assert_dropped(DropReason::LineLost, |router| {
            let sent = router.send_from_lan(&data);
            assert_eq!(sent.iter().map(segment).collect::<Vec<_>>(), [(80, 951, 0, RST)]);
            sent
        });
    }
    // A reset is not answered, nor is anything said to the far end, which comes too late.
    let reset = tcp((HOST_A, 5_000), (SERVER, 80), RST, (101, 0));
    router.assert_dropped(DropReason::LineLost, |router| router.send_from_lan(&reset));
    router.give_back(line);
    let late = tcp((SERVER, 80), (external, 5_000), ACK, (901, 101));
    router.assert_dropped(DropReason::LineLost, |router| router.send_from_uplink(line, &late));
    router.lose(line);
    let again = router.out_one(&tcp((HOST_A, 5_000), (SERVER, 80), SYN, (7_000, 0)));
    assert_eq!(again.uplink(), other(line));
    router.wait(Duration::from_secs(1_000));
    // Its port rests.
    router.wait(Duration::from_secs(120));
    assert_eq!((router.workers[0].counters().flows.value(), router.workers[0].poll_timeout()), (0, None));
}

#[test]
fn connection_in_the_shortcut_leaves_it_and_is_reset() {
    let table = ShortcutTable::new(SharedWords::anonymous(table::BYTES).unwrap(), [3, 5]);
    let mut router = Router::with(&EngineConfig { shortcut: Some(table), ..engine_config(1, 2) });
    let (line, external) = connect(&mut router, 5_000, 0);
    for _ in 0..40 {
        router.out_one(&tcp((HOST_A, 5_000), (SERVER, 80), ACK, (101, 901)));
        router.send_from_uplink(line, &tcp((SERVER, 80), (external, 5_000), ACK, (901, 101)));
    }
    let in_shortcut = |router: &Router| router.workers[0].counters().shortcuts.value();
    assert_eq!(in_shortcut(&router), 1);
    router.lose(line);
    let (told, sent) = router.fail_over(line);
    assert_eq!((told.reset, in_shortcut(&router)), (1, 0));
    assert_eq!(segment(&sent[0]).1, 901);
    router.wait(Duration::from_secs(1_000));
    // Its port rests.
    router.wait(Duration::from_secs(120));
    assert_eq!(router.workers[0].poll_timeout(), None);
}

#[test]
fn datagram_flow_of_a_lost_line_is_refused_and_the_next_datagram_gets_another_line() {
    let mut router = Router::new();
    let line = router.out_one(&udp((HOST_A, 5_000), (SERVER, 53), b"query")).uplink();
    router.lose(line);
    let (told, sent) = router.fail_over(line);
    assert_eq!(told, Told { told: 1, sent: 1, pages: 1, ..Told::default() });
    let error = &sent[0];
    error.assert_checksums();
    assert_eq!((error.egress, error.ip().source, error.ip().destination), (Egress::Lan(LAN), ROUTER, HOST_A));
    assert_eq!((&error.packet[20..22], &error.link[..6]), (&[3_u8, 3][..], &MAC_A.0[..]));
    let quoted = Ipv4::parse(&error.packet[28..]).unwrap();
    let ports = Udp::parse(&error.packet[48..], false).unwrap();
    assert_eq!((quoted.source, ports.source_port), (HOST_A, 5_000));
    assert_eq!((quoted.destination, ports.destination_port), (SERVER, 53));
    assert_eq!(router.workers[0].counters().uplink(line).flows_told.value(), 1);
    assert_eq!(router.out_one(&udp((HOST_A, 5_000), (SERVER, 53), b"query")).uplink(), other(line));
}

#[test]
fn nobody_is_told_of_pings_or_of_connections_that_are_over() {
    let mut router = Router::with(&engine_config(1, 2));
    router.lose(UplinkId(1));
    router.out_one(&echo(HOST_A, SERVER, 7, true));
    let (_, external) = connect(&mut router, 5_000, 0);
    router.send_from_uplink(UplinkId(0), &tcp((SERVER, 80), (external, 5_000), RST, (901, 0)));
    router.give_back(UplinkId(1));
    router.lose(UplinkId(0));
    assert_eq!(router.fail_over(UplinkId(0)).0, Told { pages: 1, ..Told::default() });
    assert_eq!(router.workers[0].counters().flows.value(), 0);
}

#[test]
fn a_million_flows_take_many_small_pages_and_those_of_other_lines_live_on() {
    let mut config = engine_config(1, 2);
    config.flows = 60_000;
    let mut router = Router::with(&config);
    for port in 2_000..42_000 {
        router.out_one(&udp((HOST_A, port), (SERVER, 53), b""));
    }
    let line = UplinkId(0);
    router.lose(line);
    let (told, sent) = router.fail_over(line);
    assert_eq!((told.told, sent.len(), told.kept), (20_000, 20_000, false));
    assert!(told.pages >= 20_000 / 128, "{told:?}");
    assert_eq!((router.flows_on(line), router.flows_on(other(line))), (0, 20_000));
}

#[test]
fn flows_are_kept_where_no_other_line_takes_them_or_the_line_is_back() {
    let mut router = Router::new();
    let (line, external) = connect(&mut router, 5_000, 0);
    router.lose(UplinkId(0));
    router.lose(UplinkId(1));
    let kept = Told { kept: true, pages: 1, ..Told::default() };
    assert_eq!(router.fail_over(line).0, kept);
    router.give_back(line);
    assert_eq!(router.fail_over(line).0, kept);
    router.give_back(other(line));
    assert_eq!(router.fail_over(line).0, kept);
    let back = tcp((SERVER, 80), (external, 5_000), ACK, (901, 101));
    assert_eq!(router.send_from_uplink(line, &back).len(), 1);
}

#[test]
fn what_stays_inside_does_not_end_with_a_line() {
    let mut config = engine_config(1, 2);
    config.settings.filtering = Filtering::EndpointIndependent;
    let mut router = Router::with(&config);
    let server = router.out_one(&udp((HOST_B, 7_000), (SERVER, 1), b""));
    let to_it = (server.ip().source, server.ports().0);
    router.send_from_lan(&udp((HOST_A, 5_000), to_it, b"hairpin"));
    let flows = router.workers[0].counters().flows.value();
    for line in [UplinkId(0), UplinkId(1)] {
        router.lose(line);
        router.fail_over(line);
        router.give_back(line);
    }
    assert_eq!(router.workers[0].counters().flows.value(), flows - 1, "all but the server's own to the internet");
}

#[test]
fn syn_that_waits_on_a_lost_line_is_forgotten_and_opens_elsewhere_when_it_is_repeated() {
    for is_ordered in [true, false] {
        let mut router = Router::new();
        let syn = tcp((HOST_A, 5_000), (SERVER, 80), SYN, (100, 0));
        let line = router.out_one(&syn).uplink();
        router.lose(line);
        if is_ordered {
            assert_eq!(router.fail_over(line).0, Told { rescued: 1, pages: 1, ..Told::default() });
        }
        assert_eq!(router.out_one(&syn).uplink(), other(line));
        assert_eq!(router.workers[0].counters().uplink(line).syn_rescued.value(), 1);
        assert_eq!((router.flows_on(line), router.flows_on(other(line))), (0, 1));
    }
}

#[test]
fn syn_that_nobody_answers_goes_by_another_line_the_second_time() {
    let mut router = Router::new();
    let syn = tcp((HOST_A, 5_000), (SERVER, 80), SYN, (100, 0));
    let first = router.out_one(&syn);
    let line = first.uplink();
    router.now = router.now + Duration::from_millis(100);
    assert_eq!(router.out_one(&syn).uplink(), line, "a copy");
    router.now = router.now + Duration::from_millis(900);
    let second = router.out_one(&syn);
    assert_eq!(second.uplink(), other(line));
    second.assert_checksums();
    assert_eq!((router.flows_on(line), router.flows_on(other(line))), (0, 1));
    // The late answer of the first line confuses nobody; the second's counts.
    let late = tcp((SERVER, 80), (first.ip().source, first.ports().0), SYN_ACK, (500, 101));
    router.assert_dropped(DropReason::NoMapping, |router| router.send_from_uplink(line, &late));
    let answer = tcp((SERVER, 80), (second.ip().source, second.ports().0), SYN_ACK, (900, 101));
    assert_eq!(router.send_from_uplink(other(line), &answer).len(), 1);
    assert_eq!(router.out_one(&tcp((HOST_A, 5_000), (SERVER, 80), ACK, (101, 901))).uplink(), other(line));
    assert_eq!(router.workers[0].counters().uplink(line).syn_rescued.value(), 1);
}

#[test]
fn far_end_that_answers_nowhere_is_tried_thrice() {
    let mut router = Router::new();
    let syn = tcp((HOST_A, 5_000), (SERVER, 80), SYN, (100, 0));
    let lines: Vec<u8> = [0, 1, 2, 4, 8, 16]
        .into_iter()
        .map(|seconds| {
            router.now = router.now + Duration::from_secs(seconds);
            router.out_one(&syn).uplink().0
        })
        .collect();
    assert_eq!(lines, [0, 1, 0, 0, 0, 0]);
}

#[test]
fn syn_stays_where_its_port_speaks_with_others() {
    let mut router = Router::new();
    let (line, _) = connect(&mut router, 5_000, 0);
    let syn = tcp((HOST_A, 5_000), (OTHER_SERVER, 80), SYN, (100, 0));
    assert_eq!(router.out_one(&syn).uplink(), line);
    router.now = router.now + Duration::from_secs(1);
    assert_eq!(router.out_one(&syn).uplink(), line);
}

#[test]
fn answered_syn_stays() {
    let mut router = Router::new();
    let syn = tcp((HOST_A, 5_000), (SERVER, 80), SYN, (100, 0));
    let first = router.out_one(&syn);
    let answer = tcp((SERVER, 80), (first.ip().source, 5_000), SYN_ACK, (900, 101));
    router.send_from_uplink(first.uplink(), &answer);
    router.now = router.now + Duration::from_secs(1);
    assert_eq!(router.out_one(&syn).uplink(), first.uplink());
}

/// A QUIC flow that was answered, and was moved when its line was lost.
fn moved(router: &mut Router) -> (UplinkId, Sent) {
    let first = router.out_one(&udp((HOST_A, 5_000), (SERVER, QUIC), b"hello"));
    let line = first.uplink();
    router.send_from_uplink(line, &udp((SERVER, QUIC), (first.ip().source, 5_000), b"hello"));
    router.lose(line);
    assert_eq!(router.fail_over(line).0, Told { moved: 1, pages: 1, ..Told::default() });
    assert_eq!(router.workers[0].counters().uplink(line).flows_moved.value(), 1);
    assert_eq!((router.flows_on(line), router.flows_on(other(line))), (0, 1));
    (line, router.out_one(&udp((HOST_A, 5_000), (SERVER, QUIC), b"go on")))
}

#[test]
fn movable_flow_goes_on_over_another_line() {
    let mut router = Router::movable();
    let (line, sent) = moved(&mut router);
    assert_eq!(sent.uplink(), other(line));
    let answer = udp((SERVER, QUIC), (sent.ip().source, sent.ports().0), b"here");
    assert_eq!(router.send_from_uplink(other(line), &answer)[0].ip().destination, HOST_A);
    router.give_back(line);
    assert!(router.review(Duration::from_secs(10)).is_empty());
    assert_eq!(router.out_one(&udp((HOST_A, 5_000), (SERVER, QUIC), b"on")).uplink(), other(line), "it stays there");
}

#[test]
fn moved_flow_that_is_not_answered_is_put_back_when_its_line_works_again() {
    let mut router = Router::movable();
    let (line, _) = moved(&mut router);
    router.give_back(line);
    router.review(Duration::from_secs(2));
    assert_eq!(router.out_one(&udp((HOST_A, 5_000), (SERVER, QUIC), b"?")).uplink(), other(line));
    router.review(Duration::from_secs(2));
    let again = router.out_one(&udp((HOST_A, 5_000), (SERVER, QUIC), b"?"));
    assert_eq!((again.uplink(), again.ports().0), (line, 5_000));
    let answer = udp((SERVER, QUIC), (again.ip().source, 5_000), b"here");
    assert_eq!(router.send_from_uplink(line, &answer).len(), 1);
}

#[test]
fn moved_flow_that_is_not_answered_is_refused_when_its_line_stays_lost() {
    let mut router = Router::movable();
    let (line, _) = moved(&mut router);
    let sent = router.review(Duration::from_secs(4));
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].packet[20..22], [3, 3]);
    assert_eq!(router.workers[0].counters().uplink(other(line)).flows_told.value(), 1);
    assert_eq!(router.workers[0].counters().flows.value(), 0);
}

#[test]
fn moved_flow_whose_host_says_nothing_waits() {
    let mut router = Router::movable();
    let line = router.out_one(&udp((HOST_A, 5_000), (SERVER, 51_820), b"hello")).uplink();
    router.lose(line);
    router.fail_over(line);
    assert!(router.review(Duration::from_secs(100)).is_empty());
    assert_eq!(router.flows_on(other(line)), 1);
    router.wait(Duration::from_secs(310));
    router.review(Duration::from_secs(1));
    assert_eq!(router.workers[0].counters().flows.value(), 0);
}

#[test]
fn all_flows_of_a_movable_endpoint_keep_one_mapping() {
    let mut router = Router::movable();
    let line = router.out_one(&udp((HOST_A, 5_000), (SERVER, QUIC), b"")).uplink();
    router.out_one(&udp((HOST_A, 5_000), (OTHER_SERVER, QUIC), b""));
    router.lose(line);
    assert_eq!(router.fail_over(line).0.moved, 2);
    let ports = [SERVER, OTHER_SERVER].map(|server| {
        let sent = router.out_one(&udp((HOST_A, 5_000), (server, QUIC), b""));
        (sent.uplink(), sent.ports().0)
    });
    assert_eq!(ports, [(other(line), 5_000); 2]);
}
