//! What a lab is to look like, and the `ip` and `tc` commands that make it so.
//!
//! ```text
//!  h1 .21 ---+
//!  h2 .22 ---+-- [lan: bridge] --- lan0 192.168.10.1/24 [router] wan1 (no address) --- 10.77.1.1/24 [internet]
//!  hN     ---+                                                   wanK              --- 10.77.K.1/24
//! ```
//!
//! Hosts are 192.168.10.(20+i)/24 on `eth0`. The internet's servers 203.0.113.1 to .9 and 192.0.2.53 stand on its
//! loopback. It has no way back to 192.168.0.0/16, so a packet that leaks with its private source gets no answer.
//! An uplink may also end in a modem of its own, which translates once more: then many can be alike to the last bit.

use std::net::Ipv4Addr;

use super::error::LabError;
use super::namespace::Namespace;

/// How an uplink's far end is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FarEnd {
    /// An interface of the internet itself.
    Internet,
    /// A namespace of its own that masquerades, as a modem-router does; needs `nft`.
    Modem,
}

/// Where an uplink's address comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressing {
    /// The configuration.
    Static,
    /// A DHCP server that somebody starts at the far end.
    Dhcp,
    /// A PPPoE concentrator that somebody starts at the far end. The user is `potato` and the uplink's number; somebody puts
    /// the password into `<name>.password` in the lab's directory.
    Pppoe,
}

/// One uplink.
#[derive(Clone, Debug)]
pub struct UplinkOptions {
    /// Its name in the configuration.
    pub name: String,
    /// Where our address comes from.
    pub addressing: Addressing,
    /// Our address, which the engine owns and the kernel never has. By DHCP it may be another.
    pub address: Ipv4Addr,
    /// The far end's address; both are in one /24.
    pub gateway: Ipv4Addr,
    /// Rate towards the LAN, in Mbit/s; `None`: as fast as it goes.
    pub download_mbit: Option<u32>,
    /// Rate towards the internet, in Mbit/s.
    pub upload_mbit: Option<u32>,
    /// The MTU of both ends; `None`: 1500.
    pub mtu: Option<u16>,
    /// How the far end is built.
    pub far_end: FarEnd,
    /// More lines of its section in the configuration, as they stand there.
    pub settings: String,
}

impl UplinkOptions {
    /// Uplink number `number` (1 and up), unshaped: `dsl1`, 10.77.1.2 behind 10.77.1.1.
    #[must_use]
    pub fn numbered(number: u8) -> Self {
        Self {
            name: format!("dsl{number}"),
            addressing: Addressing::Static,
            address: Ipv4Addr::new(10, 77, number, 2),
            gateway: Ipv4Addr::new(10, 77, number, 1),
            download_mbit: None,
            upload_mbit: None,
            mtu: None,
            far_end: FarEnd::Internet,
            settings: String::new(),
        }
    }
}

/// Whether hosts and servers leave checksums and segmentation to their network cards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offloads {
    /// As veth does by default: super-packets with unfinished checksums.
    On,
    /// Whole checksums, MTU-size frames: as from a real wire.
    Off,
}

/// What a lab is to look like.
#[derive(Clone, Debug)]
pub struct LabOptions {
    /// How many LAN hosts.
    pub hosts: u8,
    /// The uplinks, in order: `wan1` is the first.
    pub uplinks: Vec<UplinkOptions>,
    /// Offloads of the hosts.
    pub host_offloads: Offloads,
    /// Offloads of the internet's ends of the uplinks.
    pub internet_offloads: Offloads,
    /// The router's number of workers.
    pub workers: Option<u8>,
    /// Whether the router lets the kernel carry busy flows.
    pub shortcut: bool,
    /// Whether the router is told the rates of its uplinks.
    pub tell_rates: bool,
    /// Targets by which the router tells whether its lines work; none: the usual ones, far ones of which are not here.
    pub health_targets: Vec<String>,
    /// Whether the router serves its pages to the LAN, at [`ROUTER_ADDRESS`] and port [`PAGES_PORT`].
    pub pages: bool,
    /// What else `[web]` says then, a line each.
    pub pages_settings: String,
}

