//! One line's health: rounds of questions, and what comes of them.

use std::collections::{HashSet, VecDeque};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::delay::{Delays, RoundTrips};
use super::prober::Answer;
use super::repeated::Repeated;
use super::report::HealthStatus;
use super::session::{Counting, Session};
use super::target::{Probe, Settings, Vicinity, Weight};
use super::traffic::{Capacity, Load, Peers, Traffic, TrafficWindow};
use super::verdict::{Evidence, HealthCause, Outcome, Standing, Thresholds, Users, Verdict};
use crate::flow::Timestamp;

/// How long an answer is waited for on a line that is up: twice what one answer in a hundred exceeds and a little more,
/// within these bounds. With rounds twice a second and two of them, a dead line is known after 1.4 s at most.
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(400);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(2);
const TIMEOUT_MARGIN: Duration = Duration::from_millis(100);
/// The same on a line that is not up: nobody knows yet how slow it is.
const PATIENT_TIMEOUT: Duration = Duration::from_secs(1);
/// While a line is tested, one good round follows the other this quickly...
const FAST_GAP: Duration = Duration::from_millis(50);
/// ...and ends this long after it began, whoever has not answered yet: the line is to be up soon.
const FAR_PATIENCE: Duration = Duration::from_millis(150);

/// What the line is to do, or to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthEvent {
    /// Ask the gateway by ARP: it may not answer pings.
    AskGateway,
    /// Ask everybody for the gateway by ARP: it was silent, and may have another Ethernet address.
    SeekGateway,
    /// Ask for the address and the gateway anew: the line has been lame for a while.
    Redial,
    /// The line is fit for something else now.
    Changed(HealthCause),
}

/// The health of one line.
#[derive(Debug)]
pub struct Health {
    settings: Arc<Settings>,
    capacity: Capacity,
    random: ChaCha8Rng,
    session: Option<Session>,
    verdict: Verdict,
    delays: Delays,
    round_trips: RoundTrips,
    /// What the last good answer took, on a full line too.
    last_round_trip: Option<Duration>,
    traffic: TrafficWindow,
    repeated: Repeated,
    peers: Peers,
    /// Targets that have answered on this line, with this address.
    proven: HashSet<Probe>,
    proven_from: Option<Ipv4Addr>,
    rounds: u64,
    events: VecDeque<HealthEvent>,
}

impl Health {
    /// Of a line that is not there yet. `seed` is random.
    #[must_use]
    pub fn new(settings: Arc<Settings>, capacity: Capacity, seed: [u8; 32]) -> Self {
        Self {
            capacity,
            random: ChaCha8Rng::from_seed(seed),
            session: None,
            verdict: Verdict::new(thresholds(&settings)),
            settings,
            delays: Delays::default(),
            round_trips: RoundTrips::default(),
            last_round_trip: None,
            traffic: TrafficWindow::default(),
            repeated: Repeated::default(),
            peers: Peers::default(),
            proven: HashSet::new(),
            proven_from: None,
            rounds: 0,
            events: VecDeque::new(),
        }
    }

    /// Takes in what an operator has set anew. The verdict stands until rounds by the new settings speak against it.
    pub fn handle_settings(&mut self, now: Timestamp, settings: Arc<Settings>, capacity: Capacity) {
        self.capacity = capacity;
        if *self.settings == *settings {
            return;
        }
        self.settings = settings;
        self.verdict.set_thresholds(thresholds(&self.settings));
        let vicinity = self.session.take().map(|session| session.vicinity);
        self.session = vicinity.map(|vicinity| self.begin_session(now, vicinity));
    }

