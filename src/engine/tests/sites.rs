//! Which line a host's flows to one site keep to, and for how long.

use std::sync::Arc;

use super::*;
use crate::flow::record::MARK_STICKY;
use crate::flow::{EndpointV4, FlowKey, Protocol};
use crate::placement::{
    Action, Class, Fallback, Knowledge, Match, Policy, Rates, Reason, Rule, RuleId, Stickiness, UplinkSet,
};

const BANK: (Ipv4Addr, u16) = (SERVER, 443);
const WEB: (Ipv4Addr, u16) = (SERVER, 80);
const FIN_ACK: u8 = 0x11;
const TEN_MINUTES: Duration = Duration::from_mins(10);

impl Router {
    /// Two workers and this many lines.
    fn wide(uplinks: u8) -> Self {
        Self::with(&engine_config(2, uplinks))
    }

    /// Opens a connection, and gives its line.
    fn open(&mut self, host: Ipv4Addr, port: u16, to: (Ipv4Addr, u16)) -> UplinkId {
        let sent = self.out_one(&tcp((host, port), to, SYN, (100, 0)));
        let line = sent.uplink();
        let seen = (sent.ip().source, sent.ports().0);
        self.send_from_uplink(line, &tcp(to, seen, SYN_ACK, (900, 101)));
        self.out_one(&tcp((host, port), to, ACK, (101, 901)));
        line
    }

    fn open_many(&mut self, host: Ipv4Addr, ports: std::ops::Range<u16>, to: (Ipv4Addr, u16)) -> Vec<UplinkId> {
        ports.map(|port| self.open(host, port, to)).collect()
    }

    /// Ends a connection as both of its ends want it, and lets the router forget it.
    fn close(&mut self, host: Ipv4Addr, port: u16, to: (Ipv4Addr, u16)) {
        let (line, seen) = self.seen(host, port, to);
        self.send_from_uplink(line, &tcp(to, seen, FIN_ACK, (901, 101)));
        self.out_one(&tcp((host, port), to, FIN_ACK, (101, 902)));
        self.send_from_uplink(line, &tcp(to, seen, ACK, (902, 102)));
        self.wait(Duration::from_secs(240));
    }

    fn seen(&mut self, host: Ipv4Addr, port: u16, to: (Ipv4Addr, u16)) -> (UplinkId, (Ipv4Addr, u16)) {
        let sent = self.out_one(&tcp((host, port), to, ACK, (101, 901)));
        (sent.uplink(), (sent.ip().source, sent.ports().0))
    }

    fn record(&self, protocol: Protocol, host: Ipv4Addr, port: u16, to: (Ipv4Addr, u16)) -> crate::flow::FlowV4 {
        let end = |(address, port)| EndpointV4 { address, port };
        let key = FlowKey { protocol, internal: end((host, port)), remote: end(to) };
        let found = self.workers.iter().find_map(|worker| Some(*worker.table.record(worker.table.find(&key)?)));
        found.expect("the flow is there")
    }

    /// Makes a line full: it can carry 20 Mbit/s, and does.
    fn fill(&self, line: UplinkId) {
        let capacity = Rates { download: 20_000_000, upload: 20_000_000 };
        let load = self.workers[0].load();
        load.set_knowledge(line, Knowledge { capacity, ..Knowledge::default() });
        load.add_moving(line, capacity, true);
    }

    fn take_away(&mut self, line: UplinkId) {
        self.snapshot.uplinks[line.index()].availability = Availability::Lame;
    }

    /// One rule for everything.
    fn rule(&mut self, stickiness: Stickiness, action: Action) {
        let rule = Rule { id: RuleId(1), name: "all".into(), matches: Match::default(), action, stickiness };
        self.snapshot.policy = Arc::new(Policy { rules: vec![rule], ..Policy::default() });
    }
}

fn distinct(lines: &[UplinkId]) -> usize {
    lines.iter().copied().collect::<UplinkSet>().iter().count()
}

