//! ARP (RFC 826) for the one neighbour that matters on an uplink: its gateway.
//!
//! Theory of operation: the kernel has no address on an uplink of ours, so we speak ARP there ourselves. At the start
//! the address is announced (RFC 5227) and the gateway asked for, quickly at first, then once a second. A known gateway
//! is asked again every 30 seconds, by unicast, then by broadcast; when it stays silent it is lost, and asked for as at
//! the start. Whatever ARP the gateway sends tells us its Ethernet address, so one that moved is followed at once.
//! Requests for our address are answered; somebody else who claims it is told off once in ten seconds and reported.
//!
//! It does not probe before use (RFC 5227 section 2.1): a router that waits for seconds after a cable is plugged in
//! helps nobody, and a static address was given to us by the provider. (The DHCP client probes, more briefly.) It knows
//! no other neighbours.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::arp::{Arp, ArpFrame, Operation};
use crate::flow::Timestamp;
use crate::wire::MacAddress;

// RFC 5227 section 1.1.
/// How often an address is announced.
const ANNOUNCEMENTS: u8 = 2;
/// Time between two announcements.
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);
/// An address is defended at most once in this time.
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);

// Ours.
/// First wait for an answer; doubled each time, up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// RFC 1122 section 2.3.2.1 recommends at most one request a second.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// A gateway that has said nothing for this long is asked whether it is still there.
const REFRESH_AFTER: Duration = Duration::from_secs(30);
/// Wait for each answer while asking that.
const REFRESH_WAIT: Duration = Duration::from_millis(500);
/// Of the questions asked then, the first ones go to the known address only.
const UNICAST_REFRESHES: u32 = 2;
/// The questions asked then, all together; after that the gateway is lost: 2.5 seconds.
const REFRESHES: u32 = 5;
/// Frames that may wait to be sent. What comes above is lost, as on a wire.
const LONGEST_QUEUE: usize = 16;

/// What the neighbour's owner should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeighborEvent {
    /// The gateway has answered: packets can be sent to this address.
    Resolved(MacAddress),
    /// The gateway has another Ethernet address than before.
    Moved {
        /// Before.
        from: MacAddress,
        /// Now.
        to: MacAddress,
    },
    /// The gateway answers no more.
    Lost,
    /// Somebody else uses our address.
    Conflict(MacAddress),
}

/// What is known of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Asked for `asked` times, without an answer. Leaves by: any ARP from it -> Known.
    Resolving { asked: u32, ask_at: Timestamp },
    /// Leaves by: silence until `refresh_at` -> Refreshing.
    Known { mac: MacAddress, refresh_at: Timestamp },
    /// Asked `asked` times whether it is still there. Leaves by: any ARP from it -> Known; silence -> Resolving.
    Refreshing { mac: MacAddress, asked: u32, ask_at: Timestamp },
}

/// Whose the address on the uplink is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    /// Ours: announced, answered for and defended.
    Ours,
    /// The kernel's, which does all that.
    Kernels,
}

/// ARP on one uplink.
#[derive(Debug)]
pub struct Neighbor {
    claim: Claim,
    mac: MacAddress,
    address: Ipv4Addr,
    gateway: Ipv4Addr,
    state: State,
    announcements_left: u8,
    announce_at: Timestamp,
    defend_after: Timestamp,
    frames: VecDeque<ArpFrame>,
    events: VecDeque<NeighborEvent>,
}

impl Neighbor {
    /// Starts to announce `address`, ours, at `mac`, ours, and to ask for `gateway`.
    #[must_use]
    pub fn new(now: Timestamp, mac: MacAddress, address: Ipv4Addr, gateway: Ipv4Addr) -> Self {
        Self::claiming(Claim::Ours, now, mac, address, gateway)
    }

    /// Starts to ask for `gateway`, in the name of the kernel, whose `address` is: no more than that.
    #[must_use]
    pub fn asking(now: Timestamp, mac: MacAddress, address: Ipv4Addr, gateway: Ipv4Addr) -> Self {
        Self::claiming(Claim::Kernels, now, mac, address, gateway)
    }

    fn claiming(claim: Claim, now: Timestamp, mac: MacAddress, address: Ipv4Addr, gateway: Ipv4Addr) -> Self {
        let mut neighbor = Self {
            claim,
            mac,
            address,
            gateway,
            state: State::Resolving { asked: 0, ask_at: now },
            announcements_left: if claim == Claim::Ours { ANNOUNCEMENTS } else { 0 },
            announce_at: now,
            defend_after: now,
            frames: VecDeque::new(),
            events: VecDeque::new(),
        };
        neighbor.handle_timeout(now);
        neighbor
    }

