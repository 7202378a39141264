//! What goes on inside a session: the link, authentication, the network, and whether the peer is still there.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;

use super::account::Account;
use super::authentication::{self, Authentication};
use super::event::{Failure, Stage};
use super::ipcp::Ipcp;
use super::lcp::Lcp;
use super::negotiation::{Negotiation, Outcome, send};
use super::packet::{Packet, code, protocol};
use crate::flow::Timestamp;
use crate::wire::pppoe::FIRST_CONTROL_PROTOCOL;

// Ours.
/// How often the peer is asked whether it is there, once the link is open.
const ECHO_INTERVAL: Duration = Duration::from_secs(2);
/// Questions in a row without an answer after which it is not: 8 to 10 seconds after its last one.
const MOST_ECHOES: u8 = 4;
/// Of what we do not know, so much is sent back.
const LONGEST_REJECTED: usize = 64;

/// Whether the peer is still there.
#[derive(Clone, Copy, Debug)]
struct Echo {
    unanswered: u8,
    next_at: Timestamp,
}

/// A session, from its number on.
#[derive(Debug)]
pub(super) struct Session {
    lcp: Negotiation<Lcp>,
    /// As long as the link is open, unless the peer does not know echoes.
    echo: Option<Echo>,
    authentication: Option<Authentication>,
    ipcp: Option<Negotiation<Ipcp>>,
}

/// Packets to send: protocol and content.
pub(super) type Packets = Vec<(u16, Vec<u8>)>;

impl Session {
    /// Starts with the link. `receive_unit` is the longest packet that we can receive. Packets to send go to `out`.
    pub(super) fn start(now: Timestamp, random: ChaCha8Rng, receive_unit: u16, out: &mut Packets) -> Self {
        let lcp = Negotiation::start(now, Lcp::new(random, receive_unit), out);
        Self { lcp, echo: None, authentication: None, ipcp: None }
    }

    /// What the network is, once it is open.
    pub(super) fn network(&self) -> Option<&Ipcp> {
        self.ipcp.as_ref().filter(|ipcp| ipcp.is_open()).map(|ipcp| &ipcp.options)
    }

    /// How far it has come on its way to a network.
    pub(super) fn stage(&self) -> Stage {
        match (&self.ipcp, &self.authentication) {
            (Some(_), _) => Stage::Network,
            (None, Some(_)) => Stage::Authentication,
            (None, None) => Stage::Link,
        }
    }

    /// Longest packet that the peer receives.
    pub(super) fn peer_receive_unit(&self) -> u16 {
        self.lcp.options.peer_receive_unit
    }

