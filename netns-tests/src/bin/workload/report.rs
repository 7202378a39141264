//! Slowdowns as a table.

use std::fmt;

use crate::Contender;

/// What is shown of a distribution.
const QUANTILES: [(&str, f64); 3] = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)];

/// Everything measured.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Load in percent, who routed, and the slowdown of every download, a round each.
    turns: Vec<(u32, Contender, Vec<f64>)>,
}

/// The value below which `share` of the sorted values are.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = (sorted.len() as f64 * share) as usize;
    sorted.get(place.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
}

/// One turn in a line.
pub(crate) fn summary(slowdowns: &[f64]) -> String {
    let sorted = sorted(slowdowns);
    let shown: Vec<_> =
        QUANTILES.iter().map(|(name, share)| format!("{name} {:.2}", quantile(&sorted, *share))).collect();
    format!("{} downloads, slowdown {}", sorted.len(), shown.join(", "))
}

impl Report {
    pub(crate) fn add(&mut self, load: u32, contender: Contender, slowdowns: Vec<f64>) {
        self.turns.push((load, contender, slowdowns));
    }

    /// The median over the rounds of a quantile within each.
    fn median(&self, load: u32, contender: Contender, share: f64) -> f64 {
        let turns = self.turns.iter().filter(|turn| turn.0 == load && turn.1 == contender);
        let rounds: Vec<f64> = turns.map(|(_, _, slowdowns)| quantile(&sorted(slowdowns), share)).collect();
        quantile(&sorted(&rounds), 0.5)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| load | slowdown | kernel | potato | ratio |\n|---|---|---:|---:|---:|")?;
        let mut loads: Vec<u32> = self.turns.iter().map(|turn| turn.0).collect();
        loads.dedup();
        for load in loads {
            for (name, share) in QUANTILES {
                let [kernel, potato] = Contender::BOTH.map(|contender| self.median(load, contender, share));
                writeln!(f, "| {load} % | {name} | {kernel:.2} | {potato:.2} | {:.2} |", potato / kernel)?;
            }
        }
        Ok(())
    }
}
