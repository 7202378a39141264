//! One line: is its interface there, has it a carrier and an address, does its gateway answer?
//!
//! Theory of operation: the daemon tells the line what has become of its interface. With a carrier a line with a static
//! address starts a [`Neighbor`]; one whose address comes by DHCP starts its [`Client`], and a [`Neighbor`] for as long
//! as that has a lease with this address and gateway. Without a carrier both are stopped, so that a line that comes back
//! is announced and resolved anew. Every change of [`Availability`] is an event that says why.
//!
//! A person can take a line down by hand. All of this goes on beneath, so that the flows that it has live on and it is of
//! use at once when it is put back; but it is [`Availability::Down`], whatever becomes of it, and silent about that.
//!
//! It does not know sockets or interface indices, and it does not probe beyond the gateway.

use std::collections::VecDeque;
use std::fmt;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::dhcp::{Client, ClientEvent};
use super::neighbor::{Neighbor, NeighborEvent};
use crate::flow::Timestamp;
use crate::placement::Availability;
use crate::wire::MacAddress;

/// What a line must know of its interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceStatus {
    /// Its Ethernet address.
    pub mac: MacAddress,
    /// Whether it is up and has a carrier.
    pub running: bool,
}

/// What people want of a line (as RFC 2863's ifAdminStatus).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminStatus {
    /// That it carries what it can.
    Up,
    /// That it gets no new flows.
    Down,
}

/// Why a line's availability changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The interface is gone.
    InterfaceRemoved,
    /// The interface is down or its cable is out.
    CarrierLost,
    /// The interface is there and has a carrier.
    CarrierFound,
    /// The interface is there and has no carrier.
    InterfaceFound,
    /// The interface has another Ethernet address.
    MacChanged,
    /// The gateway has answered.
    GatewayAnswered,
    /// The gateway answers no more.
    GatewaySilent,
    /// The lease is over.
    LeaseEnded,
    /// The lease has another gateway.
    LeaseChanged,
    /// Somebody has taken it down.
    TakenDown,
    /// Whoever took it down has put it back.
    PutBack,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InterfaceRemoved => "interface removed",
            Self::CarrierLost => "carrier lost",
            Self::CarrierFound => "carrier found",
            Self::InterfaceFound => "interface found",
            Self::MacChanged => "interface changed its Ethernet address",
            Self::GatewayAnswered => "gateway answered",
            Self::GatewaySilent => "gateway silent",
            Self::LeaseEnded => "lease ended",
            Self::LeaseChanged => "lease changed",
            Self::TakenDown => "taken down by hand",
            Self::PutBack => "put back by hand",
        })
    }
}

/// Something that has happened to a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineEvent {
    /// It can do more or less than before.
    Changed {
        /// Before.
        from: Availability,
        /// Now.
        to: Availability,
        /// Why.
        cause: Cause,
    },
    /// The gateway has another Ethernet address.
    GatewayMoved {
        /// Before.
        from: MacAddress,
        /// Now.
        to: MacAddress,
    },
    /// Somebody else on the line uses our address.
    AddressConflict(MacAddress),
    /// Something has happened to its DHCP client.
    Dhcp(ClientEvent),
}

/// Our address on a line, and the gateway's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Ours.
    pub address: Ipv4Addr,
    /// The gateway's.
    pub gateway: Ipv4Addr,
}

/// One line.
#[derive(Debug)]
pub struct Line {
    addressing: Addressing,
    admin: AdminStatus,
    state: State,
    events: VecDeque<LineEvent>,
}

/// Where the line's addresses come from.
#[derive(Debug)]
enum Addressing {
    Static(Ends),
    Dhcp(Box<Client>),
}

#[derive(Debug)]
enum State {
    /// Leaves by: interface appears -> NoCarrier or Running.
    Missing,
    /// Leaves by: carrier -> Running; interface removed -> Missing.
    NoCarrier,
    /// Without a neighbor: it has no address. Leaves by: carrier lost -> NoCarrier; interface removed -> Missing.
    Running { mac: MacAddress, neighbor: Option<Neighbor> },
}

impl Line {
    /// A line with a static address, whose interface nobody has seen yet.
    #[must_use]
    pub fn new(address: Ipv4Addr, gateway: Ipv4Addr) -> Self {
        Self::with(Addressing::Static(Ends { address, gateway }))
    }

    /// A line that gets its address by DHCP, whose interface nobody has seen yet.
    #[must_use]
    pub fn with_dhcp(client: Client) -> Self {
        Self::with(Addressing::Dhcp(Box::new(client)))
    }