    /// Handles what PPP carries.
    pub(super) fn handle_packet(
        &mut self,
        now: Timestamp,
        (number, information): (u16, &[u8]),
        account: &Account,
        out: &mut Packets,
    ) -> Result<(), Failure> {
        let packet = Packet::parse(information);
        match (number, packet) {
            (protocol::LCP, Some(packet)) => self.handle_link(now, packet, account, out),
            // RFC 1661 section 3.4: before the link is open, all else is discarded.
            _ if !self.lcp.is_open() => Ok(()),
            (protocol::IPCP, Some(packet)) => match &mut self.ipcp {
                Some(ipcp) => ipcp.handle_packet(now, packet, out).map(drop),
                None => Ok(()),
            },
            (protocol::PAP | protocol::CHAP, Some(packet)) => {
                self.handle_authentication(now, number, packet, account, out)
            }
            (FIRST_CONTROL_PROTOCOL.., Some(_)) => {
                self.reject_protocol(number, information, out);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Does what is due at `now`.
    pub(super) fn handle_timeout(
        &mut self,
        now: Timestamp,
        account: &Account,
        out: &mut Packets,
    ) -> Result<(), Failure> {
        self.lcp.handle_timeout(now, out)?;
        if let Some(authentication) = &mut self.authentication {
            authentication.handle_timeout(now, account, out)?;
        }
        if let Some(ipcp) = &mut self.ipcp {
            ipcp.handle_timeout(now, out)?;
        }
        if self.echo.is_some_and(|echo| echo.next_at <= now) {
            self.ask_for_echo(now, out)?;
        }
        Ok(())
    }

    /// When [`Self::handle_timeout`] is due.
    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        let authentication = self.authentication.as_ref().and_then(Authentication::poll_timeout);
        let ipcp = self.ipcp.as_ref().and_then(Negotiation::poll_timeout);
        let echo = self.echo.map(|echo| echo.next_at);
        [self.lcp.poll_timeout(), authentication, ipcp, echo].into_iter().flatten().min()
    }

    /// Tells the peer that the link ends.
    pub(super) fn terminate(&mut self, out: &mut Packets) {
        let identifier = self.lcp.next_identifier();
        send::<Lcp>(code::TERMINATE_REQUEST, identifier, &[], out);
    }

    fn handle_link(
        &mut self,
        now: Timestamp,
        packet: Packet<'_>,
        account: &Account,
        out: &mut Packets,
    ) -> Result<(), Failure> {
        match packet.code {
            code::ECHO_REQUEST | code::ECHO_REPLY | code::DISCARD_REQUEST if !self.lcp.is_open() => {}
            code::ECHO_REQUEST => self.answer_echo(packet, out),
            code::ECHO_REPLY => self.hear_echo(packet),
            code::DISCARD_REQUEST => {}
            code::PROTOCOL_REJECT => return self.hear_rejected_protocol(packet),
            code::CODE_REJECT if packet.data.first() == Some(&code::ECHO_REQUEST) => self.echo = None,
            _ => match self.lcp.handle_packet(now, packet, out)? {
                Outcome::Nothing => {}
                Outcome::Opened => self.open_link(now, account, out),
                Outcome::Down => (self.echo, self.authentication, self.ipcp) = (None, None, None),
            },
        }
        Ok(())
    }

    fn open_link(&mut self, now: Timestamp, account: &Account, out: &mut Packets) {
        self.echo = Some(Echo { unanswered: 0, next_at: now + ECHO_INTERVAL });
        match self.lcp.options.method {
            Some(method) => self.authentication = Some(Authentication::start(now, method, account, out)),
            None => self.ipcp = Some(Negotiation::start(now, Ipcp::new(), out)),
        }
    }

    fn handle_authentication(
        &mut self,
        now: Timestamp,
        number: u16,
        packet: Packet<'_>,
        account: &Account,
        out: &mut Packets,
    ) -> Result<(), Failure> {
        let running = self.authentication.as_mut().filter(|running| running.protocol() == number);
        let Some(authentication) = running else { return Ok(()) };
        if authentication.handle_packet(now, packet, account, out)? == authentication::Outcome::Passed {
            self.ipcp = Some(Negotiation::start(now, Ipcp::new(), out));
        }
        Ok(())
    }

    fn ask_for_echo(&mut self, now: Timestamp, out: &mut Packets) -> Result<(), Failure> {
        let Some(echo) = &mut self.echo else { return Ok(()) };
        if echo.unanswered >= MOST_ECHOES {
            return Err(Failure::EchoSilence);
        }
        echo.unanswered += 1;
        echo.next_at = now + ECHO_INTERVAL;
        let (identifier, magic) = (self.lcp.next_identifier(), self.lcp.options.magic());
        send::<Lcp>(code::ECHO_REQUEST, identifier, &magic.to_be_bytes(), out);
        Ok(())
    }

    /// RFC 1661 section 5.8: the same data, with our own magic number.
    fn answer_echo(&mut self, packet: Packet<'_>, out: &mut Packets) {
        let Some((_, rest)) = packet.data.split_at_checked(4) else { return };
        let data = [&self.lcp.options.magic().to_be_bytes()[..], rest].concat();
        send::<Lcp>(code::ECHO_REPLY, packet.identifier, &data, out);
    }

    /// Whether the peer has answered the last echo.
    pub(super) fn is_answered(&self) -> bool {
        self.echo.is_some_and(|echo| echo.unanswered == 0)
    }

    fn hear_echo(&mut self, packet: Packet<'_>) {
        let (own, magic) = (self.lcp.options.magic(), packet.data.first_chunk().copied().map(u32::from_be_bytes));
        // RFC 1661 section 6.4: our own number says that our question has come back.
        if magic.is_some_and(|magic| magic == 0 || magic != own)
            && let Some(echo) = &mut self.echo
        {
            echo.unanswered = 0;
        }
    }

    fn hear_rejected_protocol(&self, packet: Packet<'_>) -> Result<(), Failure> {
        let Some(&number) = packet.data.first_chunk() else { return Ok(()) };
        match u16::from_be_bytes(number) {
            protocol::LCP => Err(Failure::Disagreement(Stage::Link)),
            protocol::PAP | protocol::CHAP if self.ipcp.is_none() => Err(Failure::Disagreement(Stage::Authentication)),
            protocol::IPCP => Err(Failure::Disagreement(Stage::Network)),
            _ => Ok(()),
        }
    }

    /// RFC 1661 section 5.7.
    fn reject_protocol(&mut self, number: u16, information: &[u8], out: &mut Packets) {
        let information = &information[..information.len().min(LONGEST_REJECTED)];
        let data = [&number.to_be_bytes()[..], information].concat();
        let identifier = self.lcp.next_identifier();
        send::<Lcp>(code::PROTOCOL_REJECT, identifier, &data, out);
    }
}
