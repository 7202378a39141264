//! Fetching ahead: before a batch is handled, the memory that its packets will need is asked for, a stage at a time for
//! the whole batch; records, which are the most, only some packets before their own, so that fetching and handling go on
//! side by side. With tens of thousands of flows most of a packet's time would else be spent waiting for three cache
//! lines, one after the other.
//!
//! Nothing is decided here. A packet is looked at just far enough to guess its flow. Whoever handles it looks there first,
//! and takes the record only if it has the very key; a wrong guess costs a wasted fetch.

use super::outbox::Ingress;
use super::worker::Worker;
use crate::flow::{EndpointV4, FlowId, FlowKey, Protocol};
use crate::nat::Mapping;
use crate::wire::PacketBuffer;

/// Smaller batches are handled before anything fetched would have come.
const FEWEST: usize = 4;
/// Packets warmed up at once: as many as a batch has.
const MOST: usize = 64;
/// How many packets before its own a record is asked for: as late as will do, for few requests can be under way at once.
const AHEAD: usize = 8;

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

/// What was guessed of a batch's first packets, one by one.
pub(super) struct Guesses {
    packets: usize,
    /// Hashes of the flows' keys. The index has been asked for their cache lines.
    hashes: [Option<u64>; MOST],
    /// Where the flows are, once their records have been asked for.
    likely: [Option<FlowId>; MOST],
}

impl Guesses {
    /// How many packets they are about.
    pub(super) fn packets(&self) -> usize {
        self.packets
    }
}

impl Worker {
    /// Asks for the index lines that the first packets of `batch` will need, as many as are warmed up at once, and for
    /// the first few records.
    pub(super) fn warm_up(&self, ingress: Ingress, batch: &[PacketBuffer]) -> Guesses {
        let batch = &batch[..batch.len().min(MOST)];
        let mut guesses = Guesses { packets: batch.len(), hashes: [None; MOST], likely: [None; MOST] };
        if batch.len() < FEWEST {
            return guesses;
        }
        match ingress {
            Ingress::Lan(_) => {
                for (hash, packet) in guesses.hashes.iter_mut().zip(batch) {
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
                for (hash, mapping) in guesses.hashes.iter_mut().zip(&mappings[..batch.len()]) {
                    *hash = mapping.and_then(|(mapping, remote)| {
                        let internal = self.mappings.internal(mapping)?;
                        let protocol = mapping.protocol;
                        Some(self.table.prefetch_index(&FlowKey { protocol, internal, remote }))
                    });
                }
            }
        }
        for at in 0..AHEAD {
            self.warm_up_record(&mut guesses, at);
        }
        guesses
    }

    /// Where the flow of the packet with number `at` most likely is. Asks for the record of a later packet, to be there
    /// when its turn comes.
    pub(super) fn likely(&self, guesses: &mut Guesses, at: usize) -> Option<FlowId> {
        self.warm_up_record(guesses, at + AHEAD);
        guesses.likely[at]
    }

    fn warm_up_record(&self, guesses: &mut Guesses, at: usize) {
        if let Some(&Some(hash)) = guesses.hashes.get(at) {
            guesses.likely[at] = self.table.prefetch_record(hash);
        }
    }
}
