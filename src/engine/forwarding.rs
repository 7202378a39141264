//! Whose a packet from an uplink is: stage 3 of the way in, with forwarded ports.
//!
//! Theory of operation: a port outside is a host's by a mapping in the array, or somebody's by a forward. A forward needs no
//! slot there: it is a mapping itself, the same for all workers, and flows of it ([`FLAG_FORWARDED`]) are in no array's count.
//!
//! What comes in is steered by the port outside, what the host sends by the port inside, and those of a forward may have
//! different owners. The flow is with the owner of the port *inside*, so the way out never waits for another worker. On the
//! way in, the owner of the port outside looks first: the port may be a host's from before it was forwarded, whose flows go on.
//! Then come the forwards of the port, the closed ones first, each at the owner of its port inside: a packet is handed on with the
//! number of those that were asked ([`Journey`]), so it is never asked twice and never goes in circles. While nothing was
//! changed by a reload that is one hand-over at most, and none for a flow in the shortcut.
//!
//! An endpoint that is forwarded has that port for connections of its own, too (RFC 4787 REQ-1): all go out by one line.

use super::outbox::Journey;
use super::worker::{Context, Worker};
use crate::flow::record::FLAG_FORWARDED;
use crate::flow::{EndpointV4, FlowId, FlowKey, TcpState};
use crate::nat::Mapping;
use crate::placement::{Door, Snapshot, UplinkId, UplinkSet, WorkerId, takes_flows};

/// By what a packet came to whom it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entrance {
    /// The host has sent something from there.
    Mapping,
    /// The port is forwarded.
    Forward,
}

/// What comes from an uplink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// The first segment of a TCP connection.
    Opening,
    /// Any other packet of a flow; where there is none, it may be a datagram that opens one.
    Packet,
    /// An ICMP error about a packet of a flow.
    Error,
}

/// Whose a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behind {
    /// This endpoint's, in a flow or in none yet.
    Endpoint { internal: EndpointV4, flow: Option<FlowId>, entrance: Entrance },
    /// Another worker's, or it knows more.
    Elsewhere(WorkerId, Journey),
    /// Somebody's who does not want it.
    Refused,
    /// Nobody's.
    Nobody,
}

impl Worker {
    /// Whose a packet from `remote` is.
    pub(super) fn behind(
        &mut self,
        context: Context<'_>,
        mapping: Mapping,
        remote: EndpointV4,
        arrival: Arrival,
    ) -> Behind {
        let Mapping { protocol, uplink, external_port } = mapping;
        let forwards = &context.snapshot.forwards;
        let journey = context.journey;
        if journey.asked.is_none() {
            if let Err(owner) = self.check_owner(external_port) {
                return Behind::Elsewhere(owner, journey);
            }
            if let Some(internal) = self.mappings.internal(mapping) {
                let flow = self.find_live(context, &FlowKey { protocol, internal, remote });
                if flow.is_some_and(|id| self.is_of(id, mapping)) || !forwards.has(uplink, protocol, external_port) {
                    return Behind::Endpoint { internal, flow, entrance: Entrance::Mapping };
                }
            }
        }
        let at = (0..).zip(forwards.at(uplink, protocol, external_port));
        for (number, forward) in at.skip(journey.asked.unwrap_or(0).into()) {
            let internal = forward.target(external_port);
            if let Err(owner) = self.check_owner(internal.port) {
                return Behind::Elsewhere(owner, Journey { asked: Some(number), ..journey });
            }
            let flow = self.find_live(context, &FlowKey { protocol, internal, remote });
            let flow = flow.filter(|&id| arrival == Arrival::Error || !self.is_given_up(context, id, mapping, arrival));
            let is_known = flow.is_some_and(|id| self.is_of(id, mapping)) && arrival != Arrival::Opening;
            match forward.door {
                Door::Closed if !is_known => continue,
                Door::Open if !is_known && !journey.is_hairpin && !forward.admits(remote.address) => {
                    return Behind::Refused;
                }
                Door::Closed | Door::Open => {}
            }
            return Behind::Endpoint { internal, flow, entrance: Entrance::Forward };
        }
        Behind::Nobody
    }

    fn is_of(&self, id: FlowId, mapping: Mapping) -> bool {
        let body = &self.table.record(id).body;
        (body.uplink, body.external_port) == (mapping.uplink.0, mapping.external_port)
    }

    /// Whether a record of the same two ends makes room for a new connection: it was ended with its line, or it is of another
    /// line and over, or that line is lost. It is forgotten then.
    fn is_given_up(&mut self, context: Context<'_>, id: FlowId, mapping: Mapping, arrival: Arrival) -> bool {
        let opens = arrival == Arrival::Opening;
        let record = self.table.record(id);
        let is_over = match record.body.tcp.state() {
            TcpState::Aborted => opens,
            _ if self.is_of(id, mapping) => false,
            TcpState::TimeWait | TcpState::Reset => opens,
            // Datagrams have no state.
            state => {
                let is_lost = !takes_flows(&context.snapshot.uplinks, UplinkId(record.body.uplink));
                is_lost && (opens || state == TcpState::Fresh)
            }
        };
        if is_over {
            self.end_flow(context.now, id);
        }
        is_over
    }

    /// The mapping of an endpoint that is forwarded, for a flow of its own to the internet: the same while the lines are.
    pub(super) fn forwarded_mapping(snapshot: &Snapshot, key: &FlowKey, candidates: UplinkSet) -> Option<Mapping> {
        let FlowKey { protocol, internal, .. } = *key;
        let mut candidates = snapshot.uplinks.iter().map(|uplink| uplink.id).filter(|id| candidates.contains(*id));
        candidates.find_map(|uplink| {
            let external_port = snapshot.forwards.outside(uplink, protocol, internal)?;
            Some(Mapping { protocol, uplink, external_port })
        })
    }

    /// The flags of a flow of this mapping.
    pub(super) const fn flags_of(entrance: Entrance) -> u8 {
        match entrance {
            Entrance::Mapping => 0,
            Entrance::Forward => FLAG_FORWARDED,
        }
    }
}