#[test]
fn bank_sees_one_address_of_a_customer_whatever_worker_his_flows_are_of() {
    let mut router = Router::wide(6);
    let customer = router.open_many(HOST_A, 5_000..5_020, BANK);
    assert_eq!(distinct(&customer), 1, "{customer:?}");
    let quic = router.out_one(&udp((HOST_A, 6_000), BANK, b"hello")).uplink();
    assert_eq!(quic, customer[0]);
    let flows = |worker: &Worker| worker.counters().flows.value();
    assert!(router.workers.iter().all(|worker| flows(worker) >= 10), "both workers have some");
    assert_eq!(router.record(Protocol::Tcp, HOST_A, 5_000, BANK).body.reason, Reason::Soonest as u8);
    assert_eq!(router.record(Protocol::Tcp, HOST_A, 5_001, BANK).body.reason, Reason::Sticky as u8);
    // Nobody else is bound by that, nor is anything else that he does.
    let others: Vec<_> = (0..12).map(|n| router.open(Ipv4Addr::new(192, 168, 10, 100 + n), 5_000, BANK)).collect();
    assert!(distinct(&others) >= 5, "{others:?}");
    let pages = router.open_many(HOST_A, 7_000..7_012, WEB);
    assert!(distinct(&pages) >= 5, "{pages:?}");
}

#[test]
fn line_is_kept_for_ten_minutes_after_the_last_flow_and_not_longer() {
    let mut router = Router::wide(2);
    let line = router.open(HOST_A, 5_000, BANK);
    router.close(HOST_A, 5_000, BANK);
    // Whatever else would be chosen now.
    let crowd = |router: &Router, on: UplinkId| (0..50).for_each(|_| router.workers[0].load.begin_transfer(on));
    crowd(&router, line);
    router.wait(TEN_MINUTES - Duration::from_secs(30));
    assert_eq!(router.open(HOST_A, 5_002, BANK), line);
    router.wait(Duration::from_hours(1));
    assert_eq!(router.open(HOST_A, 5_004, BANK), line, "one is still open");
    router.close(HOST_A, 5_002, BANK);
    router.close(HOST_A, 5_004, BANK);
    router.wait(TEN_MINUTES);
    assert_ne!(router.open(HOST_A, 5_006, BANK), line);
}

#[test]
fn full_line_is_left_unless_all_are_full_or_a_rule_is_strict() {
    for (stickiness, stays) in [(Stickiness::Default, false), (Stickiness::Soft, false), (Stickiness::Hard, true)] {
        let mut router = Router::wide(3);
        router.rule(stickiness, Action::Class(Class::Bulk));
        let line = router.open(HOST_A, 5_000, BANK);
        router.fill(line);
        let next = router.open(HOST_A, 5_002, BANK);
        assert_eq!(next == line, stays, "{stickiness:?}");
        let after = router.open_many(HOST_A, 5_004..5_010, BANK);
        assert!(after.iter().all(|line| *line == next), "{stickiness:?}: {after:?}");
        (0..3).map(UplinkId).filter(|other| *other != line).for_each(|other| router.fill(other));
        assert_eq!(router.open(HOST_A, 5_020, BANK), next, "{stickiness:?}: none is better");
    }
}

#[test]
fn rule_makes_any_port_of_a_site_stick_or_none() {
    let mut router = Router::wide(6);
    router.rule(Stickiness::Soft, Action::Class(Class::Bulk));
    let mut lines = router.open_many(HOST_A, 5_000..5_006, WEB);
    lines.extend(router.open_many(HOST_A, 5_010..5_016, (SERVER, 22)));
    lines.push(router.out_one(&echo(HOST_A, SERVER, 77, true)).uplink());
    assert_eq!(distinct(&lines), 1, "{lines:?}");
    router.rule(Stickiness::Never, Action::Class(Class::Bulk));
    assert!(distinct(&router.open_many(HOST_A, 6_000..6_012, BANK)) >= 5);
}

#[test]
fn site_whose_line_died_goes_on_by_another_and_does_not_flip_back() {
    let mut router = Router::wide(3);
    router.rule(Stickiness::Hard, Action::Class(Class::Bulk));
    let line = router.open(HOST_A, 5_000, BANK);
    router.take_away(line);
    let next = router.open(HOST_A, 5_002, BANK);
    assert_ne!(next, line);
    router.snapshot.uplinks[line.index()] = uplink(line.0);
    let after = router.open_many(HOST_A, 5_010..5_020, BANK);
    assert!(after.iter().all(|line| *line == next), "{after:?}");
}

