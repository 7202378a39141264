//! The state machine: from a carrier to a connection, again and again as long as the carrier lasts.

use std::collections::VecDeque;
use std::time::Duration;

use ipnet::Ipv4Net;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::account::Account;
use super::discovery::{self, Discovery, code, tag};
use super::event::{ClientEvent, Connection, Failure, words};
use super::frame::{self, Content};
use super::session::{Packets, Session};
use crate::flow::Timestamp;
use crate::wire::MacAddress;
use crate::wire::ipv4::is_one_host;
use crate::wire::pppoe::{OVERHEAD, PLAIN_MTU, SessionId};

// RFC 4638.
/// Longest packet of a session where both ends and all between can take longer frames.
const FULL_MTU: u16 = 1_500;

// Ours.
/// Wait for the first answer, and before the first redial; doubled each time, up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// A session that has no connection by then will have none.
const LONGEST_OPENING: Duration = Duration::from_secs(60);
/// The same after a refused password: who asks too often is locked out.
const FIRST_REFUSED_WAIT: Duration = Duration::from_secs(30);
const LONGEST_REFUSED_WAIT: Duration = Duration::from_secs(300);
/// PADIs without an answer before that is told.
const SILENT_AFTER: u32 = 3;
/// PADRs for an offer before it is given up: 7 seconds.
const REQUESTS: u32 = 3;
/// A connection that has lasted this long was a good one: after it the first redial comes soon.
const STEADY_AFTER: Duration = Duration::from_secs(60);
/// Sessions that are not ours are ended at most once in this time.
const FOREIGN_INTERVAL: Duration = Duration::from_secs(1);
/// Frames and events that may wait. What comes above is lost.
const LONGEST_QUEUE: usize = 16;
/// Longest cookie or relay's mark that is sent back, so that what we ask fits its frame.
const LONGEST_ECHOED_TAG: usize = 512;

/// A concentrator's offer.
#[derive(Clone, Debug)]
struct Offer {
    concentrator: MacAddress,
    name: String,
    cookie: Option<Vec<u8>>,
    relay: Option<Vec<u8>>,
}

#[derive(Debug)]
enum State {
    /// There is no carrier. Leaves by: `start` -> Discovering.
    Stopped,
    /// Leaves by: time -> Discovering.
    Waiting { until: Timestamp },
    /// Asks who is there. Leaves by: an offer that is wanted -> Requesting.
    Discovering { sent: u32, resend_at: Timestamp },
    /// Takes an offer. Leaves by: a session -> Running; silence, an error -> Waiting.
    Requesting { offer: Offer, sent: u32, resend_at: Timestamp },
    /// Leaves by: any failure -> Waiting.
    Running(Box<Running>),
}

/// A session, and whose it is.
#[derive(Debug)]
struct Running {
    id: SessionId,
    offer: Offer,
    /// Longest packet that frames have room for.
    most: u16,
    session: Session,
    /// What was told, and when.
    connection: Option<(Timestamp, Connection)>,
    /// Since when there is none.
    opening_since: Timestamp,
}

impl Running {
    /// When a session without a connection is given up: a peer that always agrees and never asks would go on so for ever.
    fn gives_up_at(&self) -> Option<Timestamp> {
        self.connection.is_none().then(|| self.opening_since + LONGEST_OPENING)
    }
}

/// The PPPoE client of one line.
#[derive(Debug)]
pub struct Client {
    random: ChaCha8Rng,
    account: Account,
    lans: Vec<Ipv4Net>,
    mac: MacAddress,
    /// Longest payload of a frame, in bytes.
    interface_mtu: u16,
    /// By which answers to us are known.
    host_uniq: [u8; 8],
    state: State,
    /// Attempts in a row that led to no steady connection, and how many of them were refused.
    failures: u32,
    refusals: u32,
    /// Why the last attempt failed, until there is a connection.
    problem: Option<Failure>,
    /// A session that we left without a word.
    lingering: Option<(MacAddress, SessionId)>,
    foreign_after: Timestamp,
    frames: VecDeque<Vec<u8>>,
    events: VecDeque<ClientEvent>,
}

