//! What the router tells of the past, and of the present while it passes.
//!
//! ```text
//!  h1 .21 --+                                    wan1 -- 10.77.1.1 --+
//!           +-- lan -- lan0 192.168.10.1 [potato]                    [internet] 203.0.113.1
//!                                                wan2 -- 10.77.2.1 --+
//! ```

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use netns_tests::programs::run;
use netns_tests::waiting::{SOON, wait_for};
use netns_tests::world::lab;
use netns_tests::{Capture, Lab, LabOptions, Must, World, binary, over_both_captures};
use potato::demo::lab::Process;
use serde_json::Value;

over_both_captures!(what_happens_to_lines_is_told_with_cause_and_person);

const UP: &str = "dsl1 is up: it gets its share of new connections again\n";

/// What `potato events` tells as JSON.
fn events(world: &World, arguments: &[&str]) -> Vec<Value> {
    let (status, said, error) = world.potato(&[&["events", "--json"], arguments].concat());
    assert_eq!(status, Some(0), "{error}");
    let report: Value = serde_json::from_str(&said).must();
    report["events"].as_array().cloned().unwrap_or_default()
}

/// The transitions of an uplink among `events`: from, to, cause, and whether a person is named.
fn transitions<'e>(events: &'e [Value], uplink: &str) -> Vec<(&'e str, &'e str, &'e str, bool)> {
    let text = |event: &'e Value, key: &str| event[key].as_str().unwrap_or_default();
    let of_uplink = events.iter().filter(|event| event["event"] == "uplink-changed" && event["uplink"] == uplink);
    of_uplink
        .map(|event| {
            let by = text(event, "by").starts_with("uid 0, pid ");
            (text(event, "from"), text(event, "to"), text(event, "cause"), by)
        })
        .collect()
}

/// A `potato events --follow --json`.
struct Follower {
    process: Process,
    lines: Receiver<Value>,
}

impl Follower {
    fn start(world: &World, since: u64) -> Self {
        let mut command = world.command(&["events", "--follow", "--json", "--since", &since.to_string()]);
        let mut process = Process::start(command.stdout(Stdio::piped()).stderr(Stdio::piped())).must();
        let output: ChildStdout = process.child().stdout.take().expect("it is piped");
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                let event = serde_json::from_str(&line.must()).must();
                if sender.send(event).is_err() {
                    break;
                }
            }
        });
        Self { process, lines }
    }

    #[track_caller]
    fn next(&self) -> Value {
        self.lines.recv_timeout(SOON).expect("an event comes")
    }

    /// Waits for its end; gives its exit status and what it complained of.
    fn end(mut self) -> (Option<i32>, String) {
        let status = self.process.child().wait().must();
        let mut said = String::new();
        self.process.child().stderr.take().expect("it is piped").read_to_string(&mut said).must();
        (status.code(), said)
    }
}

