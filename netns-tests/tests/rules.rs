//! Rules: which line a flow gets by what it is, and what stays with the kernel.
//!
//! ```text
//!  h1 .21 --+                                    wan1 -- 10.77.1.1 --+
//!  h2 .22 --+-- lan -- lan0 192.168.10.1 [potato] wan2 -- 10.77.2.1 --[internet] 203.0.113.1..9, 192.0.2.53
//!                            site0 10.60.0.1     wan3 -- 10.77.3.1 --+   (isolated)
//!                              |
//!                            [site] 10.60.0.2, 10.50.0.1: behind the kernel's default route
//! ```

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::thread;

use netns_tests::programs::{run, shell, wait_for_listener};
use netns_tests::sockets::{connect, listener, seen_from, udp};
use netns_tests::waiting::wait_for;
use netns_tests::world::lab;
use netns_tests::{Capture, LabOptions, Must, Namespace, SERVER, World, host_address, over_both_captures};
use serde_json::Value;
use socket2::SockRef;

over_both_captures!(a_network_that_is_left_to_the_kernel_is_reached_without_nat);

/// Host 2 by line 2; where it must not be anybody else's, by that alone.
const RULES: &str = r#"
[[rule]]
name = "h2-only"
source = "192.168.10.22"
destination = "203.0.113.9"
uplink = "dsl2"
fallback = "refuse"

[[rule]]
name = "h2"
source = "192.168.10.22"
uplink = "dsl2"
"#;

/// The uplink that an external address is of.
fn line(external: SocketAddr) -> u8 {
    let IpAddr::V4(address) = external.ip() else { unreachable!("the lab is IPv4") };
    assert_eq!(address, Ipv4Addr::new(10, 77, address.octets()[2], 2), "an address that the router has");
    address.octets()[2]
}

/// The line by which the far end sees a real program come to TCP port `port`.
fn line_of(world: &World, host: u8, port: u16, program: &str) -> u8 {
    let listening = listener(world.internet(), SERVER, port);
    let near = world.host(host);
    thread::scope(|scope| {
        let program = scope.spawn(move || shell(near, program));
        let (mut far, external) = listening.accept().must();
        if port == 80 {
            let _ = far.read(&mut [0; 2_048]).must();
        }
        far.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nyes\n").must();
        drop(far);
        let said = program.join().expect("the program has ended");
        assert!(said.contains("yes") || said.contains("OK"), "{said}");
        line(external)
    })
}

const SSH: &str = "exec 3<>/dev/tcp/203.0.113.1/22; head -n 1 <&3";
const FETCH: &str = "curl --silent --show-error --max-time 20 http://203.0.113.1/";

/// The line by which the far end sees a new UDP flow come whose packets have this mark.
fn line_of_marked(world: &World, host: u8, dscp: u32) -> u8 {
    let listening = udp(world.internet(), SERVER, 7001);
    let socket = udp(world.host(host), Ipv4Addr::UNSPECIFIED, 0);
    SockRef::from(&socket).set_tos_v4(dscp << 2).must();
    line(seen_from(&socket, &listening, "marked"))
}

/// The lines by which a name server sees the questions of host 1.
fn lines_of_questions(world: &World) -> BTreeSet<u8> {
    let log = world.lab.directory().join("questions");
    let facility = format!("--log-facility={}", log.display());
    let words = "--keep-in-foreground --no-resolv --no-hosts --user=root --pid-file= --bind-interfaces --log-queries \
                 --listen-address=192.0.2.53 --address=/potato.test/203.0.113.7";
    let words: Vec<_> = words.split_whitespace().chain([facility.as_str()]).collect();
    let _server = world.internet().spawn("dnsmasq", &words).must();
    wait_for_listener(world.internet(), 53);
    for option in ["", "+tcp"] {
        let said = run(world.host(1), &format!("dig +short {option} +tries=2 +time=2 @192.0.2.53 www.potato.test"));
        assert_eq!(said.trim(), "203.0.113.7");
    }
    let text = std::fs::read_to_string(&log).must();
    let asked = text.lines().filter(|line| line.contains("query[A] www.potato.test from "));
    let lines: BTreeSet<u8> = asked
        .filter_map(|line| line.rsplit(' ').next()?.parse::<Ipv4Addr>().ok())
        .map(|address| line(SocketAddr::from((address, 0))))
        .collect();
    assert!(!lines.is_empty(), "{text}");
    lines
}

