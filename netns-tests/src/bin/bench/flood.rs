//! UDP of 60-byte frames, offered by raw frames from the host and counted where they reach the internet.
//!
//! The sender writes whole frames to a packet socket, so it takes little of the two processors that the router needs too, and can
//! have any source. The sink drops at the ingress hook of the internet's ports and counts there: nothing else of the receiver is
//! measured, and nothing but translated packets is counted as received.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use potato::sys::clock;

use crate::sys::{self, BATCH, FRAME_LENGTH, RawSender};
use crate::topology::{Arrivals, HOST_MAC, ROUTER_MAC, Topology, UPLINKS, run};

const SINK_PORT: u16 = 9000;
/// Between two looks of a paced sender at the clock.
const PACE: Duration = Duration::from_micros(200);

/// Which flows the frames belong to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Flows {
    /// These many, in turn.
    Same(u32),
    /// A new one each frame, from many hosts.
    New,
}

/// Writes frames; each has a valid checksum.
struct FrameWriter {
    flows: Flows,
    sequence: u32,
}

impl FrameWriter {
    fn template() -> [u8; FRAME_LENGTH] {
        let mut frame = [0; FRAME_LENGTH];
        frame[0..6].copy_from_slice(&ROUTER_MAC);
        frame[6..12].copy_from_slice(&HOST_MAC);
        frame[12..14].copy_from_slice(&0x0800u16.to_be_bytes());
        frame[14] = 0x45;
        frame[16..18].copy_from_slice(&46u16.to_be_bytes());
        frame[22..24].copy_from_slice(&[64, 17]);
        frame[26..30].copy_from_slice(&[192, 168, 10, 2]);
        frame[30..34].copy_from_slice(&[203, 0, 113, 1]);
        frame[36..38].copy_from_slice(&SINK_PORT.to_be_bytes());
        frame[38..40].copy_from_slice(&26u16.to_be_bytes());
        frame
    }

    /// Host and port of the next frame. New flows take the hosts in turn and never repeat within 15 million.
    fn next_source(&mut self) -> (u8, u16) {
        let sequence = self.sequence;
        self.sequence += 1;
        match self.flows {
            Flows::Same(count) => (2, 20_000 + (sequence % count) as u16),
            Flows::New => {
                let (host, turn) = (sequence % 240, sequence / 240);
                // 7919 has no factor in common with 64,000, so a host's ports do not repeat; hosts start apart.
                let port = 1024 + (u64::from(turn) * 7919 + u64::from(host) * 263) % 64_000;
                (2 + host as u8, port as u16)
            }
        }
    }

    fn write(&mut self, frame: &mut [u8; FRAME_LENGTH]) {
        let (host, port) = self.next_source();
        frame[29] = host;
        frame[34..36].copy_from_slice(&port.to_be_bytes());
        frame[24..26].fill(0);
        frame[40..42].fill(0);
        let header = !folded(sum(&frame[14..34]));
        let transport = !folded(sum(&frame[26..FRAME_LENGTH]) + 17 + 26);
        frame[24..26].copy_from_slice(&header.to_be_bytes());
        frame[40..42].copy_from_slice(&(if transport == 0 { 0xffff } else { transport }).to_be_bytes());
    }
}

fn sum(bytes: &[u8]) -> u32 {
    bytes.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum()
}

fn folded(sum: u32) -> u16 {
    let once = (sum & 0xffff) + (sum >> 16);
    ((once & 0xffff) + (once >> 16)) as u16
}

/// Sends until told to stop, flat out or at `rate` frames a second. Returns how many the interface took.
fn send(sender: &RawSender, flows: Flows, rate: Option<f64>, stop: &AtomicBool) -> u64 {
    let mut writer = FrameWriter { flows, sequence: 0 };
    let mut frames = [FrameWriter::template(); BATCH];
    let (start, mut offered, mut taken) = (clock::monotonic(), 0, 0);
    while !stop.load(Ordering::Relaxed) {
        if let Some(rate) = rate
            && f64::from(offered) > (clock::monotonic() - start).as_secs_f64() * rate
        {
            std::thread::sleep(PACE);
            continue;
        }
        for frame in &mut frames {
            writer.write(frame);
        }
        taken += sender.send(&frames) as u64;
        offered += BATCH as u32;
    }
    taken
}

