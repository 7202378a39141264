//! ICMP errors, path MTU and fragments.
//!
//! ```text
//!  h1 .21 --+                                    wan1 -- 10.77.1.1 [internet or modem] --+
//!  h2 .22 --+-- lan -- lan0 192.168.10.1 [potato]                                        [internet] 203.0.113.1..9
//!                                                wan2 -- 10.77.2.1 ----------------------+
//! ```

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use netns_tests::programs::{run, scapy, shell};
use netns_tests::sniffer::Capturing;
use netns_tests::sockets::{connect, expect, seen_from, udp};
use netns_tests::waiting::wait_for;
use netns_tests::{Capture, FarEnd, LabOptions, Must, Namespace, SERVER, World, over_both_captures};

const ANY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

over_both_captures!(
    closed_ports_are_told_to_the_host,
    closed_ports_are_told_to_the_server,
    routers_beyond_are_seen_by_traceroute,
    a_short_uplink_tells_its_mtu,
    tcp_is_clamped_to_a_short_uplink,
    a_short_link_beyond_tells_its_mtu,
    long_pings_go_in_fragments,
    fragments_may_come_reversed,
);

/// Waits until `socket`, which is connected, has been told that the port at the other end is closed.
fn is_refused(socket: &UdpSocket) {
    wait_for("a refusal", || match socket.send(b"anybody?").and_then(|_| socket.recv(&mut [0; 16])) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

// RFC 5508 REQ-4: the inner packet is restored, or the host's kernel would not find the socket.
fn closed_ports_are_told_to_the_host(capture: Capture) {
    let world = World::new(capture, 2, 1);
    let listening = udp(world.internet(), SERVER, 7000);
    // The rival has the port outside, so that of the socket is changed.
    let rival = udp(world.host(2), ANY, 5000);
    seen_from(&rival, &listening, "rival");
    let socket = udp(world.host(1), ANY, 5000);
    socket.set_read_timeout(Some(std::time::Duration::from_millis(100))).must();
    socket.connect((SERVER, 9)).must();
    is_refused(&socket);
    let error = connect(world.host(1), 0, SocketAddr::from((SERVER, 9))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    world.finish();
}

// RFC 5508 REQ-5.
fn closed_ports_are_told_to_the_server(capture: Capture) {
    let world = World::new(capture, 1, 1);
    let listening = udp(world.internet(), SERVER, 7000);
    let socket = udp(world.host(1), ANY, 5000);
    let external = seen_from(&socket, &listening, "soon gone");
    drop(socket);
    listening.set_read_timeout(Some(std::time::Duration::from_millis(100))).must();
    listening.connect(external).must();
    is_refused(&listening);
    world.finish();
}

fn behind_a_modem() -> LabOptions {
    let mut options = LabOptions::new(1, 1);
    options.uplinks[0].far_end = FarEnd::Modem;
    options
}

fn routers_beyond_are_seen_by_traceroute(capture: Capture) {
    let world = World::with(capture, behind_a_modem());
    for method in ["", "-I", "-T"] {
        let said = run(world.host(1), &format!("traceroute {method} -n -q 1 -w 2 -m 4 203.0.113.1"));
        let hops: Vec<_> = said.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).collect();
        assert_eq!(hops, ["192.168.10.1", "10.77.1.1", "203.0.113.1"], "traceroute {method}: {said}");
    }
    world.finish();
}

fn short_uplink() -> LabOptions {
    let mut options = LabOptions::new(1, 1);
    options.uplinks[0].mtu = Some(1400);
    options
}

/// What ping says, whether it succeeds or not.
fn ping(host: &Namespace, options: &str) -> String {
    shell(host, &format!("ping -W 2 {options} 203.0.113.1 2>&1 || true"))
}

// RFC 4787 REQ-13.
fn a_short_uplink_tells_its_mtu(capture: Capture) {
    let world = World::with(capture, short_uplink());
    let said = ping(world.host(1), "-c 1 -M do -s 1472");
    assert!(said.contains("From 192.168.10.1") && said.contains("mtu = 1400"), "{said}");
    let said = ping(world.host(1), "-c 2 -i 0.05 -M do -s 1372");
    assert!(said.contains("2 received"), "{said}");
    // Without DF the packet goes in fragments, made here.
    let said = ping(world.host(1), "-c 2 -i 0.05 -M dont -s 1472");
    assert!(said.contains("2 received"), "{said}");
    world.finish();
}

fn tcp_is_clamped_to_a_short_uplink(capture: Capture) {
    let world = World::with(capture, short_uplink()).with_servers();
    // Nobody hears of the path's MTU: only the clamped MSS can help.
    for namespace in [world.host(1), world.internet()] {
        shell(
            namespace,
            "nft 'add table ip t; add chain ip t i { type filter hook input priority 0; }; \
             add rule ip t i icmp type destination-unreachable drop'",
        );
    }
    let file = world.lab.directory().join("syn.pcap");
    let capturing = Capturing::start(world.internet(), "isp1", "inout", "tcp[tcpflags] & tcp-syn != 0", 128, &file);
    let fetch = "curl --silent --show-error --max-time 30 http://203.0.113.1/bytes/3000000 | sha256sum";
    assert_eq!(shell(world.host(1), fetch), shell(world.internet(), fetch));
    shell(
        world.host(1),
        "head -c 3000000 /dev/zero | curl --silent --show-error --fail --max-time 30 -T - -H 'Transfer-Encoding:' \
         -H 'Content-Length: 3000000' -H 'Expect:' http://203.0.113.1/bytes/3000000",
    );
    let sizes: Vec<_> = capturing
        .finish()
        .iter()
        .filter(|packet| packet.source() == Ipv4Addr::new(10, 77, 1, 2))
        .map(|packet| {
            // The first option of Linux's SYN.
            let options = packet.payload()[20..24].to_vec();
            assert_eq!(options[..2], [2, 4], "no MSS comes first");
            u16::from_be_bytes([options[2], options[3]])
        })
        .collect();
    assert_eq!(sizes, [1360, 1360]);
    world.finish();
}

fn a_short_link_beyond_tells_its_mtu(capture: Capture) {
    let world = World::with(capture, behind_a_modem()).with_servers();
    world.lab.far_end(1).ip(&["link set line mtu 1300".to_owned()]).must();
    world.internet().ip(&["link set modem1 mtu 1300".to_owned()]).must();
    let said = ping(world.host(1), "-c 1 -M do -s 1472");
    assert!(said.contains("From 10.77.1.1") && said.contains("mtu = 1300"), "{said}");
    // A host that was not told before learns it while it sends.
    world.host(1).ip(&["route flush cache".to_owned()]).must();
    shell(
        world.host(1),
        "head -c 3000000 /dev/zero | curl --silent --show-error --fail --max-time 30 -T - -H 'Transfer-Encoding:' \
         -H 'Content-Length: 3000000' -H 'Expect:' http://203.0.113.1/bytes/3000000",
    );
    world.finish();
}

fn long_pings_go_in_fragments(capture: Capture) {
    let world = World::new(capture, 2, 2);
    for host in [1, 2] {
        let said = run(world.host(host), "ping -c 5 -i 0.05 -W 2 -s 4000 203.0.113.1");
        assert!(said.contains("5 received"), "{said}");
        run(world.host(host), "ping -c 2 -i 0.05 -W 2 -s 60000 203.0.113.1");
    }
    world.finish();
}

// RFC 4787 REQ-14: fragments in any order, both ways.
fn fragments_may_come_reversed(capture: Capture) {
    let world = World::new(capture, 1, 2);
    let listening = udp(world.internet(), SERVER, 7000);
    let socket = udp(world.host(1), ANY, 5000);
    let external = seen_from(&socket, &listening, "open");
    // "a" to "y" 160 times each, so that a piece at the wrong place shows.
    let text: String = ('a'..='y').map(|letter| letter.to_string().repeat(160)).collect();
    let payload = "''.join(chr(97 + i) * 160 for i in range(25))";
    let reversed = |source: &str, source_port: u16, to: SocketAddr, order: &str| {
        format!(
            "packet = IP(src='{source}', dst='{}', id=RandShort()._fix())/UDP(sport={source_port}, dport={})/{payload}\n\
             pieces = fragment(packet, fragsize=1000)\nassert len(pieces) >= 4\n{order}\nsend(pieces)",
            to.ip(),
            to.port()
        )
    };
    let orders = ["pieces.reverse()", "pieces = pieces[1:] + pieces[:1]", "pieces = pieces[::2] + pieces[1::2]"];
    for order in orders {
        scapy(world.host(1), &reversed("192.168.10.21", 5000, SocketAddr::from((SERVER, 7000)), order));
        assert_eq!(received(&listening), (text.clone(), external), "{order}");
        scapy(world.internet(), &reversed("203.0.113.1", 7000, external, order));
        assert_eq!(received(&socket).0, text, "{order}");
    }
    // The socket still works as before.
    listening.send_to(b"short", external).must();
    expect(&socket, "short");
    world.finish();
}

fn received(socket: &UdpSocket) -> (String, SocketAddr) {
    let mut bytes = vec![0; 8000];
    let (length, source) =
        socket.recv_from(&mut bytes).unwrap_or_else(|error| panic!("the pieces did not come: {error}"));
    (String::from_utf8_lossy(&bytes[..length]).into_owned(), source)
}
