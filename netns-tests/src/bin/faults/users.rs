//! People who use the internet: long connections on every line, in constant talk, and a new connection every 20 ms.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use netns_tests::{Lab, LabError, SERVER};
use potato::sys::clock;

/// The echo server's port.
const PORT: u16 = 7100;
/// A long connection says something so often.
const TALK_EVERY: Duration = Duration::from_millis(20);
/// A new connection is tried so often.
const CONNECT_EVERY: Duration = Duration::from_millis(20);
/// How long a new connection is waited for.
const CONNECT_WITHIN: Duration = Duration::from_secs(4);
/// Long connections there are to be on each line.
const LONG_CONNECTIONS: usize = 6;
/// How long people are watched before a fault.
const BEFORE: Duration = Duration::from_secs(2);

/// A new connection that somebody tried.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    pub(crate) at: Duration,
    /// How long it took to be there, and the line that it got; `None`: it failed.
    pub(crate) made: Option<(Duration, u8)>,
}

/// A long connection, as its client lived it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Talk {
    pub(crate) line: u8,
    /// When the client was told that it is over; `None`: it never was.
    pub(crate) told_at: Option<Duration>,
    /// The longest wait for an answer: when it began, how long it took.
    pub(crate) longest_wait: (Duration, Duration),
    /// When it last had an answer.
    pub(crate) last_answer: Duration,
}

/// The people, at work.
pub(crate) struct Users {
    stop: Arc<AtomicBool>,
    attempts: Arc<Mutex<Vec<Attempt>>>,
    threads: Vec<JoinHandle<()>>,
    talks: Vec<JoinHandle<Talk>>,
}

/// What they saw.
pub(crate) struct Seen {
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) talks: Vec<Talk>,
    pub(crate) until: Duration,
}

impl Users {
    /// Sets the server up and the people to work, with long connections on each of `lines` lines.
    pub(crate) fn start(lab: &Lab, lines: usize) -> Result<Self, LabError> {
        let stop = Arc::new(AtomicBool::new(false));
        let attempts = Arc::new(Mutex::new(Vec::new()));
        let server = {
            let stop = Arc::clone(&stop);
            lab.internet().run(move || serve(stop))?.map_err(failed("the echo server"))?
        };
        let talks = {
            let stop = &stop;
            lab.host(1).run(move || talk_on_each(lines, stop))?.map_err(failed("a long connection"))?
        };
        let visitor = {
            let (stop, attempts) = (Arc::clone(&stop), Arc::clone(&attempts));
            // A thread that is made inside stays inside.
            lab.host(1).run(move || thread::spawn(move || visit(&stop, &attempts)))?
        };
        Ok(Self { stop, attempts, threads: vec![server, visitor], talks })
    }

    /// Lets things be as they always are for a while.
    pub(crate) fn settle(&self) {
        self.go_on_for(BEFORE);
    }

    /// Watches on.
    pub(crate) fn go_on_for(&self, time: Duration) {
        thread::sleep(time);
    }

    /// The time that all is measured in.
    pub(crate) fn now(&self) -> Duration {
        clock::monotonic()
    }

    /// Sends everybody home.
    pub(crate) fn stop(self) -> Seen {
        let until = clock::monotonic();
        self.stop.store(true, Ordering::Relaxed);
        let talks = self.talks.into_iter().filter_map(|talk| talk.join().ok()).collect();
        self.threads.into_iter().for_each(|thread| drop(thread.join()));
        let attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Seen { attempts, talks, until }
    }
}

fn failed(what: &'static str) -> impl Fn(std::io::Error) -> LabError {
    move |source| LabError::Io { action: what.to_owned(), source }
}

/// Tells everybody by which line he has come, and then echoes.
fn serve(stop: Arc<AtomicBool>) -> std::io::Result<JoinHandle<()>> {
    let listener = TcpListener::bind((SERVER, PORT))?;
    listener.set_nonblocking(true)?;
    Ok(thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            match listener.accept() {
                Ok((stream, visitor)) => {
                    thread::spawn(move || drop(echo(stream, visitor)));
                }
                Err(_) => thread::sleep(Duration::from_millis(1)),
            }
        }
    }))
}

