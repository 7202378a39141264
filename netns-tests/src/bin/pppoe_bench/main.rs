//! What PPPoE costs: the same TCP streams over a static line and over one by PPPoE, in turns, in one run.
//!
//! Both lines end in the same small program ([`peer`]), which takes each line's header off, puts it on, and merges and cuts alike: so
//! what differs is the router's own. A real concentrator on user-mode Linux would be the limit itself.
//!
//! ```text
//!  h1 -- lan0 [potato] wan1 -- isp1 [peer] peer0 -- [internet] 203.0.113.1
//! ```
//!
//! A static line can leave the cutting of super-packets to its card, which PPPoE cannot. It is measured both ways: with a
//! card that cuts (on veth: nobody does, the peer gets super-packets) and with one that cannot (the kernel does).

mod merge;
mod peer;

use std::process::ExitCode;

use clap::Parser;
use netns_tests::programs::{iperf, iperf_server};
use netns_tests::waiting::wait_for;
use netns_tests::world::lab;
use netns_tests::{Addressing, Capture, LabOptions, Must};

use peer::Peer;

/// Compares lines of kind `static` and `pppoe`. Needs root, and `cargo build --release` before.
#[derive(Parser, Debug)]
struct Arguments {
    /// How often everything is measured.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Length of one measurement.
    #[arg(long, default_value_t = 2)]
    seconds: u32,
    /// Measures static lines without the shortcut: every packet goes through the worker, as those of PPPoE lines do.
    #[arg(long)]
    no_shortcut: bool,
}

/// A line to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// Its card cuts super-packets.
    StaticCutByCard,
    /// The kernel cuts them.
    StaticCutByKernel,
    Pppoe,
}

const LINES: [(Line, &str); 3] = [
    (Line::StaticCutByCard, "static, card cuts"),
    (Line::StaticCutByKernel, "static, kernel cuts"),
    (Line::Pppoe, "pppoe"),
];

/// Options of iperf3, and what they are called.
const WORKS: [(&str, &str); 4] =
    [("-P 1", "1 stream up"), ("-P 1 -R", "1 stream down"), ("-P 4", "4 streams up"), ("-P 4 -R", "4 streams down")];

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut samples = vec![vec![Vec::new(); LINES.len()]; WORKS.len()];
    for round in 0..arguments.rounds {
        for turn in 0..LINES.len() {
            let line = (round + turn) % LINES.len();
            for (work, rate) in measure(LINES[line].0, &arguments).into_iter().enumerate() {
                eprintln!("round {round}  {:<20} {:<15} {:6.2} Gbit/s", LINES[line].1, WORKS[work].1, rate / 1e9);
                samples[work][line].push(rate);
            }
        }
    }
    println!("{:<15} {}  {:>10}", "Gbit/s", LINES.map(|(_, name)| format!("{name:>20}")).concat(), "ratio");
    for ((_, name), rates) in WORKS.iter().zip(samples) {
        let medians: Vec<f64> = rates.into_iter().map(median).collect();
        let cells: String = medians.iter().map(|rate| format!("{:>20.2}", rate / 1e9)).collect();
        println!("{name:<15} {cells}  {:>10.2}", medians[2] / medians[1]);
    }
    println!("ratio: pppoe / static, kernel cuts");
    ExitCode::SUCCESS
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Bits a second of every work over a line.
fn measure(line: Line, arguments: &Arguments) -> Vec<f64> {
    let mut options = LabOptions::new(1, 1);
    options.shortcut = !arguments.no_shortcut;
    if line == Line::Pppoe {
        options.uplinks[0].addressing = Addressing::Pppoe;
    }
    let lab = lab(options);
    let password = lab.directory().join("dsl1.password");
    std::fs::write(&password, "secret\n").must();
    std::fs::set_permissions(&password, std::os::unix::fs::PermissionsExt::from_mode(0o600)).must();
    let segmentation = if line == Line::StaticCutByCard { "on" } else { "off" };
    lab.router().exec("ethtool", &["-K", "wan1", "gro", "on", "tso", segmentation, "gso", segmentation]).must();
    let peer = Peer::start(&lab, line == Line::Pppoe);
    let program = std::env::current_exe().must().with_file_name("potato");
    let _router = lab.start_router(&program, Capture::Packet).must();
    wait_for("a ping", || lab.host(1).exec("ping", &["-c1", "-W1", "203.0.113.1"]).map_err(|error| error.to_string()));
    let _server = iperf_server(lab.internet());
    let rates = WORKS
        .iter()
        .map(|(options, _)| iperf(lab.host(1), &format!("-t {} -C cubic {options}", arguments.seconds)).bits_per_second)
        .collect();
    peer.stop();
    rates
}