fn what_happens_to_lines_is_told_with_cause_and_person(capture: Capture) {
    let mut world = World::new(capture, 1, 2);
    world.internet().ip(&["link set isp1 down".to_owned()]).must();
    world.wait_for_state(1, "no-carrier");
    world.internet().ip(&["link set isp1 up".to_owned()]).must();
    world.wait_for_state(1, "up");
    for arguments in [["link", "down", "dsl2"], ["link", "up", "dsl2"], ["link", "up", "dsl2"]] {
        assert_eq!(world.potato(&arguments).0, Some(0));
    }
    assert_eq!(world.potato(&["link", "down", "dsl9"]).0, Some(1));

    let told = events(&world, &[]);
    assert_eq!(told[0]["event"], "router-started", "{told:?}");
    let expected = [
        ("connecting", "testing", "gateway answered", false),
        ("testing", "up", "targets answer", false),
        ("up", "no-carrier", "carrier lost", false),
        ("no-carrier", "connecting", "carrier found", false),
        ("connecting", "testing", "gateway answered", false),
        ("testing", "up", "targets answer", false),
    ];
    // How it starts depends on how fast the interface was.
    assert!(transitions(&told, "dsl1").ends_with(&expected), "{told:?}");
    let by_hand = [("up", "down", "taken down by hand", true), ("down", "up", "put back by hand", true)];
    assert!(transitions(&told, "dsl2").ends_with(&by_hand), "{told:?}");
    let orders: Vec<_> = told.iter().filter(|event| event["event"] == "link-ordered").collect();
    assert_eq!(orders.len(), 4, "{orders:?}");
    assert!(orders.iter().all(|order| order["by"].as_str().is_some_and(|by| by.starts_with("uid 0, pid "))));
    assert!(orders[0]["cause"].is_null() && orders[2]["cause"] == "it was so already", "{orders:?}");
    assert!(orders[3]["cause"].as_str().is_some_and(|why| why.contains("dsl9")), "{orders:?}");
    let said = world.potato(&["events"]).1;
    assert!(said.contains("dsl1: up -> no-carrier: carrier lost\n"), "{said}");

    // Live, from where one was; each event once.
    let last = told.last().and_then(|event| event["id"].as_u64()).expect("it has a number");
    let follower = Follower::start(&world, last - 1);
    assert_eq!(Some(&follower.next()), told.last());
    assert_eq!(world.potato(&["link", "down", "dsl1"]).0, Some(0));
    let (order, change) = (follower.next(), follower.next());
    assert_eq!((&order["event"], &order["id"]), (&Value::from("link-ordered"), &Value::from(last + 1)));
    assert_eq!(transitions(&[change], "dsl1"), [("up", "down", "taken down by hand", true)]);

    // It hears the end, and whoever comes after that can go on from there.
    assert!(world.router.terminate().must().success());
    assert_eq!(follower.next()["event"], "router-stopped");
    assert_eq!(follower.end(), (Some(1), "the router has stopped\n".to_owned()));
    world.router = world.lab.launch_router(binary(), capture).must();
    world.wait_for_state(2, "up");
    let after = events(&world, &["--since", &(last + 2).to_string()]);
    let kinds: Vec<_> = after[..2].iter().map(|event| event["event"].as_str().unwrap_or_default()).collect();
    assert_eq!(kinds, ["router-stopped", "router-started"], "{after:?}");
    assert_eq!(transitions(&after, "dsl1"), [], "it was down, and is: that is no news");
    world.finish();
}

#[test]
fn router_works_without_its_event_log_and_tells_later_how_much_is_missing() {
    let lab = lab(LabOptions::new(1, 2));
    // A file where the directory should be: nobody can write there, root neither.
    let state_dir = lab.directory().join("state");
    fs::write(&state_dir, "").must();
    let mut world = World::launched(Capture::Packet, lab);
    world.router.wait_until_up(2).must();
    run(world.host(1), "ping -c 2 -i 0.05 -W 2 203.0.113.1");
    for arguments in [&["events"][..], &["events", "--follow"]] {
        let (status, _, error) = world.potato(arguments);
        assert!(status == Some(1) && error.contains("events.db"), "{error}");
    }
    fs::remove_file(&state_dir).must();
    assert_eq!(world.potato(&["link", "down", "dsl1"]).0, Some(0));
    let told = events(&world, &[]);
    assert_eq!((&told[0]["event"], &told[1]["event"]), (&"events-lost".into(), &"link-ordered".into()), "{told:?}");
    assert!(told[0]["count"].as_u64().is_some_and(|count| count >= 3), "{told:?}");
    assert_eq!(world.router.log().matches("events cannot be kept").count(), 1, "{}", world.router.log());
    world.finish();
}

/// A file system of its own for the state directory of `lab`, unmounted when dropped.
struct StateDisk(PathBuf);

impl StateDisk {
    fn mount(lab: &Lab, options: &str) -> Self {
        let path = lab.directory().join("state");
        fs::create_dir_all(&path).must();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&path).status().must();
        assert!(mounted.success(), "mount: {mounted}");
        Self(path)
    }
}

