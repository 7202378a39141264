//! `[metrics]`: where Prometheus finds the router's numbers.

use std::net::SocketAddr;

use super::error::Mistake;
use super::section::{Section, text};

/// Keys of the section.
pub(super) const KEYS: [&str; 1] = ["listen"];

/// `[metrics]`: where the numbers are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// Address and port: the router's own on the LAN, for whoever reaches it sees the numbers.
    pub listen: SocketAddr,
}

/// Reads `[metrics]`.
pub(super) fn metrics(section: &Section<'_, '_>) -> Result<Metrics, Mistake> {
    let listen = section.required("listen", "\"192.168.10.1:9464\"", |value| {
        let given = text(value)?;
        let right = "the router's own address on the LAN and a port, as in \"192.168.10.1:9464\"";
        let listen = given.parse::<SocketAddr>().map_err(|_| {
            let wrong = format!("\"{}\" is not an address and a port", given.escape_debug());
            Mistake::new(value.span(), wrong, right)
        })?;
        if listen.ip().is_unspecified() || listen.ip().is_multicast() || listen.port() == 0 {
            let wrong = format!("{listen} would tell the numbers to more than the LAN, or to nobody");
            return Err(Mistake::new(value.span(), wrong, right));
        }
        Ok(listen)
    })?;
    Ok(Metrics { listen })
}
