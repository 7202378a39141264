//! One uplink as the loop keeps it: its line, and its sockets while the interface is there.

use std::net::Ipv4Addr;
use std::sync::Arc;

use ipnet::Ipv4Net;
use tracing::{debug, info, warn};

use super::admin_file::RoleGiven;
use super::by_hand::ByHand;
use super::departure::Departure;
use super::health::capacity;
use super::history::{History, Kind, Record};
use super::learned::{Known, Learned};
use super::lease_file::LeaseFile;
use super::notable;
use super::place::Place;
use crate::config::{self, Role, UplinkKind};
use crate::flow::Timestamp;
use crate::host::{Interface, KernelLine};
use crate::io::{Cutting, FrameSender, Framing, Share};
use crate::link::dhcp::{Client, ClientEvent, Lease};
use crate::link::health::{self, Health};
use crate::link::pppoe::{self, Connection};
use crate::link::{Attachment, Cause, Ends, InterfaceStatus, Line, LineEvent};
use crate::nat::PortBounds;
use crate::placement::{AddressOwner, Availability, DhcpAnswers, Duty, NextHop, Uplink, UplinkId};
use crate::wire::MacAddress;

/// What a frame for the daemon can change that a worker reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    availability: Availability,
    next_hop: Option<NextHop>,
    lease: Option<Lease>,
    expects_lease: bool,
    session: Option<Connection>,
}

/// What a line of an uplink starts with.
pub(super) struct LineSeeds {
    /// Random, for its DHCP or PPPoE client.
    pub(super) client: [u8; 32],
    /// Random, for its probes.
    pub(super) probes: [u8; 32],
    /// How it is watched.
    pub(super) health: Arc<health::Settings>,
}

/// An uplink.
#[derive(Debug)]
pub(super) struct UplinkState {
    pub(super) id: UplinkId,
    /// Whether it is in the configuration.
    pub(super) place: Place,
    pub(super) config: config::Uplink,
    pub(super) line: Line,
    /// As the kernel last told of it; `None`: it is not there.
    pub(super) interface: Option<Interface>,
    /// Where its device is plugged in, if that is known.
    pub(super) path: Option<String>,
    /// What has become of the interface that it last lost.
    pub(super) departure: Departure,
    /// Whether the machine is prepared for it.
    pub(super) prepared: bool,
    /// Who cuts super-packets, on a line by PPPoE.
    pub(super) cutting: Cutting,
    /// What the kernel has on the interface of a line whose address is the kernel's.
    pub(super) kernel_line: KernelLine,
    /// What of that address our sockets take, while they are open.
    pub(super) share: Option<Share>,
    /// The external ports that its flows may have.
    pub(super) ports: PortBounds,
    /// Our own way to send there; the workers have sockets of theirs as long.
    pub(super) sender: Option<FrameSender>,
    /// The address that its flows have, and the only one that the packet path is given; `None`: it has no flows.
    pub(super) flows_address: Option<Ipv4Addr>,
    /// What people have made of it.
    pub(super) by_hand: ByHand,
    /// Whether it serves or waits, as far as it works.
    pub(super) duty: Duty,
    /// What was last told of that.
    pub(super) duty_told: Duty,
    /// What it has taught of itself.
    pub(super) learned: Learned,
    /// Where an address from DHCP is remembered.
    lease_file: Option<LeaseFile>,
    history: History,
}

impl UplinkState {
    /// An uplink whose interface nobody has seen yet. `flows_address` is what its flows of an earlier run
    /// have, `by_hand` what people made of it in an earlier run, `lease_file` for one of kind `dhcp`.
    pub(super) fn new(
        id: UplinkId,
        config: config::Uplink,
        flows_address: Option<Ipv4Addr>,
        seeds: LineSeeds,
        by_hand: ByHand,
        lease_file: LeaseFile,
        history: History,
    ) -> Self {
        let (line, lease_file) = match &config.kind {
            UplinkKind::Static { address, gateway } => (Line::new(address.addr(), *gateway), None),
            UplinkKind::Pppoe(login) => {
                (Line::with_pppoe(pppoe::Client::new(seeds.client, login.account.clone())), None)
            }
            UplinkKind::Dhcp => (Line::with_dhcp(Client::new(seeds.client, lease_file.remembered())), Some(lease_file)),
            UplinkKind::Adopted { .. } => (Line::adopted(), None),
        };
        let line = line.watched(Health::new(seeds.health, capacity(&config), seeds.probes));
        if let Some(RoleGiven { role, by, .. }) = &by_hand.role {
            warn!(uplink = %config.name, role = role.name(), %by, "uplink keeps the role that it was given by hand before the restart");
        }
        let line = match &by_hand.taken_down_by {
            None => line,
            Some(by) => {
                warn!(uplink = %config.name, %by, "uplink stays down: it was taken down by hand before the restart");
                line.kept_down()
            }
        };
        Self {
            id,
            place: Place::Configured,
            config,
            line,
            interface: None,
            path: None,
            departure: Departure::Removed,
            prepared: false,
            cutting: Cutting::default(),
            kernel_line: KernelLine::default(),
            share: None,
            ports: PortBounds::all(),
            sender: None,
            flows_address,
            by_hand,
            duty: Duty::Serves,
            duty_told: Duty::Serves,
            learned: Learned::default(),
            lease_file,
            history,
        }
    }

