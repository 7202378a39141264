//! Answers to questions: from the counters and the lines to the reports.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::endings;
use super::lan::LanState;
use super::places;
use super::queue_drops::QueueDrops;
use super::rates::{Rates, Sample};
use super::report::{
    CandidateReport, EngineReport, FlowReport, FlowTraffic, FlowsQuery, FlowsReport, LanReport, LeaseReport,
    SessionReport, TrafficReport, UplinkReport, WhyQuery, WorkerReport,
};
use super::rules::RuleIds;
use super::uplink::UplinkState;
use crate::engine::counters::{DropCounters, FAR_END_GROUPS, FarEndCounters};
use crate::engine::{Bulkiness, DropReason, FlowFilter, FlowListing, UplinkCounters, WorkerCounters};
use crate::flow::{EndpointV4, Protocol, Timestamp};
use crate::io::Workers;
use crate::link::dhcp::Client;
use crate::link::health::{Segments, Traffic};
use crate::link::pppoe::Connection;
use crate::placement::{NextHop, Score, UplinkId, is_full};

/// Flows that are listed when nobody says how many.
const DEFAULT_LIMIT: usize = 1_000;
/// Most flows that one answer lists.
const MOST_FLOWS: usize = 1_000_000;

type Counters = [Arc<WorkerCounters>];

/// The sum over all workers of one of their counters.
fn sum(counters: &Counters, read: impl Fn(&WorkerCounters) -> u64) -> u64 {
    counters.iter().map(|worker| read(worker)).fold(0, u64::wrapping_add)
}

/// The drops of all workers, by name; only reasons that occurred. `queue` is what queues say that they have dropped, which
/// the workers may not have heard of, or have offered again.
fn drops(counters: &Counters, queue: u64, of: impl Fn(&WorkerCounters) -> &DropCounters) -> BTreeMap<String, u64> {
    let lost_in_queues = queue.saturating_sub(sum(counters, |worker| of(worker).offered_again.value()));
    let count = |reason: DropReason| {
        let heard = sum(counters, |worker| of(worker).value(reason));
        if reason == DropReason::SendQueueFull { heard.max(lost_in_queues) } else { heard }
    };
    let all = DropReason::ALL.iter().map(|reason| (reason.name().to_owned(), count(*reason)));
    all.filter(|(_, packets)| *packets > 0).collect()
}

/// The totals of all workers.
pub(super) fn engine(workers: &Workers, lans: &[LanState], queues: &QueueDrops) -> EngineReport {
    let counters = workers.counters();
    let (hosts, mappings) = workers.accounts().sums();
    let queue = lans.iter().filter_map(|lan| lan.interface.as_ref()).map(|interface| queues.of(interface.index)).sum();
    let received = sum(counters, |worker| worker.received.value());
    let batches = sum(counters, |worker| worker.batches.value());
    #[expect(clippy::cast_precision_loss, reason = "a mean to show, not to reckon with")]
    let mean_batch = if batches == 0 { 0.0 } else { received as f64 / batches as f64 };
    EngineReport {
        flows: sum(counters, |worker| worker.flows.value()),
        flows_created: sum(counters, |worker| worker.flows_created.value()),
        handed_over: sum(counters, |worker| worker.handed_over.value()),
        received,
        batches,
        mean_batch,
        shortcut_flows: sum(counters, |worker| worker.shortcuts.value()),
        drops: drops(counters, queue, |worker| &worker.lan_drops),
        hosts: hosts as u64,
        mappings,
        per_worker: counters
            .iter()
            .zip(workers.processor_times())
            .map(|(counters, used)| worker(counters, used))
            .collect(),
    }
}

fn worker(counters: &WorkerCounters, used: Duration) -> WorkerReport {
    WorkerReport {
        flows: counters.flows.value(),
        flows_created: counters.flows_created.value(),
        shortcut_flows: counters.shortcuts.value(),
        received: counters.received.value(),
        batches: counters.batches.value(),
        handed_over: counters.handed_over.value(),
        processor_seconds: used.as_secs_f64(),
    }
}

/// Bytes out and in of `uplinks` uplinks, now.
pub(super) fn sample(counters: &Counters, uplinks: &[UplinkState]) -> Sample {
    let bytes = |uplink: &UplinkState| {
        let of = |read: fn(&UplinkCounters) -> u64| sum(counters, |worker| read(worker.uplink(uplink.id)));
        (of(|uplink| uplink.out_bytes.value()), of(|uplink| uplink.in_bytes.value()))
    };
    uplinks.iter().map(bytes).collect()
}

