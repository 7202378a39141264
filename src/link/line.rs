//! One static line: is its interface there, has it a carrier, does its gateway answer?
//!
//! Theory of operation: the daemon tells the line what has become of its interface; with a carrier the line starts a
//! [`Neighbor`], without one it forgets it, so that a line that comes back is announced and resolved anew. Every
//! change of [`Availability`] is an event that says why.
//!
//! It does not know sockets or interface indices, and it does not probe beyond the gateway.

use std::collections::VecDeque;
use std::fmt;
use std::net::Ipv4Addr;

use super::arp::ArpFrame;
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
        })
    }
}

/// Something that has happened to a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
}

/// One static line.
#[derive(Debug)]
pub struct Line {
    address: Ipv4Addr,
    gateway: Ipv4Addr,
    state: State,
    events: VecDeque<LineEvent>,
}

#[derive(Debug)]
enum State {
    /// Leaves by: interface appears -> NoCarrier or Running.
    Missing,
    /// Leaves by: carrier -> Running; interface removed -> Missing.
    NoCarrier,
    /// Leaves by: carrier lost -> NoCarrier; interface removed -> Missing.
    Running { mac: MacAddress, neighbor: Neighbor },
}

impl Line {
    /// A line whose interface nobody has seen yet.
    #[must_use]
    pub fn new(address: Ipv4Addr, gateway: Ipv4Addr) -> Self {
        Self { address, gateway, state: State::Missing, events: VecDeque::new() }
    }

    /// Whether new flows may be given to the line.
    #[must_use]
    pub fn availability(&self) -> Availability {
        match &self.state {
            State::Missing => Availability::Missing,
            State::NoCarrier => Availability::NoCarrier,
            State::Running { neighbor, .. } if neighbor.gateway_mac().is_none() => Availability::Unresolved,
            State::Running { .. } => Availability::Usable,
        }
    }

    /// Destination and source of the Ethernet header that sends a packet to the gateway, once it is known.
    #[must_use]
    pub fn next_hop(&self) -> Option<(MacAddress, MacAddress)> {
        match &self.state {
            State::Running { mac, neighbor } => neighbor.gateway_mac().map(|gateway| (gateway, *mac)),
            State::Missing | State::NoCarrier => None,
        }
    }

    /// Takes in what has become of the interface; `None`: it is not there.
    pub fn handle_interface(&mut self, now: Timestamp, status: Option<InterfaceStatus>) {
        let from = self.availability();
        let (state, cause) = match (&self.state, status) {
            (State::Missing, None) => return,
            (_, None) => (State::Missing, Cause::InterfaceRemoved),
            (State::Running { mac, .. }, Some(status)) if status.running && *mac == status.mac => return,
            (State::Running { .. }, Some(status)) if status.running => (self.run(now, status.mac), Cause::MacChanged),
            (State::Running { .. }, Some(_)) => (State::NoCarrier, Cause::CarrierLost),
            (_, Some(status)) if status.running => (self.run(now, status.mac), Cause::CarrierFound),
            (State::NoCarrier, Some(_)) => return,
            (State::Missing, Some(_)) => (State::NoCarrier, Cause::InterfaceFound),
        };
        self.state = state;
        self.report_change(from, cause);
    }

    /// Handles an ARP packet: what follows the Ethernet header.
    pub fn handle_packet(&mut self, now: Timestamp, arp: &[u8]) {
        let from = self.availability();
        if let State::Running { neighbor, .. } = &mut self.state {
            neighbor.handle_packet(now, arp);
            self.take_events(from);
        }
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let from = self.availability();
        if let State::Running { neighbor, .. } = &mut self.state {
            neighbor.handle_timeout(now);
            self.take_events(from);
        }
    }

    /// The next frame to send.
    pub fn poll_transmit(&mut self) -> Option<ArpFrame> {
        match &mut self.state {
            State::Running { neighbor, .. } => neighbor.poll_transmit(),
            State::Missing | State::NoCarrier => None,
        }
    }

    /// When [`Self::handle_timeout`] is due; `None`: when something has happened, not before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        match &self.state {
            State::Running { neighbor, .. } => Some(neighbor.poll_timeout()),
            State::Missing | State::NoCarrier => None,
        }
    }

    /// The next thing that has happened.
    pub fn poll_event(&mut self) -> Option<LineEvent> {
        self.events.pop_front()
    }

    fn run(&self, now: Timestamp, mac: MacAddress) -> State {
        State::Running { mac, neighbor: Neighbor::new(now, mac, self.address, self.gateway) }
    }

    fn take_events(&mut self, from: Availability) {
        let State::Running { neighbor, .. } = &mut self.state else { return };
        let mut cause = None;
        while let Some(event) = neighbor.poll_event() {
            match event {
                NeighborEvent::Resolved(_) => cause = Some(Cause::GatewayAnswered),
                NeighborEvent::Lost => cause = Some(Cause::GatewaySilent),
                NeighborEvent::Moved { from, to } => self.events.push_back(LineEvent::GatewayMoved { from, to }),
                NeighborEvent::Conflict(rival) => self.events.push_back(LineEvent::AddressConflict(rival)),
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
}
