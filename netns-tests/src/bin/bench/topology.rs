//! The ground on which both contenders stand, made anew for every turn:
//!
//! ```text
//!  host namespace              router namespace                    internet namespace
//!  192.168.10.2 eth0 ---- lan0 192.168.10.1     wan1..wan6 ---- isp1..isp6 10.77.i.1/24
//!                                                                203.0.113.1 (servers)
//! ```
//!
//! With [`Frames::Super`] the hosts' interfaces segment nothing, so packets of up to 64 KB cross all links whole. With
//! [`Frames::Mtu`] the hosts' interfaces cut (tso and gso off) as a sender's NIC would, and the router's ports merge by GRO as a
//! real driver does. In both, the router's ports keep their own tso: a NIC cuts in hardware, at no cost to the router. Checksum
//! offload stays on everywhere.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::sys;

/// How many lines there are.
pub(crate) const UPLINKS: usize = 6;
/// The servers' address.
pub(crate) const SERVER: &str = "203.0.113.1";
/// The router's address for the LAN.
pub(crate) const LAN_ADDRESS: &str = "192.168.10.1/24";
/// The MAC address of the router's LAN port.
pub(crate) const ROUTER_MAC: [u8; 6] = [2, 0, 0, 0, 10, 1];
/// The MAC address of the host.
pub(crate) const HOST_MAC: [u8; 6] = [2, 0, 0, 0, 10, 2];

/// What the hosts put on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frames {
    /// Super-packets of up to 64 KB.
    Super,
    /// Frames of at most the MTU.
    Mtu,
}

/// Three namespaces and the links between them; removed when dropped.
pub(crate) struct Topology {
    pub(crate) host: String,
    pub(crate) router: String,
    pub(crate) internet: String,
    /// For configuration, logs and state; removed too.
    pub(crate) directory: PathBuf,
}

/// Removes whatever a topology of this process has made, in any state.
pub(crate) fn remove_all() {
    let topology = std::mem::ManuallyDrop::new(Topology::named());
    for name in topology.namespaces() {
        end_programs(name, "TERM");
        wait_until(Duration::from_secs(3), || programs(name).is_empty());
        end_programs(name, "KILL");
        let _ = Command::new("ip").args(["netns", "del", name]).stderr(Stdio::null()).status();
    }
    let _ = fs::remove_dir_all(&topology.directory);
}

/// Process ids of all programs inside a namespace.
fn programs(namespace: &str) -> Vec<String> {
    let output = Command::new("ip").args(["netns", "pids", namespace]).stderr(Stdio::null()).output();
    let lines = |text: &[u8]| String::from_utf8_lossy(text).lines().map(String::from).collect();
    output.map_or_else(|_| Vec::new(), |output| lines(&output.stdout))
}

fn end_programs(namespace: &str, signal: &str) {
    for process in programs(namespace) {
        let _ = Command::new("kill").args(["-s", signal, &process]).stderr(Stdio::null()).status();
    }
}

