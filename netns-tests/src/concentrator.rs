//! A provider's PPPoE concentrator: pppd and pppoe-server in user-mode Linux (`peers/pppoe-concentrator`), behind a switch
//! that the lines of a lab are plugged into.
//!
//! ```text
//!  isp1 --+
//!  isp2 --+-- [isp: bridge] -- vec0 [user-mode Linux: 10.99.0.1] vec1 -- core 10.98.0.1 [internet]
//! ```

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use potato::demo::lab::router::wait_until;
use potato::demo::lab::{Addressing, Lab, LabError, Process};

use crate::Must;
use crate::waiting::wait_for;

/// How long user-mode Linux may take to start, on a machine that does much else.
const START_WITHIN: Duration = Duration::from_secs(60);

/// How clients have to prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// By the password itself.
    Pap,
    /// By a sum over it.
    Chap,
}

impl Proof {
    /// As pppd writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pap => "pap",
            Self::Chap => "chap",
        }
    }
}

/// A running concentrator; killed when dropped, or with its lab.
#[derive(Debug)]
pub struct Concentrator {
    _process: Process,
    state: PathBuf,
}

impl Concentrator {
    /// Starts it in the internet of `lab`, whose uplinks by PPPoE it answers, and waits until it does.
    ///
    /// # Panics
    /// When it does not start; the message has what it said.
    #[must_use]
    pub fn start(lab: &Lab, proof: Proof) -> Self {
        let internet = lab.internet();
        let mut commands = vec![
            "link add isp type bridge".to_owned(),
            "link set isp up".to_owned(),
            "link add lines type veth peer name lines-u".to_owned(),
            "link set lines master isp".to_owned(),
            "link add core type veth peer name core-u".to_owned(),
            "address add 10.98.0.1/24 dev core".to_owned(),
        ];
        commands.extend(["lines", "lines-u", "core", "core-u"].map(|name| format!("link set {name} up")));
        let lines = (1..).zip(&lab.options().uplinks).filter(|(_, uplink)| uplink.addressing == Addressing::Pppoe);
        commands.extend(lines.map(|(number, _)| format!("link set isp{number} master isp")));
        commands.push("route add 10.99.0.0/24 via 10.98.0.2".to_owned());
        internet.ip(&commands).must();
        // User-mode Linux takes frames as they are: with whole checksums.
        internet.exec("ethtool", &["-K", "core", "tx", "off"]).must();
        let state = lab.directory().join("concentrator");
        fs::create_dir_all(&state).must();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/pppoe-concentrator");
        let arguments = [
            "mem=96M".to_owned(),
            "root=/dev/root".to_owned(),
            "rootfstype=hostfs".to_owned(),
            "ro".to_owned(),
            format!("init={}", script.display()),
            format!("STATE={}", state.display()),
            format!("PROOF={}", proof.name()),
            format!("uml_dir={}/uml/", state.display()),
            "vec0:transport=raw,ifname=lines-u,depth=64".to_owned(),
            "vec1:transport=raw,ifname=core-u,depth=64".to_owned(),
            "con=null".to_owned(),
            "con0=null,fd:1".to_owned(),
        ];
        let console = File::create(state.join("console")).must();
        let mut command = internet.command("linux.uml", &arguments.each_ref().map(String::as_str));
        let process = Process::start(command.stdout(console).stderr(Stdio::null())).must();
        let concentrator = Self { _process: process, state };
        wait_until("the concentrator", START_WITHIN, || {
            let ready = concentrator.state.join("ready").exists();
            let said = |file| concentrator.said(file);
            Ok::<_, LabError>(if ready { Ok(()) } else { Err(said("console") + &said("init.log")) })
        })
        .must();
        concentrator
    }

    /// Runs a shell line in there, and gives what it printed.
    ///
    /// # Panics
    /// When it does not end.
    pub fn run(&self, line: &str) -> String {
        let (command, status) = (self.state.join("command"), self.state.join("status"));
        let _ = fs::remove_file(&status);
        fs::write(self.state.join("command.new"), line).must();
        fs::rename(self.state.join("command.new"), command).must();
        wait_for(line, || if status.exists() { Ok(()) } else { Err(self.said("init.log")) });
        self.said("output")
    }

    /// Asks for this proof from the next session on.
    ///
    /// # Panics
    /// When it cannot.
    pub fn require(&self, proof: Proof) {
        let name = proof.name();
        self.run(&format!("sed -i 's/^require-.*/require-{name}/' /etc/ppp/options.concentrator"));
    }

    /// All that pppd has said.
    #[must_use]
    pub fn log(&self) -> String {
        self.said("ppp.log")
    }

    fn said(&self, file: &str) -> String {
        let bytes = fs::read(self.state.join(file)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
