//! Medians, ratios, the table, the targets.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use crate::router::Contender;
use crate::work::{Sample, Unit};

/// Everything measured.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<(String, Unit)>,
    samples: BTreeMap<(usize, &'static str), Vec<f64>>,
    /// Measurements during which other programs kept the machine busy.
    pub(crate) disturbed: u32,
    /// Said below the table.
    pub(crate) notes: Vec<String>,
}

/// What the project has set itself: the rows it is about and the least ratio for the best capture and for TUN.
const RATIO_TARGETS: [(&str, &str, f64, Option<f64>); 4] = [
    ("TCP, MTU frames and GRO", "tcp mtu+gro", 1.0, Some(0.95)),
    ("TCP, super-packets", "tcp super", 0.85, Some(0.75)),
    ("UDP, 60-byte frames", "udp 60 B", 0.9, Some(0.3)),
    ("new flows", "new flows", 2.5, None),
];
/// Microseconds that an idle round trip may take more than by the kernel.
const IDLE_MORE: f64 = 20.0;

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        length if length % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// Largest distance from the median, in percent of it.
fn spread_percent(values: &[f64]) -> f64 {
    let Some(middle) = median(values) else { return 0.0 };
    values.iter().map(|value| (value - middle).abs() / middle * 100.0).fold(0.0, f64::max)
}

impl Unit {
    fn format(self, value: f64) -> String {
        match self {
            Self::Gigabits => format!("{value:.2} Gbit/s"),
            Self::Thousands => format!("{value:.0} k/s"),
            Self::Microseconds => format!("{value:.1} us"),
            Self::ProcessorSeconds => format!("{value:.3} s/Gbit"),
        }
    }

    fn less_is_better(self) -> bool {
        matches!(self, Self::Microseconds | Self::ProcessorSeconds)
    }
}

impl Report {
    /// Takes over what was measured.
    pub(crate) fn add(&mut self, contender: &'static str, samples: Vec<Sample>) {
        for sample in samples {
            let row = self.rows.iter().position(|(name, _)| *name == sample.row).unwrap_or_else(|| {
                self.rows.push((sample.row, sample.unit));
                self.rows.len() - 1
            });
            self.samples.entry((row, contender)).or_default().push(sample.value);
        }
    }

    /// Says below the table when other programs were in the way.
    pub(crate) fn note_disturbances(&mut self) {
        if self.disturbed > 0 {
            let note = format!(
                "Other programs kept the machine busy during {} measurements: trust them less.",
                self.disturbed
            );
            self.notes.push(note);
        }
    }

    fn median(&self, row: usize, contender: Contender) -> Option<f64> {
        median(self.samples.get(&(row, contender.name()))?)
    }

    fn ratio(&self, row: usize, contender: Contender) -> Option<f64> {
        Some(self.median(row, contender)? / self.median(row, Contender::Kernel)?)
    }

    /// The table, in Markdown that is aligned for the terminal too.
    pub(crate) fn table(&self, contenders: &[Contender]) -> String {
        let mut head = vec!["work".to_owned(), "kernel".to_owned()];
        for contender in contenders.iter().filter(|contender| **contender != Contender::Kernel) {
            head.extend([contender.name().to_owned(), "ratio".to_owned()]);
        }
        head.push("spread".to_owned());
        let mut lines = vec![head];
        for (row, (name, unit)) in self.rows.iter().enumerate() {
            let cell = |contender| self.median(row, contender).map_or_else(|| "-".into(), |value| unit.format(value));
            let mut line = vec![name.clone() + if unit.less_is_better() { " (less is better)" } else { "" }];
            line.push(cell(Contender::Kernel));
            for contender in contenders.iter().filter(|contender| **contender != Contender::Kernel) {
                let ratio = self.ratio(row, *contender).map_or_else(|| "-".into(), |ratio| format!("{ratio:.2}"));
                line.extend([cell(*contender), ratio]);
            }
            let spread = |contender: &Contender| {
                let values = self.samples.get(&(row, contender.name()));
                values.map_or_else(|| "-".into(), |values| format!("{:.0} %", spread_percent(values)))
            };
            line.push(contenders.iter().map(spread).collect::<Vec<_>>().join(" / "));
            lines.push(line);
        }
        aligned(&lines)
    }

    /// Each target and whether it is reached. A target about several rows is held to their geometric mean.
    pub(crate) fn targets(&self) -> String {
        let mut text = String::new();
        for (title, prefix, best, tun) in RATIO_TARGETS {
            let of = |contender| self.mean_ratio(prefix, contender);
            let (packet, over_tun) = (of(Contender::Packet), of(Contender::Tun));
            let highest = packet.into_iter().chain(over_tun).map(|(mean, _)| mean).reduce(f64::max);
            let _ = writeln!(text, "{}", verdict(&format!("{title}, best capture"), highest, best, packet));
            if let Some(least) = tun {
                let mean = over_tun.map(|(mean, _)| mean);
                let _ = writeln!(text, "{}", verdict(&format!("{title}, tun"), mean, least, over_tun));
            }
        }
        if let Some(row) = self.rows.iter().position(|(name, _)| name == "ping-pong idle, p50") {
            let kernel = self.median(row, Contender::Kernel);
            let ours = [Contender::Packet, Contender::Tun].into_iter().filter_map(|c| self.median(row, c));
            if let (Some(kernel), Some(ours)) = (kernel, ours.reduce(f64::min)) {
                let word = if ours - kernel <= IDLE_MORE { "reached" } else { "NOT REACHED" };
                let _ = writeln!(text, "{word:<12} idle round trip: {:+.1} us (at most +{IDLE_MORE})", ours - kernel);
            }
        }
        text += &self.cost_of_pages().unwrap_or_default();
        text
    }

