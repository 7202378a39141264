//! Flows of class isolated that carry too much, and new ones like them.

use std::sync::Arc;

use super::*;
use crate::flow::record::MARK_BULKY;
use crate::flow::{EndpointV4, FlowKey, Protocol};
use crate::placement::{Action, Class, Match, Policy, Rule, RuleId, Stickiness, UplinkSet};

const FAR: (Ipv4Addr, u16) = (SERVER, 5_004);
const ISOLATED: UplinkId = UplinkId(1);

/// Line 1 is for urgent datagrams.
fn router() -> Router {
    let mut router = Router::new();
    let rule = Rule {
        id: RuleId(4),
        name: "urgent".into(),
        matches: Match { protocol: Some(Protocol::Udp), ..Match::default() },
        action: Action::Class(Class::Isolated),
        stickiness: Stickiness::Default,
    };
    let isolated = UplinkSet::of(ISOLATED);
    router.snapshot.policy = Arc::new(Policy { rules: vec![rule], isolated, ..Policy::default() });
    router
}

impl Router {
    /// Sends datagrams at this rate for so long, and lets the worker look.
    fn stream(&mut self, port: u16, bits_per_second: u64, seconds: u64) -> UplinkId {
        let payload = vec![7; 1_372];
        let mut line = None;
        for _ in 0..seconds * 4 {
            for _ in 0..bits_per_second / 4 / 11_200 {
                line = Some(self.out_one(&udp((HOST_A, port), FAR, &payload)).uplink());
            }
            self.now = self.now + Duration::from_millis(250);
            self.workers[0].handle_timeout(self.now, &mut self.out);
        }
        line.unwrap()
    }

    fn class(&self, port: u16) -> (Class, bool) {
        let end = |(address, port)| EndpointV4 { address, port };
        let key = FlowKey { protocol: Protocol::Udp, internal: end((HOST_A, port)), remote: end(FAR) };
        let record = self.workers[0].table.record(self.workers[0].table.find(&key).unwrap());
        (Class::from_number(record.body.class), record.is_marked(MARK_BULKY))
    }

    fn isolated(&self) -> (u64, u64) {
        let counters = self.workers[0].counters();
        let of = counters.uplink(ISOLATED);
        (of.isolated_flows.value(), of.isolated_bulky.value())
    }
}

#[test]
fn urgent_flow_that_is_bulky_stays_and_new_ones_like_it_are_bulk() {
    let mut router = router();
    assert_eq!(router.stream(6_000, 4_000_000, 4), ISOLATED);
    assert_eq!((router.class(6_000), router.isolated()), ((Class::Isolated, false), (1, 0)), "2 MB are not much");
    assert_eq!(router.stream(6_000, 4_000_000, 8), ISOLATED, "it stays where it is");
    assert_eq!((router.class(6_000), router.isolated()), ((Class::Isolated, true), (1, 1)));
    let finding = router.workers[0].bulky().take_finding().expect("people are told");
    assert_eq!((finding.key.internal.address, finding.key.remote.port, finding.rule), (HOST_A, FAR.1, RuleId(4)));
    // Its like is told apart by host, far end and port.
    assert_eq!(router.out_one(&udp((HOST_A, 6_002), FAR, b"")).uplink(), UplinkId(0));
    assert_eq!((router.class(6_002), router.isolated()), ((Class::Bulk, true), (1, 1)));
    for (host, far) in [(HOST_B, FAR), (HOST_A, (OTHER_SERVER, FAR.1)), (HOST_A, (SERVER, 53))] {
        assert_eq!(router.out_one(&udp((host, 6_004), far, b"")).uplink(), ISOLATED);
    }
    let bytes = router.workers[0].counters().uplink(ISOLATED).isolated_bytes.value();
    assert!((5_900_000..6_100_000).contains(&bytes), "{bytes}");
    router.wait(Duration::from_secs(3_500));
    assert_eq!(router.out_one(&udp((HOST_A, 6_006), FAR, b"")).uplink(), UplinkId(0));
    router.wait(Duration::from_secs(200));
    assert_eq!(router.out_one(&udp((HOST_A, 6_008), FAR, b"")).uplink(), ISOLATED, "an hour is over");
    assert!(router.workers[0].bulky().take_finding().is_none(), "once is enough");
}

#[test]
fn slow_or_short_flows_are_not_bulky_however_long_they_live() {
    let mut router = router();
    router.stream(6_000, 400_000, 100);
    assert_eq!(router.class(6_000), (Class::Isolated, false), "4.5 MB at 0.4 Mbit/s");
    for _ in 0..10 {
        router.stream(6_002, 4_000_000, 1);
        router.now = router.now + Duration::from_secs(20);
        router.workers[0].handle_timeout(router.now, &mut router.out);
    }
    assert_eq!(router.class(6_002), (Class::Isolated, false), "a page now and then");
    assert_eq!(router.isolated().1, 0);
}

#[test]
fn flow_like_a_bulky_one_that_must_leave_its_line_goes_to_bulk() {
    let mut router = router();
    router.snapshot.uplinks.push(uplink(2));
    router.workers[0].take_in_uplink(UplinkId(2), &crate::nat::PortBounds::all());
    router.stream(6_000, 8_000_000, 6);
    let line = router.out_one(&udp((HOST_A, 6_002), FAR, b"")).uplink();
    assert_ne!(line, ISOLATED);
    let record = *router.workers[0]
        .table
        .records_from(0)
        .map(|(_, record)| record)
        .find(|record| record.body.internal_port == 6_002)
        .unwrap();
    let tiers = Worker::tiers_of(&router.snapshot, &record);
    assert!(!tiers.iter().next().unwrap().contains(ISOLATED));
}
