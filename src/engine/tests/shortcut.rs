//! Who is in the shortcut, and what becomes of those that were. What its programs do is in `io::shortcut`.

use super::*;
use crate::engine::shortcut::table::{self, ShortcutTable};
use crate::sys::shared_words::SharedWords;

const FIN_ACK: u8 = 0x11;
const SECRET: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xc2b2_ae3d_27d4_eb4f];

fn table() -> ShortcutTable {
    ShortcutTable::new(SharedWords::anonymous(table::BYTES).unwrap(), SECRET)
}

fn router() -> Router {
    Router::with(&EngineConfig { shortcut: Some(table()), ..engine_config(1, 2) })
}

impl Router {
    fn in_shortcut(&self) -> u64 {
        self.workers[0].counters().shortcuts.value()
    }

    /// A host's datagrams, `count` of them.
    fn talk(&mut self, port: u16, count: usize) {
        for _ in 0..count {
            self.out_one(&udp((HOST_A, port), (SERVER, 53), b"talk"));
        }
    }

    /// Lets the worker look at its flows for `span`.
    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            self.now = self.now + Duration::from_millis(200);
            self.workers[0].handle_timeout(self.now, &mut self.out);
        }
    }
}

/// A connection with `count` segments each way after it was opened. Returns the line, and the host's address outside.
fn connect(router: &mut Router, port: u16, count: usize) -> (UplinkId, Ipv4Addr) {
    let sent = router.out_one(&tcp((HOST_A, port), (SERVER, 443), SYN, (100, 0)));
    let (line, external) = (sent.uplink(), sent.ip().source);
    router.send_from_uplink(line, &tcp((SERVER, 443), (external, port), SYN_ACK, (900, 101)));
    for _ in 0..count {
        router.out_one(&tcp((HOST_A, port), (SERVER, 443), ACK, (101, 901)));
        assert_eq!(router.send_from_uplink(line, &tcp((SERVER, 443), (external, port), ACK, (901, 101))).len(), 1);
    }
    (line, external)
}

#[test]
fn only_busy_flows_are_taken_in() {
    let mut router = router();
    router.talk(5_000, 31);
    assert_eq!(router.in_shortcut(), 0);
    router.talk(5_000, 1);
    assert_eq!(router.in_shortcut(), 1);
    (6_000..6_100).for_each(|port| router.talk(port, 1));
    assert_eq!(router.in_shortcut(), 1);
    connect(&mut router, 7_000, 20);
    assert_eq!(router.in_shortcut(), 2);
    for _ in 0..100 {
        router.send_from_lan(&echo(HOST_A, SERVER, 7, true));
    }
    assert_eq!(router.in_shortcut(), 2, "a ping is never carried");
}

#[test]
fn none_is_taken_in_before_the_world_is_known_or_where_there_is_no_shortcut() {
    let mut unknown = router();
    unknown.snapshot.generation = 0;
    let mut without = Router::new();
    for mut router in [unknown, without_interface(), std::mem::replace(&mut without, Router::new())] {
        router.talk(5_000, 100);
        assert_eq!(router.in_shortcut(), 0);
    }
}

fn without_interface() -> Router {
    let mut router = router();
    router.snapshot.uplinks.iter_mut().for_each(|uplink| uplink.interface = None);
    router
}

#[test]
fn a_quiet_flow_leaves_and_may_come_back() {
    let mut router = router();
    router.talk(5_000, 32);
    router.pass(Duration::from_secs(1));
    assert_eq!(router.in_shortcut(), 1);
    router.pass(Duration::from_millis(1_200));
    assert_eq!(router.in_shortcut(), 0);
    // Its entries rest: a program may still be at work on them.
    router.talk(5_000, 100);
    assert_eq!(router.in_shortcut(), 0);
    router.pass(Duration::from_millis(1_200));
    router.talk(5_000, 32);
    assert_eq!(router.in_shortcut(), 1);
}

#[test]
fn a_flow_that_ends_or_changes_leaves_at_once() {
    let mut router = router();
    let (line, external) = connect(&mut router, 7_000, 20);
    assert_eq!(router.in_shortcut(), 1);
    router.send_from_uplink(line, &tcp((SERVER, 443), (external, 7_000), FIN_ACK, (901, 101)));
    assert_eq!(router.in_shortcut(), 0);

    router.talk(5_000, 32);
    let moved = Router::framed(&udp((HOST_A, 5_000), (SERVER, 53), b"talk"), MacAddress([2, 0, 0, 0, 0, 77]));
    assert_eq!((router.in_shortcut(), router.lan_frame(moved).len()), (1, 1));
    assert_eq!(router.in_shortcut(), 0, "the host has another Ethernet address");

    router.talk(5_001, 32);
    router.snapshot.generation += 1;
    router.talk(5_001, 1);
    assert_eq!(router.in_shortcut(), 0, "the world is another");
}

#[test]
fn entries_of_flows_that_are_gone_are_free_again_after_a_rest() {
    let mut router = router();
    // More than fit at one time, one after the other: UDP flows die after five minutes.
    for round in 0..3 {
        for port in 0..300 {
            router.talk(10_000 + port, 32);
        }
        assert!(router.in_shortcut() > 290, "round {round}: {}", router.in_shortcut());
        router.wait(Duration::from_secs(310));
        assert_eq!(router.in_shortcut(), 0);
        assert_eq!(router.workers[0].counters().flows.value(), 0);
    }
}

#[test]
fn a_full_set_leaves_the_rest_to_the_worker() {
    let mut config = engine_config(1, 2);
    config.flows = 60_000;
    let mut router = Router::with(&EngineConfig { shortcut: Some(table()), ..config });
    for port in 1_024..21_024 {
        router.talk(port, 32);
    }
    let taken = router.in_shortcut();
    assert!((5_000..=8_192).contains(&taken), "{taken}");
    router.talk(1_024, 100);
}

#[test]
fn a_killed_router_learns_anew_where_its_busy_connections_are() {
    let folder = tempfile::tempdir().unwrap();
    let file = Some(folder.path().join("flows"));
    let config = || EngineConfig { file: file.clone(), shortcut: Some(table()), ..engine_config(1, 2) };
    let mut router = Router::with(&config());
    let (line, external) = connect(&mut router, 7_000, 20);
    assert_eq!(router.in_shortcut(), 1);
    drop(router);
    let mut router = Router::with(&config());
    // What the kernel carried last is not in the record.
    let far = 0x4000_0000;
    router.out_one(&tcp((HOST_A, 7_000), (SERVER, 443), ACK, (far, 901)));
    let answer = tcp((SERVER, 443), (external, 7_000), ACK, (901, far));
    assert_eq!(router.send_from_uplink(line, &answer).len(), 1);
    let blind = tcp((HOST_A, 7_000), (SERVER, 443), ACK, (0xb000_0000, 901));
    router.assert_dropped(DropReason::TcpOutOfWindow, |router| router.send_from_lan(&blind));
}
