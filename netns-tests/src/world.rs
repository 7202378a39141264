//! A lab with a running router, watched from outside.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use potato::demo::lab::router::uplinks_of;
use potato::demo::lab::{Capture, Lab, LabError, LabOptions, Namespace, Router, remove_on_signals};
use potato::demo::server::Servers;
use serde_json::Value;

use crate::Must;
use crate::sniffer::{Resets, Sniffer};
use crate::waiting::{SOON, wait_for};

/// A lab with a running router.
#[derive(Debug)]
pub struct World {
    /// The router. Dropped before the lab.
    pub router: Router,
    sniffers: Vec<Sniffer>,
    resets: Option<Resets>,
    servers: Option<Servers>,
    /// The namespaces.
    pub lab: Lab,
}

impl World {
    /// A lab of `hosts` hosts and `uplinks` uplinks with a running router.
    ///
    /// # Panics
    /// When it cannot be built.
    #[must_use]
    pub fn new(capture: Capture, hosts: u8, uplinks: u8) -> Self {
        Self::with(capture, LabOptions::new(hosts, uplinks))
    }

    /// A lab as `options` say, with a running router and sniffers.
    ///
    /// # Panics
    /// When it cannot be built.
    #[must_use]
    pub fn with(capture: Capture, options: LabOptions) -> Self {
        let mut world = Self::launched(capture, lab(options));
        world.router.wait_until_up(world.lab.options().uplinks.len()).must();
        world
    }

    /// `lab` with a router that is being started, and sniffers.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn launched(capture: Capture, lab: Lab) -> Self {
        let configuration = lab.configuration(capture);
        Self::configured(lab, &configuration)
    }

    /// `lab` with a router that is being started with this configuration, and sniffers.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn configured(lab: Lab, configuration: &str) -> Self {
        let sniffers = Sniffer::at_every_far_end(&lab);
        let resets = Some(Resets::of_the_hosts(&lab));
        let config = lab.write_config(configuration).must();
        let router = Router::start(lab.router(), binary(), &config, lab.directory()).must();
        Self { router, sniffers, resets, servers: None, lab }
    }

    /// What `potato events` tells as JSON, the newest hundred.
    ///
    /// # Panics
    /// When the router does not answer.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        let (status, said, error) = self.potato(&["events", "--json"]);
        assert_eq!(status, Some(0), "{error}");
        let report: Value = serde_json::from_str(&said).must();
        report["events"].as_array().cloned().unwrap_or_default()
    }

    /// Waits until an event of this kind has these words in its JSON, and gives it.
    ///
    /// # Panics
    /// When none comes soon.
    #[track_caller]
    pub fn wait_for_event(&self, kind: &str, words: &str) -> Value {
        wait_for(&format!("an event {kind} with {words}"), || {
            let events = self.events();
            let is_it = |event: &&Value| event["event"] == kind && event.to_string().contains(words);
            events.iter().rev().find(is_it).cloned().ok_or_else(|| format!("{events:#?}"))
        })
    }

    /// Starts the demo's web and name servers in the internet.
    ///
    /// # Panics
    /// When they cannot be started.
    #[must_use]
    pub fn with_servers(mut self) -> Self {
        self.servers = Some(Servers::start(self.lab.internet()).must());
        self
    }

    /// The demo's servers.
    ///
    /// # Panics
    /// When they were not started.
    #[must_use]
    pub fn servers(&self) -> &Servers {
        self.servers.as_ref().expect("with_servers starts them")
    }

    /// LAN host number `number` (1 and up).
    #[must_use]
    pub fn host(&self, number: u8) -> &Namespace {
        self.lab.host(number)
    }

    /// The servers' namespace.
    #[must_use]
    pub fn internet(&self) -> &Namespace {
        self.lab.internet()
    }

    /// Uplink number `number` (1 and up) in `status --json`.
    ///
    /// # Panics
    /// When the router does not answer.
    #[must_use]
    pub fn uplink(&self, number: usize) -> Value {
        let status = self.router.status().must();
        uplinks_of(&status).nth(number - 1).cloned().unwrap_or_default()
    }

    /// Waits until uplink number `number` is in `state`.
    ///
    /// # Panics
    /// When it does not come about.
    pub fn wait_for_state(&mut self, number: usize, state: &str) {
        self.wait_for_uplink(number, SOON, state, |uplink| uplink["state"] == state);
    }

    /// Waits until uplink number `number` is as it should be, and gives it.
    ///
    /// # Panics
    /// When it does not come about `within` the time.
    pub fn wait_for_uplink(
        &mut self,
        number: usize,
        within: Duration,
        what: &str,
        is_so: impl Fn(&Value) -> bool,
    ) -> Value {
        let what = format!("uplink {number} {what}");
        let uplink = |status: &Value| uplinks_of(status).nth(number - 1).cloned().unwrap_or_default();
        let status = self.router.wait_for_status(&what, within, |status| is_so(&uplink(status))).must();
        uplink(&status)
    }

    /// `potato` with these arguments, for this world's router.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let run_dir = self.lab.directory().join("run");
        let place = ["--run-dir", &run_dir.to_string_lossy()];
        self.lab.router().command(&binary().to_string_lossy(), &[arguments, &place].concat())
    }

    /// Runs `potato` with these arguments; gives its exit status, and what it said on both outputs.
    ///
    /// # Panics
    /// When it cannot be run.
    #[must_use]
    pub fn potato(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let output = self.command(arguments).output().must();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }

    /// How many packets were dropped for `reason` so far, wherever.
    ///
    /// # Panics
    /// When the router does not answer.
    #[must_use]
    pub fn drops(&self, reason: &str) -> u64 {
        count_named(&self.router.status().must(), reason)
    }

    /// Ends the world: the router puts all back and exits with 0, and no sniffer has seen what must not be.
    ///
    /// # Panics
    /// When one of these is not so.
    pub fn finish(mut self) {
        let status = self.router.terminate().must();
        assert!(status.success(), "the router ended with {status}; log:\n{}", self.router.log_end());
        let resets = self.resets.take().map(Resets::finish).unwrap_or_default();
        self.sniffers.drain(..).for_each(|sniffer| sniffer.finish(&resets));
    }
}

