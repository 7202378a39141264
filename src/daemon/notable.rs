//! What of a line's life goes into the event log beside its changes of state, each kind under its own name:
//!
//! | kind | `from`, `to` | `cause` | `by` |
//! |---|---|---|---|
//! | `gateway-moved` | the gateway's Ethernet address, before and now | the gateway | |
//! | `address-conflict` | `to`: our address | | who uses it too |
//! | `lease-obtained` | `to`: our address | its gateway | the server |
//! | `lease-ended` | `from`: the address that is ours no more | why | |
//! | `lease-denied` | `from`: the address that we asked for | the server's words | |
//! | `lease-refused` | `to`: what was offered | why, and what to do | |
//! | `lease-declined` | `to`: the address | | who uses it |
//! | `dhcp-server-silent` | | | |
//!
//! Mere extensions of a lease are no news.

use super::history::{Kind, Record};
use crate::link::dhcp::ClientEvent;
use crate::link::{Ends, LineEvent};

/// The event as it is kept, without the line's name; `ends` is what the line has now. `None`: it is not for the log of
/// events, or is told as a change of state.
pub(super) fn record_of(event: &LineEvent, ends: Option<Ends>) -> Option<Record> {
    let of = |kind| Record { kind, ..Record::default() };
    let record = match event {
        LineEvent::GatewayMoved { from, to } => Record {
            from: Some(from.to_string()),
            to: Some(to.to_string()),
            cause: ends.map(|ends| format!("gateway {}", ends.gateway)),
            ..of(Kind::GatewayMoved)
        },
        LineEvent::AddressConflict(rival) => Record {
            to: ends.map(|ends| ends.address.to_string()),
            by: Some(rival.to_string()),
            ..of(Kind::AddressConflict)
        },
        LineEvent::Dhcp(event) => return record_of_dhcp(event),
        _ => return None,
    };
    Some(record)
}

fn record_of_dhcp(event: &ClientEvent) -> Option<Record> {
    let of = |kind| Record { kind, ..Record::default() };
    let record = match event {
        ClientEvent::Extended => return None,
        ClientEvent::Leased(lease) => Record {
            to: Some(lease.network.to_string()),
            cause: Some(format!("gateway {}", lease.gateway)),
            by: Some(format!("server {}", lease.server)),
            ..of(Kind::LeaseObtained)
        },
        ClientEvent::Ended { address, why } => {
            Record { from: Some(address.to_string()), cause: Some(why.to_string()), ..of(Kind::LeaseEnded) }
        }
        ClientEvent::Denied { address, message } => {
            Record { from: Some(address.to_string()), cause: message.clone(), ..of(Kind::LeaseDenied) }
        }
        ClientEvent::Refused { network, why } => Record {
            to: Some(network.to_string()),
            cause: Some(format!("{why}; {}", why.remedy())),
            ..of(Kind::LeaseRefused)
        },
        ClientEvent::Declined { address, rival } => {
            Record { to: Some(address.to_string()), by: Some(rival.to_string()), ..of(Kind::LeaseDeclined) }
        }
        ClientEvent::NoServer => of(Kind::DhcpServerSilent),
    };
    Some(record)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::link::dhcp::LeaseEnd;
    use crate::wire::MacAddress;

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(100, 64, 0, 7);
    const RIVAL: MacAddress = MacAddress([2, 0, 0, 0, 0, 9]);

    #[test]
    fn what_is_news_is_told_with_its_circumstances() {
        let ends = Some(Ends { address: ADDRESS, gateway: Ipv4Addr::new(100, 64, 0, 1) });
        let moved = LineEvent::GatewayMoved { from: MacAddress([2, 0, 0, 0, 0, 8]), to: RIVAL };
        let record = record_of(&moved, ends).unwrap();
        assert_eq!((record.kind, record.cause.as_deref()), (Kind::GatewayMoved, Some("gateway 100.64.0.1")));
        let record = record_of(&LineEvent::AddressConflict(RIVAL), ends).unwrap();
        assert_eq!((record.to.as_deref(), record.by.as_deref()), (Some("100.64.0.7"), Some("02:00:00:00:00:09")));
        let ended = LineEvent::Dhcp(ClientEvent::Ended { address: ADDRESS, why: LeaseEnd::TakenBack });
        let record = record_of(&ended, None).unwrap();
        assert_eq!((record.kind, record.from.as_deref()), (Kind::LeaseEnded, Some("100.64.0.7")));
        assert_eq!(record_of(&LineEvent::Dhcp(ClientEvent::Extended), None), None);
    }
}
