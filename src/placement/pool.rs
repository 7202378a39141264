//! The lines together: which of them serve, and when the flows of one that does not are to end.
//!
//! Theory of operation: whoever knows the lines tells the pool the [`Condition`] of each whenever one has changed. Of those
//! that work, the ones of the best [`Rank`] serve; the others wait, as standby. What follows comes out as a [`PoolEvent`]:
//!
//! - A line that is **lost** has `GRACE` to come back, then its flows end, if another line works. If none does they are
//!   kept; lines that were lost together come back together, so the first one that is back gives the others
//!   `RETURN_GRACE`. At the start all are lost, and have `PATIENCE`: their flows are of an earlier run.
//! - A line that **waits** keeps the flows that it has until its drain time is over; `None`: until they end by themselves.
//!   A line that serves again keeps all.
//! - That **no line** works is an event, and that one does again is another.
//! - A line that is **reserved** stands apart: it serves its hosts whenever it works, and others wait for it as little as it
//!   waits for them. Its hosts fail over to any line that works; nobody else fails over to it, so it is not counted
//!   where it says "works" above.
//!
//! It does not end flows itself, nor say what becomes of them, and it judges no line.

use std::collections::VecDeque;
use std::time::Duration;

use super::ids::UplinkId;
use super::policy::UplinkSet;
use crate::flow::Timestamp;

// Ours.
/// How long a line may be lost before its flows end: for a driver that sets its interface anew. A person does not notice
/// it, and it is well below the 100 ms within which hosts shall know of a lost carrier. Whatever takes longer to find out (a
/// silent gateway, a lame line) has been waited for already.
const GRACE: Duration = Duration::from_millis(50);
/// How long lines have after the first of them is back, when all were lost: a switch or a power strip takes all away.
const RETURN_GRACE: Duration = Duration::from_secs(3);
/// How long lines have at the start, DHCP and all.
const PATIENCE: Duration = Duration::from_secs(15);
/// When flows could not be ended although they were to be, that is tried again after this.
const RETRY: Duration = Duration::from_secs(1);

/// What a line can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It carries what it has, and may get more.
    Works,
    /// It carries what it has, and is to get no more: somebody wants it so, or it is still tested.
    Held,
    /// It carries nothing.
    Lost,
}

/// Which lines are used before which others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// Whenever it works.
    Regular,
    /// When no regular one works.
    Standby,
    /// When nothing else works: it costs by the byte.
    Metered,
}

/// What a line does in the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// It gets new flows as far as it works.
    Serves,
    /// A better line works.
    Waits,
}

/// What the pool must know of a line beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its rank.
    pub rank: Rank,
    /// How long it keeps its flows when it waits; `None`: as long as they live.
    pub drain: Option<Duration>,
}

/// Why flows end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Their line is lost.
    Lost,
    /// Their line waits, and its drain time is over.
    Drained,
    /// Their line has another address than they have.
    Readdressed,
}

/// Where flows can go.
#[derive(Clone, Copy, Debug)]
struct Refuges {
    /// Whether any line works: of a reserved line's flows, some are of hosts that others are reserved for too.
    any: bool,
    /// Whether one works for everybody.
    in_pool: bool,
}

impl Refuges {
    fn is_there_for(self, line: &Line) -> bool {
        match line.standing {
            Standing::InPool => self.in_pool,
            Standing::Apart => self.any,
        }
    }
}

/// What is to be done or told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolEvent {
    /// The flows of a line are to be ended.
    EndFlows(UplinkId, Ended),
    /// What a working line does is another thing now.
    DutyChanged(UplinkId, Duty),
    /// No line works any more.
    Emptied,
    /// The first line works again.
    Filled(UplinkId),
}

/// For whom a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// For all.
    InPool,
    /// For some hosts alone.
    Apart,
}

/// Whether any line works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Occupancy {
    /// None has yet. Leaves by: a line works -> Served; patience is over -> Empty.
    Starting { until: Timestamp },
    /// Leaves by: no line works -> Empty.
    Served,
    /// Leaves by: a line works -> Served.
    Empty,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    member: Member,
    standing: Standing,
    condition: Condition,
    duty: Duty,
    /// When its flows are to be ended.
    end_at: Option<Timestamp>,
}