impl LabOptions {
    /// `hosts` LAN hosts and `uplinks` uplinks, unshaped, offloads on.
    #[must_use]
    pub fn new(hosts: u8, uplinks: u8) -> Self {
        Self {
            hosts,
            uplinks: (1..=uplinks).map(UplinkOptions::numbered).collect(),
            host_offloads: Offloads::On,
            internet_offloads: Offloads::On,
            workers: None,
            shortcut: true,
            tell_rates: true,
            health_targets: Vec::new(),
            pages: false,
            pages_settings: "tls = \"off\"\n".to_owned(),
        }
    }
}

/// The router's address on the LAN.
pub const ROUTER_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 168, 10, 1);
/// The port of its pages.
pub const PAGES_PORT: u16 = 8080;
/// The server that most things talk to.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
/// The name server.
pub const NAME_SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 53);

/// The address of LAN host number `host` (1 and up).
#[must_use]
pub const fn host_address(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 168, 10, 20 + host)
}

/// The name of uplink number `uplink`'s interface in the router.
#[must_use]
pub fn wan(uplink: usize) -> String {
    format!("wan{uplink}")
}

/// The name of uplink number `uplink`'s interface at the far end.
#[must_use]
pub fn far(uplink: usize) -> String {
    format!("isp{uplink}")
}

/// The namespaces of a lab.
#[derive(Debug)]
pub(super) struct Topology {
    pub(super) hosts: Vec<Namespace>,
    pub(super) router: Namespace,
    pub(super) internet: Namespace,
    /// The modem of each uplink that has one.
    pub(super) modems: Vec<Option<Namespace>>,
    /// The switch: nothing asks for it, it stands as long as the rest.
    pub(super) lan: Namespace,
}

impl Topology {
    /// Builds all of it.
    pub(super) fn build(lab: u32, options: &LabOptions) -> Result<Self, LabError> {
        let lan = Namespace::create(lab, "lan")?;
        let router = Namespace::create(lab, "router")?;
        let internet = Namespace::create(lab, "internet")?;
        build_lan(&lan, &router)?;
        build_internet(&internet)?;
        let mut topology = Self { hosts: Vec::new(), router, internet, modems: Vec::new(), lan };
        for number in 1..=options.hosts {
            topology.add_host(lab, number, options)?;
        }
        for (index, uplink) in options.uplinks.iter().enumerate() {
            topology.add_modem(lab, index + 1, uplink)?;
            topology.connect_uplink(index + 1, options)?;
        }
        Ok(topology)
    }

    fn add_host(&mut self, lab: u32, number: u8, options: &LabOptions) -> Result<(), LabError> {
        let host = Namespace::create(lab, &format!("h{number}"))?;
        quiet_ipv6(&host)?;
        self.lan.ip(&[
            format!("link add p{number} type veth peer name eth0 netns {}", host.name()),
            format!("link set p{number} master br0"),
            format!("link set p{number} up"),
        ])?;
        host.ip(&[
            format!("address add {}/24 dev eth0", host_address(number)),
            "link set eth0 up".to_owned(),
            format!("route add default via {ROUTER_ADDRESS}"),
        ])?;
        set_offloads(&host, "eth0", options.host_offloads)?;
        self.hosts.push(host);
        Ok(())
    }

    /// Makes the modem of an uplink that wants one, with its own line into the internet.
    fn add_modem(&mut self, lab: u32, number: usize, uplink: &UplinkOptions) -> Result<(), LabError> {
        if uplink.far_end == FarEnd::Internet {
            self.modems.push(None);
            return Ok(());
        }
        let modem = Namespace::create(lab, &format!("modem{number}"))?;
        quiet_ipv6(&modem)?;
        modem.sysctl(&[("net/ipv4/ip_forward", "1")])?;
        modem.ip(&[
            format!("link add line type veth peer name modem{number} netns {}", self.internet.name()),
            format!("address add 198.51.100.{}/31 dev line", number * 2 + 1),
            "link set line up".to_owned(),
        ])?;
        self.internet.ip(&[
            format!("address add 198.51.100.{}/31 dev modem{number}", number * 2),
            format!("link set modem{number} up"),
        ])?;
        modem.ip(&[format!("route add default via 198.51.100.{}", number * 2)])?;
        modem.exec("nft", &["add table ip modem; add chain ip modem out { type nat hook postrouting priority 100; }; add rule ip modem out oifname line masquerade"])?;
        self.modems.push(Some(modem));
        Ok(())
    }

