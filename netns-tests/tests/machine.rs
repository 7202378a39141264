//! What the router does to the machine that it runs on: little, and nothing that stays.
//!
//! ```text
//!  h1 .21 ---- lan -- lan0 192.168.10.1 [potato] wan1, wan2 -- [internet]
//! ```

use std::fs;
use std::time::Duration;

use netns_tests::programs::{run, shell};
use netns_tests::world::lab;
use netns_tests::{Capture, Lab, LabOptions, Must, Namespace, World, binary, over_both_captures};

over_both_captures!(
    everything_is_put_back_after_sigterm,
    everything_is_put_back_after_a_crash_and_cleanup,
    a_crash_is_undone_by_the_next_start,
    an_idle_router_is_idle,
    status_and_flows_say_what_is,
);

/// All that can be seen of a machine's network set-up.
fn machine(namespace: &Namespace) -> String {
    shell(
        namespace,
        "ip -4 address; ip -4 route show table all; ip rule; ip -6 rule\n\
         ip -d link | grep -v -e '^ *link/'\n\
         tc qdisc\n\
         for i in /sys/class/net/*; do n=${i##*/}; echo \"$n\"; tc filter show dev \"$n\" ingress 2>&1 || true\n\
             ethtool -k \"$n\" | grep -v -e '\\[fixed\\]' || true; done\n\
         grep -rH '' /proc/sys/net/ipv4/conf /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/*/forwarding 2>/dev/null || true",
    )
}

/// A router's machine as people have them: with routes and rules of their own.
fn lived_in(capture_options: LabOptions) -> Lab {
    let lab = lab(capture_options);
    lab.router()
        .ip(&[
            "route add 10.99.0.0/16 via 192.168.10.21".to_owned(),
            "rule add from 10.99.0.0/16 lookup 77 priority 500".to_owned(),
            "route add 10.98.0.0/16 via 192.168.10.21 table 77".to_owned(),
        ])
        .must();
    lab.router().sysctl(&[("net/ipv4/conf/lan0/rp_filter", "1")]).must();
    lab
}

fn everything_is_put_back_after_sigterm(capture: Capture) {
    let lab = lived_in(LabOptions::new(1, 2));
    let before = machine(lab.router());
    let mut router = lab.start_router(binary(), capture).must();
    run(lab.host(1), "ping -c 1 -W 2 203.0.113.1");
    assert_ne!(machine(lab.router()), before);
    let status = router.terminate().must();
    assert!(status.success(), "{status}: {}", router.log_end());
    assert_same(&before, &machine(lab.router()));
    // Nothing of the running router stays, and it can start again.
    let mut router = lab.start_router(binary(), capture).must();
    router.terminate().must();
    assert_same(&before, &machine(lab.router()));
}

fn everything_is_put_back_after_a_crash_and_cleanup(capture: Capture) {
    let lab = lived_in(LabOptions::new(1, 2));
    let before = machine(lab.router());
    let mut router = lab.start_router(binary(), capture).must();
    router.kill().must();
    // While nobody forwards, nothing leaks past: the LAN has no way out.
    let ping = lab.host(1).exec("ping", &["-c", "1", "-W", "1", "203.0.113.1"]);
    assert!(ping.is_err());
    let config = lab.config(capture).must();
    let potato = binary().to_string_lossy();
    lab.router().exec(&potato, &["cleanup", "--config", &config.to_string_lossy()]).must();
    assert_same(&before, &machine(lab.router()));
    // Once more: there is nothing to do, and that is no error.
    lab.router().exec(&potato, &["cleanup", "--config", &config.to_string_lossy()]).must();
    assert_same(&before, &machine(lab.router()));
}

fn a_crash_is_undone_by_the_next_start(capture: Capture) {
    let lab = lived_in(LabOptions::new(1, 2));
    let before = machine(lab.router());
    for _ in 0..2 {
        lab.start_router(binary(), capture).must().kill().must();
    }
    let mut router = lab.start_router(binary(), capture).must();
    run(lab.host(1), "ping -c 1 -W 2 203.0.113.1");
    router.terminate().must();
    assert_same(&before, &machine(lab.router()));
}

#[track_caller]
fn assert_same(before: &str, after: &str) {
    let gone = before.lines().filter(|line| !after.lines().any(|other| other == *line));
    let come = after.lines().filter(|line| !before.lines().any(|other| other == *line));
    let changes: Vec<_> = gone.map(|line| format!("- {line}")).chain(come.map(|line| format!("+ {line}"))).collect();
    assert!(changes.is_empty(), "the machine is not as it was:\n{}", changes.join("\n"));
}

fn an_idle_router_is_idle(capture: Capture) {
    let mut world = World::new(capture, 1, 6);
    run(world.host(1), "ping -c 3 -i 0.05 -W 2 203.0.113.1");
    let process = world.router.process().id();
    let before = ticks(process);
    // The span that is measured, not a wait for something.
    std::thread::sleep(Duration::from_secs(5));
    let used = ticks(process) - before;
    // A hundred ticks a second: 10 are 2 % of 5 seconds, of a debug build that has other tests beside it.
    assert!(used < 10, "{used} ticks of CPU in 5 idle seconds");
    world.finish();
}

/// Hundredths of a second of CPU that a process has used.
fn ticks(process: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).must();
    let fields: Vec<_> = stat.rsplit_once(") ").expect("a name in brackets").1.split(' ').collect();
    [11, 12].iter().map(|index: &usize| fields[*index].parse::<u64>().must()).sum()
}

