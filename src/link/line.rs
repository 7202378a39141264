//! One line: is its interface there, has it a carrier and an address, does its gateway answer?
//!
//! Theory of operation: the daemon tells the line what has become of its interface. With a carrier a line with a static
//! address starts a [`Neighbor`]; one whose address comes by DHCP starts its [`Client`], and a [`Neighbor`] for as long
//! as that has a lease with this address and gateway; one by PPPoE starts its [`pppoe::Client`] and needs no neighbour, for
//! the session is the way to its gateway. Without a carrier all are stopped, so that a line that comes back
//! is announced and resolved anew. Every change of [`Availability`] is an event that says why.
//!
//! A line whose address is the kernel's is told what the kernel has, and starts a [`Neighbor`] that only asks, or none where
//! there is no link header and so nobody to ask.
//!
//! A person can take a line down by hand. All of this goes on beneath, so that the flows that it has live on and it is of
//! use at once when it is put back; but it is [`Availability::Down`], whatever becomes of it, and silent about that.
//!
//! A person can have a line redialled (`redial`): its session is ended or its lease given back, and all is asked for anew.
//!
//! With a [`Health`] (`watch`) it is tested before it is of use, and can be lame; without one it is of use as soon as its
//! gateway has answered.
//!
//! It does not know sockets or interface indices.

mod addressing;
mod event;
mod redial;
mod watch;

use std::collections::VecDeque;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use self::addressing::Addressing;
use super::dhcp::Client;
use super::health::Health;
use super::neighbor::{Neighbor, NeighborEvent};
use super::pppoe;
use crate::flow::Timestamp;
use crate::placement::{Availability, NextHop};
use crate::wire::MacAddress;

pub use addressing::{Attachment, Ends};
pub use event::{Cause, LineEvent};
pub use redial::{CannotRedial, Redial};

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

/// One line.
#[derive(Debug)]
pub struct Line {
    addressing: Addressing,
    admin: AdminStatus,
    state: State,
    /// Until when its flows wait for it, while it is redialled by hand; `None`: it is not.
    redialled_until: Option<Timestamp>,
    health: Option<Box<Health>>,
    events: VecDeque<LineEvent>,
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

    /// A line that gets its address in a PPPoE session, whose interface nobody has seen yet.
    #[must_use]
    pub fn with_pppoe(client: pppoe::Client) -> Self {
        Self::with(Addressing::Pppoe(Box::new(client)))
    }

    /// A line whose address is the kernel's, which nobody knows yet.
    #[must_use]
    pub fn adopted() -> Self {
        Self::with(Addressing::Adopted(None, Attachment::Ethernet))
    }

    fn with(addressing: Addressing) -> Self {
        Self {
            addressing,
            admin: AdminStatus::Up,
            state: State::Missing,
            redialled_until: None,
            health: None,
            events: VecDeque::new(),
        }
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
        self.addressing.ends()
    }

    /// The DHCP client, if the line has one.
    #[must_use]
    pub fn dhcp(&self) -> Option<&Client> {
        match &self.addressing {
            Addressing::Dhcp(client) => Some(client),
            Addressing::Static(_) | Addressing::Pppoe(_) | Addressing::Adopted(..) => None,
        }
    }

    /// The PPPoE client, if the line has one.
    #[must_use]
    pub fn pppoe(&self) -> Option<&pppoe::Client> {
        match &self.addressing {
            Addressing::Pppoe(client) => Some(client),
            Addressing::Static(_) | Addressing::Dhcp(_) | Addressing::Adopted(..) => None,
        }
    }

    /// Whether new flows may be given to the line.
    #[must_use]
    pub fn availability(&self) -> Availability {
        if self.admin == AdminStatus::Down { Availability::Down } else { self.beneath() }
    }

    /// The same, whatever people want of the line.
    fn beneath(&self) -> Availability {
        match &self.state {
            State::Missing => Availability::Missing,
            State::NoCarrier => Availability::NoCarrier,
            State::Running { .. } if self.next_hop().is_none() => Availability::Unresolved,
            State::Running { .. } => self.fitness(),
        }
    }