    /// What the line is fit for, as far as its address and gateway are there.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.verdict.standing()
    }

    /// The hosts that are asked now.
    #[must_use]
    pub fn hosts(&self) -> Arc<[Ipv4Addr]> {
        self.session.as_ref().map_or_else(Arc::default, |session| Arc::clone(&session.hosts))
    }

    /// Whether the line's users have had answers to their connections in the last seconds.
    #[must_use]
    pub fn answers_users(&self, now: Timestamp) -> bool {
        self.traffic.answers_users(now)
    }

    /// The line has these ends from now on; `None`: it has none, and nobody can be asked.
    pub fn handle_vicinity(&mut self, now: Timestamp, vicinity: Option<Vicinity>) {
        if self.session.as_ref().map(|session| &session.vicinity) == vicinity.as_ref() {
            return;
        }
        let is_new_line = self.session.as_ref().zip(vicinity.as_ref()).is_none_or(|(session, vicinity)| {
            (session.vicinity.address, session.vicinity.gateway) != (vicinity.address, vicinity.gateway)
        });
        if is_new_line {
            self.verdict.restart(now);
            self.repeated.end();
        }
        self.session = vicinity.map(|vicinity| self.begin_session(now, vicinity));
    }

    /// Tests the line anew, as if it had just got its address.
    pub fn restart(&mut self, now: Timestamp) {
        self.verdict.restart(now);
        self.repeated.end();
        let vicinity = self.session.take().map(|session| session.vicinity);
        self.session = vicinity.map(|vicinity| self.begin_session(now, vicinity));
    }

    fn begin_session(&mut self, now: Timestamp, vicinity: Vicinity) -> Session {
        if self.proven_from.replace(vicinity.address) != Some(vicinity.address) {
            self.proven.clear();
        }
        let mut targets = self.settings.targets_of(&vicinity);
        for target in &mut targets {
            if target.weight == Weight::Unproven && self.proven.contains(&target.probe) {
                target.weight = Weight::Counts;
            }
        }
        let mut seed = [0; 32];
        self.random.fill_bytes(&mut seed);
        Session::new(now, vicinity, targets, self.settings.need, seed)
    }

    /// Takes in the workers' counters of the line.
    pub fn handle_traffic(&mut self, now: Timestamp, traffic: Traffic) {
        self.traffic.observe(now, traffic);
        self.repeated.observe(now, traffic.segments);
    }

    /// Takes in whether other lines answer their users.
    pub fn handle_peers(&mut self, peers: Peers) {
        self.peers = peers;
    }

    /// Takes in an IP packet for one of our own ports.
    pub fn handle_packet(&mut self, now: Timestamp, packet: &[u8]) {
        if let Some(session) = &mut self.session {
            session.prober.handle_packet(now, packet);
            self.take_answers(now);
        }
    }

    /// The gateway has answered by ARP.
    pub fn handle_gateway(&mut self, now: Timestamp) {
        let Some(session) = &mut self.session else { return };
        if let Some(at) = session.gateway() {
            self.proven.extend(session.note_answer(at));
            self.review_round(now);
        }
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let round_due =
            |health: &Self| health.session.as_ref().and_then(|session| session.round).map(|round| round.due);
        if round_due(self).is_some_and(|due| due <= now) {
            self.judge(now);
        }
        if round_due(self).is_none() && self.session.as_ref().is_some_and(|session| session.next_at <= now) {
            self.begin_round(now);
        }
        if self.verdict.redial_at().is_some_and(|due| due <= now) {
            self.verdict.redialled(now);
            self.events.push_back(HealthEvent::Redial);
        }
    }

    /// The next IP packet to send to the gateway.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.session.as_mut()?.prober.poll_transmit()
    }

    /// When [`Self::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let session = self.session.as_ref()?;
        let due = session.round.map_or(session.next_at, |round| round.due);
        Some(self.verdict.redial_at().map_or(due, |redial| redial.min(due)))
    }

    /// The next thing that has happened.
    pub fn poll_event(&mut self) -> Option<HealthEvent> {
        self.events.pop_front()
    }

    fn begin_round(&mut self, now: Timestamp) {
        let due = now + self.timeout();
        let is_up = self.verdict.standing() == Standing::Up;
        let Some(session) = &mut self.session else { return };
        // RFC 1122 section 2.3.2.1: at most once a second.
        if session.gateway_silence() % 2 == 1 {
            self.events.push_back(HealthEvent::SeekGateway);
        }
        if session.ask(now, due) || !is_up {
            self.events.push_back(HealthEvent::AskGateway);
        }
    }

    /// The gateway has another Ethernet address: what was asked by way of the old one says nothing, and is asked again.
    pub fn handle_gateway_moved(&mut self, now: Timestamp) {
        if let Some(session) = &mut self.session {
            session.round = None;
            session.next_at = now;
            self.handle_timeout(now);
        }
    }

    fn timeout(&self) -> Duration {
        match self.verdict.standing() {
            Standing::Up => {
                let high = self.delays.high().unwrap_or_default();
                (high * 2 + TIMEOUT_MARGIN).clamp(SHORTEST_TIMEOUT, LONGEST_TIMEOUT)
            }
            Standing::Testing | Standing::Lame => PATIENT_TIMEOUT,
        }
    }

    fn take_answers(&mut self, now: Timestamp) {
        while let Some(session) = &mut self.session
            && let Some(Answer { target, round_trip }) = session.prober.poll_answer()
        {
            let was_good = session.is_good();
            self.proven.extend(session.note_reply(target));
            if !was_good && session.is_good() {
                self.last_round_trip = Some(round_trip);
                self.round_trips.record(round_trip);
                // Our own load says nothing of the line.
                if self.traffic.load(now, self.capacity) == Load::Light {
                    self.delays.record(now, round_trip);
                }
            }
        }
        self.review_round(now);
    }

    /// Ends the round, if there is nothing more to wait for.
    fn review_round(&mut self, now: Timestamp) {
        let is_tested = self.verdict.standing() == Standing::Testing;
        let Some(session) = &mut self.session else { return };
        let (is_good, is_complete) = (session.is_good(), session.is_complete());
        let Some(round) = &mut session.round else { return };
        if is_tested && is_good {
            round.due = round.due.min(round.began + FAR_PATIENCE);
        }
        if is_complete || round.due <= now {
            self.judge(now);
        }
    }

    /// Ends the round: what it says of each target, and of the line.
    fn judge(&mut self, now: Timestamp) {
        let load = self.traffic.load(now, self.capacity);
        let Some(session) = &mut self.session else { return };
        let Some(round) = session.round.take() else { return };
        let outcome = session.outcome();
        let is_alive = self.traffic.is_alive(now, load);
        self.traffic.mark();
        let counting = match (load, is_alive) {
            (Load::Full, _) => Counting::Answers,
            (_, true) => Counting::WithoutSilence,
            (_, false) => Counting::All,
        };
        session.end_round(now, &round, counting);
        let loss_percent = session.loss(|losses| losses.verdict(now, self.verdict.counted_since()));
        let users = if is_alive {
            Users::Answered
        } else if self.peers == Peers::Answer && self.traffic.leaves_users_unanswered(now) {
            Users::Unanswered
        } else {
            Users::Unknown { tried: self.verdict.proof().map_or(0, |proof| self.traffic.tried_since(proof)) }
        };
        self.rounds += 1;
        let in_vain = self.repeated.review(now, &self.traffic, load);
        let cause = self.verdict.observe(now, Evidence { outcome, users, loss_percent, in_vain });
        match cause.map(|_| self.verdict.standing()) {
            Some(Standing::Up) => self.repeated.begin(now),
            Some(Standing::Testing | Standing::Lame) => self.repeated.end(),
            None => {}
        }
        self.events.extend(cause.map(HealthEvent::Changed));
        let is_fast = self.verdict.standing() == Standing::Testing && outcome == Outcome::Good;
        session.next_at = if is_fast { now + FAST_GAP } else { on_the_beat(round.began, now, self.settings.interval) };
    }

    /// What the last good answer took, whether the line was full or not.
    #[must_use]
    pub fn last_round_trip(&self) -> Option<Duration> {
        self.last_round_trip
    }

    /// What answers take while the line is not full, and the share of questions lost in the last minute, in percent.
    #[must_use]
    pub fn usual(&self, now: Timestamp) -> (Option<Duration>, Option<u8>) {
        let round_trip = self.delays.quantiles().0.map(|quantiles| quantiles.median);
        let loss = self.session.as_ref().and_then(|session| session.loss(|losses| losses.percent(now)[1]));
        (round_trip, loss)
    }

    /// How the line is, for people.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> HealthStatus {
        let (round_trip, jitter) = self.delays.quantiles();
        let session = self.session.as_ref();
        let targets = session.map_or_else(Vec::new, |session| session.status(now));
        let losses = [0, 1, 2].map(|span| session.and_then(|session| session.loss(|losses| losses.percent(now)[span])));
        let repeated = self.repeated.status(now);
        let (rounds, last, round_trips) = (self.rounds, self.delays.last(), self.round_trips);
        HealthStatus { rounds, last, round_trip, round_trips, jitter, losses, repeated, targets }
    }
}

const fn thresholds(settings: &Settings) -> Thresholds {
    let Settings { down_after, up_after, max_loss_percent, .. } = *settings;
    Thresholds { down_after, up_after, max_loss_percent }
}

/// When the next round begins: all lines keep one beat, so that the router wakes once for all of them.
fn on_the_beat(began: Timestamp, now: Timestamp, interval: Duration) -> Timestamp {
    let beat = (interval.as_millis() as u64).max(1);
    let next = (began.as_millis() / beat + 1) * beat;
    Timestamp::from_millis(if next >= now.as_millis() { next } else { now.as_millis().div_ceil(beat) * beat })
}
