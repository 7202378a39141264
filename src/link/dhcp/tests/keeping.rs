//! A lease in use, extended in time, and what a renewal may bring.

use super::*;

#[test]
fn lease_is_renewed_by_its_server_at_t1() {
    let mut line = Line::bound();
    line.pass(498);
    assert_eq!(line.sent(), []);
    line.pass(1);
    assert_eq!((line.log.clone(), line.address()), (vec![(500_000, renew())], Some(ADDRESS)));
    line.hears(&ack(ADDRESS));
    assert_eq!(line.events(), [ClientEvent::Extended]);
    line.log.clear();
    line.pass(499);
    assert_eq!(line.sent(), []);
    line.pass(2);
    assert_eq!(line.sent(), [renew()], "and again");
}

#[test]
fn server_that_extends_a_lease_need_not_repeat_itself() {
    let mut line = Line::bound();
    line.pass(500);
    line.hears(&ack(ADDRESS).without(1).without(3));
    assert_eq!(line.events(), [ClientEvent::Extended]);
    assert_eq!(line.client.lease(), Some(&lease()));
}

#[test]
fn silent_server_is_asked_less_and_less_then_all_are_then_the_lease_is_over() {
    let mut line = Line::bound();
    line.pass(998);
    let log = std::mem::take(&mut line.log);
    let kinds: Vec<&Seen> = log.iter().map(|(_, seen)| seen).collect();
    // Half of what is left each time, and at least a minute.
    let times: Vec<u64> = log.iter().map(|(at, _)| at / 1_000).collect();
    assert_eq!(times, [500, 687, 781, 841, 875, 937, 997]);
    assert!(kinds[..4].iter().all(|seen| **seen == renew()));
    assert!(kinds[4..].iter().all(|seen| **seen == rebind()));
    assert_eq!((line.address(), line.events()), (Some(ADDRESS), vec![]));
    line.pass(2);
    assert_eq!(line.events(), [ended(LeaseEnd::Expired)]);
    assert_eq!((line.address(), line.sent()), (None, vec![discover(Some(ADDRESS))]));
}

#[test]
fn short_lease_is_asked_for_more_than_twice() {
    let mut line = Line::new();
    let short = |says: Says| says.with(51, &120_u32.to_be_bytes());
    line.hears(&short(offer(ADDRESS)));
    line.hears(&short(ack(ADDRESS)));
    line.pass(1);
    line.log.clear();
    line.pass(119);
    assert!(line.log.len() >= 5, "{:?}", line.log);
}

#[test]
fn lease_of_an_answer_that_took_its_time_is_extended_at_once() {
    let mut line = Line::new();
    let hasty = |says: Says| says.with(58, &[0, 0, 0, 1]);
    line.hears(&hasty(offer(ADDRESS)));
    // The request was last repeated at about 12 seconds.
    line.pass(15);
    line.sent();
    line.hears(&hasty(ack(ADDRESS)));
    line.pass(1);
    assert_eq!(line.log, [(15_000, Seen::Probe(ADDRESS)), (15_200, Seen::Probe(ADDRESS)), (15_400, renew())]);
    assert_eq!(line.address(), Some(ADDRESS));
}

#[test]
fn another_server_may_extend_the_lease() {
    let mut line = Line::bound();
    line.pass(880);
    assert_eq!(line.log.last().unwrap().1, rebind());
    line.hears(&ack(ADDRESS).from(RIVAL_SERVER));
    assert_eq!(line.events(), [ClientEvent::Leased(Lease { server: RIVAL_SERVER, ..lease() })]);
    assert_eq!(line.address(), Some(ADDRESS));
}

#[test]
fn lease_without_end_is_never_asked_about() {
    let mut line = Line::new();
    let endless = |says: Says| says.with(51, &[255; 4]);
    line.hears(&endless(offer(ADDRESS)));
    line.hears(&endless(ack(ADDRESS)));
    line.pass(10_000_000);
    assert_eq!((line.address(), line.client.poll_timeout()), (Some(ADDRESS), None));
}

#[test]
fn lease_of_a_lame_line_is_extended_early_by_its_server_then_by_any() {
    let mut line = Line::bound();
    line.pass(100);
    for expected in [renew(), rebind(), rebind()] {
        line.client.extend_early(line.now);
        line.collect();
        assert_eq!(line.sent(), [expected]);
        line.pass(5);
    }
    line.hears(&ack(ADDRESS));
    assert_eq!((line.events(), line.address()), (vec![ClientEvent::Extended], Some(ADDRESS)));
    line.log.clear();
    line.pass(490);
    assert_eq!(line.sent(), [], "from then on as ever");
    // A server that has lost its memory says so.
    line.client.extend_early(line.now);
    line.collect();
    line.sent();
    line.hears(&nak());
    assert_eq!((line.address(), line.sent()), (None, vec![discover(None)]));
}

#[test]
fn endless_lease_of_a_lame_line_is_asked_about_now_and_then() {
    let mut line = Line::new();
    let endless = |says: Says| says.with(51, &[255; 4]);
    line.hears(&endless(offer(ADDRESS)));
    line.hears(&endless(ack(ADDRESS)));
    line.pass(100);
    line.log.clear();
    line.client.extend_early(line.now);
    line.pass(150);
    assert_eq!(line.sent(), [renew(), renew(), renew()]);
    line.hears(&endless(ack(ADDRESS)));
    assert_eq!((line.address(), line.client.poll_timeout()), (Some(ADDRESS), None));
}

#[test]
fn new_facts_in_a_renewal_are_told() {
    let mut line = Line::bound();
    line.pass(500);
    let gateway = Ipv4Addr::new(100, 64, 7, 254);
    line.hears(&ack(ADDRESS).with(121, &[&[0][..], &gateway.octets()].concat()));
    assert_eq!(line.events(), [ClientEvent::Leased(Lease { gateway, ..lease() })]);
}

#[test]
fn new_address_in_a_renewal_ends_the_lease_and_begins_another() {
    let mut line = Line::bound();
    line.pass(500);
    line.sent();
    line.hears(&ack(SECOND));
    assert_eq!(line.events(), [ended(LeaseEnd::Replaced(SECOND))]);
    assert_eq!((line.address(), line.sent()), (None, vec![Seen::Probe(SECOND)]));
    line.pass(1);
    let expected = Lease { network: Ipv4Net::new_assert(SECOND, 24), ..lease() };
    assert_eq!(line.events(), [ClientEvent::Leased(expected)]);
    assert_eq!(line.address(), Some(SECOND));
}

#[test]
fn nak_in_a_renewal_begins_anew_at_once() {
    for seconds in [500, 880] {
        let mut line = Line::bound();
        line.pass(seconds);
        line.sent();
        line.hears(&nak().with(56, b"wrong network"));
        let message = Some("wrong network".to_owned());
        assert_eq!(line.events(), [ClientEvent::Denied { address: ADDRESS, message }, ended(LeaseEnd::TakenBack)]);
        assert_eq!((line.address(), line.sent()), (None, vec![discover(None)]));
        assert_eq!(line.client.remembered(), None);
    }
}

#[test]
fn server_that_offers_and_denies_is_not_hammered() {
    let mut line = Line::new();
    let mut requests = 0;
    for _ in 0..600 {
        if line.client.expects_answer() {
            line.hears(&offer(ADDRESS));
            line.hears(&nak());
        }
        requests += line.sent().iter().filter(|seen| **seen == select(ADDRESS)).count();
        line.pass(1);
    }
    assert!((30..50).contains(&requests), "{requests} in ten minutes");
}

// RFC 2131 section 3.2.
