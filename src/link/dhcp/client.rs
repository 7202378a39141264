//! The state machine: from a carrier to a lease, and on as long as the carrier lasts.

mod state;
mod transmit;

use std::collections::VecDeque;
use std::time::Duration;

use ipnet::Ipv4Net;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use self::state::{Ask, State, Taken};
use super::event::{ClientEvent, LeaseEnd, Remembered, Standing};
use super::lease::{self, Lease, Unusable};
use super::message::{Reply, ReplyKind, RequestKind, Sender};
use crate::flow::Timestamp;
use crate::link::arp::{Arp, Operation};
use crate::wire::MacAddress;

// RFC 2131.
/// Section 4.1: wait for the first answer; doubled each time, up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(4);
/// Section 4.1: each wait is this much longer or shorter, at random.
const WAIT_SPREAD: Duration = Duration::from_secs(1);
/// Section 3.1 (5): the least to wait after an address was declined.
const DECLINE_WAIT: Duration = Duration::from_secs(10);
/// Section 4.4.5: the least wait between two attempts to extend a lease. For leases shorter than 16 minutes a sixteenth
/// of the lease, for else a line that loses packets would have two attempts in all.
const EXTEND_WAIT: Duration = Duration::from_secs(60);

// Ours.
/// RFC 2131 lets waits grow to 64 s. A modem that has restarted is not to wait for that, and a broadcast every 16 s hurts
/// nobody.
const LONGEST_WAIT: Duration = Duration::from_secs(16);
/// DISCOVERs without an answer before that is told.
const SILENT_AFTER: u32 = 3;
/// REQUESTs for an offer before it is given up: 28 seconds.
const REQUESTS: u32 = 3;
/// REQUESTs for a remembered address, and the wait after each. A server that does not know it has to be silent.
const REBOOTS: u32 = 2;
const REBOOT_WAIT: Duration = Duration::from_secs(2);
/// ARP probes for an address before it is used, and the wait after each. RFC 5227 takes 4 to 7 seconds; who is up answers
/// at once, and the address was given to us.
const PROBES: u8 = 2;
const PROBE_WAIT: Duration = Duration::from_millis(200);
/// Offers refused aloud between two DISCOVERs. Whoever sends more wants to fill a log.
const REFUSALS: u32 = 4;
/// Frames and events that may wait. What comes above is lost.
const LONGEST_QUEUE: usize = 16;

/// The DHCP client of one line.
#[derive(Debug)]
pub struct Client {
    random: ChaCha8Rng,
    lans: Vec<Ipv4Net>,
    mac: MacAddress,
    remembered: Option<Remembered>,
    state: State,
    /// Answers in a row that led to no lease, which bound how quickly it begins anew.
    failures: u32,
    /// What was refused last, not to be told again, and how often something was since the last DISCOVER.
    refused: Option<(Ipv4Net, Unusable)>,
    refusals: u32,
    /// DISCOVERs since a server was last heard.
    unheard: u32,
    frames: VecDeque<Vec<u8>>,
    events: VecDeque<ClientEvent>,
}

