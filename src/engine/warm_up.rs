//! Fetching ahead: before a batch is handled, the memory that its packets will need is asked for, a stage at a time for
//! the whole batch. With tens of thousands of flows most of a packet's time would else be spent waiting for three cache
//! lines, one after the other.
//!
//! Nothing is decided here. A packet is looked at just far enough to guess its flow; a wrong guess costs a wasted fetch.

use super::outbox::Ingress;
use super::worker::Worker;
use crate::flow::{EndpointV4, FlowKey, Protocol};
use crate::nat::Mapping;
use crate::wire::PacketBuffer;

/// Smaller batches are handled before anything fetched would have come.
const FEWEST: usize = 4;
/// Packets warmed up at once: as many as a batch has.
const MOST: usize = 64;

/// The addresses and ports of a packet, if it looks like an ordinary one.
struct Glance {
    protocol: Protocol,
    source: EndpointV4,
    destination: EndpointV4,
}

impl Glance {
    fn of(packet: &PacketBuffer) -> Option<Self> {
        let bytes: &[u8; 28] = packet.packet().first_chunk()?;
        if bytes[0] != 0x45 {
            return None;
        }
        let protocol = Protocol::from_number(bytes[9])?;
        let half = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let address = |at: usize| std::net::Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]);
        let (source, destination) = match protocol {
            // An echo has its identifier on the host's side, whichever that is, and nothing on the other.
            Protocol::Icmp if bytes[20] == 8 => (half(24), 0),
            Protocol::Icmp => (0, half(24)),
            Protocol::Tcp | Protocol::Udp => (half(20), half(22)),
        };
        Some(Self {
            protocol,
            source: EndpointV4 { address: address(12), port: source },
            destination: EndpointV4 { address: address(16), port: destination },
        })
    }
}

impl Worker {
    /// Asks for what the packets of `batch` will need.
    pub(super) fn warm_up(&self, ingress: Ingress, batch: &[PacketBuffer]) {
        if batch.len() < FEWEST {
            return;
        }
        for batch in batch.chunks(MOST) {
            let mut hashes = [None; MOST];
            match ingress {
                Ingress::Lan(_) => {
                    for (hash, packet) in hashes.iter_mut().zip(batch) {
                        *hash = Glance::of(packet).map(|glance| {
                            let Glance { protocol, source: internal, destination: remote } = glance;
                            self.table.prefetch_index(&FlowKey { protocol, internal, remote })
                        });
                    }
                }
                Ingress::Uplink(uplink) => {
                    let mut mappings = [None; MOST];
                    for (mapping, packet) in mappings.iter_mut().zip(batch) {
                        *mapping = Glance::of(packet).map(|glance| {
                            let external_port = glance.destination.port;
                            let mapping = Mapping { protocol: glance.protocol, uplink, external_port };
                            self.mappings.prefetch(mapping);
                            (mapping, glance.source)
                        });
                    }
                    for (hash, mapping) in hashes.iter_mut().zip(&mappings) {
                        *hash = mapping.and_then(|(mapping, remote)| {
                            let internal = self.mappings.internal(mapping)?;
                            let protocol = mapping.protocol;
                            Some(self.table.prefetch_index(&FlowKey { protocol, internal, remote }))
                        });
                    }
                }
            }
            hashes.iter().flatten().for_each(|&hash| self.table.prefetch_record(hash));
        }
    }
}
