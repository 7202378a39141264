//! TCP connections through the router, both their ends.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::sockets::{connect, listener};
use crate::{Must, SERVER, World};

/// How long an end waits for the other: a line may have to come back meanwhile.
const PATIENCE: Duration = Duration::from_secs(15);

/// A TCP connection through the router.
#[derive(Debug)]
pub struct Connection {
    near: TcpStream,
    far: TcpStream,
    /// The uplink that it is on, 1 and up.
    pub uplink: usize,
}

impl Connection {
    /// Connections until there is one on each of two uplinks.
    ///
    /// # Panics
    /// When one of them gets none.
    #[must_use]
    pub fn on_each_uplink(world: &World) -> [Self; 2] {
        let listening = listener(world.internet(), SERVER, 7000);
        let mut found = [None, None];
        for _ in 0..20 {
            let near = connect(world.host(1), 0, SocketAddr::from((SERVER, 7000))).must();
            let (far, external) = listening.accept().must();
            let IpAddr::V4(address) = external.ip() else { unreachable!("the lab is IPv4") };
            far.set_read_timeout(Some(PATIENCE)).must();
            near.set_read_timeout(Some(PATIENCE)).must();
            let uplink = usize::from(address.octets()[2]);
            found[uplink - 1].get_or_insert(Self { near, far, uplink });
            if let [Some(_), Some(_)] = &found {
                break;
            }
        }
        found.map(|connection| connection.expect("20 connections use both uplinks"))
    }

    /// A connection of a host (1 and up) on an uplink (1 and up).
    ///
    /// # Panics
    /// When it gets none there.
    #[must_use]
    pub fn on_uplink(world: &World, host: u8, uplink: usize) -> Self {
        let listening = listener(world.internet(), SERVER, 7000);
        let open = |_| {
            let near = connect(world.host(host), 0, SocketAddr::from((SERVER, 7000))).must();
            let (far, external) = listening.accept().must();
            let IpAddr::V4(address) = external.ip() else { unreachable!("the lab is IPv4") };
            far.set_read_timeout(Some(PATIENCE)).must();
            near.set_read_timeout(Some(PATIENCE)).must();
            Self { near, far, uplink: usize::from(address.octets()[2]) }
        };
        // All at once: those that have ended would make room on other lines.
        let connections: Vec<_> = (0..20).map(open).collect();
        let found = connections.into_iter().find(|connection| connection.uplink == uplink);
        found.expect("20 connections use every uplink that is for the host")
    }

    /// Waits until the near end is told that the connection is over, and gives how it was told.
    ///
    /// # Panics
    /// When the far end says something instead.
    #[track_caller]
    pub fn end(&mut self) -> std::io::ErrorKind {
        self.near.read(&mut [0; 5]).expect_err("nobody says anything").kind()
    }

    /// Says something both ways.
    ///
    /// # Panics
    /// When it does not arrive.
    #[track_caller]
    pub fn still_works(&mut self) {
        let mut bytes = [0; 5];
        self.near.write_all(b"there").must();
        self.far.read_exact(&mut bytes).must();
        assert_eq!(&bytes, b"there");
        self.far.write_all(b"again").must();
        self.near.read_exact(&mut bytes).must();
        assert_eq!(&bytes, b"again");
    }
}