impl Client {
    /// A client whose line has no carrier yet. `seed` is random; `remembered` is what the line had in an earlier run.
    #[must_use]
    pub fn new(seed: [u8; 32], remembered: Option<Remembered>) -> Self {
        Self {
            random: ChaCha8Rng::from_seed(seed),
            lans: Vec::new(),
            mac: MacAddress::default(),
            remembered,
            state: State::Stopped,
            failures: 0,
            refused: None,
            refusals: 0,
            unheard: 0,
            frames: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// The lease in use.
    #[must_use]
    pub fn lease(&self) -> Option<&Lease> {
        self.taken().map(|taken| &taken.lease)
    }

    /// When the lease in use ends; `None`: never, or there is none.
    #[must_use]
    pub fn lease_end(&self) -> Option<Timestamp> {
        self.taken().and_then(Taken::times).map(|[.., end]| end)
    }

    /// The network that a server last offered and that could not be used, while there is no lease.
    #[must_use]
    pub fn refused(&self) -> Option<(Ipv4Net, Unusable)> {
        self.refused
    }

    /// The address to ask for next time.
    #[must_use]
    pub fn remembered(&self) -> Option<Remembered> {
        self.remembered
    }

    /// Whether a server's answer is waited for.
    #[must_use]
    pub fn expects_answer(&self) -> bool {
        self.ask().is_some()
    }

    /// The line has a carrier: asks for an address, for an Ethernet address that is ours.
    pub fn start(&mut self, now: Timestamp, mac: MacAddress) {
        self.stop();
        self.mac = mac;
        self.unheard = 0;
        match self.remembered {
            Some(Remembered { mac: then, address, standing: Standing::Held }) if then == mac => {
                self.state = State::Rebooting { ask: self.new_ask(now), address };
                self.transmit(now);
            }
            _ => self.select(now),
        }
    }

    /// The line has no carrier any more. What it had is remembered.
    pub fn stop(&mut self) {
        self.state = State::Stopped;
        self.failures = 0;
        self.frames.clear();
    }

    /// Gives the lease back, if there is one, and stops. The address is remembered as a wish.
    pub fn release(&mut self) {
        let held = self.held();
        self.stop();
        if let Some(taken) = held {
            self.give_back(&taken);
        }
    }

    /// Gives the lease back, if there is one, and asks for one at once, whatever was waited for. The address is a wish then.
    pub fn redial(&mut self, now: Timestamp) {
        if matches!(self.state, State::Stopped) {
            return;
        }
        if let Some(taken) = self.held() {
            self.end_lease(LeaseEnd::GivenBack);
            self.give_back(&taken);
        }
        self.failures = 0;
        self.select(now);
    }

    /// Takes in the networks of the LANs, which a lease must not overlap.
    pub fn handle_lan_networks(&mut self, now: Timestamp, lans: &[Ipv4Net]) {
        if self.lans == lans {
            return;
        }
        lans.clone_into(&mut self.lans);
        self.refused = None;
        match self.held() {
            Some(taken) => {
                if let Some(lan) = lease::overlap(taken.lease.network, lans) {
                    self.send_release(&taken);
                    self.remembered = None;
                    self.end_lease(LeaseEnd::Unusable(Unusable::OverlapsLan(lan)));
                    self.select(now);
                }
            }
            // What was refused may be right now.
            None if matches!(self.state, State::Selecting { .. } | State::Waiting { .. }) => self.select(now),
            None => {}
        }
    }

    /// Handles a DHCP message: the payload of UDP, and the Ethernet address that it came from.
    pub fn handle_packet(&mut self, now: Timestamp, from: MacAddress, message: &[u8]) {
        let Some(ask) = self.ask() else { return };
        let Some(reply) = Reply::parse(message, self.mac).filter(|reply| reply.transaction == ask.transaction) else {
            return;
        };
        self.unheard = 0;
        match reply.kind {
            ReplyKind::Offer => self.handle_offer(now, &reply),
            ReplyKind::Ack => self.handle_ack(now, from, reply, ask),
            ReplyKind::Nak => self.handle_nak(now, reply),
        }
    }

    /// Handles an ARP packet: what follows the Ethernet header.
    pub fn handle_arp(&mut self, now: Timestamp, packet: &[u8]) {
        let State::Probing { taken, .. } = &self.state else { return };
        let address = taken.lease.address();
        let Some(arp) = Arp::parse(packet).filter(|arp| arp.sender_mac != self.mac) else { return };
        // RFC 5227 section 2.1.1: somebody has it, or wants it at the same time.
        let wants_it = arp.operation == Operation::Request && arp.sender.is_unspecified() && arp.target == address;
        if arp.sender == address || wants_it {
            let server = taken.lease.server;
            self.remembered = None;
            self.report(ClientEvent::Declined { address, rival: arp.sender_mac });
            let sender = Sender { mac: self.mac, transaction: self.random.next_u32(), seconds: 0 };
            self.broadcast(sender, RequestKind::Decline { address, server });
            self.failures += 1;
            self.state = State::Waiting { until: now + DECLINE_WAIT };
        }
    }

    /// Has a lease in use extended before its time, for its line does not work: its own server is asked at first, then
    /// every server. One that does not know the lease any more says so (NAK), and the client begins anew.
    pub fn extend_early(&mut self, now: Timestamp) {
        let ask = self.new_ask(now);
        self.state = match self.state.clone() {
            State::Bound { taken } => State::Renewing { taken, ask },
            State::Renewing { taken, .. } | State::Rebinding { taken, .. } => State::Rebinding { taken, ask },
            _ => return,
        };
        self.transmit(now);
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if self.poll_timeout().is_none_or(|due| now < due) {
            return;
        }
        match &mut self.state {
            State::Stopped => {}
            State::Waiting { .. } => self.select(now),
            State::Rebooting { ask, .. } if ask.sent >= REBOOTS => self.select(now),
            State::Requesting { ask, .. } if ask.sent >= REQUESTS => self.select(now),
            State::Rebooting { .. } | State::Requesting { .. } | State::Selecting { .. } => self.transmit(now),
            State::Probing { probes, .. } if *probes < PROBES => self.probe(now),
            State::Probing { taken, .. } => {
                let taken = taken.clone();
                self.bind(now, taken);
            }
            State::Bound { taken } | State::Renewing { taken, .. } | State::Rebinding { taken, .. } => {
                let taken = taken.clone();
                self.extend(now, taken);
            }
        }
    }

    /// The next frame to send.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.frames.pop_front()
    }

    /// When [`Self::handle_timeout`] is due; `None`: when something has happened, not before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        match &self.state {
            State::Stopped => None,
            State::Waiting { until } => Some(*until),
            State::Rebooting { ask, .. } | State::Selecting { ask } | State::Requesting { ask, .. } => {
                Some(ask.resend_at)
            }
            State::Probing { next_at, .. } => Some(*next_at),
            State::Bound { taken } => taken.times().map(|[renew, ..]| renew),
            State::Renewing { taken, ask } => {
                Some(taken.times().map_or(ask.resend_at, |[_, rebind, _]| rebind.min(ask.resend_at)))
            }
            State::Rebinding { taken, ask } => {
                Some(taken.times().map_or(ask.resend_at, |[.., end]| end.min(ask.resend_at)))
            }
        }
    }

    /// The next thing that has happened.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    fn taken(&self) -> Option<&Taken> {
        match &self.state {
            State::Bound { taken } | State::Renewing { taken, .. } | State::Rebinding { taken, .. } => Some(taken),
            _ => None,
        }
    }

    /// What a server counts as ours, in use or not yet.
    fn held(&self) -> Option<Taken> {
        match &self.state {
            State::Probing { taken, .. } => Some(taken.clone()),
            _ => self.taken().cloned(),
        }
    }

    fn give_back(&mut self, taken: &Taken) {
        self.send_release(taken);
        let address = taken.lease.address();
        self.remembered = Some(Remembered { mac: self.mac, address, standing: Standing::Released });
    }

    fn ask(&self) -> Option<Ask> {
        match &self.state {
            State::Rebooting { ask, .. }
            | State::Selecting { ask }
            | State::Requesting { ask, .. }
            | State::Renewing { ask, .. }
            | State::Rebinding { ask, .. } => Some(*ask),
            State::Stopped | State::Waiting { .. } | State::Probing { .. } | State::Bound { .. } => None,
        }
    }

    fn new_ask(&mut self, now: Timestamp) -> Ask {
        Ask { transaction: self.random.next_u32(), since: now, sent_at: now, sent: 0, resend_at: now, seconds: 0 }
    }

    /// Begins from the beginning, now.
    fn select(&mut self, now: Timestamp) {
        self.state = State::Selecting { ask: self.new_ask(now) };
        self.transmit(now);
    }

    /// Begins from the beginning: at once after a first failure, then later and later.
    fn start_over(&mut self, now: Timestamp) {
        self.failures += 1;
        if self.failures == 1 {
            self.select(now);
        } else {
            let wait = FIRST_WAIT.saturating_mul(1 << self.failures.min(8)).min(LONGEST_WAIT);
            self.state = State::Waiting { until: now + wait };
        }
    }

    fn handle_offer(&mut self, now: Timestamp, reply: &Reply) {
        let State::Selecting { ask } = self.state else { return };
        match Lease::from_reply(reply, &self.lans) {
            Ok(lease) => {
                // RFC 2131 section 4.4.1: the same transaction and seconds as in the DISCOVER.
                let ask = Ask { sent: 0, ..ask };
                self.state = State::Requesting { ask, address: lease.address(), server: lease.server };
                self.transmit(now);
            }
            // Another server may offer something better.
            Err(why) => self.refuse(reply, why),
        }
    }

    fn handle_ack(&mut self, now: Timestamp, from: MacAddress, mut reply: Reply, ask: Ask) {
        let before = match &self.state {
            State::Selecting { .. } => return,
            State::Requesting { server, .. } if reply.server.is_some_and(|other| other != *server) => return,
            State::Requesting { server, .. } => {
                reply.server = Some(*server);
                None
            }
            _ => self.taken().cloned(),
        };
        if let Some(before) = before.as_ref().filter(|before| before.lease.address() == reply.address) {
            // A server that extends a lease need not say again what it said before.
            let lease = &before.lease;
            reply.server.get_or_insert(lease.server);
            reply.prefix_length.get_or_insert(lease.network.prefix_len());
            reply.router.get_or_insert(lease.gateway);
        }
        let lease = match Lease::from_reply(&reply, &self.lans) {
            Ok(lease) => lease,
            Err(why) => {
                self.refuse(&reply, why);
                self.remembered = None;
                self.end_lease(LeaseEnd::Unusable(why));
                return self.start_over(now);
            }
        };
        let taken = Taken { lease, asked_at: ask.sent_at, server_mac: from };
        match before {
            Some(before) if before.lease.address() == taken.lease.address() && !taken.is_over(now) => {
                let is_new = Lease { lifetime: before.lease.lifetime, ..taken.lease.clone() } != before.lease;
                let event = if is_new { ClientEvent::Leased(taken.lease.clone()) } else { ClientEvent::Extended };
                self.report(event);
                self.state = State::Bound { taken };
            }
            before => {
                if before.is_some() {
                    self.end_lease(LeaseEnd::Replaced(taken.lease.address()));
                }
                self.state = State::Probing { taken, probes: 0, next_at: now };
                self.probe(now);
            }
        }
    }

    fn handle_nak(&mut self, now: Timestamp, reply: Reply) {
        let address = match &self.state {
            State::Rebooting { address, .. } => *address,
            State::Requesting { address, server, .. } if reply.server.is_none_or(|other| other == *server) => *address,
            State::Renewing { taken, .. } | State::Rebinding { taken, .. } => taken.lease.address(),
            _ => return,
        };
        self.report(ClientEvent::Denied { address, message: reply.message });
        self.remembered = None;
        self.end_lease(LeaseEnd::TakenBack);
        self.start_over(now);
    }

    /// What is due in a lease's life from T1 on.
    fn extend(&mut self, now: Timestamp, taken: Taken) {
        // A lease without end is extended only because its line is lame.
        let Some([_, rebind, end]) = taken.times() else { return self.transmit(now) };
        if now >= end {
            self.end_lease(LeaseEnd::Expired);
            self.select(now);
            return;
        }
        if now >= rebind && !matches!(self.state, State::Rebinding { .. }) {
            self.state = State::Rebinding { taken, ask: self.new_ask(now) };
        } else if matches!(self.state, State::Bound { .. }) {
            self.state = State::Renewing { taken, ask: self.new_ask(now) };
        }
        self.transmit(now);
    }

    fn bind(&mut self, now: Timestamp, taken: Taken) {
        let address = taken.lease.address();
        self.remembered = Some(Remembered { mac: self.mac, address, standing: Standing::Held });
        // A short lease and an answer that took its time.
        if taken.is_over(now) {
            return self.start_over(now);
        }
        (self.failures, self.refused) = (0, None);
        self.report(ClientEvent::Leased(taken.lease.clone()));
        self.state = State::Bound { taken };
        // For the same reason it may be time to extend it.
        self.handle_timeout(now);
    }

    /// Tells that the lease in use, if there is one, is over.
    fn end_lease(&mut self, why: LeaseEnd) {
        if let Some(address) = self.lease().map(Lease::address) {
            self.report(ClientEvent::Ended { address, why });
        }
    }

    fn refuse(&mut self, reply: &Reply, why: Unusable) {
        let network = Ipv4Net::new_assert(reply.address, reply.prefix_length.unwrap_or(32).min(32));
        // An address may change from offer to offer; the network and the reason are what the owner must know.
        let is_news = self.refused.replace((network.trunc(), why)) != Some((network.trunc(), why));
        if is_news && self.refusals < REFUSALS {
            self.refusals += 1;
            self.report(ClientEvent::Refused { network, why });
        }
    }

    fn queue(&mut self, frame: Vec<u8>) {
        if self.frames.len() < LONGEST_QUEUE {
            self.frames.push_back(frame);
        }
    }

    fn report(&mut self, event: ClientEvent) {
        if self.events.len() < LONGEST_QUEUE {
            self.events.push_back(event);
        }
    }
}
