//! Hosts' accounts, and what one host may have.

use super::*;
use crate::engine::accounts::MOST_HOSTS;

fn limited(limits: Limits) -> Router {
    let router = Router::new();
    router.workers[0].accounts().set_limits(limits);
    router
}

fn account(router: &Router, host: Ipv4Addr) -> HostAccount {
    let accounts = router.workers[0].accounts().list();
    accounts.into_iter().find(|account| account.address == Some(host)).expect("the host has an account")
}

/// Datagrams from `host`, each from a port of its own, and how many were forwarded.
fn scan(router: &mut Router, host: Ipv4Addr, ports: std::ops::Range<u16>) -> usize {
    let forwarded = ports.map(|port| {
        let sent = router.send_from_lan(&udp((host, port), (SERVER, 53), b"?"));
        sent.iter().filter(|sent| matches!(sent.egress, Egress::Uplink(_))).count()
    });
    forwarded.sum()
}

/// ICMP errors "administratively prohibited" among what was sent.
fn prohibitions(sent: &[Sent]) -> usize {
    let is_one = |sent: &&Sent| sent.packet[9] == 1 && sent.packet[20..22] == [3, 13];
    sent.iter().filter(|sent| sent.egress == Egress::Lan(LAN)).filter(is_one).count()
}

/// The sum over all accounts is that of the lines' counters, and the sessions are the flows.
fn assert_balanced(router: &Router) {
    let accounts = router.workers[0].accounts().list();
    for id in 0..2 {
        let of = |read: fn(&UplinkCounters) -> u64| {
            router.workers.iter().map(|worker| read(worker.counters().uplink(UplinkId(id)))).sum::<u64>()
        };
        let lines = accounts.iter().flat_map(|account| &account.lines).filter(|(_, uplink, _)| uplink.0 == id);
        let sum = lines.fold(Usage::default(), |sum, (.., usage)| sum.plus(*usage));
        let counted =
            (of(|line| line.out_bytes.value()), of(|line| line.in_bytes.value()), of(|line| line.flows.value()));
        assert_eq!((sum.out_bytes, sum.in_bytes, sum.flows), counted);
    }
    let sessions: u64 = accounts.iter().map(|account| u64::from(account.sessions)).sum();
    assert_eq!(sessions, router.workers.iter().map(|worker| worker.counters().flows.value()).sum::<u64>());
}

#[test]
fn bytes_are_counted_for_their_host_line_and_class() {
    let mut router = Router::new();
    let first = router.out_one(&udp((HOST_A, 5_000), (SERVER, 53), &[1; 100]));
    let answer = udp((SERVER, 53), (first.ip().source, first.ports().0), &[2; 700]);
    assert_eq!(router.send_from_uplink(first.uplink(), &answer).len(), 1);
    router.out_one(&udp((HOST_B, 5_000), (SERVER, 53), &[1; 10]));
    let a = account(&router, HOST_A);
    let usage = Usage { out_bytes: 128, in_bytes: 728, flows: 1, opened: 1 };
    assert_eq!(a.lines, [(crate::placement::Class::Bulk, first.uplink(), usage)]);
    assert_eq!((a.sessions, a.ports, account(&router, HOST_B).total().out_bytes), (1, 1, 38));
    assert_balanced(&router);
    router.wait(Duration::from_secs(301));
    let a = account(&router, HOST_A);
    assert_eq!((a.sessions, a.ports, a.total()), (0, 1, Usage { flows: 0, ..usage }));
    router.wait(Duration::from_secs(121));
    assert_eq!(account(&router, HOST_A).ports, 0, "its port has rested");
}