fn echo(mut stream: TcpStream, visitor: SocketAddr) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.write_all(&[line_of(visitor.ip())])?;
    let mut bytes = [0; 64];
    loop {
        match stream.read(&mut bytes)? {
            0 => return Ok(()),
            length => stream.write_all(&bytes[..length])?,
        }
    }
}

/// The line whose address this is: 10.77.N.x, or the concentrator's pool, which only the first one has.
fn line_of(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(address) if address.octets()[1] == 99 => 1,
        IpAddr::V4(address) => address.octets()[2],
        IpAddr::V6(_) => 0,
    }
}

/// Connects, and learns by which line.
fn connect() -> std::io::Result<(TcpStream, u8)> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((SERVER, PORT)), CONNECT_WITHIN)?;
    stream.set_read_timeout(Some(CONNECT_WITHIN))?;
    stream.set_nodelay(true)?;
    let mut line = [0];
    stream.read_exact(&mut line)?;
    Ok((stream, line[0]))
}

fn talk_on_each(lines: usize, stop: &Arc<AtomicBool>) -> std::io::Result<Vec<JoinHandle<Talk>>> {
    let mut talks = Vec::new();
    let mut counts = vec![0; lines];
    for _ in 0..lines * LONG_CONNECTIONS * 4 {
        let (stream, line) = connect()?;
        let Some(count) = counts.get_mut(usize::from(line).wrapping_sub(1)) else { continue };
        if *count < LONG_CONNECTIONS {
            *count += 1;
            let stop = Arc::clone(stop);
            talks.push(thread::spawn(move || talk(stream, line, &stop)));
        }
        if counts.iter().all(|&count| count == LONG_CONNECTIONS) {
            return Ok(talks);
        }
    }
    Err(std::io::Error::new(ErrorKind::TimedOut, format!("not every line got connections: {counts:?}")))
}

/// Talks until told that it is over, or sent home.
fn talk(mut stream: TcpStream, line: u8, stop: &AtomicBool) -> Talk {
    let now = clock::monotonic();
    let mut talk = Talk { line, told_at: None, longest_wait: (now, Duration::ZERO), last_answer: now };
    let mut asked = now;
    let mut waiting = false;
    let timeout = stream.set_read_timeout(Some(Duration::from_millis(100)));
    while timeout.is_ok() && !stop.load(Ordering::Relaxed) {
        let mut answer = [0; 8];
        if !waiting {
            asked = clock::monotonic();
            waiting = stream.write_all(b"question").is_ok();
        }
        match stream.read_exact(&mut answer) {
            Ok(()) if waiting => {
                talk.last_answer = clock::monotonic();
                let wait = talk.last_answer.saturating_sub(asked);
                if wait > talk.longest_wait.1 {
                    talk.longest_wait = (asked, wait);
                }
                waiting = false;
                thread::sleep(TALK_EVERY);
            }
            Err(error) if waiting && matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            _ => {
                talk.told_at = Some(clock::monotonic());
                return talk;
            }
        }
    }
    talk
}

/// Tries a new connection again and again, whatever becomes of those before.
fn visit(stop: &AtomicBool, attempts: &Arc<Mutex<Vec<Attempt>>>) {
    let mut visitors = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let attempts = Arc::clone(attempts);
        visitors.push(thread::spawn(move || {
            let at = clock::monotonic();
            let made = connect().ok().map(|(_, line)| (clock::monotonic().saturating_sub(at), line));
            attempts.lock().unwrap_or_else(PoisonError::into_inner).push(Attempt { at, made });
        }));
        visitors.retain(|visitor| !visitor.is_finished());
        thread::sleep(CONNECT_EVERY);
    }
    visitors.into_iter().for_each(|visitor| drop(visitor.join()));
}