#[test]
fn lines_that_a_flow_may_not_have_are_none_for_its_site() {
    let mut router = Router::wide(3);
    let line = router.open(HOST_A, 5_000, BANK);
    let other = UplinkId((line.0 + 1) % 3);
    let only = Action::Uplinks(UplinkSet::of(other), Fallback::Refuse);
    router.rule(Stickiness::Hard, only);
    assert_eq!(router.open(HOST_A, 5_002, BANK), other);
}

#[test]
fn datagram_socket_keeps_its_address_and_leads_nobody_elsewhere() {
    let mut router = Router::wide(3);
    let line = router.open(HOST_A, 5_000, BANK);
    let mut ports = (6_000..6_200).step_by(2);
    let socket = ports.find(|&port| router.out_one(&udp((HOST_A, port), (OTHER_SERVER, 3_478), b"")).uplink() != line);
    let socket = socket.expect("some go elsewhere");
    // RFC 4787 REQ-1: one mapping for all far ends.
    let elsewhere = router.out_one(&udp((HOST_A, socket), BANK, b"hello")).uplink();
    assert_ne!(elsewhere, line);
    let record = router.record(Protocol::Udp, HOST_A, socket, BANK);
    assert_eq!((record.body.reason, record.is_marked(MARK_STICKY)), (Reason::Mapping as u8, false));
    assert_eq!(router.open(HOST_A, 5_002, BANK), line);
}

#[test]
fn port_that_was_used_for_something_else_does_not_lead_a_customer_away() {
    let mut router = Router::wide(3);
    let line = router.open(HOST_A, 5_000, BANK);
    let mut ports = (6_000..6_200).step_by(2);
    let port = ports.find(|&port| router.open(HOST_A, port, WEB) != line).expect("some go elsewhere");
    assert_eq!(router.open(HOST_A, port, BANK), line);
    let again = router.open(HOST_A, port, (OTHER_SERVER, 80));
    assert!(again == line || again == router.seen(HOST_A, port, WEB).0, "by either of the addresses that it has");
}

#[test]
fn movable_flow_takes_its_site_along() {
    let mut config = engine_config(1, 2);
    config.settings.movable = MovablePorts::new([BANK.1.try_into().unwrap()]);
    let mut router = Router::with(&config);
    let line = router.out_one(&udp((HOST_A, 6_000), BANK, b"hello")).uplink();
    router.take_away(line);
    while let FailOverStep::More(_) =
        router.workers[0].fail_over(router.now, &router.snapshot, line, 0, &mut router.out).step
    {}
    router.snapshot.uplinks[line.index()] = uplink(line.0);
    assert_ne!(router.open(HOST_A, 5_000, BANK), line);
}

#[test]
fn connections_that_were_reset_count_no_more() {
    let mut router = Router::wide(2);
    let line = router.open(HOST_A, 5_000, BANK);
    router.take_away(line);
    for worker in &mut router.workers {
        while let FailOverStep::More(_) = worker.fail_over(router.now, &router.snapshot, line, 0, &mut router.out).step
        {
        }
    }
    router.collect();
    router.snapshot.uplinks[line.index()] = uplink(line.0);
    assert_eq!(router.open(HOST_A, 5_002, BANK), line, "within ten minutes it is the site's");
    router.close(HOST_A, 5_002, BANK);
    router.wait(TEN_MINUTES);
    (0..50).for_each(|_| router.workers[0].load.begin_transfer(line));
    assert_ne!(router.open(HOST_A, 5_004, BANK), line);
}

#[test]
fn restarted_router_knows_where_customers_go() {
    let folder = tempfile::tempdir().unwrap();
    let config = EngineConfig { file: Some(folder.path().join("flows")), ..engine_config(2, 6) };
    let mut router = Router::with(&config);
    let (a, b) = (router.open(HOST_A, 5_000, BANK), router.open(HOST_B, 5_000, BANK));
    assert_ne!(a, b);
    drop(router);
    let mut router = Router::with(&EngineConfig { workers: 1, ..config });
    assert!(router.open_many(HOST_A, 5_010..5_020, BANK).iter().all(|line| *line == a));
    assert!(router.open_many(HOST_B, 5_010..5_020, BANK).iter().all(|line| *line == b));
    (0..50).for_each(|_| router.workers[0].load.begin_transfer(a));
    router.wait(Duration::from_hours(3));
    router.wait(TEN_MINUTES);
    assert_ne!(router.open(HOST_A, 5_030, BANK), a, "all have ended");
}