#[test]
fn host_with_all_its_sessions_is_refused_more_and_another_is_not() {
    let mut router = limited(Limits { sessions: Some(10), ..Limits::default() });
    assert_eq!(scan(&mut router, HOST_A, 2_000..2_010), 10);
    router.assert_dropped(DropReason::HostSessions, |router| {
        let sent = router.send_from_lan(&udp((HOST_A, 2_010), (SERVER, 53), b"?"));
        assert_eq!(prohibitions(&sent), 1);
        sent
    });
    assert_eq!(scan(&mut router, HOST_A, 2_000..2_010), 10, "those that it has go on");
    assert_eq!(scan(&mut router, HOST_B, 2_000..2_010), 10);
    assert_eq!(account(&router, HOST_A).refused, [1, 0, 0]);
    router.wait(Duration::from_secs(301));
    assert_eq!(scan(&mut router, HOST_A, 2_020..2_030), 10, "sessions that are over count no more");
    assert_balanced(&router);
}

#[test]
fn host_that_opens_flows_too_fast_waits_and_another_does_not() {
    let mut router = limited(Limits { new_per_second: Some(5), ..Limits::default() });
    assert_eq!(scan(&mut router, HOST_A, 2_000..2_100), 20, "a burst is four seconds' worth");
    assert_eq!(router.dropped(), [(DropReason::HostRate, 80)]);
    assert_eq!(scan(&mut router, HOST_B, 2_000..2_010), 10);
    router.now = router.now + Duration::from_secs(1);
    assert_eq!(scan(&mut router, HOST_A, 3_000..3_100), 5);
    let pings = (0..9_u16).filter(|ping| !router.send_from_lan(&echo(HOST_B, SERVER, 100 + ping, true)).is_empty());
    assert_eq!(pings.count(), 9, "queries count as what they are: new flows");
    assert_eq!(account(&router, HOST_A).sessions, 25);
}

#[test]
fn host_with_all_its_ports_uses_those_that_it_has() {
    let mut router = limited(Limits { ports: Some(3), ..Limits::default() });
    assert_eq!(scan(&mut router, HOST_A, 2_000..2_003), 3);
    router.assert_dropped(DropReason::HostPorts, |router| {
        router.send_from_lan(&udp((HOST_A, 2_003), (SERVER, 53), b"?"))
    });
    router.out_one(&udp((HOST_A, 2_000), (OTHER_SERVER, 53), b"another flow of a port that it has"));
    assert_eq!(account(&router, HOST_A).ports, 3);
    router.wait(Duration::from_secs(301));
    router.assert_dropped(DropReason::HostPorts, |router| {
        router.send_from_lan(&udp((HOST_A, 2_003), (SERVER, 53), b"ports that rest are its own still"))
    });
    router.wait(Duration::from_secs(121));
    assert_eq!(scan(&mut router, HOST_A, 2_003..2_006), 3);
}

#[test]
fn router_itself_has_no_limits_but_an_account() {
    let mut router = limited(Limits { sessions: Some(2), new_per_second: Some(1), ports: Some(2) });
    assert_eq!(scan(&mut router, ROUTER, 2_000..2_050), 50);
    assert_eq!(account(&router, ROUTER).sessions, 50);
}

#[test]
fn refusals_leave_others_their_errors() {
    let mut router = limited(Limits { new_per_second: Some(1), ..Limits::default() });
    let mut told = 0;
    for port in 2_000..4_000 {
        told += prohibitions(&router.send_from_lan(&udp((HOST_A, port), (SERVER, 53), b"?")));
    }
    assert_eq!(told, 20, "a small budget of their own");
    let mut packet = udp((HOST_B, 5_000), (SERVER, 53), b"?");
    packet[8] = 1;
    crate::wire::ipv4::write_checksum(&mut packet, 20);
    assert_eq!(router.send_from_lan(&packet).len(), 1, "another host is told that its packet's time is over");
}

