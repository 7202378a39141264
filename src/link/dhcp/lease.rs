//! A lease: what a server's answer comes to, or why it cannot be used.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use ipnet::Ipv4Net;

use super::message::Reply;
use crate::wire::ipv4::is_one_host;

/// RFC 2131 section 3.3: a lease of this many seconds has no end.
const FOR_EVER: u32 = u32::MAX;
/// Ours: a shorter lease would be renewed more often than packets flow.
const SHORTEST_LEASE: u32 = 10;
/// Ours: a smaller MTU is a mistake of the server's. Every IPv4 host takes 576 bytes (RFC 791).
const SMALLEST_MTU: u16 = 576;

/// How long a lease is good, from the moment when its request was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// T1: then its server is asked to extend it.
    pub renew: Duration,
    /// T2: then every server is asked.
    pub rebind: Duration,
    /// Then it is over.
    pub end: Duration,
}

/// What a server gave us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Our address and the network around it.
    pub network: Ipv4Net,
    /// Who takes our packets.
    pub gateway: Ipv4Addr,
    /// The server.
    pub server: Ipv4Addr,
    /// Who resolves names.
    pub name_servers: Vec<Ipv4Addr>,
    /// Longest packet of the line, if the server says.
    pub mtu: Option<u16>,
    /// How long it is good; `None`: for ever.
    pub lifetime: Option<Lifetime>,
}

/// Why an offer or a lease cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// Its network and this one of a LAN's have addresses in common.
    OverlapsLan(Ipv4Net),
    /// It is no address that a host can have.
    BadAddress,
    /// It names no gateway, or one that cannot be.
    NoGateway,
    /// It does not say which server it is from.
    NoServer,
    /// It does not say how long it is good, or for less than ten seconds.
    NoLifetime,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OverlapsLan(lan) => write!(f, "its network overlaps the LAN's {lan}"),
            Self::BadAddress => f.write_str("its address is none that a host can have"),
            Self::NoGateway => f.write_str("it names no usable gateway"),
            Self::NoServer => f.write_str("it does not name its server"),
            Self::NoLifetime => f.write_str("it does not say how long it is good, or for less than 10 s"),
        }
    }
}

impl Unusable {
    /// What the owner of the line can do about it.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::OverlapsLan(_) => {
                "give the LAN another network, or the modem another one on its side, or switch the modem to bridge mode"
            }
            _ => "look at the DHCP settings of the modem or ask the provider; kind = \"static\" needs no DHCP",
        }
    }
}

impl Lease {
    /// What `reply` gives, if it can be used beside these networks of the LANs.
    ///
    /// # Errors
    /// When it cannot.
    pub fn from_reply(reply: &Reply, lans: &[Ipv4Net]) -> Result<Self, Unusable> {
        // Without a mask only the address itself is known to be on the line.
        let network = Ipv4Net::new_assert(reply.address, reply.prefix_length.unwrap_or(32).min(32));
        let is_edge =
            network.prefix_len() < 31 && (network.addr() == network.network() || network.addr() == network.broadcast());
        if !is_one_host(reply.address) || is_edge {
            return Err(Unusable::BadAddress);
        }
        if let Some(lan) = overlap(network, lans) {
            return Err(Unusable::OverlapsLan(lan));
        }
        let server = reply.server.filter(|server| !server.is_unspecified()).ok_or(Unusable::NoServer)?;
        // RFC 3442 wants routers ignored beside classless routes. Where those have no default route, a line without a
        // gateway would be of no use, so the router is taken then. It may lie outside the network: ARP finds it.
        let gateway = reply.classless_router.or(reply.router);
        let gateway = gateway.filter(|&gateway| is_one_host(gateway) && gateway != reply.address);
        Ok(Self {
            network,
            gateway: gateway.ok_or(Unusable::NoGateway)?,
            server,
            name_servers: reply.name_servers.clone(),
            mtu: reply.mtu.filter(|&mtu| mtu >= SMALLEST_MTU),
            lifetime: lifetime(reply)?,
        })
    }

    /// Our address.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.network.addr()
    }
}

/// The first of `lans` that has addresses in common with `network`.
pub(super) fn overlap(network: Ipv4Net, lans: &[Ipv4Net]) -> Option<Ipv4Net> {
    lans.iter().copied().find(|lan| lan.contains(&network.network()) || network.contains(&lan.network()))
}

