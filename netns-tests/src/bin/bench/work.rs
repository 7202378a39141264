//! The pieces of work, and how each is measured.

use std::io;
use std::time::Duration;

use potato::sys::clock;

use crate::flood::{Flows, flood};
use crate::ping::round_trips;
use crate::processor::used_during;
use crate::stream::{Transfer, Way};
use crate::topology::{Frames, Topology};

/// New flows that one measurement opens at most: fewer than the external ports of six lines, and than the kernel's table holds.
const MOST_NEW_FLOWS: u64 = 200_000;
/// Flows of the packet-rate measurements.
const FLOWS: u32 = 1000;
/// Not measured: flows are opened, queues fill.
const WARM_UP: Duration = Duration::from_millis(300);
/// Rates offered, in search of the highest that arrives, in frames a second; then flat out.
const LADDER: [f64; 8] = [150e3, 200e3, 260e3, 330e3, 410e3, 500e3, 600e3, 720e3];
/// At this rate the processor time of a transfer is measured.
const FIXED_RATE: u64 = 1_000_000_000;

/// A piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// iperf3, flat out.
    Tcp { frames: Frames, streams: u32, way: Way },
    /// Packets a second of 1,000 flows, offered flat out.
    UdpFlood,
    /// The same, at the offered rate at which most arrive.
    UdpBest,
    /// Round trips on a quiet network.
    Ping,
    /// Round trips beside a TCP stream.
    PingLoaded,
    /// Processor time for a TCP stream of fixed rate.
    Processor,
    /// New flows a second.
    NewFlows,
}

/// One measured number: what, in which unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Gigabits a second.
    Gigabits,
    /// Thousands a second.
    Thousands,
    /// Microseconds: less is better.
    Microseconds,
    /// Processor seconds a gigabit: less is better.
    ProcessorSeconds,
}

/// A number with its place in the table.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) row: String,
    pub(crate) unit: Unit,
    pub(crate) value: f64,
}

impl Work {
    /// All of it, in the order in which it is done. What fills the flow table comes last.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for frames in [Frames::Mtu, Frames::Super] {
            for (streams, way) in [(1, Way::Up), (1, Way::Down), (4, Way::Up), (4, Way::Down)] {
                all.push(Self::Tcp { frames, streams, way });
            }
        }
        all.extend([Self::Ping, Self::PingLoaded, Self::Processor, Self::UdpFlood, Self::UdpBest, Self::NewFlows]);
        all
    }

    /// Its name: what `--only` selects by, and the row of the table.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Tcp { frames, streams, way } => {
                let frames = if frames == Frames::Mtu { "mtu+gro" } else { "super" };
                let way = if way == Way::Up { "up" } else { "down" };
                format!("tcp {frames} {streams} {way}")
            }
            Self::UdpFlood => "udp 60 B, flat out".into(),
            Self::UdpBest => "udp 60 B, best rate".into(),
            Self::Ping => "ping-pong idle".into(),
            Self::PingLoaded => "ping-pong loaded".into(),
            Self::Processor => "processor".into(),
            Self::NewFlows => "new flows".into(),
        }
    }

    /// Whether it belongs to the shortest run that touches everything.
    pub(crate) fn is_for_smoke(self) -> bool {
        !matches!(self, Self::Tcp { streams: 4, .. } | Self::UdpBest)
    }

    /// What the hosts put on the wire for it.
    pub(crate) fn frames(self) -> Frames {
        if let Self::Tcp { frames, .. } = self { frames } else { Frames::Mtu }
    }

    /// Measures it once, for about `seconds`.
    pub(crate) fn measure(self, topology: &Topology, seconds: u32) -> io::Result<Vec<Sample>> {
        let duration = Duration::from_secs(u64::from(seconds));
        let one = |unit, value| vec![Sample { row: self.name(), unit, value }];
        match self {
            Self::Tcp { streams, way, .. } => {
                // Where the scheduler puts the programs decides much of it, so several short transfers tell more than a long one.
                let transfer = Transfer { streams, way, bits_per_second: None, seconds: 1 };
                let sample = |_| {
                    let moved = transfer.run(topology)?;
                    Ok(Sample { row: self.name(), unit: Unit::Gigabits, value: moved.bits / moved.seconds / 1e9 })
                };
                (0..seconds).map(sample).collect()
            }
            Self::UdpFlood => Ok(one(Unit::Thousands, packet_rate(topology, None, duration)? / 1e3)),
            Self::UdpBest => Ok(one(Unit::Thousands, best_packet_rate(topology, duration)? / 1e3)),
            Self::NewFlows => Ok(one(Unit::Thousands, new_flow_rate(topology, duration)? / 1e3)),
            Self::Ping => self.ping(topology, duration),
            Self::PingLoaded => {
                let load = Transfer { streams: 1, way: Way::Up, bits_per_second: None, seconds: seconds + 1 };
                std::thread::scope(|scope| {
                    let loading = scope.spawn(|| load.run(topology));
                    std::thread::sleep(Duration::from_millis(600));
                    let samples = self.ping(topology, duration);
                    loading.join().unwrap_or_else(|_| Err(io::Error::other("the load's thread panicked")))?;
                    samples
                })
            }
            Self::Processor => {
                let transfer = Transfer { streams: 1, way: Way::Up, bits_per_second: Some(FIXED_RATE), seconds };
                let (moved, used) = used_during(|| transfer.run(topology))?;
                Ok(one(Unit::ProcessorSeconds, used.own / (moved.bits / 1e9)))
            }
        }
    }

    fn ping(self, topology: &Topology, duration: Duration) -> io::Result<Vec<Sample>> {
        let times = round_trips(topology, duration)?;
        let sample = |percentile: f64| Sample {
            row: format!("{}, p{percentile}", self.name()),
            unit: Unit::Microseconds,
            value: times.value_at_percentile(percentile) as f64 / 1e3,
        };
        Ok(vec![sample(50.0), sample(99.0)])
    }
}

/// Packets a second that arrive when `rate` are offered.
fn packet_rate(topology: &Topology, rate: Option<f64>, duration: Duration) -> io::Result<f64> {
    let measure = |watch: &mut crate::flood::Watch| {
        std::thread::sleep(WARM_UP);
        let (before, start) = (watch.total()?, clock::monotonic());
        std::thread::sleep(duration);
        Ok((watch.total()? - before) as f64 / (clock::monotonic() - start).as_secs_f64())
    };
    Ok(flood(topology, Flows::Same(FLOWS), rate, measure)?.0)
}

fn best_packet_rate(topology: &Topology, duration: Duration) -> io::Result<f64> {
    let each = duration / LADDER.len() as u32;
    let mut best: f64 = 0.0;
    for rate in LADDER.map(Some).into_iter().chain([None]) {
        best = best.max(packet_rate(topology, rate, each)?);
    }
    Ok(best)
}

/// New flows a second: from the first arrival until [`MOST_NEW_FLOWS`] have arrived or the time is over.
fn new_flow_rate(topology: &Topology, duration: Duration) -> io::Result<f64> {
    let measure = |watch: &mut crate::flood::Watch| {
        let end = clock::monotonic() + duration;
        while watch.total()? == 0 && clock::monotonic() < end {
            std::thread::yield_now();
        }
        let start = clock::monotonic();
        loop {
            std::thread::sleep(Duration::from_millis(2));
            let (arrived, now) = (watch.total()?, clock::monotonic());
            if arrived >= MOST_NEW_FLOWS || now >= end {
                return Ok(arrived as f64 / (now - start).as_secs_f64());
            }
        }
    };
    Ok(flood(topology, Flows::New, None, measure)?.0)
}
