//! Potato against the kernel's own multi-WAN NAT: the same topology, the same work, in turns, in one run.
//!
//! Each round builds the topology once for every contender, lets it do all the work and removes it. The table shows medians over
//! the rounds and their ratio to the kernel's. Everything happens in network namespaces of the run's own; the machine's own
//! network is not touched. Nothing is asserted: the numbers are for people to judge.

mod flood;
mod ping;
mod processor;
mod report;
mod router;
mod stream;
mod sys;
mod topology;
mod work;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use processor::Used;
use report::Report;
use router::{Contender, PotatoOptions, Router};
use topology::Topology;
use work::{Sample, Work};

/// Which captures of Potato take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Capture {
    Packet,
    Tun,
    Both,
    /// The kernel alone.
    None,
}

/// Compares Potato with the kernel's multi-WAN NAT. Needs root, and `cargo build --release` before.
#[derive(Parser, Debug)]
struct Arguments {
    /// How often everything is measured.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Length of one measurement.
    #[arg(long, default_value_t = 3)]
    seconds: u32,
    /// Only work whose name contains this (as the table names it); may be given several times.
    #[arg(long)]
    only: Vec<String>,
    #[arg(long, value_enum, default_value = "both")]
    capture: Capture,
    /// Potato's workers; by default Potato decides.
    #[arg(long)]
    workers: Option<u8>,
    /// Potato's program; by default the one beside this.
    #[arg(long)]
    potato: Option<PathBuf>,
    /// Also measure the kernel a second time each round, as if it were another contender: what differs is noise.
    #[arg(long)]
    noise: bool,
    /// Receive packet steering while Potato routes, as a mask of processors. Its own programs share packets out, so it needs
    /// none, and none is what a machine has by itself. The kernel always gets all processors.
    #[arg(long, default_value = "0")]
    potato_rps: String,
    /// Potato without its shortcut: every packet goes through the workers.
    #[arg(long)]
    no_shortcut: bool,
    /// Before each measurement, wait at most so many seconds for other programs to leave the machine alone.
    #[arg(long, default_value_t = 1)]
    patience: u64,
    /// How often a measurement is repeated during which other programs were busy.
    #[arg(long, default_value_t = 1)]
    retries: u32,
    /// Also measure the packet capture with so many of its pages open in the LAN.
    #[arg(long, default_value_t = 0)]
    pages: u32,
    /// Writes everything measured to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// One round of one second each, without what resembles other work: does everything function?
    #[arg(long)]
    quick: bool,
}

impl Arguments {
    fn contenders(&self) -> Vec<Contender> {
        let mut contenders = vec![Contender::Kernel];
        contenders.extend(self.noise.then_some(Contender::KernelAgain));
        contenders.extend(matches!(self.capture, Capture::Packet | Capture::Both).then_some(Contender::Packet));
        contenders.extend(matches!(self.capture, Capture::Tun | Capture::Both).then_some(Contender::Tun));
        contenders.extend((self.pages > 0).then_some(Contender::Watched));
        contenders
    }

    fn selected(&self) -> Vec<Work> {
        let wanted = |work: &Work| match self.only.as_slice() {
            [] => !self.quick || work.is_for_smoke(),
            names => names.iter().any(|name| work.name().contains(name)),
        };
        Work::all().into_iter().filter(wanted).collect()
    }

    fn potato(&self) -> io::Result<PotatoOptions> {
        let beside = || Ok::<_, io::Error>(std::env::current_exe()?.with_file_name("potato"));
        let program = self.potato.clone().map_or_else(beside, Ok)?;
        if self.capture != Capture::None && !program.is_file() {
            let message = format!("{} does not exist: run `cargo build --release` or give --potato", program.display());
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        }
        Ok(PotatoOptions {
            program,
            workers: self.workers,
            steering: self.potato_rps.clone(),
            shortcut: !self.no_shortcut,
            pages: self.pages,
        })
    }
}

fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    if arguments.quick {
        arguments.rounds = 1;
        arguments.seconds = 1;
        (arguments.retries, arguments.patience) = (0, 0);
    }
    match compare(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(arguments: &Arguments) -> io::Result<()> {
    if !sys::is_root() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "network namespaces need root"));
    }
    let (contenders, works, potato) = (arguments.contenders(), arguments.selected(), arguments.potato()?);
    sys::on_termination(topology::remove_all)?;
    let mut report = Report::default();
    for round in 0..arguments.rounds {
        // Each round starts with another contender, so that none is always first on a warm or a cold machine.
        let mut order = contenders.clone();
        order.rotate_left(round as usize % contenders.len());
        for contender in order {
            take_turn(contender, round, arguments, &works, &potato, &mut report)?;
        }
    }
    println!("\n{}", report.table(&contenders));
    report.note_disturbances();
    println!("{}", report.notes.join("\n"));
    println!("\n{}", report.targets());
    if let Some(path) = &arguments.json {
        std::fs::write(path, serde_json::to_string_pretty(&report.json())?)?;
    }
    Ok(())
}

/// One contender does all the work once, on ground of its own.
fn take_turn(
    contender: Contender,
    round: u32,
    arguments: &Arguments,
    works: &[Work],
    potato: &PotatoOptions,
    report: &mut Report,
) -> io::Result<()> {
    let topology = Topology::build()?;
    if report.notes.is_empty() {
        let limit = flood::generator_limit(&topology, Duration::from_secs(1))? / 1e3;
        report.notes.push(format!("The generator alone sends {limit:.0} k frames/s."));
    }
    let mut router = Router::start(contender, &topology, potato)?;
    let mut server = topology.serve("iperf3", &["-s"], stream::PORT)?;
    for work in works {
        topology.set_frames(work.frames())?;
        match measure(*work, &topology, arguments, report) {
            Ok(samples) => {
                for sample in &samples {
                    eprintln!("round {round}  {:<14} {:<24} {:>12.3}", contender.name(), sample.row, sample.value);
                }
                report.add(contender.name(), samples);
            }
            Err(error) => {
                eprintln!("round {round}  {:<14} {:<24} failed: {error}", contender.name(), work.name());
                report.notes.push(format!("FAILED: {}, {}: {error}", contender.name(), work.name()));
            }
        }
    }
    router.pages_are_told()?;
    drop(router);
    server.kill()?;
    server.wait().map(drop)
}

/// Measures once more when other programs have been in the way, as often as was asked for, and keeps the least disturbed.
fn measure(work: Work, topology: &Topology, arguments: &Arguments, report: &mut Report) -> io::Result<Vec<Sample>> {
    let mut best: Option<(Vec<Sample>, Used)> = None;
    for _ in 0..=arguments.retries {
        processor::wait_for_quiet(Duration::from_secs(arguments.patience))?;
        let (samples, used) = processor::used_during(|| work.measure(topology, arguments.seconds))?;
        if best.as_ref().is_none_or(|(_, least)| used.foreign_share() < least.foreign_share()) {
            best = Some((samples, used));
        }
        if !used.is_disturbed() {
            break;
        }
    }
    let Some((samples, used)) = best else { return Ok(Vec::new()) };
    report.disturbed += u32::from(used.is_disturbed());
    Ok(samples)
}
