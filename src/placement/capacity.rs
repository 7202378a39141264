//! What a line can carry each way, learned from what it does carry.
//!
//! Theory of operation. A line that is full shows it twice: its rate stays the same whatever is asked of it, and questions
//! wait in its queue, so that they are answered later than at the best of times. The rate at which both come together is its
//! *ceiling*. Until that has been seen, the highest sustained rate says that the line can do at least so much.
//!
//! A ceiling rises at once when more is sustained, and sinks by a quarter of the difference whenever the line is full at less: it
//! follows a radio link within seconds. One that has not been seen for an hour is no ceiling any more, only what was reached;
//! and what was reached halves in an hour, so nothing is believed for ever.
//!
//! A question goes both ways, so its wait does not say which way is full. It counts for downloads while those are the greater
//! part, and for uploads while they are more than the acknowledgements of downloads can be.
//!
//! It looks at nothing itself: somebody tells it what is carried, a few times a second.

use std::collections::VecDeque;
use std::time::Duration;

use super::floor::Floor;
use super::load::Rates;
use crate::flow::Timestamp;

/// What is carried to the internet is more than acknowledgements from this part of what comes.
const MORE_THAN_ANSWERS: u32 = 4;
/// A rate is sustained that is reached in so many looks in a row.
const LOOKS: usize = 4;
/// Looks that are farther apart say nothing together.
const LONGEST_GAP: Duration = Duration::from_millis(1_500);
/// Rates of a full line differ at most by this part.
const STEADY: u32 = 8;
/// A question waits when it takes this much longer than at the best of times; half as long again on a slow line.
const LEAST_WAIT: Duration = Duration::from_millis(3);
/// The best of times is forgotten by a sixteenth in this time, for ways change.
const FLOOR_RISES: Duration = Duration::from_secs(60);
/// In kilobits a second: below that nothing is a ceiling.
const LEAST_CEILING: u32 = 100;
/// A ceiling is believed for this long; what was reached halves in this time.
const BELIEVED: Duration = Duration::from_secs(3_600);

/// Whether questions wait in a line's queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Queue {
    /// Not to speak of, as far as is known.
    #[default]
    Empty,
    /// They do.
    Waiting,
}

/// Whether a question that was answered after `round_trip` has waited.
fn queue(floor: &mut Floor, now: Timestamp, round_trip: Duration) -> Queue {
    let floor = floor.observe(now, round_trip, FLOOR_RISES);
    if round_trip >= floor + LEAST_WAIT.max(floor / 2) { Queue::Waiting } else { Queue::Empty }
}

/// What is known of a direction of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Estimate {
    /// It has carried so much, in kilobits a second, and may do more.
    AtLeast(u32),
    /// It can do so much.
    Ceiling(u32),
}

/// A line that teaches what it can do.
#[derive(Clone, Debug, Default)]
pub struct Learner {
    floor: Floor,
    download: Ceiling,
    upload: Ceiling,
}

impl Learner {
    /// The line carries `rates`, and its last question was answered after `round_trip`.
    pub fn observe(&mut self, now: Timestamp, rates: Rates, round_trip: Option<Duration>) {
        let queue = round_trip.map_or(Queue::Empty, |round_trip| queue(&mut self.floor, now, round_trip));
        let if_so = |judged: bool| if judged { queue } else { Queue::Empty };
        let Rates { download, upload } = rates;
        self.download.observe(now, download, if_so(download >= upload));
        self.upload.observe(now, upload, if_so(upload >= download / MORE_THAN_ANSWERS));
    }

    /// What is known of it: from the internet, and to it.
    #[must_use]
    pub fn estimates(&self) -> [Estimate; 2] {
        [self.download.estimate(), self.upload.estimate()]
    }
}

/// One direction of a line.
#[derive(Clone, Debug, Default)]
struct Ceiling {
    looks: VecDeque<(Timestamp, u32, Queue)>,
    reached: u32,
    reached_at: Timestamp,
    ceiling: Option<(u32, Timestamp)>,
}

impl Ceiling {
    /// The line carries `rate` (kilobits a second), and questions wait or do not.
    fn observe(&mut self, now: Timestamp, rate: u32, queue: Queue) {
        self.forget(now);
        if self.looks.back().is_some_and(|(at, ..)| now.since(*at) > LONGEST_GAP) {
            self.looks.clear();
        }
        self.looks.push_back((now, rate, queue));
        if self.looks.len() < LOOKS {
            return;
        }
        while self.looks.len() > LOOKS {
            self.looks.pop_front();
        }
        let rates = || self.looks.iter().map(|(_, rate, _)| *rate);
        let (least, most) = (rates().min().unwrap_or(0), rates().max().unwrap_or(0));
        if least > self.reached {
            (self.reached, self.reached_at) = (least, now);
        }
        let waits = self.looks.iter().filter(|(.., queue)| *queue == Queue::Waiting).count() * 2 >= LOOKS;
        let is_full = waits && least >= LEAST_CEILING && most - least <= most / STEADY;
        let mean = least + (most - least) / 2;
        self.ceiling = match self.ceiling {
            // What it does it can do.
            Some((ceiling, seen)) if least > ceiling => Some((least, if is_full { now } else { seen })),
            Some((ceiling, _)) if is_full && mean >= ceiling => Some((mean, now)),
            Some((ceiling, _)) if is_full => Some((ceiling - (ceiling - mean) / 4, now)),
            None if is_full => Some((mean, now)),
            before => before,
        };
    }

