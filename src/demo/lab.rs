//! A lab: LAN hosts, a router and an internet in network namespaces, for the demo and for the tests.
//!
//! [`Lab::build`] makes the namespaces of [`topology`], which are gone when the [`Lab`] is dropped, when the process
//! gets SIGINT or SIGTERM (after [`remove_on_signals`]), and, should it be killed, when the next lab is built.
//! [`router`] starts Potato in it. All needs root, `ip` and `tc`; nothing outside its namespaces is touched.

pub mod error;
pub mod namespace;
pub mod router;
pub mod topology;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, Once, PoisonError};

use tokio::signal::unix::{Signal, SignalKind, signal};

use error::During;
pub use error::LabError;
pub use namespace::{Namespace, Process};
pub use router::{Capture, Router};
use topology::Topology;
pub use topology::{
    Addressing, FarEnd, LabOptions, NAME_SERVER, Offloads, PAGES_PORT, ROUTER_ADDRESS, SERVER, UplinkOptions,
    host_address,
};

/// Labs made by this process, for their names.
static LABS: AtomicU32 = AtomicU32::new(0);
/// `ip netns add` is not made for two at a time on a machine that has had none yet.
static BUILDING: Mutex<()> = Mutex::new(());

/// A LAN, a router without Potato yet, and an internet.
#[derive(Debug)]
pub struct Lab {
    topology: Topology,
    options: LabOptions,
    directory: PathBuf,
}

impl Lab {
    /// Builds what `options` say.
    ///
    /// # Errors
    /// When not root, when a program is missing, or when the kernel refuses something.
    pub fn build(options: LabOptions) -> Result<Self, LabError> {
        if crate::sys::process::effective_user() != 0 {
            return Err(LabError::NotRoot);
        }
        if !Path::new("/dev/net/tun").exists() {
            return Err(LabError::NoTun);
        }
        let _one_at_a_time = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
        namespace::sweep();
        let number = LABS.fetch_add(1, Ordering::Relaxed);
        let topology = Topology::build(number, &options)?;
        let directory = memory_directory().join(format!("potato-{}-{number}", std::process::id()));
        fs::create_dir_all(&directory).during(|| format!("making {}", directory.display()))?;
        Ok(Self { topology, options, directory })
    }

    /// LAN host number `number` (1 and up).
    ///
    /// # Panics
    /// When the lab has no such host.
    #[must_use]
    pub fn host(&self, number: u8) -> &Namespace {
        &self.topology.hosts[usize::from(number) - 1]
    }

    /// The namespace that Potato runs in.
    #[must_use]
    pub fn router(&self) -> &Namespace {
        &self.topology.router
    }

    /// The servers.
    #[must_use]
    pub fn internet(&self) -> &Namespace {
        &self.topology.internet
    }

    /// The switch of the LAN: `br0` with `p0` to the router, `p1` and up to the hosts.
    #[must_use]
    pub fn switch(&self) -> &Namespace {
        &self.topology.lan
    }

    /// The namespace at the far end of uplink number `number` (1 and up); its interface is `isp<number>`.
    #[must_use]
    pub fn far_end(&self, number: usize) -> &Namespace {
        self.topology.far_end(number)
    }

    /// What the lab was built from.
    #[must_use]
    pub fn options(&self) -> &LabOptions {
        &self.options
    }

    /// A directory of the lab's own, in memory where the system has such.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Deletes uplink number `number`, both ends, as a USB stick that is pulled out.
    ///
    /// # Errors
    /// When it is not there.
    pub fn delete_uplink(&self, number: usize) -> Result<(), LabError> {
        self.topology.router.ip(&[format!("link delete {}", topology::wan(number))])
    }

    /// Makes a deleted uplink again: the same name, another interface index and MAC.
    ///
    /// # Errors
    /// When it is there already.
    pub fn remake_uplink(&self, number: usize) -> Result<(), LabError> {
        self.topology.connect_uplink(number, &self.options)
    }

    /// The text of a configuration for this lab.
    #[must_use]
    pub fn configuration(&self, capture: Capture) -> String {
        router::configuration(&self.directory, &self.options, capture)
    }

    /// Writes the configuration, and says where.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn config(&self, capture: Capture) -> Result<PathBuf, LabError> {
        self.write_config(&self.configuration(capture))
    }

    /// Writes this text as the configuration, and says where.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_config(&self, text: &str) -> Result<PathBuf, LabError> {
        let path = self.directory.join("potato.toml");
        fs::write(&path, text).during(|| format!("writing {}", path.display()))?;
        Ok(path)
    }

    /// Starts the Potato program `binary` in the router and waits until all its uplinks are up.
    ///
    /// # Errors
    /// When it does not start, ends, or its uplinks are not all up in time; the message has the end of its log.
    pub fn start_router(&self, binary: &Path, capture: Capture) -> Result<Router, LabError> {
        let mut router = self.launch_router(binary, capture)?;
        router.wait_until_up(self.options.uplinks.len())?;
        Ok(router)
    }

    /// Starts the Potato program `binary` in the router, and waits for nothing.
    ///
    /// # Errors
    /// When it does not start.
    pub fn launch_router(&self, binary: &Path, capture: Capture) -> Result<Router, LabError> {
        Router::start(self.router(), binary, &self.config(capture)?, &self.directory)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // Memory that is left behind is a nuisance, not a failure.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// From now on SIGINT and SIGTERM end this process only after its labs were removed.
pub fn remove_on_signals() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::thread::spawn(|| {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
            // Without handlers the signals keep their default, and the next lab sweeps.
            let Ok(mut signals) = runtime.block_on(async { StopSignals::take() }) else { return };
            runtime.block_on(signals.wait());
            remove_all();
            std::process::exit(130);
        });
    });
}

/// Removes all labs of this process without dropping them.
pub fn remove_all() {
    namespace::remove_ours();
    let ours = format!("potato-{}-", std::process::id());
    let Ok(entries) = fs::read_dir(memory_directory()) else { return };
    entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(&ours)).for_each(|entry| {
        let _ = fs::remove_dir_all(entry.path());
    });
}

/// SIGINT and SIGTERM, kept from the moment this is made until somebody waits for them.
#[derive(Debug)]
pub struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    /// Takes the signals over. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub fn take() -> Result<Self, LabError> {
        let take = |kind| signal(kind).during(|| "handling SIGINT and SIGTERM".to_owned());
        Ok(Self { interrupt: take(SignalKind::interrupt())?, terminate: take(SignalKind::terminate())? })
    }

    /// Waits for one of them.
    pub async fn wait(&mut self) {
        tokio::select! { _ = self.interrupt.recv() => {}, _ = self.terminate.recv() => {} }
    }
}

fn memory_directory() -> PathBuf {
    let shared_memory = Path::new("/dev/shm");
    if shared_memory.is_dir() { shared_memory.to_owned() } else { std::env::temp_dir() }
}