    /// The namespace at the far end of uplink number `number`.
    pub(super) fn far_end(&self, number: usize) -> &Namespace {
        self.modems.get(number - 1).and_then(Option::as_ref).unwrap_or(&self.internet)
    }

    /// Makes the two ends of an uplink and shapes them; also after they were deleted.
    pub(super) fn connect_uplink(&self, number: usize, options: &LabOptions) -> Result<(), LabError> {
        let (wan, far, uplink) = (wan(number), far(number), &options.uplinks[number - 1]);
        let far_end = self.far_end(number);
        self.router.ip(&[format!("link add {wan} type veth peer name {far} netns {}", far_end.name())])?;
        let mtu = uplink.mtu.unwrap_or(1500);
        far_end.ip(&[
            format!("link set {far} mtu {mtu}"),
            format!("address add {}/24 dev {far}", uplink.gateway),
            format!("link set {far} up"),
        ])?;
        self.router.ip(&[format!("link set {wan} mtu {mtu}"), format!("link set {wan} up")])?;
        set_offloads(far_end, &far, options.internet_offloads)?;
        shape(&self.router, &wan, uplink.upload_mbit)?;
        shape(far_end, &far, uplink.download_mbit)
    }
}

/// The switch and the router's place on it.
fn build_lan(lan: &Namespace, router: &Namespace) -> Result<(), LabError> {
    quiet_ipv6(lan)?;
    lan.ip(&[
        "link add br0 type bridge".to_owned(),
        "link set br0 up".to_owned(),
        format!("link add p0 type veth peer name lan0 netns {}", router.name()),
        "link set p0 master br0".to_owned(),
        "link set p0 up".to_owned(),
    ])?;
    router.ip(&[format!("address add {ROUTER_ADDRESS}/24 dev lan0"), "link set lan0 up".to_owned()])
}

/// The servers' addresses, and no way back to private networks.
fn build_internet(internet: &Namespace) -> Result<(), LabError> {
    quiet_ipv6(internet)?;
    let mut commands: Vec<_> = (1..=9).map(|last| format!("address add 203.0.113.{last}/32 dev lo")).collect();
    commands.push(format!("address add {NAME_SERVER}/32 dev lo"));
    commands.push("route add unreachable 192.168.0.0/16".to_owned());
    internet.ip(&commands)
}

/// Neighbour discovery is no part of these tests.
fn quiet_ipv6(namespace: &Namespace) -> Result<(), LabError> {
    match namespace.sysctl(&[("net/ipv6/conf/all/disable_ipv6", "1"), ("net/ipv6/conf/default/disable_ipv6", "1")]) {
        // A kernel without IPv6 is quiet already.
        Err(LabError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn set_offloads(namespace: &Namespace, interface: &str, offloads: Offloads) -> Result<(), LabError> {
    if offloads == Offloads::On {
        return Ok(());
    }
    let features = ["rx", "tx", "sg", "tso", "gso", "gro"];
    let mut arguments = vec!["-K", interface];
    features.iter().for_each(|feature| arguments.extend([*feature, "off"]));
    namespace.exec("ethtool", &arguments).map(drop)
}

/// Limits what `interface` sends. Bursts of 32 KiB, and a queue of 60 ms as a short DSL modem has.
fn shape(namespace: &Namespace, interface: &str, mbit: Option<u32>) -> Result<(), LabError> {
    let Some(mbit) = mbit else { return Ok(()) };
    namespace.tc(&[format!("qdisc add dev {interface} root tbf rate {mbit}mbit burst 32kb latency 60ms")])
}