    /// What stands before the line's packets.
    pub(super) fn framing(&self) -> Framing {
        match self.config.kind {
            UplinkKind::Pppoe(_) => Framing::Pppoe(self.cutting),
            UplinkKind::Static { .. } | UplinkKind::Dhcp | UplinkKind::Adopted { .. } => Framing::Ethernet,
        }
    }

    /// Ends as an uplink: gives its address back and lets go of its interface, which it returns.
    pub(super) fn vacate(&mut self) -> Option<Interface> {
        self.line.release();
        self.pump();
        (self.place, self.flows_address) = (Place::Vacant, None);
        self.close();
        self.interface.take()
    }

    /// What it is for: as people have said, else as the configuration says. Nobody else in the daemon asks the configuration.
    pub(super) fn role(&self) -> Role {
        self.by_hand.role.as_ref().map_or(self.config.role, |given| given.role.into())
    }

    /// Takes in other settings of a line that goes on. Gives the role that people gave it, if that is over: the configuration has
    /// another one than when it was given.
    pub(super) fn handle_config(&mut self, config: config::Uplink) -> Option<RoleGiven> {
        let is_over = config.role != self.config.role;
        self.config = config;
        self.by_hand.role.take_if(|_| is_over)
    }

    /// Whether new flows may be given to it, among the others.
    pub(super) fn availability(&self) -> Availability {
        match (self.line.availability(), self.duty) {
            (Availability::Usable, Duty::Waits) => Availability::Standby,
            (availability, _) => availability,
        }
    }

    /// Closes what is open on the interface, for that is its no more.
    pub(super) fn close(&mut self) {
        (self.sender, self.share, self.prepared, self.kernel_line) = (None, None, false, KernelLine::default());
    }

    /// What is known of what it can do.
    pub(super) fn known(&self) -> Known {
        Known::of(&self.config, &self.learned)
    }

    /// Whether its address is the kernel's.
    pub(super) fn is_adopted(&self) -> bool {
        matches!(self.config.kind, UplinkKind::Adopted { .. })
    }

    /// What the kernel has for such a line: its address, and who takes our packets. Where there is no link header, nobody need
    /// be named.
    fn kernel_ends(&self) -> (Option<Ends>, Attachment) {
        let attachment = match &self.interface {
            Some(interface) if !interface.is_ethernet() => Attachment::Bare,
            _ => Attachment::Ethernet,
        };
        let UplinkKind::Adopted { gateway } = self.config.kind else { return (None, attachment) };
        let nobody = (attachment == Attachment::Bare).then_some(Ipv4Addr::UNSPECIFIED);
        let gateway = gateway.or(self.kernel_line.gateway).or(nobody);
        let ends = self.kernel_line.network.zip(gateway);
        (ends.map(|(network, gateway)| Ends { address: network.addr(), gateway }), attachment)
    }

    /// Tells the line how its interface is.
    pub(super) fn update_line(&mut self, now: Timestamp) {
        let status = self.interface.as_ref().and_then(|interface| {
            let has_address = !self.is_adopted() || self.kernel_line.network.is_some();
            let running = interface.up && interface.carrier && (self.sender.is_some() || !has_address);
            // Where the kernel has the address, a link without Ethernet will do.
            let mac = interface.mac.or_else(|| self.is_adopted().then(MacAddress::default));
            mac.map(|mac| InterfaceStatus { mac, running })
        });
        self.line.handle_interface_mtu(self.interface_mtu());
        self.line.handle_interface(now, status);
        if self.is_adopted() {
            let (ends, attachment) = self.kernel_ends();
            self.line.handle_kernel_address(now, ends, attachment);
        }
    }

