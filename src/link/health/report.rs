//! A line's health in numbers, for people.

use std::time::Duration;

use super::delay::{Quantiles, RoundTrips};
use super::loss::Trend;
use super::repeated::RepeatedStatus;
use super::target::{Probe, Weight};

/// How a line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthStatus {
    /// Rounds of questions so far.
    pub rounds: u64,
    /// What the last answer took.
    pub last: Option<Duration>,
    /// What answers take, over a minute or two.
    pub round_trip: Option<Quantiles>,
    /// All of them since the start, on a full line, too.
    pub round_trips: RoundTrips,
    /// How much two in a row differ.
    pub jitter: Option<Quantiles>,
    /// The share of questions lost over [`super::loss::SPANS`], in percent; of the target that loses fewest.
    pub losses: [Option<u8>; 3],
    /// Data that is sent again.
    pub repeated: RepeatedStatus,
    /// Who is asked.
    pub targets: Vec<TargetStatus>,
}

impl HealthStatus {
    /// Whether the loss becomes more; `None`: nothing is known of it.
    #[must_use]
    pub fn trend(&self) -> Option<Trend> {
        let [now, minute, long] = self.losses;
        Some(Trend::of([now?, minute?, long?]))
    }
}

/// Who is asked, and what comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetStatus {
    /// Whom, and what.
    pub probe: Probe,
    /// What its silence means.
    pub weight: Weight,
    /// Questions in a row without an answer.
    pub silent: u32,
    /// The share of questions lost in the last quarter of a minute, in percent.
    pub loss_percent: Option<u8>,
}
