//! `[metrics]`: where Prometheus finds the router's numbers.

use std::net::SocketAddr;

use super::error::Mistake;
use super::section::Section;
use super::values;

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
    let listen =
        section.required("listen", "\"192.168.10.1:9464\"", |value| values::listen(value, 9464, "tell the numbers"))?;
    Ok(Metrics { listen })
}