/// What users do on an uplink, since the start.
pub(super) fn traffic(counters: &Counters, uplink: UplinkId) -> Traffic {
    let of = |read: fn(&UplinkCounters) -> u64| sum(counters, |worker| read(worker.uplink(uplink)));
    let far_ends = |read: fn(&FarEndCounters) -> u64| -> [u64; FAR_END_GROUPS] {
        std::array::from_fn(|group| sum(counters, |worker| read(&worker.uplink(uplink).far_ends[group])))
    };
    let hairpins = of(|uplink| uplink.hairpin_packets.value());
    Traffic {
        connections_tried: of(|uplink| uplink.connections_tried.value()),
        connections_answered: of(|uplink| uplink.connections_answered.value()),
        // A look between two of a worker's additions may see more hairpins than packets.
        packets_in: of(|uplink| uplink.in_packets.value()).saturating_sub(hairpins),
        bytes_in: of(|uplink| uplink.in_bytes.value()),
        bytes_out: of(|uplink| uplink.out_bytes.value()),
        segments: Segments {
            out: of(|uplink| uplink.out_data.value()),
            out_repeated: of(|uplink| uplink.out_repeated.value()),
            back: of(|uplink| uplink.in_data.value()),
            back_repeated: of(|uplink| uplink.in_repeated.value()),
            heard: far_ends(|far_end| far_end.heard.value()),
            stuck: far_ends(|far_end| far_end.stuck.value()),
        },
    }
}

/// One uplink.
pub(super) fn uplink(
    uplink: &UplinkState,
    workers: &Workers,
    rates: &Rates,
    queues: &QueueDrops,
    now: Timestamp,
) -> UplinkReport {
    let counters = workers.counters();
    let queue = uplink.interface.as_ref().map_or(0, |interface| queues.of(interface.index));
    let of = |read: fn(&UplinkCounters) -> u64| sum(counters, |worker| read(worker.uplink(uplink.id)));
    let (out_rate, in_rate) = rates.of(uplink.id.index());
    UplinkReport {
        name: uplink.config.name.to_string(),
        interface: uplink.interface_name(),
        kind: uplink.config.kind.name().to_owned(),
        state: uplink.availability().name().to_owned(),
        address: uplink.addresses().map(|(address, _)| address.to_string()),
        gateway: uplink
            .addresses()
            .filter(|(_, gateway)| !gateway.is_unspecified())
            .map(|(_, gateway)| gateway.to_string()),
        gateway_mac: uplink.line.next_hop().and_then(NextHop::gateway).map(|mac| mac.to_string()),
        problem: uplink.problem(),
        taken_down_by: uplink.by_hand.taken_down_by.clone(),
        redials: uplink.by_hand.redials,
        reserved: Vec::new(),
        lease: uplink.line.dhcp().and_then(|client| lease(client, now)),
        session: uplink.connected().map(session),
        health: uplink.line.health().map(|health| super::health::report(health, now)),
        role: String::new(),
        role_configured: uplink.config.role.name().to_owned(),
        role_set_by: uplink.by_hand.role.as_ref().map(|given| given.by.clone()),
        drain_seconds: endings::drain(uplink).map(|span| span.as_secs()),
        isolated: None,
        weight: uplink.config.weight.get(),
        capacity: uplink.known().report(is_full(uplink.id, workers.load())),
        transfers: workers.load().transfers(uplink.id),
        flows: of(|uplink| uplink.flows.value()),
        flows_reset: of(|uplink| uplink.flows_reset.value()),
        flows_told: of(|uplink| uplink.flows_told.value()),
        syn_rescued: of(|uplink| uplink.syn_rescued.value()),
        flows_moved: of(|uplink| uplink.flows_moved.value()),
        out: TrafficReport {
            packets: of(|uplink| uplink.out_packets.value()),
            bytes: of(|uplink| uplink.out_bytes.value()),
            bits_per_second: out_rate,
        },
        back: TrafficReport {
            packets: of(|uplink| uplink.in_packets.value()),
            bytes: of(|uplink| uplink.in_bytes.value()),
            bits_per_second: in_rate,
        },
        drops: drops(counters, queue, |worker| &worker.uplink(uplink.id).drops),
    }
}

fn lease(client: &Client, now: Timestamp) -> Option<LeaseReport> {
    client.lease().map(|lease| LeaseReport {
        server: lease.server,
        expires_in_seconds: client.lease_end().map(|end| end.since(now).as_secs()),
        name_servers: lease.name_servers.clone(),
        mtu: lease.mtu,
    })
}

