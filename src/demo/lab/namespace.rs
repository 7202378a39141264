//! One network namespace, made and removed with `ip netns`.
//!
//! Names are `potato-<process id>-<lab>-<role>`: labs of any number of processes stand beside each other, and what a
//! killed process left is known by its dead process id and swept by the next one. Nothing here touches the namespace
//! that the program itself was started in.

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use super::error::{During, LabError};
use crate::sys;

/// What the names of all our namespaces begin with.
const PREFIX: &str = "potato-";
/// Where `ip netns` keeps its namespaces.
const DIRECTORY: &str = "/run/netns";

/// A namespace, removed with everything that runs in it when dropped.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes the namespace `role` of lab number `lab` of this process, with its loopback up.
    ///
    /// # Errors
    /// When `ip` is missing or refuses.
    pub fn create(lab: u32, role: &str) -> Result<Self, LabError> {
        let name = format!("{}{role}", lab_prefix(lab));
        checked(tool("ip").args(["netns", "add", &name]))?;
        let namespace = Self { name };
        namespace.ip(&["link set lo up".to_owned()])?;
        Ok(namespace)
    }

    /// Its name, as `ip netns` knows it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command that will run inside.
    #[must_use]
    pub fn command(&self, program: &str, arguments: &[&str]) -> Command {
        command_in(&self.name, program, arguments)
    }

    /// Runs a program inside, to its end.
    ///
    /// # Errors
    /// When it cannot be started or exits with another status than 0.
    pub fn exec(&self, program: &str, arguments: &[&str]) -> Result<String, LabError> {
        let output = checked(&mut self.command(program, arguments))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Starts a program inside, and lets it run.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(&self, program: &str, arguments: &[&str]) -> Result<Process, LabError> {
        Process::start(self.command(program, arguments).stdout(Stdio::null()).stderr(Stdio::null()))
    }

    /// Runs `ip` commands inside, each without the leading `ip`, in one process; the first that fails ends it.
    ///
    /// # Errors
    /// With the failing command, when one fails.
    pub fn ip(&self, commands: &[String]) -> Result<(), LabError> {
        self.batch("ip", &["-n", &self.name, "-batch", "-"], commands)
    }

    /// Runs `tc` commands inside, in one process.
    ///
    /// # Errors
    /// With the failing command, when one fails.
    pub fn tc(&self, commands: &[String]) -> Result<(), LabError> {
        self.batch("tc", &["-n", &self.name, "-batch", "-"], commands)
    }

    fn batch(&self, program: &str, arguments: &[&str], commands: &[String]) -> Result<(), LabError> {
        let mut child = tool(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| cannot_start(program, error))?;
        if let Some(mut input) = child.stdin.take() {
            // A failing command closes the pipe early; the exit status tells.
            let _ = input.write_all(commands.join("\n").as_bytes());
        }
        let output = child.wait_with_output().during(|| format!("waiting for {program}"))?;
        if output.status.success() {
            return Ok(());
        }
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let failed = failed_line(&message).and_then(|line| commands.get(line.checked_sub(1)?));
        let shown = failed.cloned().unwrap_or_else(|| commands.join("; "));
        Err(LabError::Command {
            command: format!("{program} -n {} {shown}", self.name),
            status: output.status,
            message,
        })
    }

    /// Sets kernel parameters inside: `("net/ipv4/ip_forward", "1")`.
    ///
    /// # Errors
    /// When there is no such parameter, or it does not take the value.
    pub fn sysctl(&self, settings: &[(&str, &str)]) -> Result<(), LabError> {
        let settings: Vec<_> = settings.iter().map(|(name, value)| (format!("/proc/sys/{name}"), *value)).collect();
        self.run(|| {
            settings.iter().try_for_each(|(path, value)| fs::write(path, value).during(|| format!("writing {path}")))
        })?
    }

    /// Runs `work` on a thread inside and waits for it.
    ///
    /// # Errors
    /// When the namespace cannot be entered.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, LabError> {
        sys::netns::run_in(&self.name, work).during(|| format!("entering namespace {}", self.name))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

/// A program that runs in the lab, killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts `command`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Result<Self, LabError> {
        let child = command.spawn().map_err(|error| cannot_start(&command.get_program().to_string_lossy(), error))?;
        Ok(Self { child })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal (`libc::SIG*`).
    ///
    /// # Errors
    /// When it is no longer there.
    pub fn signal(&self, signal: i32) -> Result<(), LabError> {
        sys::process::signal(self.child.id(), signal)
            .during(|| format!("sending signal {signal} to {}", self.child.id()))
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn try_wait(&mut self) -> Result<Option<std::process::ExitStatus>, LabError> {
        self.child.try_wait().during(|| "waiting for a program".to_owned())
    }

    /// The child itself, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // An error says that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command that will run in the namespace `name`.
pub(super) fn command_in(name: &str, program: &str, arguments: &[&str]) -> Command {
    let mut command = tool("ip");
    command.args(["netns", "exec", name, program]).args(arguments).stdin(Stdio::null());
    command
}

/// A program in a process group of its own: a terminal's Ctrl-C is for us, not for what we started.
fn tool(program: &str) -> Command {
    let mut command = Command::new(program);
    command.process_group(0);
    command
}

/// Runs `command` to its end.
///
/// # Errors
/// When it cannot be started or exits with another status than 0.
pub fn checked(command: &mut Command) -> Result<Output, LabError> {
    let shown = shown(command);
    let output = command.output().map_err(|error| cannot_start(&command.get_program().to_string_lossy(), error))?;
    if output.status.success() {
        return Ok(output);
    }
    let mut message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if message.is_empty() {
        message = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    }
    Err(LabError::Command { command: shown, status: output.status, message })
}

/// What the names of the namespaces of lab number `lab` of this process begin with.
fn lab_prefix(lab: u32) -> String {
    format!("{PREFIX}{}-{lab}-", std::process::id())
}

/// Removes the namespaces of this process, of every lab: for the way out on a signal, when nothing is dropped.
pub(crate) fn remove_ours() {
    let ours = format!("{PREFIX}{}-", std::process::id());
    names().iter().filter(|name| name.starts_with(&ours)).for_each(|name| remove(name));
}

/// Removes what killed processes left behind.
pub(crate) fn sweep() {
    for name in names() {
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|id| id.parse::<u32>().is_ok() && !Path::new("/proc").join(id).exists()) {
            remove(&name);
        }
    }
}

/// All namespaces of all labs.
fn names() -> Vec<String> {
    let Ok(entries) = fs::read_dir(DIRECTORY) else { return Vec::new() };
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(PREFIX)).collect()
}

