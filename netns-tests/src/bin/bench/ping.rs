//! Round trips of a small UDP packet, one after the other.

use std::io;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use potato::sys::clock;

use crate::sys::in_namespace;
use crate::topology::{SERVER, Topology};

const PORT: u16 = 9001;
const PAYLOAD: [u8; 32] = [7; 32];
/// A lost packet is counted as this.
const PATIENCE: Duration = Duration::from_millis(200);
/// Round trips that are not counted: ARP, the first packet of the flow, cold caches.
const WARM_UP: usize = 50;

/// Round-trip times in nanoseconds.
pub(crate) fn round_trips(topology: &Topology, duration: Duration) -> io::Result<Histogram<u64>> {
    let server = in_namespace(&topology.internet, || UdpSocket::bind((SERVER, PORT)))?;
    let client = in_namespace(&topology.host, || UdpSocket::bind("192.168.10.2:0"))?;
    client.connect((SERVER, PORT))?;
    client.set_read_timeout(Some(PATIENCE))?;
    server.set_read_timeout(Some(Duration::from_millis(50)))?;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| echo(&server, &stop));
        let measured = play(&client, duration);
        stop.store(true, Ordering::Relaxed);
        measured
    })
}

fn echo(server: &UdpSocket, stop: &AtomicBool) {
    let mut bytes = [0; 64];
    while !stop.load(Ordering::Relaxed) {
        if let Ok((length, peer)) = server.recv_from(&mut bytes) {
            let _ = server.send_to(&bytes[..length], peer);
        }
    }
}

fn play(client: &UdpSocket, duration: Duration) -> io::Result<Histogram<u64>> {
    let mut times = Histogram::new_with_bounds(1, 10_000_000_000, 3).map_err(io::Error::other)?;
    let mut bytes = [0; 64];
    let mut exchange = || -> io::Result<Duration> {
        let sent = clock::monotonic();
        client.send(&PAYLOAD)?;
        match client.recv(&mut bytes) {
            Ok(_) => Ok(clock::monotonic() - sent),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(PATIENCE),
            Err(error) => Err(error),
        }
    };
    for _ in 0..WARM_UP {
        exchange()?;
    }
    let end = clock::monotonic() + duration;
    while clock::monotonic() < end {
        times.saturating_record(exchange()?.as_nanos() as u64);
    }
    Ok(times)
}
