//! RFC 1661's automaton (section 4), for a protocol that is to be open as long as the session lasts: both sides ask for
//! options, and it is open when each has agreed to the other's. LCP and IPCP differ in their options only.

use std::time::Duration;

use super::event::{Failure, Stage, words};
use super::packet::{Options, Packet, code};
use crate::flow::Timestamp;

// RFC 1661 section 4.6.
/// How long an answer is waited for.
const RESTART_WAIT: Duration = Duration::from_secs(3);

// Ours.
/// Requests without an answer before the peer counts as silent: 15 seconds. RFC 1661 takes ten; a redial costs less.
const MOST_REQUESTS: u8 = 5;
/// Requests that the peer may turn down.
const MOST_REFUSALS: u8 = 10;

/// The peer's options, judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// All are right.
    Ack,
    /// These values would be.
    Nak(Vec<u8>),
    /// These are not known, or not to be had.
    Reject(Vec<u8>),
    /// They are our own.
    LoopedBack,
}

/// What the peer asks for something else than we can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unagreed;

/// The options of a protocol.
pub(super) trait Negotiable {
    /// The protocol's number.
    const PROTOCOL: u16;
    /// What it is about.
    const STAGE: Stage;

    /// What we ask for.
    fn request(&self) -> Vec<u8>;
    /// The peer would rather have these values.
    fn handle_nak(&mut self, options: Options<'_>) -> Result<(), Unagreed>;
    /// The peer does not have these options.
    fn handle_reject(&mut self, options: Options<'_>) -> Result<(), Unagreed>;
    /// Looks at what the peer asks for, and takes it over if it is right.
    fn judge(&mut self, options: Options<'_>) -> Judgement;
}

/// RFC 1661 section 4.2, as far as a protocol gets here that is never closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Leaves by: our Ack -> AckSent; the peer's -> AckReceived.
    RequestSent,
    /// The peer has agreed. Leaves by: our Ack -> Opened; time -> RequestSent.
    AckReceived,
    /// We have agreed. Leaves by: the peer's Ack -> Opened; our Nak -> RequestSent.
    AckSent,
    /// Leaves by: a new request, or an answer out of turn.
    Opened,
}

/// What has come of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing that others must know.
    Nothing,
    /// It is open now.
    Opened,
    /// It was open and is no more.
    Down,
}

/// One protocol's negotiation.
#[derive(Debug)]
pub(super) struct Negotiation<P> {
    pub(super) options: P,
    state: State,
    identifier: u8,
    /// Our last request.
    asked: Vec<u8>,
    /// The request that we last agreed to.
    agreed: Option<(u8, Vec<u8>)>,
    sent: u8,
    refused: u8,
    resend_at: Timestamp,
}

impl<P: Negotiable> Negotiation<P> {
    /// Starts to ask. Packets to send go to `out`.
    pub(super) fn start(now: Timestamp, options: P, out: &mut Vec<(u16, Vec<u8>)>) -> Self {
        let mut negotiation = Self {
            options,
            state: State::RequestSent,
            identifier: 0,
            asked: Vec::new(),
            agreed: None,
            sent: 0,
            refused: 0,
            resend_at: now,
        };
        negotiation.ask(now, out);
        negotiation
    }

    pub(super) fn is_open(&self) -> bool {
        self.state == State::Opened
    }

    /// An identifier for a packet of this protocol that asks for an answer.
    pub(super) fn next_identifier(&mut self) -> u8 {
        self.identifier = self.identifier.wrapping_add(1);
        self.identifier
    }

    /// Handles a packet with one of the codes that all protocols share. Others are refused (RFC 1661 section 5.6).
    pub(super) fn handle_packet(
        &mut self,
        now: Timestamp,
        packet: Packet<'_>,
        out: &mut Vec<(u16, Vec<u8>)>,
    ) -> Result<Outcome, Failure> {
        match packet.code {
            code::CONFIGURE_REQUEST => self.handle_request(now, packet, out),
            code::CONFIGURE_ACK => Ok(self.handle_ack(now, packet, out)),
            code::CONFIGURE_NAK | code::CONFIGURE_REJECT => self.handle_refusal(now, packet, out),
            code::TERMINATE_REQUEST => {
                send::<P>(code::TERMINATE_ACK, packet.identifier, &[], out);
                Err(Failure::LinkEnded(words(packet.data)))
            }
            code::TERMINATE_ACK => Ok(Outcome::Nothing),
            // RFC 1661 section 5.6: a code that we cannot do without.
            code::CODE_REJECT if packet.data.first().is_some_and(|code| *code <= code::CODE_REJECT) => {
                Err(Failure::Disagreement(P::STAGE))
            }
            code::CODE_REJECT => Ok(Outcome::Nothing),
            _ => {
                let identifier = self.next_identifier();
                send::<P>(code::CODE_REJECT, identifier, &packet.to_bytes(), out);
                Ok(Outcome::Nothing)
            }
        }
    }

