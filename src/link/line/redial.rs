//! A line that a person has redialled: what is done, what becomes of its flows meanwhile, and why it may not be possible.
//!
//! Theory of operation: a session is ended and dialled anew, a lease is given back and asked for anew, and where the address is
//! the file's or the kernel's its gateway is asked for anew; then the line is tested as if it were new. Whoever redials a line may
//! get the same address again, so its flows wait for that, but not for ever ([`LONGEST_HOLD`]): see [`Line::holds_flows`].
//!
//! It is not what a lame line does by itself (`watch`), which is gentler: it extends its lease.

use std::fmt;
use std::time::Duration;

use super::addressing::{Addressing, Attachment};
use super::{Cause, Line, State};
use crate::flow::Timestamp;
use crate::placement::Availability;

/// How long flows wait for the address that they have. A session is there again after some seconds, a lease after one; a
/// concentrator that lets clients wait lets them wait for longer than anybody would.
const LONGEST_HOLD: Duration = Duration::from_secs(15);

/// What a redial is, by what the line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redial {
    /// Its PPPoE session is ended and dialled anew.
    Session,
    /// Its lease is given back and asked for anew.
    Lease,
    /// Its address stays: its gateway is asked for anew.
    Gateway,
}

impl fmt::Display for Redial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Session => "its session is ended and dialled anew",
            Self::Lease => "its lease is given back and asked for anew",
            Self::Gateway => "its gateway is asked for anew, and it is tested; its address stays",
        })
    }
}

/// Why a line cannot be redialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotRedial {
    /// There is no interface.
    #[error("its interface is not there; it is dialled as soon as that is")]
    Missing,
    /// There is no carrier.
    #[error("it has no carrier; it is dialled as soon as it has one")]
    NoCarrier,
    /// The kernel has the address, and there is nobody whom we could ask.
    #[error(
        "its address is the kernel's, and there is nobody to ask for another; have whatever dials it do so again (pppd, \
         ModemManager, wg-quick)"
    )]
    Kernels,
}

impl Line {
    /// Redials the line, for a person wants it so. What a line that is down by hand has beneath is redialled, too.
    ///
    /// # Errors
    /// When there is nothing to redial; then nothing has changed.
    pub fn handle_redial(&mut self, now: Timestamp) -> Result<Redial, CannotRedial> {
        let from = self.availability();
        let redial = self.redial_possible()?;
        if let State::Running { neighbor: Some(neighbor), .. } = &mut self.state {
            neighbor.ask_anew(now);
        }
        self.addressing.redial(now);
        if let Some(health) = &mut self.health {
            health.restart(now);
        }
        self.redialled_until = Some(now + LONGEST_HOLD);
        // Whatever else has come of it, this is why.
        let _by_hand_all_the_same = self.hear_parts(now);
        self.report_change(from, Cause::Redialled);
        Ok(redial)
    }

    fn redial_possible(&self) -> Result<Redial, CannotRedial> {
        match (&self.state, &self.addressing) {
            (State::Missing, _) => Err(CannotRedial::Missing),
            (State::NoCarrier, _) => Err(CannotRedial::NoCarrier),
            (State::Running { .. }, Addressing::Pppoe(_)) => Ok(Redial::Session),
            (State::Running { .. }, Addressing::Dhcp(_)) => Ok(Redial::Lease),
            (State::Running { .. }, Addressing::Static(_) | Addressing::Adopted(Some(_), Attachment::Ethernet)) => {
                Ok(Redial::Gateway)
            }
            (State::Running { .. }, Addressing::Adopted(..)) => Err(CannotRedial::Kernels),
        }
    }

    /// Whether it is being redialled: from the order on until it has been tested, or for as long as its flows wait.
    #[must_use]
    pub fn is_redialled(&self) -> bool {
        self.redialled_until.is_some()
    }

    /// Whether its flows have their way out, or are to wait until it is known whether their address comes back.
    #[must_use]
    pub fn holds_flows(&self) -> bool {
        self.next_hop().is_some() || self.is_redialled()
    }

    /// Ends the waiting when its time is over, or the line is tested.
    pub(super) fn end_redial(&mut self, now: Timestamp) {
        let is_tested = matches!(self.beneath(), Availability::Usable | Availability::Lame);
        if is_tested || self.redialled_until.is_some_and(|until| until <= now) {
            self.redialled_until = None;
        }
    }
}
