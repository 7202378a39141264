//! `[web]`: where the page of potatoes is served.

use std::net::SocketAddr;

use super::error::Mistake;
use super::section::{Section, text};

/// Keys of the section.
pub(super) const KEYS: [&str; 1] = ["listen"];

/// `[web]`: where the pages are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Web {
    /// Address and port: the router's own on the LAN, for whoever reaches it sees the pages.
    pub listen: SocketAddr,
}

/// Reads `[web]`.
pub(super) fn web(section: &Section<'_, '_>) -> Result<Web, Mistake> {
    let listen = section.required("listen", "\"192.168.10.1:8080\"", |value| {
        let given = text(value)?;
        let right = "the router's own address on the LAN and a port, as in \"192.168.10.1:8080\"";
        let listen = given.parse::<SocketAddr>().map_err(|_| {
            let wrong = format!("\"{}\" is not an address and a port", given.escape_debug());
            Mistake::new(value.span(), wrong, right)
        })?;
        if listen.ip().is_unspecified() || listen.ip().is_multicast() || listen.port() == 0 {
            let wrong = format!("{listen} would serve the pages to more than the LAN, or to nobody");
            return Err(Mistake::new(value.span(), wrong, right));
        }
        Ok(listen)
    })?;
    Ok(Web { listen })
}