impl Client {
    /// A client whose line has no carrier yet. `seed` is random.
    #[must_use]
    pub fn new(seed: [u8; 32], account: Account) -> Self {
        Self {
            random: ChaCha8Rng::from_seed(seed),
            account,
            lans: Vec::new(),
            mac: MacAddress::default(),
            interface_mtu: FULL_MTU,
            host_uniq: [0; 8],
            state: State::Stopped,
            failures: 0,
            refusals: 0,
            problem: None,
            lingering: None,
            foreign_after: Timestamp::default(),
            frames: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// The connection, while there is one.
    #[must_use]
    pub fn connection(&self) -> Option<&Connection> {
        match &self.state {
            State::Running(running) => running.connection.as_ref().map(|(_, connection)| connection),
            _ => None,
        }
    }

    /// Why there is no connection, as far as is known.
    #[must_use]
    pub fn problem(&self) -> Option<&Failure> {
        self.problem.as_ref()
    }

    /// Whether there is a connection whose peer has answered the last of our echoes.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        matches!(&self.state, State::Running(running) if running.connection.is_some() && running.session.is_answered())
    }

    /// Ends a connection that carries nothing, and dials again. Without one that is done anyway.
    pub fn redial(&mut self, now: Timestamp) {
        if self.connection().is_some() {
            self.fail(now, Failure::CarriesNothing);
        }
    }

    /// Ends the session, if there is one, and dials at once, whatever was waited for: somebody wants it so.
    pub fn redial_by_hand(&mut self, now: Timestamp) {
        if matches!(self.state, State::Stopped) {
            return;
        }
        let was_connected = self.connection().is_some();
        let frames = self.end_session();
        self.frames.extend(frames);
        (self.failures, self.refusals, self.problem) = (0, 0, None);
        if was_connected {
            self.report(ClientEvent::Ended(Failure::ByHand));
        }
        self.discover(now);
    }

    /// Takes in the interface's MTU, which is looked at when a session begins.
    pub fn handle_interface_mtu(&mut self, mtu: u16) {
        self.interface_mtu = mtu;
    }

    /// The line has a carrier: dials, from an Ethernet address that is ours.
    pub fn start(&mut self, now: Timestamp, mac: MacAddress) {
        self.stop();
        self.mac = mac;
        if let Some((concentrator, session)) = self.lingering.take() {
            self.send_padt(concentrator, session.number());
        }
        self.discover(now);
    }

    /// The line has no carrier any more.
    pub fn stop(&mut self) {
        if let State::Running(running) = &self.state {
            self.lingering = Some((running.offer.concentrator, running.id));
        }
        self.state = State::Stopped;
        (self.failures, self.refusals, self.problem) = (0, 0, None);
        self.frames.clear();
    }

    /// Ends the session, if there is one, and stops.
    pub fn release(&mut self) {
        let session = self.end_session();
        self.state = State::Stopped;
        self.frames.clear();
        self.frames.extend(session);
    }

    /// Takes in the networks of the LANs, which our address must not be in.
    pub fn handle_lan_networks(&mut self, now: Timestamp, lans: &[Ipv4Net]) {
        if self.lans == lans {
            return;
        }
        lans.clone_into(&mut self.lans);
        let overlap = self.connection().and_then(|connection| self.check_address(connection).err());
        match overlap {
            Some(failure) => self.fail(now, failure),
            // What could not be used may be right now.
            None if matches!(self.problem, Some(Failure::OverlapsLan { .. })) => self.discover(now),
            None => {}
        }
    }

    /// Handles a frame of PPPoE, Ethernet header first. Those to others, and broken ones, are ignored.
    pub fn handle_packet(&mut self, now: Timestamp, frame: &[u8]) {
        if matches!(self.state, State::Stopped) {
            return;
        }
        match frame::parse(self.mac, frame) {
            Some((from, Content::Discovery(packet))) => self.handle_discovery(now, from, &packet),
            Some((from, Content::Session { session, protocol, information })) => {
                if self.is_ours(from, session) {
                    self.drive(now, |running, account, out| {
                        running.session.handle_packet(now, (protocol, information), account, out)
                    });
                } else if now >= self.foreign_after {
                    // Left over from before a restart, ours or the concentrator's. It is nobody's.
                    self.foreign_after = now + FOREIGN_INTERVAL;
                    self.send_padt(from, session);
                }
            }
            None => {}
        }
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if self.poll_timeout().is_none_or(|due| now < due) {
            return;
        }
        match &self.state {
            State::Stopped => {}
            State::Waiting { .. } => self.discover(now),
            State::Discovering { sent, .. } => {
                let sent = *sent;
                // Somebody may answer who is not wanted.
                if sent == SILENT_AFTER && !matches!(self.problem, Some(Failure::NotWanted(_))) {
                    self.note(Failure::NoConcentrator);
                }
                self.send_padi(now, sent);
            }
            State::Requesting { sent, .. } if *sent >= REQUESTS => self.fail(now, Failure::NoSession),
            State::Requesting { .. } => self.send_padr(now),
            State::Running(running) if running.gives_up_at().is_some_and(|at| at <= now) => {
                let stage = running.session.stage();
                self.fail(now, Failure::Silent(stage));
            }
            State::Running(_) => {
                self.drive(now, |running, account, out| running.session.handle_timeout(now, account, out));
            }
        }
    }

    /// The next frame to send.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.frames.pop_front()
    }