fn session(connection: Connection) -> SessionReport {
    SessionReport {
        id: connection.session.number(),
        concentrator: connection.concentrator_name,
        concentrator_mac: connection.concentrator.to_string(),
        name_servers: connection.name_servers,
        mtu: connection.mtu,
    }
}

/// One LAN interface.
pub(super) fn lan(lan: &LanState) -> LanReport {
    LanReport {
        interface: lan.name.to_string(),
        capture: lan.mode.map(|mode| mode.name().to_owned()),
        state: lan.state().to_owned(),
        address: lan.address,
    }
}

/// What a query asks for, and at most how many; or what is wrong with it.
pub(super) fn filter(query: &FlowsQuery, uplinks: &[UplinkState]) -> Result<(FlowFilter, usize), String> {
    let uplink = query.uplink.as_ref().map(|name| uplink_named(name, uplinks)).transpose()?;
    let protocol = query.protocol.as_ref().map(|name| protocol_named(name)).transpose()?;
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT).min(MOST_FLOWS);
    Ok((FlowFilter { host: query.host, uplink, protocol, ..FlowFilter::default() }, limit))
}

/// Which flows a question is about; or what is wrong with it.
pub(super) fn flow_meant(query: &WhyQuery) -> Result<FlowFilter, String> {
    let protocol = query.protocol.as_ref().map(|name| protocol_named(name)).transpose()?;
    let remote = query.remote.map(|remote| EndpointV4 { address: *remote.ip(), port: remote.port() });
    let (host, port) = (Some(*query.host.ip()), Some(query.host.port()));
    Ok(FlowFilter { host, port, remote, protocol, uplink: None })
}

/// The uplink of this name, or which there are.
pub(super) fn uplink_named(name: &str, uplinks: &[UplinkState]) -> Result<UplinkId, String> {
    let found = places::configured(uplinks).find(|uplink| uplink.config.name.as_str() == name);
    found.map(|uplink| uplink.id).ok_or_else(|| {
        let names: Vec<_> = places::configured(uplinks).map(|uplink| uplink.config.name.as_str()).collect();
        format!("there is no uplink named \"{}\"; there are {}", name.escape_debug(), names.join(", "))
    })
}

fn protocol_named(name: &str) -> Result<Protocol, String> {
    let found = Protocol::ALL.into_iter().find(|protocol| protocol.to_string() == name);
    found.ok_or_else(|| format!("unknown protocol \"{}\"; one of icmp, tcp, udp", name.escape_debug()))
}

/// The flows found, one more than `limit` if there are more.
pub(super) fn flows(
    mut found: Vec<FlowListing>,
    limit: usize,
    uplinks: &[UplinkState],
    rules: &RuleIds,
) -> FlowsReport {
    let limited = found.len() > limit;
    found.truncate(limit);
    FlowsReport { flows: found.iter().map(|flow| self::flow(flow, uplinks, rules)).collect(), limited }
}

fn flow(flow: &FlowListing, uplinks: &[UplinkState], rules: &RuleIds) -> FlowReport {
    let traffic = |(packets, bytes)| FlowTraffic { packets, bytes };
    let name = |id: UplinkId| uplinks.get(id.index()).map(|uplink| uplink.config.name.to_string()).unwrap_or_default();
    let candidate = |score: &Score| CandidateReport {
        uplink: name(score.uplink()),
        expected_ms: f64::from(score.expected_us) / 1e3,
        share_bits_per_second: u64::from(score.share_kbit) * 1_000,
        bounded_by_loss: score.is_bounded_by_loss(),
        transfers: u32::from(score.transfers),
        flows: score.flows,
        round_trip_ms: u32::from(score.round_trip_ms),
    };
    FlowReport {
        protocol: flow.tuple.protocol.to_string(),
        host: flow.tuple.source.to_string(),
        remote: flow.tuple.destination.to_string(),
        direction: flow.direction.name().to_owned(),
        external: flow.external.to_string(),
        bulky: flow.bulkiness == Bulkiness::Bulky,
        uplink: name(flow.uplink),
        state: flow.state.name().to_owned(),
        out: traffic(flow.out),
        back: traffic(flow.back),
        age_seconds: flow.age.as_secs(),
        expires_in_seconds: flow.expires_in.as_secs(),
        rule: rules.name(flow.rule).map(ToString::to_string),
        class: flow.class.name().to_owned(),
        reason: flow.reason.name().to_owned(),
        candidates: flow.scores.iter().map(candidate).collect(),
    }
}
