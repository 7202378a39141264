//! Watchers outside: what arrives at the far end of every uplink, for the whole of a test.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use potato::demo::lab::{Addressing, Lab, Namespace, Process};

use crate::Must;
use crate::capture_file::{self, Seen};
use crate::waiting::wait_for;

/// TCP's RST flag.
const RST: u8 = 4;

/// Where the datagrams go that mark the end of a capture.
const MARKER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 65_000);
/// What they say.
const MARKER_TEXT: &[u8] = b"nothing after this is looked at";

/// A `tcpdump` that writes to a file.
///
/// It always looks at all interfaces, loopback too: a datagram sent there at the end marks that all before it is in the
/// file. Without the mark, what was last seen would be lost in its buffers.
#[derive(Debug)]
pub struct Capturing {
    process: Process,
    namespace: String,
    /// The interface that matters; `None`: all.
    index: Option<u32>,
    only_outgoing: bool,
    file: PathBuf,
}

impl Capturing {
    /// Captures what comes in to (`"in"`), goes out of (`"out"`) or passes (`"inout"`) `interface` (or `"any"`) and
    /// matches `filter`, the first `bytes` bytes of each packet, to `file`.
    ///
    /// # Panics
    /// When tcpdump does not start.
    #[must_use]
    pub fn start(namespace: &Namespace, interface: &str, way: &str, filter: &str, bytes: u32, file: &Path) -> Self {
        let (length, path) = (bytes.to_string(), file.to_string_lossy());
        let filter = format!("({filter}) or (dst host {} and udp dst port {})", MARKER.ip(), MARKER.port());
        let mut arguments = vec!["-i", "any", "-y", "LINUX_SLL2", "-n", "-U", "--immediate-mode", "-B", "16384"];
        // Of loopback tcpdump shows no more than what comes in, so what goes out is told apart later.
        arguments.extend([
            "-s",
            &length,
            "-Q",
            if way == "in" { "in" } else { "inout" },
            "-w",
            &path,
            "-Z",
            "root",
            &filter,
        ]);
        let mut process =
            Process::start(namespace.command("tcpdump", &arguments).stdout(Stdio::null()).stderr(Stdio::piped()))
                .must();
        let mut errors = BufReader::new(process.child().stderr.take().expect("it is piped"));
        let mut said = String::new();
        while !said.contains("listening on") {
            assert_ne!(errors.read_line(&mut said).must(), 0, "tcpdump in {}: {said}", namespace.name());
        }
        // It says a few more words at its end, which must not fill the pipe: they fit in it.
        process.child().stderr = Some(errors.into_inner());
        let index = (interface != "any").then(|| {
            let index = namespace.exec("cat", &[&format!("/sys/class/net/{interface}/ifindex")]).must();
            index.trim().parse().must()
        });
        let only_outgoing = way == "out";
        Self { process, namespace: namespace.name().to_owned(), index, only_outgoing, file: file.to_owned() }
    }

    /// Waits until all that was seen up to now is written, ends it, and gives what it has seen.
    ///
    /// # Panics
    /// When it does not end.
    #[must_use]
    pub fn finish(mut self) -> Vec<Seen> {
        let mut file = File::open(&self.file).must();
        let mut read = Vec::new();
        wait_for("the end of a capture", || {
            let mark = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.send_to(MARKER_TEXT, MARKER);
            potato::sys::netns::run_in(&self.namespace, mark).must().must();
            let kept = read.len().saturating_sub(MARKER_TEXT.len());
            read.drain(..kept);
            file.read_to_end(&mut read).must();
            let marked = read.windows(MARKER_TEXT.len()).any(|bytes| bytes == MARKER_TEXT);
            if marked { Ok(()) } else { Err(format!("no mark in {}", self.file.display())) }
        });
        self.process.signal(libc::SIGINT).must();
        self.process.child().wait().must();
        let mut packets = capture_file::read(&self.file);
        packets.retain(|packet| {
            IpAddr::V4(packet.destination()) != MARKER.ip()
                && self.index.is_none_or(|index| index == packet.interface)
                && (packet.outgoing || !self.only_outgoing)
        });
        packets
    }
}

/// Watches all uplinks that end in one namespace.
#[derive(Debug)]
pub struct Sniffer {
    capturing: Capturing,
    /// The far end's interfaces and the address of the uplink there.
    uplinks: HashMap<String, Ipv4Addr>,
    /// Whether an uplink there gets its address from the provider: then any of the provider's is its own.
    leased: bool,
    namespace: String,
}

