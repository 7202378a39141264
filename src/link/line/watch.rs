//! A line and its health: what is asked by way of it, and what that makes of it.

use std::net::Ipv4Addr;
use std::sync::Arc;

use super::addressing::Addressing;
use super::{Cause, Line, LineEvent, State};
use crate::flow::Timestamp;
use crate::link::arp::{Arp, Operation};
use crate::link::dhcp::Lease;
use crate::link::health::{Capacity, Health, HealthEvent, Peers, Settings, Standing, Traffic, Vicinity};
use crate::placement::{Availability, NextHop};
use crate::wire::buffer::ETHERTYPE_IPV4;
use crate::wire::pppoe;

impl Line {
    /// The line with its health watched.
    #[must_use]
    pub fn watched(self, health: Health) -> Self {
        Self { health: Some(Box::new(health)), ..self }
    }

    /// The line's health, if it is watched.
    #[must_use]
    pub fn health(&self) -> Option<&Health> {
        self.health.as_deref()
    }

    /// Takes in how the line is to be watched from now on.
    pub fn handle_health_settings(&mut self, now: Timestamp, settings: Arc<Settings>, capacity: Capacity) {
        if let Some(health) = &mut self.health {
            health.handle_settings(now, settings, capacity);
        }
    }

    /// Hosts whose answers by the ports for probes are the line's.
    #[must_use]
    pub fn probed(&self) -> Arc<[Ipv4Addr]> {
        self.health().map_or_else(Arc::default, Health::hosts)
    }

    /// Takes in the workers' counters of the line. What follows from them does so when a round of probes ends.
    pub fn handle_traffic(&mut self, now: Timestamp, traffic: Traffic) {
        if let Some(health) = &mut self.health {
            health.handle_traffic(now, traffic);
        }
    }

    /// Takes in whether other lines answer their users.
    pub fn handle_peers(&mut self, peers: Peers) {
        if let Some(health) = &mut self.health {
            health.handle_peers(peers);
        }
    }

    /// Handles an IP packet to one of the ports for probes.
    pub fn handle_answer(&mut self, now: Timestamp, packet: &[u8]) {
        let from = self.availability();
        if let Some(health) = &mut self.health {
            health.handle_packet(now, packet);
            if let Some(cause) = self.watch(now) {
                self.report_change(from, cause);
            }
        }
    }

    /// What the line is fit for, given an interface, an address and a gateway.
    pub(super) fn fitness(&self) -> Availability {
        match self.health().map(Health::standing) {
            None | Some(Standing::Up) => Availability::Usable,
            Some(Standing::Testing) => Availability::Testing,
            Some(Standing::Lame) => Availability::Lame,
        }
    }

    /// Tells the health of an ARP answer from the gateway to us.
    pub(super) fn hear_gateway(&mut self, now: Timestamp, arp: &[u8]) {
        let Some(ends) = self.ends() else { return };
        let Some(health) = &mut self.health else { return };
        let is_answer =
            |arp: &Arp| arp.operation == Operation::Reply && arp.sender == ends.gateway && arp.target == ends.address;
        if Arp::parse(arp).as_ref().is_some_and(is_answer) {
            health.handle_gateway(now);
        }
    }

    /// Tells the health how the line is, does what it wants done, and gives the cause if it has changed.
    pub(super) fn watch(&mut self, now: Timestamp) -> Option<Cause> {
        let vicinity = self.next_hop().and_then(|_| self.vicinity());
        let health = self.health.as_mut()?;
        health.handle_vicinity(now, vicinity);
        health.handle_timeout(now);
        let mut cause = None;
        while let Some(event) = health.poll_event() {
            match event {
                HealthEvent::Changed(why) => cause = Some(Cause::Health(why)),
                HealthEvent::AskGateway => match (&mut self.state, &self.addressing) {
                    (State::Running { neighbor: Some(neighbor), .. }, _) => neighbor.ask_again(),
                    // Its echoes have just been answered: no need to ask.
                    (_, Addressing::Pppoe(client)) if client.is_answered() => health.handle_gateway(now),
                    _ => {}
                },
                HealthEvent::SeekGateway => {
                    if let State::Running { neighbor: Some(neighbor), .. } = &mut self.state {
                        neighbor.seek();
                    }
                }
                HealthEvent::Redial => {
                    if let State::Running { neighbor: Some(neighbor), .. } = &mut self.state {
                        neighbor.ask_anew(now);
                    }
                    match &mut self.addressing {
                        Addressing::Static(_) | Addressing::Adopted(..) => {}
                        Addressing::Dhcp(client) => client.extend_early(now),
                        Addressing::Pppoe(client) => client.redial(now),
                    }
                    self.events.push_back(LineEvent::Redialled);
                }
            }
        }
        cause
    }

    fn vicinity(&self) -> Option<Vicinity> {
        let ends = self.ends()?;
        let name_servers = match &self.addressing {
            Addressing::Static(_) | Addressing::Adopted(..) => Vec::new(),
            Addressing::Dhcp(client) => client.lease().map(far_name_servers).unwrap_or_default(),
            Addressing::Pppoe(client) => {
                client.connection().map(|connection| connection.name_servers.clone()).unwrap_or_default()
            }
        };
        Some(Vicinity { address: ends.address, gateway: ends.gateway, name_servers })
    }

    /// The next probe, as a frame for the gateway.
    pub(super) fn next_probe(&mut self) -> Option<Vec<u8>> {
        let next_hop = self.next_hop()?;
        let packet = self.health.as_mut()?.poll_transmit()?;
        Some(framed(next_hop, &packet))
    }
}

/// Name servers beyond the line's own network: what a modem answers says nothing of the line behind it.
fn far_name_servers(lease: &Lease) -> Vec<Ipv4Addr> {
    let is_far = |server: &Ipv4Addr| !lease.network.contains(server) && *server != lease.gateway;
    lease.name_servers.iter().copied().filter(is_far).collect()
}

fn framed(next_hop: NextHop, packet: &[u8]) -> Vec<u8> {
    match next_hop {
        NextHop::Ethernet { gateway, own } => {
            [&gateway.0[..], &own.0[..], &ETHERTYPE_IPV4.to_be_bytes()[..], packet].concat()
        }
        NextHop::Pppoe { concentrator, own, session } => {
            [&pppoe::session_header((concentrator, own), session, packet.len())[..], packet].concat()
        }
        NextHop::Bare => packet.to_vec(),
    }
}
