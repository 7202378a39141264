//! What people do all day, by real programs.
//!
//! ```text
//!  h1 .21 --+                                    wan1 -- 10.77.1.1 --+
//!  h2 .22 --+-- lan -- lan0 192.168.10.1 [potato]                    [internet] 203.0.113.1..9, 192.0.2.53
//!                                                wan2 -- 10.77.2.1 --+
//! ```

use std::net::{Ipv4Addr, SocketAddr};

use netns_tests::programs::{run, scapy, shell, wait_for_listener};
use netns_tests::sockets;
use netns_tests::{Capture, Must, NAME_SERVER, ROUTER_ADDRESS, SERVER, World, over_both_captures};

over_both_captures!(
    ping_is_answered,
    traceroute_shows_the_router,
    names_are_resolved,
    a_hundred_megabytes_arrive_whole,
    an_upload_arrives,
    the_router_itself_uses_the_uplinks,
    local_traffic_stays_with_the_kernel,
);

fn ping_is_answered(capture: Capture) {
    let world = World::new(capture, 2, 2);
    let said = run(world.host(1), "ping -c 5 -i 0.05 -W 2 203.0.113.1");
    assert!(said.contains("5 received") && !said.contains("DUP"), "{said}");
    // Odd and large sizes, two hosts at once, every server.
    run(world.host(2), "ping -c 2 -i 0.05 -W 2 -s 1 203.0.113.9");
    run(world.host(1), "ping -c 2 -i 0.05 -W 2 -s 1472 -M do 203.0.113.5");
    world.finish();
}

fn traceroute_shows_the_router(capture: Capture) {
    let world = World::new(capture, 1, 2);
    for method in ["", "-I", "-T"] {
        let said = run(world.host(1), &format!("traceroute {method} -n -q 1 -w 2 -m 3 203.0.113.1"));
        let hops: Vec<_> = said.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).collect();
        assert_eq!(hops, ["192.168.10.1", "203.0.113.1"], "traceroute {method}: {said}");
    }
    world.finish();
}

fn names_are_resolved(capture: Capture) {
    let world = World::new(capture, 1, 2);
    let arguments = "--no-daemon --no-resolv --no-hosts --user=root --pid-file= --bind-interfaces \
                     --listen-address=192.0.2.53 --address=/potato.test/203.0.113.7 --txt-record=big.test";
    let text = "x".repeat(200);
    let big = format!("--txt-record=big.test,{text},{text},{text},{text},{text}");
    let mut words: Vec<_> = arguments.split_whitespace().filter(|word| *word != "--txt-record=big.test").collect();
    words.push(&big);
    let _server = world.internet().spawn("dnsmasq", &words).must();
    wait_for_listener(world.internet(), 53);
    let said = run(world.host(1), "dig +short +tries=2 +time=2 @192.0.2.53 www.potato.test");
    assert_eq!(said.trim(), "203.0.113.7");
    // An answer of one datagram near the MTU, and the same question by TCP.
    for option in ["+bufsize=4096", "+tcp"] {
        let said = run(world.host(1), &format!("dig +short {option} +tries=2 +time=2 @192.0.2.53 big.test TXT"));
        assert_eq!(said.matches('x').count(), 1000, "{option}: {said}");
    }
    world.finish();
}

fn a_hundred_megabytes_arrive_whole(capture: Capture) {
    let world = World::new(capture, 1, 2).with_servers();
    let fetch = "curl --silent --show-error --max-time 60 http://203.0.113.1/bytes/100000000 | sha256sum";
    let sent = shell(world.internet(), fetch);
    let received = shell(world.host(1), fetch);
    assert_eq!(sent, received);
    let bytes: u64 = (1..=2).filter_map(|number| world.uplink(number)["in"]["bytes"].as_u64()).sum();
    assert!(bytes > 100_000_000, "the router counted {bytes} bytes in");
    world.finish();
}

fn an_upload_arrives(capture: Capture) {
    let world = World::new(capture, 1, 2).with_servers();
    shell(
        world.host(1),
        "head -c 20000000 /dev/zero | curl --silent --show-error --fail --max-time 60 -T - -H 'Transfer-Encoding:' \
         -H 'Content-Length: 20000000' -H 'Expect:' http://203.0.113.3/bytes/20000000",
    );
    world.finish();
}

fn the_router_itself_uses_the_uplinks(capture: Capture) {
    let world = World::new(capture, 1, 2).with_servers();
    run(world.lab.router(), "ping -c 2 -i 0.05 -W 2 203.0.113.1");
    let said = run(
        world.lab.router(),
        "curl --silent --show-error --max-time 20 http://203.0.113.2/bytes/300000 -o /dev/null -w %{size_download}",
    );
    assert_eq!(said.trim(), "300000");
    let flows = world.router.flows(&["--host", &ROUTER_ADDRESS.to_string()]).must().to_string();
    assert!(flows.contains("203.0.113.2"), "{flows}");
    world.finish();
}

fn local_traffic_stays_with_the_kernel(capture: Capture) {
    let world = World::new(capture, 2, 2);
    // Another network behind h2: the kernel has a route to it, and traffic for it is none of ours.
    world.host(2).ip(&["address add 10.50.0.1/32 dev lo".to_owned()]).must();
    world.host(2).sysctl(&[("net/ipv4/ip_forward", "1")]).must();
    run(world.host(1), "ping -c 2 -i 0.05 -W 2 192.168.10.1");
    run(world.host(1), "ping -c 2 -i 0.05 -W 2 192.168.10.22");
    let listening = sockets::udp(world.lab.router(), ROUTER_ADDRESS, 5000);
    let socket = sockets::udp(world.host(1), Ipv4Addr::UNSPECIFIED, 6000);
    let source = sockets::seen_from(&socket, &listening, "to the router");
    assert_eq!(source, SocketAddr::from(([192, 168, 10, 21], 6000)));
    // Nothing of all this is a flow.
    let flows = world.router.flows(&[]).must();
    assert!(!flows.to_string().contains("192.168.10.2"), "{flows}");
    // A broadcast and a multicast are not for the internet either.
    scapy(
        world.host(1),
        "for address in ['255.255.255.255', '192.168.10.255', '224.0.0.251', '169.254.1.1']:\n    \
         sendp(Ether(dst='ff:ff:ff:ff:ff:ff')/IP(dst=address)/UDP(sport=999, dport=999)/b'all', iface='eth0')",
    );
    let flows = world.router.flows(&[]).must();
    assert!(!flows.to_string().contains(":999"), "{flows}");
    let _ = (SERVER, NAME_SERVER);
    world.finish();
}