#[test]
fn tombstones_and_moves_keep_the_sums_right() {
    let mut router = Router::new();
    let a = router.out_one(&tcp((HOST_A, 4_000), (SERVER, 443), SYN, (1_000, 0)));
    let line = a.uplink();
    let answer = tcp((SERVER, 443), (a.ip().source, a.ports().0), SYN_ACK, (5_000, 1_001));
    router.send_from_uplink(line, &answer);
    router.out_one(&tcp((HOST_A, 4_000), (SERVER, 443), ACK, (1_001, 5_001)));
    router.snapshot.uplinks[line.index()].availability = Availability::NoCarrier;
    let page = router.workers[0].fail_over(router.now, &router.snapshot, line, 0, &mut router.out);
    assert_eq!(page.reset, 1);
    router.collect();
    assert_eq!(account(&router, HOST_A).sessions, 0, "what is left is no flow");
    assert_balanced(&router);
    router.out_one(&tcp((HOST_A, 4_000), (SERVER, 443), SYN, (9_000, 0)));
    assert_eq!(account(&router, HOST_A).sessions, 1);
    assert_balanced(&router);
}

#[test]
fn host_that_is_away_gives_its_number_back_and_the_sums_stay() {
    let mut router = Router::new();
    scan(&mut router, HOST_A, 2_000..2_005);
    router.wait(Duration::from_secs(301));
    router.wait(Duration::from_secs(121));
    let accounts = router.workers[0].accounts();
    assert_eq!(accounts.forget_away(router.now), 0, "not for an hour yet");
    let number = account(&router, HOST_A).id;
    router.now = router.now + Duration::from_secs(3_600);
    assert_eq!(accounts.forget_away(router.now), 1);
    let listed = accounts.list();
    assert_eq!((listed.len(), listed[0].address, listed[0].total().opened), (1, None, 5));
    assert_balanced(&router);
    // All other numbers are given away before this one comes again.
    for host in 0..u32::try_from(MOST_HOSTS).unwrap() {
        let address = Ipv4Addr::from(0x0a01_0000 + host);
        accounts.admit(router.now, address, Opener::Host).unwrap();
    }
    assert_eq!(accounts.admit(router.now, HOST_A, Opener::Host), Ok(HostId::OTHERS));
    let last = accounts.list().into_iter().find(|account| account.id == number).unwrap();
    assert_eq!((last.total(), last.refused), (Usage::default(), [0; 3]), "nothing is left of whoever had it before");
    router.now = router.now + Duration::from_secs(60);
    assert_eq!(accounts.forget_away(router.now), MOST_HOSTS, "numbers are scarce");
}

#[test]
fn flows_of_an_earlier_run_are_counted_again_and_never_refused() {
    let folder = tempfile::tempdir().unwrap();
    let config = EngineConfig { file: Some(folder.path().join("flows")), ..engine_config(2, 2) };
    let mut router = Router::with(&config);
    scan(&mut router, HOST_B, 2_000..2_001);
    scan(&mut router, HOST_A, 2_000..2_006);
    router.collect();
    drop(router);
    let mut router = Router::with(&config);
    router.workers[0].accounts().set_limits(Limits { sessions: Some(6), ..Limits::default() });
    let a = account(&router, HOST_A);
    assert_eq!((a.sessions, a.ports, a.total().out_bytes), (6, 6, 0));
    router.out_one(&udp((HOST_A, 2_000), (SERVER, 53), b"?"));
    router.assert_dropped(DropReason::HostSessions, |router| {
        router.send_from_lan(&udp((HOST_A, 2_008), (SERVER, 53), b"?"))
    });
    assert_balanced(&router);
}

#[test]
fn line_in_the_place_of_another_starts_at_zero() {
    let mut router = Router::new();
    let lines: Vec<_> =
        (0..8).map(|n| router.out_one(&udp((HOST_A, 2_000 + n), (SERVER, 53), b"?")).uplink()).collect();
    assert!(lines.contains(&UplinkId(0)) && lines.contains(&UplinkId(1)));
    router.snapshot.uplinks[1].external = None;
    while router.workers[0].forget_flows(router.now, UplinkId(1), 0).is_some() {}
    router.workers[0].take_in_uplink(UplinkId(1), &crate::nat::PortBounds::all());
    router.workers[0].accounts().forget_line(UplinkId(1));
    let a = account(&router, HOST_A);
    assert!(a.lines.iter().all(|(_, uplink, _)| *uplink == UplinkId(0)), "{a:?}");
    assert_balanced(&router);
}