impl Drop for StateDisk {
    fn drop(&mut self) {
        // The router may have files open there.
        drop(Command::new("umount").arg("--lazy").arg(&self.0).status());
        // If the lab has gone first, it could not remove this.
        drop(fs::remove_dir(&self.0));
        drop(self.0.parent().map(fs::remove_dir));
    }
}

#[test]
fn full_disk_stops_nothing_and_is_told_when_there_is_room_again() {
    let lab = lab(LabOptions::new(1, 2));
    let disk = StateDisk::mount(&lab, "size=256k");
    let mut world = World::launched(Capture::Packet, lab);
    world.router.wait_until_up(2).must();
    let kept = events(&world, &[]).len();
    let filler = disk.0.join("filler");
    let full = fs::write(&filler, vec![1; 1 << 20]);
    assert!(full.is_err(), "256 KiB are full");
    for _ in 0..20 {
        for state in ["down", "up"] {
            assert_eq!(world.potato(&["link", state, "dsl1"]).0, Some(0));
        }
    }
    assert!(world.potato(&["link", "down", "dsl1"]).2.contains("links.json"));
    run(world.host(1), "ping -c 2 -i 0.05 -W 2 203.0.113.1");
    fs::remove_file(&filler).must();
    assert_eq!(world.potato(&["link", "up", "dsl1"]), (Some(0), UP.to_owned(), String::new()));
    let told = events(&world, &["--since", "0"]);
    let lost: u64 = told.iter().filter_map(|event| event["count"].as_u64()).sum();
    assert!(lost > 0, "{told:?}");
    // Every order and every change of the line: kept or counted. The notice of what is missing is not one of them.
    let notices = told.iter().filter(|event| event["event"] == "events-lost").count();
    assert_eq!(u64::try_from(told.len() - notices - kept).must() + lost, 42 * 2, "{told:?}");
    drop(disk);
    world.finish();
}

#[test]
fn read_only_disk_stops_nothing() {
    let lab = lab(LabOptions::new(1, 1));
    let disk = StateDisk::mount(&lab, "ro");
    let mut world = World::launched(Capture::Packet, lab);
    world.router.wait_until_up(1).must();
    run(world.host(1), "ping -c 2 -i 0.05 -W 2 203.0.113.1");
    assert!(world.potato(&["events"]).2.contains("events.db"));
    assert!(world.potato(&["link", "down", "dsl1"]).2.contains("links.json"));
    assert_eq!(world.uplink(1)["state"], "down");
    // Neither does it stop the history of the lines, which is in memory then.
    let socket = world.lab.directory().join("run/control.sock");
    let ask = format!("curl -sS --max-time 10 --unix-socket {} http://potato/v1/history?uplink=dsl1", socket.display());
    wait_for("what the line has done, in memory", || {
        let report: Value = serde_json::from_str(&run(world.lab.router(), &ask)).must();
        let is_there = report["points"].as_array().is_some_and(|points| points.len() > 1);
        if is_there { Ok(()) } else { Err(report.to_string()) }
    });
    assert_eq!(world.router.log().matches("history cannot be kept").count(), 1, "{}", world.router.log());
    assert_eq!(world.router.log().matches("events cannot be kept").count(), 1, "{}", world.router.log());
    drop(disk);
    world.finish();
}

#[test]
fn broken_event_log_is_put_aside() {
    let lab = lab(LabOptions::new(1, 1));
    let state_dir = lab.directory().join("state");
    fs::create_dir_all(&state_dir).must();
    fs::write(state_dir.join("events.db"), "this is no database, and long enough to be sure of that".repeat(20)).must();
    let mut world = World::launched(Capture::Packet, lab);
    world.router.wait_until_up(1).must();
    let told = events(&world, &[]);
    assert_eq!((&told[0]["event"], &told[1]["event"]), (&"log-begun".into(), &"router-started".into()), "{told:?}");
    assert!(world.router.log().contains("a new one is begun"), "{}", world.router.log_end());
    assert!(state_dir.join("events.db.broken").is_file());
    world.finish();
}
