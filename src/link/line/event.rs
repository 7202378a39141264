//! What happens to a line, and why.

use std::fmt;

use crate::link::dhcp;
use crate::link::health::HealthCause;
use crate::link::pppoe;
use crate::placement::Availability;
use crate::wire::MacAddress;

/// Why a line's availability changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The interface is gone.
    InterfaceRemoved,
    /// The interface is down or its cable is out.
    CarrierLost,
    /// The interface is there and has a carrier.
    CarrierFound,
    /// The interface is there and has no carrier.
    InterfaceFound,
    /// The interface has another Ethernet address.
    MacChanged,
    /// The gateway has answered.
    GatewayAnswered,
    /// The gateway answers no more.
    GatewaySilent,
    /// The kernel has given the interface an address and a gateway, or others.
    AddressFound,
    /// The kernel has taken the interface's address or gateway away.
    AddressLost,
    /// The lease is over.
    LeaseEnded,
    /// The lease has another gateway.
    LeaseChanged,
    /// There is a PPPoE session, with an address.
    SessionUp,
    /// The PPPoE session is over.
    SessionEnded,
    /// Somebody has taken it down.
    TakenDown,
    /// Whoever took it down has put it back.
    PutBack,
    /// Somebody has it redialled.
    Redialled,
    /// What its health has become.
    Health(HealthCause),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Health(cause) => return cause.fmt(f),
            Self::InterfaceRemoved => "interface removed",
            Self::CarrierLost => "carrier lost",
            Self::CarrierFound => "carrier found",
            Self::InterfaceFound => "interface found",
            Self::MacChanged => "interface changed its Ethernet address",
            Self::GatewayAnswered => "gateway answered",
            Self::GatewaySilent => "gateway silent",
            Self::AddressFound => "address found",
            Self::AddressLost => "address lost",
            Self::LeaseEnded => "lease ended",
            Self::LeaseChanged => "lease changed",
            Self::SessionUp => "session up",
            Self::SessionEnded => "session ended",
            Self::TakenDown => "taken down by hand",
            Self::PutBack => "put back by hand",
            Self::Redialled => "redialled by hand",
        })
    }
}

/// Something that has happened to a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineEvent {
    /// It can do more or less than before.
    Changed {
        /// Before.
        from: Availability,
        /// Now.
        to: Availability,
        /// Why.
        cause: Cause,
    },
    /// The gateway has another Ethernet address.
    GatewayMoved {
        /// Before.
        from: MacAddress,
        /// Now.
        to: MacAddress,
    },
    /// Somebody else on the line uses our address.
    AddressConflict(MacAddress),
    /// Something has happened to its DHCP client.
    Dhcp(dhcp::ClientEvent),
    /// Something has happened to its PPPoE client.
    Pppoe(pppoe::ClientEvent),
    /// It is lame, and its gateway and address have been asked for anew.
    Redialled,
}
