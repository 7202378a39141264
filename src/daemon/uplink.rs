//! One uplink as the loop keeps it: its line, and its sockets while the interface is there.

use tracing::{info, warn};

use crate::config;
use crate::flow::Timestamp;
use crate::host::Interface;
use crate::io::FrameSender;
use crate::link::{InterfaceStatus, Line, LineEvent};
use crate::placement::{Availability, Uplink, UplinkId};

/// An uplink.
#[derive(Debug)]
pub(super) struct UplinkState {
    pub(super) id: UplinkId,
    pub(super) config: config::Uplink,
    pub(super) line: Line,
    /// As the kernel last told of it; `None`: it is not there.
    pub(super) interface: Option<Interface>,
    /// Whether the machine is prepared for it.
    pub(super) prepared: bool,
    /// Our own way to send there; the workers have sockets of theirs as long.
    pub(super) sender: Option<FrameSender>,
}

impl UplinkState {
    /// An uplink whose interface nobody has seen yet.
    pub(super) fn new(id: UplinkId, config: config::Uplink) -> Self {
        let line = Line::new(config.address.addr(), config.gateway);
        Self { id, config, line, interface: None, prepared: false, sender: None }
    }

    /// Tells the line how its interface is.
    pub(super) fn update_line(&mut self, now: Timestamp) {
        let status = self.interface.as_ref().and_then(|interface| {
            let running = interface.up && interface.carrier && self.sender.is_some();
            interface.mac.map(|mac| InterfaceStatus { mac, running })
        });
        self.line.handle_interface(now, status);
    }

    /// Sends what the line wants sent, and logs what has happened to it.
    pub(super) fn pump(&mut self) {
        while let Some(frame) = self.line.poll_transmit() {
            let Some(sender) = &self.sender else { continue };
            // The line asks again; a broken interface is told by an event of its own.
            if let Err(error) = sender.send(&frame) {
                warn!(uplink = %self.config.name, %error, "frame not sent");
            }
        }
        while let Some(event) = self.line.poll_event() {
            self.log(event);
        }
    }

    fn log(&self, event: LineEvent) {
        let (uplink, interface) = (&self.config.name, &self.config.interface);
        match event {
            LineEvent::Changed { to: Availability::Usable, cause, .. } => {
                let gateway_mac = self.line.next_hop().map(|(gateway, _)| gateway.to_string()).unwrap_or_default();
                info!(%uplink, %interface, %cause, gateway_mac, "uplink is up");
            }
            LineEvent::Changed { from: Availability::Usable, to, cause } => {
                warn!(%uplink, %interface, state = to.name(), %cause, "uplink is down");
            }
            LineEvent::Changed { to, cause, .. } => {
                info!(%uplink, %interface, state = to.name(), %cause, "uplink changed");
            }
            LineEvent::GatewayMoved { from, to } => {
                warn!(%uplink, gateway = %self.config.gateway, %from, %to, "gateway has another Ethernet address");
            }
            LineEvent::AddressConflict(rival) => {
                warn!(%uplink, address = %self.config.address.addr(), %rival, "somebody else uses our address");
            }
        }
    }

    /// As the packet path needs it.
    pub(super) fn snapshot(&self) -> Uplink {
        let mtu = self.interface.as_ref().map_or(1_500, |interface| interface.mtu);
        Uplink {
            id: self.id,
            name: self.config.name.shared(),
            interface: self.interface.as_ref().map(|interface| interface.index),
            availability: self.line.availability(),
            external: Some(self.config.address.addr()),
            mtu: u16::try_from(mtu).unwrap_or(u16::MAX),
            weight: self.config.weight,
            next_hop: self.line.next_hop(),
        }
    }
}
