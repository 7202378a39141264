//! An address that others connect to.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::sleep;
use tracing::warn;

/// An address that is not there yet, or no more, is tried again after this.
pub const LISTEN_RETRY: Duration = Duration::from_secs(2);

/// Listens as soon as that is possible: the LAN may get its address later. `what` is served there, as the log says meanwhile.
pub async fn listen(address: SocketAddr, what: &'static str) -> TcpListener {
    let mut is_told = false;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) if !is_told => warn!(%address, what, %error, "cannot be served yet; trying again"),
            Err(_) => {}
        }
        is_told = true;
        sleep(LISTEN_RETRY).await;
    }
}
