//! What is written is read again by a parser that forgives nothing, and the dashboard asks for nothing else.

mod dashboard;

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::daemon::report::{CapacityReport, EngineReport, SpanReport, TrafficReport};
use crate::link::health::RoundTrips;

type Labels = Vec<(String, String)>;

/// A page as a strict reader understands it: samples in their order, by name and labels.
#[derive(Debug, Default)]
struct Page {
    samples: Vec<(String, Labels, f64)>,
}

impl Page {
    fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let is_it = |own: &[(String, String)]| {
            labels.iter().all(|(key, value)| own.contains(&((*key).into(), (*value).into())))
        };
        let mut found = self.samples.iter().filter(|(own, labels, _)| own == name && is_it(labels));
        found.next().map(|(.., value)| *value)
    }

    /// The values that `label` has where there is a metric `name`; `None`: there is none with that label.
    fn values(&self, name: &str, label: &str) -> Option<BTreeSet<&str>> {
        let own = self.samples.iter().filter(|(own, ..)| own == name).flat_map(|(_, labels, _)| labels);
        let values: BTreeSet<_> = own.filter(|(key, _)| key == label).map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then_some(values)
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// `key="value",...`, with the escapes that there are.
fn labels(mut text: &str) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    while !text.is_empty() {
        let (key, rest) = text.split_once("=\"").expect("a label has a value");
        assert!(is_name(key), "{key}");
        let (mut value, mut rest) = (String::new(), rest.chars());
        loop {
            match rest.next().expect("a value ends") {
                '"' => break,
                '\\' => value.push(match rest.next() {
                    Some('n') => '\n',
                    Some(c @ ('"' | '\\')) => c,
                    other => panic!("no such escape: {other:?}"),
                }),
                c => value.push(c),
            }
        }
        labels.push((key.to_owned(), value));
        let rest = rest.as_str();
        text = rest.strip_prefix(',').unwrap_or(rest);
        assert!(rest.is_empty() || (rest.starts_with(',') && !text.is_empty()), "{rest}");
    }
    labels
}

/// Reads a whole page, as the OpenMetrics specification (or the older text's) has it.
fn read(text: &str, format: Format) -> Page {
    let body = match format {
        Format::Open => text.strip_suffix("# EOF\n").expect("it ends with # EOF"),
        Format::Text => text,
    };
    assert!(body.ends_with('\n') && !body.contains("# EOF"));
    let (mut page, mut families, mut seen) = (Page::default(), BTreeSet::new(), BTreeSet::new());
    let (mut family, mut kind, mut helped) = (String::new(), String::new(), String::new());
    for line in body.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            helped = help.split_once(' ').expect("help has words").0.to_owned();
        } else if let Some(typed) = line.strip_prefix("# TYPE ") {
            (family, kind) = typed.split_once(' ').map(|(name, kind)| (name.into(), kind.into())).expect("a type");
            assert!(is_name(&family) && family == helped, "{line}");
            assert!(families.insert(family.clone()), "{family} comes twice");
            assert!(["counter", "gauge", "histogram", "info"].contains(&kind.as_str()), "{line}");
        } else {
            let (name, value) = line.rsplit_once(' ').expect("a sample has a value");
            let (name, own) = name.strip_suffix('}').map_or((name, ""), |name| name.split_once('{').expect("labels"));
            let suffix = name.strip_prefix(family.as_str()).unwrap_or_else(|| panic!("{name} is not of {family}"));
            let right: &[&str] = match (kind.as_str(), format) {
                ("counter", Format::Open) => &["_total"],
                ("histogram", _) => &["_bucket", "_sum", "_count"],
                ("info", _) => &["_info"],
                _ => &[""],
            };
            assert!(right.contains(&suffix), "{line} as {kind} {family}");
            assert!(kind != "counter" || name.ends_with("_total"), "{name}");
            let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
            assert!(value.is_finite() && (kind != "counter" || value >= 0.0), "{line}");
            assert!(seen.insert((name.to_owned(), own.to_owned())), "{line} comes twice");
            let labels = labels(own);
            let is_reserved = |(key, _): &(String, String)| key == "quantile" || key == "le" && kind != "histogram";
            assert!(!labels.iter().any(is_reserved), "{line}: this label is of another kind of metric");
            page.samples.push((name.to_owned(), labels, value));
        }
    }
    page
}