impl Line {
    /// A line that nobody has seen work.
    fn unseen(member: Member, end_at: Option<Timestamp>) -> Self {
        Self { member, standing: Standing::InPool, condition: Condition::Lost, duty: Duty::Serves, end_at }
    }

    fn works(&self) -> bool {
        self.condition == Condition::Works
    }

    /// Whether it works for anybody.
    fn works_in_pool(&self) -> bool {
        self.works() && self.standing == Standing::InPool
    }
}

/// All lines.
#[derive(Debug)]
pub struct Pool {
    lines: Vec<Line>,
    occupancy: Occupancy,
    events: VecDeque<PoolEvent>,
}

impl Pool {
    /// Lines that nobody has seen work yet.
    #[must_use]
    pub fn new(now: Timestamp, members: impl IntoIterator<Item = Member>) -> Self {
        let until = now + PATIENCE;
        Self {
            lines: members.into_iter().map(|member| Line::unseen(member, Some(until))).collect(),
            occupancy: Occupancy::Starting { until },
            events: VecDeque::new(),
        }
    }

    /// Takes in what is known of every line beforehand, in the order of their ids: some may be new, or others than before.
    pub fn handle_members(&mut self, now: Timestamp, members: impl IntoIterator<Item = Member>) {
        for (at, member) in members.into_iter().enumerate() {
            match self.lines.get_mut(at) {
                Some(line) => line.member = member,
                None => self.lines.push(Line::unseen(member, None)),
            }
        }
        self.assign(now);
    }

    /// Takes in which lines are reserved now.
    pub fn handle_reserved(&mut self, now: Timestamp, reserved: UplinkSet) {
        for (id, line) in (0..).map(UplinkId).zip(&mut self.lines) {
            line.standing = if reserved.contains(id) { Standing::Apart } else { Standing::InPool };
        }
        self.count(now);
        self.assign(now);
    }

    /// What a line does.
    #[must_use]
    pub fn duty(&self, uplink: UplinkId) -> Duty {
        self.lines.get(uplink.index()).map_or(Duty::Serves, |line| line.duty)
    }

    /// Takes in what every line can do now, in the order of their ids.
    pub fn handle_conditions(&mut self, now: Timestamp, conditions: impl IntoIterator<Item = Condition>) {
        for (line, condition) in self.lines.iter_mut().zip(conditions) {
            let before = std::mem::replace(&mut line.condition, condition);
            match (before, condition) {
                (before, now) if before == now => {}
                (_, Condition::Lost) => line.end_at = Some(now + GRACE),
                (_, Condition::Works | Condition::Held) => line.end_at = None,
            }
        }
        self.count(now);
        self.assign(now);
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if let Occupancy::Starting { until } = self.occupancy
            && until <= now
        {
            self.occupancy = Occupancy::Empty;
            self.events.push_back(PoolEvent::Emptied);
        }
        let refuges = self.refuges();
        for (id, line) in (0..).map(UplinkId).zip(&mut self.lines) {
            if refuges.is_there_for(line) && line.end_at.is_some_and(|due| due <= now) {
                line.end_at = None;
                let why = if line.condition == Condition::Lost { Ended::Lost } else { Ended::Drained };
                self.events.push_back(PoolEvent::EndFlows(id, why));
            }
        }
    }

