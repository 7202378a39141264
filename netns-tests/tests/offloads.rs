//! Checksums and segmentation, done by the hosts or left to their network cards.
//!
//! ```text
//!  h1 .21 ---- lan -- lan0 192.168.10.1 [potato] wan1 -- 10.77.1.1 [internet] 203.0.113.1
//!  offloads on, off                                      offloads on, off
//! ```

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};

use netns_tests::capture_file::Seen;
use netns_tests::programs::{run, shell};
use netns_tests::sniffer::Capturing;
use netns_tests::sockets::{connect, expect, listener, seen_from, udp};
use netns_tests::{Capture, LabOptions, Must, Namespace, Offloads, SERVER, World, over_both_captures};

over_both_captures!(
    checksums_are_right_without_offloads,
    a_host_without_offloads_meets_servers_with,
    a_host_with_offloads_meets_servers_without,
    offloads_everywhere,
);

fn world(capture: Capture, host: Offloads, internet: Offloads) -> World {
    let mut options = LabOptions::new(1, 1);
    options.host_offloads = host;
    options.internet_offloads = internet;
    World::with(capture, options).with_servers()
}

/// Every checksum that either side sees is whole and right, computed anew by the tests' own reader.
fn checksums_are_right_without_offloads(capture: Capture) {
    let world = world(capture, Offloads::Off, Offloads::Off);
    let file = |name: &str| world.lab.directory().join(name);
    let at_host = Capturing::start(world.host(1), "eth0", "in", "ip", 65_535, &file("host.pcap"));
    let outside = Capturing::start(world.internet(), "isp1", "in", "ip", 65_535, &file("outside.pcap"));
    one_of_each(&world);
    let (at_host, outside) = (at_host.finish(), outside.finish());
    for (side, packets) in [("host", &at_host), ("server", &outside)] {
        assert!(
            [1, 6, 17].iter().all(|protocol| packets.iter().any(|packet| packet.protocol() == *protocol)),
            "{side}"
        );
        let wrong: Vec<_> =
            packets.iter().filter(|packet| packet.is_whole() && !packet.checksums_are_right()).collect();
        assert!(wrong.is_empty(), "the {side} saw wrong checksums: {wrong:02x?}");
    }
    assert!(outside.iter().all(Seen::is_whole));
    bulk_both_ways(&world);
    world.finish();
}

fn a_host_without_offloads_meets_servers_with(capture: Capture) {
    mixed(capture, Offloads::Off, Offloads::On);
}

fn a_host_with_offloads_meets_servers_without(capture: Capture) {
    mixed(capture, Offloads::On, Offloads::Off);
}

fn offloads_everywhere(capture: Capture) {
    mixed(capture, Offloads::On, Offloads::On);
}

fn mixed(capture: Capture, host: Offloads, internet: Offloads) {
    let world = world(capture, host, internet);
    one_of_each(&world);
    bulk_both_ways(&world);
    world.finish();
}

/// A short exchange by UDP, TCP and ICMP, odd lengths among them.
fn one_of_each(world: &World) {
    let listening = udp(world.internet(), SERVER, 7000);
    let socket = udp(world.host(1), Ipv4Addr::UNSPECIFIED, 5000);
    for text in ["", "odd", "even", &"long".repeat(300)] {
        let external = seen_from(&socket, &listening, text);
        listening.send_to(text.as_bytes(), external).must();
        expect(&socket, text);
    }
    let listening = listener(world.internet(), SERVER, 7000);
    let mut near = connect(world.host(1), 0, SocketAddr::from((SERVER, 7000))).must();
    let (mut far, _) = listening.accept().must();
    for text in ["odd", "even", &"long".repeat(300)] {
        let mut bytes = vec![0; text.len()];
        near.write_all(text.as_bytes()).must();
        far.read_exact(&mut bytes).must();
        far.write_all(&bytes).must();
        near.read_exact(&mut bytes).must();
        assert_eq!(bytes, text.as_bytes());
    }
    run(world.host(1), "ping -c 2 -i 0.05 -W 2 -s 1 203.0.113.1");
}

/// Megabytes both ways arrive whole, and neither kernel has seen a wrong checksum.
fn bulk_both_ways(world: &World) {
    let fetch = "curl --silent --show-error --max-time 30 http://203.0.113.1/bytes/10000000 | sha256sum";
    assert_eq!(shell(world.host(1), fetch), shell(world.internet(), fetch));
    shell(
        world.host(1),
        "head -c 10000000 /dev/urandom | curl --silent --show-error --fail --max-time 30 -T - -H 'Transfer-Encoding:' \
         -H 'Content-Length: 10000000' -H 'Expect:' http://203.0.113.1/bytes/10000000",
    );
    for namespace in [world.host(1), world.internet()] {
        let errors = checksum_errors(namespace);
        assert_eq!(errors, [0, 0, 0], "{} saw TCP, UDP, ICMP checksum errors", namespace.name());
    }
}

fn checksum_errors(namespace: &Namespace) -> [u64; 3] {
    let said = run(namespace, "nstat -asz");
    ["TcpInCsumErrors", "UdpInCsumErrors", "IcmpInCsumErrors"].map(|name| {
        let line = said.lines().find(|line| line.starts_with(name)).expect("nstat knows it");
        line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("it is a number")
    })
}
