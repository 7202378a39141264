//! A full picture of a machine's network: what the tests compare before and after.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::topology::{ask, run};

/// Everything by name: the output of commands, and the value of every switch of every interface.
pub(crate) type Picture = BTreeMap<String, String>;

const COMMANDS: &[&str] = &[
    "ip -d link show",
    "ip address show",
    "ip -4 route show table all",
    "ip -6 route show table all",
    "ip rule show",
    "ip -6 rule show",
    "tc qdisc show",
];

/// The picture of the calling thread's namespace.
pub(crate) fn take() -> Picture {
    let mut picture: Picture = COMMANDS.iter().map(|line| ((*line).to_owned(), in_any_order(line))).collect();
    for family in ["ipv4", "ipv6"] {
        let directory = format!("/proc/sys/net/{family}/conf");
        for interface in fs::read_dir(directory).unwrap().flatten() {
            add_switches(&mut picture, &interface.path());
        }
    }
    picture.insert("ip_forward".to_owned(), fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap());
    for interface in ["lo", "lan0", "wan1", "wan2", "other0", "potato0"] {
        for line in ["ethtool -k X", "tc filter show dev X ingress", "tc filter show dev X egress"] {
            let line = line.replace('X', interface);
            picture.insert(line.clone(), without_program_ids(&ask(&line)));
        }
    }
    picture
}

fn add_switches(picture: &mut Picture, directory: &Path) {
    for file in fs::read_dir(directory).unwrap().flatten() {
        // Some cannot be read (`stable_secret` while it is not set).
        if let Ok(value) = fs::read_to_string(file.path()) {
            picture.insert(file.path().display().to_string(), value);
        }
    }
}

/// Waits until the picture is `before` again (the kernel tells of links' states late), and fails with the differences.
#[track_caller]
pub(crate) fn assert_back_to(before: &Picture) {
    let mut differences = String::new();
    for _ in 0..50 {
        let now = take();
        differences.clear();
        for key in before.keys().chain(now.keys()) {
            let (old, new) = (before.get(key), now.get(key));
            if old != new {
                differences += &format!("{key}\n{}{}", only_in(old, new, '-'), only_in(new, old, '+'));
            }
        }
        if differences.is_empty() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(100));
    }
    panic!("not as it was:\n{differences}");
}

/// The kernel numbers loaded programs as they come.
fn without_program_ids(filters: &str) -> String {
    let mut after_id = false;
    let words = filters.split_inclusive(' ').filter(|word| !std::mem::replace(&mut after_id, word.trim() == "id"));
    words.collect()
}

/// The kernel lists routes of one network by their age; their order means nothing.
fn in_any_order(line: &str) -> String {
    let text = run(line);
    if !line.contains("-6 route") {
        return text;
    }
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

fn only_in(text: Option<&String>, other: Option<&String>, sign: char) -> String {
    let lines =
        |text: Option<&String>| text.cloned().unwrap_or_default().lines().map(str::to_owned).collect::<Vec<_>>();
    let others = lines(other);
    lines(text).iter().filter(|line| !others.contains(line)).map(|line| format!(" {sign} {line}\n")).collect()
}
