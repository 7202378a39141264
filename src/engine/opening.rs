//! Stage 4 of both directions: the first packet of a flow. What the policy says of it, the line that it gets, its mapping,
//! its record.

use super::drop_reason::DropReason;
use super::outbound::{FlowPacket, owner_of_address};
use super::parse::Parsed;
use super::worker::{Context, Filtering, Worker};
use crate::flow::record::{FLAG_HAIRPIN, FLAG_INBOUND, Tick};
use crate::flow::tcp::TcpTracker;
use crate::flow::{FlowId, FlowV4, Protocol, Timestamp};
use crate::nat::Mapping;
use crate::placement::{Decision, Demand, LanId, Opening, Reason, Snapshot, Tiers, UplinkSet, candidates, choose};
use crate::wire::TcpFlags;
use crate::wire::ipv4::is_one_host;

impl Worker {
    /// Makes a flow for the first packet of a connection: an uplink, a mapping, a record.
    pub(super) fn open_outbound(&mut self, context: Context<'_>, flow: &FlowPacket<'_>) -> Result<FlowId, DropReason> {
        let key = flow.key;
        check_route(context.snapshot, flow.parsed)?;
        let mut record = FlowV4::new(key);
        if key.protocol == Protocol::Tcp {
            let segment = flow.segment.ok_or(DropReason::FragmentDropped)?;
            record.body.tcp = TcpTracker::open(segment, false).ok_or(DropReason::TcpNoConnection)?;
        }
        if self.table.len() >= self.table.capacity() {
            return Err(DropReason::TableFull);
        }
        let opening = Opening { key, dscp: flow.parsed.ip.dscp };
        let decision = context.snapshot.policy.decide(&opening);
        let (mapping, reason) = self.mapping_for(context.snapshot, &opening, &decision)?;
        if key.protocol == Protocol::Tcp && flow.segment.is_some_and(|segment| segment.flags.contains(TcpFlags::SYN)) {
            self.counters.uplink(mapping.uplink).connections_tried.add(1);
        }
        record.body.uplink = mapping.uplink.0;
        record.body.external_port = mapping.external_port;
        record.body.created = Tick::at(context.now);
        record.body.rule = decision.rule.unwrap_or_default().0;
        record.body.class = decision.class as u8;
        record.body.reason = reason as u8;
        record.body.dscp = opening.dscp;
        if owner_of_address(context.snapshot, key.remote.address).is_some() {
            record.body.flags |= FLAG_HAIRPIN;
        }
        self.add_first(context.now, record, mapping)
    }

    /// The mapping of the host's endpoint (RFC 4787 REQ-1), if its uplink is one of those that are for this flow; else a new
    /// one on the uplink that placement chooses, or on another that still has ports. And why it is that one.
    fn mapping_for(
        &mut self,
        snapshot: &Snapshot,
        opening: &Opening,
        decision: &Decision,
    ) -> Result<(Mapping, Reason), DropReason> {
        let (uplinks, key, demand) = (&snapshot.uplinks, opening.key, Demand::of(&opening.key));
        let mut candidates = candidates(uplinks, &decision.tiers);
        if let Some(mapping) = self.mappings.find(key.protocol, key.internal, candidates) {
            return Ok((mapping, Reason::Mapping));
        }
        let mut reason = DropReason::NoUplink;
        while let Some(chosen) = choose(uplinks, &self.load, demand, candidates) {
            if let Some(mapping) = self.mappings.open(key.protocol, chosen.uplink, key.internal, candidates) {
                self.decisions.remember(&key, &chosen.scores);
                return Ok((mapping, chosen.reason));
            }
            candidates = candidates.without(UplinkSet::of(chosen.uplink));
            reason = DropReason::NoPort;
        }
        Err(reason)
    }

    /// The lines that a flow which exists may have: what the policy says of it now.
    pub(super) fn tiers_of(snapshot: &Snapshot, record: &FlowV4) -> Tiers {
        let opening = record.key().map(|key| Opening { key, dscp: record.body.dscp });
        opening.map_or(Tiers::ANY, |opening| snapshot.policy.decide(&opening).tiers)
    }

    /// Makes a flow for somebody whom the host has not sent to, if the filter lets him in (RFC 4787 section 5).
    pub(super) fn open_inbound(
        &mut self,
        context: Context<'_>,
        mapping: Mapping,
        flow: &FlowPacket<'_>,
    ) -> Result<FlowId, DropReason> {
        if self.settings.filtering == Filtering::AddressAndPort {
            return Err(DropReason::Filtered);
        }
        if !is_one_host(flow.parsed.ip.source) {
            return Err(DropReason::BadSource);
        }
        let mut record = FlowV4::new(flow.key);
        if mapping.protocol == Protocol::Tcp {
            let segment = flow.segment.ok_or(DropReason::FragmentDropped)?;
            record.body.tcp = TcpTracker::open(segment, false).ok_or(DropReason::TcpNoConnection)?;
        }
        // The kernel knows the way to the host; once that answers, so does the record.
        record.body.lan = LanId::TUN.0;
        record.body.uplink = mapping.uplink.0;
        record.body.external_port = mapping.external_port;
        record.body.created = Tick::at(context.now);
        record.body.flags = FLAG_INBOUND;
        record.body.reason = Reason::Inbound as u8;
        if owner_of_address(context.snapshot, flow.key.remote.address).is_some() {
            record.body.flags |= FLAG_HAIRPIN;
        }
        self.add_first(context.now, record, mapping)
    }

    /// Adds the flow of a first packet: to the table, and to the transfers of its line if it is likely to be one.
    pub(super) fn add_first(&mut self, now: Timestamp, record: FlowV4, mapping: Mapping) -> Result<FlowId, DropReason> {
        let demand = record.key().map(|key| Demand::of(&key));
        let id = self.add_flow(record, mapping)?;
        if demand == Some(Demand::Transfer) {
            self.begin_transfer(now, id);
        }
        Ok(id)
    }

    /// Adds a flow of a mapping to the table and counts it.
    pub(super) fn add_flow(&mut self, record: FlowV4, mapping: Mapping) -> Result<FlowId, DropReason> {
        let id = self.table.insert(record).ok_or(DropReason::TableFull)?;
        self.mappings.add_flow(mapping);
        self.count(mapping.uplink);
        self.counters.flows_created.add(1);
        Ok(id)
    }
}

/// Whether a first packet may go to the internet at all.
fn check_route(snapshot: &Snapshot, parsed: &Parsed) -> Result<(), DropReason> {
    let (source, destination) = (parsed.ip.source, parsed.ip.destination);
    if !is_one_host(source) || owner_of_address(snapshot, source).is_some() {
        return Err(DropReason::BadSource);
    }
    if !is_one_host(destination) || destination.is_link_local() {
        return Err(DropReason::BadDestination);
    }
    if snapshot.kernel_networks.iter().any(|network| network.contains(&destination)) {
        return Err(DropReason::LocalDestination);
    }
    Ok(())
}
