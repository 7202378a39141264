//! Addresses that the line had before, and addresses that others have.

use super::*;

#[test]
fn remembered_address_is_asked_for_at_once() {
    let mut line = Line::with(held(Standing::Held));
    assert_eq!(line.sent(), [reboot(ADDRESS)]);
    line.hears(&ack(ADDRESS));
    assert_eq!(line.sent(), [Seen::Probe(ADDRESS)]);
    line.pass(1);
    assert_eq!((line.events(), line.address()), (vec![ClientEvent::Leased(lease())], Some(ADDRESS)));
}

#[test]
fn remembered_address_that_is_denied_is_forgotten() {
    let mut line = Line::with(held(Standing::Held));
    line.hears(&nak());
    assert_eq!(line.sent(), [reboot(ADDRESS), discover(None)]);
    assert_eq!(line.events(), [ClientEvent::Denied { address: ADDRESS, message: None }]);
    assert_eq!(line.client.remembered(), None);
}

#[test]
fn remembered_address_is_a_wish_where_nobody_knows_it() {
    let mut line = Line::with(held(Standing::Held));
    line.pass(4);
    let expected = [(0, reboot(ADDRESS)), (2_000, reboot(ADDRESS)), (4_000, discover(Some(ADDRESS)))];
    assert_eq!(line.log, expected);
    assert_eq!(Line::with(held(Standing::Released)).sent(), [discover(Some(ADDRESS))]);
    let of_another_card = Remembered { mac: OTHER, address: ADDRESS, standing: Standing::Held };
    assert_eq!(Line::with(Some(of_another_card)).sent(), [discover(Some(ADDRESS))]);
}

#[test]
fn carrier_that_returns_gets_its_address_back() {
    let mut line = Line::bound();
    line.client.stop();
    assert_eq!((line.address(), line.client.poll_timeout()), (None, None));
    line.pass(10);
    line.client.start(line.now, OURS);
    line.collect();
    assert_eq!(line.sent(), [reboot(ADDRESS)]);
    line.hears(&ack(ADDRESS));
    line.pass(1);
    assert_eq!(line.address(), Some(ADDRESS));
}

// RFC 2131 section 3.1 (5).
#[test]
fn address_in_use_is_declined_and_another_asked_for_later() {
    let answers = [
        arp(OTHER, ArpOperation::Reply, ADDRESS, NOBODY),
        arp(OTHER, ArpOperation::Request, ADDRESS, GATEWAY),
        arp(OTHER, ArpOperation::Request, NOBODY, ADDRESS),
    ];
    for answer in answers {
        let mut line = Line::new();
        line.hears(&offer(ADDRESS));
        line.hears(&ack(ADDRESS));
        line.sent();
        line.hears_arp(&answer);
        assert_eq!(line.sent(), [broadcast(DhcpMessageType::Decline, Some(ADDRESS), Some(SERVER))]);
        assert_eq!(line.events(), [ClientEvent::Declined { address: ADDRESS, rival: OTHER }]);
        line.pass(9);
        assert_eq!((line.address(), line.sent()), (None, vec![]));
        line.pass(1);
        assert_eq!(line.sent(), [discover(None)]);
        line.hears(&offer(SECOND));
        line.hears(&ack(SECOND));
        line.pass(1);
        assert_eq!(line.address(), Some(SECOND));
    }
}

#[test]
fn arp_that_concerns_another_address_or_is_our_own_declines_nothing() {
    let mut line = Line::new();
    line.hears(&offer(ADDRESS));
    line.hears(&ack(ADDRESS));
    for packet in [
        arp(OTHER, ArpOperation::Request, SECOND, ADDRESS),
        arp(OTHER, ArpOperation::Reply, GATEWAY, ADDRESS),
        arp(OURS, ArpOperation::Request, NOBODY, ADDRESS),
        vec![0; 28],
    ] {
        line.hears_arp(&packet);
    }
    line.pass(1);
    assert_eq!(line.address(), Some(ADDRESS));
    line.hears_arp(&arp(OTHER, ArpOperation::Reply, ADDRESS, NOBODY));
    assert_eq!(line.address(), Some(ADDRESS), "what is in use is defended, not declined");
}

// RFC 2131 section 4.4.6.

#[test]
fn redialled_lease_is_given_back_at_once_and_its_address_wished_for() {
    let mut line = Line::bound();
    line.client.redial(line.now);
    line.collect();
    assert_eq!(line.sent(), [release(), discover(Some(ADDRESS))]);
    assert_eq!((line.events(), line.address()), (vec![ended(LeaseEnd::GivenBack)], None));
    assert_eq!(line.client.remembered(), held(Standing::Released));
    line.hears(&offer(SECOND));
    line.hears(&ack(SECOND));
    line.pass(1);
    assert_eq!(line.address(), Some(SECOND));
}

#[test]
fn redialled_client_asks_at_once_whatever_it_waited_for() {
    let mut line = Line::new();
    line.hears(&offer(ADDRESS));
    line.hears(&ack(ADDRESS));
    line.hears_arp(&arp(OTHER, ArpOperation::Reply, ADDRESS, NOBODY));
    line.sent();
    line.events();
    line.client.redial(line.now);
    line.collect();
    assert_eq!((line.sent(), line.events()), (vec![discover(None)], vec![]), "what was declined is not asked for");
    line.client.stop();
    line.client.redial(line.now);
    line.collect();
    assert_eq!((line.sent(), line.client.poll_timeout()), (vec![], None), "without a carrier there is nobody");
}
