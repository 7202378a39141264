//! The host module on a real kernel: what it sets up works, and everything is put back, after a stop and after a crash.
//! Each test has namespaces of its own. Needs root, `ip`, `tc`, `ethtool` and `ping`.

mod cutting;
mod picture;
mod topology;

use std::future::Future;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use ipnet::Ipv4Net;
use potato::engine::counters::DropCounters;
use potato::host::{self, FlowFile, Host, HostError, HostEvent, HostEvents, HostWarning, LanCapture};
use potato::io;
use potato::wire::BufferPool;
use topology::{Topology, ask, run};

const LAN_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 168, 10, 1);

fn block_on<R>(work: impl Future<Output = R>) -> R {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// Everything that the daemon would do, LAN by TUN.
async fn prepare_all(host: &mut Host) -> Vec<HostWarning> {
    let guard = io::uplink_guard(None).unwrap();
    let mut warnings = Vec::new();
    for name in ["wan1", "wan2"] {
        let uplink = host.interface(name).await.unwrap();
        warnings.extend(host.prepare_uplink(&uplink, guard.as_fd()).await.unwrap());
    }
    host.prepare_tun("potato0", LAN_ADDRESS, 1500, None).await.unwrap();
    let lan = host.interface("lan0").await.unwrap();
    warnings.extend(host.prepare_lan(&lan, LanCapture::Tun).await.unwrap());
    let (first, second) = ("10.50.0.0/16".parse().unwrap(), "10.51.0.0/16".parse().unwrap());
    host.leave_to_kernel(&["lo", "lan0"], &[first, second]).await.unwrap();
    host.leave_to_kernel(&["lo", "lan0"], &[first]).await.unwrap();
    warnings
}

fn switch(interface: &str, key: &str) -> String {
    std::fs::read_to_string(format!("/proc/sys/net/ipv4/conf/{interface}/{key}")).unwrap().trim().to_owned()
}

fn assert_prepared() {
    for (interface, key, value) in [
        ("wan1", "forwarding", "0"),
        ("wan2", "forwarding", "0"),
        ("lan0", "forwarding", "1"),
        ("potato0", "forwarding", "1"),
        ("potato0", "rp_filter", "2"),
        ("potato0", "accept_local", "1"),
    ] {
        assert_eq!(switch(interface, key), value, "{interface} {key}");
    }
    for interface in ["wan1", "wan2", "lan0"] {
        let offloads = run(&format!("ethtool -k {interface}"));
        assert!(offloads.contains("generic-receive-offload: on"), "{offloads}");
        assert!(offloads.contains("rx-udp-gro-forwarding: on"), "{offloads}");
    }
    for interface in ["wan1", "wan2", "potato0"] {
        let addresses = run(&format!("ip address show dev {interface}"));
        assert!(addresses.contains(",UP") && !addresses.contains("inet6"), "{addresses}");
    }
    // wan2 has an older `ingress` qdisc of somebody else's.
    for interface in ["wan1", "wan2"] {
        let filters = run(&format!("tc filter show dev {interface} ingress"));
        assert!(filters.contains("potato-guard direct-action"), "{filters}");
    }
    // The machine's own packets, and those of LAN hosts, go to the TUN device; what is near stays with the kernel.
    let route = run("ip route get 198.51.100.1");
    assert!(route.contains("dev potato0") && route.contains("src 192.168.10.1"), "{route}");
    assert!(run("ip route get 198.51.100.1 from 192.168.10.5 iif lan0").contains("dev potato0"));
    let rules = run("ip rule");
    assert_eq!((rules.matches("to 10.50.0.0/16").count(), rules.matches("10.51.0.0").count()), (2, 0), "{rules}");
    assert!(run("ip route get 10.8.1.1 from 192.168.10.5 iif lan0").contains("dev other0"));
    assert!(run("ip route get 192.168.10.5").contains("dev lan0"));
}

#[test]
fn all_is_set_up_and_put_back() {
    let topology = Topology::new();
    let run_dir = tempfile::tempdir().unwrap();
    assert!(topology.answers_ping("10.77.1.2"));
    topology.in_machine(|| {
        let before = picture::take();
        block_on(async {
            let mut host = Host::start(run_dir.path()).await.unwrap();
            let warnings = prepare_all(&mut host).await;
            let told = |text: &str| warnings.iter().any(|warning| warning.to_string().contains(text));
            assert!(told("10.77.1.2/24 there") && told("2001:db8:1::2/64 is taken off"), "{warnings:?}");
            assert_prepared();
            assert!(!topology.answers_ping("10.77.1.2"), "the guard lets packets through");
            assert!(topology.answers_ping("192.168.10.1"), "the LAN address must stay the kernel's");
            // Once more changes nothing.
            let prepared = picture::take();
            prepare_all(&mut host).await;
            picture::assert_back_to(&prepared);
            host.undo().await.unwrap();
        });
        picture::assert_back_to(&before);
    });
    assert!(topology.answers_ping("10.77.1.2"));
    assert_eq!(std::fs::read_dir(run_dir.path()).unwrap().count(), 0);
}

#[test]
fn what_a_killed_router_left_is_undone_at_the_next_start_and_by_cleanup() {
    let topology = Topology::new();
    let run_dir = tempfile::tempdir().unwrap();
    topology.in_machine(|| {
        let before = picture::take();
        block_on(async {
            let mut killed = Host::start(run_dir.path()).await.unwrap();
            prepare_all(&mut killed).await;
        });
        assert_prepared();
        drop(block_on(Host::start(run_dir.path())).unwrap());
        picture::assert_back_to(&before);
        block_on(async {
            let mut killed = Host::start(run_dir.path()).await.unwrap();
            prepare_all(&mut killed).await;
        });
        std::fs::write(run_dir.path().join("flows-0"), "").unwrap();
        drop(std::os::unix::net::UnixListener::bind(run_dir.path().join("control.sock")).unwrap());
        let lines = block_on(host::cleanup(run_dir.path(), FlowFile::Keep)).unwrap();
        assert!(lines.iter().any(|line| line.contains("deleted the ingress guard")), "{lines:?}");
        picture::assert_back_to(&before);
    });
    let left: Vec<_> = std::fs::read_dir(run_dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["flows-0"]);
    block_on(host::cleanup(run_dir.path(), FlowFile::Delete)).unwrap();
    assert_eq!(std::fs::read_dir(run_dir.path()).unwrap().count(), 0);
    assert!(block_on(host::cleanup(Path::new("/nonexistent/potato"), FlowFile::Delete)).is_ok());
}

#[test]
fn second_router_with_the_same_run_dir_is_refused() {
    let topology = Topology::new();
    let run_dir = tempfile::tempdir().unwrap();
    topology.in_machine(|| {
        block_on(async {
            let first = Host::start(run_dir.path()).await.unwrap();
            for error in
                [Host::start(run_dir.path()).await.err(), host::cleanup(run_dir.path(), FlowFile::Delete).await.err()]
            {
                let error = error.expect("must be refused");
                assert!(matches!(error, HostError::Running { pid: Some(pid), .. } if pid == std::process::id()));
            }
            first.undo().await.unwrap();
        });
    });
}

#[test]
fn journal_of_another_namespace_is_not_undone_here() {
    let (here, elsewhere) = (Topology::new(), Topology::new());
    let run_dir = tempfile::tempdir().unwrap();
    elsewhere.in_machine(|| {
        block_on(async {
            let mut killed = Host::start(run_dir.path()).await.unwrap();
            prepare_all(&mut killed).await;
        });
    });
    here.in_machine(|| {
        let before = picture::take();
        let error = block_on(host::cleanup(run_dir.path(), FlowFile::Delete)).unwrap_err();
        assert!(matches!(error, HostError::OtherNamespace { .. }), "{error}");
        picture::assert_back_to(&before);
    });
    elsewhere.in_machine(|| block_on(host::cleanup(run_dir.path(), FlowFile::Delete)).unwrap());
}

#[test]
fn packets_from_the_tun_device_pass_reverse_path_filtering() {
    let topology = Topology::new();
    let run_dir = tempfile::tempdir().unwrap();
    topology.in_machine(|| {
        // The strictest that an administrator can have; and a device of the real kind, not the one that is there.
        std::fs::write("/proc/sys/net/ipv4/conf/all/rp_filter", "1").unwrap();
        run("ip link del potato0");
        block_on(async {
            let mut ports = io::open_tun("potato0", 2).unwrap();
            let mut host = Host::start(run_dir.path()).await.unwrap();
            prepare_all(&mut host).await;
            let host_of_lan = Ipv4Addr::new(192, 168, 10, 5);
            // From the internet, and from the router itself, as its ICMP errors are; to a LAN host, and to the router.
            let from = [Ipv4Addr::new(198, 51, 100, 1), LAN_ADDRESS];
            for (source, destination) in from.iter().flat_map(|from| [(*from, host_of_lan), (*from, LAN_ADDRESS)]) {
                let echoes = || {
                    if destination == LAN_ADDRESS { echo_requests() } else { topology.in_outside(echo_requests) }
                };
                let before = echoes();
                let (mut pool, drops) = (BufferPool::new(1), DropCounters::default());
                let mut packet = pool.take();
                packet.fill(&echo_request(source, destination));
                ports[0].send(&mut vec![packet], &mut pool, &drops);
                let arrived = (0..100).any(|_| {
                    std::thread::park_timeout(Duration::from_millis(10));
                    echoes() > before
                });
                assert!(arrived, "{source} to {destination}");
            }
            drop(ports);
            host.undo().await.unwrap();
        });
        assert!(!run("ip rule").contains("potato0") && !run("ip route show table all").contains("potato0"));
    });
}

/// A whole IPv4 packet with an ICMP echo request.
fn echo_request(source: Ipv4Addr, destination: Ipv4Addr) -> Vec<u8> {
    let builder = etherparse::PacketBuilder::ipv4(source.octets(), destination.octets(), 64).icmpv4_echo_request(7, 1);
    let mut packet = Vec::new();
    builder.write(&mut packet, b"potato").unwrap();
    packet
}

/// How many echo requests the kernel has received in this namespace.
fn echo_requests() -> u64 {
    let snmp = std::fs::read_to_string("/proc/thread-self/net/snmp").unwrap();
    let mut lines = snmp.lines().filter_map(|line| line.strip_prefix("Icmp: "));
    let (names, values) = (lines.next().unwrap().split(' '), lines.next().unwrap().split(' '));
    names.zip(values).find(|(name, _)| *name == "InEchos").unwrap().1.parse().unwrap()
}

#[test]
fn nothing_leaks_while_the_tun_device_is_gone() {
    let topology = Topology::new();
    let run_dir = tempfile::tempdir().unwrap();
    topology.in_machine(|| {
        block_on(async {
            let mut killed = Host::start(run_dir.path()).await.unwrap();
            prepare_all(&mut killed).await;
        });
        run("ip link del potato0");
        for line in ["ip route get 198.51.100.1", "ip route get 198.51.100.1 from 192.168.10.5 iif lan0"] {
            let answer = ask(line);
            assert!(answer.contains("unreachable") || answer.contains("No route to host"), "{line}: {answer}");
        }
        drop(block_on(Host::start(run_dir.path())).unwrap());
        assert!(run("ip route get 198.51.100.1").contains("dev other0"));
    });
}

#[test]
fn interface_made_again_is_prepared_again() {
    let topology = Topology::new();
    let run_dir = tempfile::tempdir().unwrap();
    topology.in_machine(|| {
        block_on(async {
            let mut host = Host::start(run_dir.path()).await.unwrap();
            let mut events = host.watch().await.unwrap();
            prepare_all(&mut host).await;
            let old = host.interface("wan1").await.unwrap();
            topology.make_wan1_again();
            let removed = HostEvent::InterfaceRemoved { name: "wan1".to_owned(), index: old.index };
            wait_for(&mut events, |event| *event == removed).await;
            let is_wan1 = |event: &HostEvent| matches!(event, HostEvent::InterfaceAdded(new) if new.name == "wan1");
            let HostEvent::InterfaceAdded(new) = wait_for(&mut events, is_wan1).await else { unreachable!() };
            let guard = io::uplink_guard(None).unwrap();
            let error = host.prepare_uplink(&old, guard.as_fd()).await.unwrap_err();
            assert!(error.is_gone(), "{error}");
            let before = picture::take();
            host.prepare_uplink(&new, guard.as_fd()).await.unwrap();
            assert!(run("tc filter show dev wan1 ingress").contains("potato-guard"));
            host.undo().await.unwrap();
            let after = picture::take();
            for line in
                ["tc filter show dev wan1 ingress", "ethtool -k wan1", "/proc/sys/net/ipv6/conf/wan1/disable_ipv6"]
            {
                assert_eq!(before[line], after[line]);
            }
        });
    });
}

async fn wait_for(events: &mut HostEvents, wanted: impl Fn(&HostEvent) -> bool) -> HostEvent {
    let search = async {
        loop {
            let event = events.next().await.unwrap();
            if wanted(&event) {
                return event;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(5), search).await.expect("the event must come")
}

#[test]
fn changes_are_told_and_lost_announcements_too() {
    let topology = Topology::new();
    let run_dir = tempfile::tempdir().unwrap();
    topology.in_machine(|| {
        block_on(async {
            let mut host = Host::start(run_dir.path()).await.unwrap();
            let mut events = host.watch().await.unwrap();
            let lan = host.interface("lan0").await.unwrap();
            wait_for(&mut events, |event| *event == HostEvent::InterfaceAdded(lan.clone())).await;
            run("ip link set lan0 mtu 1400");
            let is_changed = |event: &HostEvent| matches!(event, HostEvent::InterfaceChanged(new) if new.mtu == 1400);
            wait_for(&mut events, is_changed).await;
            run("ip address add 192.168.11.1/24 dev lan0");
            let changed = HostEvent::AddressesChanged { interface_index: lan.index };
            wait_for(&mut events, |event| *event == changed).await;
            run("ip route add 10.99.0.0/16 dev lan0");
            wait_for(&mut events, |event| *event == HostEvent::RoutesChanged).await;
            let lan = host.interface("lan0").await.unwrap();
            host.prepare_tun("potato0", LAN_ADDRESS, 1500, None).await.unwrap();
            host.prepare_lan(&lan, LanCapture::Tun).await.unwrap();
            run("ip rule del iif lan0 lookup 7402");
            wait_for(&mut events, |event| *event == HostEvent::RulesChanged).await;
            host.prepare_lan(&lan, LanCapture::Tun).await.unwrap();
            assert!(run("ip rule").contains("iif lan0 lookup 7402"));
            run("ip route del default dev potato0 table 7402");
            wait_for(&mut events, |event| *event == HostEvent::RulesChanged).await;
            host.prepare_tun("potato0", LAN_ADDRESS, 1500, None).await.unwrap();
            assert!(run("ip route show table 7402").contains("default dev potato0"));
            // More than the socket's buffer holds, while nobody reads.
            let mut routes = String::new();
            for number in 0..4000 {
                routes += &format!("route add 10.100.{}.{}/32 dev other0\n", number / 250, number % 250);
            }
            let batch = run_dir.path().join("routes");
            std::fs::write(&batch, routes).unwrap();
            run(&format!("ip -batch {}", batch.display()));
            wait_for(&mut events, |event| *event == HostEvent::Resync).await;
            host.undo().await.unwrap();
        });
    });
}

#[test]
fn packet_capture_guards_the_lan_and_replaces_the_guard_in_place() {
    let topology = Topology::new();
    let run_dir = tempfile::tempdir().unwrap();
    topology.in_machine(|| {
        let before = picture::take();
        block_on(async {
            let mut host = Host::start(run_dir.path()).await.unwrap();
            host.prepare_tun("potato0", LAN_ADDRESS, 1500, None).await.unwrap();
            let networks = host.kernel_networks().await.unwrap();
            for wanted in ["192.168.10.0/24", "10.8.0.0/16", "10.77.1.0/24", "172.16.0.0/24", "127.0.0.1/32"] {
                assert!(networks.contains(&wanted.parse::<Ipv4Net>().unwrap()), "{wanted}: {networks:?}");
            }
            let uplink = host.interface("wan1").await.unwrap();
            host.prepare_uplink(&uplink, io::uplink_guard(None).unwrap().as_fd()).await.unwrap();
            let networks = host.kernel_networks().await.unwrap();
            assert!(!networks.contains(&"10.77.1.0/24".parse().unwrap()), "{networks:?}");
            assert!(networks.contains(&"10.77.1.2/32".parse().unwrap()), "{networks:?}");

            let lan = host.interface("lan0").await.unwrap();
            let networks_there = ["192.168.10.1/24", "192.168.10.2/24"].map(|net| net.parse().unwrap());
            assert_eq!(host.lan_networks(&lan).await.unwrap(), networks_there);
            let guard = io::lan_guard(&networks, None).unwrap();
            host.prepare_lan(&lan, LanCapture::Packet { guard: guard.as_fd() }).await.unwrap();
            let first = ask("tc filter show dev lan0 ingress");
            host.replace_lan_guard(&lan, io::lan_guard(&[], None).unwrap().as_fd()).await.unwrap();
            let second = ask("tc filter show dev lan0 ingress");
            assert_eq!(second.matches("potato-guard").count(), 1, "{second}");
            assert_ne!(first, second);
            // For the kernel's source check of what it takes from the TUN device to hosts there.
            assert!(run("ip rule").contains("iif lan0 lookup main"), "{}", run("ip rule"));
            host.undo().await.unwrap();
        });
        picture::assert_back_to(&before);
    });
}

#[test]
fn address_that_is_not_on_the_machine_is_refused_with_the_reason() {
    let topology = Topology::new();
    let run_dir = tempfile::tempdir().unwrap();
    topology.in_machine(|| {
        let before = picture::take();
        block_on(async {
            let mut host = Host::start(run_dir.path()).await.unwrap();
            let error = host.prepare_tun("potato0", Ipv4Addr::new(192, 168, 99, 1), 1500, None).await.unwrap_err();
            assert!(error.to_string().contains("192.168.99.1 is not an address of this machine"), "{error}");
            let error = host.interface("lan7").await.unwrap_err();
            assert_eq!(error.to_string(), "interface lan7 does not exist; `ip link` lists those that do");
            host.undo().await.unwrap();
        });
        picture::assert_back_to(&before);
    });
}
