//! From a carrier to a lease.

use super::*;

#[test]
fn first_lease_is_asked_for_probed_and_taken() {
    let mut line = Line::new();
    assert_eq!(line.sent(), [discover(None)]);
    assert!(line.client.expects_answer());
    let transaction = line.last.0;
    line.pass(1);
    line.hears(&offer(ADDRESS));
    assert_eq!(line.sent(), [select(ADDRESS)]);
    assert_eq!(line.last, (transaction, 0), "RFC 2131 section 4.4.1");
    line.hears(&ack(ADDRESS).with(6, &[192, 0, 2, 53]).with(26, &[5, 212]));
    assert_eq!((line.address(), line.client.expects_answer()), (None, false));
    line.pass(1);
    assert_eq!(line.log, [(1_000, Seen::Probe(ADDRESS)), (1_200, Seen::Probe(ADDRESS))]);
    let expected = Lease { name_servers: vec![Ipv4Addr::new(192, 0, 2, 53)], mtu: Some(1_492), ..lease() };
    assert_eq!(line.client.lease(), Some(&expected));
    assert_eq!(line.events(), [ClientEvent::Leased(expected)]);
    assert_eq!(line.client.poll_timeout(), Some(Timestamp::from_millis(501_000)), "T1 counts from the request");
    assert_eq!(line.client.remembered(), held(Standing::Held));
}

// RFC 2131 section 4.1.
#[test]
fn silence_is_asked_into_at_growing_random_intervals() {
    let mut line = Line::new();
    line.pass(100);
    let seen: Vec<Seen> = line.log.iter().map(|(_, seen)| seen.clone()).collect();
    assert!(seen.iter().all(|seen| *seen == discover(None)));
    assert_eq!(line.events(), [ClientEvent::NoServer]);
    let times = line.times();
    assert_waits(&times, &[4.0, 8.0, 16.0, 16.0, 16.0, 16.0, 16.0][..times.len() - 1]);
    assert!(times.iter().any(|at| at.fract() != 0.0), "at random");
    assert!(line.last.1 >= 60, "the server sees for how long: {}", line.last.1);
    line.hears(&offer(ADDRESS));
    line.hears(&ack(ADDRESS));
    line.pass(1);
    assert_eq!(line.address(), Some(ADDRESS));
}

#[test]
fn silence_is_told_again_only_after_an_answer() {
    let mut line = Line::new();
    line.pass(1_000);
    assert_eq!(line.events(), [ClientEvent::NoServer]);
    line.hears(&offer(ADDRESS));
    line.pass(1_000);
    assert_eq!(line.events(), [ClientEvent::NoServer]);
}

#[test]
fn lost_request_is_repeated_and_an_offer_without_sequel_given_up() {
    let mut line = Line::new();
    line.hears(&offer(ADDRESS));
    line.log.remove(0);
    line.pass(24);
    assert_eq!(line.log.len(), 3);
    assert!(line.log.iter().all(|(_, seen)| *seen == select(ADDRESS)));
    assert_waits(&line.times(), &[4.0, 8.0]);
    line.pass(7);
    assert_eq!(line.sent()[0], discover(None));
}

#[test]
fn first_usable_offer_is_taken_and_other_servers_are_not_heard() {
    let mut line = Line::new();
    line.hears(&offer(SECOND).without(3).from(RIVAL_SERVER));
    assert_eq!(
        line.events(),
        [ClientEvent::Refused { network: Ipv4Net::new_assert(SECOND, 24), why: Unusable::NoGateway }]
    );
    line.hears(&offer(ADDRESS));
    line.hears(&offer(SECOND).from(RIVAL_SERVER));
    line.hears(&ack(SECOND).from(RIVAL_SERVER));
    line.hears(&nak().from(RIVAL_SERVER));
    assert_eq!(line.sent(), [discover(None), select(ADDRESS)]);
    line.hears(&ack(ADDRESS));
    line.pass(1);
    assert_eq!(line.address(), Some(ADDRESS));
}

#[test]
fn answers_of_another_transaction_or_kind_are_ignored() {
    let mut line = Line::new();
    let transaction = line.last.0;
    for bytes in [
        offer(ADDRESS).bytes(transaction ^ 1),
        ack(ADDRESS).bytes(transaction),
        nak().bytes(transaction),
        offer(ADDRESS).bytes(transaction)[..200].to_vec(),
    ] {
        line.client.handle_packet(line.now, SERVER_MAC, &bytes);
    }
    line.collect();
    assert_eq!(line.sent(), [discover(None)]);
    assert_eq!(line.events(), []);
}

// RFC 2131 section 4.4.5.