fn lifetime(reply: &Reply) -> Result<Option<Lifetime>, Unusable> {
    let seconds = reply.lease_seconds.filter(|&seconds| seconds >= SHORTEST_LEASE).ok_or(Unusable::NoLifetime)?;
    if seconds == FOR_EVER {
        return Ok(None);
    }
    // RFC 2131 section 4.4.5: T1 at half of the lease and T2 at seven eighths, unless the server says otherwise.
    let (half, seven_eighths) = (seconds / 2, seconds / 8 * 7 + seconds % 8 * 7 / 8);
    let rebind = reply.rebinding_seconds.filter(|&rebind| 0 < rebind && rebind < seconds).unwrap_or(seven_eighths);
    let renew = reply.renewal_seconds.filter(|&renew| 0 < renew && renew < rebind).unwrap_or(half.min(rebind));
    let span = |seconds: u32| Duration::from_secs(seconds.into());
    Ok(Some(Lifetime { renew: span(renew), rebind: span(rebind), end: span(seconds) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::dhcp::message::ReplyKind;

    fn reply(address: &str, prefix_length: u8) -> Reply {
        Reply {
            kind: ReplyKind::Ack,
            transaction: 1,
            address: address.parse().unwrap(),
            server: Some(Ipv4Addr::new(100, 64, 0, 1)),
            prefix_length: Some(prefix_length),
            router: Some(Ipv4Addr::new(100, 64, 0, 2)),
            classless_router: None,
            name_servers: Vec::new(),
            mtu: None,
            lease_seconds: Some(1_000),
            renewal_seconds: None,
            rebinding_seconds: None,
            message: None,
        }
    }

    fn lan(network: &str) -> Ipv4Net {
        network.parse().unwrap()
    }

    fn times(lease: u32, renew: Option<u32>, rebind: Option<u32>) -> [u64; 3] {
        let mut reply = reply("100.64.0.9", 24);
        (reply.lease_seconds, reply.renewal_seconds, reply.rebinding_seconds) = (Some(lease), renew, rebind);
        let lifetime = Lease::from_reply(&reply, &[]).unwrap().lifetime.unwrap();
        [lifetime.renew, lifetime.rebind, lifetime.end].map(|span| span.as_secs())
    }

    #[test]
    fn times_are_the_servers_where_they_make_sense() {
        assert_eq!(times(1_000, None, None), [500, 875, 1_000]);
        assert_eq!(times(1_000, Some(10), Some(20)), [10, 20, 1_000]);
        assert_eq!(times(1_000, Some(900), None), [500, 875, 1_000]);
        assert_eq!(times(1_000, Some(30), Some(1_000)), [30, 875, 1_000]);
        assert_eq!(times(1_000, None, Some(100)), [100, 100, 1_000]);
        assert_eq!(times(u32::MAX - 1, None, None)[1], 3_758_096_382);
        let mut reply = reply("100.64.0.9", 24);
        reply.lease_seconds = Some(u32::MAX);
        assert_eq!(Lease::from_reply(&reply, &[]).unwrap().lifetime, None);
        for useless in [None, Some(0), Some(9)] {
            reply.lease_seconds = useless;
            assert_eq!(Lease::from_reply(&reply, &[]), Err(Unusable::NoLifetime));
        }
    }

    #[test]
    fn classless_default_route_wins_over_routers() {
        let mut reply = reply("100.64.0.9", 24);
        reply.classless_router = Some(Ipv4Addr::new(100, 64, 0, 77));
        assert_eq!(Lease::from_reply(&reply, &[]).unwrap().gateway, Ipv4Addr::new(100, 64, 0, 77));
        (reply.classless_router, reply.router) = (None, None);
        assert_eq!(Lease::from_reply(&reply, &[]), Err(Unusable::NoGateway));
        reply.router = Some(reply.address);
        assert_eq!(Lease::from_reply(&reply, &[]), Err(Unusable::NoGateway));
    }

    #[test]
    fn network_that_meets_a_lans_is_refused_whichever_is_larger() {
        let lans = [lan("10.9.0.1/16"), lan("192.168.10.1/24")];
        let refused = |address, length| Lease::from_reply(&reply(address, length), &lans).err();
        assert_eq!(refused("192.168.10.77", 24), Some(Unusable::OverlapsLan(lans[1])));
        assert_eq!(refused("192.168.1.77", 16), Some(Unusable::OverlapsLan(lans[1])));
        assert_eq!(refused("10.9.200.4", 30), None.or(Some(Unusable::BadAddress)));
        assert_eq!(refused("10.9.200.5", 30), Some(Unusable::OverlapsLan(lans[0])));
        assert_eq!(refused("192.168.11.77", 24), None);
    }

    #[test]
    fn addresses_that_no_host_has_are_refused_and_small_networks_are_not() {
        for (address, length) in
            [("0.0.0.0", 24), ("127.0.0.2", 8), ("224.0.0.5", 24), ("255.255.255.255", 32), ("100.64.0.255", 24)]
        {
            assert_eq!(Lease::from_reply(&reply(address, length), &[]), Err(Unusable::BadAddress), "{address}");
        }
        for (address, length) in [("100.64.0.8", 32), ("100.64.0.8", 31), ("100.64.0.9", 31)] {
            assert!(Lease::from_reply(&reply(address, length), &[]).is_ok(), "{address}/{length}");
        }
        let mut unmasked = reply("100.64.0.8", 24);
        (unmasked.prefix_length, unmasked.server) = (None, None);
        assert_eq!(Lease::from_reply(&unmasked, &[]), Err(Unusable::NoServer));
    }

    #[test]
    fn absurd_mtu_is_ignored() {
        let mut reply = reply("100.64.0.9", 24);
        let mut read = |mtu| {
            reply.mtu = Some(mtu);
            Lease::from_reply(&reply, &[]).unwrap().mtu
        };
        assert_eq!((read(1_492), read(576), read(575), read(0)), (Some(1_492), Some(576), None, None));
    }
}
