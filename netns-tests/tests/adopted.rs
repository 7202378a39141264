//! Lines whose address is the kernel's: both use them, and neither notices the other.
//!
//! ```text
//!  h1 .21 --+                                    wan1 -- 10.77.1.1 --+
//!           +-- lan -- lan0 192.168.10.1 [potato]                    [internet] 203.0.113.1: servers
//!                                          the kernel has 10.77.1.2
//! ```

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use netns_tests::programs::{run, shell, wait_for_listener};
use netns_tests::sniffer::Capturing;
use netns_tests::sockets::{connect, expect, listener, seen_from, udp};
use netns_tests::waiting::{SOON, wait_for};
use netns_tests::world::lab;
use netns_tests::{Capture, Lab, LabOptions, Must, SERVER, World, over_both_captures};
use potato::demo::lab::Process;

over_both_captures!(
    kernel_and_engine_share_an_ethernet_line,
    an_address_that_changes_is_followed,
    a_line_without_link_header_carries_the_lan,
);

const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 2);

fn ip(lab: &Lab, commands: &[&str]) {
    lab.router().ip(&commands.iter().map(|command| (*command).to_owned()).collect::<Vec<_>>()).must();
}

/// One uplink, whose address is the kernel's, by `interface`.
fn adopted(lab: &Lab, capture: Capture, interface: &str) -> String {
    let whole = lab.configuration(capture);
    let (before, _) = whole.split_once("\n[[uplink]]").expect("there is one");
    format!("{before}\n[[uplink]]\nname = \"dsl1\"\ninterface = \"{interface}\"\nkind = \"adopted\"\n")
}

/// A router with the line on `wan1`, on which the kernel has an address and a default route.
fn shared(capture: Capture) -> World {
    let lab = lab(LabOptions::new(1, 1));
    ip(&lab, &["address add 10.77.1.2/24 dev wan1", "route add default via 10.77.1.1"]);
    let configuration = adopted(&lab, capture, "wan1");
    let mut world = World::configured(lab, &configuration);
    world.router.wait_until_up(1).must();
    world
}

