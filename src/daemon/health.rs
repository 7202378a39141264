//! A line's health at the edges: what its owner says of it, and what people are told.

use std::time::Duration;

use super::report::{HealthReport, SpanReport, TargetReport};
use crate::config;
use crate::flow::Timestamp;
use crate::link::health::{Capacity, Health, Quantiles, TargetStatus, Weight};

/// What a line can carry, as far as its owner says.
pub(super) fn capacity(uplink: &config::Uplink) -> Capacity {
    let of = |rate: Option<config::Rate>| rate.map(config::Rate::bits_per_second);
    Capacity { download: of(uplink.download), upload: of(uplink.upload) }
}

/// A line's health, for people.
pub(super) fn report(health: &Health, now: Timestamp) -> HealthReport {
    let status = health.status(now);
    let [loss_15s, loss_1m, loss_5m] = status.losses;
    HealthReport {
        rounds: status.rounds,
        targets: status.targets.iter().map(target).collect(),
        loss_15s_percent: loss_15s,
        loss_1m_percent: loss_1m,
        loss_5m_percent: loss_5m,
        trend: status.trend().map(|trend| trend.name().to_owned()),
        retransmitted_1m_percent: status.repeated.out_percent,
        retransmitted_usual_percent: status.repeated.usual_percent,
        received_again_1m_percent: status.repeated.back_percent,
        last_round_trip_ms: status.last.map(milliseconds),
        round_trip_ms: status.round_trip.map(span),
        jitter_ms: status.jitter.map(span),
        round_trips: status.round_trips,
    }
}

fn target(status: &TargetStatus) -> TargetReport {
    let weight = match status.weight {
        Weight::Near => "near",
        Weight::Unproven => "unproven",
        Weight::Counts => "counts",
    };
    TargetReport {
        target: status.probe.to_string(),
        weight: weight.to_owned(),
        unanswered_in_a_row: status.silent,
        loss_15s_percent: status.loss_percent,
    }
}

fn span(quantiles: Quantiles) -> SpanReport {
    SpanReport { median: milliseconds(quantiles.median), p99: milliseconds(quantiles.high) }
}

fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
