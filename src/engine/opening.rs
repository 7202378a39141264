//! Stage 4 of both directions: the first packet of a flow. What the policy says of it, the line that it gets, its mapping,
//! its record.

use std::net::Ipv4Addr;

use super::accounts::{Account, HostId, Opener};
use super::drop_reason::DropReason;
use super::forwarding::Entrance;
use super::outbound::{FlowPacket, owner_of_address};
use super::parse::Parsed;
use super::worker::{Context, Filtering, Worker};
use crate::flow::record::{FLAG_FORWARDED, FLAG_HAIRPIN, FLAG_INBOUND, MARK_BULKY, Tick};
use crate::flow::tcp::TcpTracker;
use crate::flow::{FlowId, FlowV4, Protocol, Timestamp};
use crate::nat::Mapping;
use crate::placement::{
    AddressOwner, Adhesion, Class, Decision, Demand, LanId, Opening, Reason, Snapshot, Tiers, UplinkId, UplinkSet,
    candidates, choose, not_full,
};
use crate::wire::TcpFlags;
use crate::wire::ipv4::is_one_host;

/// Where a new flow goes, and why.
struct Place {
    mapping: Mapping,
    reason: Reason,
    site: Site,
}

/// What a new flow is to its host's others to the same site.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Site {
    /// One of them.
    Joins,
    /// Nothing: it does not stick, or goes where its port leads it.
    None,
}

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
        let opener = opener(context.snapshot, key.internal.address);
        let host = self.accounts.admit(context.now, key.internal.address, opener)?;
        record.body.host = host.0;
        let opening = Opening { key, dscp: flow.parsed.ip.dscp };
        let (decision, marks) = self.decide(context, &opening);
        let hairpin = owner_of_address(context.snapshot, key.remote.address);
        let (Place { mapping, reason, site }, entrance) =
            self.way_out(context, &opening, &decision, hairpin, (host, opener))?;
        if hairpin.is_none()
            && key.protocol == Protocol::Tcp
            && flow.segment.is_some_and(|segment| segment.flags.contains(TcpFlags::SYN))
        {
            self.counters.uplink(mapping.uplink).connections_tried.add(1);
        }
        record.body.uplink = mapping.uplink.0;
        record.body.external_port = mapping.external_port;
        record.body.created = Tick::at(context.now);
        record.body.rule = decision.rule.unwrap_or_default().0;
        record.body.class = decision.class as u8;
        record.body.reason = reason as u8;
        record.body.marks = marks;
        record.body.dscp = opening.dscp;
        record.body.flags = Self::flags_of(entrance) | if hairpin.is_some() { FLAG_HAIRPIN } else { 0 };
        let id = self.add_first(context.now, record, mapping)?;
        if site == Site::Joins {
            self.join_site(context.now, id);
        }
        Ok(id)
    }

    /// What the policy says of a new flow, and with what its record is marked for that.
    fn decide(&self, context: Context<'_>, opening: &Opening) -> (Decision, u8) {
        let policy = &context.snapshot.policy;
        let decision = policy.decide(opening);
        if decision.class == Class::Isolated && self.bulky.knows(context.now, &opening.key) {
            return (policy.as_bulk(opening, decision), MARK_BULKY);
        }
        (decision, 0)
    }

    /// The line that a flow leaves by, and its port there. A forward's port is for the endpoint inside alone; a hairpin to
    /// one is of the very line whose address the host has used, so that both ends see that line's address (RFC 4787 REQ-9a).
    fn way_out(
        &mut self,
        context: Context<'_>,
        opening: &Opening,
        decision: &Decision,
        hairpin: Option<UplinkId>,
        asker: (HostId, Opener),
    ) -> Result<(Place, Entrance), DropReason> {
        let (snapshot, key) = (context.snapshot, opening.key);
        let by_port = |mapping| Place { mapping, reason: Reason::Mapping, site: Site::None };
        self.mappings.heed(&snapshot.forwards);
        if snapshot.forwards.is_empty() {
            return self.place(context, opening, decision, asker).map(|place| (place, Entrance::Mapping));
        }
        let met =
            hairpin.and_then(|line| Some((line, snapshot.forwards.open_at(line, key.protocol, key.remote.port)?)));
        let candidates = match met {
            Some((_, forward)) if !forward.admits(key.internal.address) => return Err(DropReason::Filtered),
            Some((line, _)) => UplinkSet::of(line),
            None => candidates(&snapshot.uplinks, &decision.tiers),
        };
        if let Some(mapping) = Self::forwarded_mapping(snapshot, &key, candidates) {
            return Ok((by_port(mapping), Entrance::Forward));
        }
        let Some((line, _)) = met else {
            return self.place(context, opening, decision, asker).map(|place| (place, Entrance::Mapping));
        };
        let known = self.mappings.find(key.protocol, key.internal, candidates);
        if known.is_none() {
            self.accounts.admit_port(asker.0, asker.1)?;
        }
        let mapping = known.or_else(|| self.mappings.open(key.protocol, line, key.internal, candidates));
        mapping.map(|mapping| (by_port(mapping), Entrance::Mapping)).ok_or(DropReason::NoPort)
    }

    /// The mapping of the host's endpoint (RFC 4787 REQ-1), if its uplink is one of those that are for this flow; else a new
    /// one on the uplink of its host's flows to the site, on the one that placement chooses, or on another that still has
    /// ports.
    ///
    /// The site comes first for TCP, and for what sticks hard: hosts use a port of TCP for several far ends by chance, and a
    /// socket of UDP on purpose.
    fn place(
        &mut self,
        context: Context<'_>,
        opening: &Opening,
        decision: &Decision,
        (host, opener): (HostId, Opener),
    ) -> Result<Place, DropReason> {
        let (uplinks, key) = (&context.snapshot.uplinks, opening.key);
        let mut candidates = candidates(uplinks, &decision.tiers);
        let adhesion = Adhesion::of(decision.stickiness, &key);
        let own = adhesion.and_then(|adhesion| self.line_of_site(context.now, &key, adhesion, candidates));
        let site = if adhesion.is_some() { Site::Joins } else { Site::None };
        let first = match own {
            Some(line) if key.protocol == Protocol::Tcp || adhesion == Some(Adhesion::Hard) => UplinkSet::of(line),
            _ => candidates,
        };
        if let Some(mapping) = self.mappings.find(key.protocol, key.internal, first) {
            return Ok(match own {
                Some(line) if line == mapping.uplink => Place { mapping, reason: Reason::Sticky, site },
                // An exception is nobody's example.
                Some(_) => Place { mapping, reason: Reason::Mapping, site: Site::None },
                None => Place { mapping, reason: Reason::Mapping, site },
            });
        }
        self.accounts.admit_port(host, opener)?;
        if let Some(line) = own
            && let Some(mapping) = self.mappings.open(key.protocol, line, key.internal, first)
        {
            return Ok(Place { mapping, reason: Reason::Sticky, site });
        }
        let fit = |candidates| if site == Site::Joins { not_full(&self.load, candidates) } else { candidates };
        let mut reason = DropReason::NoUplink;
        while let Some(chosen) = choose(uplinks, &self.load, Demand::of(&key), fit(candidates)) {
            if let Some(mapping) = self.mappings.open(key.protocol, chosen.uplink, key.internal, candidates) {
                return Ok(Place { mapping, reason: Reason::Soonest, site });
            }
            candidates = candidates.without(UplinkSet::of(chosen.uplink));
            reason = DropReason::NoPort;
        }
        Err(reason)
    }

    /// The lines that a flow which exists may have: what the policy says of it now.
    pub(super) fn tiers_of(snapshot: &Snapshot, record: &FlowV4) -> Tiers {
        let Some(key) = record.key() else { return Tiers::ANY };
        let opening = Opening { key, dscp: record.body.dscp };
        let decision = snapshot.policy.decide(&opening);
        let is_bulk = record.is_marked(MARK_BULKY) && Class::from_number(record.body.class) == Class::Bulk;
        if is_bulk { snapshot.policy.as_bulk(&opening, decision).tiers } else { decision.tiers }
    }

    /// Makes a flow for somebody whom the host has not sent to: of a forward, or if the filter lets him in (RFC 4787 section 5).
    pub(super) fn open_inbound(
        &mut self,
        context: Context<'_>,
        mapping: Mapping,
        entrance: Entrance,
        flow: &FlowPacket<'_>,
    ) -> Result<FlowId, DropReason> {
        if entrance == Entrance::Mapping && self.settings.filtering == Filtering::AddressAndPort {
            return Err(DropReason::Filtered);
        }
        let source = flow.parsed.ip.source;
        if !is_one_host(source) || (!context.journey.is_hairpin && is_only_ours(context.snapshot, source)) {
            return Err(DropReason::BadSource);
        }
        let mut record = FlowV4::new(flow.key);
        if mapping.protocol == Protocol::Tcp {
            let segment = flow.segment.ok_or(DropReason::FragmentDropped)?;
            record.body.tcp = TcpTracker::open(segment, false).ok_or(DropReason::TcpNoConnection)?;
        }
        let host = self.accounts.admit(context.now, flow.key.internal.address, Opener::Internet)?;
        record.body.host = host.0;
        // The kernel knows the way to the host; once that answers, so does the record.
        record.body.lan = LanId::TUN.0;
        record.body.uplink = mapping.uplink.0;
        record.body.external_port = mapping.external_port;
        record.body.created = Tick::at(context.now);
        record.body.flags = FLAG_INBOUND | Self::flags_of(entrance);
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
        let account = Account::of(&record);
        if !record.has(FLAG_FORWARDED) {
            self.mappings.add_flow(mapping);
            self.mappings.hold(mapping, account.host.0);
        }
        self.count(account);
        self.ledger.add_opened(account);
        self.counters.flows_created.add(1);
        Ok(id)
    }
}

/// Who opens a flow from the LAN side: the router's own address is nobody else's.
fn opener(snapshot: &Snapshot, source: Ipv4Addr) -> Opener {
    let is_own = snapshot.lans.iter().flatten().any(|lan| lan.address == source);
    if is_own { Opener::Router } else { Opener::Host }
}

/// Whether an address is the router's and nobody else's: what comes from it by an uplink is a lie.
fn is_only_ours(snapshot: &Snapshot, address: std::net::Ipv4Addr) -> bool {
    let owner = owner_of_address(snapshot, address).and_then(|id| snapshot.uplink(id));
    owner.is_some_and(|uplink| uplink.owner == AddressOwner::Router)
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