    /// When [`Self::handle_timeout`] is due; `None`: when something has happened, not before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        match &self.state {
            State::Stopped => None,
            State::Waiting { until } => Some(*until),
            State::Discovering { resend_at, .. } | State::Requesting { resend_at, .. } => Some(*resend_at),
            State::Running(running) => running.session.poll_timeout().into_iter().chain(running.gives_up_at()).min(),
        }
    }

    /// The next thing that has happened.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    fn is_ours(&self, from: MacAddress, session: u16) -> bool {
        matches!(&self.state, State::Running(running)
            if running.offer.concentrator == from && running.id.number() == session)
    }

    fn handle_discovery(&mut self, now: Timestamp, from: MacAddress, packet: &Discovery<'_>) {
        // RFC 2516 appendix A: what is not an answer to us has not our mark.
        let is_answer = packet.tag(tag::HOST_UNIQ) == Some(&self.host_uniq[..]);
        match (packet.code, &self.state) {
            (code::PADO, State::Discovering { .. }) if is_answer => self.handle_offer(now, from, packet),
            (code::PADS, State::Requesting { offer, .. }) if is_answer && offer.concentrator == from => {
                let offer = offer.clone();
                self.handle_session(now, offer, packet);
            }
            (code::PADT, _) if self.is_ours(from, packet.session) => {
                let said = packet.tag(tag::GENERIC_ERROR).map(words).unwrap_or_default();
                self.fail(now, Failure::SessionEnded(said));
            }
            _ => {}
        }
    }

    fn handle_offer(&mut self, now: Timestamp, from: MacAddress, packet: &Discovery<'_>) {
        let name = packet.tag(tag::CONCENTRATOR_NAME).unwrap_or_default();
        let service = self.account.service.as_bytes();
        let has_service = service.is_empty() || packet.tags().any(|found| found == (tag::SERVICE_NAME, service));
        let is_wanted = self.account.concentrator.as_ref().is_none_or(|wanted| wanted.as_bytes() == name);
        let echoed = |kind| packet.tag(kind).filter(|value| value.len() <= LONGEST_ECHOED_TAG).map(<[u8]>::to_vec);
        if !has_service || !is_wanted {
            self.note(Failure::NotWanted(words(name)));
            return;
        }
        let offer = Offer {
            concentrator: from,
            name: words(name),
            cookie: echoed(tag::COOKIE),
            relay: echoed(tag::RELAY_SESSION_ID),
        };
        self.state = State::Requesting { offer, sent: 0, resend_at: now };
        self.send_padr(now);
    }

    fn handle_session(&mut self, now: Timestamp, offer: Offer, packet: &Discovery<'_>) {
        let error = |kind| packet.tag(kind).map(words);
        if let Some(said) = error(tag::SERVICE_NAME_ERROR) {
            return self.fail(now, Failure::ServiceRefused(said));
        }
        let said = error(tag::SYSTEM_ERROR).or_else(|| error(tag::GENERIC_ERROR));
        let (None, Some(id)) = (&said, SessionId::new(packet.session)) else {
            return self.fail(now, Failure::Concentrator(said.unwrap_or_default()));
        };
        // RFC 4638 section 4: without the tag in the answer, at most 1,492.
        let agreed = packet.tag(tag::MAX_PAYLOAD).and_then(|value| Some(u16::from_be_bytes(value.try_into().ok()?)));
        let most = agreed.map_or(PLAIN_MTU, |agreed| agreed.clamp(PLAIN_MTU, FULL_MTU)).min(self.room());
        let random = ChaCha8Rng::from_rng(&mut self.random);
        let mut out = Packets::new();
        let session = Session::start(now, random, most, &mut out);
        self.state =
            State::Running(Box::new(Running { id, offer, most, session, connection: None, opening_since: now }));
        self.send(out);
    }

    /// Lets the session do something, and sees what has become of it.
    fn drive(
        &mut self,
        now: Timestamp,
        step: impl FnOnce(&mut Running, &Account, &mut Packets) -> Result<(), Failure>,
    ) {
        let State::Running(running) = &mut self.state else { return };
        let mut out = Packets::new();
        let outcome = step(running, &self.account, &mut out);
        self.send(out);
        match outcome {
            Ok(()) => self.review_connection(now),
            Err(failure) => self.fail(now, failure),
        }
    }

    /// Takes over what the session has come to.
    fn review_connection(&mut self, now: Timestamp) {
        let State::Running(running) = &mut self.state else { return };
        let network = running.session.network();
        if network.is_some() == running.connection.is_some() {
            return;
        }
        let Some(network) = network else {
            running.connection = None;
            running.opening_since = now;
            self.report(ClientEvent::Ended(Failure::Renegotiated));
            return;
        };
        let connection = Connection {
            session: running.id,
            concentrator: running.offer.concentrator,
            concentrator_name: running.offer.name.clone(),
            address: network.address,
            gateway: network.gateway,
            name_servers: network.name_servers(),
            mtu: running.session.peer_receive_unit().min(running.most),
        };
        if let Err(failure) = self.check_address(&connection) {
            return self.fail(now, failure);
        }
        if let State::Running(running) = &mut self.state {
            running.connection = Some((now, connection.clone()));
        }
        self.problem = None;
        self.report(ClientEvent::Connected(connection));
    }

    fn check_address(&self, connection: &Connection) -> Result<(), Failure> {
        let address = connection.address;
        if !is_one_host(address) {
            return Err(Failure::BadAddress(address));
        }
        match self.lans.iter().find(|lan| lan.contains(&address)) {
            Some(lan) => Err(Failure::OverlapsLan { address, lan: lan.trunc() }),
            None => Ok(()),
        }
    }

    /// Ends the attempt or the connection, and waits before the next.
    fn fail(&mut self, now: Timestamp, failure: Failure) {
        // RFC 2516 section 5.5: after a PADT nothing more is sent in the session.
        if !matches!(failure, Failure::SessionEnded(_)) {
            let frames = self.end_session();
            self.frames.extend(frames);
        }
        let is_refused = matches!(failure, Failure::AuthenticationRefused(_));
        let lasted = match &self.state {
            State::Running(running) => running.connection.as_ref().map(|(since, _)| now.since(*since)),
            _ => None,
        };
        match lasted {
            Some(lasted) => {
                self.refusals = 0;
                if lasted >= STEADY_AFTER {
                    self.failures = 0;
                }
                self.problem = Some(failure.clone());
                self.report(ClientEvent::Ended(failure));
            }
            None => self.note(failure),
        }
        let wait = if is_refused {
            self.refusals = self.refusals.saturating_add(1);
            self.growing(FIRST_REFUSED_WAIT, self.refusals - 1, LONGEST_REFUSED_WAIT)
        } else {
            self.growing(FIRST_WAIT, self.failures, LONGEST_WAIT)
        };
        self.failures = self.failures.saturating_add(1);
        self.state = State::Waiting { until: now + wait };
    }

    /// The frames that end the session, if there is one.
    fn end_session(&mut self) -> Vec<Vec<u8>> {
        let State::Running(running) = &mut self.state else { return Vec::new() };
        let (mut out, way, id) = (Packets::new(), (running.offer.concentrator, self.mac), running.id.number());
        running.session.terminate(&mut out);
        let packets = out.iter().map(|(protocol, packet)| frame::session(way, id, *protocol, packet));
        packets.chain([frame::discovery(way, &discovery::write(code::PADT, id, &[]))]).collect()
    }

    /// Tells why there is no connection, unless that was told.
    fn note(&mut self, failure: Failure) {
        if self.problem.as_ref() != Some(&failure) {
            self.problem = Some(failure.clone());
            self.report(ClientEvent::Failed(failure));
        }
    }

    fn discover(&mut self, now: Timestamp) {
        self.random.fill_bytes(&mut self.host_uniq);
        self.state = State::Discovering { sent: 0, resend_at: now };
        self.send_padi(now, 0);
    }

    /// RFC 2516 section 5.1; asked for the `sent`th time, from 0.
    fn send_padi(&mut self, now: Timestamp, sent: u32) {
        self.send_discovery(MacAddress::BROADCAST, code::PADI, &[]);
        let resend_at = now + self.growing(FIRST_WAIT, sent, LONGEST_WAIT);
        self.state = State::Discovering { sent: sent.saturating_add(1), resend_at };
    }

    /// RFC 2516 section 5.3.
    fn send_padr(&mut self, now: Timestamp) {
        let State::Requesting { offer, sent, resend_at } = &mut self.state else { return };
        *resend_at = now + FIRST_WAIT.saturating_mul(1 << (*sent).min(8));
        *sent += 1;
        let Offer { concentrator, cookie, relay, .. } = offer.clone();
        let cookie = cookie.iter().map(|value| (tag::COOKIE, &value[..]));
        let relay = relay.iter().map(|value| (tag::RELAY_SESSION_ID, &value[..]));
        self.send_discovery(concentrator, code::PADR, &cookie.chain(relay).collect::<Vec<_>>());
    }

    /// Sends a question with our mark, the service and what our frames have room for.
    fn send_discovery(&mut self, to: MacAddress, code: u8, more: &[(u16, &[u8])]) {
        let (host_uniq, room) = (self.host_uniq, self.room().min(FULL_MTU).to_be_bytes());
        let mut tags = vec![(tag::SERVICE_NAME, self.account.service.as_bytes()), (tag::HOST_UNIQ, &host_uniq[..])];
        // RFC 4638 section 4: only who can take more than 1,492.
        if self.room() > PLAIN_MTU {
            tags.push((tag::MAX_PAYLOAD, &room));
        }
        tags.extend(more);
        let packet = discovery::write(code, 0, &tags);
        self.queue(frame::discovery((to, self.mac), &packet));
    }

    fn send_padt(&mut self, to: MacAddress, session: u16) {
        let packet = discovery::write(code::PADT, session, &[]);
        self.queue(frame::discovery((to, self.mac), &packet));
    }

    fn send(&mut self, out: Packets) {
        let State::Running(running) = &self.state else { return };
        let (way, id) = ((running.offer.concentrator, self.mac), running.id.number());
        for (protocol, packet) in out {
            self.queue(frame::session(way, id, protocol, &packet));
        }
    }

    /// Longest packet that a frame of a session has room for.
    fn room(&self) -> u16 {
        self.interface_mtu.saturating_sub(OVERHEAD)
    }

    /// `first`, doubled `times`, up to `longest`; a quarter more or less, at random.
    fn growing(&mut self, first: Duration, times: u32, longest: Duration) -> Duration {
        let wait = first.saturating_mul(1 << times.min(10)).min(longest);
        let span = u32::try_from(wait.as_millis() / 2).unwrap_or(u32::MAX).max(1);
        wait - wait / 4 + Duration::from_millis((self.random.next_u32() % span).into())
    }

    fn queue(&mut self, frame: Vec<u8>) {
        if self.frames.len() < LONGEST_QUEUE {
            self.frames.push_back(frame);
        }
    }

    fn report(&mut self, event: ClientEvent) {
        if self.events.len() < LONGEST_QUEUE {
            self.events.push_back(event);
        }
    }
}
