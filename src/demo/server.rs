//! The internet's servers: a small web server that streams bytes, takes uploads and counts who asks, and a name server
//! that gives every question back.
//!
//! They know two requests: `GET /bytes/N` gives N bytes, `PUT /bytes/N` takes N. The bytes are the same for every
//! request, and differ from block to block, so that a hash tells of any that was lost, doubled or moved. No keep-alive,
//! no other paths, no real names. Requests and questions may have a number; the servers remember where it came from.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::lab::{LabError, NAME_SERVER, Namespace};
use super::task::Tasks;

/// Longest request head that is read.
const LONGEST_HEAD: usize = 4096;
/// Bytes of a question to the name server before its number.
const NAME_HEADER: usize = 12;
/// What stands before a request's number in its head.
pub(super) const NUMBER_FIELD: &str = "Request-Number: ";
/// Bytes are made and written by blocks of this many.
const BLOCK: usize = 64 * 1024;

/// Who has come, and with what.
#[derive(Debug, Default)]
struct Visits {
    /// Connections accepted, by the address they came from.
    connections: HashMap<IpAddr, u64>,
    /// Where numbered requests came from.
    requests: HashMap<u64, IpAddr>,
}

/// What the servers have seen. Clones are the same book.
#[derive(Clone, Debug, Default)]
pub struct Visitors(Arc<Mutex<Visits>>);

impl Visitors {
    /// Where the request with this number came from, if it ever did. It is forgotten by that.
    #[must_use]
    pub fn take_request(&self, number: u64) -> Option<IpAddr> {
        self.visits().requests.remove(&number)
    }

    fn visits(&self) -> MutexGuard<'_, Visits> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Servers running in a namespace until they are dropped.
#[derive(Debug)]
pub struct Servers {
    visitors: Visitors,
    _tasks: Tasks,
}

impl Servers {
    /// Starts a web server on port 80 of every address and a name server on [`NAME_SERVER`], inside `namespace`.
    ///
    /// # Errors
    /// When a port is taken, or the namespace cannot be entered.
    pub fn start(namespace: &Namespace) -> Result<Self, LabError> {
        let visitors = Visitors::default();
        let counted = visitors.clone();
        let tasks = Tasks::start(namespace, move || async move {
            let web = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 80)).await?;
            let names = UdpSocket::bind((NAME_SERVER, 53)).await?;
            Ok(async move {
                tokio::join!(serve_web(web, counted.clone()), serve_names(names, counted));
            })
        })?;
        Ok(Self { visitors, _tasks: tasks })
    }

    /// How many connections came from `address`.
    #[must_use]
    pub fn connections_from(&self, address: IpAddr) -> u64 {
        self.visitors.visits().connections.get(&address).copied().unwrap_or(0)
    }

    /// The book of who has come.
    #[must_use]
    pub fn visitors(&self) -> Visitors {
        self.visitors.clone()
    }
}

async fn serve_web(listener: TcpListener, visitors: Visitors) {
    loop {
        // Out of descriptors, or the visitor is gone already: the next one may fare better.
        let Ok((stream, SocketAddr::V4(visitor))) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let visitor = IpAddr::from(*visitor.ip());
        *visitors.visits().connections.entry(visitor).or_default() += 1;
        let visitors = visitors.clone();
        // A visitor that goes away has had enough.
        tokio::spawn(async move { drop(answer(stream, visitor, &visitors).await) });
    }
}

async fn serve_names(socket: UdpSocket, visitors: Visitors) {
    let mut question = [0; 1500];
    loop {
        if let Ok((length, asker)) = socket.recv_from(&mut question).await {
            if let Some(number) = question[..length].get(NAME_HEADER..).and_then(|rest| rest.first_chunk()) {
                visitors.visits().requests.insert(u64::from_be_bytes(*number), asker.ip());
            }
            // The bit that makes a question an answer.
            question[2] |= 0x80;
            let _ = socket.send_to(&question[..length], asker).await;
        }
    }
}

async fn answer(mut stream: TcpStream, visitor: IpAddr, visitors: &Visitors) -> io::Result<()> {
    let (head, body) = read_head(&mut stream).await?;
    if let Some(number) = parse_number(&head) {
        visitors.visits().requests.insert(number, visitor);
    }
    match parse_request(&head) {
        Some(Request::Give(length)) => {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            give(&mut stream, length).await?;
        }
        Some(Request::Take(length)) => {
            take(&mut stream, length.saturating_sub(body as u64)).await?;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await?;
        }
        None => stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await?,
    }
    stream.shutdown().await
}

/// The head of a request, and how many bytes of its body came with it.
async fn read_head(stream: &mut TcpStream) -> io::Result<(String, usize)> {
    let mut bytes = Vec::with_capacity(LONGEST_HEAD);
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            return Ok((String::from_utf8_lossy(&bytes[..end]).into_owned(), bytes.len() - end - 4));
        }
        if bytes.len() >= LONGEST_HEAD || stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Request {
    Give(u64),
    Take(u64),
}

fn parse_request(head: &str) -> Option<Request> {
    let mut words = head.lines().next()?.split(' ');
    let (method, path) = (words.next()?, words.next()?);
    let length = path.strip_prefix("/bytes/")?.parse().ok()?;
    match method {
        "GET" => Some(Request::Give(length)),
        "PUT" => Some(Request::Take(length)),
        _ => None,
    }
}

fn parse_number(head: &str) -> Option<u64> {
    head.lines().find_map(|line| line.strip_prefix(NUMBER_FIELD))?.parse().ok()
}

async fn give(stream: &mut TcpStream, length: u64) -> io::Result<()> {
    let mut block = pattern();
    let mut left = length;
    for number in 0_u64.. {
        if left == 0 {
            break;
        }
        block[..8].copy_from_slice(&number.to_be_bytes());
        let part = usize::try_from(left).map_or(BLOCK, |left| left.min(BLOCK));
        stream.write_all(&block[..part]).await?;
        left -= part as u64;
    }
    Ok(())
}

async fn take(stream: &mut TcpStream, mut left: u64) -> io::Result<()> {
    let mut block = vec![0; BLOCK];
    while left > 0 {
        match stream.read(&mut block).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            part => left = left.saturating_sub(part as u64),
        }
    }
    Ok(())
}

/// A block whose 16-bit sums and bytes all vary, so that no exchange of words goes unnoticed.
pub(super) fn pattern() -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..BLOCK).map(|_| next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_and_others_refused() {
        assert_eq!(parse_request("GET /bytes/12 HTTP/1.1\r\nHost: x"), Some(Request::Give(12)));
        assert_eq!(parse_request("PUT /bytes/3 HTTP/1.1"), Some(Request::Take(3)));
        for wrong in ["", "GET", "GET /bytes/", "GET /bytes/-1 HTTP/1.1", "POST /bytes/1 HTTP/1.1", "GET / HTTP/1.1"] {
            assert_eq!(parse_request(wrong), None, "{wrong}");
        }
        assert_eq!(parse_number("GET /bytes/1 HTTP/1.1\r\nRequest-Number: 18446744073709551615"), Some(u64::MAX));
        assert_eq!(parse_number("GET /bytes/1 HTTP/1.1\r\nRequest-Number: x"), None);
    }
}
