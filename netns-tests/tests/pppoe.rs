//! Lines by PPPoE, with pppd on a real kernel at the other end: one concentrator, two lines into it.
//!
//! ```text
//!  h1 .21 --+                                wan1 -- isp1 --+
//!           +-- lan0 192.168.10.1 [potato]                  +-- [isp: bridge] -- [concentrator 10.99.0.1] -- [internet]
//!                                            wan2 -- isp2 --+                                                203.0.113.1
//! ```

use std::collections::HashSet;
use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use netns_tests::concentrator::{Concentrator, Proof};
use netns_tests::programs::{iperf, iperf_server, shell};
use netns_tests::sniffer::Capturing;
use netns_tests::sockets::{seen_from, udp};
use netns_tests::waiting::wait_for;
use netns_tests::world::lab;
use netns_tests::{Addressing, Capture, Lab, LabOptions, Must, SERVER, World, binary};
use potato::demo::lab::Process;
use serde_json::Value;

/// The longest that a redial may take: it begins within two seconds.
const REDIAL: Duration = Duration::from_secs(20);

/// Writes the password of uplink number `number`, for its owner alone.
fn write_password(lab: &Lab, number: usize, password: &str) {
    let path = lab.directory().join(format!("dsl{number}.password"));
    fs::write(&path, format!("{password}\n")).must();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).must();
}

/// A `tcpdump` of discovery on the line of an uplink, in words.
struct Discovery {
    _process: Process,
    file: std::path::PathBuf,
}

impl Discovery {
    fn watch(lab: &Lab, number: usize) -> Self {
        let file = lab.directory().join(format!("discovery{number}"));
        let arguments = ["-l", "-n", "-i", &format!("isp{number}"), "ether proto 0x8863"];
        let mut command = lab.internet().command("tcpdump", &arguments);
        let watching = Process::start(command.stdout(File::create(&file).must()).stderr(Stdio::null())).must();
        Self { _process: watching, file }
    }

    /// Waits for the end of a session.
    fn wait_for_padt(&self, session: u64) {
        wait_for(&format!("a PADT of session {session}"), || {
            let said = fs::read_to_string(&self.file).must();
            if said.contains(&format!("PADT [ses {session:#x}]")) { Ok(()) } else { Err(said) }
        });
    }
}

fn session_of(world: &World, number: usize) -> u64 {
    let uplink = world.uplink(number);
    uplink["session"]["id"].as_u64().unwrap_or_else(|| panic!("no session: {uplink}"))
}

fn is_up_anew(session: u64) -> impl Fn(&Value) -> bool {
    move |uplink| uplink["state"] == "up" && uplink["session"]["id"] != session
}

#[test]
fn lines_by_pppoe_live_with_their_concentrator() {
    let mut options = LabOptions::new(1, 2);
    options.uplinks.iter_mut().for_each(|uplink| uplink.addressing = Addressing::Pppoe);
    let lab = lab(options);
    write_password(&lab, 1, "secret1");
    write_password(&lab, 2, "mistaken");
    let concentrator = Concentrator::start(&lab, Proof::Chap);
    let watching = [Discovery::watch(&lab, 1), Discovery::watch(&lab, 2)];
    let mut world = World::launched(Capture::Packet, lab).with_servers();

    comes_up_and_tells(&mut world, &concentrator);
    carries_traffic(&world);
    is_redialled_after_silence(&mut world, &concentrator);
    is_redialled_by_pap_after_its_end(&mut world, &concentrator);
    is_redialled_by_hand(&mut world, &concentrator, &watching[0]);
    ends_its_sessions_when_it_stops(&mut world, &watching[..1]);
    two_sessions_share_a_concentrator(&mut world);
    leftovers_of_a_killed_router_are_ended(&mut world, &watching);
    ends_its_sessions_when_it_stops(&mut world, &watching);

    world.router = world.lab.start_router(binary(), Capture::Packet).must();
    world.finish();
}

fn comes_up_and_tells(world: &mut World, concentrator: &Concentrator) {
    let uplink = world.wait_for_uplink(1, REDIAL, "up", |uplink| uplink["state"] == "up");
    let text = |key: &str| uplink[key].as_str().unwrap_or_default().to_owned();
    assert_eq!((text("kind"), text("gateway")), ("pppoe".to_owned(), "10.99.0.1".to_owned()));
    assert!(text("address").starts_with("10.99.0.") && text("address").ends_with("/32"), "{uplink}");
    let session = &uplink["session"];
    assert_eq!((session["concentrator"].as_str(), session["mtu"].as_u64()), (Some("lab"), Some(1_492)));
    assert_eq!(session["name_servers"][0], "192.0.2.53");
    assert!(concentrator.log().contains("CHAP Response"), "{}", concentrator.log());
    // The other line's password is wrong, and nobody says which it is.
    let refused = world.wait_for_uplink(2, REDIAL, "refused", |uplink| uplink["problem"].is_string());
    assert_eq!(refused["state"], "connecting");
    let problem = refused["problem"].as_str().unwrap_or_default();
    assert!(problem.contains("authentication refused") && problem.contains("password_file"), "{problem}");
    let (log, said) = (world.router.log(), world.potato(&["status"]).1);
    assert!(log.contains("authentication refused") && said.contains(problem), "{log}\n{said}");
    let events = world.potato(&["events", "--json"]).1;
    assert!(events.contains("session-failed") && events.contains("authentication refused"), "{events}");
    for shown in [&log, &said, &events, &world.router.status().must().to_string()] {
        assert!(!shown.contains("mistaken") && !shown.contains("secret1"), "{shown}");
    }
}