    /// What sends a packet to the gateway, once that is known.
    #[must_use]
    pub fn next_hop(&self) -> Option<NextHop> {
        match &self.state {
            State::Running { mac, .. } if let Addressing::Pppoe(client) = &self.addressing => {
                let pppoe::Connection { concentrator, session, .. } = *client.connection()?;
                Some(NextHop::Pppoe { concentrator, own: *mac, session })
            }
            State::Running { .. } if matches!(self.addressing, Addressing::Adopted(Some(_), Attachment::Bare)) => {
                Some(NextHop::Bare)
            }
            State::Running { mac, neighbor } => {
                let gateway = neighbor.as_ref().and_then(Neighbor::gateway_mac)?;
                Some(NextHop::Ethernet { gateway, own: *mac })
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
            (Some(mac), _) => State::Running { mac, neighbor: self.addressing.start(now, mac) },
            (None, Some(_)) => State::NoCarrier,
            (None, None) => State::Missing,
        };
        if running.is_none() {
            self.addressing.stop();
            self.redialled_until = None;
        }
        self.watch(now);
        self.report_change(from, cause);
    }

    /// Takes in the interface's MTU, before [`Self::handle_interface`]: a PPPoE session is told what frames have room for.
    pub fn handle_interface_mtu(&mut self, mtu: u16) {
        if let Addressing::Pppoe(client) = &mut self.addressing {
            client.handle_interface_mtu(mtu);
        }
    }

    /// Takes in what the kernel has on the interface of a line whose address is the kernel's.
    pub fn handle_kernel_address(&mut self, now: Timestamp, ends: Option<Ends>, attachment: Attachment) {
        let from = self.availability();
        let Addressing::Adopted(known, by) = &mut self.addressing else { return };
        if (*known, *by) == (ends, attachment) {
            return;
        }
        (*known, *by) = (ends, attachment);
        if let State::Running { mac, .. } = self.state {
            self.state = State::Running { mac, neighbor: self.addressing.start(now, mac) };
        }
        self.report_change(from, if ends.is_some() { Cause::AddressFound } else { Cause::AddressLost });
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

    /// Takes in the networks of the LANs, which a line whose address the provider gives must not overlap.
    pub fn handle_lan_networks(&mut self, now: Timestamp, lans: &[Ipv4Net]) {
        let from = self.availability();
        self.addressing.handle_lan_networks(now, lans);
        self.take_events(now, from);
    }

    /// Handles an ARP packet: what follows the Ethernet header.
    pub fn handle_packet(&mut self, now: Timestamp, arp: &[u8]) {
        let from = self.availability();
        let State::Running { neighbor, .. } = &mut self.state else { return };
        if let Some(neighbor) = neighbor {
            neighbor.handle_packet(now, arp);
        }
        self.hear_gateway(now, arp);
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

    /// Handles a frame of PPPoE, Ethernet header first.
    pub fn handle_pppoe(&mut self, now: Timestamp, frame: &[u8]) {
        let from = self.availability();
        if let Addressing::Pppoe(client) = &mut self.addressing {
            client.handle_packet(now, frame);
            self.take_events(now, from);
        }
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let from = self.availability();
        if let State::Running { neighbor: Some(neighbor), .. } = &mut self.state {
            neighbor.handle_timeout(now);
        }
        self.addressing.handle_timeout(now);
        if let Some(health) = &mut self.health {
            health.handle_timeout(now);
        }
        self.end_redial(now);
        self.take_events(now, from);
    }

    /// Gives the address back, if it was given to us for a time. The line is of no use from then on.
    pub fn release(&mut self) {
        let State::Running { neighbor, .. } = &mut self.state else { return };
        self.addressing.release();
        if self.addressing.ends().is_none() {
            *neighbor = None;
        }
    }

    /// The next frame to send.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        let State::Running { neighbor, .. } = &mut self.state else { return None };
        if let Some(frame) = self.addressing.poll_transmit() {
            return Some(frame);
        }
        let arp = neighbor.as_mut().and_then(Neighbor::poll_transmit).map(|frame| frame.to_vec());
        arp.or_else(|| self.next_probe())
    }

    /// When [`Self::handle_timeout`] is due; `None`: when something has happened, not before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let State::Running { neighbor, .. } = &self.state else { return None };
        let client = self.addressing.poll_timeout();
        let health = self.health().and_then(Health::poll_timeout);
        let own = [client, health, self.redialled_until];
        neighbor.as_ref().map(Neighbor::poll_timeout).into_iter().chain(own.into_iter().flatten()).min()
    }

    /// The next thing that has happened.
    pub fn poll_event(&mut self) -> Option<LineEvent> {
        self.events.pop_front()
    }

    fn take_events(&mut self, now: Timestamp, from: Availability) {
        if let Some(cause) = self.hear_parts(now) {
            self.report_change(from, cause);
        }
    }

    /// Takes in what has happened to neighbour, client and health, and gives the cause if that may have changed the line.
    fn hear_parts(&mut self, now: Timestamp) -> Option<Cause> {
        let State::Running { mac, neighbor } = &mut self.state else { return None };
        let mut cause = None;
        while let Some(event) = neighbor.as_mut().and_then(Neighbor::poll_event) {
            match event {
                NeighborEvent::Resolved(_) => cause = Some(Cause::GatewayAnswered),
                NeighborEvent::Lost => cause = Some(Cause::GatewaySilent),
                NeighborEvent::Moved { from, to } => {
                    self.events.push_back(LineEvent::GatewayMoved { from, to });
                    if let Some(health) = &mut self.health {
                        health.handle_gateway_moved(now);
                    }
                }
                NeighborEvent::Conflict(rival) => self.events.push_back(LineEvent::AddressConflict(rival)),
            }
        }
        if let Addressing::Dhcp(client) = &mut self.addressing {
            while let Some(event) = client.poll_event() {
                self.events.push_back(LineEvent::Dhcp(event));
            }
            let ends = self.addressing.ends();
            if ends
                != neighbor.as_ref().map(|neighbor| Ends { address: neighbor.address(), gateway: neighbor.gateway() })
            {
                *neighbor = ends.map(|ends| Neighbor::new(now, *mac, ends.address, ends.gateway));
                cause = Some(if ends.is_some() { Cause::LeaseChanged } else { Cause::LeaseEnded });
            }
        }
        if let Addressing::Pppoe(client) = &mut self.addressing {
            while let Some(event) = client.poll_event() {
                cause = match event {
                    pppoe::ClientEvent::Connected(_) => Some(Cause::SessionUp),
                    pppoe::ClientEvent::Ended(_) => Some(Cause::SessionEnded),
                    pppoe::ClientEvent::Failed(_) => cause,
                };
                self.events.push_back(LineEvent::Pppoe(event));
            }
        }
        self.watch(now).or(cause)
    }

    fn report_change(&mut self, from: Availability, cause: Cause) {
        let to = self.availability();
        if from != to {
            self.events.push_back(LineEvent::Changed { from, to, cause });
        }
    }
}

#[cfg(test)]
mod tests;
