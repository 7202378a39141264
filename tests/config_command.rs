//! The program as a user meets it, without a router: exit statuses, and what is said where.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const RIGHT: &str = r#"[router]
run_dir = "RUN_DIR"

[lan]
interface = "lan0"

[[uplink]]
name = "dsl1"
interface = "wan1"
kind = "static"
address = "10.77.1.2/24"
gateway = "10.77.1.1"

[web]
listen = "192.168.10.1:8080"
"#;

fn potato(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_potato")).args(arguments).env_remove("RUST_LOG").output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A configuration in `directory`, with its run directory there too.
fn written(directory: &Path, content: &str) -> PathBuf {
    let path = directory.join("potato.toml");
    let content = content.replace("RUN_DIR", directory.join("run").to_str().unwrap());
    std::fs::File::create(&path).unwrap().write_all(content.as_bytes()).unwrap();
    path
}

#[test]
fn check_says_what_it_found_and_warns_aside() {
    let directory = tempfile::tempdir().unwrap();
    let path = written(directory.path(), RIGHT);
    let path = path.to_str().unwrap();
    let output = potato(&["check", path]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stdout), format!("{path}: ok: 1 uplink, LAN lan0, capture auto\n"));
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn check_warns_of_rules_that_cannot_do_what_they_say() {
    let directory = tempfile::tempdir().unwrap();
    let rules = "[[rule]]\nname = \"all\"\nclass = \"bulk\"\n[[rule]]\nname = \"ssh\"\nclass = \"isolated\"\n";
    let path = written(directory.path(), &format!("{RIGHT}\n{rules}"));
    let path = path.to_str().unwrap();
    let output = potato(&["check", path]);
    assert_eq!(output.status.code(), Some(0));
    let never = "rule \"ssh\": it can never match: rule \"all\" in line 17 stands before it and is for all its flows\n";
    assert!(text(&output.stderr).ends_with(&format!("{path}:20: {never}")), "{}", text(&output.stderr));
}

#[test]
fn wrong_configuration_ends_with_2_whoever_reads_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = written(directory.path(), &RIGHT.replace("gateway =", "gatway ="));
    let path = path.to_str().unwrap();
    for arguments in [&["check", path][..], &["run", "--config", path], &["status", "--config", path]] {
        let output = potato(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
        let said = text(&output.stderr);
        assert!(said.contains(":12:1: `gatway`: unknown key") && said.contains("`gateway`?"), "{arguments:?}: {said}");
    }
    assert!(!directory.path().join("run").exists(), "nothing is made for a wrong configuration");
}

#[test]
fn wrong_command_line_ends_with_2() {
    for arguments in [
        &["rum"][..],
        &[],
        &["flows", "--host", "x"],
        &["flows", "--uplink", "a b"],
        &["link", "sideways", "dsl1"],
        &["link", "up"],
        &["link", "up", "a b"],
        &["explain", "--from", "printer", "--to", "203.0.113.9:443/tcp"],
        &["explain", "--from", "192.168.10.20", "--to", "203.0.113.9"],
        &["explain", "--from", "192.168.10.20", "--to", "203.0.113.9:443/tcp", "--dscp", "fast"],
        &["explain", "--from", "192.168.10.20"],
        &["events", "--since", "yesterday"],
        &["demo", "--seconds", "0"],
    ] {
        let output = potato(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stdout).is_empty() && !output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn every_command_explains_itself_with_an_example() {
    for command in ["run", "check", "cleanup", "status", "flows", "explain", "events", "link", "demo"] {
        let output = potato(&[command, "--help"]);
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output.stdout).contains(&format!("potato {command}")), "{command}");
        assert!(text(&output.stdout).contains("Example"), "{command}");
    }
}

#[test]
fn no_router_is_said_plainly() {
    let directory = tempfile::tempdir().unwrap();
    let run_dir = directory.path().to_str().unwrap();
    let explain = ["explain", "--from", "192.168.10.20", "--to", "203.0.113.9:443/tcp"];
    let link = ["link", "down", "dsl1"];
    for command in [&["status"][..], &["flows"], &explain, &["events"], &["events", "--follow"], &link] {
        let output = potato(&[command, &["--run-dir", run_dir]].concat());
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        let expected = format!(
            "no router is running: {run_dir}/control.sock does not exist; start one with `potato run --config FILE`\n"
        );
        assert_eq!(text(&output.stderr), expected, "{command:?}");
    }
    // A socket that nobody listens to any more: its router was killed.
    drop(std::os::unix::net::UnixListener::bind(directory.path().join("control.sock")).unwrap());
    let said = potato(&["status", "--run-dir", run_dir]);
    assert_eq!(said.status.code(), Some(1));
    assert!(text(&said.stderr).contains("was left behind"), "{}", text(&said.stderr));
}

#[test]
fn reader_that_goes_away_is_no_failure() {
    let directory = tempfile::tempdir().unwrap();
    let path = written(directory.path(), RIGHT);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_potato"));
    let child = command.arg("check").arg(&path).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(!text(&output.stderr).contains("panic"), "{}", text(&output.stderr));
}