/// A flood in progress, as the one who measures sees it.
pub(crate) struct Watch {
    arrivals: Arrivals,
    before: [u64; UPLINKS],
}

impl Watch {
    /// Packets received so far by each uplink's far end.
    pub(crate) fn each(&mut self) -> io::Result<[u64; UPLINKS]> {
        let now = self.arrivals.read()?;
        Ok(std::array::from_fn(|i| now[i] - self.before[i]))
    }

    /// Packets received so far.
    pub(crate) fn total(&mut self) -> io::Result<u64> {
        Ok(self.each()?.iter().sum())
    }
}

/// Floods while `measure` runs. Returns what it returns and how many frames were sent.
///
/// # Errors
/// Also when a frame reached the internet with a private source, or an uplink carried less than half of its share.
pub(crate) fn flood<T>(
    topology: &Topology,
    flows: Flows,
    rate: Option<f64>,
    measure: impl FnOnce(&mut Watch) -> io::Result<T>,
) -> io::Result<(T, u64)> {
    topology.nft(&topology.internet, &sink_rules())?;
    let sender = sys::in_namespace(&topology.host, || RawSender::open("eth0"))?;
    let mut arrivals = topology.arrivals()?;
    let before = arrivals.read()?;
    let mut watch = Watch { arrivals, before };
    let stop = AtomicBool::new(false);
    let (measured, sent) = std::thread::scope(|scope| {
        let sending = scope.spawn(|| send(&sender, flows, rate, &stop));
        let measured = measure(&mut watch);
        stop.store(true, Ordering::Relaxed);
        (measured, sending.join().unwrap_or(0))
    });
    let measured = measured?;
    verify(topology, &watch.each()?)?;
    run(topology.inside(&topology.internet, "nft").args(["delete", "table", "netdev", "sink"]))?;
    Ok((measured, sent))
}

fn sink_rules() -> String {
    let ports: Vec<_> = (1..=UPLINKS).map(|i| format!("isp{i}")).collect();
    format!(
        "table netdev sink {{\ncounter untranslated {{\n}}\nchain ingress {{\n\
         type filter hook ingress devices = {{ {} }} priority 0;\n\
         udp dport != {SINK_PORT} accept\nip saddr 10.77.0.0/16 drop\n\
         udp dport {SINK_PORT} counter name untranslated drop\n}}\n}}\n",
        ports.join(", ")
    )
}

fn verify(topology: &Topology, each: &[u64; UPLINKS]) -> io::Result<()> {
    let counter = run(topology.inside(&topology.internet, "nft").args(["list", "counters", "netdev"]))?;
    if !counter.contains("packets 0 ") {
        return Err(io::Error::other(format!("frames left with a private source: {counter}")));
    }
    let total: u64 = each.iter().sum();
    if each.iter().any(|packets| packets * 2 * (UPLINKS as u64) < total) {
        return Err(io::Error::other(format!("not spread over all uplinks: {each:?}")));
    }
    Ok(())
}

/// Frames a second that the sender can send when the router drops them at once, counted by the sender.
pub(crate) fn generator_limit(topology: &Topology, duration: Duration) -> io::Result<f64> {
    let rules =
        "table netdev swallow {\nchain ingress {\ntype filter hook ingress device \"lan0\" priority 0;\ndrop\n}\n}\n";
    topology.nft(&topology.router, rules)?;
    let start = clock::monotonic();
    let sender = sys::in_namespace(&topology.host, || RawSender::open("eth0"))?;
    let stop = AtomicBool::new(false);
    let sent = std::thread::scope(|scope| {
        let sending = scope.spawn(|| send(&sender, Flows::Same(1000), None, &stop));
        std::thread::sleep(duration);
        stop.store(true, Ordering::Relaxed);
        sending.join().unwrap_or(0)
    });
    let elapsed = clock::monotonic() - start;
    run(topology.inside(&topology.router, "nft").args(["delete", "table", "netdev", "swallow"]))?;
    Ok(sent as f64 / elapsed.as_secs_f64())
}
