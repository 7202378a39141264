//! The numbers and their names.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, prometheus_text, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::daemon::report::{HealthReport, RateReport, StatusReport, UplinkReport, WorkerReport};
use crate::engine::DropReason;
use crate::link::health::ROUND_TRIP_BOUNDS;
use crate::placement::Availability;

/// How they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// OpenMetrics 1.0.
    Open,
    /// Prometheus' text, version 0.0.4.
    Text,
}

impl Format {
    /// The one for whoever sends this `Accept`.
    pub(super) fn accepted(accepted: &str) -> Self {
        if accepted.contains("application/openmetrics-text") { Self::Open } else { Self::Text }
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Open => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => prometheus_text::CONTENT_TYPE,
        }
    }
}

/// All that is told, as it is now.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers {
    pub(super) status: StatusReport,
    /// Events since the start, by kind.
    pub(super) events: BTreeMap<&'static str, u64>,
    /// Answers of the API since the start, by path and status.
    pub(super) answers: BTreeMap<(String, u16), u64>,
    /// Most flows.
    pub(super) flow_slots: u64,
    /// Seconds since 1970.
    pub(super) now: u64,
}

impl Numbers {
    /// As text.
    pub(super) fn text(self, format: Format) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix("potato");
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        match format {
            Format::Open => text::encode(&mut text, &registry)?,
            Format::Text => prometheus_text::encode(&mut text, &registry)?,
        }
        Ok(text)
    }
}

type Labels = Vec<(&'static str, String)>;

/// A number.
#[derive(Clone, Copy)]
enum Value {
    Whole(u64),
    Real(f64),
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Whole(number)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl From<bool> for Value {
    fn from(is_so: bool) -> Self {
        Self::Whole(u64::from(is_so))
    }
}

/// Writes one metric after the other.
struct Writer<'a>(DescriptorEncoder<'a>);

impl Writer<'_> {
    /// What only grows; `_total` is put behind its name.
    fn counter<V: Into<Value>>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, V)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in samples {
            let mut sample = with(&mut metric, &labels)?;
            match value.into() {
                Value::Whole(number) => sample.encode_counter::<NoLabelSet, _, f64>(&number, None)?,
                Value::Real(number) => sample.encode_counter::<NoLabelSet, _, f64>(&number, None)?,
            }
        }
        Ok(())
    }

    /// What comes and goes.
    fn gauge<V: Into<Value>>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, V)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in samples {
            let mut sample = with(&mut metric, &labels)?;
            match value.into() {
                Value::Whole(number) => sample.encode_gauge(&number)?,
                Value::Real(number) => sample.encode_gauge(&number)?,
            }
        }
        Ok(())
    }
}

fn with<'m>(metric: &'m mut MetricEncoder<'_>, labels: &'m Labels) -> Result<MetricEncoder<'m>, fmt::Error> {
    metric.encode_family(labels)
}

impl Collector for Numbers {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = Writer(encoder);
        self.router(&mut writer)?;
        self.traffic(&mut writer)?;
        self.lines(&mut writer)?;
        self.health(&mut writer)?;
        self.workers(&mut writer)
    }
}

impl Numbers {
    fn router(&self, to: &mut Writer<'_>) -> fmt::Result {
        let (status, engine) = (&self.status, &self.status.engine);
        let version = vec![("version", status.version.clone())];
        to.0.encode_descriptor("build", "The program", None, MetricType::Info)?.encode_info(&version)?;
        let started = self.now.saturating_sub(status.uptime_seconds);
        to.gauge("start_time_seconds", "When the router was started, since 1970", [(vec![], started)])?;
        to.gauge("flows", "Flows that live now", [(vec![], engine.flows)])?;
        to.gauge("flow_slots", "Most flows that can live", [(vec![], self.flow_slots)])?;
        to.gauge("nat_mappings", "External ports that hosts have now, resting ones too", [(vec![], engine.mappings)])?;
        to.gauge("hosts", "Hosts that have an account", [(vec![], engine.hosts)])?;
        let drops = reasons(&engine.drops).map(|(reason, packets)| (vec![reason], packets));
        to.counter("lan_drops", "Packets from the LAN that got no uplink and were not forwarded", drops)?;
        let events = self.events.iter().map(|(kind, count)| (vec![("event", (*kind).to_owned())], *count));
        to.counter("events", "What has happened, by kind", events)?;
        let answers = self
            .answers
            .iter()
            .map(|((path, code), count)| (vec![("path", path.clone()), ("code", code.to_string())], *count));
        to.counter("api_answers", "Answers to what was asked or ordered", answers)
    }

