//! Lines that look the same: one provider's modems, with the same gateway address and the same network.
//!
//! ```text
//!                                                wan1 10.77.1.2 -- 10.77.1.1 [modem1] --+
//!  h1 .21 ---- lan -- lan0 192.168.10.1 [potato] wan2 10.77.1.3 -- 10.77.1.1 [modem2] --[internet] 203.0.113.1..9
//!                                                wan3 10.77.1.4 -- 10.77.1.1 [modem3] --+
//! ```

use std::collections::HashSet;
use std::net::Ipv4Addr;

use netns_tests::programs::{run, shell};
use netns_tests::sockets::{seen_from, udp};
use netns_tests::{Capture, FarEnd, LabOptions, SERVER, World, over_both_captures};

over_both_captures!(lines_with_the_same_gateway_address_are_all_used);

fn lines_with_the_same_gateway_address_are_all_used(capture: Capture) {
    let mut options = LabOptions::new(1, 3);
    for (last, uplink) in [2, 3, 4].into_iter().zip(&mut options.uplinks) {
        uplink.address = Ipv4Addr::new(10, 77, 1, last);
        uplink.gateway = Ipv4Addr::new(10, 77, 1, 1);
        uplink.far_end = FarEnd::Modem;
    }
    let world = World::with(capture, options).with_servers();
    let listening = udp(world.internet(), SERVER, 7000);
    let sockets: Vec<_> = (20_000..20_012).map(|port| udp(world.host(1), Ipv4Addr::UNSPECIFIED, port)).collect();
    let modems: HashSet<_> = sockets.iter().map(|socket| seen_from(socket, &listening, "who?").ip()).collect();
    assert_eq!(modems.len(), 3, "{modems:?}");
    run(world.host(1), "ping -c 3 -i 0.05 -W 2 203.0.113.1");
    let fetch = "for i in 1 2 3 4; do curl --silent --show-error --max-time 30 http://203.0.113.$i/bytes/1000000; done | sha256sum";
    assert_eq!(shell(world.host(1), fetch), shell(world.internet(), fetch));
    world.finish();
}
