//! What the LAN's hosts do all day: downloads of any size, uploads, small requests, questions to the name server.
//!
//! Each host has a thread in its namespace and runs real connections through the kernel's sockets. What a host counts
//! is what it got, not what the router says.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{sleep, timeout};

use super::lab::{LabError, NAME_SERVER, Namespace};
use super::server;
use super::task::Tasks;

/// Longest that one connection may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Downloads that a host has at once.
const DOWNLOADS: u64 = 10;
/// Servers on the internet: 203.0.113.1 to .9.
const SERVERS: u64 = 9;

/// What a host has had so far.
#[derive(Debug, Default)]
pub(super) struct HostCounters {
    pub(super) downloads: AtomicU64,
    pub(super) uploads: AtomicU64,
    pub(super) requests: AtomicU64,
    pub(super) names: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) received_bytes: AtomicU64,
    pub(super) sent_bytes: AtomicU64,
}

/// A busy host, quiet again when dropped.
#[derive(Debug)]
pub(super) struct BusyHost {
    pub(super) counters: Arc<HostCounters>,
    _tasks: Tasks,
}

impl BusyHost {
    /// Sets the host in `namespace` to work; `number` makes it differ from the others.
    pub(super) fn start(namespace: &Namespace, number: u8) -> Result<Self, LabError> {
        let counters = Arc::new(HostCounters::default());
        let counted = Arc::clone(&counters);
        let seed = u64::from(number) << 32;
        let tasks = Tasks::start(namespace, move || async move { Ok(be_busy(counted, seed)) })?;
        Ok(Self { counters, _tasks: tasks })
    }
}

async fn be_busy(counters: Arc<HostCounters>, seed: u64) {
    for number in 0..DOWNLOADS {
        tokio::spawn(keep_downloading(Arc::clone(&counters), Variety(seed + number)));
    }
    tokio::spawn(keep_uploading(Arc::clone(&counters), Variety(seed + 100)));
    tokio::spawn(keep_asking(Arc::clone(&counters), Variety(seed + 200)));
    keep_requesting(counters, Variety(seed + 300)).await;
}

async fn keep_downloading(counters: Arc<HostCounters>, mut variety: Variety) {
    loop {
        // From a page to a film's first minute.
        let length = 100_000 << variety.below(7);
        count(&counters, &counters.downloads, download(&mut variety, length, &counters)).await;
        sleep(Duration::from_millis(100 + variety.below(900))).await;
    }
}

async fn keep_uploading(counters: Arc<HostCounters>, mut variety: Variety) {
    loop {
        let length = 50_000 << variety.below(5);
        count(&counters, &counters.uploads, upload(&mut variety, length, &counters)).await;
        sleep(Duration::from_millis(200 + variety.below(1500))).await;
    }
}

async fn keep_requesting(counters: Arc<HostCounters>, mut variety: Variety) {
    loop {
        let length = 500 + variety.below(8000);
        count(&counters, &counters.requests, download(&mut variety, length, &counters)).await;
        sleep(Duration::from_millis(50 + variety.below(300))).await;
    }
}

async fn keep_asking(counters: Arc<HostCounters>, mut variety: Variety) {
    loop {
        count(&counters, &counters.names, ask_name(&mut variety)).await;
        sleep(Duration::from_millis(100 + variety.below(400))).await;
    }
}

async fn count(counters: &HostCounters, done: &AtomicU64, work: impl Future<Output = io::Result<()>>) {
    let counter = if matches!(timeout(PATIENCE, work).await, Ok(Ok(()))) { done } else { &counters.failed };
    counter.fetch_add(1, Ordering::Relaxed);
}

async fn download(variety: &mut Variety, length: u64, counters: &HostCounters) -> io::Result<()> {
    let mut stream = TcpStream::connect((variety.server(), 80)).await?;
    stream.write_all(format!("GET /bytes/{length} HTTP/1.1\r\nHost: demo\r\n\r\n").as_bytes()).await?;
    let mut block = vec![0; 64 * 1024];
    let mut received = 0;
    loop {
        match stream.read(&mut block).await? {
            0 if received >= length => return Ok(()),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            part => {
                received += part as u64;
                counters.received_bytes.fetch_add(part as u64, Ordering::Relaxed);
            }
        }
    }
}

async fn upload(variety: &mut Variety, length: u64, counters: &HostCounters) -> io::Result<()> {
    let mut stream = TcpStream::connect((variety.server(), 80)).await?;
    stream.write_all(format!("PUT /bytes/{length} HTTP/1.1\r\nHost: demo\r\n\r\n").as_bytes()).await?;
    let block = server::pattern();
    let mut left = usize::try_from(length).unwrap_or(usize::MAX);
    while left > 0 {
        let part = stream.write(&block[..left.min(block.len())]).await?;
        left -= part;
        counters.sent_bytes.fetch_add(part as u64, Ordering::Relaxed);
    }
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await?;
    if answer.ends_with(b"200") { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

async fn ask_name(variety: &mut Variety) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect((NAME_SERVER, 53)).await?;
    let number = variety.below(0x1_0000).to_be_bytes();
    let question = [number[6], number[7], 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    socket.send(&question).await?;
    let mut answer = [0; 512];
    let length = timeout(Duration::from_secs(5), socket.recv(&mut answer)).await??;
    if answer[..length].starts_with(&number[6..]) { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// Numbers that look random, the same in every run: splitmix64.
#[derive(Debug)]
struct Variety(u64);

impl Variety {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn server(&mut self) -> Ipv4Addr {
        #[expect(clippy::cast_possible_truncation, reason = "1 to 9")]
        Ipv4Addr::new(203, 0, 113, 1 + self.below(SERVERS) as u8)
    }
}