fn kernel_and_engine_share_an_ethernet_line(capture: Capture) {
    let mut world = shared(capture).with_servers();
    let uplink = world.uplink(1);
    assert_eq!((&uplink["kind"], &uplink["address"]), (&"adopted".into(), &"10.77.1.2/24".into()));
    assert_eq!(uplink["gateway"], "10.77.1.1");
    // From now on no RST leaves the router that a LAN host has not sent, and nothing with a private source.
    let file = world.lab.directory().join("resets.pcap");
    let resets = Capturing::start(
        world.internet(),
        "isp1",
        "in",
        "tcp[tcpflags] & tcp-rst != 0 or src net 192.168.0.0/16",
        128,
        &file,
    );
    let fetch = "curl --silent --show-error --max-time 30 http://203.0.113.1/bytes/3000000 | sha256sum";
    let expected = shell(world.internet(), fetch);
    assert_eq!(shell(world.host(1), fetch), expected);
    // The kernel's own, by its default route, by the interface and by the address; a service of its own; pings both ways.
    for how in ["", "--interface wan1", "--interface 10.77.1.2"] {
        assert_eq!(shell(world.lab.router(), &fetch.replace("curl", &format!("curl {how}"))), expected, "{how}");
    }
    run(world.lab.router(), "ping -c 2 -i 0.05 -W 2 -I wan1 203.0.113.1");
    run(world.internet(), "ping -c 2 -i 0.05 -W 2 10.77.1.2");
    run(world.host(1), "ping -c 2 -i 0.05 -W 2 203.0.113.1");
    // The kernel knows the way to the gateway's network; it must not send the LAN's packets there as they are.
    let answer = world.host(1).exec("ping", &["-c", "1", "-W", "1", "10.77.1.1"]);
    assert_eq!(answer.is_ok(), capture == Capture::Packet);
    let service = listener(world.lab.router(), Ipv4Addr::UNSPECIFIED, 8080);
    let mut far = connect(world.internet(), 0, SocketAddr::from((ADDRESS, 8080))).must();
    let (mut near, _) = service.accept().must();
    near.set_read_timeout(Some(SOON)).must();
    far.write_all(b"hello").must();
    let mut bytes = [0; 5];
    near.read_exact(&mut bytes).must();
    // A host's connection that lives, on a port of our share; whose far end comes back after it is gone on our side.
    let listening = udp(world.internet(), SERVER, 7001);
    let socket = udp(world.host(1), Ipv4Addr::UNSPECIFIED, 40_000);
    let external = seen_from(&socket, &listening, "out");
    assert_eq!(external.ip(), IpAddr::V4(ADDRESS));
    let port = external.port();
    assert!((16_384..32_768).contains(&port) || port > 60_999, "{external}");
    listening.send_to(b"back", external).must();
    expect(&socket, "back");
    // To ports of ours that nobody has, and to the kernel's: silence here, and there a RST as ever.
    let script = "sr1(IP(src='203.0.113.1', dst='10.77.1.2')/TCP(sport=9, dport={}, flags='{}'), timeout=1)";
    for (port, flags, answer) in [("20001", "A", "None"), ("20001", "S", "None"), ("999", "S", "RA")] {
        let ask = script.replacen("{}", port, 1).replacen("{}", flags, 1);
        let print = format!("answer = {ask}\nprint(answer.sprintf('%TCP.flags%') if answer else None)");
        assert_eq!(netns_tests::programs::scapy(world.internet(), &print).trim(), answer, "{port} {flags}");
    }
    let seen = resets.finish();
    assert_eq!(seen.len(), 1, "only the one that we have asked for: {seen:?}");
    assert!(world.router.status().must()["uplinks"][0]["drops"]["no_mapping"].as_u64().is_none_or(|drops| drops <= 2));
    world.wait_for_state(1, "up");
    world.router.terminate().must();
    // The kernel's things are as they were.
    let rules = run(world.lab.router(), "ip rule show");
    assert!(!rules.contains("7399"), "{rules}");
    assert!(run(world.lab.router(), "ip address show dev wan1").contains("10.77.1.2/24"));
    assert_eq!(run(world.lab.router(), "cat /proc/sys/net/ipv4/conf/wan1/rp_filter").trim(), "0");
    assert_eq!(run(world.lab.router(), "tc filter show dev wan1 ingress"), "");
    assert_eq!(run(world.lab.router(), "tc filter show dev wan1 egress"), "");
}

fn an_address_that_changes_is_followed(capture: Capture) {
    let mut world = shared(capture);
    let listening = udp(world.internet(), SERVER, 7001);
    let socket = udp(world.host(1), Ipv4Addr::UNSPECIFIED, 20_000);
    assert_eq!(seen_from(&socket, &listening, "before"), SocketAddr::from((ADDRESS, 20_000)));
    ip(&world.lab, &["address del 10.77.1.2/24 dev wan1"]);
    world.wait_for_uplink(1, SOON, "without address", |uplink| {
        uplink["state"] == "connecting" && uplink["address"].is_null()
    });
    world.wait_for_event("uplink-changed", "address lost");
    ip(&world.lab, &["address add 10.77.1.9/24 dev wan1", "route add default via 10.77.1.1"]);
    world.wait_for_uplink(1, SOON, "with another address", |uplink| {
        uplink["state"] == "up" && uplink["address"] == "10.77.1.9/24" && uplink["flows"] == 0
    });
    let external = seen_from(&socket, &listening, "after");
    assert_eq!(external.ip(), IpAddr::V4(Ipv4Addr::new(10, 77, 1, 9)));
    run(world.lab.router(), "ping -c 1 -W 2 -I wan1 203.0.113.1");
    run(world.lab.router(), "ping -c 1 -W 2 -I 10.77.1.9 203.0.113.1");
    let rules = run(world.lab.router(), "ip rule show");
    assert!(rules.contains("from 10.77.1.9") && !rules.contains("from 10.77.1.2"), "{rules}");

    // Gone, and there again under the same name, with the old address.
    world.lab.delete_uplink(1).must();
    world.wait_for_state(1, "missing");
    world.lab.remake_uplink(1).must();
    world.wait_for_state(1, "connecting");
    ip(&world.lab, &["address add 10.77.1.2/24 dev wan1", "route add default via 10.77.1.1"]);
    world.wait_for_state(1, "up");
    run(world.host(1), "ping -c 2 -i 0.05 -W 2 203.0.113.1");
}

