//! `potato demo`, as people run it. Its topology: see `potato::demo`.

use std::process::{Child, Command, Stdio};

use netns_tests::waiting::wait_for;
use netns_tests::{Must, binary};

fn start(arguments: &[&str]) -> Child {
    Command::new(binary())
        .arg("demo")
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .must()
}

/// Namespaces and directories that the demo of process `id` has now.
fn left_by(id: u32) -> Vec<String> {
    let names = |directory: &str| {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect::<Vec<_>>()
    };
    let prefix = format!("potato-{id}-");
    [names("/run/netns"), names("/dev/shm")].concat().into_iter().filter(|name| name.starts_with(&prefix)).collect()
}

#[test]
fn the_demo_shows_six_lines_one_that_fails_and_leaves_nothing() {
    // The first line fails after 15 s.
    let child = start(&["--seconds", "18"]);
    let id = child.id();
    let output = child.wait_with_output().must();
    let (said, complaint) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{complaint}");
    // A line each second, and the summary: every line has carried something for somebody.
    assert!(said.lines().filter(|line| line.contains("Mbit/s") && line.contains("dsl6 up")).count() >= 4, "{said}");
    for number in 1..=6 {
        let row = said.lines().find(|line| line.starts_with(&format!(" dsl{number} "))).expect(&said);
        let connections: u64 = row.split_whitespace().last().and_then(|word| word.parse().ok()).expect(row);
        assert!(connections > 0, "{said}");
    }
    assert!(said.contains("15 s  dsl3: somebody pulls the stick out\n") && said.contains("dsl3 missing"), "{said}");
    assert!(said.contains(", 0 failed.\n A line was in trouble once; "), "{said}");
    assert_eq!(left_by(id), Vec::<String>::new());
}

#[test]
fn a_signal_ends_the_demo_in_order() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let child = start(&[]);
        let id = child.id();
        // From its first namespace on; a signal while it builds counts, too.
        wait_for("the demo's namespaces", || {
            if left_by(id).is_empty() { Err("none") } else { Ok(()) }.map_err(str::to_owned)
        });
        potato::sys::process::signal(id, signal).must();
        let output = child.wait_with_output().must();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        assert!(said.contains("Everything is removed again."), "{said}");
        assert_eq!(left_by(id), Vec::<String>::new());
    }
}