/// Waits until `condition` holds, at most for `bound`. Says whether it held.
pub(crate) fn wait_until(bound: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = potato::sys::clock::monotonic() + bound;
    loop {
        if condition() {
            return true;
        }
        if potato::sys::clock::monotonic() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Runs a program to its end; what it printed, or what went wrong.
pub(crate) fn run(command: &mut Command) -> io::Result<String> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(if output.stderr.is_empty() { &output.stdout } else { &output.stderr });
    Err(io::Error::other(format!("{command:?}: {}", said.trim())))
}

impl Topology {
    fn named() -> Self {
        let base = format!("potato-bench-{}", std::process::id());
        Self {
            host: format!("{base}-host"),
            router: format!("{base}-router"),
            internet: format!("{base}-internet"),
            directory: std::env::temp_dir().join(base),
        }
    }

    /// Makes it.
    pub(crate) fn build() -> io::Result<Self> {
        let topology = Self::named();
        fs::create_dir_all(&topology.directory)?;
        for name in topology.namespaces() {
            run(Command::new("ip").args(["netns", "add", name]))?;
        }
        let (host, router, internet) = (&topology.host, &topology.router, &topology.internet);
        let mut links = format!(
            "link add lan0 netns {router} address 02:00:00:00:0a:01 type veth peer eth0 netns {host} address 02:00:00:00:0a:02\n"
        );
        let mut far = format!("link set lo up\naddress add {SERVER}/32 dev lo\n");
        let mut near = format!("link set lo up\naddress add {LAN_ADDRESS} dev lan0\nlink set lan0 up\n");
        for i in 1..=UPLINKS {
            links += &format!("link add wan{i} netns {router} type veth peer isp{i} netns {internet}\n");
            near += &format!("link set wan{i} up\n");
            far += &format!("link set isp{i} up\naddress add 10.77.{i}.1/24 dev isp{i}\n");
        }
        topology.ip_batch(None, &links)?;
        topology.ip_batch(Some(router), &near)?;
        topology.ip_batch(Some(internet), &far)?;
        let host_side = "link set lo up\nlink set eth0 up\naddress add 192.168.10.2/24 dev eth0\nroute add default via 192.168.10.1\n";
        topology.ip_batch(Some(host), host_side)?;
        let merge = "for port in lan0 wan1 wan2 wan3 wan4 wan5 wan6; do ethtool -K $port gro on; done";
        run(topology.inside(router, "sh").args(["-ec", merge]))?;
        Ok(topology)
    }

    fn namespaces(&self) -> [&String; 3] {
        [&self.router, &self.host, &self.internet]
    }

    /// Turns receive packet steering on for the router's ports: over which processors, as a mask.
    pub(crate) fn steer_receiving(&self, processors: &str) -> io::Result<()> {
        let script = format!("for mask in /sys/class/net/*/queues/rx-*/rps_cpus; do echo {processors} > $mask; done");
        run(self.inside(&self.router, "sh").args(["-ec", &script])).map(drop)
    }

    /// Sets what the hosts put on the wire.
    pub(crate) fn set_frames(&self, frames: Frames) -> io::Result<()> {
        let state = if frames == Frames::Super { "on" } else { "off" };
        let cut = |ports: &str| format!("for port in {ports}; do ethtool -K $port tso {state} gso {state}; done");
        run(self.inside(&self.host, "sh").args(["-ec", &cut("eth0")]))?;
        run(self.inside(&self.internet, "sh").args(["-ec", &cut("isp1 isp2 isp3 isp4 isp5 isp6")])).map(drop)
    }

    /// Feeds lines to `ip -batch`, inside a namespace or outside.
    pub(crate) fn ip_batch(&self, namespace: Option<&str>, lines: &str) -> io::Result<()> {
        let path = self.directory.join("batch");
        fs::write(&path, lines)?;
        let mut command = Command::new("ip");
        if let Some(name) = namespace {
            command.args(["-netns", name]);
        }
        run(command.arg("-batch").arg(path)).map(drop)
    }

    /// Loads an nftables ruleset.
    pub(crate) fn nft(&self, namespace: &str, rules: &str) -> io::Result<()> {
        let path = self.directory.join("rules");
        fs::write(&path, rules)?;
        run(self.inside(namespace, "nft").arg("-f").arg(path)).map(drop)
    }

    /// A program to be run inside a namespace.
    pub(crate) fn inside(&self, namespace: &str, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace, program]);
        command
    }

    /// Starts a server inside the internet and waits until `port` listens.
    pub(crate) fn serve(&self, program: &str, arguments: &[&str], port: u16) -> io::Result<Child> {
        let mut command = self.inside(&self.internet, program);
        let child = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        let listening = || {
            let found = run(self.inside(&self.internet, "ss").args(["-Hltn", &format!("sport = :{port}")]));
            found.is_ok_and(|text| !text.trim().is_empty())
        };
        if wait_until(Duration::from_secs(5), listening) {
            Ok(child)
        } else {
            Err(io::Error::other(format!("{program} does not listen on port {port}")))
        }
    }

    /// Packets received so far by every uplink's far end.
    pub(crate) fn arrivals(&self) -> io::Result<Arrivals> {
        sys::in_namespace(&self.internet, || Ok(Arrivals { statistics: fs::File::open("/proc/thread-self/net/dev")? }))
    }
}

impl Drop for Topology {
    fn drop(&mut self) {
        remove_all();
    }
}

/// The packet counters of the internet's ports.
pub(crate) struct Arrivals {
    statistics: fs::File,
}

impl Arrivals {
    /// Packets received by each uplink's far end.
    pub(crate) fn read(&mut self) -> io::Result<[u64; UPLINKS]> {
        use std::io::{Read, Seek};
        let mut text = String::new();
        self.statistics.rewind()?;
        self.statistics.read_to_string(&mut text)?;
        let mut packets = [0; UPLINKS];
        for line in text.lines() {
            let Some((name, numbers)) = line.split_once(':') else { continue };
            let index = name.trim().strip_prefix("isp").and_then(|digits| digits.parse::<usize>().ok());
            let count = numbers.split_whitespace().nth(1).and_then(|number| number.parse().ok());
            if let (Some(index @ 1..=UPLINKS), Some(count)) = (index, count) {
                packets[index - 1] = count;
            }
        }
        Ok(packets)
    }
}
