//! Which line is isolated when nobody has said: the healthiest one with the lowest delay, as long as there are enough.
//!
//! Theory of operation. Whoever knows the lines tells [`Isolation::handle_lines`] how they are, whenever one has changed and every second
//! or so. Of the regular lines that work and are nobody's own, the best has the role: the one with the lowest cost, which is its
//! round trip and what losses make of it (`LineState::cost`); of equals the slowest, so that bulk keeps the fast
//! ones. With fewer than [`LEAST_LINES`] nobody has it, and all lines balance.
//!
//! Flows have their lines; only the role moves, and it moves seldom. It moves at once when its line does not work any more, or is no longer to be
//! had; and when another line was clearly better (by a third, and by [`CLEARLY`]) for [`PATIENCE`] without a break. A
//! line that is back does not get the role back. When there are enough lines, they have [`SETTLING`] until one is picked: lines come up
//! one by one.
//!
//! It knows nothing of rules, and measures nothing.

use std::time::Duration;

use super::ids::UplinkId;
use crate::flow::Timestamp;

// Ours.
/// With fewer lines than this all balance: with two, a line for urgent traffic would halve the rest.
pub const LEAST_LINES: usize = 3;
/// How long there must have been enough lines before one is picked.
pub const SETTLING: Duration = Duration::from_secs(5);
/// How long another line must have been clearly better.
pub const PATIENCE: Duration = Duration::from_mins(3);
/// How much better is clearly better, at least.
pub const CLEARLY: Duration = Duration::from_millis(10);
/// What one percent of loss costs: a repeated packet takes several round trips.
const LOSS: Duration = Duration::from_millis(20);
/// What a line costs whose delay nobody knows.
const UNKNOWN: Duration = Duration::from_secs(1);
/// Costs that differ by less are equal.
const GRAIN: Duration = Duration::from_millis(5);

/// A line that could have the role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineState {
    /// Which.
    pub id: UplinkId,
    /// Whether it can have the role now.
    pub fitness: Fitness,
    /// The median of its round trips, without load of our own; `None`: nobody knows.
    pub round_trip: Option<Duration>,
    /// Of a hundred questions, how many are lost.
    pub loss_percent: u8,
    /// What it can receive, in bits a second, where that is known.
    pub capacity: Option<u64>,
}

/// Whether a line can have the role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fitness {
    /// It works, and is there for everybody.
    Fit,
    /// It does not carry traffic as it should.
    Broken,
    /// It is kept for some hosts, or for when no other works.
    Kept,
}

impl LineState {
    fn cost(&self) -> Duration {
        self.round_trip.unwrap_or(UNKNOWN) + LOSS * self.loss_percent.into()
    }

    /// The lowest is the best.
    fn place(&self) -> (u128, u64, UplinkId) {
        (self.cost().as_millis() / GRAIN.as_millis(), self.capacity.unwrap_or(u64::MAX), self.id)
    }

    fn is_clearly_better_than(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.cost(), other.cost());
        ours + CLEARLY <= theirs && ours * 3 <= theirs * 2
    }
}

/// Why the role has moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleCause {
    /// There are enough lines, and nobody had it.
    Enough,
    /// There are too few lines.
    TooFew,
    /// Its line does not work any more.
    Broken,
    /// Its line is kept for others now, or gone.
    Kept,
    /// Another line was clearly better for minutes.
    Better,
    /// It is not to be given any more.
    Unwanted,
}

impl RoleCause {
    /// As people read it.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Enough => "enough lines work: the one with the lowest delay is for urgent traffic",
            Self::TooFew => "fewer than three lines work: all carry everything",
            Self::Broken => "the line before does not work",
            Self::Kept => "the line before is kept for others or gone",
            Self::Better => "it was clearly better for three minutes",
            Self::Unwanted => "lines have the role that the configuration gives them",
        }
    }
}

/// The role has moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoleMoved {
    /// Who had it.
    pub from: Option<UplinkId>,
    /// Who has it.
    pub to: Option<UplinkId>,
    /// Why.
    pub cause: RoleCause,
}

