//! A section that this version reads and checks, so that a file written for a later one is not refused, and that it
//! does not act on: the pages.

use std::net::SocketAddr;

use super::error::Mistake;
use super::section::{Section, text};

/// `[web]`: where the pages are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Web {
    /// Address and port.
    pub listen: SocketAddr,
}

/// Reads `[web]`.
pub(super) fn web(section: &Section<'_, '_>) -> Result<Web, Mistake> {
    let listen = section.required("listen", "\"192.168.10.1:8080\"", |value| {
        let given = text(value)?;
        given.parse::<SocketAddr>().map_err(|_| {
            let wrong = format!("\"{}\" is not an address and a port", given.escape_debug());
            Mistake::new(value.span(), wrong, "an address and a port, as in \"192.168.10.1:8080\"")
        })
    })?;
    Ok(Web { listen })
}
