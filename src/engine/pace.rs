//! What each line carries, as one worker sees it: measured while there are transfers, and right after the news of the shortcut
//! have come, so that nothing lags.

use std::time::Duration;

use super::counters::WorkerCounters;
use super::transfers::rate;
use crate::flow::Timestamp;
use crate::placement::{Load, MAX_UPLINKS, Rates, UplinkId};

/// How often it is measured, where the shortcut brings no news.
const INTERVAL: Duration = Duration::from_millis(250);
/// Measurements that are closer say little.
const SHORTEST: Duration = Duration::from_millis(150);
/// After a longer time nobody knows when what was carried was.
const LONGEST: Duration = Duration::from_secs(1);

/// A line's counters at the last measurement, and what was told of it.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    out_bytes: u64,
    in_bytes: u64,
    told: Rates,
}

/// The last measurement.
#[derive(Debug, Default)]
pub(super) struct Pace {
    lines: [Seen; MAX_UPLINKS],
    at: Timestamp,
    /// Whether something was told that is to be taken back when it is quiet.
    has_told: bool,
}

impl Pace {
    /// When the next measurement is due; `None`: when a transfer has begun, not before.
    pub(super) fn poll_timeout(&self, has_transfers: bool) -> Option<Timestamp> {
        (has_transfers || self.has_told).then(|| self.at + INTERVAL)
    }

    /// Measures, if it is time or the shortcut's news have just come.
    pub(super) fn measure(&mut self, now: Timestamp, is_news: bool, counters: &WorkerCounters, load: &Load) {
        let span = now.since(self.at);
        if span < if is_news { SHORTEST } else { INTERVAL } {
            return;
        }
        self.at = now;
        self.has_told = false;
        for (id, seen) in (0..).map(UplinkId).zip(&mut self.lines) {
            let counters = counters.uplink(id);
            let (out_bytes, in_bytes) = (counters.out_bytes.value(), counters.in_bytes.value());
            let told = if span > LONGEST {
                Rates::default()
            } else {
                Rates {
                    download: rate(in_bytes.saturating_sub(seen.in_bytes), span),
                    upload: rate(out_bytes.saturating_sub(seen.out_bytes), span),
                }
            };
            if told != seen.told {
                load.measure(id, seen.told, told);
            }
            self.has_told |= told != Rates::default();
            *seen = Seen { out_bytes, in_bytes, told };
        }
    }
}
