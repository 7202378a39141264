//! The router as a whole: one loop that drives the lines, publishes the snapshot and answers the control socket.
//!
//! [`run`] reads the configuration, takes the run directory ([`crate::host`]) and hands over to `router`. That is one
//! task on a single-threaded runtime: every input (a signal, an interface that came or went, an ARP frame, a timer, a
//! question at the control socket) is an `event::Event`, handled to its end before the next. Packets never come here;
//! the workers ([`crate::io`]) have threads of their own and read the snapshot that this loop publishes.
//!
//! Whatever ends the loop, a signal or a failure, even half-way through the start: workers stop, the control socket
//! goes, and the journal puts the machine back as it was.

mod accounts;
mod actor;
mod additions;
mod admin_file;
mod adopted;
mod api;
mod by_hand;
mod control;
mod database;
mod departure;
mod endings;
mod engine;
mod event;
mod explain;
mod extract;
mod failover;
mod forward;
mod handle;
mod health;
mod history;
mod hosts;
mod hosts_watch;
mod interfaces;
mod isolation;
mod lan;
mod lan_leases;
mod learned;
mod learning;
mod lease_file;
mod link;
mod listen;
pub mod local_time;
mod log;
mod matching;
mod notable;
mod offenders;
mod order_refusal;
mod place;
mod places;
mod policy;
mod privilege;
mod problem;
mod queue_drops;
mod rates;
mod redial;
pub mod rehearsal;
mod reload;
mod reload_plan;
pub mod report;
mod reservation_file;
mod reservations;
mod reserve;
mod role;
mod router;
mod rules;
mod settle;
mod state_file;
mod status;
mod supervisor;
mod thousands;
mod traffic;
mod uplink;
mod wording;

use std::io;
use std::path::{Path, PathBuf};

use tracing::{error, info, warn};

use self::history::{History, Kind, Record};
use crate::config::{self, Config, ConfigError};
use crate::engine::EngineError;
use crate::host::{Host, HostError};
use crate::io::WorkerFailure;

pub use actor::Actor;
pub use database::{Database, DatabaseError, begin_private};
pub use extract::{Question, Sent};
pub use handle::{Companion, Handle};
pub use history::{Kind as EventKind, Record as EventRecord, milliseconds, rfc3339};
pub use listen::{LISTEN_RETRY, listen};
pub use log::{LogFormat, start_log};
pub use privilege::PrivilegeError;
pub use problem::{Wrong, refused};
pub use thousands::thousands;

/// Name of the control socket in the run directory.
pub const CONTROL_SOCKET: &str = "control.sock";

/// Why the router did not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The configuration is wrong; nothing was touched.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// We may not do what a router does; nothing was touched.
    #[error(transparent)]
    Privilege(#[from] PrivilegeError),
    /// The machine refused.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A step failed.
    #[error("{action}: {source}")]
    Io {
        /// What was tried.
        action: String,
        /// The system's answer.
        source: io::Error,
    },
    /// `capture = "packet"` for an interface without Ethernet.
    #[error(
        "{interface}: not an Ethernet interface, so it cannot be captured by packet sockets; write capture = \"tun\" or \"auto\""
    )]
    NotEthernet {
        /// The interface.
        interface: String,
    },
    /// An uplink's interface has no Ethernet.
    #[error(
        "{interface}: not an Ethernet interface, which an uplink of kind = \"static\", \"dhcp\" or \"pppoe\" needs"
    )]
    UplinkNotEthernet {
        /// The interface.
        interface: String,
    },
    /// The packet path has no file or memory for its flows.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A worker is dead.
    #[error(transparent)]
    Worker(#[from] WorkerFailure),
    /// Somebody deleted the TUN device.
    #[error("{interface}: the TUN device was deleted by somebody else")]
    TunRemoved {
        /// Its name.
        interface: String,
    },
    /// The kernel's announcements ended.
    #[error("the kernel no longer tells of interfaces and routes")]
    Deaf,
}

impl DaemonError {
    /// Says what was tried when an I/O error came.
    fn during(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source }
    }

    /// Whether the interface or address that was worked with vanished meanwhile, which an event will tell.
    fn is_gone(&self) -> bool {
        match self {
            Self::Host(HostError::NotLocal { .. }) => true,
            Self::Host(error) => error.is_gone(),
            Self::Io { source, .. } => {
                matches!(source.raw_os_error(), Some(libc::ENODEV | libc::ENXIO | libc::ENETDOWN))
            }
            _ => false,
        }
    }
}

/// Runs the router with the configuration at `path`, until SIGINT or SIGTERM, and puts the machine back.
/// `companions` run beside it.
///
/// # Errors
/// When the configuration is wrong or we may not change the machine (nothing has been touched then), or when the router
/// fails (the machine has been put back, as far as the log does not say otherwise).
pub fn run(path: &Path, companions: &'static [Companion]) -> Result<(), DaemonError> {
    let config = config::load(path)?;
    privilege::check()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(DaemonError::during("start the runtime"))?.block_on(serve(path, config, companions))
}

async fn serve(path: &Path, config: Config, companions: &'static [Companion]) -> Result<(), DaemonError> {
    // First of all: a signal that comes while we start is kept, and heard when the loop begins.
    let signals = event::Signals::listen().map_err(DaemonError::during("listen for signals"))?;
    info!(version = env!("CARGO_PKG_VERSION"), pid = std::process::id(), config = %path.display(), "router is starting");
    for warning in &config.warnings {
        warn!(config = %path.display(), line = warning.line, what = %warning.what, "has no effect in this version");
    }
    for advice in &config.advice {
        warn!(config = %path.display(), line = advice.line, advice = %advice.text, "configuration may not do what is expected");
    }
    let run_dir = config.router.run_dir.clone();
    let mut host = Host::start(&run_dir).await?;
    let history = History::start(&config.router.state_dir);
    let version = env!("CARGO_PKG_VERSION").to_owned();
    history.record(Record { kind: Kind::RouterStarted, to: Some(version), ..Record::default() });
    let outcome = router::route(path, config, &mut host, signals, (&history, companions)).await;
    if let Err(error) = &outcome {
        error!(%error, "router failed");
    }
    let cause = outcome.as_ref().err().map_or("signal".to_owned(), ToString::to_string);
    history.record(Record { kind: Kind::RouterStopped, cause: Some(cause), ..Record::default() });
    let outcome = put_back(host, outcome).await;
    history.finish().await;
    outcome
}

async fn put_back(host: Host, outcome: Result<(), DaemonError>) -> Result<(), DaemonError> {
    match host.undo().await {
        Ok(_) => info!("machine is as it was"),
        Err(error) => {
            error!(%error, "machine could not be put back; run potato cleanup");
            return outcome.and(Err(error.into()));
        }
    }
    outcome
}

/// Where the control socket of the router of `run_dir` is.
fn control_socket(run_dir: &Path) -> PathBuf {
    run_dir.join(CONTROL_SOCKET)
}
