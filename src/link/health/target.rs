//! Who is asked whether a line works.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

// RFC 1035 section 4.2.1 and RFC 9110 section 4.2.1.
/// Where name servers listen.
pub const DNS_PORT: u16 = 53;
/// Where HTTP servers listen.
pub const HTTP_PORT: u16 = 80;

// Ours.
/// Far hosts that are asked when nobody names others: they answer pings from anywhere, and are two different networks.
const FAR_HOSTS: [Ipv4Addr; 2] = [Ipv4Addr::new(1, 1, 1, 1), Ipv4Addr::new(8, 8, 8, 8)];
/// Name servers of a line that are asked; a lease may name many.
const MOST_NAME_SERVERS: usize = 2;
/// Most targets of a line: each has sockets and ports of its own.
pub const MOST_TARGETS: usize = 12;

/// A host, and what it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Probe {
    /// ICMP echo.
    Ping(Ipv4Addr),
    /// A TCP connection. A refusal is an answer, too.
    Connect(SocketAddrV4),
    /// A DNS query for the root's name servers. Any answer to it will do.
    Resolve(SocketAddrV4),
    /// `GET /` by HTTP. Any status will do.
    Fetch(SocketAddrV4),
}

impl Probe {
    /// The host.
    #[must_use]
    pub const fn host(self) -> Ipv4Addr {
        match self {
            Self::Ping(host) => host,
            Self::Connect(at) | Self::Resolve(at) | Self::Fetch(at) => *at.ip(),
        }
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ping(host) => host.fmt(f),
            Self::Connect(at) => write!(f, "tcp://{at}"),
            Self::Resolve(at) if at.port() == DNS_PORT => write!(f, "dns://{}", at.ip()),
            Self::Resolve(at) => write!(f, "dns://{at}"),
            Self::Fetch(at) if at.port() == HTTP_PORT => write!(f, "http://{}/", at.ip()),
            Self::Fetch(at) => write!(f, "http://{at}/"),
        }
    }
}

/// Who is to be asked, as an operator writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The line's gateway.
    Gateway,
    /// The name servers that the line's provider gives, those beyond its own network.
    NameServers,
    /// This one.
    Host(Probe),
}

/// How lines are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Time between two rounds of questions.
    pub interval: Duration,
    /// Who is asked; `None`: the gateway, the line's name servers, 1.1.1.1 and 8.8.8.8, of which none must be reachable.
    pub targets: Option<Arc<[Wanted]>>,
    /// How many far targets must answer for a round to be good; all, if there are fewer.
    pub need: usize,
    /// Rounds in a row without an answer, after which a line is lame.
    pub down_after: u32,
    /// Good rounds in a row, after which it is up.
    pub up_after: u32,
    /// The share of unanswered questions over 15 seconds from which on a line is lame.
    pub max_loss_percent: u8,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            interval: Duration::from_millis(500),
            targets: None,
            need: 1,
            down_after: 2,
            up_after: 3,
            max_loss_percent: 20,
        }
    }
}

/// What a target's silence means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Nothing beyond itself: it is the gateway.
    Near,
    /// Nothing until it has answered on this line once: nobody has said that it can be reached.
    Unproven,
    /// That the line does not work.
    Counts,
}

/// A target of one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Whom to ask what.
    pub probe: Probe,
    /// What its silence means.
    pub weight: Weight,
}

/// The ends of a line: our address, and who is near on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vicinity {
    /// Our address.
    pub address: Ipv4Addr,
    /// The gateway; unspecified where there is nobody near who could be asked.
    pub gateway: Ipv4Addr,
    /// Name servers that the provider gives beyond the line's own network.
    pub name_servers: Vec<Ipv4Addr>,
}