/// Holds a TUN device in each of two namespaces and carries packets between them, as a tunnel or a modem does.
const WIRE: &str = "
import ctypes, fcntl, os, select, struct, sys
libc = ctypes.CDLL(None)
def tun(namespace, name):
    handle = os.open('/run/netns/' + namespace, os.O_RDONLY)
    assert libc.setns(handle, 0x40000000) == 0
    device = os.open('/dev/net/tun', os.O_RDWR)
    fcntl.ioctl(device, 0x400454ca, struct.pack('16sH22x', name.encode(), 0x1001))
    return device
ends = [tun(sys.argv[1], 'wwan0'), tun(sys.argv[2], 'tower')]
while True:
    for end in select.select(ends, [], [])[0]:
        os.write(ends[1 - ends.index(end)], os.read(end, 65536))
";

fn a_line_without_link_header_carries_the_lan(capture: Capture) {
    let lab = lab(LabOptions::new(1, 1));
    let mut wire = lab.router().command("/usr/bin/python3", &["-c", WIRE, lab.router().name(), lab.internet().name()]);
    let _wire = Process::start(&mut wire).must();
    wait_for("the tunnel", || {
        let there =
            |namespace: &potato::demo::lab::Namespace, name| namespace.exec("ip", &["link", "show", name]).is_ok();
        if there(lab.router(), "wwan0") && there(lab.internet(), "tower") {
            Ok(())
        } else {
            Err("not there".to_owned())
        }
    });
    let far = ["address add 10.88.0.1 peer 10.88.0.2 dev tower", "link set tower up"].map(str::to_owned);
    lab.internet().ip(&far).must();
    ip(&lab, &["address add 10.88.0.2 peer 10.88.0.1 dev wwan0", "link set wwan0 up", "route add default dev wwan0"]);
    let configuration = adopted(&lab, capture, "wwan0");
    let mut world = World::configured(lab, &configuration).with_servers();
    world.router.wait_until_up(1).must();
    let uplink = world.uplink(1);
    assert_eq!((&uplink["address"], &uplink["gateway"]), (&"10.88.0.2/32".into(), &serde_json::Value::Null));
    run(world.host(1), "ping -c 2 -i 0.05 -W 2 203.0.113.1");
    let fetch = "curl --silent --show-error --max-time 30 http://203.0.113.1/bytes/3000000 | sha256sum";
    let expected = shell(world.internet(), fetch);
    assert_eq!(shell(world.host(1), fetch), expected);
    assert_eq!(shell(world.lab.router(), &fetch.replace("curl", "curl --interface wwan0")), expected);
    let server = world.lab.router().spawn("iperf3", &["-s", "-1", "-p", "5301"]).must();
    wait_for_listener(world.lab.router(), 5301);
    run(world.internet(), "iperf3 -c 10.88.0.2 -p 5301 -t 1 --connect-timeout 3000");
    drop(server);
    let listening = udp(world.internet(), SERVER, 7001);
    let socket = udp(world.host(1), Ipv4Addr::UNSPECIFIED, 20_000);
    let external = seen_from(&socket, &listening, "out");
    assert_eq!(external.ip(), IpAddr::V4(Ipv4Addr::new(10, 88, 0, 2)));
    listening.send_to(b"back", external).must();
    expect(&socket, "back");
    world.wait_for_uplink(1, Duration::from_secs(5), "up", |uplink| uplink["state"] == "up");
    let status = world.router.terminate().must();
    assert!(status.success(), "{}", world.router.log_end());
}