    /// Of each line, whatever `of` tells.
    fn each<V>(&self, of: impl Fn(&UplinkReport) -> V) -> impl Iterator<Item = (Labels, V)> {
        self.status.uplinks.iter().map(move |uplink| (vec![name(uplink)], of(uplink)))
    }

    /// Of each line, both directions.
    fn both<V>(&self, of: impl Fn(&UplinkReport) -> [V; 2]) -> impl Iterator<Item = (Labels, V)> {
        self.status.uplinks.iter().flat_map(move |uplink| {
            ["in", "out"].into_iter().zip(of(uplink)).map(|(way, value)| (vec![name(uplink), direction(way)], value))
        })
    }

    fn traffic(&self, to: &mut Writer<'_>) -> fmt::Result {
        let bytes = self.both(|uplink| [uplink.back.bytes, uplink.out.bytes]);
        to.counter("uplink_bytes", "Bytes of IP packets carried", bytes)?;
        let packets = self.both(|uplink| [uplink.back.packets, uplink.out.packets]);
        to.counter("uplink_packets", "Packets carried, as the wire has them", packets)?;
        let rate = |bits: u64| as_real(bits) / 8.0;
        let rates = self.both(|uplink| [rate(uplink.back.bits_per_second), rate(uplink.out.bits_per_second)]);
        to.gauge("uplink_bytes_per_second", "The rate over the last second or so", rates)?;
        let known = |rate: &RateReport| vec![("source", rate.source.clone())];
        let capacity = |uplink: &UplinkReport| [uplink.capacity.download.clone(), uplink.capacity.upload.clone()];
        let capacities = self.both(capacity).filter(|(_, rate)| rate.bits_per_second > 0);
        let capacities = capacities.map(|(labels, told)| ([labels, known(&told)].concat(), rate(told.bits_per_second)));
        to.gauge("uplink_capacity_bytes_per_second", "What it can carry, as far as is known", capacities)?;
        let drops =
            self.status.uplinks.iter().flat_map(|uplink| {
                reasons(&uplink.drops).map(|(reason, packets)| (vec![name(uplink), reason], packets))
            });
        to.counter("uplink_drops", "Packets received on it, or bound for it, and not forwarded", drops)
    }

    fn lines(&self, to: &mut Writer<'_>) -> fmt::Result {
        let states = self.status.uplinks.iter().flat_map(|uplink| {
            let is = |state: &str| (vec![name(uplink), ("state", state.to_owned())], uplink.state == state);
            Availability::ALL.map(|state| is(state.name()))
        });
        to.gauge("uplink_state", "1 for the state that it is in, 0 for all others", states)?;
        let works = self.each(|uplink| matches!(uplink.state.as_str(), "up" | "standby"));
        to.gauge("uplink_working", "1 when it can carry new flows: up or standby", works)?;
        let info = self.status.uplinks.iter().map(|uplink| {
            let of = |key, value: &str| (key, value.to_owned());
            let facts = [of("interface", &uplink.interface), of("kind", &uplink.kind), of("role", &uplink.role)];
            (std::iter::once(name(uplink)).chain(facts).collect(), 1_u64)
        });
        to.gauge("uplink_role", "1, with what the line is for", info)?;
        to.gauge("uplink_weight", "Its share of new flows", self.each(|uplink| u64::from(uplink.weight)))?;
        to.gauge("uplink_full", "1 when it has no room to speak of", self.each(|uplink| uplink.capacity.full))?;
        to.gauge("uplink_flows", "Flows that live on it now", self.each(|uplink| uplink.flows))?;
        let transfers = self.each(|uplink| u64::from(uplink.transfers));
        to.gauge("uplink_transfers", "Flows in the middle of a transfer", transfers)?;
        let reserved = self.each(|uplink| uplink.reserved.len() as u64);
        to.gauge("uplink_reserved_hosts", "Hosts that it is reserved for", reserved)?;
        let reset = self.each(|uplink| uplink.flows_reset);
        to.counter("uplink_flows_reset", "Connections ended when it was lost, whose host got a reset", reset)?;
        let told = self.each(|uplink| uplink.flows_told);
        to.counter("uplink_flows_told", "Datagram flows ended when it was lost, whose host got an error", told)?;
        let moved = self.each(|uplink| uplink.flows_moved);
        to.counter("uplink_flows_moved", "Flows that have left it and go on over another", moved)?;
        let rescued = self.each(|uplink| uplink.syn_rescued);
        to.counter("uplink_syn_rescued", "SYNs that it has not answered, and that went out by another", rescued)
    }