impl Settings {
    /// The targets of a line with these ends. No host is asked the same twice.
    #[must_use]
    pub fn targets_of(&self, vicinity: &Vicinity) -> Vec<Target> {
        let assumed = FAR_HOSTS.map(|host| Wanted::Host(Probe::Ping(host)));
        let (wanted, weight) = match &self.targets {
            Some(wanted) => (wanted.to_vec(), Weight::Counts),
            None => ([&[Wanted::Gateway, Wanted::NameServers][..], &assumed].concat(), Weight::Unproven),
        };
        let mut targets: Vec<Target> = Vec::new();
        let mut add = |probe: Probe, weight| {
            let weight = if probe.host() == vicinity.gateway { Weight::Near } else { weight };
            if targets.len() < MOST_TARGETS && !targets.iter().any(|target| target.probe == probe) {
                targets.push(Target { probe, weight });
            }
        };
        for wanted in wanted {
            match wanted {
                Wanted::Gateway if vicinity.gateway.is_unspecified() => {}
                Wanted::Gateway => add(Probe::Ping(vicinity.gateway), Weight::Near),
                Wanted::Host(probe) => add(probe, weight),
                Wanted::NameServers => {
                    let servers = vicinity.name_servers.iter().take(MOST_NAME_SERVERS);
                    // The provider may have named one that is long gone.
                    servers.for_each(|&host| add(Probe::Resolve(SocketAddrV4::new(host, DNS_PORT)), Weight::Unproven));
                }
            }
        }
        if targets.is_empty() && !vicinity.gateway.is_unspecified() {
            targets.push(Target { probe: Probe::Ping(vicinity.gateway), weight: Weight::Near });
        }
        targets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vicinity() -> Vicinity {
        let name_servers = vec![Ipv4Addr::new(9, 9, 9, 9), Ipv4Addr::new(1, 1, 1, 1), Ipv4Addr::new(9, 9, 9, 10)];
        Vicinity { address: Ipv4Addr::new(10, 77, 1, 2), gateway: Ipv4Addr::new(10, 77, 1, 1), name_servers }
    }

    fn named(settings: &Settings) -> Vec<(String, Weight)> {
        let targets = settings.targets_of(&vicinity());
        targets.iter().map(|target| (target.probe.to_string(), target.weight)).collect()
    }

    #[test]
    fn without_a_list_nobody_far_away_must_be_reachable() {
        let far = ["dns://9.9.9.9", "dns://1.1.1.1", "1.1.1.1", "8.8.8.8"];
        let far = far.map(|name| (name.to_owned(), Weight::Unproven));
        let expected: Vec<_> = [("10.77.1.1".to_owned(), Weight::Near)].into_iter().chain(far).collect();
        assert_eq!(named(&Settings::default()), expected);
    }

    #[test]
    fn where_nobody_is_near_nobody_near_is_asked() {
        let alone = Vicinity { gateway: Ipv4Addr::UNSPECIFIED, name_servers: Vec::new(), ..vicinity() };
        let only_gateway = Settings { targets: Some([Wanted::Gateway].into()), ..Settings::default() };
        assert_eq!(only_gateway.targets_of(&alone), []);
        let targets = Settings::default().targets_of(&alone);
        assert!(targets.iter().all(|target| target.weight == Weight::Unproven) && targets.len() == 2, "{targets:?}");
    }

    #[test]
    fn listed_targets_count_but_the_gateway_by_any_name_is_near() {
        let list = |wanted: &[Wanted]| Settings { targets: Some(wanted.into()), ..Settings::default() };
        let at = |port| SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), port);
        let wanted = [
            Wanted::Host(Probe::Connect(at(443))),
            Wanted::Host(Probe::Fetch(at(8080))),
            Wanted::Host(Probe::Fetch(at(80))),
            Wanted::Host(Probe::Ping(Ipv4Addr::new(10, 77, 1, 1))),
            Wanted::Gateway,
        ];
        let expected = [
            ("tcp://192.0.2.1:443", Weight::Counts),
            ("http://192.0.2.1:8080/", Weight::Counts),
            ("http://192.0.2.1/", Weight::Counts),
            ("10.77.1.1", Weight::Near),
        ];
        assert_eq!(named(&list(&wanted)), expected.map(|(name, weight)| (name.to_owned(), weight)));
    }
}
