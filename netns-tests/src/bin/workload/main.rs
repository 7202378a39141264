//! An office at work, beside the kernel: sixty hosts download what people download, over lines of different speeds, and how
//! much longer each download took than it would have taken alone on the fastest line is printed as a table.
//!
//! ```text
//!  h1 .21 --+                                    wan1..4 -- 20 Mbit/s --+
//!  ...      +-- [lan] -- lan0 192.168.10.1 [router] wan5 -- 10 Mbit/s --[internet] 203.0.113.1: a web server
//!  h60 .80 -+                                    wan6    --  5 Mbit/s --+
//! ```
//!
//! Downloads begin at random (Poisson) and their sizes have a heavy tail (Pareto, alpha 1.3, mean 200 kB, cut to 4 kB to 20 MB). Both
//! routers get the same downloads in the same order. The kernel chooses at random with correct weights. Nothing is asserted.

mod arrivals;
mod kernel;
mod office;
mod report;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use netns_tests::{Capture, Lab, LabError, LabOptions, SERVER, beside};
use potato::demo::lab::{Router, remove_on_signals};
use potato::demo::server::Servers;

use arrivals::Arrivals;
use office::{Alone, Office};
use report::Report;

/// Rates of the lines towards the LAN, in Mbit/s.
const LINES: [u32; 6] = [20, 20, 20, 20, 10, 5];
/// A full frame, and the payload in it (with TCP's timestamps), in bytes.
const FRAME: f64 = 1_514.0;
const PAYLOAD: f64 = 1_448.0;
/// LAN hosts.
const HOSTS: u8 = 60;

/// Downloads of an office over unequal lines, Potato against the kernel with correct weights. Needs root, and
/// `cargo build --release --workspace` before.
#[derive(Parser, Debug)]
struct Arguments {
    /// Shares of the lines' sum that are asked for, in percent.
    #[arg(long, value_delimiter = ',', default_value = "50,80,95")]
    loads: Vec<u32>,
    /// How long downloads begin, for each load, router and round.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How often everything is measured; rounds differ in their downloads.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Potato does not know the lines' rates and must learn them.
    #[arg(long)]
    learned: bool,
    /// Instead of all that: so many downloads without an end, and which part of the lines' sum they have together.
    #[arg(long)]
    long: Option<u32>,
}

/// Who routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contender {
    Kernel,
    Potato,
}

impl Contender {
    const BOTH: [Self; 2] = [Self::Kernel, Self::Potato];

    const fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Potato => "potato",
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    remove_on_signals();
    let outcome = match arguments.long {
        None => measure(&arguments).map(|report| println!("{report}")),
        Some(downloads) => measure_long(&arguments, downloads),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("workload: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> Result<Report, LabError> {
    let alone = calibrate()?;
    let mut report = Report::default();
    for &load in &arguments.loads {
        for round in 0..arguments.rounds {
            let mut order = Contender::BOTH;
            order.rotate_left(round as usize % Contender::BOTH.len());
            for contender in order {
                let downloads = Arrivals::new(load, LINES.iter().sum(), HOSTS, round);
                let slowdowns = take_turn(contender, arguments, downloads, &alone)?;
                eprintln!("{load} %, round {}, {}: {}", round + 1, contender.name(), report::summary(&slowdowns));
                report.add(load, contender, slowdowns);
            }
        }
    }
    Ok(report)
}

/// One router carries one office for a while; how much longer each download took than alone.
fn take_turn(
    contender: Contender,
    arguments: &Arguments,
    downloads: Arrivals,
    alone: &Alone,
) -> Result<Vec<f64>, LabError> {
    let lab = lab(arguments.learned)?;
    let _servers = Servers::start(lab.internet())?;
    let _router = route(contender, &lab)?;
    let office = Office::new(&lab, HOSTS);
    office.wait_for(SERVER)?;
    let done = office.work(downloads, Duration::from_secs(arguments.seconds))?;
    Ok(done.iter().map(|download| alone.slowdown(*download)).collect())
}

/// What part of the lines' sum long downloads have together. The lines' shapers count headers, so these are added.
fn measure_long(arguments: &Arguments, downloads: u32) -> Result<(), LabError> {
    for contender in Contender::BOTH {
        let lab = lab(arguments.learned)?;
        let _servers = Servers::start(lab.internet())?;
        let _router = route(contender, &lab)?;
        let office = Office::new(&lab, HOSTS);
        office.wait_for(SERVER)?;
        let mbit = office.receive(downloads)? * 8.0 / 1e6 * FRAME / PAYLOAD;
        let sum = f64::from(LINES.iter().sum::<u32>());
        println!(
            "{downloads} long downloads, {}: {mbit:.1} of {sum} Mbit/s, {:.1} %",
            contender.name(),
            mbit / sum * 100.0
        );
    }
    Ok(())
}

/// Sets one of the two up in a lab; the router ends when it is dropped.
fn route(contender: Contender, lab: &Lab) -> Result<Option<Router>, LabError> {
    match contender {
        Contender::Kernel => kernel::set_up(lab, &LINES).map(|()| None),
        Contender::Potato => lab.start_router(&beside()?, Capture::Auto).map(Some),
    }
}

/// How long downloads take that are alone on the fastest line.
fn calibrate() -> Result<Alone, LabError> {
    let lab = lab(false)?;
    let _servers = Servers::start(lab.internet())?;
    kernel::set_up(&lab, &LINES[..1])?;
    let office = Office::new(&lab, 1);
    office.wait_for(SERVER)?;
    let alone = office.alone()?;
    eprintln!("alone: {alone}");
    Ok(alone)
}

fn lab(rates_are_unknown: bool) -> Result<Lab, LabError> {
    let mut options = LabOptions::new(HOSTS, LINES.len() as u8);
    for (uplink, rate) in options.uplinks.iter_mut().zip(LINES) {
        uplink.download_mbit = Some(rate);
    }
    options.tell_rates = !rates_are_unknown;
    let lab = Lab::build(options)?;
    // What most servers use, whatever this machine prefers.
    let route = |line| {
        format!(
            "route replace 10.77.{line}.0/24 dev isp{line} proto kernel scope link src 10.77.{line}.1 congctl cubic"
        )
    };
    lab.internet().ip(&(1..=LINES.len()).map(route).collect::<Vec<_>>())?;
    Ok(lab)
}
