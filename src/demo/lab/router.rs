//! Potato as a child process in a lab's router.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::error::{During, LabError};
use super::namespace::{Namespace, Process, checked, command_in};
use super::topology::{Addressing, LabOptions, PAGES_PORT, ROUTER_ADDRESS, wan};
use crate::sys::clock;

/// How long a router may take to start, with two cores shared by many.
const START_WITHIN: Duration = Duration::from_secs(15);
/// How long it may take to put the machine back.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// Between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How the LAN's packets come into userspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capture {
    /// By the kernel's routing, through a TUN device.
    Tun,
    /// By packet sockets on the LAN interface.
    Packet,
    /// As the router thinks best.
    Auto,
}

impl Capture {
    /// Its name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tun => "tun",
            Self::Packet => "packet",
            Self::Auto => "auto",
        }
    }
}

/// The text of the configuration of a lab.
pub(super) fn configuration(directory: &Path, options: &LabOptions, capture: Capture) -> String {
    let workers = options.workers.map_or_else(|| "\"auto\"".to_owned(), |workers| workers.to_string());
    let mut text = format!(
        "[router]\nstate_dir = \"{directory}/state\"\nrun_dir = \"{directory}/run\"\nworkers = {workers}\nshortcut = {shortcut}\n\n\
         [lan]\ninterface = \"lan0\"\ncapture = \"{capture}\"\ntun = \"potato0\"\n",
        directory = directory.display(),
        shortcut = options.shortcut,
        capture = capture.name(),
    );
    if options.pages {
        text += &format!("\n[web]\nlisten = \"{ROUTER_ADDRESS}:{PAGES_PORT}\"\n{}", options.pages_settings);
    }
    if !options.health_targets.is_empty() {
        let targets: Vec<_> = options.health_targets.iter().map(|target| format!("\"{target}\"")).collect();
        text += &format!("\n[health]\ntargets = [{}]\n", targets.join(", "));
    }
    for (index, uplink) in options.uplinks.iter().enumerate() {
        text += &format!(
            "\n[[uplink]]\nname = \"{}\"\ninterface = \"{}\"\n{}",
            uplink.name,
            wan(index + 1),
            match uplink.addressing {
                Addressing::Static => format!(
                    "kind = \"static\"\naddress = \"{}/24\"\ngateway = \"{}\"\n",
                    uplink.address, uplink.gateway
                ),
                Addressing::Dhcp => "kind = \"dhcp\"\n".to_owned(),
                Addressing::Pppoe => format!(
                    "kind = \"pppoe\"\nusername = \"potato{}\"\npassword_file = \"{}/{}.password\"\n",
                    index + 1,
                    directory.display(),
                    uplink.name
                ),
            },
        );
        let rates = [("download", uplink.download_mbit), ("upload", uplink.upload_mbit)];
        for (key, mbit) in rates.into_iter().filter(|_| options.tell_rates) {
            text += &mbit.map_or_else(String::new, |mbit| format!("{key} = \"{mbit}mbit\"\n"));
        }
        text += &uplink.settings;
    }
    text
}

/// A running router, killed when dropped.
#[derive(Debug)]
pub struct Router {
    process: Process,
    binary: PathBuf,
    config: PathBuf,
    log: PathBuf,
    namespace: String,
}