/// A router at work, which has everything.
fn numbers() -> Numbers {
    let traffic = |bytes| TrafficReport { packets: bytes / 1_000, bytes, bits_per_second: 8_000 };
    let span = |median, p99| Some(SpanReport { median, p99 });
    let mut counts = [0; ROUND_TRIP_BOUNDS.len() + 1];
    (counts[3], counts[5], counts[15]) = (10, 5, 1);
    let line = |name: &str, state: &str| UplinkReport {
        name: name.to_owned(),
        state: state.to_owned(),
        role: "isolated (auto)".to_owned(),
        weight: 16,
        flows: 3,
        capacity: CapacityReport {
            download: RateReport { bits_per_second: 16_000_000, source: "given".to_owned() },
            ..CapacityReport::default()
        },
        out: traffic(5_000),
        back: traffic(u64::MAX),
        drops: [("no_mapping".to_owned(), 7)].into(),
        health: Some(HealthReport {
            loss_15s_percent: Some(12),
            retransmitted_1m_percent: Some(1),
            jitter_ms: span(2, 30),
            round_trips: RoundTrips { counts, total: Duration::from_millis(3_500) },
            ..HealthReport::default()
        }),
        ..UplinkReport::default()
    };
    let worker = WorkerReport { received: 9, processor_seconds: 1.25, ..WorkerReport::default() };
    Numbers {
        status: StatusReport {
            version: "0.1.0".to_owned(),
            uptime_seconds: 100,
            uplinks: vec![line("dsl1", "up"), line("dsl2", "lame")],
            engine: EngineReport {
                mappings: 4,
                drops: [("ipv6".to_owned(), 2)].into(),
                per_worker: vec![worker; 2],
                ..EngineReport::default()
            },
            ..StatusReport::default()
        },
        events: [("uplink-changed", 4)].into(),
        answers: [(("/v1/status".to_owned(), 200), 6), (("un\"known\\\n".to_owned(), 404), 1)].into(),
        flow_slots: 1_000_000,
        now: 1_795_701_600,
    }
}

#[test]
fn strict_reader_finds_every_number_in_both_formats() {
    for format in [Format::Open, Format::Text] {
        let page = read(&numbers().text(format).unwrap(), format);
        for (name, labels, value) in [
            ("potato_build_info", &[("version", "0.1.0")][..], 1.0),
            ("potato_start_time_seconds", &[], 1_795_701_500.0),
            ("potato_nat_mappings", &[], 4.0),
            ("potato_uplink_bytes_total", &[("uplink", "dsl1"), ("direction", "out")], 5_000.0),
            ("potato_uplink_packets_total", &[("uplink", "dsl2"), ("direction", "out")], 5.0),
            ("potato_uplink_bytes_per_second", &[("uplink", "dsl2"), ("direction", "in")], 1_000.0),
            ("potato_uplink_capacity_bytes_per_second", &[("direction", "in"), ("source", "given")], 2e6),
            ("potato_uplink_state", &[("uplink", "dsl2"), ("state", "lame")], 1.0),
            ("potato_uplink_state", &[("uplink", "dsl2"), ("state", "up")], 0.0),
            ("potato_uplink_working", &[("uplink", "dsl2")], 0.0),
            ("potato_uplink_role", &[("uplink", "dsl1"), ("role", "isolated (auto)")], 1.0),
            ("potato_uplink_loss_ratio", &[("uplink", "dsl1"), ("window", "15s")], 0.12),
            ("potato_uplink_jitter_seconds", &[("percentile", "99")], 0.03),
            ("potato_uplink_drops_total", &[("uplink", "dsl1"), ("reason", "no_mapping")], 7.0),
            ("potato_uplink_drops_total", &[("uplink", "dsl1"), ("reason", "ipv6")], 0.0),
            ("potato_lan_drops_total", &[("reason", "ipv6")], 2.0),
            ("potato_worker_cpu_seconds_total", &[("worker", "1")], 1.25),
            ("potato_worker_received_packets_total", &[("worker", "0")], 9.0),
            ("potato_events_total", &[("event", "uplink-changed")], 4.0),
            ("potato_api_answers_total", &[("path", "/v1/status"), ("code", "200")], 6.0),
            ("potato_api_answers_total", &[("path", "un\"known\\\n")], 1.0),
        ] {
            assert_eq!(page.value(name, labels), Some(value), "{name} {labels:?} {format:?}");
        }
        assert_eq!(page.value("potato_uplink_loss_ratio", &[("window", "5m")]), None, "it is not known");
    }
}

#[test]
fn round_trips_are_a_histogram() {
    for format in [Format::Open, Format::Text] {
        let page = read(&numbers().text(format).unwrap(), format);
        let of = |suffix: &str, le: &[(&str, &str)]| {
            page.value(&format!("potato_uplink_rtt_seconds{suffix}"), &[&[("uplink", "dsl1")], le].concat())
        };
        assert_eq!((of("_count", &[]), of("_sum", &[])), (Some(16.0), Some(3.5)));
        assert_eq!((of("_bucket", &[("le", "0.005")]), of("_bucket", &[("le", "0.01")])), (Some(0.0), Some(10.0)));
        // Both ways of writing it are right.
        let within_two = of("_bucket", &[("le", "2.0")]).or_else(|| of("_bucket", &[("le", "2")]));
        assert_eq!((within_two, of("_bucket", &[("le", "+Inf")])), (Some(15.0), Some(16.0)));
        let is_first = |labels: &[(String, String)]| labels.iter().any(|(_, value)| value == "dsl1");
        let of_first = page.samples.iter().filter(|(name, labels, _)| name.ends_with("_bucket") && is_first(labels));
        let buckets: Vec<_> = of_first.collect();
        assert_eq!(buckets.len(), ROUND_TRIP_BOUNDS.len() + 1);
        assert!(buckets.is_sorted_by(|(.., earlier), (.., later)| earlier <= later), "they are cumulative");
    }
}

#[test]
fn router_that_knows_nothing_yet_can_be_asked() {
    for format in [Format::Open, Format::Text] {
        read(&Numbers::default().text(format).unwrap(), format);
    }
    assert_eq!(Format::accepted("text/html"), Format::Text);
    let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
    assert_eq!(Format::accepted(prometheus), Format::Open);
}