fn explained(world: &World, question: &[&str]) -> Value {
    let (status, said, error) = world.potato(&[&["explain", "--json"], question].concat());
    assert_eq!(status, Some(0), "{error}");
    serde_json::from_str(&said).must()
}

/// Writes a configuration and has it applied; gives what `potato reload` said.
#[track_caller]
fn reload(world: &World, text: &str) -> String {
    world.lab.write_config(text).must();
    let (status, said, error) = world.potato(&["reload"]);
    assert_eq!((status, error.as_str()), (Some(0), ""), "{said}");
    said
}

#[test]
fn flows_get_the_lines_that_rules_give_them() {
    let mut options = LabOptions::new(2, 3);
    options.uplinks[2].settings = "role = \"isolated\"\n".to_owned();
    let lab = lab(options);
    let text = lab.configuration(Capture::Packet) + RULES;
    let mut world = World::configured(lab, &text);
    world.router.wait_until_up(3).must();

    // What is urgent goes by the isolated line, and nothing else does.
    assert_eq!(line_of(&world, 1, 22, SSH), 3);
    assert_eq!(lines_of_questions(&world), BTreeSet::from([3]));
    assert_eq!(line_of_marked(&world, 1, 46), 3);
    let fetched: BTreeSet<u8> = (0..4).map(|_| line_of(&world, 1, 80, FETCH)).collect();
    assert_eq!(fetched, BTreeSet::from([1, 2]));
    assert!([1, 2].contains(&line_of_marked(&world, 1, 0)));
    // A host's own line comes before what its flows are.
    assert!((0..3).all(|_| line_of(&world, 2, 80, FETCH) == 2));
    assert_eq!((line_of(&world, 2, 22, SSH), line_of_marked(&world, 2, 46)), (2, 2));

    let mut near = connect(world.host(1), 0, SocketAddr::from((Ipv4Addr::new(203, 0, 113, 3), 5222)));
    assert!(near.is_err(), "nobody listens there");
    let listening = listener(world.internet(), SERVER, 5222);
    near = connect(world.host(1), 0, SocketAddr::from((SERVER, 5222)));
    let (mut near, (mut far, external)) = (near.must(), listening.accept().must());
    assert_eq!(line(external), 3);
    let flows = world.router.flows(&["--uplink", "dsl3", "--protocol", "tcp"]).must();
    let chat = flows["flows"]
        .as_array()
        .and_then(|flows| flows.iter().find(|flow| flow["remote"] == "203.0.113.1:5222").cloned());
    let chat = chat.unwrap_or_default();
    assert_eq!((&chat["rule"], &chat["class"]), (&"default:chat".into(), &"isolated".into()), "{flows}");

    // The same without a packet.
    let told = explained(&world, &["--from", "192.168.10.21", "--to", "203.0.113.1:22/tcp"]);
    assert_eq!((&told["rule"], &told["uplink"]), (&"default:ssh".into(), &"dsl3".into()), "{told}");
    let told = explained(&world, &["--from", "192.168.10.22", "--to", "203.0.113.1:22/tcp", "--dscp", "ef"]);
    assert_eq!((&told["rule"], &told["uplink"], &told["class"]), (&"h2".into(), &"dsl2".into(), &"bulk".into()));
    let said = world.potato(&["explain", "--from", "192.168.10.22", "--to", "203.0.113.9:443/tcp"]).1;
    assert!(said.contains("rule      h2-only\n") && said.contains("lines     dsl2 (up)\n"), "{said}");

    // While a rule's line does not work.
    assert_eq!(world.potato(&["link", "down", "dsl2"]).0, Some(0));
    assert_eq!(line_of(&world, 2, 80, FETCH), 1);
    let told = explained(&world, &["--from", "192.168.10.22", "--to", "203.0.113.9:443/tcp"]);
    assert_eq!((&told["fate"], &told["tiers"][0][0]["state"]), (&"refused".into(), &"down".into()), "{told}");
    let _service = listener(world.internet(), Ipv4Addr::new(203, 0, 113, 9), 443);
    let far_end = SocketAddr::from(([203, 0, 113, 9], 443));
    assert!(connect(world.host(2), 0, far_end).is_err());
    assert_eq!(world.potato(&["link", "up", "dsl2"]).0, Some(0));
    connect(world.host(2), 0, far_end).must();

    // Other rules: for new flows.
    let bulk = "\n[[rule]]\nname = \"chat\"\nprotocol = \"tcp\"\ndestination_port = \"5000-5300\"\nclass = \"bulk\"\n";
    assert_eq!(reload(&world, &(text.clone() + bulk)), "added rule chat; 3 uplinks unchanged\n");
    let new = connect(world.host(1), 0, SocketAddr::from((SERVER, 5222))).must();
    assert!([1, 2].contains(&line(listening.accept().must().1)));
    drop(new);
    near.write_all(b"still").must();
    let mut bytes = [0; 5];
    far.read_exact(&mut bytes).must();
    far.write_all(b"there").must();
    near.read_exact(&mut bytes).must();
    assert_eq!(&bytes, b"there");
    let said = reload(&world, &(text.replace("[router]\n", "[router]\ndefault_rules = false\n")));
    assert_eq!(said, "removed rule chat; default rules off; 3 uplinks unchanged\n");
    assert!([1, 2].contains(&line_of(&world, 1, 22, SSH)));
    world.finish();
}

