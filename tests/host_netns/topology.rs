//! The machine that the tests set up and put back: a namespace of its own, and one outside at the other ends of its lines.
//!
//! ```text
//!   outside                    machine
//!   lan0-out 192.168.10.5 ---- lan0  192.168.10.1/24
//!   wan1-out 10.77.1.1 ------- wan1  10.77.1.2/24, 2001:db8:1::2/64   (up: the kernel has addresses there)
//!   wan2-out ----------------- wan2                                   (down, nothing on it)
//!                              potato0, a TUN device
//!                              other0, with somebody else's rules, routes and filters
//! ```

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use potato::sys::netns;

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Removes its namespaces, and so all interfaces within, on every exit.
pub(crate) struct Topology {
    machine: String,
    outside: String,
}

const OUTSIDE: &[&str] = &[
    "ip link add lan0-out type veth peer name lan0 netns MACHINE",
    "ip link add wan1-out type veth peer name wan1 netns MACHINE",
    "ip link add wan2-out type veth peer name wan2 netns MACHINE",
    "ip address add 192.168.10.5/24 dev lan0-out",
    "ip address add 10.77.1.1/24 dev wan1-out",
    "ip link set lan0-out up",
    "ip link set wan1-out up",
    "ip link set wan2-out up",
];

const MACHINE: &[&str] = &[
    "ip link set lo up",
    "ip address add 192.168.10.1/24 dev lan0",
    "ip address add 192.168.10.2/24 dev lan0",
    "ip link set lan0 up",
    "ip address add 10.77.1.2/24 dev wan1",
    "ip address add 2001:db8:1::2/64 dev wan1 nodad",
    "ip link set wan1 up",
    "ip tuntap add dev potato0 mode tun",
    // The kernel gives an interface its queueing when it is first set up, and never takes it back.
    "ip link set potato0 up",
    "ip link set potato0 down",
    "ip link set wan2 up",
    "ip link set wan2 down",
    "ip link add other0 type veth peer name other1",
    "ip address add 172.16.0.1/24 dev other0",
    "ip link set other0 up",
    "ip link set other1 up",
    "ip rule add from 172.16.0.9 lookup 7400 priority 7400",
    "ip rule add iif other0 lookup main suppress_prefixlength 0 priority 7402",
    "ip route add 10.8.0.0/16 dev other0",
    "ip route add default via 172.16.0.254 metric 500",
    "ip route add unreachable default metric 4278198272 table 7400",
    "ip route add default via 172.16.0.254 table 7401",
    "tc qdisc add dev wan2 ingress",
    "tc qdisc add dev lan0 clsact",
    "tc filter add dev lan0 ingress protocol ip prio 1 u32 match u32 0 0 classid 1:1",
];

impl Topology {
    pub(crate) fn new() -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = |side| format!("potato-host-{side}-{}-{number}", std::process::id());
        let topology = Self { machine: name("machine"), outside: name("outside") };
        for namespace in [&topology.machine, &topology.outside] {
            run(&format!("ip netns add {namespace}"));
        }
        // No duplicate address detection, so that addresses are there at once.
        for conf in ["default", "all"] {
            topology.in_machine(|| std::fs::write(format!("/proc/sys/net/ipv6/conf/{conf}/accept_dad"), "0").unwrap());
        }
        let commands = |lines: &[&str]| {
            for line in lines {
                run(&line.replace("MACHINE", &topology.machine));
            }
        };
        topology.in_outside(|| commands(OUTSIDE));
        topology.in_machine(|| {
            commands(MACHINE);
            wait_for_links();
        });
        topology
    }

    /// Runs `work` in a thread in the machine's namespace.
    pub(crate) fn in_machine<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        netns::run_in(&self.machine, work).unwrap()
    }

    /// Runs `work` in a thread in the namespace outside.
    pub(crate) fn in_outside<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        netns::run_in(&self.outside, work).unwrap()
    }

    /// Whether the kernel of the machine answers a ping of `address` from outside.
    pub(crate) fn answers_ping(&self, address: &str) -> bool {
        let status =
            self.in_outside(|| Command::new("ping").args(["-c1", "-W1", "-q", address]).output().unwrap().status);
        status.success()
    }

    /// Takes wan1 away and makes it again, as a USB stick that is pulled and put back.
    pub(crate) fn make_wan1_again(&self) {
        self.in_outside(|| {
            run("ip link del wan1-out");
            run(&OUTSIDE[1].replace("MACHINE", &self.machine));
            run("ip link set wan1-out up");
        });
    }
}

impl Drop for Topology {
    fn drop(&mut self) {
        for namespace in [&self.machine, &self.outside] {
            let _gone_already_is_fine = Command::new("ip").args(["netns", "del", namespace]).status();
        }
    }
}

/// The kernel sets links' states, and makes link-local addresses, a little later.
fn wait_for_links() {
    for interface in ["lan0", "wan1", "other0", "other1"] {
        let line = format!("ip address show dev {interface}");
        let is_settled = || Some(run(&line)).filter(|text| text.contains("state UP") && text.contains("inet6 fe80:"));
        let settled = (0..100).find_map(|_| {
            std::thread::park_timeout(Duration::from_millis(50));
            is_settled()
        });
        assert!(settled.is_some(), "{}", run(&line));
    }
}

/// Runs a command that must work, and gives back what it says.
pub(crate) fn run(line: &str) -> String {
    let mut words = line.split_whitespace();
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What a command says, whether it works or not.
pub(crate) fn ask(line: &str) -> String {
    let mut words = line.split_whitespace();
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
