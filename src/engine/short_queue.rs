//! Queues of full lines kept short, so that whoever else uses the line does not wait behind a long transfer.
//!
//! Theory of operation. A long transfer over TCP sends until something is lost, so it fills the queue in front of its line,
//! wherever that is: at the provider for downloads, in the modem for uploads. Nobody can empty that queue from here, but
//! senders slow down when they lose a packet (RFC 5681) or are told of congestion (RFC 3168). So this is the active queue
//! management that RFC 7567 asks of every device, from afar.
//!
//! What a transfer's packets wait is known without asking: a host's segment has a time stamp, the far end's answer has it again
//! (RFC 7323), and in between is a round trip of everything but the LAN. What it takes more than at the best of times is
//! the wait. When a transfer's every round trip has waited for [`TARGET`] and more during [`INTERVAL`], and its line is full, one
//! of its packets is marked or dropped; the next ones sooner and sooner until the wait is over, as CoDel does it (RFC 8289).
//!
//! Three things keep it from harm. A line that is not full has no queue that matters: the wait is somebody else's. A
//! sender with fewer than [`LEAST_FLIGHT`] segments on their way could not tell a loss but by a timeout, and is left alone.
//! And only long transfers are ever asked; calls, games and what is isolated never are.
//!
//! What is here knows neither packets nor records: `slowing` brings it together with those.

use std::collections::HashMap;
use std::time::Duration;

use super::parse::Way;
use crate::flow::tcp::Payload;
use crate::flow::{FlowId, Timestamp};
use crate::placement::Floor;
use crate::wire::tcp::Timestamps;

/// A wait below this is no queue to speak of (RFC 8289 section 4.4).
const TARGET: Duration = Duration::from_millis(5);
/// A wait that is over sooner is a burst (section 4.3 there).
const INTERVAL: Duration = Duration::from_millis(100);
/// Segments on their way that a sender must have to lose one: three behind it tell of it (RFC 5681 section 3.2), and some may be
/// gone already.
const LEAST_FLIGHT: u64 = 6;
/// Bytes of a full segment, or nearly.
const SEGMENT: u64 = 1_400;
/// An answer that has not come by then will not.
const PATIENCE: Duration = Duration::from_secs(2);
/// The best of times is forgotten by a sixteenth in this time, for ways change.
const FLOOR_RISES: Duration = Duration::from_secs(10);
/// Transfers of one worker that are watched at a time.
const MOST: usize = 1_024;

/// What a transfer has moved, in bytes: out, in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Moved {
    pub(super) out: u64,
    pub(super) back: u64,
}

/// A segment whose answer is waited for.
#[derive(Clone, Copy, Debug)]
struct Asked {
    /// Its time stamp.
    value: u32,
    at: Timestamp,
    /// What was moved before it.
    moved: Moved,
}

/// A transfer that is watched.
#[derive(Clone, Copy, Debug, Default)]
struct Watched {
    asked: Option<Asked>,
    floor: Floor,
    /// The last one.
    round_trip: Duration,
    /// What was moved meanwhile, which is what was on its way.
    flight: Moved,
    /// Since when every round trip has waited.
    waits_since: Option<Timestamp>,
    /// Packets that were taken of this wait, and when the next one is due.
    taken: u32,
    next: Timestamp,
    /// Of those, which were dropped and have not come again.
    owed: u32,
}

impl Watched {
    /// A host's segment goes out.
    fn ask(&mut self, now: Timestamp, stamps: Timestamps, moved: Moved) {
        if self.asked.is_none_or(|asked| now.since(asked.at) >= PATIENCE) {
            self.asked = Some(Asked { value: stamps.value, at: now, moved });
        }
    }

