//! The contenders: the kernel's own multi-WAN NAT, and Potato with either capture.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::topology::{Topology, UPLINKS, run, wait_until};

/// Where Potato serves its page, when anybody looks.
const PAGES: &str = "192.168.10.1:8080";

/// Who routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contender {
    /// nft masquerade, per-flow marks, a table an uplink.
    Kernel,
    /// The same once more, to see the noise.
    KernelAgain,
    /// `potato run` with `capture = "packet"`.
    Packet,
    /// `potato run` with `capture = "tun"`.
    Tun,
    /// Like [`Contender::Packet`], while people look at its page.
    Watched,
}

impl Contender {
    /// Its name in tables and files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::KernelAgain => "kernel again",
            Self::Packet => "potato packet",
            Self::Tun => "potato tun",
            Self::Watched => "pages open",
        }
    }
}

/// How Potato is run.
#[derive(Clone, Debug)]
pub(crate) struct PotatoOptions {
    pub(crate) program: PathBuf,
    pub(crate) workers: Option<u8>,
    /// Mask of the processors over which the router's ports are spread.
    pub(crate) steering: String,
    pub(crate) shortcut: bool,
    /// Pages that are open while [`Contender::Watched`] works.
    pub(crate) pages: u32,
}

/// A router at work; ended when dropped.
#[derive(Default)]
pub(crate) struct Router {
    potato: Option<Child>,
    pages: Vec<OpenPage>,
}

impl Router {
    /// Starts `contender` and waits until it carries traffic.
    pub(crate) fn start(contender: Contender, topology: &Topology, options: &PotatoOptions) -> io::Result<Self> {
        let mut router = match contender {
            Contender::Kernel | Contender::KernelAgain => {
                set_up_kernel(topology)?;
                Self::default()
            }
            Contender::Packet | Contender::Watched => start_potato(topology, options, "packet")?,
            Contender::Tun => start_potato(topology, options, "tun")?,
        };
        let mut ping = topology.inside(&topology.host, "ping");
        ping.args(["-c1", "-W1", crate::topology::SERVER]);
        if !wait_until(Duration::from_secs(10), || run(&mut ping).is_ok()) {
            let log = fs::read_to_string(log_path(topology)).unwrap_or_default();
            return Err(io::Error::other(format!("no ping passes the router ({})\n{log}", contender.name())));
        }
        if contender == Contender::Watched {
            router.pages =
                (0..options.pages).map(|number| OpenPage::new(topology, number)).collect::<Result<_, _>>()?;
        }
        Ok(router)
    }

    /// Says whether the pages, if any, were told how the lines are up to now.
    pub(crate) fn pages_are_told(&mut self) -> io::Result<()> {
        self.pages.iter_mut().try_for_each(OpenPage::is_told)
    }
}

/// What an open page hears, read by a LAN host's program.
struct OpenPage {
    reader: Child,
    heard: PathBuf,
}

impl OpenPage {
    /// Opens it, and waits until it was told something.
    fn new(topology: &Topology, number: u32) -> io::Result<Self> {
        let heard = topology.directory.join(format!("page{number}"));
        let mut command = topology.inside(&topology.host, "curl");
        command.args(["-skN", &format!("https://{PAGES}/live"), "-o"]).arg(&heard);
        let mut page = Self { reader: command.stdin(Stdio::null()).spawn()?, heard };
        wait_until(Duration::from_secs(5), || page.is_told().is_ok());
        page.is_told().map(|()| page)
    }

    fn is_told(&mut self) -> io::Result<()> {
        let is_open = matches!(self.reader.try_wait(), Ok(None));
        if is_open && fs::read_to_string(&self.heard).is_ok_and(|text| text.contains("event: status")) {
            return Ok(());
        }
        Err(io::Error::other(format!("an open page hears nothing of the router: {}", self.heard.display())))
    }
}