    /// The address that it announces and defends.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// The gateway that it asks for.
    #[must_use]
    pub fn gateway(&self) -> Ipv4Addr {
        self.gateway
    }

    /// The gateway's Ethernet address, once it is known.
    #[must_use]
    pub fn gateway_mac(&self) -> Option<MacAddress> {
        match self.state {
            State::Resolving { .. } => None,
            State::Known { mac, .. } | State::Refreshing { mac, .. } => Some(mac),
        }
    }

    /// Handles an ARP packet: what follows the Ethernet header. Anything else, or anything broken, is ignored.
    pub fn handle_packet(&mut self, now: Timestamp, arp: &[u8]) {
        let Some(Arp { operation, sender_mac, sender, target, .. }) = Arp::parse(arp) else { return };
        if sender_mac == self.mac {
            return;
        }
        if sender == self.address {
            if self.claim == Claim::Ours {
                self.defend(now, sender_mac);
            }
            return;
        }
        if sender == self.gateway {
            self.hear_gateway(now, sender_mac);
        }
        // RFC 5227 section 2.1.1: a probe, whose sender is 0.0.0.0, is answered like any request.
        if self.claim == Claim::Ours && operation == Operation::Request && target == self.address {
            self.queue(Operation::Reply, sender_mac, sender_mac, sender);
        }
    }

    /// Asks a known gateway once whether it is there: its answer is an ARP packet like any other.
    pub fn ask_again(&mut self) {
        if let Some(mac) = self.gateway_mac() {
            self.ask(mac);
        }
    }

    /// Asks everybody once for a known gateway: it may have moved.
    pub fn seek(&mut self) {
        if self.gateway_mac().is_some() {
            self.ask(MacAddress::BROADCAST);
        }
    }

    /// Asks everybody for a known gateway: it may have moved. One that stays silent is lost.
    pub fn ask_anew(&mut self, now: Timestamp) {
        if let Some(mac) = self.gateway_mac() {
            self.refresh(now, mac, UNICAST_REFRESHES);
        }
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if self.announcements_left > 0 && self.announce_at <= now {
            self.announce();
            self.announcements_left -= 1;
            self.announce_at = now + ANNOUNCE_INTERVAL;
        }
        match self.state {
            State::Resolving { asked, ask_at } if ask_at <= now => {
                self.ask(MacAddress::BROADCAST);
                let wait = FIRST_WAIT.saturating_mul(1 << asked.min(8)).min(LONGEST_WAIT);
                self.state = State::Resolving { asked: asked.saturating_add(1), ask_at: now + wait };
            }
            State::Known { mac, refresh_at } if refresh_at <= now => self.refresh(now, mac, 0),
            State::Refreshing { mac, asked, ask_at } if ask_at <= now => self.refresh(now, mac, asked),
            _ => {}
        }
    }

    /// The next frame to send.
    pub fn poll_transmit(&mut self) -> Option<ArpFrame> {
        self.frames.pop_front()
    }

    /// When [`Self::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Timestamp {
        let state_at = match self.state {
            State::Resolving { ask_at, .. } | State::Refreshing { ask_at, .. } => ask_at,
            State::Known { refresh_at, .. } => refresh_at,
        };
        if self.announcements_left > 0 { state_at.min(self.announce_at) } else { state_at }
    }

    /// The next thing that has happened.
    pub fn poll_event(&mut self) -> Option<NeighborEvent> {
        self.events.pop_front()
    }

    fn hear_gateway(&mut self, now: Timestamp, mac: MacAddress) {
        match self.gateway_mac() {
            None => self.report(NeighborEvent::Resolved(mac)),
            Some(known) if known != mac => self.report(NeighborEvent::Moved { from: known, to: mac }),
            Some(_) => {}
        }
        self.state = State::Known { mac, refresh_at: now + REFRESH_AFTER };
    }

    /// Asks the gateway whether it is still there, or gives it up.
    fn refresh(&mut self, now: Timestamp, mac: MacAddress, asked: u32) {
        if asked == REFRESHES {
            self.report(NeighborEvent::Lost);
            self.state = State::Resolving { asked: 0, ask_at: now };
            self.handle_timeout(now);
            return;
        }
        self.ask(if asked < UNICAST_REFRESHES { mac } else { MacAddress::BROADCAST });
        self.state = State::Refreshing { mac, asked: asked + 1, ask_at: now + REFRESH_WAIT };
    }

    /// RFC 5227 section 2.4 (b): say once that the address is ours, and not again soon, or two would shout for ever.
    fn defend(&mut self, now: Timestamp, rival: MacAddress) {
        if now < self.defend_after {
            return;
        }
        self.defend_after = now + DEFEND_INTERVAL;
        self.announce();
        self.report(NeighborEvent::Conflict(rival));
    }

    fn announce(&mut self) {
        self.queue(Operation::Request, MacAddress::BROADCAST, MacAddress::default(), self.address);
    }

    fn ask(&mut self, to: MacAddress) {
        self.queue(Operation::Request, to, MacAddress::default(), self.gateway);
    }

    fn report(&mut self, event: NeighborEvent) {
        if self.events.len() < LONGEST_QUEUE {
            self.events.push_back(event);
        }
    }

    fn queue(&mut self, operation: Operation, to: MacAddress, target_mac: MacAddress, target: Ipv4Addr) {
        if self.frames.len() >= LONGEST_QUEUE {
            return;
        }
        let arp = Arp { operation, sender_mac: self.mac, sender: self.address, target_mac, target };
        self.frames.push_back(arp.frame(to));
    }
}

