//! Who uses how much, and what one host may have at most.
//!
//! ```text
//!  h1 .21 --+                                    wan1 -- 10.77.1.1 --+
//!  h2 .22 --+-- lan -- lan0 192.168.10.1 [potato]                    [internet] 203.0.113.1..9: web servers
//!                                                wan2 -- 10.77.2.1 --+
//! ```

use std::fs;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use netns_tests::programs::{run, shell};
use netns_tests::sockets::udp;
use netns_tests::waiting::wait_for;
use netns_tests::{Capture, LabOptions, Must, SERVER, World, host_address};
use serde_json::Value;

/// What `potato hosts` says of a host.
fn host(report: &Value, number: u8) -> Option<&Value> {
    let address = host_address(number).to_string();
    report["hosts"].as_array().into_iter().flatten().find(|host| host["address"] == address.as_str())
}

fn hosts(world: &World) -> Value {
    let (status, said, error) = world.potato(&["hosts", "--json"]);
    assert_eq!(status, Some(0), "{error}");
    serde_json::from_str(&said).must()
}

/// The bytes that a line has received, as the sum of what all hosts have.
fn sum_over_hosts(report: &Value, uplink: &str) -> u64 {
    let all = report["hosts"].as_array().into_iter().flatten().chain([&report["others"]]);
    let lines = all.flat_map(|host| host["lines"].as_array().into_iter().flatten());
    lines.filter(|line| line["uplink"] == uplink).filter_map(|line| line["in"]["bytes"].as_u64()).sum()
}

#[test]
fn a_download_is_on_the_account_of_its_host_and_line() {
    let world = World::new(Capture::Tun, 2, 2).with_servers();
    run(world.host(1), "curl --silent --show-error --max-time 60 -o /dev/null http://203.0.113.1/bytes/20000000");
    run(world.host(2), "curl --silent --show-error --max-time 60 -o /dev/null http://203.0.113.2/bytes/300000");
    let report = wait_for("accounts that add up to the lines' counters", || {
        let report = hosts(&world);
        let differs = |number: usize| {
            let uplink = world.uplink(number);
            let name = uplink["name"].as_str().unwrap_or_default().to_owned();
            let (line, accounts) = (uplink["in"]["bytes"].as_u64().unwrap_or(0), sum_over_hosts(&report, &name));
            (line != accounts).then(|| format!("{name}: {line} bytes in, {accounts} in the accounts"))
        };
        (1..=2).find_map(differs).map_or_else(|| Ok(report.clone()), Err)
    });
    // Headers are counted, too: two hundredths of a packet, and some that carry nothing else; and what is sent again, which may be
    // a whole super-packet.
    let first = host(&report, 1).expect("h1 has an account");
    let bytes = first["in"]["bytes"].as_u64().unwrap_or(0);
    assert!((20_000_000..22_000_000).contains(&bytes), "{first:#}");
    let lines = first["lines"].as_array().must_have();
    assert_eq!((lines.len(), lines[0]["class"].as_str(), lines[0]["flows"].as_u64()), (1, Some("bulk"), Some(1)));
    let bytes = host(&report, 2).expect("h2 has one, too")["in"]["bytes"].as_u64().unwrap_or(0);
    assert!((300_000..450_000).contains(&bytes), "{report:#}");
    let said = world.potato(&["hosts", "--sort", "bytes"]).1;
    assert!(said.lines().nth(1).is_some_and(|line| line.starts_with("192.168.10.21 ")), "{said}");
    let (status, said, error) = world.potato(&["top"]);
    assert_eq!((status, said.as_str()), (Some(2), ""));
    assert!(error.contains("needs a terminal"), "{error}");
    world.finish();
}

/// What there must be.
trait MustHave<T> {
    fn must_have(self) -> T;
}

impl<T> MustHave<T> for Option<T> {
    #[track_caller]
    fn must_have(self) -> T {
        self.expect("it is there")
    }
}

#[test]
fn a_host_that_scans_leaves_another_untouched_and_is_named() {
    let world = World::with(Capture::Packet, LabOptions::new(2, 2)).with_servers();
    let scanner = udp(world.host(2), Ipv4Addr::UNSPECIFIED, 0);
    let (is_over, probes) = (AtomicBool::new(false), AtomicU64::new(0));
    let times = thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                for port in 500..=65_500 {
                    // What the own queue refuses is none of the router's business.
                    let _ = scanner.send_to(b"anybody?", (SERVER, port));
                    probes.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        wait_for("the first 65,000 ports", || {
            let sent = probes.load(Ordering::Relaxed);
            if sent > 65_000 { Ok(()) } else { Err(format!("{sent} probes")) }
        });
        let fetch = "for i in $(seq 30); do curl --silent --show-error --fail --max-time 10 -o /dev/null \
                     -w '%{time_total}\\n' http://203.0.113.$((i % 9 + 1))/bytes/2000; done";
        let said = shell(world.host(1), fetch);
        is_over.store(true, Ordering::Relaxed);
        said
    });
    let mut times: Vec<Duration> =
        times.lines().map(|seconds| Duration::from_secs_f64(seconds.trim().parse().must())).collect();
    times.sort_unstable();
    assert_eq!(times.len(), 30);
    assert!(times[15] < Duration::from_millis(500), "as ever for the other host: {times:?}");

    let event = world.wait_for_event("host-limited", "192.168.10.22");
    let cause = "opens more than 500 connections a second, the most that a host may";
    assert_eq!((event["by"].as_str(), event["cause"].as_str()), (Some("192.168.10.22"), Some(cause)));
    assert!(event["count"].as_u64() > Some(1_000), "{event}");
    let report = hosts(&world);
    let (quiet, loud) = (host(&report, 1).must_have(), host(&report, 2).must_have());
    assert_eq!((quiet["refused"].as_object().must_have().len(), quiet["flows"].as_u64()), (0, Some(30)), "{quiet}");
    assert!(loud["refused"]["host_rate"].as_u64() > Some(10_000) && world.drops("host_rate") > 10_000, "{loud}");
    assert!(loud["sessions"].as_u64() > Some(1_900), "what it may have it has: {loud}");

    // Other limits hold from a reload on, for what is new.
    let config = world.lab.directory().join("potato.toml");
    let text = fs::read_to_string(&config).must();
    fs::write(&config, text + "\n[limits]\nsessions = 100\nnew_per_second = \"none\"\n").must();
    let (status, said, error) = world.potato(&["reload"]);
    assert!(status == Some(0) && said.contains("[limits] set"), "{said}{error}");
    scanner.send_to(b"anybody?", (SERVER, 400)).must();
    let event = world.wait_for_event("host-limited", "has 100 sessions");
    assert_eq!(event["by"], "192.168.10.22");
    run(world.host(1), "curl --silent --show-error --fail --max-time 10 -o /dev/null http://203.0.113.1/bytes/2000");
    world.finish();
}
