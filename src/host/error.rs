//! What can go wrong with the machine, said to the person who runs the router.

use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use ipnet::{Ipv4Net, Ipv6Net};

/// A step on the machine that did not work.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The process may not change the network.
    #[error("{what}: not permitted; run as root (CAP_NET_ADMIN)")]
    Permission {
        /// What was tried.
        what: String,
    },
    /// Another router holds the lock.
    #[error(
        "another potato{} already runs with run_dir {}: stop it first, or give this one a run_dir of its own",
        pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default(), run_dir.display()
    )]
    Running {
        /// Its process, if it has written it down already.
        pid: Option<u32>,
        /// The directory that both want.
        run_dir: PathBuf,
    },
    /// A file or directory of the router's own cannot be used.
    #[error("{}: cannot {action}: {source}; [router] run_dir must be a directory that this user can write to", path.display())]
    RunDir {
        /// What was to be done with it.
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The journal tells of another network namespace than the one that we are in.
    #[error(
        "{}: written in another network namespace (net:[{written_in}], this one is net:[{here}]): run there, or delete \
         the file if that namespace is gone",
        path.display()
    )]
    OtherNamespace {
        /// The journal.
        path: PathBuf,
        /// The namespace that it tells of.
        written_in: u64,
        /// Ours.
        here: u64,
    },
    /// Some steps could not be undone; all others were.
    #[error("not all could be put back: {}; `potato cleanup` tries again", failures.join("; "))]
    NotUndone {
        /// What, and why not.
        failures: Vec<String>,
    },
    /// The kernel refused a netlink request.
    #[error("{what}: {source}")]
    Netlink {
        /// What was tried.
        what: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A sysctl could not be read or written.
    #[error("{}: cannot {action}: {source}", path.display())]
    Sysctl {
        /// `read` or `write "value"`.
        action: String,
        /// Its file under `/proc/sys`.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The interface is not there (any more).
    #[error("interface {name} does not exist; `ip link` lists those that do")]
    NoInterface {
        /// Its name.
        name: String,
    },
    /// The kernel wants nearly all ports for itself.
    #[error(
        "the kernel leaves too few ports for a line of kind = \"adopted\" (net.ipv4.ip_local_port_range is {range}): \
         `sysctl -w net.ipv4.ip_local_port_range=\"32768 60999\"` leaves enough"
    )]
    FewPorts {
        /// `net.ipv4.ip_local_port_range`.
        range: String,
    },
    /// The address that the router's own traffic is to use is not on the machine.
    #[error("{address} is not an address of this machine: the LAN interface must carry it (`ip address add`)")]
    NotLocal {
        /// The address.
        address: Ipv4Addr,
    },
}

impl HostError {
    /// Whether the step failed because the interface vanished: to be taken up again when it comes back.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::NoInterface { .. })
    }

    /// The right error for what the kernel answered to `what`.
    pub(super) fn from_kernel(what: impl Into<String>, source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Self::Permission { what: what.into() },
            _ => Self::Netlink { what: what.into(), source },
        }
    }
}

/// Something that the person should know, while the router goes on without it.
#[derive(Debug, thiserror::Error)]
pub enum HostWarning {
    /// The kernel has addresses on an interface that the router takes for itself.
    #[error(
        "{interface}: the kernel has {address} there, but the router owns this line: the machine's own connections by \
         that address will not work; remove it (`ip address del {address} dev {interface}`), or use kind = \"adopted\""
    )]
    KernelAddress {
        /// The uplink's interface.
        interface: String,
        /// The address.
        address: Ipv4Net,
    },
    /// A static IPv6 address is taken off for as long as the router runs.
    #[error("{interface}: {address} is taken off while the router owns this line, and put back when it stops")]
    Ipv6AddressSuspended {
        /// The uplink's interface.
        interface: String,
        /// The address.
        address: Ipv6Net,
    },
    /// An offload that makes things faster is not to be had.
    #[error("{interface}: cannot turn {feature} {}: {source}; packets will cost more", if *on { "on" } else { "off" })]
    Offload {
        /// Which interface.
        interface: String,
        /// The kernel's name of the offload (`ethtool -k` shows most by another).
        feature: &'static str,
        /// What was wanted.
        on: bool,
        /// Why not.
        source: io::Error,
    },
    /// The LAN interface has no address yet, so hosts there have no gateway.
    #[error("{interface}: no IPv4 address: hosts of this LAN have no gateway until it gets one")]
    NoLanAddress {
        /// Which interface.
        interface: String,
    },
}
