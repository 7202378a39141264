//! The end of a lease that is ours to end, and leases that cannot be used.

use super::*;

#[test]
fn lease_is_given_back_on_a_clean_stop() {
    let mut line = Line::bound();
    line.client.release();
    line.collect();
    assert_eq!((line.sent(), line.address()), (vec![release()], None));
    assert_eq!(line.client.remembered(), held(Standing::Released));
    let mut line = Line::new();
    line.sent();
    line.client.release();
    line.collect();
    assert_eq!((line.sent(), line.client.remembered()), (vec![], None));
}

#[test]
fn lease_in_a_lans_network_is_refused_and_told_once() {
    let mut line = Line::new();
    let lan: Ipv4Net = "100.64.0.0/16".parse().unwrap();
    line.client.handle_lan_networks(line.now, &[lan]);
    line.collect();
    line.sent();
    for round in 0..10 {
        line.hears(&offer(if round % 2 == 0 { ADDRESS } else { SECOND }));
        line.pass(16);
    }
    let network = Ipv4Net::new_assert(ADDRESS, 24);
    assert_eq!(line.events(), [ClientEvent::Refused { network, why: Unusable::OverlapsLan(lan) }]);
    assert!(line.sent().iter().all(|seen| *seen == discover(None)));
    // The LAN gets another network: the next offer is taken, and asked for at once.
    line.client.handle_lan_networks(line.now, &["192.168.10.1/24".parse().unwrap()]);
    line.collect();
    line.hears(&offer(ADDRESS));
    assert_eq!(line.sent(), [discover(None), select(ADDRESS)]);
}

#[test]
fn server_that_offers_all_sorts_of_nonsense_fills_no_log() {
    let mut line = Line::new();
    for third in 0..200 {
        line.hears(&offer(Ipv4Addr::new(100, 64, third, 9)).without(3));
    }
    assert_eq!(line.events().len(), 4);
    assert_eq!(line.client.refused().map(|(_, why)| why), Some(Unusable::NoGateway));
    line.hears(&offer(ADDRESS));
    line.hears(&ack(ADDRESS));
    line.pass(1);
    assert_eq!((line.address(), line.client.refused()), (Some(ADDRESS), None));
}

#[test]
fn lan_that_gets_the_leases_network_ends_it() {
    let mut line = Line::bound();
    let lan: Ipv4Net = "100.64.7.0/24".parse().unwrap();
    line.client.handle_lan_networks(line.now, &[lan]);
    line.collect();
    assert_eq!(line.events(), [ended(LeaseEnd::Unusable(Unusable::OverlapsLan(lan)))]);
    assert_eq!((line.sent(), line.address()), (vec![release(), discover(None)], None));
}

#[test]
fn acknowledgement_that_cannot_be_used_ends_the_lease() {
    let mut line = Line::bound();
    line.pass(500);
    line.hears(&ack(ADDRESS).with(51, &[0; 4]));
    let network = Ipv4Net::new_assert(ADDRESS, 24);
    let why = Unusable::NoLifetime;
    assert_eq!(line.events(), [ClientEvent::Refused { network, why }, ended(LeaseEnd::Unusable(why))]);
    assert_eq!(line.address(), None);
}