impl Router {
    /// Starts `binary run --config config` in `namespace`, its log in `directory`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(namespace: &Namespace, binary: &Path, config: &Path, directory: &Path) -> Result<Self, LabError> {
        let log = directory.join("router.log");
        let output = File::options().create(true).append(true).open(&log);
        let output = output.during(|| format!("opening {}", log.display()))?;
        let errors = output.try_clone().during(|| format!("opening {}", log.display()))?;
        let arguments = ["run", "--config", &config.to_string_lossy()];
        let mut command = namespace.command(&binary.to_string_lossy(), &arguments);
        let process = Process::start(command.stdout(Stdio::from(output)).stderr(Stdio::from(errors)))?;
        let namespace = namespace.name().to_owned();
        Ok(Self { process, binary: binary.to_owned(), config: config.to_owned(), log, namespace })
    }

    /// Waits until `uplinks` uplinks are up.
    ///
    /// # Errors
    /// When the router ends, or they are not up in time; the message has the end of its log.
    pub fn wait_until_up(&mut self, uplinks: usize) -> Result<(), LabError> {
        self.wait_for_status(&format!("{uplinks} uplinks up"), START_WITHIN, |status| {
            uplinks_of(status).filter(|uplink| uplink["state"] == "up").count() == uplinks
        })
        .map(drop)
    }

    /// Waits until `status --json` fulfils `condition`, and gives it.
    ///
    /// # Errors
    /// When the router ends, or it does not come about `within` the time.
    pub fn wait_for_status(
        &mut self,
        what: &str,
        within: Duration,
        mut condition: impl FnMut(&Value) -> bool,
    ) -> Result<Value, LabError> {
        let mut last = "no status yet".to_owned();
        wait_until(what, within, || {
            if let Some(status) = self.process.try_wait()? {
                return Err(LabError::Timeout { what: what.to_owned(), within, last: self.ended(status) });
            }
            match self.status() {
                Ok(status) if condition(&status) => return Ok(Ok(status)),
                Ok(status) => last = status.to_string(),
                Err(error) => last = error.to_string(),
            }
            Ok(Err(format!("{last}; log:\n{}", self.log_end())))
        })
    }

    /// What `potato status --json` says.
    ///
    /// # Errors
    /// When the router does not answer.
    pub fn status(&self) -> Result<Value, LabError> {
        self.ask(&["status", "--json"])
    }

    /// What `potato flows --json` says, with filters such as `["--host", "192.168.10.21"]`.
    ///
    /// # Errors
    /// When the router does not answer.
    pub fn flows(&self, filters: &[&str]) -> Result<Value, LabError> {
        self.ask(&[&["flows", "--json"], filters].concat())
    }

    fn ask(&self, arguments: &[&str]) -> Result<Value, LabError> {
        let mut command = command_in(&self.namespace, &self.binary.to_string_lossy(), arguments);
        let output = checked(command.arg("--config").arg(&self.config))?;
        serde_json::from_slice(&output.stdout).map_err(|error| LabError::Io {
            action: format!("reading what `{}` said", arguments.join(" ")),
            source: error.into(),
        })
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Ends it by SIGTERM and waits until it has put everything back.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn terminate(&mut self) -> Result<ExitStatus, LabError> {
        self.process.signal(libc::SIGTERM)?;
        self.wait_for_end()
    }

    /// Kills it: nothing is put back.
    ///
    /// # Errors
    /// When it is not there.
    pub fn kill(&mut self) -> Result<ExitStatus, LabError> {
        self.process.signal(libc::SIGKILL)?;
        self.wait_for_end()
    }

    fn wait_for_end(&mut self) -> Result<ExitStatus, LabError> {
        let log = self.log.clone();
        wait_until("the router's end", STOP_WITHIN, || {
            Ok(self.process.try_wait()?.ok_or_else(|| format!("it runs on; log:\n{}", end_of(&log))))
        })
    }

    fn ended(&self, status: ExitStatus) -> String {
        format!("the router has ended ({status}); log:\n{}", self.log_end())
    }

    /// Its whole log, of all that were started in this lab.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_end(&self) -> String {
        end_of(&self.log)
    }
}

/// The uplinks in a `status --json`.
pub fn uplinks_of(status: &Value) -> impl Iterator<Item = &Value> {
    status["uplinks"].as_array().into_iter().flatten()
}

/// Looks again and again until `look` gives a value; what it last said instead goes into the error.
///
/// # Errors
/// When `look` fails, or has given nothing `within` the time.
pub fn wait_until<T>(
    what: &str,
    within: Duration,
    mut look: impl FnMut() -> Result<Result<T, String>, LabError>,
) -> Result<T, LabError> {
    let give_up = clock::monotonic() + within;
    loop {
        match look()? {
            Ok(value) => return Ok(value),
            Err(last) if clock::monotonic() >= give_up => {
                return Err(LabError::Timeout { what: what.to_owned(), within, last });
            }
            Err(_) => std::thread::sleep(LOOK_EVERY),
        }
    }
}

fn end_of(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