/// Who has the role.
#[derive(Clone, Copy, Debug, Default)]
pub struct Isolation {
    chosen: Option<UplinkId>,
    /// Since when there have been enough lines.
    enough_since: Option<Timestamp>,
    /// Since when another line has been clearly better.
    worse_since: Option<Timestamp>,
}

impl Isolation {
    /// The line that has the role; `None`: all balance.
    #[must_use]
    pub const fn chosen(&self) -> Option<UplinkId> {
        self.chosen
    }

    /// Nobody is to have the role.
    pub fn end(&mut self) -> Option<RoleMoved> {
        self.pass(Self::default(), RoleCause::Unwanted)
    }

    /// Takes in how all lines are. What has come of it, if the role has moved.
    pub fn handle_lines(&mut self, now: Timestamp, lines: &[LineState]) -> Option<RoleMoved> {
        let fit = || lines.iter().filter(|line| line.fitness == Fitness::Fit);
        let Some(best) = fit().min_by_key(|line| line.place()).filter(|_| fit().count() >= LEAST_LINES) else {
            return self.pass(Self::default(), RoleCause::TooFew);
        };
        let enough_since = *self.enough_since.get_or_insert(now);
        let to = |line: &LineState| Self { chosen: Some(line.id), enough_since: Some(enough_since), worse_since: None };
        let Some(holder) = self.chosen else {
            let is_settled = now.since(enough_since) >= SETTLING;
            return if is_settled { self.pass(to(best), RoleCause::Enough) } else { None };
        };
        match lines.iter().find(|line| line.id == holder).map(|line| (line, line.fitness)) {
            Some((line, Fitness::Fit)) if best.is_clearly_better_than(line) => {
                let is_over = now.since(*self.worse_since.get_or_insert(now)) >= PATIENCE;
                if is_over { self.pass(to(best), RoleCause::Better) } else { None }
            }
            Some((_, Fitness::Fit)) => {
                self.worse_since = None;
                None
            }
            Some((_, Fitness::Broken)) => self.pass(to(best), RoleCause::Broken),
            Some((_, Fitness::Kept)) | None => self.pass(to(best), RoleCause::Kept),
        }
    }