    fn with(addressing: Addressing) -> Self {
        Self { addressing, admin: AdminStatus::Up, state: State::Missing, events: VecDeque::new() }
    }

    /// The line as it starts when it was down by hand before: no event tells of what is no change.
    #[must_use]
    pub fn kept_down(self) -> Self {
        Self { admin: AdminStatus::Down, ..self }
    }

    /// What people want of the line.
    #[must_use]
    pub fn admin_status(&self) -> AdminStatus {
        self.admin
    }

    /// Our address and the gateway's; `None` while the line has none.
    #[must_use]
    pub fn ends(&self) -> Option<Ends> {
        match &self.addressing {
            Addressing::Static(ends) => Some(*ends),
            Addressing::Dhcp(client) => ends_of(client),
        }
    }

    /// The DHCP client, if the line has one.
    #[must_use]
    pub fn dhcp(&self) -> Option<&Client> {
        match &self.addressing {
            Addressing::Static(_) => None,
            Addressing::Dhcp(client) => Some(client),
        }
    }

    /// Whether new flows may be given to the line.
    #[must_use]
    pub fn availability(&self) -> Availability {
        match &self.state {
            _ if self.admin == AdminStatus::Down => Availability::Down,
            State::Missing => Availability::Missing,
            State::NoCarrier => Availability::NoCarrier,
            State::Running { .. } if self.next_hop().is_none() => Availability::Unresolved,
            State::Running { .. } => Availability::Usable,
        }
    }

    /// Destination and source of the Ethernet header that sends a packet to the gateway, once it is known.
    #[must_use]
    pub fn next_hop(&self) -> Option<(MacAddress, MacAddress)> {
        match &self.state {
            State::Running { mac, neighbor } => {
                neighbor.as_ref().and_then(Neighbor::gateway_mac).map(|gateway| (gateway, *mac))
            }
            State::Missing | State::NoCarrier => None,
        }
    }

    /// Takes in what has become of the interface; `None`: it is not there.
    pub fn handle_interface(&mut self, now: Timestamp, status: Option<InterfaceStatus>) {
        let from = self.availability();
        let (running, cause) = match (&self.state, status) {
            (State::Missing, None) => return,
            (_, None) => (None, Cause::InterfaceRemoved),
            (State::Running { mac, .. }, Some(status)) if status.running && *mac == status.mac => return,
            (State::Running { .. }, Some(status)) if status.running => (Some(status.mac), Cause::MacChanged),
            (State::Running { .. }, Some(_)) => (None, Cause::CarrierLost),
            (_, Some(status)) if status.running => (Some(status.mac), Cause::CarrierFound),
            (State::NoCarrier, Some(_)) => return,
            (State::Missing, Some(_)) => (None, Cause::InterfaceFound),
        };
        self.state = match (running, status) {
            (Some(mac), _) => self.run(now, mac),
            (None, Some(_)) => State::NoCarrier,
            (None, None) => State::Missing,
        };
        if running.is_none()
            && let Addressing::Dhcp(client) = &mut self.addressing
        {
            client.stop();
        }
        self.report_change(from, cause);
    }

    /// Takes in what people want of the line.
    pub fn handle_admin(&mut self, status: AdminStatus) {
        let from = self.availability();
        self.admin = status;
        let cause = match status {
            AdminStatus::Up => Cause::PutBack,
            AdminStatus::Down => Cause::TakenDown,
        };
        self.report_change(from, cause);
    }

    /// Takes in the networks of the LANs, which a line whose address comes by DHCP must not overlap.
    pub fn handle_lan_networks(&mut self, now: Timestamp, lans: &[Ipv4Net]) {
        let from = self.availability();
        if let Addressing::Dhcp(client) = &mut self.addressing {
            client.handle_lan_networks(now, lans);
            self.take_events(now, from);
        }
    }

    /// Handles an ARP packet: what follows the Ethernet header.
    pub fn handle_packet(&mut self, now: Timestamp, arp: &[u8]) {
        let from = self.availability();
        let State::Running { neighbor, .. } = &mut self.state else { return };
        if let Some(neighbor) = neighbor {
            neighbor.handle_packet(now, arp);
        }
        if let Addressing::Dhcp(client) = &mut self.addressing {
            client.handle_arp(now, arp);
        }
        self.take_events(now, from);
    }

