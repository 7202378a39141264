//! The configuration file: TOML in, a [`Config`] that cannot be wrong out.
//!
//! How it works: `toml` gives a tree in which every value knows its place in the file; `section` walks it and
//! refuses unknown keys; `values` turns each value into a type of its own (an address in its network, a rate, a
//! name); `lower` puts them together and checks what spans several of them. The first mistake ends it, with the file,
//! the line, what is wrong and what would be right. The tree is walked by hand and not by derived `Deserialize`,
//! because the derived messages ("data did not match any variant of untagged enum") help nobody.
//!
//! It does not look at the machine: whether an interface exists is for the daemon to see, again and again. Files with
//! passwords are read with the configuration (`password`), so that what is wrong with them is said at once.

mod advice;
mod error;
mod failover;
mod forward;
mod health;
mod host;
mod interface;
mod limits;
mod lower;
mod metrics;
mod notify;
mod password;
mod pppoe;
mod reserve;
mod rule;
mod section;
mod selectors;
mod values;
mod web;

use std::net::Ipv4Addr;
use std::num::{NonZeroU8, NonZeroU32};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::Ipv4Net;

use crate::link::health::Settings as HealthSettings;
use crate::link::pppoe::{Account, Secret};

pub use advice::Advice;
pub use error::ConfigError;
pub use forward::{Forward, ForwardTarget, ForwardedLines};
pub use host::{HostIdentity, HostIdentityError, HostName};
pub use interface::{DevicePath, UplinkInterface};
pub use lower::keys;
pub use metrics::Metrics;
pub use notify::{
    Channel, ChannelKind, HttpUrl, Mail, Matrix, Ntfy, Piece, Placeholder, Recovery, Security, Server, Slack, Template,
    Terms, Topic, Webhook, Xmpp,
};
pub use password::PasswordError;
pub use reserve::{Hours, Reservation, TimeOfDay};
pub use rule::{Rule, RuleAction};
pub use values::{InterfaceName, Rate, UplinkName};
pub use web::{Look, Tls, Web};

use crate::engine::{Limits, MovablePorts};

/// Where the file is looked for when nobody says otherwise.
pub const DEFAULT_PATH: &str = "/etc/potato/potato.toml";
/// Where what must outlive a restart is kept when nobody says otherwise.
pub const DEFAULT_STATE_DIR: &str = "/var/lib/potato";
/// Where the control socket and the flow slab are when nobody says otherwise.
pub const DEFAULT_RUN_DIR: &str = "/run/potato";

/// A whole configuration. Whatever holds one may rely on it: names are unique, gateways are in their networks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `[router]`.
    pub router: Router,
    /// `[lan]`.
    pub lan: Lan,
    /// Every `[[uplink]]`, in the order of the file: at least one, at most [`crate::placement::MAX_UPLINKS`].
    pub uplinks: Vec<Uplink>,
    /// `[health]`: how lines are watched.
    pub health: HealthSettings,
    /// `[limits]`: what one host may have at most.
    pub limits: Limits,
    /// Every `[[reserve]]`: lines that some hosts have for themselves.
    pub reservations: Vec<Reservation>,
    /// Every `[[rule]]`, in the order of the file.
    pub rules: Vec<Rule>,
    /// Every `[[forward]]`: no two answer one port of a line.
    pub forwards: Vec<Forward>,
    /// `[web]`: where the pages are served, if they are.
    pub web: Option<Web>,
    /// `[metrics]`: where Prometheus finds the numbers, if it does.
    pub metrics: Option<Metrics>,
    /// Every `[[notify]]`, in the order of the file: who is told what happens, and how.
    pub channels: Vec<Channel>,
    /// What the file asks for and this version does not do.
    pub warnings: Vec<Warning>,
    /// What the file asks for and cannot have the effect that its owner expects.
    pub advice: Vec<Advice>,
}

/// Something in the file that is correct and has no effect in this version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Its line, from 1.
    pub line: usize,
    /// What it is, as it stands in the file: `uplink = "any"`.
    pub what: String,
}

/// `[router]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Router {
    /// Where what must outlive a restart is kept.
    pub state_dir: PathBuf,
    /// Where the control socket, the journal and the flow slab are kept, until the machine restarts.
    pub run_dir: PathBuf,
    /// How many worker threads.
    pub workers: Workers,
    /// Most flows at one time, all workers together.
    pub flows: NonZeroU32,
    /// Whether the kernel may carry packets of busy flows in our place.
    pub shortcut: bool,
    /// Whether long transfers are slowed down on full lines, so that their queues stay short.
    pub short_queues: bool,
    /// Ports of far ends whose UDP flows go on over another line when theirs is lost.
    pub movable_udp: MovablePorts,
    /// Whether the router has rules of its own behind those of the file, while a line is isolated.
    pub default_rules: bool,
    /// Which lines are for flows of class isolated.
    pub isolated: IsolatedLines,
}

/// Which lines are for flows of class isolated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IsolatedLines {
    /// Those of [`Role::Isolated`].
    #[default]
    Roles,
    /// The one that the router picks while none of those works.
    Auto,
}

impl IsolatedLines {
    /// As it is written in the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Roles => "roles",
            Self::Auto => "auto",
        }
    }
}

/// How many worker threads carry packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// As many as the machine has processors.
    Auto,
    /// This many, at most [`MAX_WORKERS`].
    Count(NonZeroU8),
}

/// Most workers.
pub const MAX_WORKERS: u8 = 64;

