//! What there is while a line has an address and a gateway: its targets, and the round of questions that is under way.

use std::net::Ipv4Addr;
use std::sync::Arc;

use super::loss::Losses;
use super::prober::Prober;
use super::report::TargetStatus;
use super::target::{Probe, Target, Vicinity, Weight};
use super::verdict::{Outcome, Silence};
use crate::flow::Timestamp;

/// A target that nobody has said can be reached, and that has not answered so often, is asked in one round of so many.
const UNREACHED_AFTER: u32 = 10;
const SELDOM: u64 = 16;
/// Questions in a row that are lost on a line that still carries users: of a third lost, one in eighty loses more.
const LONGEST_LOSS: u32 = 3;
/// A gateway that has answered so many pings in a row need not be asked by ARP.
const RELIABLE_PONGS: u32 = 8;

/// A set of targets, a bit for each.
type Set = u16;

const _: () = assert!(super::target::MOST_TARGETS <= Set::BITS as usize, "a bit for each");

/// A target and what is known of it.
#[derive(Debug)]
struct Watched {
    target: Target,
    losses: Losses,
    /// Questions in a row without an answer.
    silent: u32,
}

/// A round of questions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    pub(super) began: Timestamp,
    /// When it is judged, unless everybody has answered before.
    pub(super) due: Timestamp,
    asked: Set,
}

/// The questions of one line, from one address.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) vicinity: Vicinity,
    pub(super) prober: Prober,
    pub(super) hosts: Arc<[Ipv4Addr]>,
    pub(super) round: Option<Round>,
    pub(super) next_at: Timestamp,
    need: usize,
    targets: Vec<Watched>,
    /// Who has answered since the last round was judged: an answer that is late is one nevertheless.
    answered: Set,
    number: u64,
    /// Pings in a row that the gateway has answered.
    pongs: u32,
    ponged: bool,
}

/// What of a round counts as loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counting {
    /// Every question without an answer.
    All,
    /// Not those to a target that has been silent for longer than loss explains: users have answers, so it is the target's own doing.
    WithoutSilence,
    /// None: our own load has displaced them.
    Answers,
}

impl Session {
    /// Begins to ask `targets`, of which `need` must answer.
    pub(super) fn new(now: Timestamp, vicinity: Vicinity, targets: Vec<Target>, need: usize, seed: [u8; 32]) -> Self {
        let probes = targets.iter().map(|target| target.probe);
        Self {
            prober: Prober::new(now, vicinity.address, probes.clone(), seed),
            hosts: probes.map(Probe::host).collect(),
            vicinity,
            round: None,
            next_at: now,
            need,
            targets: targets
                .into_iter()
                .map(|target| Watched { target, losses: Losses::default(), silent: 0 })
                .collect(),
            answered: 0,
            number: 0,
            pongs: 0,
            ponged: false,
        }
    }

    /// Asks whoever is to be asked now, and says whether the gateway is to be asked by ARP as well.
    pub(super) fn ask(&mut self, now: Timestamp, due: Timestamp) -> bool {
        let mut round = Round { began: now, due, asked: 0 };
        for (at, watched) in self.targets.iter().enumerate() {
            let is_unreached = watched.target.weight == Weight::Unproven && watched.silent >= UNREACHED_AFTER;
            if !is_unreached || self.number.is_multiple_of(SELDOM) {
                round.asked |= 1 << at;
                self.prober.ask(now, at);
            }
        }
        self.number += 1;
        self.round = Some(round);
        self.gateway().is_some() && self.pongs < RELIABLE_PONGS
    }

    /// The gateway's place among the targets that are pinged.
    pub(super) fn gateway(&self) -> Option<usize> {
        self.targets.iter().position(|watched| watched.target.probe == Probe::Ping(self.vicinity.gateway))
    }

    /// How many rounds in a row the gateway has not answered in any way.
    pub(super) fn gateway_silence(&self) -> u32 {
        self.gateway().and_then(|at| self.targets.get(at)).map_or(0, |watched| watched.silent)
    }