fn carries_traffic(world: &World) {
    let file = world.lab.directory().join("syn.pcap");
    let syns = Capturing::start(world.internet(), "core", "in", "tcp[tcpflags] & tcp-syn != 0", 128, &file);
    for bytes in [1, 3_000_000] {
        let fetch = format!("curl --silent --show-error --max-time 30 http://{SERVER}/bytes/{bytes} | sha256sum");
        assert_eq!(shell(world.host(1), &fetch), shell(world.internet(), &fetch));
    }
    let syns = syns.finish();
    assert!(!syns.is_empty());
    for syn in syns {
        // The segment size that the server learns: 1,492 bytes less two headers.
        assert_eq!(syn.payload()[20..24], [2, 4, 0x05, 0xac], "{syn:02x?}");
    }
    let _server = iperf_server(world.internet());
    for options in ["-t 1 -P 4", "-t 1 -P 4 -R", "-t 1 -u -b 20M -l 1400", "-t 1 -u -b 5M -l 4000"] {
        let measured = iperf(world.host(1), options);
        assert!(measured.bits_per_second > 1e6 && measured.lost_percent < 20.0, "{options}: {measured:?}");
    }
    // Who sends longer packets is told how long they may be.
    let said = shell(world.host(1), "ping -c 1 -W 2 -M do -s 1465 203.0.113.1 2>&1 || true");
    assert!(said.contains("1492"), "{said}");
    shell(world.host(1), "ping -c 2 -i 0.05 -W 2 -M do -s 1464 203.0.113.1");
    shell(world.host(1), "ping -c 2 -i 0.05 -W 2 -s 4000 203.0.113.1");
    assert_eq!(world.drops("foreign_session") + world.drops("malformed_session") + world.drops("bad_offload"), 0);
}

fn is_redialled_after_silence(world: &mut World, concentrator: &Concentrator) {
    let before = session_of(world, 1);
    concentrator.run("kill -STOP $(pidof pppd)");
    let down = world.wait_for_uplink(1, Duration::from_secs(12), "down", |uplink| uplink["state"] == "connecting");
    assert!(down["problem"].as_str().is_some_and(|problem| problem.contains("no more echoes")), "{down}");
    assert!(down["address"].is_null() && down["session"].is_null(), "{down}");
    concentrator.run("kill -CONT $(pidof pppd)");
    world.wait_for_uplink(1, REDIAL, "up anew", is_up_anew(before));
    shell(world.host(1), "ping -c 2 -i 0.05 -W 2 203.0.113.1");
}

fn is_redialled_by_pap_after_its_end(world: &mut World, concentrator: &Concentrator) {
    let before = session_of(world, 1);
    concentrator.require(Proof::Pap);
    concentrator.run("kill $(pidof pppd)");
    world.wait_for_uplink(1, REDIAL, "up anew", is_up_anew(before));
    let log = world.router.log();
    assert!(log.contains("has ended the link") || log.contains("has ended the session"), "{log}");
    assert!(concentrator.log().contains("PAP AuthReq"), "{}", concentrator.log());
    shell(world.host(1), "ping -c 2 -i 0.05 -W 2 203.0.113.1");
}

/// Its peer sees the end of the session at both layers, and a new one.
fn is_redialled_by_hand(world: &mut World, concentrator: &Concentrator, watching: &Discovery) {
    let (before, ends) = (session_of(world, 1), concentrator.log().matches("LCP TermReq").count());
    let (status, said, error) = world.potato(&["redial", "dsl1"]);
    assert!(status == Some(0) && said.contains("its session is ended and dialled anew"), "{said}{error}");
    watching.wait_for_padt(before);
    world.wait_for_uplink(1, REDIAL, "up anew", is_up_anew(before));
    assert!(concentrator.log().matches("LCP TermReq").count() > ends, "{}", concentrator.log());
    world.wait_for_event("redial-ordered", "uid 0, pid ");
    shell(world.host(1), "ping -c 2 -i 0.05 -W 2 203.0.113.1");
}

/// Of the lines that are watched, from the first on.
fn ends_its_sessions_when_it_stops(world: &mut World, watching: &[Discovery]) {
    let sessions: Vec<u64> = (1..=watching.len()).map(|number| session_of(world, number)).collect();
    assert!(world.router.terminate().must().success());
    for (watching, session) in watching.iter().zip(sessions) {
        watching.wait_for_padt(session);
    }
    assert!(world.router.log().contains("machine is as it was"));
}

fn two_sessions_share_a_concentrator(world: &mut World) {
    write_password(&world.lab, 2, "secret2");
    world.router = world.lab.start_router(binary(), Capture::Tun).must();
    let [first, second] = [1, 2].map(|number| world.uplink(number));
    assert_ne!(first["session"]["id"], second["session"]["id"]);
    assert_ne!(first["address"], second["address"]);
    for same in ["gateway", "gateway_mac"] {
        assert_eq!(first[same], second[same]);
    }
    let listening = udp(world.internet(), SERVER, 7001);
    let seen: HashSet<IpAddr> = (0..8)
        .map(|_| seen_from(&udp(world.host(1), Ipv4Addr::UNSPECIFIED, 0), &listening, "which line?").ip())
        .collect();
    assert_eq!(seen.len(), 2, "both lines are used: {seen:?}");
}

fn leftovers_of_a_killed_router_are_ended(world: &mut World, watching: &[Discovery; 2]) {
    let sessions = [session_of(world, 1), session_of(world, 2)];
    world.router.kill().must();
    world.router = world.lab.start_router(binary(), Capture::Packet).must();
    // The concentrator still asks the old ones for echoes.
    for (watching, session) in watching.iter().zip(sessions) {
        watching.wait_for_padt(session);
    }
    shell(world.host(1), "ping -c 2 -i 0.05 -W 2 203.0.113.1");
}