fn a_network_that_is_left_to_the_kernel_is_reached_without_nat(capture: Capture) {
    let lab = lab(LabOptions::new(1, 2));
    let site = Namespace::create(9_000, capture.name()).must();
    let commands = |commands: &[&str]| commands.iter().map(|command| (*command).to_owned()).collect::<Vec<_>>();
    lab.router()
        .ip(&[
            format!("link add site0 type veth peer name site1 netns {}", site.name()),
            "address add 10.60.0.1/24 dev site0".to_owned(),
            "link set site0 up".to_owned(),
            "route add default via 10.60.0.2".to_owned(),
        ])
        .must();
    lab.router().sysctl(&[("net/ipv4/conf/site0/forwarding", "1")]).must();
    site.ip(&commands(&[
        "address add 10.60.0.2/24 dev site1",
        "address add 10.50.0.1/32 dev lo",
        "link set site1 up",
        "route add default via 10.60.0.1",
    ]))
    .must();
    let text = lab.configuration(capture);
    let mut world = World::configured(lab, &text);
    world.router.wait_until_up(2).must();
    let question = ["--from", "192.168.10.21", "--to", "10.50.0.1:7001/udp"];
    let wait_for_fate = |world: &World, fate: &str| {
        wait_for(&format!("fate {fate}"), || {
            let told = explained(world, &question);
            if told["fate"] == fate { Ok(told) } else { Err(told.to_string()) }
        })
    };
    wait_for_fate(&world, "line");

    let direct = "\n[[rule]]\nname = \"site\"\ndirect = true\ndestination = [\"10.50.0.0/16\"]\n";
    assert_eq!(reload(&world, &(text.clone() + direct)), "added rule site; 2 uplinks unchanged\n");
    let told = wait_for_fate(&world, "kernel");
    assert_eq!(told["rule"], "site", "{told}");
    // Guard and filter are there a moment after the workers know.
    wait_for("an answer from the site", || {
        world.host(1).exec("ping", &["-c", "1", "-W", "1", "10.50.0.1"]).map(drop).map_err(|error| error.to_string())
    });
    let listening = udp(&site, Ipv4Addr::new(10, 50, 0, 1), 7001);
    let socket = udp(world.host(1), Ipv4Addr::UNSPECIFIED, 6001);
    assert_eq!(seen_from(&socket, &listening, "as it is"), SocketAddr::from((host_address(1), 6001)));
    run(world.lab.router(), "ping -c 1 -W 2 10.50.0.1");
    let flows = world.router.flows(&[]).must().to_string();
    assert!(!flows.contains("10.50.0.1"), "{flows}");
    // All else is the router's as ever.
    run(world.host(1), "ping -c 1 -W 2 203.0.113.1");

    assert_eq!(reload(&world, &text), "removed rule site; 2 uplinks unchanged\n");
    wait_for_fate(&world, "line");
    wait_for("no rule for the site", || {
        let rules = run(world.lab.router(), "ip rule");
        if rules.contains("10.50.0.0") { Err(rules) } else { Ok(()) }
    });
    world.finish();
}
