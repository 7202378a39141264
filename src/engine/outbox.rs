//! Where the engine leaves what is to be sent. The shell empties it after each batch.

use crate::placement::{LanId, MAX_LANS, MAX_UPLINKS, UplinkId, WorkerId};
use crate::wire::{BufferPool, PacketBuffer};

/// Which side a packet came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ingress {
    /// A LAN-side port.
    Lan(LanId),
    /// An uplink.
    Uplink(UplinkId),
}

/// A port to send by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Egress {
    /// A LAN-side port.
    Lan(LanId),
    /// An uplink.
    Uplink(UplinkId),
}

/// How far a packet from an uplink has come between the workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Journey {
    /// It is a host's of our own, sent to an address of ours: it has come by no uplink.
    pub(super) is_hairpin: bool,
    /// How many of the forwards that its port has do not know it; `None`: the owner of the port outside has not looked yet.
    pub(super) asked: Option<u8>,
}

/// A packet on its way to the worker that owns its flow.
#[derive(Debug)]
pub struct Handoff {
    /// Who owns it.
    pub owner: WorkerId,
    /// Where it came in.
    pub ingress: Ingress,
    /// The ports of a fragment, which only its first piece carries.
    pub ports: Option<(u16, u16)>,
    /// How far it has come.
    pub journey: Journey,
    /// The packet.
    pub packet: PacketBuffer,
}

/// Packets to be sent, with the engine's pool of free buffers.
#[derive(Debug)]
pub struct Outbox {
    /// Packets to send by each uplink, in order, link header and offload metadata ready.
    pub uplinks: [Vec<PacketBuffer>; MAX_UPLINKS],
    /// Packets to send by each LAN-side port.
    pub lans: [Vec<PacketBuffer>; MAX_LANS],
    /// Packets for other workers.
    pub handoffs: Vec<Handoff>,
    /// Frames of an uplink that are the daemon's business (ARP, DHCP, PPPoE's control), as received.
    pub daemon: Vec<(UplinkId, PacketBuffer)>,
    /// Buffers to make packets in, and where finished ones go back to.
    pub pool: BufferPool,
}

impl Outbox {
    /// An empty outbox whose pool holds `buffers` buffers.
    #[must_use]
    pub fn new(buffers: usize) -> Self {
        Self {
            uplinks: std::array::from_fn(|_| Vec::new()),
            lans: std::array::from_fn(|_| Vec::new()),
            handoffs: Vec::new(),
            daemon: Vec::new(),
            pool: BufferPool::new(buffers),
        }
    }

    /// The pool, and the queue of a port.
    pub(super) fn parts(&mut self, egress: Egress) -> (&mut BufferPool, &mut Vec<PacketBuffer>) {
        match egress {
            Egress::Lan(lan) => (&mut self.pool, &mut self.lans[lan.index()]),
            Egress::Uplink(uplink) => (&mut self.pool, &mut self.uplinks[uplink.index()]),
        }
    }

    /// Queues a packet.
    pub fn transmit(&mut self, egress: Egress, packet: PacketBuffer) {
        match egress {
            Egress::Lan(lan) => self.lans[lan.index()].push(packet),
            Egress::Uplink(uplink) => self.uplinks[uplink.index()].push(packet),
        }
    }
}
