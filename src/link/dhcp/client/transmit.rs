//! What a client says, and how long it waits for an answer.

use std::net::Ipv4Addr;
use std::time::Duration;

use rand_chacha::rand_core::RngCore;

use super::state::{Ask, State, Taken};
use super::{Client, EXTEND_WAIT, FIRST_WAIT, LONGEST_WAIT, PROBE_WAIT, REBOOT_WAIT, SILENT_AFTER, WAIT_SPREAD};
use crate::flow::Timestamp;
use crate::link::arp::{Arp, Operation};
use crate::link::dhcp::event::ClientEvent;
use crate::link::dhcp::frame::{self, Destination};
use crate::link::dhcp::message::{self, RequestKind, Sender};
use crate::wire::MacAddress;

impl Client {
    /// Asks what the state wants asked, and says when to ask again.
    pub(super) fn transmit(&mut self, now: Timestamp) {
        let Some(mut ask) = self.ask() else { return };
        let wish = self.remembered.map(|remembered| remembered.address);
        if !matches!(self.state, State::Requesting { .. }) {
            ask.seconds = u16::try_from(now.since(ask.since).as_secs()).unwrap_or(u16::MAX);
        }
        let sender = Sender { mac: self.mac, transaction: ask.transaction, seconds: ask.seconds };
        let wait = match self.state.clone() {
            State::Selecting { .. } => {
                self.refusals = 0;
                self.broadcast(sender, RequestKind::Discover { wish });
                if self.unheard == SILENT_AFTER {
                    self.report(ClientEvent::NoServer);
                }
                self.unheard = self.unheard.saturating_add(1);
                self.growing_wait(ask.sent)
            }
            State::Requesting { address, server, .. } => {
                self.broadcast(sender, RequestKind::Select { address, server });
                self.growing_wait(ask.sent)
            }
            State::Rebooting { address, .. } => {
                self.broadcast(sender, RequestKind::Reboot { address });
                REBOOT_WAIT
            }
            State::Renewing { taken, .. } => {
                // RFC 2131 section 4.4.5: to its server alone, from the address that it extends.
                let to = Destination { mac: taken.server_mac, address: taken.lease.server };
                self.send_from(sender, &taken, to);
                extend_wait(now, &taken, 1)
            }
            State::Rebinding { taken, .. } => {
                self.send_from(sender, &taken, Destination::ALL);
                extend_wait(now, &taken, 2)
            }
            _ => return,
        };
        ask = Ask { sent: ask.sent.saturating_add(1), sent_at: now, resend_at: now + wait, ..ask };
        match &mut self.state {
            State::Rebooting { ask: place, .. }
            | State::Selecting { ask: place }
            | State::Requesting { ask: place, .. }
            | State::Renewing { ask: place, .. }
            | State::Rebinding { ask: place, .. } => *place = ask,
            State::Stopped | State::Waiting { .. } | State::Probing { .. } | State::Bound { .. } => {}
        }
    }

    /// The wait for an answer after a message was sent for the `sent`th time, from 0.
    fn growing_wait(&mut self, sent: u32) -> Duration {
        let wait = FIRST_WAIT.saturating_mul(1 << sent.min(8)).min(LONGEST_WAIT);
        #[expect(clippy::cast_possible_truncation, reason = "two seconds")]
        let span = WAIT_SPREAD.as_millis() as u32 * 2 + 1;
        wait - WAIT_SPREAD + Duration::from_millis((self.random.next_u32() % span).into())
    }

    /// Asks once more whether anybody has the address.
    pub(super) fn probe(&mut self, now: Timestamp) {
        let State::Probing { taken, probes, next_at } = &mut self.state else { return };
        *probes += 1;
        *next_at = now + PROBE_WAIT;
        // RFC 5227 section 1.1: from no address, so that nobody's memory is spoilt.
        let probe = Arp {
            operation: Operation::Request,
            sender_mac: self.mac,
            sender: Ipv4Addr::UNSPECIFIED,
            target_mac: MacAddress::default(),
            target: taken.lease.address(),
        };
        self.queue(probe.frame(MacAddress::BROADCAST).to_vec());
    }

    pub(super) fn broadcast(&mut self, sender: Sender, kind: RequestKind) {
        let message = message::write(sender, kind);
        self.queue(frame::frame((self.mac, Ipv4Addr::UNSPECIFIED), Destination::ALL, &message));
    }

    fn send_from(&mut self, sender: Sender, taken: &Taken, to: Destination) {
        let address = taken.lease.address();
        let message = message::write(sender, RequestKind::Extend { address });
        self.queue(frame::frame((self.mac, address), to, &message));
    }

    pub(super) fn send_release(&mut self, taken: &Taken) {
        let (address, server) = (taken.lease.address(), taken.lease.server);
        let sender = Sender { mac: self.mac, transaction: self.random.next_u32(), seconds: 0 };
        let message = message::write(sender, RequestKind::Release { address, server });
        let to = Destination { mac: taken.server_mac, address: server };
        self.queue(frame::frame((self.mac, address), to, &message));
    }
}

/// RFC 2131 section 4.4.5: half of the time that is left until T2 (`until` = 1) or the end (2).
fn extend_wait(now: Timestamp, taken: &Taken, until: usize) -> Duration {
    let Some(times) = taken.times() else { return EXTEND_WAIT };
    let least = taken.lease.lifetime.map_or(EXTEND_WAIT, |life| EXTEND_WAIT.min(life.end / 16));
    (times[until].since(now) / 2).max(least)
}
