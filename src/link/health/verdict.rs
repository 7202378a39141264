//! From rounds of questions, and what users' traffic says, to a verdict.
//!
//! ```text
//!            good rounds                    silent rounds, loss, users unanswered, data in vain
//!  Testing ---------------> Up  <-------------------------------------------------->  Lame
//!     |                         good rounds for as long as its past demands             ^
//!     +------- silent rounds -----------------------------------------------------------+
//! ```
//!
//! Damping: a line that has become lame again and again within ten minutes must be good for longer each time.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use super::repeated::InVain;
use super::target::Probe;
use crate::flow::Timestamp;

/// A line's flaps are remembered for this long.
const FLAP_SPAN: Duration = Duration::from_secs(600);
/// Flaps that cost nothing; from then on the line must be good for [`FIRST_HOLD`], doubled each time.
const FREE_FLAPS: usize = 2;
const FIRST_HOLD: Duration = Duration::from_secs(5);
/// The same of a line that had left its users unanswered, or their data: no question says when that is over.
const UNANSWERED_HOLD: Duration = Duration::from_secs(10);
const LONGEST_HOLD: Duration = Duration::from_secs(300);
/// Proof from users' traffic, while questions stay unanswered, holds for this long.
const PROOF_HOLDS: Duration = Duration::from_secs(10);
/// Connections tried since the last such proof, none answered, that end it before.
const TRIED_IN_VAIN: u64 = 3;
/// A lame line's address and gateway are asked for anew after this, doubled each time up to [`LONGEST_HOLD`].
const FIRST_REDIAL: Duration = Duration::from_secs(5);
/// Targets that a cause names.
const NAMED: usize = 4;

/// Targets that have not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence {
    named: [Option<Probe>; NAMED],
    more: usize,
}

impl Silence {
    pub(super) fn of(probes: impl IntoIterator<Item = Probe>) -> Self {
        let mut probes = probes.into_iter();
        Self { named: std::array::from_fn(|_| probes.next()), more: probes.count() }
    }
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, probe) in self.named.iter().flatten().enumerate() {
            write!(f, "{}{probe}", if at == 0 { "" } else { ", " })?;
        }
        if self.more > 0 { write!(f, " and {} more", self.more) } else { Ok(()) }
    }
}

/// Why a line is up, or lame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthCause {
    /// Its targets answer.
    TargetsAnswer,
    /// Its targets do not, and its users' connections are answered.
    UsersAnswered,
    /// None of these targets answers.
    TargetsSilent(Silence),
    /// This share of questions is lost.
    Loss {
        /// In percent.
        percent: u8,
    },
    /// Its targets answer, and none of its users' new connections is answered while those on other lines are.
    UsersUnanswered,
    /// Its targets answer, and what its users send is not acknowledged, so that they send it again.
    DataInVain(InVain),
}

impl fmt::Display for HealthCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TargetsAnswer => f.write_str("targets answer"),
            Self::UsersAnswered => f.write_str("connections are answered, though targets are silent"),
            Self::TargetsSilent(silence) => write!(f, "no answer from {silence}"),
            Self::Loss { percent } => write!(f, "loss {percent} %"),
            Self::UsersUnanswered => f.write_str("targets answer, connections do not"),
            Self::DataInVain(InVain { percent, usual_percent }) => {
                write!(f, "connections send {percent} % of their data again")?;
                usual_percent.map_or(Ok(()), |usual| write!(f, ", {usual} % is usual here"))
            }
        }
    }
}

/// What a line is fit for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nobody knows yet.
    Testing,
    /// It carries traffic.
    Up,
    /// It does not carry it as it should.
    Lame,
}

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Enough targets answered.
    Good,
    /// Too few did; these are silent.
    Silent(Silence),
}

/// What is known of users' traffic at the end of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Users {
    /// They have had answers since the last round ended.
    Answered,
    /// Nothing, but for how many connections were tried since they last had answers.
    Unknown { tried: u64 },
    /// Many have tried, none was answered, and other lines' are.
    Unanswered,
}

/// What a round comes to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Evidence {
    pub(super) outcome: Outcome,
    pub(super) users: Users,
    /// Over the last seconds, of what may be counted; `None`: too little to tell.
    pub(super) loss_percent: Option<u8>,
    /// Whether users' data reaches nobody.
    pub(super) in_vain: Option<InVain>,
}