    /// When [`Self::handle_timeout`] is due; `None`: when something has changed, not before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let starting = match self.occupancy {
            Occupancy::Starting { until } => Some(until),
            Occupancy::Served | Occupancy::Empty => None,
        };
        let refuges = self.refuges();
        let ends = self.lines.iter().filter(|line| refuges.is_there_for(line)).filter_map(|line| line.end_at);
        ends.chain(starting).min()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<PoolEvent> {
        self.events.pop_front()
    }

    /// To be called when the flows of a line were to be ended and could not be, for no other line took flows at that moment.
    pub fn handle_kept(&mut self, now: Timestamp, uplink: UplinkId) {
        if let Some(line) = self.lines.get_mut(uplink.index())
            && (line.condition == Condition::Lost || line.duty == Duty::Waits)
        {
            line.end_at.get_or_insert(now + RETRY);
        }
    }

    fn refuges(&self) -> Refuges {
        Refuges { any: self.lines.iter().any(Line::works), in_pool: self.lines.iter().any(Line::works_in_pool) }
    }

    /// Whether any line works, and what follows when that is news.
    fn count(&mut self, now: Timestamp) {
        let working = (0..).map(UplinkId).zip(&self.lines).find(|(_, line)| line.works_in_pool());
        match (self.occupancy, working.map(|(id, _)| id)) {
            (Occupancy::Served, None) => {
                self.occupancy = Occupancy::Empty;
                self.events.push_back(PoolEvent::Emptied);
            }
            (Occupancy::Starting { .. }, Some(_)) => self.occupancy = Occupancy::Served,
            (Occupancy::Empty, Some(first)) => {
                self.occupancy = Occupancy::Served;
                self.events.push_back(PoolEvent::Filled(first));
                for end_at in self.lines.iter_mut().filter_map(|line| line.end_at.as_mut()) {
                    *end_at = (*end_at).max(now + RETURN_GRACE);
                }
            }
            _ => {}
        }
    }

    /// Which lines serve.
    fn assign(&mut self, now: Timestamp) {
        let best = self.lines.iter().filter(|line| line.works_in_pool()).map(|line| line.member.rank).min();
        for (id, line) in (0..).map(UplinkId).zip(&mut self.lines) {
            let waits = line.works_in_pool() && best.is_some_and(|best| line.member.rank > best);
            let duty = if waits { Duty::Waits } else { Duty::Serves };
            if std::mem::replace(&mut line.duty, duty) == duty || line.condition != Condition::Works {
                continue;
            }
            line.end_at = line.member.drain.filter(|_| waits).map(|drain| now + drain);
            self.events.push_back(PoolEvent::DutyChanged(id, duty));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Condition::{Held, Lost, Works};

    const DSL1: UplinkId = UplinkId(0);
    const DSL2: UplinkId = UplinkId(1);
    const LTE: UplinkId = UplinkId(2);

    /// Two regular lines and a standby one that drains in a minute.
    struct Scene {
        pool: Pool,
        now: Timestamp,
    }

    impl Scene {
        fn new(standby: Rank, drain: Option<Duration>) -> Self {
            let now = Timestamp::from_millis(5_000);
            let regular = Member { rank: Rank::Regular, drain: None };
            let pool = Pool::new(now, [regular, regular, Member { rank: standby, drain }]);
            Self { pool, now }
        }

        fn standby() -> Self {
            Self::new(Rank::Standby, Some(Duration::from_secs(60)))
        }

        fn become_so(&mut self, conditions: [Condition; 3]) -> Vec<PoolEvent> {
            self.pool.handle_conditions(self.now, conditions);
            std::iter::from_fn(|| self.pool.poll_event()).collect()
        }

        /// Lets time pass, with calls only when they are asked for.
        fn wait(&mut self, span: Duration) -> Vec<(u64, PoolEvent)> {
            let (start, end) = (self.now, self.now + span);
            let mut events = Vec::new();
            while let Some(due) = self.pool.poll_timeout().filter(|due| *due <= end) {
                self.now = self.now.max(due);
                self.pool.handle_timeout(self.now);
                let passed = u64::try_from(self.now.since(start).as_millis()).unwrap();
                events.extend(std::iter::from_fn(|| self.pool.poll_event()).map(|event| (passed, event)));
            }
            self.now = end;
            events
        }
    }

    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn flows_of_a_lost_line_end_after_a_moment_and_once() {
        let mut scene = Scene::standby();
        assert_eq!(scene.become_so([Works, Works, Works]), [PoolEvent::DutyChanged(LTE, Duty::Waits)]);
        assert_eq!(scene.become_so([Lost, Works, Works]), []);
        let ends = [(50, PoolEvent::EndFlows(DSL1, Ended::Lost)), (60_000, PoolEvent::EndFlows(LTE, Ended::Drained))];
        assert_eq!(scene.wait(HOUR), ends);
    }

    #[test]
    fn a_blip_ends_nothing() {
        let mut scene = Scene::standby();
        scene.become_so([Works, Works, Lost]);
        scene.become_so([Lost, Works, Lost]);
        assert_eq!(scene.wait(Duration::from_millis(49)), []);
        scene.become_so([Works, Works, Lost]);
        assert_eq!(scene.wait(HOUR), [(14_951, PoolEvent::EndFlows(LTE, Ended::Lost))]);
    }

    #[test]
    fn a_line_that_is_held_keeps_its_flows_until_it_is_lost() {
        let mut scene = Scene::standby();
        scene.become_so([Works, Works, Works]);
        scene.become_so([Held, Works, Works]);
        assert_eq!(scene.wait(HOUR), [(60_000, PoolEvent::EndFlows(LTE, Ended::Drained))]);
        scene.become_so([Lost, Works, Works]);
        assert_eq!(scene.wait(HOUR), [(50, PoolEvent::EndFlows(DSL1, Ended::Lost))]);
    }

    #[test]
    fn standby_serves_when_all_others_are_gone_and_drains_when_one_is_back() {
        let mut scene = Scene::standby();
        scene.become_so([Works, Works, Works]);
        assert_eq!(scene.pool.duty(LTE), Duty::Waits);
        scene.wait(HOUR);
        assert_eq!(scene.become_so([Lost, Works, Works]), []);
        assert_eq!(scene.become_so([Lost, Lost, Works]), [PoolEvent::DutyChanged(LTE, Duty::Serves)]);
        let ends = [PoolEvent::EndFlows(DSL1, Ended::Lost), PoolEvent::EndFlows(DSL2, Ended::Lost)];
        assert_eq!(scene.wait(HOUR), ends.map(|end| (50, end)));
        assert_eq!(scene.become_so([Works, Lost, Works]), [PoolEvent::DutyChanged(LTE, Duty::Waits)]);
        assert_eq!(scene.wait(HOUR), [(60_000, PoolEvent::EndFlows(LTE, Ended::Drained))]);
    }

    #[test]
    fn drain_ends_when_the_line_serves_again_and_never_where_it_is_set_so() {
        let mut scene = Scene::standby();
        scene.become_so([Works, Held, Works]);
        scene.wait(Duration::from_secs(59));
        scene.become_so([Held, Held, Works]);
        assert_eq!(scene.wait(HOUR), []);
        let mut scene = Scene::new(Rank::Standby, None);
        scene.become_so([Works, Works, Works]);
        assert_eq!(scene.wait(HOUR), []);
    }

    #[test]
    fn a_metered_line_comes_after_standby_ones() {
        let now = Timestamp::default();
        let member = |rank| Member { rank, drain: None };
        let mut pool = Pool::new(now, [Rank::Metered, Rank::Standby, Rank::Regular].map(member));
        let duties = |pool: &Pool| [0, 1, 2].map(|id| pool.duty(UplinkId(id)) == Duty::Serves);
        pool.handle_conditions(now, [Works, Works, Works]);
        assert_eq!(duties(&pool), [false, false, true]);
        pool.handle_conditions(now, [Works, Works, Held]);
        assert_eq!(duties(&pool), [false, true, true]);
        pool.handle_conditions(now, [Works, Lost, Held]);
        assert_eq!(duties(&pool), [true, true, true]);
    }

    #[test]
    fn nothing_ends_where_no_line_works_and_lines_come_back_together() {
        let mut scene = Scene::standby();
        scene.become_so([Works, Works, Lost]);
        scene.wait(HOUR);
        assert_eq!(scene.become_so([Lost, Lost, Lost]), [PoolEvent::Emptied]);
        assert_eq!(scene.wait(HOUR), []);
        assert_eq!(scene.become_so([Lost, Works, Lost]), [PoolEvent::Filled(DSL2)]);
        assert_eq!(scene.wait(Duration::from_secs(2)), []);
        scene.become_so([Works, Works, Lost]);
        assert_eq!(scene.wait(HOUR), []);
        scene.become_so([Lost, Lost, Lost]);
        scene.become_so([Lost, Works, Lost]);
        assert_eq!(scene.wait(HOUR), [(3_000, PoolEvent::EndFlows(DSL1, Ended::Lost))]);
    }

    #[test]
    fn lines_have_time_at_the_start() {
        let mut scene = Scene::standby();
        assert_eq!(scene.become_so([Works, Lost, Lost]), []);
        let late = [DSL2, LTE].map(|line| (15_000, PoolEvent::EndFlows(line, Ended::Lost)));
        assert_eq!(scene.wait(HOUR), late);
        let mut scene = Scene::standby();
        assert_eq!(scene.become_so([Lost, Lost, Lost]), []);
        assert_eq!(scene.wait(HOUR), [(15_000, PoolEvent::Emptied)]);
        assert_eq!(scene.become_so([Works, Lost, Lost]), [PoolEvent::Filled(DSL1)]);
    }

    #[test]
    fn what_was_kept_is_tried_again() {
        let mut scene = Scene::standby();
        scene.become_so([Lost, Works, Works]);
        scene.wait(HOUR);
        scene.pool.handle_kept(scene.now, DSL1);
        assert_eq!(scene.wait(HOUR), [(1_000, PoolEvent::EndFlows(DSL1, Ended::Lost))]);
        scene.become_so([Works, Works, Works]);
        scene.pool.handle_kept(scene.now, DSL1);
        assert_eq!(scene.wait(HOUR), []);
    }

    fn reserve(scene: &mut Scene, lines: &[UplinkId]) -> Vec<PoolEvent> {
        scene.pool.handle_reserved(scene.now, lines.iter().copied().collect());
        std::iter::from_fn(|| scene.pool.poll_event()).collect()
    }

    #[test]
    fn a_reserved_line_lets_standby_serve_and_waits_for_nobody() {
        let mut scene = Scene::standby();
        scene.become_so([Works, Lost, Works]);
        scene.wait(HOUR);
        // The only regular line is somebody's own: the standby one is everybody's now.
        assert_eq!(reserve(&mut scene, &[DSL1]), [PoolEvent::DutyChanged(LTE, Duty::Serves)]);
        assert_eq!(scene.wait(HOUR), []);
        assert_eq!(reserve(&mut scene, &[]), [PoolEvent::DutyChanged(LTE, Duty::Waits)]);
        // Reserved itself, it serves at once, and keeps what it has.
        scene.wait(Duration::from_secs(59));
        assert_eq!(reserve(&mut scene, &[LTE]), [PoolEvent::DutyChanged(LTE, Duty::Serves)]);
        assert_eq!(scene.become_so([Works, Works, Works]), []);
        assert_eq!(scene.wait(HOUR), []);
        assert_eq!(reserve(&mut scene, &[]), [PoolEvent::DutyChanged(LTE, Duty::Waits)]);
        assert_eq!(scene.wait(HOUR), [(60_000, PoolEvent::EndFlows(LTE, Ended::Drained))]);
    }

    #[test]
    fn flows_of_a_lost_reserved_line_go_to_the_pool_and_nobody_elses_come_to_it() {
        let mut scene = Scene::standby();
        scene.become_so([Works, Works, Lost]);
        scene.wait(HOUR);
        reserve(&mut scene, &[DSL1]);
        scene.become_so([Lost, Works, Lost]);
        assert_eq!(scene.wait(HOUR), [(50, PoolEvent::EndFlows(DSL1, Ended::Lost))]);
        scene.become_so([Works, Works, Lost]);
        // For the others no line works any more, whatever the reserved one does.
        assert_eq!(scene.become_so([Works, Lost, Lost]), [PoolEvent::Emptied]);
        assert_eq!(scene.wait(HOUR), []);
        assert_eq!(scene.become_so([Lost, Lost, Lost]), []);
        assert_eq!(scene.wait(HOUR), []);
        assert_eq!(scene.become_so([Works, Lost, Lost]), []);
        assert_eq!(reserve(&mut scene, &[]), [PoolEvent::Filled(DSL1)]);
        assert_eq!(scene.wait(HOUR), [(3_000, PoolEvent::EndFlows(DSL2, Ended::Lost))]);
    }

    #[test]
    fn the_last_line_may_be_reserved() {
        let mut scene = Scene::standby();
        scene.become_so([Lost, Works, Lost]);
        scene.wait(HOUR);
        assert_eq!(reserve(&mut scene, &[DSL2]), [PoolEvent::Emptied]);
        assert_eq!(reserve(&mut scene, &[]), [PoolEvent::Filled(DSL2)]);
        assert_eq!(scene.wait(HOUR), []);
    }
}