    /// A segment of the far end comes.
    fn hear(&mut self, now: Timestamp, stamps: Timestamps, moved: Moved) {
        // Numbers go round.
        let answers = |asked: &mut Asked| stamps.echo.wrapping_sub(asked.value) < 1 << 31;
        let Some(asked) = self.asked.take_if(answers) else { return };
        self.round_trip = now.since(asked.at);
        self.flight = Moved { out: moved.out - asked.moved.out, back: moved.back - asked.moved.back };
        let floor = self.floor.observe(now, self.round_trip, FLOOR_RISES);
        if self.round_trip - floor < TARGET {
            self.waits_since = None;
        } else if self.waits_since.is_none() {
            self.waits_since = Some(now);
            // Soon after the last time, what helped then is not far from what will help now.
            self.taken = if now.since(self.next) < INTERVAL * 8 { self.taken / 2 } else { 0 };
            self.next = now + INTERVAL;
        }
    }

    /// Whether it is time for a packet to be taken.
    fn is_due(&self, now: Timestamp, way: Way) -> bool {
        let Moved { out, back } = self.flight;
        let (this, other) = if way == Way::Outbound { (out, back) } else { (back, out) };
        self.waits_since.is_some() && now >= self.next && this > other && this >= LEAST_FLIGHT * SEGMENT
    }

    /// One was.
    fn take(&mut self, now: Timestamp) {
        self.taken += 1;
        let next = INTERVAL.div_f64(f64::from(self.taken).sqrt());
        // What the last one has brought is seen a round trip later.
        self.next = now + next.max(self.round_trip);
    }
}

/// The transfers that are watched.
#[derive(Debug)]
pub(super) struct ShortQueues {
    watched: HashMap<FlowId, Watched>,
}

impl Default for ShortQueues {
    fn default() -> Self {
        Self { watched: HashMap::with_capacity(MOST) }
    }
}

impl ShortQueues {
    /// The flow is no transfer any more.
    pub(super) fn forget(&mut self, id: FlowId) {
        if !self.watched.is_empty() {
            self.watched.remove(&id);
        }
    }

    /// What is sent again because it was dropped here is no loss of the line's: to its health it is new.
    pub(super) fn excuse(&mut self, id: FlowId, payload: Payload, packets: u64) -> Payload {
        if payload != Payload::Again {
            return payload;
        }
        let Some(watched) = self.watched.get_mut(&id).filter(|watched| watched.owed > 0) else { return payload };
        watched.owed = watched.owed.saturating_sub(u32::try_from(packets).unwrap_or(u32::MAX));
        Payload::New
    }

    /// A segment of a transfer passes, before which so much was moved. Says whether it is time for one to be taken.
    pub(super) fn observe(
        &mut self,
        now: Timestamp,
        id: FlowId,
        (way, stamps): (Way, Timestamps),
        moved: Moved,
    ) -> bool {
        let Some(watched) = self.of(id) else { return false };
        match way {
            Way::Outbound => watched.ask(now, stamps, moved),
            Way::Inbound => watched.hear(now, stamps, moved),
        }
        watched.is_due(now, way)
    }

    /// One was taken.
    pub(super) fn take(&mut self, now: Timestamp, id: FlowId) {
        if let Some(watched) = self.watched.get_mut(&id) {
            watched.take(now);
        }
    }

    /// And dropped, so many packets on the wire: they will come again.
    pub(super) fn owe(&mut self, id: FlowId, packets: u64) {
        if let Some(watched) = self.watched.get_mut(&id) {
            watched.owed = watched.owed.saturating_add(u32::try_from(packets).unwrap_or(u32::MAX));
        }
    }