/// Rounds in a row that a change needs, and the loss that a line is lame from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Thresholds {
    pub(super) down_after: u32,
    pub(super) up_after: u32,
    pub(super) max_loss_percent: u8,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Leaves by: `up_after` good rounds -> Up; `down_after` silent ones -> Lame.
    Testing { good: u32, silent: u32 },
    /// `in_vain`: rounds in a row in which users' data reached nobody. `proof`: when users' answers last spoke for the line
    /// against its silent targets. Leaves by: `down_after` silent rounds without that, as many in vain, loss, users
    /// unanswered -> Lame.
    Up { silent: u32, in_vain: u32, proof: Option<Timestamp> },
    /// `good_since`: since when rounds are good. Leaves by: `up_after` good rounds over the time it must hold -> Up.
    Lame { cause: HealthCause, good: u32, good_since: Timestamp, hold: Duration },
}

/// The verdict on one line.
#[derive(Debug)]
pub(super) struct Verdict {
    thresholds: Thresholds,
    state: State,
    /// Loss is counted from here on: what was before has led to a verdict already.
    counted_since: Timestamp,
    flaps: VecDeque<Timestamp>,
    redials: u32,
    redial_at: Option<Timestamp>,
}

impl Verdict {
    pub(super) fn new(thresholds: Thresholds) -> Self {
        Self {
            thresholds,
            state: State::Testing { good: 0, silent: 0 },
            counted_since: Timestamp::default(),
            flaps: VecDeque::new(),
            redials: 0,
            redial_at: None,
        }
    }

    pub(super) fn set_thresholds(&mut self, thresholds: Thresholds) {
        self.thresholds = thresholds;
    }

    /// Begins anew. What it has seen of flaps it keeps.
    pub(super) fn restart(&mut self, now: Timestamp) {
        self.state = State::Testing { good: 0, silent: 0 };
        self.counted_since = now;
        (self.redials, self.redial_at) = (0, None);
    }

    pub(super) fn standing(&self) -> Standing {
        match self.state {
            State::Testing { .. } => Standing::Testing,
            State::Up { .. } => Standing::Up,
            State::Lame { .. } => Standing::Lame,
        }
    }

    /// Since when loss counts.
    pub(super) fn counted_since(&self) -> Timestamp {
        self.counted_since
    }

    /// When users' answers last spoke for the line, while its targets are silent.
    pub(super) fn proof(&self) -> Option<Timestamp> {
        match self.state {
            State::Up { proof, .. } => proof,
            State::Testing { .. } | State::Lame { .. } => None,
        }
    }

    /// When the line's address and gateway are to be asked for anew; `None`: they are not.
    pub(super) fn redial_at(&self) -> Option<Timestamp> {
        self.redial_at
    }

    /// They are asked for now.
    pub(super) fn redialled(&mut self, now: Timestamp) {
        self.redials += 1;
        self.redial_at = Some(now + doubled(FIRST_REDIAL, self.redials));
    }

    /// A round has ended. Gives the cause, when that changes what the line is fit for.
    pub(super) fn observe(&mut self, now: Timestamp, evidence: Evidence) -> Option<HealthCause> {
        match self.state {
            State::Testing { good, silent } => self.observe_testing(now, (good, silent), evidence),
            State::Up { silent, in_vain, proof } => self.observe_up(now, (silent, in_vain, proof), evidence),
            State::Lame { cause, good, good_since, hold } => {
                self.observe_lame(now, cause, (good, good_since, hold), evidence)
            }
        }
    }

    fn observe_testing(
        &mut self,
        now: Timestamp,
        (good, silent): (u32, u32),
        evidence: Evidence,
    ) -> Option<HealthCause> {
        let (good, silent) = match evidence.outcome {
            Outcome::Good => (good + 1, 0),
            Outcome::Silent(_) => (0, silent + 1),
        };
        self.state = State::Testing { good, silent };
        match evidence.outcome {
            Outcome::Good if good >= self.thresholds.up_after => Some(self.rise(now, HealthCause::TargetsAnswer)),
            Outcome::Silent(_) if evidence.users == Users::Answered => Some(self.rise(now, HealthCause::UsersAnswered)),
            Outcome::Silent(silence) if silent >= self.thresholds.down_after => {
                Some(self.sink(now, HealthCause::TargetsSilent(silence)))
            }
            _ => None,
        }
    }

