//! What a round trip takes at the best of times.

use std::time::Duration;

use crate::flow::Timestamp;

/// The shortest of a row of round trips, forgotten slowly: ways change.
#[derive(Clone, Copy, Debug, Default)]
pub struct Floor {
    floor: Option<Duration>,
    since: Timestamp,
}

impl Floor {
    /// One took `round_trip`: says what the best of times is now. It is forgotten by a sixteenth each time that `rises` has passed.
    pub fn observe(&mut self, now: Timestamp, round_trip: Duration, rises: Duration) -> Duration {
        let mut floor = self.floor.unwrap_or(round_trip);
        if now.since(self.since) >= rises {
            self.since = now;
            floor += floor / 16;
        }
        let floor = floor.min(round_trip);
        self.floor = Some(floor);
        floor
    }
}
