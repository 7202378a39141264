//! What people notice when a line fails: faults are made one by one in a lab while hosts use the internet, and what the hosts
//! see is printed as a table.
//!
//! ```text
//!  h1 .21 --- [lan] --- lan0 192.168.10.1 [potato] wan1 -- 10.77.1.1 --+
//!                                                  wan2 -- 10.77.2.1 --[internet] 203.0.113.1: an echo server
//!                                                  wan3 -- 10.77.3.1 --+
//! ```
//!
//! Every fault gets a lab and a router of its own. The first line is the one that fails. Nothing is asserted: the numbers are for
//! people to judge; the tests hold what must be so.

mod fault;
mod report;
mod users;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use netns_tests::{Capture, Lab, LabError, LabOptions, beside};
use potato::demo::lab::remove_on_signals;

use fault::Fault;
use report::{Observation, table};
use users::Users;

/// Makes faults and prints what hosts see of them. Needs root, and `cargo build --release` before.
#[derive(Parser, Debug)]
struct Arguments {
    /// How often each fault is made; the table shows medians.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Only faults whose name contains this (as the table names them); may be given several times.
    #[arg(long)]
    only: Vec<String>,
    /// Also what takes minutes: a DHCP server that is gone until the lease ends.
    #[arg(long)]
    slow: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    remove_on_signals();
    let is_wanted = |fault: &&Fault| {
        let named = arguments.only.iter().any(|part| fault.name().contains(part.as_str()));
        named || (arguments.only.is_empty() && (arguments.slow || !fault.is_slow()))
    };
    let mut rows = Vec::new();
    for fault in Fault::ALL.iter().filter(is_wanted) {
        let mut observations = Vec::new();
        for round in 1..=arguments.rounds {
            match observe(*fault) {
                Ok(observation) => {
                    eprintln!("{} ({round}): {observation}", fault.name());
                    observations.push(observation);
                }
                Err(error) => {
                    eprintln!("faults: {}: {error}", fault.name());
                    return ExitCode::FAILURE;
                }
            }
        }
        rows.push((*fault, Observation::median(&observations)));
    }
    println!("{}", table(&rows));
    ExitCode::SUCCESS
}

/// Makes one fault in a lab of its own, and says what the hosts saw.
fn observe(fault: Fault) -> Result<Observation, LabError> {
    let mut options = LabOptions::new(1, fault.lines());
    options.uplinks[0].addressing = fault.addressing();
    options.health_targets = vec!["gateway".to_owned(), "203.0.113.1".to_owned()];
    let lab = Lab::build(options)?;
    let mut peer = fault.start_peer(&lab);
    let mut router = lab.launch_router(&beside()?, Capture::Auto)?;
    router.wait_until_up(fault.lines().into())?;
    let users = Users::start(&lab, usize::from(fault.lines()))?;
    users.settle();
    let failed_at = users.now();
    fault.make(&lab, &mut peer)?;
    users.go_on_for(fault.length());
    let healed_at = users.now();
    if fault.ends() {
        fault.heal(&lab)?;
        users.go_on_for(HEALING);
    }
    let seen = users.stop();
    router.terminate()?;
    Ok(seen.observation(fault, failed_at, healed_at))
}

/// How long people are watched after a fault has ended.
const HEALING: Duration = Duration::from_secs(6);