/// Ends what runs in a namespace, and removes it. There is nobody to tell of an error: the next sweep tries again.
fn remove(name: &str) {
    let quiet = |arguments: &[&str]| tool("ip").args(arguments).stderr(Stdio::null()).output();
    if let Ok(output) = quiet(&["netns", "pids", name]) {
        let ids = String::from_utf8_lossy(&output.stdout).into_owned();
        let ids = ids.split_whitespace().filter_map(|id| id.parse().ok());
        // A thread of our own may be inside: it leaves by itself.
        ids.filter(|id| *id != std::process::id()).for_each(|id| {
            let _ = sys::process::signal(id, libc::SIGKILL);
        });
    }
    let _ = quiet(&["netns", "del", name]);
}

/// The line that `ip -batch` says has failed: "Command failed -:3".
fn failed_line(message: &str) -> Option<usize> {
    message.rsplit_once("Command failed -:")?.1.split_whitespace().next()?.parse().ok()
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn cannot_start(program: &str, source: std::io::Error) -> LabError {
    if source.kind() != std::io::ErrorKind::NotFound {
        return LabError::Io { action: format!("starting {program}"), source };
    }
    let package = if matches!(program, "ip" | "tc") { "iproute2" } else { program_package(program) };
    LabError::MissingProgram { program: program.to_owned(), package }
}

fn program_package(program: &str) -> &'static str {
    match program {
        "ethtool" => "ethtool",
        "tcpdump" => "tcpdump",
        "nft" => "nftables",
        _ => "its Debian package",
    }
}
