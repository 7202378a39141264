//! Sockets in namespaces: made on a thread inside, used from anywhere.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use potato::demo::lab::Namespace;
use socket2::{Domain, Protocol, Socket, Type};

use crate::Must;

/// How long a socket waits for what should come.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// How long one waits for what should not come.
pub const SILENCE: Duration = Duration::from_millis(300);

/// A UDP socket in `namespace`, at `address` and `port` (0: any).
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn udp(namespace: &Namespace, address: Ipv4Addr, port: u16) -> UdpSocket {
    let socket = namespace.run(|| UdpSocket::bind((address, port))).must().must();
    socket.set_read_timeout(Some(PATIENCE)).must();
    socket
}

/// A TCP listener in `namespace`.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn listener(namespace: &Namespace, address: Ipv4Addr, port: u16) -> TcpListener {
    let listener = Socket::from(namespace.run(|| TcpListener::bind((address, port))).must().must());
    // Linux keeps to it in accept(2), too.
    listener.set_read_timeout(Some(PATIENCE)).must();
    listener.into()
}

/// A TCP connection from `namespace` by `port` (0: any) to `server`.
///
/// # Errors
/// When the connection is refused or nobody answers.
///
/// # Panics
/// When a socket cannot be made.
pub fn connect(namespace: &Namespace, port: u16, server: SocketAddr) -> std::io::Result<TcpStream> {
    let work = || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into())?;
        socket.connect_timeout(&server.into(), PATIENCE)?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    };
    namespace.run(work).must()
}

/// Sends `text` from `socket` to `server`, and gives where `listening` saw it come from.
///
/// # Panics
/// When it does not arrive.
pub fn seen_from(socket: &UdpSocket, listening: &UdpSocket, text: &str) -> SocketAddr {
    socket.send_to(text.as_bytes(), listening.local_addr().must()).must();
    let mut bytes = [0; 2048];
    let (length, source) =
        listening.recv_from(&mut bytes).unwrap_or_else(|error| panic!("{text} was not seen: {error}"));
    assert_eq!(&bytes[..length], text.as_bytes());
    source
}

/// Asserts that `socket` receives exactly `text` next, and gives the sender.
///
/// # Panics
/// When it does not.
pub fn expect(socket: &UdpSocket, text: &str) -> SocketAddr {
    let mut bytes = [0; 2048];
    let (length, source) = socket.recv_from(&mut bytes).unwrap_or_else(|error| panic!("{text} did not come: {error}"));
    assert_eq!(std::str::from_utf8(&bytes[..length]), Ok(text));
    source
}

/// Asserts that nothing comes.
///
/// # Panics
/// When something does.
pub fn expect_silence(socket: &UdpSocket) {
    socket.set_read_timeout(Some(SILENCE)).must();
    let mut bytes = [0; 2048];
    if let Ok((length, source)) = socket.recv_from(&mut bytes) {
        panic!("from {source} came {:?}", String::from_utf8_lossy(&bytes[..length]));
    }
    socket.set_read_timeout(Some(PATIENCE)).must();
}