impl Sniffer {
    /// Watches every far end of `lab`.
    ///
    /// # Panics
    /// When tcpdump does not start.
    #[must_use]
    pub fn at_every_far_end(lab: &Lab) -> Vec<Self> {
        let mut by_namespace: HashMap<&str, (&Namespace, HashMap<String, Ipv4Addr>)> = HashMap::new();
        for (number, uplink) in (1..).zip(&lab.options().uplinks) {
            let namespace = lab.far_end(number);
            let (_, uplinks) = by_namespace.entry(namespace.name()).or_insert((namespace, HashMap::new()));
            uplinks.insert(format!("isp{number}"), uplink.address);
        }
        let watch = |(namespace, uplinks): (&Namespace, HashMap<String, Ipv4Addr>)| {
            let file = lab.directory().join(format!("{}.pcap", namespace.name()));
            // What the servers in there say to themselves, and what modems have from the internet, is nobody's leak.
            let filter = "ip and not net 127.0.0.0/8 and not src net 203.0.113.0/24 and not src net 192.0.2.0/24 \
                          and not net 198.51.100.0/24";
            let capturing = Capturing::start(namespace, "any", "in", filter, 128, &file);
            let leased = lab.options().uplinks.iter().any(|uplink| uplink.addressing != Addressing::Static);
            Self { capturing, uplinks, leased, namespace: namespace.name().to_owned() }
        };
        by_namespace.into_values().map(watch).collect()
    }

    /// Ends it and asserts that nothing was seen that must not be.
    ///
    /// # Panics
    /// When something was.
    pub fn finish(self, sent_by_hosts: &HashSet<Reset>) {
        let own: HashSet<_> = self.uplinks.values().copied().collect();
        for packet in self.capturing.finish() {
            let own = |address| own.contains(&address) || (self.leased && is_providers(&packet));
            check(&packet, own, sent_by_hosts)
                .unwrap_or_else(|what| panic!("in {}: {what}: {packet:02x?}", self.namespace));
        }
    }
}

fn check(packet: &Seen, own: impl Fn(Ipv4Addr) -> bool, sent_by_hosts: &HashSet<Reset>) -> Result<(), String> {
    if !own(packet.source()) {
        return Err(format!("a packet left an uplink with the source {}", packet.source()));
    }
    if let Some(inner) = packet.inner()
        && [inner.source(), inner.destination()].iter().any(|address| is_lan(*address))
    {
        return Err(format!("an ICMP error shows a private address: {} -> {}", inner.source(), inner.destination()));
    }
    match Reset::of(packet) {
        Some(reset) if !sent_by_hosts.contains(&reset) => Err(format!("an RST that no host has sent: {reset:?}")),
        _ => Ok(()),
    }
}

/// Whether a packet is from an address that a provider gives, or asks for one.
fn is_providers(packet: &Seen) -> bool {
    let source = packet.source();
    (source.octets()[0] == 10 && [77, 78, 99].contains(&source.octets()[1]))
        || (source.is_unspecified() && packet.ports() == Some((68, 67)))
}

/// Whether this is an address of the lab's LAN.
fn is_lan(address: Ipv4Addr) -> bool {
    address.octets()[..2] == [192, 168]
}

/// What an RST that is only passed on keeps: where to, and its sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reset {
    destination: Ipv4Addr,
    port: u16,
    sequence: u32,
}

impl Reset {
    fn of(packet: &Seen) -> Option<Self> {
        packet.tcp_flags().filter(|flags| flags & RST != 0)?;
        Some(Self { destination: packet.destination(), port: packet.ports()?.1, sequence: packet.sequence()? })
    }
}

/// The RSTs that LAN hosts send.
#[derive(Debug)]
pub struct Resets(Capturing);

impl Resets {
    /// Watches the router's port of the LAN's switch.
    ///
    /// # Panics
    /// When tcpdump does not start.
    #[must_use]
    pub fn of_the_hosts(lab: &Lab) -> Self {
        let file = lab.directory().join("resets.pcap");
        Self(Capturing::start(lab.switch(), "p0", "out", "tcp[tcpflags] & tcp-rst != 0", 128, &file))
    }

    /// Ends it, and gives what it has seen.
    #[must_use]
    pub fn finish(self) -> HashSet<Reset> {
        self.0.finish().iter().filter_map(Reset::of).collect()
    }
}
