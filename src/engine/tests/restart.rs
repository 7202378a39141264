//! Flows that outlive the program.

use super::*;

fn config_at(path: &std::path::Path, workers: u8) -> EngineConfig {
    EngineConfig { file: Some(path.to_path_buf()), ..engine_config(workers, 2) }
}

#[test]
fn killed_router_finds_its_flows_again_with_other_workers_and_order_of_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flows");
    let mut router = Router::with(&config_at(&path, 1));
    let sent: Vec<_> = (0..8).map(|n| router.out_one(&udp((HOST_A, 6000 + n), (SERVER, 53), b""))).collect();
    drop(router);
    let mut config = config_at(&path, 2);
    config.uplinks.swap(0, 1);
    let mut router = Router::with(&config);
    router.snapshot.uplinks.swap(0, 1);
    (router.snapshot.uplinks[0].id, router.snapshot.uplinks[1].id) = (UplinkId(0), UplinkId(1));
    for (n, before) in (0..).zip(&sent) {
        let uplink = UplinkId(1 - before.uplink().0);
        let back = router.send_from_uplink(uplink, &udp((SERVER, 53), (before.ip().source, before.ports().0), b""));
        assert_eq!((back.len(), back[0].ip().destination), (1, HOST_A));
        let again = router.out_one(&udp((HOST_A, 6000 + n), (SERVER, 53), b""));
        assert_eq!((again.uplink(), again.ip().source), (uplink, before.ip().source));
    }
}

#[test]
fn flows_of_another_boot_a_changed_line_or_a_torn_file_are_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flows");
    let write = || {
        let mut router = Router::with(&config_at(&path, 1));
        router.out_one(&udp((HOST_A, 6000), (SERVER, 53), b""));
    };
    let flows = |config: &EngineConfig| Router::with(config).workers[0].counters().flows.value();
    write();
    assert_eq!(flows(&EngineConfig { boot_id: [1; 16], ..config_at(&path, 1) }), 0);
    write();
    let mut moved = config_at(&path, 1);
    moved.uplinks.iter_mut().for_each(|uplink| uplink.external = Some(Ipv4Addr::new(10, 99, 0, 2)));
    assert_eq!(flows(&moved), 0);
    write();
    std::fs::write(&path, b"potato").unwrap();
    assert_eq!(flows(&config_at(&path, 1)), 0);
    write();
    assert_eq!(flows(&config_at(&path, 1)), 1);
}

/// The first uplink's address comes by DHCP, the second one's is static.
fn leased_config(path: &std::path::Path) -> EngineConfig {
    let mut config = config_at(path, 1);
    config.uplinks[0].external = None;
    config
}

#[test]
fn flows_of_a_leased_line_are_kept_with_the_address_that_they_have() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flows");
    let config = leased_config(&path);
    let now = Router::new().now;
    let (leased, fixed) = (Ipv4Addr::new(10, 77, 7, 9), Ipv4Addr::new(10, 77, 1, 2));
    let (workers, mut addresses) = open_with_addresses(&config, now).unwrap();
    assert_eq!((addresses.of(UplinkId(0)), addresses.of(UplinkId(1))), (None, Some(fixed)));
    addresses.set(UplinkId(0), leased);
    let mut router = Router { workers, snapshot: snapshot(2), now, out: Outbox::new(8) };
    router.snapshot.uplinks[0].external = Some(leased);
    (0..8).for_each(|n| drop(router.out_one(&udp((HOST_A, 6000 + n), (SERVER, 53), b""))));
    drop((router, addresses));
    // Killed, and in another order.
    let mut turned = config.clone();
    turned.uplinks.swap(0, 1);
    let (workers, addresses) = open_with_addresses(&turned, now).unwrap();
    assert_eq!((addresses.of(UplinkId(0)), addresses.of(UplinkId(1))), (Some(fixed), Some(leased)));
    assert_eq!(workers[0].counters().flows.value(), 8);
    assert_eq!(workers[0].counters().uplink(UplinkId(1)).flows.value(), 4);
    drop((workers, addresses));
    // The line is static now: its flows are kept if the address is theirs.
    let flows = |address| {
        let mut fixed = turned.clone();
        fixed.uplinks[1].external = Some(address);
        open_with_addresses(&fixed, now).unwrap().0[0].counters().flows.value()
    };
    assert_eq!(flows(leased), 8);
    assert_eq!(flows(Ipv4Addr::new(10, 77, 7, 10)), 4);
}

#[test]
fn line_with_another_address_loses_its_flows_and_no_others() {
    let mut router = Router::new();
    let sent: Vec<_> = (0..100).map(|n| router.out_one(&udp((HOST_A, 6000 + n), (SERVER, 53), b""))).collect();
    router.snapshot.uplinks[0].external = None;
    let (now, mut cursor) = (router.now, Some(0));
    while let Some(from) = cursor {
        cursor = router.workers[0].forget_flows(now, UplinkId(0), from);
    }
    let counters = router.workers[0].counters();
    assert_eq!((counters.uplink(UplinkId(0)).flows.value(), counters.uplink(UplinkId(1)).flows.value()), (0, 50));
    router.snapshot.uplinks[0].external = Some(Ipv4Addr::new(10, 77, 0, 99));
    for (n, before) in (0..).zip(&sent) {
        let back =
            router.send_from_uplink(before.uplink(), &udp((SERVER, 53), (before.ip().source, before.ports().0), b""));
        assert_eq!(back.len(), usize::from(before.uplink() == UplinkId(1)));
        let again = router.out_one(&udp((HOST_A, 6000 + n), (SERVER, 53), b""));
        assert_eq!(again.ip().source.octets()[3], if again.uplink() == UplinkId(1) { 2 } else { 99 });
    }
}

#[test]
fn flow_whose_port_is_the_routers_own_by_now_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flows");
    let mut router = Router::with(&config_at(&path, 1));
    router.out_one(&udp((HOST_A, 6000), (SERVER, 53), b""));
    router.out_one(&udp((HOST_A, 6001), (SERVER, 53), b""));
    drop(router);
    // As an earlier version would have written it.
    let mut bytes = std::fs::read(&path).unwrap();
    let record = |bytes: &[u8], port: u16| {
        let port = port.to_ne_bytes();
        (0..bytes.len() - 1).filter(|at| bytes[*at..at + 2] == port).collect::<Vec<_>>()
    };
    let places = record(&bytes, 6001);
    assert_eq!(places.len(), 2, "the port inside, and the same outside");
    for at in places {
        bytes[at..at + 2].copy_from_slice(&crate::nat::ports::PROBE_PORTS.start.to_ne_bytes());
    }
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(Router::with(&config_at(&path, 1)).workers[0].counters().flows.value(), 1);
}
