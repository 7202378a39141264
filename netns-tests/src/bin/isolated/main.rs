//! Pings over the isolated line, first while nothing else happens, then while every other line is full both ways.
//!
//! ```text
//!  h1 .21: pings --+                                    wan1..4 -- 20/4 Mbit/s --+
//!  h2..: bulk -----+-- lan -- lan0 192.168.10.1 [potato] wan5   -- 10/2 Mbit/s --[internet] 203.0.113.1
//!                                                       wan6    --  5/1 Mbit/s --+
//! ```
//!
//! The last line is isolated, and pings are urgent by a rule. Nothing is asserted.

mod load;

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::Parser;
use hdrhistogram::Histogram;
use netns_tests::{Capture, Lab, LabError, LabOptions, SERVER, beside};
use potato::demo::lab::router::uplinks_of;
use potato::demo::lab::{Router, remove_on_signals};
use potato::demo::server::Servers;

use load::Load;

/// Rates of the lines towards the LAN and towards the internet, in Mbit/s.
const LINES: [(u32, u32); 6] = [(20, 4), (20, 4), (20, 4), (20, 4), (10, 2), (5, 1)];
/// LAN hosts: the first measures.
const HOSTS: u8 = 13;
/// How long the bulk has to fill the lines.
const FILLING: Duration = Duration::from_secs(5);
const RULE: &str = "\n[[rule]]\nname = \"ping\"\nprotocol = \"icmp\"\nclass = \"isolated\"\n";

/// Round trips over the isolated line, idle and while the pool is full. Needs root, and `cargo build --release --workspace`
/// before.
#[derive(Parser, Debug)]
struct Arguments {
    /// How often everything is measured.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Pings of each measurement, a hundred a second.
    #[arg(long, default_value_t = 1_000)]
    pings: u32,
    /// Only downloads, no uploads.
    #[arg(long)]
    downloads_only: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    remove_on_signals();
    println!(
        "| round | idle p50 | idle p99 | loaded p50 | loaded p99 | p99 more by | lost |\n|---|---:|---:|---:|---:|---:|---:|"
    );
    for round in 1..=arguments.rounds {
        match measure(&arguments) {
            Ok((idle, loaded)) => {
                let [a, b, c, d] = [(&idle, 0.5), (&idle, 0.99), (&loaded, 0.5), (&loaded, 0.99)]
                    .map(|(times, quantile)| times.value_at_quantile(quantile) as f64 / 1e3);
                let lost = (u64::from(arguments.pings) * 2).saturating_sub(idle.len() + loaded.len());
                println!("| {round} | {a:.2} ms | {b:.2} ms | {c:.2} ms | {d:.2} ms | {:.2} ms | {lost} |", d - b);
            }
            Err(error) => {
                eprintln!("isolated: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

/// Round trips in microseconds, idle and loaded.
fn measure(arguments: &Arguments) -> Result<(Histogram<u64>, Histogram<u64>), LabError> {
    let mut options = LabOptions::new(HOSTS, LINES.len() as u8);
    for (uplink, (download, upload)) in options.uplinks.iter_mut().zip(LINES) {
        (uplink.download_mbit, uplink.upload_mbit) = (Some(download), Some(upload));
    }
    if let Some(last) = options.uplinks.last_mut() {
        last.settings = "role = \"isolated\"\n".to_owned();
    }
    let lab = Lab::build(options)?;
    let _servers = Servers::start(lab.internet())?;
    let config = lab.write_config(&(lab.configuration(Capture::Auto) + RULE))?;
    let mut router = Router::start(lab.router(), &beside()?, &config, lab.directory())?;
    router.wait_until_up(LINES.len())?;
    let idle = ping(&lab, arguments.pings)?;
    let load = Load::start(&lab, HOSTS, 2, if arguments.downloads_only { 0 } else { 2 })?;
    thread::sleep(FILLING);
    let loaded = ping(&lab, arguments.pings)?;
    tell_rates(&router)?;
    drop(load);
    Ok((idle, loaded))
}

/// Says how full the lines are.
fn tell_rates(router: &Router) -> Result<(), LabError> {
    let status = router.status()?;
    let rate = |way: &serde_json::Value| way["bits_per_second"].as_f64().unwrap_or(0.0) / 1e6;
    let rates: Vec<_> =
        uplinks_of(&status).map(|uplink| format!("{:.1}/{:.1}", rate(&uplink["in"]), rate(&uplink["out"]))).collect();
    eprintln!("lines carry, in and out: {} Mbit/s", rates.join(", "));
    Ok(())
}

fn ping(lab: &Lab, count: u32) -> Result<Histogram<u64>, LabError> {
    let wrong = |error: String| LabError::Io { action: "measuring".to_owned(), source: std::io::Error::other(error) };
    let (count, server) = (count.to_string(), SERVER.to_string());
    let said = lab.host(1).exec("ping", &["-n", "-i", "0.01", "-W", "2", "-c", &count, &server])?;
    let mut times = Histogram::new_with_bounds(1, 10_000_000, 3).map_err(|error| wrong(error.to_string()))?;
    for line in said.lines() {
        let Some((_, time)) = line.split_once("time=") else { continue };
        let milliseconds: f64 = time.trim_end_matches(" ms").parse().map_err(|_| wrong(line.to_owned()))?;
        times.saturating_record((milliseconds * 1e3) as u64);
    }
    Ok(times)
}