    /// Sends what the line wants sent, and logs what has happened to it.
    pub(super) fn pump(&mut self) {
        while let Some(frame) = self.line.poll_transmit() {
            let Some(sender) = &self.sender else { continue };
            // The line asks again; a broken interface is told by an event of its own.
            if let Err(error) = sender.send(&frame).or_else(tolerate_full) {
                warn!(uplink = %self.config.name, %error, "frame not sent");
            }
        }
        while let Some(event) = self.line.poll_event() {
            if let LineEvent::Changed { from, to, cause } = event {
                self.record(from, to, cause);
            }
            if let Some(record) = notable::record_of(&event, self.line.ends()) {
                self.history.record(Record { uplink: Some(self.config.name.to_string()), ..record });
            }
            self.log(event);
        }
        if let (Some(file), Some(client)) = (&mut self.lease_file, self.line.dhcp()) {
            file.update(client.remembered());
        }
    }

    /// Our address on the line with the length of its network's prefix, and the gateway's, while the line has them.
    pub(super) fn addresses(&self) -> Option<(Ipv4Net, Ipv4Addr)> {
        match &self.config.kind {
            UplinkKind::Static { address, gateway } => Some((*address, *gateway)),
            UplinkKind::Pppoe(_) => self.line.ends().map(|ends| (ends.address.into(), ends.gateway)),
            UplinkKind::Adopted { .. } => self.kernel_line.network.zip(self.line.ends().map(|ends| ends.gateway)),
            UplinkKind::Dhcp => self.line.dhcp().and_then(Client::lease).map(|lease| (lease.network, lease.gateway)),
        }
    }

    /// What a frame for the daemon can change that a worker reads.
    pub(super) fn standing(&self) -> Standing {
        let client = self.line.dhcp();
        Standing {
            availability: self.line.availability(),
            next_hop: self.line.next_hop(),
            lease: client.and_then(Client::lease).cloned(),
            expects_lease: client.is_some_and(Client::expects_answer),
            session: self.connected(),
        }
    }

    /// The PPPoE session, if the line has one.
    pub(super) fn connected(&self) -> Option<Connection> {
        self.line.pppoe().and_then(pppoe::Client::connection).cloned()
    }

    /// Why the line gets no address, as far as is known.
    pub(super) fn problem(&self) -> Option<String> {
        if let Some(client) = self.line.pppoe() {
            return client.problem().map(pppoe::Failure::explained);
        }
        let (network, why) = self.line.dhcp().and_then(Client::refused)?;
        Some(format!("lease of {network} refused: {why}; {}", why.remedy()))
    }

    fn record(&mut self, from: Availability, to: Availability, cause: Cause) {
        let from = match (from, std::mem::replace(&mut self.duty_told, Duty::Serves)) {
            (Availability::Usable, Duty::Waits) => Availability::Standby,
            (from, _) => from,
        };
        let ordered = match cause {
            Cause::TakenDown | Cause::PutBack => self.by_hand.link.as_ref(),
            Cause::Redialled => self.by_hand.redial.as_ref(),
            _ => None,
        };
        let by = ordered.map(|ordered| ordered.by.clone());
        self.history.record(Record {
            kind: Kind::UplinkChanged,
            uplink: Some(self.config.name.to_string()),
            from: Some(from.name().to_owned()),
            to: Some(to.name().to_owned()),
            cause: Some(self.said(cause)),
            by,
            count: None,
        });
    }

    /// The cause, as exactly as we know it.
    fn said(&self, cause: Cause) -> String {
        if cause == Cause::InterfaceRemoved { self.departure.to_string() } else { cause.to_string() }
    }

    /// The name of its interface, or what that is known by while it is not there.
    pub(super) fn interface_name(&self) -> String {
        self.interface.as_ref().map_or_else(|| self.config.interface.to_string(), |interface| interface.name.clone())
    }

    fn record_failure(&self, why: &pppoe::Failure) {
        let (uplink, cause) = (Some(self.config.name.to_string()), Some(why.to_string()));
        self.history.record(Record { kind: Kind::SessionFailed, uplink, cause, ..Record::default() });
    }

    fn log(&self, event: LineEvent) {
        let (uplink, interface) = (&self.config.name, self.interface_name());
        match event {
            LineEvent::Changed { to: Availability::Usable, cause, .. } => {
                let cause = self.said(cause);
                let gateway_mac =
                    self.line.next_hop().and_then(NextHop::gateway).map(|mac| mac.to_string()).unwrap_or_default();
                info!(%uplink, %interface, %cause, gateway_mac, "uplink is up");
            }
            LineEvent::Changed { from: Availability::Usable, to, cause } => {
                let cause = self.said(cause);
                warn!(%uplink, %interface, state = to.name(), %cause, "uplink is down");
            }
            LineEvent::Changed { to, cause, .. } => {
                let cause = self.said(cause);
                info!(%uplink, %interface, state = to.name(), %cause, "uplink changed");
            }
            LineEvent::GatewayMoved { from, to } => {
                let gateway = self.line.ends().map(|ends| ends.gateway.to_string()).unwrap_or_default();
                warn!(%uplink, gateway, %from, %to, "gateway has another Ethernet address");
            }
            LineEvent::AddressConflict(rival) => {
                let address = self.line.ends().map(|ends| ends.address.to_string()).unwrap_or_default();
                warn!(%uplink, address, %rival, "somebody else uses our address");
            }
            LineEvent::Dhcp(event) => self.log_dhcp(event),
            LineEvent::Pppoe(event) => self.log_pppoe(event),
            LineEvent::Redialled => debug!(%uplink, "line is lame; gateway and address are asked for anew"),
        }
    }

