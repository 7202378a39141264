//! The router's pages on this machine's own 127.0.0.1: from there to the router's namespace and back, byte for byte.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::lab::{LabError, Namespace};
use super::task::Tasks;

/// Where people expect it; any other port if somebody has it.
const PORT: u16 = 8080;

/// The way to the pages, closed when dropped.
#[derive(Debug)]
pub(super) struct Pages {
    address: SocketAddr,
    _tasks: Tasks,
}

impl Pages {
    /// Leads whoever connects to the address that it gives on to `pages` in the router's namespace.
    pub(super) fn open(router: &Namespace, pages: SocketAddr) -> Result<Self, LabError> {
        let failed = |source| LabError::Io { action: "listening on 127.0.0.1 for the pages".to_owned(), source };
        // Bound here, on this machine; served there, in the namespace.
        let listen = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        let listener = listen(PORT).or_else(|_| listen(0)).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let tasks = Tasks::start(router, move || async move {
            listener.set_nonblocking(true)?;
            let listener = tokio::net::TcpListener::from_std(listener)?;
            Ok(lead(listener, pages))
        })?;
        Ok(Self { address, _tasks: tasks })
    }

    /// Where to look.
    pub(super) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

async fn lead(listener: tokio::net::TcpListener, pages: SocketAddr) {
    let mut connections = JoinSet::new();
    while let Ok((mut here, _)) = listener.accept().await {
        connections.spawn(async move {
            let mut there = TcpStream::connect(pages).await?;
            copy_bidirectional(&mut here, &mut there).await.map(drop)
        });
        while let Some(ended) = connections.try_join_next() {
            // A browser that goes away is nothing to tell of.
            let _: Option<io::Result<()>> = ended.ok();
        }
    }
}