impl Drop for World {
    /// What a test that has failed would like to know.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let status = self.router.status().map_or_else(|error| error.to_string(), |status| format!("{status:#}"));
            eprintln!("the router said at last: {status}\nits log:\n{}", self.router.log_end());
        }
    }
}

/// A lab without a router yet.
///
/// # Panics
/// When it cannot be built, so when not root.
#[must_use]
pub fn lab(options: LabOptions) -> Lab {
    remove_on_signals();
    Lab::build(options).must()
}

/// The router's program beside this one, for programs that stand in `target/<profile>` themselves.
///
/// # Errors
/// When it is not there.
pub fn beside() -> Result<PathBuf, LabError> {
    let path = std::env::current_exe().map(|path| path.with_file_name("potato"));
    let found = path.and_then(|path| path.metadata().map(|_| path));
    found.map_err(|source| LabError::Io {
        action: "finding `potato` beside this program (build the whole workspace)".to_owned(),
        source,
    })
}

/// The program under test: `POTATO_BINARY`, or what Cargo has built beside the tests.
///
/// # Panics
/// When it is not there and cannot be built.
#[must_use]
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = std::env::var_os("POTATO_BINARY") {
            return path.into();
        }
        // target/debug/deps/some_test: the profile's own directory is two up.
        let test = std::env::current_exe().must();
        let directory = test.ancestors().nth(2).expect("tests stand in target/<profile>/deps");
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "--package", "potato", "--bin", "potato"]);
        if directory.ends_with("release") {
            cargo.arg("--release");
        }
        let built = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().must();
        assert!(built.success(), "building the router: {built}");
        directory.join("potato")
    })
}

/// The sum of all numbers under the key `name` anywhere in `value`.
fn count_named(value: &Value, name: &str) -> u64 {
    match value {
        Value::Object(entries) => entries
            .iter()
            .map(|(key, value)| if key == name { value.as_u64().unwrap_or(0) } else { count_named(value, name) })
            .sum(),
        Value::Array(items) => items.iter().map(|item| count_named(item, name)).sum(),
        _ => 0,
    }
}