impl Drop for OpenPage {
    fn drop(&mut self) {
        let _ = self.reader.kill();
        let _ = self.reader.wait();
        let _ = fs::remove_file(&self.heard);
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        self.pages.clear();
        if let Some(mut potato) = self.potato.take() {
            let _ = Command::new("kill").args(["-s", "TERM", &potato.id().to_string()]).status();
            if !wait_until(Duration::from_secs(5), || !matches!(potato.try_wait(), Ok(None))) {
                let _ = potato.kill();
                let _ = potato.wait();
            }
        }
    }
}

fn set_up_kernel(topology: &Topology) -> io::Result<()> {
    topology.steer_receiving("3")?;
    let mut lines = String::new();
    for i in 1..=UPLINKS {
        lines += &format!(
            "address add 10.77.{i}.2/24 dev wan{i}\nroute add default via 10.77.{i}.1 dev wan{i} table {}\n\
             rule add fwmark {i} table {} priority {}\n",
            100 + i,
            100 + i,
            1000 + i
        );
    }
    topology.ip_batch(Some(&topology.router), &lines)?;
    let sysctls =
        "echo 1 > /proc/sys/net/ipv4/ip_forward; for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $f; done";
    run(topology.inside(&topology.router, "sh").args(["-ec", sysctls]))?;
    topology.nft(
        &topology.router,
        &format!(
            "table ip multiwan {{\n\
             chain steer {{\ntype filter hook prerouting priority mangle;\n\
             iifname \"lan0\" ct mark 0 ct mark set numgen inc mod {UPLINKS} offset 1\n\
             iifname \"lan0\" meta mark set ct mark\n}}\n\
             chain translate {{\ntype nat hook postrouting priority srcnat;\noifname \"wan*\" masquerade\n}}\n}}\n"
        ),
    )
}

fn log_path(topology: &Topology) -> PathBuf {
    topology.directory.join("potato.log")
}

fn start_potato(topology: &Topology, options: &PotatoOptions, capture: &str) -> io::Result<Router> {
    topology.steer_receiving(&options.steering)?;
    let path = topology.directory.join("potato.toml");
    fs::write(&path, potato_configuration(&topology.directory, options, capture))?;
    let log = fs::File::create(log_path(topology))?;
    let mut command = topology.inside(&topology.router, &options.program.to_string_lossy());
    command.args(["run", "--config"]).arg(path);
    let potato = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
    let router = Router { potato: Some(potato), pages: Vec::new() };
    let resolved = || run(topology.inside(&topology.host, "ping").args(["-c1", "-W1", "192.168.10.1"])).is_ok();
    wait_until(Duration::from_secs(5), resolved);
    Ok(router)
}

fn potato_configuration(directory: &Path, options: &PotatoOptions, capture: &str) -> String {
    let directory = directory.display();
    let workers = options.workers.map_or_else(|| "\"auto\"".to_owned(), |workers| workers.to_string());
    let shortcut = options.shortcut;
    let mut text = format!(
        "[router]\nstate_dir = \"{directory}/state\"\nrun_dir = \"{directory}/run\"\nworkers = {workers}\nshortcut = {shortcut}\n\n\
         [lan]\ninterface = \"lan0\"\ncapture = \"{capture}\"\ntun = \"potato0\"\n"
    );
    if options.pages > 0 {
        text += &format!("\n[web]\nlisten = \"{PAGES}\"\nlook = \"anyone\"\n");
    }
    // A few hosts make the traffic of many.
    text += "\n[limits]\nsessions = \"none\"\nnew_per_second = \"none\"\nports = \"none\"\n";
    for i in 1..=UPLINKS {
        text += &format!(
            "\n[[uplink]]\nname = \"line{i}\"\ninterface = \"wan{i}\"\nkind = \"static\"\n\
             address = \"10.77.{i}.2/24\"\ngateway = \"10.77.{i}.1\"\n"
        );
    }
    text
}