    fn forget(&mut self, now: Timestamp) {
        if now.since(self.reached_at) >= BELIEVED {
            (self.reached, self.reached_at) = (self.reached / 2, now);
        }
        if let Some((ceiling, _)) = self.ceiling.take_if(|(_, seen)| now.since(*seen) >= BELIEVED) {
            (self.reached, self.reached_at) = (self.reached.max(ceiling), now);
        }
    }

    fn estimate(&self) -> Estimate {
        match self.ceiling {
            Some((ceiling, _)) => Estimate::Ceiling(ceiling),
            None => Estimate::AtLeast(self.reached),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A direction of a line that is looked at four times a second.
    #[derive(Default)]
    struct Line {
        now: Timestamp,
        ceiling: Ceiling,
    }

    impl Line {
        fn carries(&mut self, rate: u32, queue: Queue, looks: u32) -> Estimate {
            for look in 0..looks {
                self.now = self.now + Duration::from_millis(250);
                // What is measured varies a little.
                self.ceiling.observe(self.now, rate - rate / 50 * (look % 2), queue);
            }
            self.ceiling.estimate()
        }
    }

    #[test]
    fn rate_at_which_questions_wait_is_the_ceiling() {
        let mut line = Line::default();
        assert_eq!(line.carries(5_000, Queue::Empty, 40), Estimate::AtLeast(4_900));
        assert_eq!(line.carries(20_000, Queue::Waiting, 3), Estimate::AtLeast(4_900), "not for long enough");
        let Estimate::Ceiling(ceiling) = line.carries(20_000, Queue::Waiting, 4) else { panic!("it is full") };
        assert!((19_600..=20_000).contains(&ceiling), "{ceiling}");
        assert_eq!(line.carries(3_000, Queue::Empty, 400), Estimate::Ceiling(ceiling), "less is asked for");
    }

    #[test]
    fn bursts_and_unsteady_rates_are_no_ceiling() {
        let mut line = Line::default();
        for _ in 0..20 {
            line.carries(20_000, Queue::Waiting, 2);
            assert_eq!(line.carries(5_000, Queue::Waiting, 2), Estimate::AtLeast(line.ceiling.reached));
        }
        assert!(line.ceiling.reached <= 5_000);
    }

    #[test]
    fn ceiling_follows_a_line_that_changes() {
        let mut line = Line::default();
        line.carries(20_000, Queue::Waiting, 8);
        let Estimate::Ceiling(worse) = line.carries(8_000, Queue::Waiting, 40) else { panic!() };
        assert!((7_900..=8_200).contains(&worse), "{worse}");
        let Estimate::Ceiling(better) = line.carries(30_000, Queue::Empty, 8) else { panic!() };
        assert!((29_400..=30_000).contains(&better), "what it does it can do: {better}");
    }

    #[test]
    fn nothing_is_believed_for_ever() {
        let mut line = Line::default();
        line.carries(20_000, Queue::Waiting, 8);
        line.now = line.now + BELIEVED;
        let Estimate::AtLeast(first) = line.carries(0, Queue::Empty, 1) else { panic!("it is old") };
        assert!((19_600..=20_000).contains(&first), "{first}");
        line.now = line.now + BELIEVED;
        assert_eq!(line.carries(0, Queue::Empty, 1), Estimate::AtLeast(first / 2));
    }

    #[test]
    fn question_waits_when_it_takes_longer_than_at_the_best_of_times() {
        let mut floor = Floor::default();
        let mut after = |second: u64, milliseconds| {
            queue(&mut floor, Timestamp::from_millis(second * 1_000), Duration::from_millis(milliseconds))
        };
        assert_eq!(after(100, 30), Queue::Empty);
        assert_eq!((after(101, 20), after(102, 29), after(103, 30)), (Queue::Empty, Queue::Empty, Queue::Waiting));
        // A way that is longer now.
        let waiting = (0..100).filter(|minute| after(200 + minute * 60, 40) == Queue::Waiting).count();
        assert!((2..30).contains(&waiting), "{waiting}");
    }

    #[test]
    fn acknowledgements_of_downloads_are_no_ceiling_of_the_upload() {
        let (mut line, mut now) = (Learner::default(), Timestamp::default());
        let mut carries = |download, upload| {
            for _ in 0..8 {
                now = now + Duration::from_millis(250);
                line.observe(
                    now,
                    Rates { download, upload },
                    Some(Duration::from_millis(u64::from(download + upload) / 500)),
                );
            }
            line.estimates()
        };
        carries(0, 0);
        let full = carries(20_000, 600);
        assert_eq!(full, [Estimate::Ceiling(20_000), Estimate::AtLeast(600)]);
        let full = carries(500, 2_000);
        assert_eq!(full, [Estimate::Ceiling(20_000), Estimate::Ceiling(2_000)]);
    }
}