    fn log_dhcp(&self, event: ClientEvent) {
        let (uplink, interface) = (&self.config.name, self.interface_name());
        match event {
            ClientEvent::Leased(lease) => {
                let (address, gateway, server) = (lease.network, lease.gateway, lease.server);
                let seconds = lease.lifetime.map(|lifetime| lifetime.end.as_secs());
                info!(%uplink, %interface, %address, %gateway, %server, seconds, mtu = lease.mtu, "lease obtained");
            }
            ClientEvent::Extended => debug!(%uplink, "lease extended"),
            ClientEvent::Ended { address, why } => warn!(%uplink, %interface, %address, %why, "lease ended"),
            ClientEvent::Denied { address, message } => {
                warn!(%uplink, %interface, %address, message, "server does not give the address that was asked for");
            }
            ClientEvent::Refused { network, why } => {
                let what_to_do = why.remedy();
                warn!(%uplink, %interface, offered = %network, %why, what_to_do, "lease refused");
            }
            ClientEvent::Declined { address, rival } => {
                warn!(%uplink, %interface, %address, %rival, "lease declined: somebody on the line uses its address");
            }
            ClientEvent::NoServer => {
                warn!(%uplink, %interface, "no DHCP server answers; is the cable in the right port, and the modem up?");
            }
        }
    }

    fn log_pppoe(&self, event: pppoe::ClientEvent) {
        let (uplink, interface) = (&self.config.name, &self.config.interface);
        match event {
            pppoe::ClientEvent::Connected(connection) => {
                let Connection { session, concentrator, concentrator_name: name, address, gateway, mtu, .. } =
                    connection;
                info!(%uplink, %interface, %address, %gateway, %session, %concentrator, name, mtu, "session is up");
            }
            // Whoever has ordered it is among the events.
            pppoe::ClientEvent::Ended(why @ pppoe::Failure::ByHand) => {
                info!(%uplink, %interface, %why, "session ended");
            }
            pppoe::ClientEvent::Ended(why) => {
                self.record_failure(&why);
                warn!(%uplink, %interface, %why, "session ended");
            }
            pppoe::ClientEvent::Failed(why) => {
                self.record_failure(&why);
                warn!(%uplink, %interface, %why, what_to_do = why.remedy(), "no session; dialling on");
            }
        }
    }

    /// Longest payload of the interface's frames.
    fn interface_mtu(&self) -> u16 {
        let mtu = self.interface.as_ref().map_or(1_500, |interface| interface.mtu);
        u16::try_from(mtu).unwrap_or(u16::MAX)
    }

    /// As the packet path needs it.
    pub(super) fn snapshot(&self) -> Uplink {
        let is_vacant = self.place == Place::Vacant;
        let client = self.line.dhcp();
        let lease_mtu = client.and_then(Client::lease).and_then(|lease| lease.mtu);
        let session_mtu = self.connected().map(|connection| connection.mtu);
        let line_mtu = lease_mtu.or(session_mtu).unwrap_or(u16::MAX);
        let awaits = client.is_some_and(Client::expects_answer);
        Uplink {
            id: self.id,
            name: self.config.name.shared(),
            interface: self.interface.as_ref().map(|interface| interface.index),
            availability: self.availability(),
            // Without an address nobody uses a vacant place.
            external: self
                .line
                .ends()
                .map(|ends| ends.address)
                .filter(|&address| Some(address) == self.flows_address && !is_vacant),
            mtu: self.interface_mtu().min(line_mtu),
            weight: self.config.weight,
            next_hop: self.line.next_hop(),
            owner: if self.is_adopted() { AddressOwner::Kernel } else { AddressOwner::Router },
            dhcp: if awaits { DhcpAnswers::Awaited } else { DhcpAnswers::Unwanted },
            probed: self.line.probed(),
        }
    }
}

/// On a line that is full by users' traffic a probe now and then has no room, which is nobody's fault.
fn tolerate_full(error: std::io::Error) -> std::io::Result<()> {
    if FrameSender::is_full(&error) { Ok(()) } else { Err(error) }
}
