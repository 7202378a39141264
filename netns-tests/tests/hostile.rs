//! Packets that nobody should send, from the LAN and from the internet.
//!
//! ```text
//!  h1 .21 (scapy) --+                                    wan1 -- 10.77.1.1 --+
//!  h2 .22 ----------+-- lan -- lan0 192.168.10.1 [potato]                    [internet] 203.0.113.1..9 (scapy)
//!                                                        wan2 -- 10.77.2.1 --+
//! ```
//!
//! The world's sniffers hold at the end of each test that nothing private and no RST of the router's own came out.

use std::net::{Ipv4Addr, SocketAddr};

use netns_tests::programs::{run, scapy};
use netns_tests::sniffer::Capturing;
use netns_tests::sockets::{connect, listener, seen_from, udp};
use netns_tests::{Capture, Must, SERVER, World, over_both_captures};

over_both_captures!(
    nothing_private_leaves_whatever_the_lan_sends,
    the_kernel_answers_nothing_on_an_uplink,
    the_internet_cannot_address_the_lan,
    a_blind_reset_does_not_end_a_connection,
);

fn nothing_private_leaves_whatever_the_lan_sends(capture: Capture) {
    let world = World::new(capture, 2, 2);
    let _listening = listener(world.internet(), Ipv4Addr::UNSPECIFIED, 80);
    scapy(
        world.host(1),
        "S = '203.0.113.1'\n\
         base = IP(dst=S)\n\
         inner = IP(src=S, dst='192.168.10.21')/UDP(sport=53, dport=4444)/b'12345678'\n\
         packets = []\n\
         for flags in ['', 'SF', 'FPU', 'FSRPAUEC', 'SR', 'F', 'PU']:\n    \
             packets.append(base/TCP(sport=1000, dport=80, flags=flags))\n\
         for flags in ['A', 'R', 'RA', 'FA', 'SA', 'PA']:\n    \
             packets.append(base/TCP(sport=1001, dport=80, flags=flags, seq=5, ack=9)/b'data')\n\
         packets.append(base/TCP(sport=1002, dport=80, flags='S', chksum=0x1234))\n\
         packets.append(base/TCP(sport=1003, dport=80, flags='S', dataofs=3))\n\
         packets.append(base/TCP(sport=1004, dport=80, flags='S', dataofs=15))\n\
         packets.append(base/UDP(sport=1005, dport=80, len=4)/b'short')\n\
         packets.append(base/UDP(sport=1006, dport=80, len=4000)/b'long')\n\
         packets.append(base/UDP(sport=1007, dport=80, chksum=0x1234)/b'wrong')\n\
         for kind, code in [(3, 0), (3, 3), (3, 4), (4, 0), (5, 1), (11, 0), (12, 0)]:\n    \
             packets.append(base/ICMP(type=kind, code=code)/inner)\n    \
             packets.append(base/ICMP(type=kind, code=code)/bytes(inner)[:12])\n    \
             packets.append(base/ICMP(type=kind, code=code)/IP(src='192.168.10.21', dst=S)/TCP(sport=1, dport=2))\n\
         for kind in [0, 9, 10, 13, 14, 15, 17, 18, 40]:\n    \
             packets.append(base/ICMP(type=kind)/b'12345678')\n\
         packets.append(base/ICMP(chksum=0x1234)/b'12345678')\n\
         for protocol in [0, 2, 4, 41, 47, 50, 132, 136, 253, 255]:\n    \
             packets.append(IP(dst=S, proto=protocol)/Raw(b'x' * 40))\n\
         for ttl in [0, 1]:\n    \
             packets.append(IP(dst=S, ttl=ttl)/UDP(sport=1008, dport=80))\n\
         packets.append(IP(dst=S, chksum=0x1234)/UDP(sport=1009, dport=80))\n\
         packets.append(IP(dst=S, ihl=4)/UDP(sport=1009, dport=80))\n\
         packets.append(IP(dst=S, ihl=15)/UDP(sport=1009, dport=80))\n\
         packets.append(IP(dst=S, len=19)/UDP(sport=1009, dport=80))\n\
         packets.append(IP(dst=S, len=9000)/UDP(sport=1009, dport=80))\n\
         packets.append(IP(dst=S, version=5)/UDP(sport=1009, dport=80))\n\
         packets.append(IP(dst=S, options=[IPOption_LSRR(routers=['192.168.10.22'])])/UDP(sport=1010, dport=80))\n\
         packets.append(IP(dst=S, options=[IPOption_RR(routers=['0.0.0.0', '0.0.0.0'])])/UDP(sport=1010, dport=80))\n\
         for source in ['0.0.0.0', '127.0.0.1', '224.0.0.1', '255.255.255.255', '192.168.10.1', '192.168.99.9', S]:\n    \
             packets.append(IP(src=source, dst=S)/UDP(sport=1011, dport=80))\n\
         packets.append(IP(dst=S, flags='MF')/UDP(sport=1012, dport=80))\n\
         packets.append(IP(dst=S, flags='MF', frag=1)/Raw(b'x' * 8))\n\
         packets.append(IP(dst=S, frag=8190)/Raw(b'x' * 400))\n\
         packets.append(IP(dst=S, flags='MF', id=7)/TCP(sport=1013, dport=80))\n\
         packets.append(IP(dst=S, flags='MF', id=7, frag=1)/Raw(b'x' * 16))\n\
         mac = getmacbyip('192.168.10.1')\n\
         frames = [Ether(dst=mac, type=0x800)/packet for packet in packets]\n\
         frames += [Ether(dst=mac, type=0x800)/Raw(bytes(IP(dst=S)/UDP())[:length]) for length in range(0, 28)]\n\
         frames += [Ether(dst=mac)/Dot1Q(vlan=3)/IP(dst=S)/UDP(), Ether(dst=mac, type=0x88b5)/Raw(b'x' * 50)]\n\
         sendp(frames, iface='eth0')",
    );
    // Still alive, and what was wrong was counted as what it was.
    run(world.host(2), "ping -c 2 -i 0.05 -W 2 203.0.113.1");
    for (reason, least) in
        [("bad_tcp_flags", 4), ("tcp_no_connection", 2), ("icmp_no_flow", 3), ("unsupported_protocol", 5)]
    {
        assert!(world.drops(reason) >= least, "{reason}: {}", world.router.status().must());
    }
    world.finish();
}