    /// What open pages cost, beside what measuring the same thing twice differs by.
    fn cost_of_pages(&self) -> Option<String> {
        let watched = self.mean_gain(Contender::Watched, Contender::Packet)?;
        let again = self.mean_gain(Contender::KernelAgain, Contender::Kernel);
        let noise = again.map_or_else(String::new, |again| format!("; the kernel again beside the kernel: {again:.3}"));
        Some(format!("{:<12} pages open beside none: {watched:.3}, geometric mean of all rows{noise}\n", "measured"))
    }

    /// Geometric mean of how much better one is than the other, over all rows: 1 is the same, more is better.
    fn mean_gain(&self, one: Contender, other: Contender) -> Option<f64> {
        let gains = self.rows.iter().enumerate().filter_map(|(row, (_, unit))| {
            let gain = self.median(row, one)? / self.median(row, other)?;
            Some(if unit.less_is_better() { -gain.ln() } else { gain.ln() })
        });
        let gains: Vec<f64> = gains.collect();
        (!gains.is_empty()).then(|| (gains.iter().sum::<f64>() / gains.len() as f64).exp())
    }

    /// Geometric mean and lowest of the ratios of all rows that start with `prefix`.
    fn mean_ratio(&self, prefix: &str, contender: Contender) -> Option<(f64, f64)> {
        let rows = self.rows.iter().enumerate().filter(|(_, (name, _))| name.starts_with(prefix));
        let ratios: Vec<_> = rows.filter_map(|(row, _)| self.ratio(row, contender)).collect();
        let lowest = ratios.iter().copied().reduce(f64::min)?;
        let mean = (ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64).exp();
        Some((mean, lowest))
    }

    /// Everything, as JSON.
    pub(crate) fn json(&self) -> Value {
        let rows = self.rows.iter().enumerate().map(|(row, (name, unit))| {
            let contenders: BTreeMap<_, _> = self
                .samples
                .range((row, "")..(row + 1, ""))
                .map(|((_, contender), values)| (*contender, json!({ "median": median(values), "samples": values })))
                .collect();
            json!({ "work": name, "unit": unit.format(0.0).trim_start_matches(|c: char| !c.is_alphabetic()), "contenders": contenders })
        });
        json!({ "rows": rows.collect::<Vec<_>>(), "notes": self.notes })
    }
}

fn verdict(title: &str, ratio: Option<f64>, least: f64, detail: Option<(f64, f64)>) -> String {
    let Some(ratio) = ratio else { return format!("{:<12} {title}: at least {least:.2}", "not measured") };
    let word = if ratio >= least { "reached" } else { "NOT REACHED" };
    let lowest = detail.map_or_else(String::new, |(_, lowest)| format!(", lowest row {lowest:.2}"));
    format!("{word:<12} {title}: {ratio:.2} (at least {least:.2}{lowest})")
}

fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines[0].len();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (column, cell) in line.iter().enumerate() {
            let width = widths[column];
            let _ = if column == 0 { write!(text, "| {cell:<width$} ") } else { write!(text, "| {cell:>width$} ") };
        }
        text += "|\n";
        if number == 0 {
            for (column, width) in widths.iter().enumerate() {
                let _ = write!(text, "|{}{}", "-".repeat(width + 1), if column == 0 { "-" } else { ":" });
            }
            text += "|\n";
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_even_and_odd() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn ratio_is_of_medians() {
        let mut report = Report::default();
        let sample = |value| vec![Sample { row: "new flows".into(), unit: Unit::Thousands, value }];
        for (kernel, packet) in [(100.0, 300.0), (110.0, 200.0), (90.0, 400.0)] {
            report.add(Contender::Kernel.name(), sample(kernel));
            report.add(Contender::Packet.name(), sample(packet));
        }
        assert_eq!(report.ratio(0, Contender::Packet), Some(3.0));
        assert!(report.targets().contains("reached      new flows, best capture: 3.00"));
    }

    #[test]
    fn gain_is_more_of_what_is_good_and_less_of_what_is_not() {
        let mut report = Report::default();
        let sample = |row: &str, unit, value| vec![Sample { row: row.into(), unit, value }];
        for (contender, rate, time) in [(Contender::Packet, 100.0, 10.0), (Contender::Watched, 200.0, 20.0)] {
            report.add(contender.name(), sample("new flows", Unit::Thousands, rate));
            report.add(contender.name(), sample("ping-pong idle, p50", Unit::Microseconds, time));
        }
        let gain = report.mean_gain(Contender::Watched, Contender::Packet).unwrap();
        assert!((gain - 1.0).abs() < 1e-9, "twice the rate at twice the time: {gain}");
        assert!(report.targets().contains("pages open beside none: 1.000"));
    }
}
