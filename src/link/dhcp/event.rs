//! What a client remembers, and what it tells.

use std::fmt;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::lease::{Lease, Unusable};
use crate::wire::MacAddress;

/// An address that the line had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// The Ethernet address that it was given to.
    pub mac: MacAddress,
    /// The address.
    pub address: Ipv4Addr,
    /// Whether it is still ours.
    pub standing: Standing,
}

/// Whether a remembered address is still ours, as far as we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It was not given back: to be asked for at once (INIT-REBOOT).
    Held,
    /// It was given back: a wish.
    Released,
}

/// Why a lease is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseEnd {
    /// Its time is up and no server has extended it.
    Expired,
    /// A server has taken it back (NAK).
    TakenBack,
    /// The server has given another address in its stead.
    Replaced(Ipv4Addr),
    /// It cannot be used any more.
    Unusable(Unusable),
    /// Somebody has the line redialled.
    GivenBack,
}

impl fmt::Display for LeaseEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired => f.write_str("its time is up and no server has extended it"),
            Self::TakenBack => f.write_str("the server has taken it back"),
            Self::Replaced(address) => write!(f, "the server gives {address} instead"),
            Self::Unusable(why) => why.fmt(f),
            Self::GivenBack => f.write_str("given back by hand"),
        }
    }
}

/// What has happened to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// A lease is in use, or the one in use says something new.
    Leased(Lease),
    /// The lease in use was extended.
    Extended,
    /// The lease in use is over.
    Ended {
        /// The address that is ours no more.
        address: Ipv4Addr,
        /// Why.
        why: LeaseEnd,
    },
    /// A server does not give the address that it was asked for; with its own words.
    Denied {
        /// The address.
        address: Ipv4Addr,
        /// What the server says.
        message: Option<String>,
    },
    /// What a server offers cannot be used. Told once for each reason.
    Refused {
        /// The address offered and its network.
        network: Ipv4Net,
        /// Why.
        why: Unusable,
    },
    /// Somebody on the line uses the address that the server gave: it was declined.
    Declined {
        /// The address.
        address: Ipv4Addr,
        /// Who uses it.
        rival: MacAddress,
    },
    /// No server answers. Told once until one does.
    NoServer,
}