fn the_kernel_answers_nothing_on_an_uplink(capture: Capture) {
    let world = World::new(capture, 1, 2);
    let _listening = listener(world.lab.router(), Ipv4Addr::UNSPECIFIED, 22);
    let said = scapy(
        world.internet(),
        "packets = []\n\
         for target in ['10.77.1.2', '10.77.2.2']:\n    \
             for flags in ['S', 'A', 'SA', 'PA', 'FA', 'R', '', 'FPU']:\n        \
                 packets += [IP(dst=target)/TCP(sport=4000, dport=port, flags=flags, seq=1, ack=1) for port in [22, 4001]]\n    \
             packets += [IP(dst=target)/UDP(sport=4000, dport=4001)/b'x', IP(dst=target, proto=132)/Raw(b'x' * 20)]\n    \
             packets += [IP(dst=target)/ICMP(type=13)/(b'\\0' * 12), IP(dst=target)/ICMP(type=17)/(b'\\0' * 4)]\n\
         answers, _ = sr(packets, timeout=1)\n\
         print([answer.summary() for _, answer in answers])",
    );
    assert_eq!(said.trim(), "[]");
    world.finish();
}

fn the_internet_cannot_address_the_lan(capture: Capture) {
    let world = World::new(capture, 1, 2);
    let file = world.lab.directory().join("host.pcap");
    let capturing = Capturing::start(world.host(1), "eth0", "in", "ip and udp port 6666", 128, &file);
    let mac = run(world.lab.router(), "cat /sys/class/net/wan1/address");
    scapy(
        world.internet(),
        &format!(
            "mac = '{}'\n\
             frames = [Ether(dst=mac)/IP(src=source, dst=target)/UDP(sport=6666, dport=6666)/b'in'\n    \
                 for target in ['192.168.10.21', '192.168.10.1', '192.168.10.255', '255.255.255.255', '224.0.0.1', '10.77.1.2']\n    \
                 for source in ['203.0.113.1', '192.168.10.22', '192.168.10.1', '10.77.1.2', '127.0.0.1', '0.0.0.0']]\n\
             frames.append(Ether(dst='ff:ff:ff:ff:ff:ff')/IP(src='203.0.113.1', dst='192.168.10.21')/UDP(sport=6666, dport=6666))\n\
             sendp(frames, iface='isp1')",
            mac.trim()
        ),
    );
    // A whole way there and back behind it: had anything been let through, it would have come before.
    run(world.host(1), "ping -c 2 -i 0.05 -W 2 203.0.113.1");
    let seen = capturing.finish();
    assert!(seen.is_empty(), "{seen:?}");
    world.finish();
}

// RFC 7857 section 2, RFC 5961: an RST counts only at the exact place.
fn a_blind_reset_does_not_end_a_connection(capture: Capture) {
    use std::io::{Read, Write};
    let world = World::new(capture, 1, 1);
    let listening = listener(world.internet(), SERVER, 7000);
    let mut near = connect(world.host(1), 6000, SocketAddr::from((SERVER, 7000))).must();
    let (mut far, external) = listening.accept().must();
    scapy(
        world.internet(),
        &format!(
            "send([IP(src='203.0.113.1', dst='{}')/TCP(sport=7000, dport={}, flags=flags, seq=seq)\n    \
                 for flags in ['R', 'RA', 'SA', 'F'] for seq in [1, 1 << 30, 3 << 30, 0xfffffff0]])",
            external.ip(),
            external.port()
        ),
    );
    for text in [b"one", b"two"] {
        near.write_all(text).must();
        let mut bytes = [0; 3];
        far.read_exact(&mut bytes).must();
        far.write_all(&bytes).must();
        near.read_exact(&mut bytes).must();
        assert_eq!(&bytes, text);
    }
    // And a UDP socket beside it is not disturbed either.
    let other = udp(world.internet(), SERVER, 7000);
    let socket = udp(world.host(1), Ipv4Addr::UNSPECIFIED, 6000);
    seen_from(&socket, &other, "still here");
    world.finish();
}
