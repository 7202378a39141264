//! The hosts and their downloads.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use netns_tests::{Lab, LabError, SERVER};
use potato::sys::clock;

use crate::arrivals::{Arrival, Arrivals};

/// How long a download may stand still.
const PATIENCE: Duration = Duration::from_secs(60);
/// Sizes whose time alone is measured; between them it is a straight line.
const SIZES: [u64; 8] = [4_000, 16_000, 32_000, 64_000, 128_000, 512_000, 2_000_000, 8_000_000];
/// How often each is measured: the median counts.
const REPEATS: usize = 5;

/// Long downloads begin so far apart...
const LONG_GAP: Duration = Duration::from_millis(20);
/// ...find their pace within this...
const LONG_WARM_UP: Duration = Duration::from_secs(5);
/// ...and are measured for so long.
const LONG_SPAN: Duration = Duration::from_secs(15);

/// A download that was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Download {
    bytes: u64,
    took: Duration,
}

/// A thread that makes downloads on one host.
type Person = JoinHandle<io::Result<Vec<Download>>>;

/// LAN hosts with people in front.
pub(crate) struct Office<'l> {
    lab: &'l Lab,
    hosts: u8,
}

impl<'l> Office<'l> {
    pub(crate) fn new(lab: &'l Lab, hosts: u8) -> Self {
        Self { lab, hosts }
    }

    /// Waits until a ping from the first host is answered.
    pub(crate) fn wait_for(&self, server: Ipv4Addr) -> Result<(), LabError> {
        let arguments = ["-c", "1", "-W", "5", "-w", "20", &server.to_string()];
        self.lab.host(1).exec("ping", &arguments).map(drop)
    }

    /// Makes downloads for so long, and waits until the last one has ended.
    pub(crate) fn work(&self, downloads: Arrivals, length: Duration) -> Result<Vec<Download>, LabError> {
        let (orders, people): (Vec<_>, Vec<_>) =
            (1..=self.hosts).map(|host| self.open(host)).collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
        let start = clock::monotonic();
        let mut due = start;
        for arrival in downloads {
            due += arrival.after;
            if due > start + length {
                break;
            }
            thread::sleep(due.saturating_sub(clock::monotonic()));
            // Its thread ends only when this side does.
            let _ = orders[usize::from(arrival.host) - 1].send(arrival);
        }
        drop(orders);
        let done: Result<Vec<Vec<Download>>, _> =
            people.into_iter().map(|person| person.join().unwrap_or_else(|_| Err(panicked()))).collect();
        done.map(|done| done.concat()).map_err(|source| LabError::Io { action: "a download".to_owned(), source })
    }

    /// A thread inside a host that makes a download for each order.
    fn open(&self, host: u8) -> Result<(mpsc::Sender<Arrival>, Person), LabError> {
        let (sender, orders) = mpsc::channel::<Arrival>();
        // Threads that are made inside stay inside.
        let person = self.lab.host(host).run(move || {
            thread::spawn(move || {
                let downloads: Vec<_> =
                    orders.into_iter().map(|order| thread::spawn(move || download(order.bytes))).collect();
                downloads.into_iter().map(|download| download.join().unwrap_or_else(|_| Err(panicked()))).collect()
            })
        })?;
        Ok((sender, person))
    }

    /// What so many endless downloads receive together, in bytes a second, once they have found their pace.
    pub(crate) fn receive(&self, downloads: u32) -> Result<f64, LabError> {
        let (received, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let mut readers = Vec::new();
        for host in (1..=self.hosts).cycle().take(downloads as usize) {
            let (received, over) = (Arc::clone(&received), Arc::clone(&over));
            let reader = move || thread::spawn(move || read(&received, &over));
            readers.push(self.lab.host(host).run(reader)?);
            thread::sleep(LONG_GAP);
        }
        thread::sleep(LONG_WARM_UP);
        let (bytes, start) = (received.load(Ordering::Relaxed), clock::monotonic());
        thread::sleep(LONG_SPAN);
        let (bytes, span) = (received.load(Ordering::Relaxed) - bytes, clock::monotonic() - start);
        over.store(true, Ordering::Relaxed);
        let done: io::Result<()> =
            readers.into_iter().try_for_each(|reader| reader.join().unwrap_or_else(|_| Err(panicked())));
        done.map_err(|source| LabError::Io { action: "a long download".to_owned(), source })?;
        Ok(bytes as f64 / span.as_secs_f64())
    }

    /// Measures downloads of several sizes, one by one.
    pub(crate) fn alone(&self) -> Result<Alone, LabError> {
        let measure = |bytes| {
            let mut times = (0..REPEATS).map(|_| download(bytes)).collect::<io::Result<Vec<_>>>()?;
            times.sort_by_key(|download| download.took);
            Ok(times[REPEATS / 2])
        };
        let points = self.lab.host(1).run(|| SIZES.into_iter().map(measure).collect::<io::Result<Vec<_>>>())?;
        let points = points.map_err(|source| LabError::Io { action: "a download".to_owned(), source })?;
        Ok(Alone { points })
    }
}

fn panicked() -> io::Error {
    io::Error::other("the thread of a download panicked")
}

/// A download that ends when it is told to.
fn read(received: &AtomicU64, over: &AtomicBool) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((SERVER, 80)), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /bytes/100000000000 HTTP/1.0\r\n\r\n")?;
    let mut block = vec![0; 64 * 1024];
    while !over.load(Ordering::Relaxed) {
        received.fetch_add(stream.read(&mut block)? as u64, Ordering::Relaxed);
    }
    Ok(())
}

/// One download, from the connection's first packet to the last byte.
fn download(bytes: u64) -> io::Result<Download> {
    let start = clock::monotonic();
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((SERVER, 80)), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET /bytes/{bytes} HTTP/1.0\r\n\r\n").as_bytes())?;
    let (mut block, mut received) = (vec![0; 64 * 1024], 0);
    loop {
        match stream.read(&mut block)? {
            0 => break,
            length => received += length as u64,
        }
    }
    if received < bytes {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("{received} of {bytes} bytes came")));
    }
    Ok(Download { bytes, took: clock::monotonic() - start })
}

/// How long downloads take that have the fastest line for themselves.
pub(crate) struct Alone {
    points: Vec<Download>,
}

impl Alone {
    /// How many times as long a download took as it would have alone.
    pub(crate) fn slowdown(&self, download: Download) -> f64 {
        download.took.as_secs_f64() / self.time(download.bytes)
    }

    /// On a straight line between the two sizes around, or beyond the last two.
    fn time(&self, bytes: u64) -> f64 {
        let above = self.points.iter().position(|point| point.bytes >= bytes).unwrap_or(self.points.len() - 1).max(1);
        let (low, high) = (self.points[above - 1], self.points[above]);
        let share = (bytes as f64 - low.bytes as f64) / (high.bytes - low.bytes) as f64;
        let (from, to) = (low.took.as_secs_f64(), high.took.as_secs_f64());
        (from + share * (to - from)).max(from.min(to) / 2.0)
    }
}

impl fmt::Display for Alone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for point in &self.points {
            write!(f, "{} kB {:.1} ms  ", point.bytes / 1000, point.took.as_secs_f64() * 1e3)?;
        }
        Ok(())
    }
}
