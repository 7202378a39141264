//! TCP by iperf3.

use std::io;
use std::time::Duration;

use serde_json::Value;

use crate::topology::{SERVER, Topology, run};

/// The port on which the server listens.
pub(crate) const PORT: u16 = 5201;

/// Which way the data flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the LAN to the internet.
    Up,
    /// From the internet to the LAN.
    Down,
}

/// A transfer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transfer {
    pub(crate) streams: u32,
    pub(crate) way: Way,
    /// All that the sender may send; nothing is flat out.
    pub(crate) bits_per_second: Option<u64>,
    pub(crate) seconds: u32,
}

/// Bits moved, as the receiver counted them, and over which time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moved {
    pub(crate) bits: f64,
    pub(crate) seconds: f64,
}

impl Transfer {
    /// Runs it to its end.
    pub(crate) fn run(self, topology: &Topology) -> io::Result<Moved> {
        let mut command = topology.inside(&topology.host, "iperf3");
        command.args(["-J", "-c", SERVER, "-t", &self.seconds.to_string(), "-P", &self.streams.to_string()]);
        // Linux's own default. One that paces would measure its timers.
        command.args(["-C", "cubic"]);
        if self.way == Way::Down {
            command.arg("-R");
        }
        if let Some(rate) = self.bits_per_second {
            command.args(["-b", &rate.to_string()]);
        }
        // The server may still be busy with the end of the transfer before this one.
        let mut report = run(&mut command);
        for _ in 0..5 {
            if report.is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(300));
            report = run(&mut command);
        }
        let report: Value = serde_json::from_str(&report?)?;
        let received = &report["end"]["sum_received"];
        let number = |name: &str| received[name].as_f64().ok_or_else(|| io::Error::other("iperf3 told no sum"));
        Ok(Moved { bits: number("bytes")? * 8.0, seconds: number("seconds")? })
    }
}