fn status_and_flows_say_what_is(capture: Capture) {
    let world = World::new(capture, 2, 2).with_servers();
    run(world.host(1), "curl --silent --show-error --max-time 20 -o /dev/null http://203.0.113.1/bytes/1000000");
    run(world.host(2), "ping -c 3 -i 0.05 -W 2 203.0.113.2");
    let status = world.router.status().must();
    for (number, uplink) in (1..).zip(status["uplinks"].as_array().expect("uplinks")) {
        assert_eq!(uplink["name"], format!("dsl{number}"), "{uplink}");
        assert_eq!(uplink["state"], "up", "{uplink}");
        assert_eq!(uplink["address"], format!("10.77.{number}.2/24"), "{uplink}");
        assert_eq!(uplink["gateway"], format!("10.77.{number}.1"), "{uplink}");
        for way in ["in", "out"] {
            assert!(uplink[way]["packets"].is_u64() && uplink[way]["bytes"].is_u64(), "{way}: {uplink}");
        }
        assert!(uplink["flows"].is_u64(), "{uplink}");
        assert!(uplink["drops"].is_object(), "{uplink}");
        assert!(
            uplink["capacity"]["download"]["source"] != "given" && uplink["capacity"]["full"].is_boolean(),
            "{uplink}"
        );
    }
    let sum = |key: &str| (0..2).map(|index| status["uplinks"][index]["in"][key].as_u64().unwrap_or(0)).sum::<u64>();
    assert!((1_000_000..1_200_000).contains(&sum("bytes")), "{status}");
    // Segments of at most 1460 bytes as the wire carries them, and three echo replies.
    assert!(sum("packets") >= 685 + 3, "{status}");

    let flows = |filters: &[&str]| {
        let flows = world.router.flows(filters).must();
        flows["flows"].as_array().cloned().unwrap_or_default()
    };
    let of_first = flows(&["--host", "192.168.10.21"]);
    assert_eq!(of_first.len(), 1, "{of_first:?}");
    assert_eq!(of_first[0]["protocol"], "tcp", "{of_first:?}");
    assert!(of_first[0].to_string().contains("203.0.113.1:80"), "{of_first:?}");
    let pings = flows(&["--protocol", "icmp"]);
    assert!(pings.iter().all(|flow| flow["protocol"] == "icmp") && pings.len() == 1, "{pings:?}");
    let by_uplink: Vec<_> = ["dsl1", "dsl2"].map(|name| flows(&["--uplink", name]).len()).into();
    assert_eq!(by_uplink.iter().sum::<usize>(), flows(&[]).len());
    let config = world.lab.config(capture).must();
    let potato = |arguments: &[&str]| {
        let path = config.to_string_lossy();
        let arguments = [arguments, &["--config", &path]].concat();
        world.lab.router().exec(&binary().to_string_lossy(), &arguments).must()
    };
    for line in ["status", "flows"] {
        let said = potato(&[line]);
        assert!(said.contains("dsl1"), "{said}");
    }
    let host = of_first[0]["host"].as_str().unwrap_or_default();
    assert_eq!(of_first[0]["reason"], "soonest", "{of_first:?}");
    let why = potato(&["why", host, "203.0.113.1:80/tcp"]);
    for said in ["class:  bulk", "done soonest", "dsl1", "dsl2", "<- chosen"] {
        assert!(why.contains(said), "{said}: {why}");
    }
    world.finish();
}

#[test]
fn bad_configurations_are_refused_and_change_nothing() {
    let lab = lived_in(LabOptions::new(0, 2));
    let before = machine(lab.router());
    let good = lab.configuration(Capture::Tun);
    let line_of = |text: &str, what: &str| 1 + text.lines().position(|line| line.contains(what)).expect("it is there");
    let wrong = [
        ("unknown key", good.replace("capture =", "captures ="), "captures"),
        ("bad value", good.replace("capture = \"tun\"", "capture = \"magic\""), "magic"),
        ("not TOML", good.replace("[lan]", "[lan"), "[lan"),
        ("bad address", good.replace("10.77.1.2/24", "10.77.1.300/24"), "10.77.1.300"),
        ("no prefix", good.replace("10.77.1.2/24", "10.77.1.2"), "10.77.1.2\""),
        ("gateway outside", good.replace("gateway = \"10.77.2.1\"", "gateway = \"10.99.2.1\""), "10.99.2.1"),
        ("one interface twice", good.replace("interface = \"wan2\"", "interface = \"wan1\" # again"), "# again"),
        ("one name twice", good.replace("name = \"dsl2\"", "name = \"dsl1\" # again"), "# again"),
        ("LAN as uplink", good.replace("interface = \"wan2\"", "interface = \"lan0\" # again"), "# again"),
        ("unknown section", format!("{good}\n[router2]\na = 1\n"), "[router2]"),
        ("bad kind", good.replace("kind = \"static\"", "kind = \"carrier-pigeon\""), "carrier-pigeon"),
        ("bad number", good.replace("workers = \"auto\"", "workers = 0"), "workers = 0"),
    ];
    let path = lab.directory().join("wrong.toml");
    for (what, text, mark) in wrong {
        assert_ne!(text, good, "{what}");
        fs::write(&path, &text).must();
        for arguments in [vec!["check", &path.to_string_lossy()], vec!["run", "--config", &path.to_string_lossy()]] {
            let output = lab.router().command(&binary().to_string_lossy(), &arguments).output().must();
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{what}: {said}");
            let place = format!("wrong.toml:{}", line_of(&text, mark));
            assert!(said.contains(&place), "{what} stands at {place}: {said}");
        }
    }
    let missing = lab.directory().join("missing.toml");
    let output =
        lab.router().command(&binary().to_string_lossy(), &["check", &missing.to_string_lossy()]).output().must();
    assert_eq!(output.status.code(), Some(2));
    assert_same(&before, &machine(lab.router()));
}