impl Workers {
    /// The number, on a machine with this many processors.
    #[must_use]
    pub fn count(self, processors: usize) -> NonZeroU8 {
        match self {
            Self::Count(count) => count,
            Self::Auto => {
                let count = u8::try_from(processors).unwrap_or(MAX_WORKERS).min(MAX_WORKERS);
                NonZeroU8::new(count).unwrap_or(NonZeroU8::MIN)
            }
        }
    }
}

/// `[lan]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lan {
    /// The LAN's interfaces: at least one, all different.
    pub interfaces: Vec<InterfaceName>,
    /// How their packets are taken from the kernel.
    pub capture: Capture,
    /// Name of the TUN device.
    pub tun: InterfaceName,
    /// Where the LAN's dnsmasq keeps its leases, by which hosts have names; `None`: they have none.
    pub leases: Option<PathBuf>,
}

/// How a LAN's packets are taken from the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capture {
    /// [`Self::Packet`] on Ethernet, else [`Self::Tun`].
    Auto,
    /// By a policy route to the TUN device: any LAN that the kernel can route.
    Tun,
    /// By packet sockets on the interface: Ethernet.
    Packet,
}

impl Capture {
    /// As it is written in the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Tun => "tun",
            Self::Packet => "packet",
        }
    }
}

/// One `[[uplink]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uplink {
    /// Its name: unique.
    pub name: UplinkName,
    /// Its interface: unique, and not the LAN's.
    pub interface: UplinkInterface,
    /// Where its address comes from.
    pub kind: UplinkKind,
    /// Its share of new flows: as given, else its download rate in Mbit/s when every uplink names one, else 1.
    pub weight: NonZeroU32,
    /// The weight in the file. Once one uplink has one, all are compared by weight, and not by what they can do.
    pub given_weight: Option<NonZeroU32>,
    /// What it can receive, as its owner says.
    pub download: Option<Rate>,
    /// What it can send, as its owner says.
    pub upload: Option<Rate>,
    /// What it is for.
    pub role: Role,
    /// What its traffic costs.
    pub tariff: Tariff,
    /// What becomes of the flows that it has when a better line is back.
    pub drain: Drain,
}

/// Where an uplink's address comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UplinkKind {
    /// From the file.
    Static {
        /// Our address on it and the network around: unique, a host's address.
        address: Ipv4Net,
        /// Who takes our packets: in the network, and not us.
        gateway: Ipv4Addr,
    },
    /// From the provider's DHCP server.
    Dhcp,
    /// From the provider's concentrator, in a PPPoE session.
    Pppoe(Box<Login>),
    /// From the kernel, which has the address for itself too.
    Adopted {
        /// Who takes our packets; `None`: as the kernel's default route says.
        gateway: Option<Ipv4Addr>,
    },
}

/// What a PPPoE session needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Who we are. The password is what [`Self::password_file`] holds; empty after [`parse`], which opens no file.
    pub account: Account,
    /// Where the password is.
    pub password_file: PathBuf,
}

impl UplinkKind {
    /// As it is written in the file.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Static { .. } => "static",
            Self::Dhcp => "dhcp",
            Self::Pppoe(_) => "pppoe",
            Self::Adopted { .. } => "adopted",
        }
    }

    /// Our address, if the file gives it.
    #[must_use]
    pub fn static_address(&self) -> Option<Ipv4Addr> {
        match self {
            Self::Static { address, .. } => Some(address.addr()),
            Self::Dhcp | Self::Pppoe(_) | Self::Adopted { .. } => None,
        }
    }
}

/// What an uplink's traffic costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tariff {
    /// The same, however much it is.
    Flat,
    /// So much a byte: the uplink is used when nothing else works.
    Metered,
}

/// What becomes of the flows of an uplink that is not needed any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    /// They are ended after this time.
    After(Duration),
    /// They stay for as long as they live.
    Never,
}

/// What an uplink is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Takes its share of all new flows.
    Balanced,
    /// Takes flows of class isolated.
    Isolated,
    /// Takes flows when no other can.
    Standby,
}

impl Role {
    /// As it is written in the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Balanced => "balanced",
            Self::Isolated => "isolated",
            Self::Standby => "standby",
        }
    }
}

/// Reads and checks the file at `path`, and the files with passwords that it names.
///
/// # Errors
/// When it cannot be read, is not UTF-8, or has a mistake in it; when a password cannot be read or others can read it.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    let bytes = std::fs::read(path).map_err(unreadable)?;
    match String::from_utf8(bytes) {
        Ok(text) => check(path, &text),
        Err(error) => Err(ConfigError::not_utf8(path, error.as_bytes(), error.utf8_error().valid_up_to())),
    }
}

/// Checks `text`, which is to stand in the file at `path` (named in errors, not opened), and the files that it names.
///
/// # Errors
/// As [`load`] has them.
pub fn check(path: &Path, text: &str) -> Result<Config, ConfigError> {
    let files =
        password::Files { password: password::read, certificate: password::look_at, key: password::look_at_secret };
    lower::lower(text, &files).map_err(|mistake| mistake.in_file(path, text))
}

/// Checks `text`, which stands in the file at `path` (named in errors, not opened, and neither are files that it names).
///
/// # Errors
/// When it has a mistake in it.
pub fn parse(path: &Path, text: &str) -> Result<Config, ConfigError> {
    let files = password::Files { password: |_| Ok(Secret::default()), certificate: |_| Ok(()), key: |_| Ok(()) };
    lower::lower(text, &files).map_err(|mistake| mistake.in_file(path, text))
}
