//! Where a client is: the states of RFC 2131 section 4.4, what it asks and what it was given.

use std::net::Ipv4Addr;

use crate::flow::Timestamp;
use crate::link::dhcp::lease::Lease;
use crate::wire::MacAddress;

/// A question and its repetitions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub(super) transaction: u32,
    /// When it was first asked.
    pub(super) since: Timestamp,
    /// When it was last asked.
    pub(super) sent_at: Timestamp,
    pub(super) sent: u32,
    pub(super) resend_at: Timestamp,
    /// As in the last message.
    pub(super) seconds: u16,
}

/// A lease that a server has confirmed.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    pub(super) lease: Lease,
    /// When it was asked for: it counts from then.
    pub(super) asked_at: Timestamp,
    /// The Ethernet address that the server's answer came from: the server's own, or its relay's or router's. Whatever
    /// is for the server alone goes there.
    pub(super) server_mac: MacAddress,
}

impl Taken {
    /// When T1, T2 and the end come; `None`: never.
    pub(super) fn times(&self) -> Option<[Timestamp; 3]> {
        self.lease.lifetime.map(|life| [life.renew, life.rebind, life.end].map(|span| self.asked_at + span))
    }

    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        self.times().is_some_and(|[.., end]| end <= now)
    }
}

#[derive(Clone, Debug)]
pub(super) enum State {
    /// There is no carrier. Leaves by: `start` -> Rebooting or Selecting.
    Stopped,
    /// Leaves by: time -> Selecting.
    Waiting { until: Timestamp },
    /// Asks for the address that it had. Leaves by: ACK -> Probing; NAK, silence -> Selecting.
    Rebooting { ask: Ask, address: Ipv4Addr },
    /// Asks for any address. Leaves by: an offer that can be used -> Requesting.
    Selecting { ask: Ask },
    /// Takes an offer. Leaves by: ACK -> Probing; NAK, silence -> Selecting.
    Requesting { ask: Ask, address: Ipv4Addr, server: Ipv4Addr },
    /// Asks whether anybody else has the address. Leaves by: an answer -> Waiting; silence -> Bound.
    Probing { taken: Taken, probes: u8, next_at: Timestamp },
    /// Leaves by: T1 -> Renewing.
    Bound { taken: Taken },
    /// Asks its server. Leaves by: ACK -> Bound, or Probing for another address; NAK -> Selecting; T2 -> Rebinding.
    Renewing { taken: Taken, ask: Ask },
    /// Asks every server. Leaves by: ACK, NAK as above; end of the lease -> Selecting.
    Rebinding { taken: Taken, ask: Ask },
}