#[cfg(test)]
mod tests {
    use smoltcp::wire::{ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol};

    use super::*;

    const OURS: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
    const THEIRS: MacAddress = MacAddress([2, 0, 0, 0, 0, 2]);
    const OTHER: MacAddress = MacAddress([2, 0, 0, 0, 0, 3]);
    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 2);
    const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 1);
    const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 9);

    fn at(milliseconds: u64) -> Timestamp {
        Timestamp::from_millis(milliseconds)
    }

    /// A frame as the far end reads it: to whom, operation, who asks, for what.
    type Seen = (MacAddress, ArpOperation, Ipv4Addr, Ipv4Addr);

    fn sent(neighbor: &mut Neighbor) -> Vec<Seen> {
        std::iter::from_fn(|| neighbor.poll_transmit()).map(|bytes| seen(&bytes)).collect()
    }

    fn seen(bytes: &ArpFrame) -> Seen {
        let frame = EthernetFrame::new_checked(&bytes[..]).unwrap();
        assert_eq!((frame.ethertype(), frame.src_addr()), (EthernetProtocol::Arp, EthernetAddress(OURS.0)));
        let ArpRepr::EthernetIpv4 {
            operation, source_protocol_addr, target_protocol_addr, source_hardware_addr, ..
        } = ArpRepr::parse(&ArpPacket::new_checked(frame.payload()).unwrap()).unwrap()
        else {
            panic!("not IPv4")
        };
        assert_eq!(source_hardware_addr, EthernetAddress(OURS.0));
        (MacAddress(frame.dst_addr().0), operation, source_protocol_addr, target_protocol_addr)
    }

    fn arp(operation: ArpOperation, mac: MacAddress, sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
        let repr = ArpRepr::EthernetIpv4 {
            operation,
            source_hardware_addr: EthernetAddress(mac.0),
            source_protocol_addr: sender,
            target_hardware_addr: EthernetAddress([0; 6]),
            target_protocol_addr: target,
        };
        let mut bytes = vec![0; repr.buffer_len()];
        repr.emit(&mut ArpPacket::new_unchecked(&mut bytes));
        bytes
    }

    #[test]
    fn known_gateway_is_asked_when_somebody_wants_to_know() {
        let mut neighbor = Neighbor::new(at(0), OURS, ADDRESS, GATEWAY);
        sent(&mut neighbor);
        neighbor.ask_again();
        neighbor.ask_anew(at(50));
        assert_eq!(sent(&mut neighbor), [], "it is asked for already");
        neighbor.handle_packet(at(60), &reply(THEIRS));
        neighbor.ask_again();
        assert_eq!(sent(&mut neighbor), [(THEIRS, ArpOperation::Request, ADDRESS, GATEWAY)]);
        neighbor.ask_anew(at(70));
        assert_eq!(sent(&mut neighbor), [(MacAddress::BROADCAST, ArpOperation::Request, ADDRESS, GATEWAY)]);
        // Silence: it is lost after the rest of the questions.
        for milliseconds in [570, 1_070, 1_570] {
            assert_eq!(neighbor.poll_timeout(), at(milliseconds));
            neighbor.handle_timeout(at(milliseconds));
        }
        assert_eq!(neighbor.gateway_mac(), None);
    }

    fn reply(mac: MacAddress) -> Vec<u8> {
        arp(ArpOperation::Reply, mac, GATEWAY, ADDRESS)
    }

    const ANNOUNCEMENT: Seen = (MacAddress::BROADCAST, ArpOperation::Request, ADDRESS, ADDRESS);
    const QUESTION: Seen = (MacAddress::BROADCAST, ArpOperation::Request, ADDRESS, GATEWAY);
    const UNICAST_QUESTION: Seen = (THEIRS, ArpOperation::Request, ADDRESS, GATEWAY);

    fn started() -> Neighbor {
        Neighbor::new(at(0), OURS, ADDRESS, GATEWAY)
    }

    fn resolved() -> Neighbor {
        let mut neighbor = started();
        neighbor.handle_packet(at(1), &reply(THEIRS));
        neighbor.handle_timeout(at(2_000));
        assert_eq!(neighbor.poll_event(), Some(NeighborEvent::Resolved(THEIRS)));
        sent(&mut neighbor);
        neighbor
    }

    /// Lets time pass up to `end`; returns the times at which something was sent.
    fn run(neighbor: &mut Neighbor, end: u64) -> Vec<(u64, Seen)> {
        let mut log = Vec::new();
        while neighbor.poll_timeout() <= at(end) {
            let now = neighbor.poll_timeout();
            neighbor.handle_timeout(now);
            log.extend(sent(neighbor).into_iter().map(|seen| (now.as_millis(), seen)));
            assert!(neighbor.poll_timeout() > now, "a timeout that stays due would spin");
        }
        log
    }

    #[test]
    fn start_announces_and_asks_quickly_then_slower() {
        let mut neighbor = started();
        assert_eq!(sent(&mut neighbor), [ANNOUNCEMENT, QUESTION]);
        let log = run(&mut neighbor, 5_000);
        let questions: Vec<_> = log.iter().filter(|(_, seen)| *seen == QUESTION).map(|(at, _)| *at).collect();
        assert_eq!(questions, [100, 300, 700, 1_500, 2_500, 3_500, 4_500]);
        let announcements: Vec<_> = log.iter().filter(|(_, seen)| *seen == ANNOUNCEMENT).map(|(at, _)| *at).collect();
        assert_eq!(announcements, [2_000]);
        assert_eq!(neighbor.gateway_mac(), None);
    }

    #[test]
    fn answer_resolves_and_ends_the_asking() {
        let mut neighbor = started();
        neighbor.handle_packet(at(50), &reply(THEIRS));
        assert_eq!(neighbor.poll_event(), Some(NeighborEvent::Resolved(THEIRS)));
        assert_eq!(neighbor.gateway_mac(), Some(THEIRS));
        sent(&mut neighbor);
        assert_eq!(run(&mut neighbor, 30_000), [(2_000, ANNOUNCEMENT)]);
    }

    #[test]
    fn known_gateway_is_refreshed_by_unicast_and_stays() {
        let mut neighbor = resolved();
        assert_eq!(run(&mut neighbor, 30_400), [(30_001, UNICAST_QUESTION)]);
        neighbor.handle_packet(at(30_450), &reply(THEIRS));
        assert_eq!(neighbor.poll_event(), None);
        assert_eq!(neighbor.poll_timeout(), at(60_450));
    }

    #[test]
    fn silent_gateway_is_asked_by_broadcast_then_lost_then_found_again() {
        let mut neighbor = resolved();
        let log = run(&mut neighbor, 32_600);
        let expected = [
            (30_001, UNICAST_QUESTION),
            (30_501, UNICAST_QUESTION),
            (31_001, QUESTION),
            (31_501, QUESTION),
            (32_001, QUESTION),
            (32_501, QUESTION),
        ];
        assert_eq!(log, expected);
        assert_eq!(neighbor.poll_event(), Some(NeighborEvent::Lost));
        assert_eq!(neighbor.gateway_mac(), None);
        neighbor.handle_packet(at(40_000), &reply(THEIRS));
        assert_eq!(neighbor.poll_event(), Some(NeighborEvent::Resolved(THEIRS)));
    }

    #[test]
    fn gateway_that_moves_is_followed_at_its_gratuitous_arp() {
        let mut neighbor = resolved();
        neighbor.handle_packet(at(5_000), &arp(ArpOperation::Request, OTHER, GATEWAY, GATEWAY));
        assert_eq!(neighbor.poll_event(), Some(NeighborEvent::Moved { from: THEIRS, to: OTHER }));
        assert_eq!(neighbor.gateway_mac(), Some(OTHER));
        neighbor.handle_packet(at(6_000), &reply(OTHER));
        assert_eq!(neighbor.poll_event(), None, "it moved once");
    }

    #[test]
    fn requests_for_our_address_are_answered_and_others_not() {
        let mut neighbor = resolved();
        neighbor.handle_packet(at(5_000), &arp(ArpOperation::Request, OTHER, STRANGER, ADDRESS));
        assert_eq!(sent(&mut neighbor), [(OTHER, ArpOperation::Reply, ADDRESS, STRANGER)]);
        neighbor.handle_packet(at(5_000), &arp(ArpOperation::Request, OTHER, STRANGER, GATEWAY));
        neighbor.handle_packet(at(5_000), &arp(ArpOperation::Reply, OTHER, STRANGER, ADDRESS));
        assert_eq!(sent(&mut neighbor), []);
        assert_eq!(neighbor.poll_event(), None);
    }

    #[test]
    fn probe_for_our_address_is_answered() {
        let mut neighbor = resolved();
        neighbor.handle_packet(at(5_000), &arp(ArpOperation::Request, OTHER, Ipv4Addr::UNSPECIFIED, ADDRESS));
        assert_eq!(sent(&mut neighbor), [(OTHER, ArpOperation::Reply, ADDRESS, Ipv4Addr::UNSPECIFIED)]);
    }

    #[test]
    fn rival_is_told_off_once_in_ten_seconds() {
        let mut neighbor = resolved();
        let claim = arp(ArpOperation::Request, OTHER, ADDRESS, GATEWAY);
        for now in (5_000..14_000).step_by(500) {
            neighbor.handle_packet(at(now), &claim);
        }
        assert_eq!(sent(&mut neighbor), [ANNOUNCEMENT]);
        assert_eq!(neighbor.poll_event(), Some(NeighborEvent::Conflict(OTHER)));
        assert_eq!(neighbor.poll_event(), None);
        neighbor.handle_packet(at(15_000), &claim);
        assert_eq!(sent(&mut neighbor), [ANNOUNCEMENT]);
        assert_eq!(neighbor.gateway_mac(), Some(THEIRS));
    }

    #[test]
    fn our_own_frames_and_nonsense_are_ignored() {
        let mut neighbor = resolved();
        neighbor.handle_packet(at(5_000), &arp(ArpOperation::Request, OURS, ADDRESS, ADDRESS));
        neighbor.handle_packet(at(5_000), &arp(ArpOperation::Reply, MacAddress::BROADCAST, GATEWAY, ADDRESS));
        neighbor.handle_packet(at(5_000), &arp(ArpOperation::Reply, MacAddress::default(), GATEWAY, ADDRESS));
        let whole = reply(OTHER);
        for end in 0..whole.len() {
            neighbor.handle_packet(at(5_000), &whole[..end]);
        }
        for byte in 0..8 {
            let mut broken = whole.clone();
            broken[byte] ^= 0x40;
            neighbor.handle_packet(at(5_000), &broken);
        }
        assert_eq!(sent(&mut neighbor), []);
        assert_eq!(neighbor.poll_event(), None);
        assert_eq!(neighbor.gateway_mac(), Some(THEIRS));
    }

    #[test]
    fn flood_of_requests_fills_a_bounded_queue() {
        let mut neighbor = resolved();
        for _ in 0..1_000 {
            neighbor.handle_packet(at(5_000), &arp(ArpOperation::Request, OTHER, STRANGER, ADDRESS));
        }
        assert_eq!(sent(&mut neighbor).len(), LONGEST_QUEUE);
    }

    #[test]
    fn guest_of_the_kernel_asks_and_says_nothing_else() {
        let mut neighbor = Neighbor::asking(at(0), OURS, ADDRESS, GATEWAY);
        assert_eq!(sent(&mut neighbor), [QUESTION]);
        neighbor.handle_packet(at(10), &arp(ArpOperation::Request, OTHER, STRANGER, ADDRESS));
        neighbor.handle_packet(at(11), &arp(ArpOperation::Request, OTHER, ADDRESS, ADDRESS));
        assert_eq!((sent(&mut neighbor), neighbor.poll_event()), (Vec::new(), None));
        neighbor.handle_packet(at(12), &reply(THEIRS));
        assert_eq!(
            (neighbor.poll_event(), neighbor.gateway_mac()),
            (Some(NeighborEvent::Resolved(THEIRS)), Some(THEIRS))
        );
        assert_eq!(run(&mut neighbor, 30_012), [(30_012, UNICAST_QUESTION)]);
    }
}
