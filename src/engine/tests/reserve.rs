//! Lines that some hosts have for themselves.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::placement::{Fallback, Policy, Reserved};

/// The line that is reserved for host A, of three.
const OWN: UplinkId = UplinkId(1);

impl Router {
    fn reserve(&mut self, fallback: Fallback) {
        let reserved = vec![Reserved { uplink: OWN, hosts: vec![HOST_A], fallback }];
        self.snapshot.policy = Arc::new(Policy { reserved, ..Policy::default() });
    }

    fn with_own_line(fallback: Fallback) -> Self {
        let mut router = Self::with(&engine_config(1, 3));
        router.reserve(fallback);
        router
    }

    /// The lines that twelve new flows of a host get, by how many.
    fn lines_of(&mut self, host: Ipv4Addr, first_port: u16) -> [usize; 3] {
        let lines: Vec<_> = (first_port..first_port + 12)
            .map(|port| self.out_one(&udp((host, port), (SERVER, 53), b"query")).uplink())
            .collect();
        [0, 1, 2].map(|line| lines.iter().filter(|at| at.0 == line).count())
    }
}

#[test]
fn reserved_line_carries_its_hosts_alone_and_all_of_them() {
    let mut router = Router::with_own_line(Fallback::Pool);
    assert_eq!(router.lines_of(HOST_A, 5_000), [0, 12, 0]);
    assert_eq!(router.lines_of(HOST_B, 5_000), [6, 0, 6]);
}

#[test]
fn flows_of_others_stay_on_a_line_that_is_reserved_until_they_end() {
    let mut router = Router::with(&engine_config(1, 3));
    let query = |port, to| udp((HOST_B, port), (to, 53), b"query");
    let port = (5_000..5_010).find(|port| router.out_one(&query(*port, SERVER)).uplink() == OWN).unwrap();
    router.reserve(Fallback::Pool);
    let again = router.out_one(&query(port, SERVER));
    assert_eq!(again.uplink(), OWN);
    assert_eq!(
        router.send_from_uplink(OWN, &udp((SERVER, 53), (again.ip().source, again.ports().0), b"answer")).len(),
        1
    );
    // A new flow from the same port is a new one.
    assert_ne!(router.out_one(&query(port, OTHER_SERVER)).uplink(), OWN);
}

#[test]
fn hosts_of_a_lost_line_use_the_pool_and_return_when_it_is_back() {
    let mut router = Router::with_own_line(Fallback::Pool);
    router.lines_of(HOST_A, 5_000);
    router.lose(OWN);
    let (told, sent) = router.fail_over(OWN);
    assert_eq!((told.told, sent.len(), told.kept), (12, 12, false));
    assert_eq!(router.lines_of(HOST_A, 6_000), [6, 0, 6]);
    let before = router.out_one(&udp((HOST_A, 6_000), (SERVER, 53), b"query")).uplink();
    router.give_back(OWN);
    assert_eq!(router.lines_of(HOST_A, 7_000), [0, 12, 0]);
    // What has begun meanwhile stays where it is; a new flow from the same port does not.
    assert_eq!(router.out_one(&udp((HOST_A, 6_000), (SERVER, 53), b"query")).uplink(), before);
    assert_eq!(router.out_one(&udp((HOST_A, 6_000), (OTHER_SERVER, 53), b"query")).uplink(), OWN);
}

#[test]
fn hosts_that_may_not_use_the_pool_are_refused_and_their_flows_wait() {
    let mut router = Router::with_own_line(Fallback::Refuse);
    let query = udp((HOST_A, 5_000), (SERVER, 53), b"query");
    let external = router.out_one(&query);
    router.lose(OWN);
    let (told, sent) = router.fail_over(OWN);
    assert_eq!((told.kept, told.told, sent.len()), (true, 0, 0));
    let mut sent = Vec::new();
    router.assert_dropped(DropReason::NoUplink, |router| {
        sent = router.send_from_lan(&udp((HOST_A, 6_000), (SERVER, 53), b"query"));
        Vec::new()
    });
    // Network unreachable.
    assert_eq!((sent[0].egress, &sent[0].packet[20..22]), (Egress::Lan(LAN), &[3_u8, 0][..]));
    assert_eq!(router.lines_of(HOST_B, 5_000), [6, 0, 6]);
    router.give_back(OWN);
    let answer = udp((SERVER, 53), (external.ip().source, external.ports().0), b"answer");
    assert_eq!(router.send_from_uplink(OWN, &answer).len(), 1);
    assert_eq!(router.out_one(&query).uplink(), OWN);
}

/// Something that happens.
#[derive(Clone, Copy, Debug)]
enum Step {
    Open(Ipv4Addr),
    Lose(UplinkId),
    GiveBack(UplinkId),
    Reserve(Fallback),
    Release,
}

fn step() -> impl Strategy<Value = Step> {
    let line = || (0_u8..3).prop_map(UplinkId);
    prop_oneof![
        6 => prop_oneof![Just(HOST_A), Just(HOST_B)].prop_map(Step::Open),
        1 => line().prop_map(Step::Lose),
        1 => line().prop_map(Step::GiveBack),
        1 => prop_oneof![Just(Fallback::Pool), Just(Fallback::Refuse)].prop_map(Step::Reserve),
        1 => Just(Step::Release),
    ]
}

proptest! {
    #[test]
    fn reserved_line_gets_no_new_flow_of_others_whatever_comes(steps in proptest::collection::vec(step(), 1..60)) {
        let mut router = Router::with(&engine_config(1, 3));
        let (mut up, mut reserved) = ([true; 3], None);
        for (port, step) in (2_000..).zip(steps) {
            match step {
                Step::Lose(line) => {
                    router.lose(line);
                    up[line.index()] = false;
                }
                Step::GiveBack(line) => {
                    router.give_back(line);
                    up[line.index()] = true;
                }
                Step::Reserve(fallback) => {
                    router.reserve(fallback);
                    reserved = Some(fallback);
                }
                Step::Release => {
                    router.snapshot.policy = Arc::default();
                    reserved = None;
                }
                Step::Open(host) => {
                    let sent = router.send_from_lan(&udp((host, port), (SERVER, 53), b"query"));
                    let got = sent.iter().find_map(|sent| match sent.egress {
                        Egress::Uplink(line) => Some(line),
                        Egress::Lan(_) => None,
                    });
                    let pool_works = up[0] || up[2];
                    match (reserved, host == HOST_A) {
                        (None, _) => prop_assert_eq!(got.is_some(), up.contains(&true)),
                        (Some(_), false) => {
                            prop_assert_ne!(got, Some(OWN));
                            prop_assert_eq!(got.is_some(), pool_works);
                        }
                        (Some(_), true) if up[1] => prop_assert_eq!(got, Some(OWN)),
                        (Some(Fallback::Refuse), true) => prop_assert_eq!(got, None),
                        (Some(Fallback::Pool), true) => {
                            prop_assert_ne!(got, Some(OWN));
                            prop_assert_eq!(got.is_some(), pool_works);
                        }
                    }
                }
            }
        }
    }
}