    /// Does what is due at `now`.
    pub(super) fn handle_timeout(&mut self, now: Timestamp, out: &mut Vec<(u16, Vec<u8>)>) -> Result<(), Failure> {
        if self.poll_timeout().is_none_or(|due| now < due) {
            return Ok(());
        }
        if self.sent >= MOST_REQUESTS {
            return Err(Failure::Silent(P::STAGE));
        }
        if self.state == State::AckReceived {
            self.state = State::RequestSent;
        }
        self.ask(now, out);
        Ok(())
    }

    /// When [`Self::handle_timeout`] is due.
    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        (!self.is_open()).then_some(self.resend_at)
    }

    fn ask(&mut self, now: Timestamp, out: &mut Vec<(u16, Vec<u8>)>) {
        let identifier = self.next_identifier();
        self.asked = self.options.request();
        self.sent += 1;
        self.resend_at = now + RESTART_WAIT;
        send::<P>(code::CONFIGURE_REQUEST, identifier, &self.asked, out);
    }

    /// It was open: both sides ask anew.
    fn reopen(&mut self, now: Timestamp, out: &mut Vec<(u16, Vec<u8>)>) {
        (self.state, self.sent, self.refused) = (State::RequestSent, 0, 0);
        self.ask(now, out);
    }

    fn handle_request(
        &mut self,
        now: Timestamp,
        packet: Packet<'_>,
        out: &mut Vec<(u16, Vec<u8>)>,
    ) -> Result<Outcome, Failure> {
        let is_repeated =
            self.agreed.as_ref().is_some_and(|(id, data)| *id == packet.identifier && data == packet.data);
        if self.is_open() && is_repeated {
            // Our Ack was lost.
            send::<P>(code::CONFIGURE_ACK, packet.identifier, packet.data, out);
            return Ok(Outcome::Nothing);
        }
        let Some(options) = Options::parse(packet.data) else { return Ok(Outcome::Nothing) };
        let was_open = self.is_open();
        let judgement = self.options.judge(options);
        if was_open {
            self.reopen(now, out);
        }
        let (answer, data) = match &judgement {
            Judgement::Ack => (code::CONFIGURE_ACK, packet.data),
            Judgement::Nak(options) => (code::CONFIGURE_NAK, &options[..]),
            Judgement::Reject(options) => (code::CONFIGURE_REJECT, &options[..]),
            Judgement::LoopedBack => return Err(Failure::LoopedBack),
        };
        send::<P>(answer, packet.identifier, data, out);
        self.state = match (judgement, self.state) {
            (Judgement::Ack, State::AckReceived) => State::Opened,
            (Judgement::Ack, _) => State::AckSent,
            (_, State::AckSent) => State::RequestSent,
            (_, state) => state,
        };
        self.agreed = (answer == code::CONFIGURE_ACK).then(|| (packet.identifier, packet.data.to_vec()));
        Ok(if self.is_open() {
            Outcome::Opened
        } else if was_open {
            Outcome::Down
        } else {
            Outcome::Nothing
        })
    }

    fn handle_ack(&mut self, now: Timestamp, packet: Packet<'_>, out: &mut Vec<(u16, Vec<u8>)>) -> Outcome {
        if packet.identifier != self.identifier || packet.data != self.asked {
            return Outcome::Nothing;
        }
        match self.state {
            State::RequestSent => {
                (self.state, self.sent) = (State::AckReceived, 1);
                self.resend_at = now + RESTART_WAIT;
                Outcome::Nothing
            }
            State::AckSent => {
                self.state = State::Opened;
                Outcome::Opened
            }
            State::AckReceived => {
                self.state = State::RequestSent;
                self.ask(now, out);
                Outcome::Nothing
            }
            // The same Ack twice, as from a wire that doubles frames: RFC 1661 would begin anew.
            State::Opened => Outcome::Nothing,
        }
    }

    fn handle_refusal(
        &mut self,
        now: Timestamp,
        packet: Packet<'_>,
        out: &mut Vec<(u16, Vec<u8>)>,
    ) -> Result<Outcome, Failure> {
        let Some(options) = Options::parse(packet.data) else { return Ok(Outcome::Nothing) };
        if packet.identifier != self.identifier || self.is_open() {
            return Ok(Outcome::Nothing);
        }
        let taken = match packet.code {
            code::CONFIGURE_NAK => self.options.handle_nak(options),
            _ => self.options.handle_reject(options),
        };
        self.refused += 1;
        if taken.is_err() || self.refused > MOST_REFUSALS {
            return Err(Failure::Disagreement(P::STAGE));
        }
        if self.state == State::AckReceived {
            self.state = State::RequestSent;
        }
        self.sent = 0;
        self.ask(now, out);
        Ok(Outcome::Nothing)
    }
}

/// Queues a packet of a protocol.
pub(super) fn send<P: Negotiable>(code: u8, identifier: u8, data: &[u8], out: &mut Vec<(u16, Vec<u8>)>) {
    out.push((P::PROTOCOL, Packet { code, identifier, data }.to_bytes()));
}