    /// Handles a DHCP message to us, which came from this Ethernet address.
    pub fn handle_dhcp(&mut self, now: Timestamp, sender: MacAddress, message: &[u8]) {
        let from = self.availability();
        if let Addressing::Dhcp(client) = &mut self.addressing {
            client.handle_packet(now, sender, message);
            self.take_events(now, from);
        }
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let from = self.availability();
        if let State::Running { neighbor: Some(neighbor), .. } = &mut self.state {
            neighbor.handle_timeout(now);
        }
        if let Addressing::Dhcp(client) = &mut self.addressing {
            client.handle_timeout(now);
        }
        self.take_events(now, from);
    }

    /// Gives the address back, if it was given to us for a time. The line is of no use from then on.
    pub fn release(&mut self) {
        if let (Addressing::Dhcp(client), State::Running { neighbor, .. }) = (&mut self.addressing, &mut self.state) {
            client.release();
            *neighbor = None;
        }
    }

    /// The next frame to send.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        let State::Running { neighbor, .. } = &mut self.state else { return None };
        if let Addressing::Dhcp(client) = &mut self.addressing
            && let Some(frame) = client.poll_transmit()
        {
            return Some(frame);
        }
        neighbor.as_mut().and_then(Neighbor::poll_transmit).map(|frame| frame.to_vec())
    }

    /// When [`Self::handle_timeout`] is due; `None`: when something has happened, not before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let State::Running { neighbor, .. } = &self.state else { return None };
        let client = self.dhcp().and_then(Client::poll_timeout);
        neighbor.as_ref().map(Neighbor::poll_timeout).into_iter().chain(client).min()
    }

    /// The next thing that has happened.
    pub fn poll_event(&mut self) -> Option<LineEvent> {
        self.events.pop_front()
    }

    fn run(&mut self, now: Timestamp, mac: MacAddress) -> State {
        let neighbor = match &mut self.addressing {
            Addressing::Static(ends) => Some(Neighbor::new(now, mac, ends.address, ends.gateway)),
            Addressing::Dhcp(client) => {
                client.start(now, mac);
                None
            }
        };
        State::Running { mac, neighbor }
    }

    fn take_events(&mut self, now: Timestamp, from: Availability) {
        let State::Running { mac, neighbor } = &mut self.state else { return };
        let mut cause = None;
        while let Some(event) = neighbor.as_mut().and_then(Neighbor::poll_event) {
            match event {
                NeighborEvent::Resolved(_) => cause = Some(Cause::GatewayAnswered),
                NeighborEvent::Lost => cause = Some(Cause::GatewaySilent),
                NeighborEvent::Moved { from, to } => self.events.push_back(LineEvent::GatewayMoved { from, to }),
                NeighborEvent::Conflict(rival) => self.events.push_back(LineEvent::AddressConflict(rival)),
            }
        }
        if let Addressing::Dhcp(client) = &mut self.addressing {
            while let Some(event) = client.poll_event() {
                self.events.push_back(LineEvent::Dhcp(event));
            }
            let ends = ends_of(client);
            if ends
                != neighbor.as_ref().map(|neighbor| Ends { address: neighbor.address(), gateway: neighbor.gateway() })
            {
                *neighbor = ends.map(|ends| Neighbor::new(now, *mac, ends.address, ends.gateway));
                cause = Some(if ends.is_some() { Cause::LeaseChanged } else { Cause::LeaseEnded });
            }
        }
        if let Some(cause) = cause {
            self.report_change(from, cause);
        }
    }

    fn report_change(&mut self, from: Availability, cause: Cause) {
        let to = self.availability();
        if from != to {
            self.events.push_back(LineEvent::Changed { from, to, cause });
        }
    }
}

fn ends_of(client: &Client) -> Option<Ends> {
    client.lease().map(|lease| Ends { address: lease.address(), gateway: lease.gateway })
}

#[cfg(test)]
mod tests {
    use smoltcp::wire::{ArpOperation, ArpPacket, ArpRepr, EthernetAddress};

    use super::*;

