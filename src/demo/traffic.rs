//! What the LAN's hosts do all day: downloads of any size, uploads, small requests, questions to the name server.
//!
//! Each host has a thread in its namespace and runs real connections through the kernel's sockets. What a host counts
//! is what it got, not what the router says. What it did not get is put down to a line that failed ([`super::outages`]), or
//! else to the router.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{sleep, timeout};

use super::lab::{LabError, NAME_SERVER, Namespace};
use super::outages::Outages;
use super::server::{self, NUMBER_FIELD, Visitors};
use super::task::Tasks;
use super::variety::Variety;
use crate::sys::clock;

/// Longest that a connection may stand still.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a name is asked for before it is given up, and how long an answer may take.
const QUESTIONS: usize = 3;
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
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
    /// Cut off by a line that was in trouble.
    pub(super) cut_off: AtomicU64,
    /// All others that came to nothing.
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
    pub(super) fn start(namespace: &Namespace, number: u8, witness: Witness) -> Result<Self, LabError> {
        let counters = Arc::new(HostCounters::default());
        let seed = u64::from(number) << 32;
        let user = User { counters: Arc::clone(&counters), witness, requests: Arc::new(AtomicU64::new(seed)) };
        let tasks = Tasks::start(namespace, move || async move { Ok(be_busy(user, seed)) })?;
        Ok(Self { counters, _tasks: tasks })
    }
}

/// Who can tell what has become of a request.
#[derive(Clone, Debug)]
pub(super) struct Witness {
    pub(super) visitors: Visitors,
    pub(super) outages: Outages,
    /// The addresses of the lines, the first one's first.
    pub(super) lines: Arc<[IpAddr]>,
}

impl Witness {
    /// By which line request number `number` has gone, if a server has seen it.
    fn line_of(&self, number: u64) -> Option<usize> {
        let visitor = self.visitors.take_request(number)?;
        self.lines.iter().position(|address| *address == visitor).map(|index| index + 1)
    }
}

/// Somebody at a host.
#[derive(Clone, Debug)]
struct User {
    counters: Arc<HostCounters>,
    witness: Witness,
    /// Numbers of requests, of all users of the host.
    requests: Arc<AtomicU64>,
}

impl User {
    /// Does what `work` does with the number of a request, and counts it as `done` if it comes to its end.
    async fn request<W>(&self, done: impl Fn(&HostCounters) -> &AtomicU64, work: impl FnOnce(u64) -> W)
    where
        W: Future<Output = io::Result<()>>,
    {
        let (number, began) = (self.requests.fetch_add(1, Ordering::Relaxed), clock::monotonic());
        let outcome = work(number).await;
        let line = self.witness.line_of(number);
        let counter = match outcome {
            Ok(()) => done(&self.counters),
            Err(_) if self.witness.outages.cut_off(line, began, clock::monotonic()) => &self.counters.cut_off,
            Err(_) => &self.counters.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

async fn be_busy(user: User, seed: u64) {
    for number in 0..DOWNLOADS {
        tokio::spawn(keep_downloading(user.clone(), Variety(seed + number)));
    }
    tokio::spawn(keep_uploading(user.clone(), Variety(seed + 100)));
    tokio::spawn(keep_asking(user.clone(), Variety(seed + 200)));
    keep_requesting(user, Variety(seed + 300)).await;
}

async fn keep_downloading(user: User, mut variety: Variety) {
    loop {
        // From a page to a film's first minute.
        let length = 100_000 << variety.below(7);
        let to = server(&mut variety);
        user.request(|counters| &counters.downloads, |number| download(to, length, number, &user.counters)).await;
        sleep(Duration::from_millis(100 + variety.below(900))).await;
    }
}

async fn keep_uploading(user: User, mut variety: Variety) {
    loop {
        let length = 50_000 << variety.below(5);
        let to = server(&mut variety);
        user.request(|counters| &counters.uploads, |number| upload(to, length, number, &user.counters)).await;
        sleep(Duration::from_millis(200 + variety.below(1500))).await;
    }
}

async fn keep_requesting(user: User, mut variety: Variety) {
    loop {
        let length = 500 + variety.below(8000);
        let to = server(&mut variety);
        user.request(|counters| &counters.requests, |number| download(to, length, number, &user.counters)).await;
        sleep(Duration::from_millis(50 + variety.below(300))).await;
    }
}

async fn keep_asking(user: User, mut variety: Variety) {
    loop {
        user.request(|counters| &counters.names, ask_name).await;
        sleep(Duration::from_millis(100 + variety.below(400))).await;
    }
}

/// A step of a connection, which may stand still for a while.
async fn step<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(PATIENCE, work).await?
}

/// Connects, and sends the head of the request `what`.
async fn send_request(to: Ipv4Addr, what: &str, number: u64) -> io::Result<TcpStream> {
    let mut stream = step(TcpStream::connect((to, 80))).await?;
    let head = format!("{what} HTTP/1.1\r\nHost: demo\r\n{NUMBER_FIELD}{number}\r\n\r\n");
    step(stream.write_all(head.as_bytes())).await?;
    Ok(stream)
}

async fn download(from: Ipv4Addr, length: u64, number: u64, counters: &HostCounters) -> io::Result<()> {
    let mut stream = send_request(from, &format!("GET /bytes/{length}"), number).await?;
    let mut block = vec![0; 64 * 1024];
    let mut received = 0;
    loop {
        match step(stream.read(&mut block)).await? {
            0 if received >= length => return Ok(()),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            part => {
                received += part as u64;
                counters.received_bytes.fetch_add(part as u64, Ordering::Relaxed);
            }
        }
    }
}

async fn upload(to: Ipv4Addr, length: u64, number: u64, counters: &HostCounters) -> io::Result<()> {
    let mut stream = send_request(to, &format!("PUT /bytes/{length}"), number).await?;
    let block = server::pattern();
    let mut left = usize::try_from(length).unwrap_or(usize::MAX);
    while left > 0 {
        let part = step(stream.write(&block[..left.min(block.len())])).await?;
        left -= part;
        counters.sent_bytes.fetch_add(part as u64, Ordering::Relaxed);
    }
    let mut answer = [0; 12];
    step(stream.read_exact(&mut answer)).await?;
    if answer.ends_with(b"200") { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// Asks the name server, and asks again as resolvers do (RFC 1035 section 4.2.1): nobody repeats a lost question for them.
async fn ask_name(number: u64) -> io::Result<()> {
    for _ in 1..QUESTIONS {
        if ask_once(number).await.is_ok() {
            return Ok(());
        }
    }
    ask_once(number).await
}

async fn ask_once(number: u64) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect((NAME_SERVER, 53)).await?;
    let [.., high, low] = number.to_be_bytes();
    let mut question = [high, low, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0].to_vec();
    question.extend(number.to_be_bytes());
    socket.send(&question).await?;
    let mut answer = [0; 512];
    let length = timeout(ANSWER_WITHIN, socket.recv(&mut answer)).await??;
    if answer[..length].starts_with(&[high, low]) { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

fn server(variety: &mut Variety) -> Ipv4Addr {
    #[expect(clippy::cast_possible_truncation, reason = "1 to 9")]
    Ipv4Addr::new(203, 0, 113, 1 + variety.below(SERVERS) as u8)
}