    fn of(&mut self, id: FlowId) -> Option<&mut Watched> {
        if self.watched.len() >= MOST && !self.watched.contains_key(&id) {
            return None;
        }
        Some(self.watched.entry(id).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENTS: u64 = 20;

    /// A download whose host and far end have clocks that agree.
    #[derive(Default)]
    struct Download {
        now: Timestamp,
        watched: Watched,
        moved: Moved,
        taken: Vec<u64>,
    }

    impl Download {
        /// A round trip during which `segments` come.
        fn round_trip(&mut self, milliseconds: u64, segments: u64) {
            self.exchange(milliseconds, Moved { out: 0, back: segments * SEGMENT });
        }

        /// A round trip during which so much is moved; packets are taken when it is time.
        fn exchange(&mut self, milliseconds: u64, Moved { out, back }: Moved) {
            let value = u32::try_from(self.now.as_millis()).unwrap();
            self.watched.ask(self.now, Timestamps { value, echo: 0 }, self.moved);
            for _ in 0..milliseconds {
                self.now = self.now + Duration::from_millis(1);
                if self.watched.is_due(self.now, Way::Inbound) {
                    self.watched.take(self.now);
                    self.taken.push(self.now.as_millis());
                }
            }
            self.moved = Moved { out: self.moved.out + out, back: self.moved.back + back };
            self.watched.hear(self.now, Timestamps { value: 7, echo: value }, self.moved);
        }

        fn run(&mut self, times: u32, milliseconds: u64, segments: u64) -> usize {
            let before = self.taken.len();
            (0..times).for_each(|_| self.round_trip(milliseconds, segments));
            self.taken.len() - before
        }
    }

    #[test]
    fn standing_wait_costs_packets_sooner_and_sooner_until_it_is_over() {
        let mut download = Download::default();
        assert_eq!(download.run(50, 20, SEGMENTS), 0, "nobody waits");
        assert!(download.run(25, 60, SEGMENTS) >= 10);
        let gaps: Vec<_> = download.taken.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.is_sorted_by(|a, b| a >= b), "{gaps:?}");
        assert!((99..=101).contains(&gaps[0]) && gaps.last().is_some_and(|gap| *gap >= 60), "{gaps:?}");
        // The last long round trip is still what is known for a moment.
        assert!(download.run(10, 20, SEGMENTS) <= 1, "it is over");
    }

    #[test]
    fn bursts_and_short_flights_cost_nothing() {
        let mut download = Download::default();
        download.run(5, 20, SEGMENTS);
        for _ in 0..20 {
            assert_eq!(download.run(1, 90, SEGMENTS), 0, "a burst");
            assert_eq!(download.run(1, 20, SEGMENTS), 0);
        }
        assert_eq!(download.run(50, 90, LEAST_FLIGHT - 1), 0, "it could not tell a loss but by a timeout");
    }

    #[test]
    fn what_an_upload_sends_is_not_judged_by_its_answers() {
        let mut upload = Download::default();
        upload.run(5, 20, 0);
        for _ in 0..50 {
            upload.exchange(80, Moved { out: SEGMENTS * SEGMENT, back: SEGMENT });
        }
        assert!(upload.taken.is_empty(), "acknowledgements are let be");
        assert!(upload.watched.is_due(upload.now + INTERVAL, Way::Outbound));
    }

    #[test]
    fn way_that_has_become_longer_is_believed_in_time() {
        let mut download = Download::default();
        download.run(5, 20, SEGMENTS);
        download.run(2_000, 24, SEGMENTS);
        assert!(download.taken.is_empty(), "less than a queue");
        download.run(2_000, 29, SEGMENTS);
        let last = *download.taken.last().unwrap();
        assert!(download.now.as_millis() - last > 20_000, "{last}");
    }

    #[test]
    fn answer_that_was_lost_is_not_waited_for_for_ever_and_clocks_go_round() {
        let (mut watched, now) = (Watched::default(), Timestamp::from_millis(5_000));
        let stamps = |value, echo| Timestamps { value, echo };
        watched.ask(now, stamps(u32::MAX, 0), Moved::default());
        watched.hear(now + Duration::from_millis(30), stamps(9, u32::MAX - 1), Moved::default());
        assert!(watched.asked.is_some(), "an older one");
        watched.ask(now + Duration::from_millis(40), stamps(5, 0), Moved::default());
        watched.hear(now + Duration::from_millis(50), stamps(9, 1), Moved::default());
        assert_eq!((watched.asked.is_none(), watched.round_trip), (true, Duration::from_millis(50)));
        watched.ask(now, stamps(100, 0), Moved::default());
        watched.ask(now + PATIENCE, stamps(200, 0), Moved::default());
        assert_eq!(watched.asked.map(|asked| asked.value), Some(200));
    }
}
