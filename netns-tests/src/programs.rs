//! Real programs that the tests run, and what they say.

use std::process::Stdio;

use potato::demo::lab::{Namespace, Process};
use serde_json::Value;

use crate::waiting::wait_for;
use crate::{Must, SERVER};

/// Debian's own Python, which has scapy.
const PYTHON: &str = "/usr/bin/python3";

/// Seconds that any program may take.
const LONGEST: &str = "90";

/// Runs a program in `namespace`, and gives what it printed.
///
/// # Panics
/// When it fails.
#[track_caller]
pub fn run(namespace: &Namespace, line: &str) -> String {
    bounded(namespace, &line.split_whitespace().collect::<Vec<_>>())
}

/// Runs a shell line in `namespace`, and gives what it printed.
///
/// # Panics
/// When it fails.
#[track_caller]
pub fn shell(namespace: &Namespace, line: &str) -> String {
    bounded(namespace, &["bash", "-euo", "pipefail", "-c", line])
}

/// Runs Python with scapy's names in `namespace`; `send` sends one frame or more by the default route of a host.
///
/// # Panics
/// When it fails.
#[track_caller]
pub fn scapy(namespace: &Namespace, script: &str) -> String {
    let whole = format!("from scapy.all import *\nconf.verb = 0\n{script}\n");
    bounded(namespace, &[PYTHON, "-c", &whole])
}

/// Runs a program that is ended when it takes too long.
#[track_caller]
fn bounded(namespace: &Namespace, words: &[&str]) -> String {
    namespace.exec("timeout", &[&[LONGEST], words].concat()).must()
}

/// Starts an iperf3 server in `namespace` and waits until it listens.
///
/// # Panics
/// When it does not start.
#[must_use]
pub fn iperf_server(namespace: &Namespace) -> Process {
    // Bound to it, or its answers by UDP would come from the uplink's far end.
    let server = namespace.spawn("iperf3", &["-s", "-B", &SERVER.to_string()]).must();
    wait_for_listener(namespace, 5201);
    server
}

/// Waits until somebody in `namespace` listens on TCP port `port`.
///
/// # Panics
/// When nobody does.
pub fn wait_for_listener(namespace: &Namespace, port: u16) {
    wait_for(&format!("a listener on port {port}"), || {
        let sockets = namespace.exec("ss", &["-Hltn", &format!("sport = :{port}")]).must();
        if sockets.trim().is_empty() { Err("nobody listens".to_owned()) } else { Ok(()) }
    });
}

/// What an iperf3 run has measured.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// At the receiver.
    pub bits_per_second: f64,
    /// UDP only: of a hundred datagrams, how many were lost.
    pub lost_percent: f64,
}

/// Runs an iperf3 client in `namespace` with more `options`.
///
/// # Panics
/// When it fails.
#[track_caller]
#[must_use]
pub fn iperf(namespace: &Namespace, options: &str) -> Measured {
    let line = format!("iperf3 --json --connect-timeout 5000 -c {SERVER} {options}");
    let output = namespace.command("bash", &["-c", &line]).stderr(Stdio::inherit()).output().must();
    let report: Value = serde_json::from_slice(&output.stdout).must();
    assert!(output.status.success(), "{line}: {}", report["error"]);
    let end = &report["end"];
    // TCP has sums for both ends; UDP has one, and of the receiver's losses.
    let sum = if end["sum_received"].is_object() { &end["sum_received"] } else { &end["sum"] };
    Measured {
        bits_per_second: sum["bits_per_second"].as_f64().unwrap_or(0.0),
        lost_percent: end["sum"]["lost_percent"].as_f64().unwrap_or(0.0),
    }
}
