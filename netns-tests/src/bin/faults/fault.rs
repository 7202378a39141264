//! The faults: how each is made and ended.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use netns_tests::concentrator::{Concentrator, Proof};
use netns_tests::provider::Provider;
use netns_tests::{Addressing, Lab, LabError, Must};

/// What happens to the first line, or to all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    CarrierLost,
    BlackHole,
    BlackHoleOneWay,
    GatewayMacChanged,
    GatewaySilent,
    Deleted,
    Renamed,
    Lossy,
    AllLinesGone,
    SessionEnded,
    EchoSilence,
    DhcpServerGone,
}

/// What stands at the far end of the first line besides the internet.
pub(crate) enum Peer {
    Nobody,
    Provider(Provider),
    Concentrator(Concentrator),
}

impl Fault {
    pub(crate) const ALL: [Self; 12] = [
        Self::CarrierLost,
        Self::BlackHole,
        Self::BlackHoleOneWay,
        Self::GatewayMacChanged,
        Self::GatewaySilent,
        Self::Deleted,
        Self::Renamed,
        Self::Lossy,
        Self::AllLinesGone,
        Self::SessionEnded,
        Self::EchoSilence,
        Self::DhcpServerGone,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::CarrierLost => "carrier lost",
            Self::BlackHole => "black hole beyond the gateway",
            Self::BlackHoleOneWay => "black hole, towards us only",
            Self::GatewayMacChanged => "gateway has another MAC, unannounced",
            Self::GatewaySilent => "gateway silent",
            Self::Deleted => "interface deleted, made again",
            Self::Renamed => "interface renamed, named back",
            Self::Lossy => "30 % loss towards us",
            Self::AllLinesGone => "all lines gone and back",
            Self::SessionEnded => "PPPoE session ended (PADT)",
            Self::EchoSilence => "PPPoE peer silent",
            Self::DhcpServerGone => "DHCP server gone (2 min lease)",
        }
    }

    /// Lines in the lab.
    pub(crate) const fn lines(self) -> u8 {
        3
    }

    /// Whether one waits for minutes.
    pub(crate) const fn is_slow(self) -> bool {
        matches!(self, Self::DhcpServerGone)
    }

    /// Where the first line's address comes from.
    pub(crate) const fn addressing(self) -> Addressing {
        match self {
            Self::DhcpServerGone => Addressing::Dhcp,
            Self::SessionEnded | Self::EchoSilence => Addressing::Pppoe,
            _ => Addressing::Static,
        }
    }

    /// Whether it ends while people are watched.
    pub(crate) const fn ends(self) -> bool {
        !matches!(self, Self::GatewayMacChanged | Self::DhcpServerGone | Self::SessionEnded | Self::EchoSilence)
    }

    /// Whether every line fails, so that nobody can be better off elsewhere.
    pub(crate) const fn takes_all(self) -> bool {
        matches!(self, Self::AllLinesGone)
    }

    /// How long it lasts, or is watched.
    pub(crate) const fn length(self) -> Duration {
        Duration::from_secs(match self {
            Self::AllLinesGone => 4,
            Self::Lossy => 40,
            Self::GatewayMacChanged | Self::GatewaySilent => 10,
            Self::SessionEnded => 12,
            Self::EchoSilence => 25,
            Self::DhcpServerGone => 135,
            _ => 6,
        })
    }

    /// Starts what the first line needs at its far end.
    pub(crate) fn start_peer(self, lab: &Lab) -> Peer {
        match self.addressing() {
            Addressing::Static => Peer::Nobody,
            Addressing::Dhcp => Peer::Provider(Provider::start(lab, 1, ("10.77.1.100", "10.77.1.150"), &[])),
            Addressing::Pppoe => {
                let path = lab.directory().join("dsl1.password");
                fs::write(&path, "secret1\n").must();
                fs::set_permissions(path, fs::Permissions::from_mode(0o600)).must();
                Peer::Concentrator(Concentrator::start(lab, Proof::Chap))
            }
        }
    }

    /// Makes the fault.
    pub(crate) fn make(self, lab: &Lab, peer: &mut Peer) -> Result<(), LabError> {
        let internet = lab.internet();
        match self {
            Self::CarrierLost => internet.ip(&["link set isp1 down".to_owned()]),
            Self::BlackHole => filter(lab, &[&drop_towards_internet("10.77.1.1"), &drop_towards_us("10.77.1.1", "")]),
            Self::BlackHoleOneWay => filter(lab, &[&drop_towards_us("10.77.1.1", "")]),
            // Nothing at all comes or goes, ARP neither, and the carrier stands.
            Self::GatewaySilent => {
                filter(lab, &[&drop_towards_internet("0.0.0.0"), &drop_towards_us("0.0.0.0", "")])?;
                internet.ip(&["link set isp1 arp off".to_owned()])
            }
            Self::GatewayMacChanged => internet.ip(&["link set isp1 address 02:00:5e:77:01:99".to_owned()]),
            Self::Deleted => lab.delete_uplink(1),
            Self::Renamed => rename(lab, "wan1", "stick"),
            Self::Lossy => filter(lab, &[&drop_towards_us("0.0.0.0", "numgen random mod 100 < 30 ")]),
            Self::AllLinesGone => internet.ip(&each_line("link set isp{} down", self.lines())),
            Self::SessionEnded | Self::EchoSilence | Self::DhcpServerGone => {
                match std::mem::replace(peer, Peer::Nobody) {
                    Peer::Nobody => {}
                    Peer::Provider(server) => server.stop(),
                    Peer::Concentrator(concentrator) => {
                        let signal = if self == Self::SessionEnded { "TERM" } else { "STOP" };
                        concentrator.run(&format!("kill -{signal} $(pidof pppd)"));
                        *peer = Peer::Concentrator(concentrator);
                    }
                }
                Ok(())
            }
        }
    }

    /// Ends the fault.
    pub(crate) fn heal(self, lab: &Lab) -> Result<(), LabError> {
        let internet = lab.internet();
        match self {
            Self::CarrierLost => internet.ip(&["link set isp1 up".to_owned()]),
            Self::BlackHole | Self::BlackHoleOneWay | Self::Lossy => {
                internet.exec("nft", &["delete", "table", "ip", "fault"]).map(drop)
            }
            Self::GatewaySilent => {
                internet.ip(&["link set isp1 arp on".to_owned()])?;
                internet.exec("nft", &["delete", "table", "ip", "fault"]).map(drop)
            }
            Self::Deleted => lab.remake_uplink(1),
            Self::Renamed => rename(lab, "stick", "wan1"),
            Self::AllLinesGone => internet.ip(&each_line("link set isp{} up", self.lines())),
            Self::GatewayMacChanged | Self::SessionEnded | Self::EchoSilence | Self::DhcpServerGone => Ok(()),
        }
    }
}

/// Rules of nftables in the internet, on what passes the first line's far end.
fn filter(lab: &Lab, rules: &[&str]) -> Result<(), LabError> {
    let chains = "add table ip fault; \
                  add chain ip fault from { type filter hook prerouting priority -300; }; \
                  add chain ip fault towards { type filter hook postrouting priority -300; }; ";
    lab.internet().exec("nft", &[&(chains.to_owned() + &rules.join("; "))]).map(drop)
}

fn drop_towards_internet(gateway: &str) -> String {
    format!("add rule ip fault from iifname isp1 ip daddr != {gateway} drop")
}

fn drop_towards_us(gateway: &str, condition: &str) -> String {
    format!("add rule ip fault towards oifname isp1 ip saddr != {gateway} {condition}drop")
}

fn rename(lab: &Lab, from: &str, to: &str) -> Result<(), LabError> {
    lab.router().ip(&[
        format!("link set {from} down"),
        format!("link set {from} name {to}"),
        format!("link set {to} up"),
    ])
}

fn each_line(command: &str, lines: u8) -> Vec<String> {
    (1..=lines).map(|line| command.replace("{}", &line.to_string())).collect()
}