    const OURS: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
    const THEIRS: MacAddress = MacAddress([2, 0, 0, 0, 0, 2]);
    const OTHER: MacAddress = MacAddress([2, 0, 0, 0, 0, 3]);
    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 2);
    const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 1);
    const RUNNING: Option<InterfaceStatus> = Some(InterfaceStatus { mac: OURS, running: true });
    const UNPLUGGED: Option<InterfaceStatus> = Some(InterfaceStatus { mac: OURS, running: false });

    fn at(milliseconds: u64) -> Timestamp {
        Timestamp::from_millis(milliseconds)
    }

    fn arp(mac: MacAddress, sender: Ipv4Addr) -> Vec<u8> {
        let repr = ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Reply,
            source_hardware_addr: EthernetAddress(mac.0),
            source_protocol_addr: sender,
            target_hardware_addr: EthernetAddress(OURS.0),
            target_protocol_addr: ADDRESS,
        };
        let mut bytes = vec![0; repr.buffer_len()];
        repr.emit(&mut ArpPacket::new_unchecked(&mut bytes));
        bytes
    }

    fn changed(from: Availability, to: Availability, cause: Cause) -> Option<LineEvent> {
        Some(LineEvent::Changed { from, to, cause })
    }

    fn up() -> Line {
        let mut line = Line::new(ADDRESS, GATEWAY);
        line.handle_interface(at(0), RUNNING);
        line.handle_packet(at(10), &arp(THEIRS, GATEWAY));
        while line.poll_event().is_some() {}
        while line.poll_transmit().is_some() {}
        line
    }

    #[test]
    fn line_comes_up_step_by_step() {
        let mut line = Line::new(ADDRESS, GATEWAY);
        assert_eq!((line.availability(), line.poll_timeout()), (Availability::Missing, None));
        line.handle_interface(at(0), UNPLUGGED);
        assert_eq!(line.poll_event(), changed(Availability::Missing, Availability::NoCarrier, Cause::InterfaceFound));
        line.handle_interface(at(5), RUNNING);
        let expected = changed(Availability::NoCarrier, Availability::Unresolved, Cause::CarrierFound);
        assert_eq!(line.poll_event(), expected);
        assert!(line.poll_transmit().is_some());
        line.handle_packet(at(10), &arp(THEIRS, GATEWAY));
        let expected = changed(Availability::Unresolved, Availability::Usable, Cause::GatewayAnswered);
        assert_eq!(line.poll_event(), expected);
        assert_eq!(line.next_hop(), Some((THEIRS, OURS)));
    }

    #[test]
    fn pulled_cable_takes_the_line_down_and_it_is_resolved_anew() {
        let mut line = up();
        line.handle_interface(at(100), UNPLUGGED);
        assert_eq!(line.poll_event(), changed(Availability::Usable, Availability::NoCarrier, Cause::CarrierLost));
        assert_eq!((line.next_hop(), line.poll_timeout()), (None, None));
        line.handle_packet(at(150), &arp(THEIRS, GATEWAY));
        assert_eq!(line.poll_event(), None);
        line.handle_interface(at(200), RUNNING);
        assert_eq!(line.availability(), Availability::Unresolved);
        assert!(line.poll_transmit().is_some(), "announced again");
    }

    #[test]
    fn removed_interface_is_missing_until_it_returns() {
        let mut line = up();
        line.handle_interface(at(100), None);
        assert_eq!(line.poll_event(), changed(Availability::Usable, Availability::Missing, Cause::InterfaceRemoved));
        line.handle_interface(at(200), None);
        assert_eq!(line.poll_event(), None);
        line.handle_interface(at(300), RUNNING);
        assert_eq!(line.poll_event(), changed(Availability::Missing, Availability::Unresolved, Cause::CarrierFound));
    }

    #[test]
    fn same_status_again_changes_nothing() {
        let mut line = up();
        line.handle_interface(at(100), RUNNING);
        assert_eq!((line.poll_event(), line.poll_transmit()), (None, None));
        assert_eq!(line.availability(), Availability::Usable);
    }

    #[test]
    fn new_address_of_the_interface_is_announced() {
        let mut line = up();
        line.handle_interface(at(100), Some(InterfaceStatus { mac: OTHER, running: true }));
        assert_eq!(line.poll_event(), changed(Availability::Usable, Availability::Unresolved, Cause::MacChanged));
        line.handle_packet(at(110), &arp(THEIRS, GATEWAY));
        assert_eq!(line.next_hop(), Some((THEIRS, OTHER)));
    }

    #[test]
    fn silent_gateway_takes_the_line_down_with_its_cause() {
        let mut line = up();
        while line.availability() == Availability::Usable {
            let due = line.poll_timeout().unwrap();
            assert!(due < at(40_000), "still up at {due:?}");
            line.handle_timeout(due);
        }
        let expected = changed(Availability::Usable, Availability::Unresolved, Cause::GatewaySilent);
        assert_eq!(line.poll_event(), expected);
    }

    #[test]
    fn moved_gateway_and_rival_are_reported_and_the_line_stays_up() {
        let mut line = up();
        line.handle_packet(at(100), &arp(OTHER, GATEWAY));
        line.handle_packet(at(100), &arp(THEIRS, ADDRESS));
        assert_eq!(line.poll_event(), Some(LineEvent::GatewayMoved { from: THEIRS, to: OTHER }));
        assert_eq!(line.poll_event(), Some(LineEvent::AddressConflict(THEIRS)));
        assert_eq!(line.poll_event(), None);
        assert_eq!(line.availability(), Availability::Usable);
    }

    #[test]
    fn line_taken_down_by_hand_keeps_its_gateway_and_is_up_at_once_when_put_back() {
        let mut line = up();
        for _ in 0..2 {
            line.handle_admin(AdminStatus::Down);
        }
        assert_eq!(line.poll_event(), changed(Availability::Usable, Availability::Down, Cause::TakenDown));
        assert_eq!((line.poll_event(), line.availability()), (None, Availability::Down));
        assert_eq!(line.next_hop(), Some((THEIRS, OURS)), "its flows have their way out");
        // The gateway is still asked whether it is there.
        let due = line.poll_timeout().unwrap();
        line.handle_timeout(due);
        assert!(line.poll_transmit().is_some());
        line.handle_packet(due, &arp(THEIRS, GATEWAY));
        for _ in 0..2 {
            line.handle_admin(AdminStatus::Up);
        }
        assert_eq!(line.poll_event(), changed(Availability::Down, Availability::Usable, Cause::PutBack));
        assert_eq!(line.poll_event(), None);
    }

    #[test]
    fn line_that_is_down_by_hand_stays_so_whatever_becomes_of_its_cable() {
        let mut line = up();
        line.handle_admin(AdminStatus::Down);
        while line.poll_event().is_some() {}
        for (now, status) in [(100, UNPLUGGED), (200, RUNNING), (300, None), (400, RUNNING)] {
            line.handle_interface(at(now), status);
            line.handle_packet(at(now), &arp(THEIRS, GATEWAY));
            assert_eq!((line.poll_event(), line.availability()), (None, Availability::Down));
        }
        line.handle_interface(at(500), UNPLUGGED);
        line.handle_admin(AdminStatus::Up);
        assert_eq!(line.poll_event(), changed(Availability::Down, Availability::NoCarrier, Cause::PutBack));
    }

    #[test]
    fn line_that_was_down_before_starts_so_without_a_word() {
        let mut line = Line::new(ADDRESS, GATEWAY).kept_down();
        line.handle_interface(at(0), RUNNING);
        line.handle_packet(at(10), &arp(THEIRS, GATEWAY));
        assert_eq!((line.poll_event(), line.availability()), (None, Availability::Down));
        line.handle_admin(AdminStatus::Up);
        assert_eq!(line.poll_event(), changed(Availability::Down, Availability::Usable, Cause::PutBack));
    }

    const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 1);

    /// A server's answer to the last message that the line sent.
    fn answer(line: &mut Line, kind: u8, gateway: Ipv4Addr) -> Vec<u8> {
        let sent = std::iter::from_fn(|| line.poll_transmit()).filter(|frame| frame[12..14] == [8, 0]).last().unwrap();
        let mut message = vec![0; 240];
        message[..3].copy_from_slice(&[2, 1, 6]);
        message[4..8].copy_from_slice(&sent[46..50]);
        message[16..20].copy_from_slice(&ADDRESS.octets());
        message[28..34].copy_from_slice(&OURS.0);
        message[236..].copy_from_slice(&[99, 130, 83, 99]);
        for (code, value) in
            [(54, SERVER.octets()), (1, [255, 255, 255, 0]), (3, gateway.octets()), (51, [0, 0, 3, 232])]
        {
            message.extend_from_slice(&[code, 4]);
            message.extend_from_slice(&value);
        }
        message.extend_from_slice(&[53, 1, kind, 255]);
        message
    }

    fn hear(line: &mut Line, now: u64, kind: u8, gateway: Ipv4Addr) {
        let message = answer(line, kind, gateway);
        line.handle_dhcp(at(now), THEIRS, &message);
    }

    /// Lets time pass up to `end`.
    fn pass(line: &mut Line, end: u64) {
        while let Some(due) = line.poll_timeout().filter(|due| *due <= at(end)) {
            line.handle_timeout(due);
            assert!(line.poll_timeout().is_none_or(|next| next > due), "a timeout that stays due would spin");
        }
    }

    fn leased() -> Line {
        let mut line = Line::with_dhcp(Client::new([3; 32], None));
        line.handle_interface(at(0), RUNNING);
        assert_eq!((line.availability(), line.ends()), (Availability::Unresolved, None));
        hear(&mut line, 0, 2, GATEWAY);
        hear(&mut line, 0, 5, GATEWAY);
        pass(&mut line, 400);
        line.handle_packet(at(410), &arp(THEIRS, GATEWAY));
        line
    }

    #[test]
    fn leased_line_comes_up_step_by_step() {
        let mut line = leased();
        assert_eq!(line.ends(), Some(Ends { address: ADDRESS, gateway: GATEWAY }));
        assert_eq!((line.availability(), line.next_hop()), (Availability::Usable, Some((THEIRS, OURS))));
        let events: Vec<_> = std::iter::from_fn(|| line.poll_event()).collect();
        assert_eq!(
            Some(&events[0]),
            changed(Availability::Missing, Availability::Unresolved, Cause::CarrierFound).as_ref()
        );
        assert!(matches!(events[1], LineEvent::Dhcp(ClientEvent::Leased(_))));
        let resolved = changed(Availability::Unresolved, Availability::Usable, Cause::GatewayAnswered);
        assert_eq!(Some(&events[2]), resolved.as_ref());
    }

    #[test]
    fn line_whose_lease_ends_is_down_and_says_why() {
        let mut line = leased();
        while line.poll_event().is_some() {}
        // The gateway answers as long as it is asked; the server never does.
        while line.ends().is_some() {
            let due = line.poll_timeout().unwrap();
            line.handle_timeout(due);
            line.handle_packet(due, &arp(THEIRS, GATEWAY));
        }
        assert!(matches!(line.poll_event(), Some(LineEvent::Dhcp(ClientEvent::Ended { .. }))));
        let expected = changed(Availability::Usable, Availability::Unresolved, Cause::LeaseEnded);
        assert_eq!((line.poll_event(), line.next_hop()), (expected, None));
    }

    #[test]
    fn leased_line_keeps_its_lease_while_it_is_down_by_hand() {
        let mut line = leased();
        line.handle_admin(AdminStatus::Down);
        while line.poll_event().is_some() || line.poll_transmit().is_some() {}
        while !line.dhcp().unwrap().expects_answer() {
            let due = line.poll_timeout().unwrap();
            line.handle_timeout(due);
            line.handle_packet(due, &arp(THEIRS, GATEWAY));
        }
        hear(&mut line, 500_100, 5, GATEWAY);
        assert_eq!(line.ends(), Some(Ends { address: ADDRESS, gateway: GATEWAY }));
        assert!(std::iter::from_fn(|| line.poll_event()).all(|event| matches!(event, LineEvent::Dhcp(_))));
        line.handle_admin(AdminStatus::Up);
        assert_eq!(line.availability(), Availability::Usable);
    }

    #[test]
    fn gateway_of_another_lease_is_resolved_anew() {
        let mut line = leased();
        while line.poll_event().is_some() || line.poll_transmit().is_some() {}
        while !line.dhcp().unwrap().expects_answer() {
            let due = line.poll_timeout().unwrap();
            line.handle_timeout(due);
            line.handle_packet(due, &arp(THEIRS, GATEWAY));
        }
        let other = Ipv4Addr::new(10, 77, 1, 254);
        hear(&mut line, 500_100, 5, other);
        assert_eq!(line.ends(), Some(Ends { address: ADDRESS, gateway: other }));
        assert_eq!((line.availability(), line.next_hop()), (Availability::Unresolved, None));
        line.handle_packet(at(500_200), &arp(OTHER, other));
        assert_eq!(line.next_hop(), Some((OTHER, OURS)));
    }

    #[test]
    fn pulled_cable_ends_the_asking_and_a_release_all() {
        let mut line = leased();
        line.handle_interface(at(1_000), UNPLUGGED);
        assert_eq!((line.ends(), line.poll_timeout(), line.poll_transmit()), (None, None, None));
        let mut line = leased();
        while line.poll_transmit().is_some() {}
        line.release();
        let sent: Vec<_> = std::iter::from_fn(|| line.poll_transmit()).collect();
        assert!(sent.len() == 1 && sent[0].len() > 300, "one RELEASE");
        assert_eq!((line.ends(), line.poll_timeout()), (None, None));
        let mut line = up();
        line.release();
        assert_eq!(line.availability(), Availability::Usable, "a static line has nothing to give back");
    }
}