    fn pass(&mut self, next: Self, cause: RoleCause) -> Option<RoleMoved> {
        let (from, to) = (std::mem::replace(self, next).chosen, next.chosen);
        (from != to).then_some(RoleMoved { from, to, cause })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DSL1: UplinkId = UplinkId(0);
    const DSL2: UplinkId = UplinkId(1);
    const DSL3: UplinkId = UplinkId(2);
    const DSL4: UplinkId = UplinkId(3);
    const MINUTE: u64 = 60;

    /// Lines, a clock, and what has happened, with its time in seconds.
    struct Scene {
        isolation: Isolation,
        lines: Vec<LineState>,
        now: u64,
    }

    impl Scene {
        /// Lines with these round trips, in milliseconds.
        fn new(round_trips: &[u64]) -> Self {
            let line = |(id, milliseconds): (u8, &u64)| LineState {
                id: UplinkId(id),
                fitness: Fitness::Fit,
                round_trip: Some(Duration::from_millis(*milliseconds)),
                loss_percent: 0,
                capacity: None,
            };
            Self { isolation: Isolation::default(), lines: (0..).zip(round_trips).map(line).collect(), now: 0 }
        }

        fn line(&mut self, id: UplinkId) -> &mut LineState {
            &mut self.lines[id.index()]
        }

        fn round_trip(&mut self, id: UplinkId, milliseconds: u64) {
            self.line(id).round_trip = Some(Duration::from_millis(milliseconds));
        }

        /// Lets so many seconds pass.
        fn pass(&mut self, seconds: u64) -> Vec<(u64, RoleMoved)> {
            let start = self.now;
            let mut moved = Vec::new();
            for second in start..=start + seconds {
                self.now = second;
                let now = Timestamp::from_millis(second * 1_000);
                moved.extend(self.isolation.handle_lines(now, &self.lines).map(|moved| (second - start, moved)));
            }
            moved
        }

        /// The line that has the role once all has settled.
        fn settled(&mut self) -> Option<UplinkId> {
            self.pass(SETTLING.as_secs());
            self.isolation.chosen()
        }
    }

    fn moved(from: Option<UplinkId>, to: Option<UplinkId>, cause: RoleCause) -> RoleMoved {
        RoleMoved { from, to, cause }
    }

    #[test]
    fn lowest_delay_of_three_or_more_lines_has_the_role() {
        let mut scene = Scene::new(&[30, 12, 25, 40]);
        assert_eq!(scene.pass(60), [(5, moved(None, Some(DSL2), RoleCause::Enough))]);
        scene.line(DSL2).fitness = Fitness::Kept;
        assert_eq!(scene.pass(60), [(0, moved(Some(DSL2), Some(DSL3), RoleCause::Kept))]);
        assert_eq!(Scene::new(&[30, 12]).settled(), None);
        assert_eq!(scene.isolation.end(), Some(moved(Some(DSL3), None, RoleCause::Unwanted)));
        assert_eq!((scene.isolation.end(), scene.settled()), (None, Some(DSL3)));
    }

    #[test]
    fn lossy_line_and_one_that_nobody_knows_are_not_picked_and_the_slowest_of_equals_is() {
        let mut scene = Scene::new(&[10, 32, 31, 33]);
        scene.line(DSL1).loss_percent = 3;
        scene.line(DSL2).capacity = Some(50_000_000);
        scene.line(DSL3).capacity = Some(16_000_000);
        assert_eq!(scene.settled(), Some(DSL3));
        let mut scene = Scene::new(&[10, 300, 400]);
        scene.line(DSL1).round_trip = None;
        assert_eq!(scene.settled(), Some(DSL2));
    }

    #[test]
    fn role_moves_at_once_from_a_line_that_dies_and_not_back_when_it_lives_again() {
        let mut scene = Scene::new(&[30, 12, 25, 40]);
        assert_eq!(scene.settled(), Some(DSL2));
        scene.line(DSL2).fitness = Fitness::Broken;
        assert_eq!(scene.pass(10), [(0, moved(Some(DSL2), Some(DSL3), RoleCause::Broken))]);
        scene.line(DSL2).fitness = Fitness::Fit;
        scene.round_trip(DSL2, 20);
        assert_eq!(scene.pass(60 * MINUTE), []);
    }

    #[test]
    fn milliseconds_do_not_move_it_nor_does_a_bad_minute() {
        let mut scene = Scene::new(&[30, 20, 25]);
        assert_eq!(scene.settled(), Some(DSL2));
        scene.round_trip(DSL2, 34);
        assert_eq!(scene.pass(60 * MINUTE), []);
        for _ in 0..5 {
            scene.round_trip(DSL2, 200);
            assert_eq!(scene.pass(2 * MINUTE), []);
            scene.round_trip(DSL2, 20);
            assert_eq!(scene.pass(5), []);
        }
        scene.line(DSL2).loss_percent = 5;
        assert_eq!(scene.pass(10 * MINUTE), [(180, moved(Some(DSL2), Some(DSL3), RoleCause::Better))]);
    }

    #[test]
    fn with_too_few_lines_all_balance_and_a_third_that_comes_and_goes_is_waited_for() {
        let mut scene = Scene::new(&[30, 12, 25]);
        assert_eq!(scene.settled(), Some(DSL2));
        scene.line(DSL1).fitness = Fitness::Broken;
        assert_eq!(scene.pass(10), [(0, moved(Some(DSL2), None, RoleCause::TooFew))]);
        for fitness in [Fitness::Fit, Fitness::Broken, Fitness::Fit] {
            scene.line(DSL1).fitness = fitness;
            assert_eq!(scene.pass(4), []);
        }
        assert_eq!(scene.pass(4), [(1, moved(None, Some(DSL2), RoleCause::Enough))]);
        scene.lines.retain(|line| line.id != DSL2);
        scene.lines.push(LineState { id: DSL4, ..scene.lines[0] });
        assert_eq!(scene.pass(4), [(0, moved(Some(DSL2), Some(DSL3), RoleCause::Kept))], "it is not there any more");
    }
}