    /// A target has answered what it was asked; see [`Self::note_answer`].
    pub(super) fn note_reply(&mut self, at: usize) -> Option<Probe> {
        if self.gateway() == Some(at) {
            self.ponged = true;
        }
        self.note_answer(at)
    }

    /// A target has answered, in whatever way. Gives it when that shows for the first time that it can be reached.
    pub(super) fn note_answer(&mut self, at: usize) -> Option<Probe> {
        self.answered |= 1 << at;
        let watched = self.targets.get_mut(at)?;
        watched.silent = 0;
        if watched.target.weight != Weight::Unproven {
            return None;
        }
        watched.target.weight = Weight::Counts;
        Some(watched.target.probe)
    }

    /// Whether everybody who was asked has answered.
    pub(super) fn is_complete(&self) -> bool {
        self.round.is_some_and(|round| self.answered & round.asked == round.asked)
    }

    /// The targets by which the line is judged: those far away that count, else whoever there is.
    fn judges(&self) -> Set {
        let of = |weight| self.set(|watched| watched.target.weight == weight);
        match of(Weight::Counts) {
            0 => of(Weight::Near) | of(Weight::Unproven),
            far => far,
        }
    }

    fn set(&self, is_in: impl Fn(&Watched) -> bool) -> Set {
        (0..).zip(&self.targets).filter(|(_, watched)| is_in(watched)).fold(0, |set, (at, _): (u32, _)| set | 1 << at)
    }

    /// Whether enough have answered.
    pub(super) fn is_good(&self) -> bool {
        if self.set(|watched| watched.target.weight != Weight::Unproven) == 0 {
            // Nobody near can be asked, and nobody far is known to be reachable: nothing speaks against the line.
            return true;
        }
        let judges = self.judges();
        let need = if self.set(|watched| watched.target.weight == Weight::Counts) == 0 { 1 } else { self.need };
        (self.answered & judges).count_ones() as usize >= need.clamp(1, judges.count_ones().max(1) as usize)
    }

    /// How the round that ends now has ended.
    pub(super) fn outcome(&self) -> Outcome {
        if self.is_good() {
            return Outcome::Good;
        }
        let silent = self.judges() & !self.answered;
        let probes = self.targets.iter().enumerate().filter(|(at, _)| silent & 1 << at != 0);
        Outcome::Silent(Silence::of(probes.map(|(_, watched)| watched.target.probe)))
    }

    /// Ends the round: counts what was lost, as far as that says something of the line.
    pub(super) fn end_round(&mut self, now: Timestamp, round: &Round, counting: Counting) {
        self.pongs = if self.ponged { self.pongs.saturating_add(1) } else { 0 };
        self.ponged = false;
        for (at, watched) in self.targets.iter_mut().enumerate().filter(|(at, _)| round.asked & 1 << at != 0) {
            let answered = self.answered & 1 << at != 0;
            watched.silent = if answered { 0 } else { watched.silent.saturating_add(1) };
            let counts = match counting {
                Counting::All => true,
                Counting::WithoutSilence => watched.silent <= LONGEST_LOSS,
                Counting::Answers => false,
            };
            if answered || counts {
                watched.losses.record(now, answered);
            }
        }
        self.answered = 0;
    }

    /// The least loss of those by which the line is judged: a host that answers only now and then is not the line's fault.
    pub(super) fn loss(&self, of: impl Fn(&Losses) -> Option<u8>) -> Option<u8> {
        let judges = self.judges();
        let judging = self.targets.iter().enumerate().filter(|(at, _)| judges & 1 << at != 0);
        judging.filter_map(|(_, watched)| of(&watched.losses)).min()
    }

    /// The targets, for people.
    pub(super) fn status(&self, now: Timestamp) -> Vec<TargetStatus> {
        let status = |watched: &Watched| TargetStatus {
            probe: watched.target.probe,
            weight: watched.target.weight,
            silent: watched.silent,
            loss_percent: watched.losses.percent(now)[0],
        };
        self.targets.iter().map(status).collect()
    }
}