    fn observe_up(
        &mut self,
        now: Timestamp,
        (silent, in_vain, mut proof): (u32, u32, Option<Timestamp>),
        evidence: Evidence,
    ) -> Option<HealthCause> {
        if evidence.users == Users::Unanswered {
            return Some(self.sink(now, HealthCause::UsersUnanswered));
        }
        let in_vain = if evidence.in_vain.is_some() { in_vain + 1 } else { 0 };
        if let Some(share) = evidence.in_vain.filter(|_| in_vain >= self.thresholds.down_after) {
            return Some(self.sink(now, HealthCause::DataInVain(share)));
        }
        let Outcome::Silent(silence) = evidence.outcome else {
            self.state = State::Up { silent: 0, in_vain, proof: None };
            let percent = evidence.loss_percent.filter(|percent| *percent >= self.thresholds.max_loss_percent)?;
            return Some(self.sink(now, HealthCause::Loss { percent }));
        };
        let silent = silent + 1;
        if silent >= self.thresholds.down_after {
            let holds = |at: Timestamp, tried| now.since(at) < PROOF_HOLDS && tried < TRIED_IN_VAIN;
            proof = match evidence.users {
                Users::Answered => Some(now),
                Users::Unknown { tried } => proof.filter(|at| holds(*at, tried)),
                Users::Unanswered => None,
            };
            if proof.is_none() {
                return Some(self.sink(now, HealthCause::TargetsSilent(silence)));
            }
        }
        self.state = State::Up { silent, in_vain, proof };
        None
    }

    fn observe_lame(
        &mut self,
        now: Timestamp,
        cause: HealthCause,
        (good, good_since, hold): (u32, Timestamp, Duration),
        evidence: Evidence,
    ) -> Option<HealthCause> {
        let is_good = match (evidence.outcome, evidence.users) {
            // Good questions say nothing of a line that was good at those before.
            (Outcome::Good, Users::Unanswered) => false,
            _ if evidence.in_vain.is_some() => false,
            (Outcome::Good, _) | (_, Users::Answered) => true,
            (Outcome::Silent(_), _) => false,
        };
        let good_since = if good == 0 { now } else { good_since };
        let good = if is_good { good + 1 } else { 0 };
        self.state = State::Lame { cause, good, good_since, hold };
        let has_held = good >= self.thresholds.up_after && now.since(good_since) >= hold;
        let loses = match cause {
            HealthCause::Loss { .. } => {
                evidence.loss_percent.is_none_or(|percent| percent > self.thresholds.max_loss_percent / 2)
            }
            _ => false,
        };
        let users_had_answers = cause == HealthCause::UsersUnanswered && evidence.users == Users::Answered;
        if !users_had_answers && (!has_held || loses) {
            return None;
        }
        let is_proof = matches!(evidence.outcome, Outcome::Silent(_)) || users_had_answers;
        Some(self.rise(now, if is_proof { HealthCause::UsersAnswered } else { HealthCause::TargetsAnswer }))
    }

    fn rise(&mut self, now: Timestamp, cause: HealthCause) -> HealthCause {
        let proof = (cause == HealthCause::UsersAnswered).then_some(now);
        self.state = State::Up { silent: 0, in_vain: 0, proof };
        self.counted_since = now;
        (self.redials, self.redial_at) = (0, None);
        cause
    }

    fn sink(&mut self, now: Timestamp, cause: HealthCause) -> HealthCause {
        if self.standing() == Standing::Up {
            self.flaps.push_back(now);
        }
        while self.flaps.front().is_some_and(|at| now.since(*at) > FLAP_SPAN) {
            self.flaps.pop_front();
        }
        let flaps = self.flaps.len();
        let hold = match cause {
            HealthCause::UsersUnanswered | HealthCause::DataInVain(_) => {
                doubled(UNANSWERED_HOLD, clamped(flaps.saturating_sub(1)))
            }
            _ if flaps > FREE_FLAPS => doubled(FIRST_HOLD, clamped(flaps - FREE_FLAPS - 1)),
            _ => Duration::ZERO,
        };
        self.state = State::Lame { cause, good: 0, good_since: now, hold };
        self.counted_since = now;
        // A line that loses has an address and a gateway.
        self.redial_at = (!matches!(cause, HealthCause::Loss { .. })).then_some(now + FIRST_REDIAL);
        cause
    }
}

fn clamped(times: usize) -> u32 {
    u32::try_from(times).unwrap_or(u32::MAX)
}

/// `span`, doubled so many times, up to [`LONGEST_HOLD`].
fn doubled(span: Duration, times: u32) -> Duration {
    span.saturating_mul(1 << times.min(16)).min(LONGEST_HOLD)
}