    /// Of each line that is watched, whatever `of` tells of it.
    fn watched(&self) -> impl Iterator<Item = (&UplinkReport, &HealthReport)> {
        self.status.uplinks.iter().filter_map(|uplink| Some((uplink, uplink.health.as_ref()?)))
    }

    fn health(&self, to: &mut Writer<'_>) -> fmt::Result {
        let losses = self.watched().flat_map(|(uplink, health)| {
            let spans =
                [("15s", health.loss_15s_percent), ("1m", health.loss_1m_percent), ("5m", health.loss_5m_percent)];
            let ratio = |(span, percent): (&str, Option<u8>)| {
                Some((vec![name(uplink), ("window", span.to_owned())], f64::from(percent?) / 100.0))
            };
            spans.into_iter().filter_map(ratio)
        });
        to.gauge("uplink_loss_ratio", "The share of the router's questions lost", losses)?;
        let again = self.watched().filter_map(|(uplink, health)| {
            Some((vec![name(uplink)], f64::from(health.retransmitted_1m_percent?) / 100.0))
        });
        to.gauge(
            "uplink_retransmitted_ratio",
            "The share of their data that hosts have sent again in a minute",
            again,
        )?;
        let jitter = self.watched().flat_map(|(uplink, health)| {
            // Not `quantile`, which is a summary's.
            let of = |percentile: &str, milliseconds: u64| {
                (vec![name(uplink), ("percentile", percentile.to_owned())], as_real(milliseconds) / 1e3)
            };
            health.jitter_ms.into_iter().flat_map(move |span| [of("50", span.median), of("99", span.p99)])
        });
        to.gauge("uplink_jitter_seconds", "How much two round trips in a row differed, in a minute or two", jitter)?;
        let rounds = self.watched().map(|(uplink, health)| (vec![name(uplink)], health.rounds));
        to.counter("uplink_probe_rounds", "Rounds of the router's questions", rounds)?;
        let help = "What answers to the router's questions took";
        let mut metric = to.0.encode_descriptor("uplink_rtt_seconds", help, None, MetricType::Histogram)?;
        for (uplink, health) in self.watched() {
            let bounds = ROUND_TRIP_BOUNDS.map(|bound| as_real(bound) / 1e3).into_iter().chain([f64::INFINITY]);
            let buckets: Vec<_> = bounds.zip(health.round_trips.counts).collect();
            let (sum, count) = (health.round_trips.total.as_secs_f64(), health.round_trips.count());
            let labels = vec![name(uplink)];
            with(&mut metric, &labels)?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        Ok(())
    }

    /// Of each worker, whatever `of` tells.
    fn every<V>(&self, of: impl Fn(&WorkerReport) -> V) -> impl Iterator<Item = (Labels, V)> {
        let workers = self.status.engine.per_worker.iter().enumerate();
        workers.map(move |(number, worker)| (vec![("worker", number.to_string())], of(worker)))
    }

    fn workers(&self, to: &mut Writer<'_>) -> fmt::Result {
        let used = self.every(|worker| worker.processor_seconds);
        to.counter("worker_cpu_seconds", "Processor time that it has used: how busy it is", used)?;
        let received = self.every(|worker| worker.received);
        to.counter("worker_received_packets", "Packets that it has received, without the shortcut's", received)?;
        to.counter("worker_batches", "Batches that they came in", self.every(|worker| worker.batches))?;
        let given = self.every(|worker| worker.handed_over);
        to.counter("worker_handed_over_packets", "Packets that it gave to another worker", given)?;
        to.counter("worker_flows_created", "Flows that it has made", self.every(|worker| worker.flows_created))?;
        to.gauge("worker_flows", "Flows that it has now", self.every(|worker| worker.flows))?;
        let shortcut = self.every(|worker| worker.shortcut_flows);
        to.gauge("worker_shortcut_flows", "Those of its flows that the kernel carries", shortcut)
    }
}

fn name(uplink: &UplinkReport) -> (&'static str, String) {
    ("uplink", uplink.name.clone())
}

fn direction(way: &str) -> (&'static str, String) {
    ("direction", way.to_owned())
}

/// All reasons, those that have not occurred too: who asks for rates wants to see the first one.
fn reasons(drops: &BTreeMap<String, u64>) -> impl Iterator<Item = ((&'static str, String), u64)> {
    DropReason::ALL.iter().map(|reason| {
        let packets = drops.get(reason.name()).copied().unwrap_or_default();
        (("reason", reason.name().to_owned()), packets)
    })
}

#[expect(clippy::cast_precision_loss, reason = "a number to show")]
fn as_real(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests;
