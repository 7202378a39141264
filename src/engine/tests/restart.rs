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
    moved.uplinks.iter_mut().for_each(|uplink| uplink.external = Ipv4Addr::new(10, 99, 0, 2));
    assert_eq!(flows(&moved), 0);
    write();
    std::fs::write(&path, b"potato").unwrap();
    assert_eq!(flows(&config_at(&path, 1)), 0);
    write();
    assert_eq!(flows(&config_at(&path, 1)), 1);
}
