//! Every mistake that a configuration can have gives one error: the place, what is wrong, what would be right.

mod mistakes;
mod sections;
mod uplinks;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::time::Duration;

use potato::config::{
    self, Capture, ChannelKind, Config, Drain, ForwardTarget, ForwardedLines, HostIdentity, Hours, InterfaceName,
    IsolatedLines, Recovery, Role, Security, Tariff, TimeOfDay, Topic, UplinkKind, Workers,
};
use potato::engine::Limits;
use potato::flow::Protocol;
use potato::link::health::{Probe, Wanted};
use potato::placement::Fallback;

/// A file in which everything that may stand there stands there.
const FULL: &str = r#"[router]
state_dir = "/var/lib/potato"
run_dir = "/run/potato"
workers = 2
flows = 65536
movable_udp = [443, 4500]

[lan]
interface = ["lan0", "lan1"]
capture = "packet"
tun = "potato1"
leases = "/var/lib/misc/dnsmasq.leases"

[[uplink]]
name = "dsl1"
interface = "wan1"
kind = "static"
address = "10.77.1.2/24"
gateway = "10.77.1.1"
download = "20mbit"
upload = "512kbit"
role = "balanced"

[[uplink]]
name = "cable_2-b"
interface = "wan2"
kind = "static"
address = "10.77.1.3/24"
gateway = "10.77.1.1"
weight = 7
download = "1gbit"
role = "standby"
metered = true
drain = "10m"

[health]
interval = "1s"
targets = ["gateway", "dns", "192.0.2.53", "tcp://192.0.2.1:443", "dns://192.0.2.1", "dns://192.0.2.1:5353", "http://192.0.2.1/", "http://192.0.2.1:8080"]
need = 2
down_after = 4
up_after = 5
max_loss_percent = 30

[[reserve]]
uplink = "cable_2-b"
hosts = ["192.168.10.50", "02:00:5e:10:00:01", "Laptop"]
from = "08:30"
until = "18:00"
when_down = "refuse"

[[rule]]
name = "ssh"
protocol = "tcp"
destination_port = [22]
except_destination = ["203.0.113.7"]
class = "isolated"

[[forward]]
uplink = "any"
protocol = "tcp"
port = 8080
to = "192.168.10.10:80"

[web]
listen = "192.168.10.1:8080"

[limits]
sessions = 1000
new_per_second = "none"
ports = 0

[[notify]]
name = "hook"
kind = "webhook"
url = "https://hooks.example.net:8443/potato?key=1"
template = '{"text": "{text}", "line": "{line}"}'
content_type = "application/json"
token_file = "/etc/potato/hook.token"
ca_file = "/etc/potato/ca.pem"
events = ["lost", "orders"]
lines = ["dsl1"]
hours = "08:00-18:00"
tolerance = "2m"
group = "0s"
recovery = false

[[notify]]
name = "slack"
kind = "slack"
url_file = "/etc/potato/slack.url"

[[notify]]
name = "ntfy"
kind = "ntfy"
url = "http://[fd00::1]/potato"

[[notify]]
name = "matrix"
kind = "matrix"
server = "https://matrix.example.net"
room = "!abc:example.net"
token_file = "/etc/potato/matrix.token"

[[notify]]
name = "mail"
kind = "mail"
server = "mail.example.net"
tls = "tls"
username = "potato"
password_file = "/etc/potato/mail.password"
from = "potato@example.net"
to = ["anna@example.net", "bert@example.net"]

[[notify]]
name = "chat"
kind = "xmpp"
jid = "Potato@Example.net"
password_file = "/etc/potato/xmpp.password"
server = "[fd00::2]:5223"
tls = "off"
room = "office@rooms.example.net"
nick = "router"
people = ["anna@example.net"]
operators = ["bert@example.net"]
"#;

/// The least that is a configuration. Lines: 2 LAN interface, 5 name, 6 interface, 7 kind, 8 address, 9 gateway.
const LEAST: &str = r#"[lan]
interface = "lan0"

[[uplink]]
name = "dsl1"
interface = "wan1"
kind = "static"
address = "10.77.1.2/24"
gateway = "10.77.1.1"
"#;

fn parse(text: &str) -> Result<Config, String> {
    config::parse(Path::new("potato.toml"), text).map_err(|error| error.to_string())
}

/// Asserts that `text` is refused at `line`, in one error that contains all of `parts` and shows the line.
fn assert_refused(text: &str, line: usize, parts: &[&str]) {
    let error = parse(text).expect_err(&format!("accepted, but should speak of {parts:?}:\n{text}"));
    assert!(error.starts_with(&format!("potato.toml:{line}:")), "should be in line {line}: {error}\nof:\n{text}");
    for part in parts {
        assert!(error.contains(part), "should say {part:?}: {error}");
    }
    let shown = text.lines().nth(line - 1).unwrap_or("");
    assert!(error.contains(&format!(" {line} | {}", shown.replace('\t', " "))), "should show the line: {error}");
    assert!(error.lines().next().unwrap().contains("; "), "should say what would be right: {error}");
}

/// [`LEAST`] with `from` replaced, which must occur.
fn with(from: &str, to: &str) -> String {
    assert!(LEAST.contains(from), "{from} does not occur");
    LEAST.replacen(from, to, 1)
}

/// [`LEAST`] with a second uplink, of these lines. It starts in line 11.
fn with_second(lines: &str) -> String {
    format!("{LEAST}\n[[uplink]]\n{lines}")
}

#[test]
fn full_file_is_read_whole() {
    let config = parse(FULL).unwrap();
    assert!(matches!(config.router.workers, Workers::Count(count) if count.get() == 2));
    assert_eq!(config.router.flows.get(), 65_536);
    assert_eq!(config.lan.interfaces.iter().map(InterfaceName::as_str).collect::<Vec<_>>(), ["lan0", "lan1"]);
    assert_eq!(config.lan.capture, Capture::Packet);
    assert_eq!(config.lan.tun.as_str(), "potato1");
    let UplinkKind::Static { address, .. } = &config.uplinks[0].kind else { panic!("not static") };
    assert_eq!(address.to_string(), "10.77.1.2/24");
    assert_eq!(config.uplinks[0].upload.unwrap().bits_per_second(), 512_000);
    let standby = &config.uplinks[1];
    assert_eq!((standby.role, standby.tariff), (Role::Standby, Tariff::Metered));
    assert_eq!(standby.drain, Drain::After(Duration::from_secs(600)));
    assert_eq!([443, 4_500, 51_820].map(|port| config.router.movable_udp.contains(port)), [true, true, false]);
    let health = config.health;
    assert_eq!((health.interval, health.need), (Duration::from_secs(1), 2));
    assert_eq!((health.down_after, health.up_after, health.max_loss_percent), (4, 5, 30));
    let at = |port| SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), port);
    let hosts = [
        Probe::Ping(Ipv4Addr::new(192, 0, 2, 53)),
        Probe::Connect(at(443)),
        Probe::Resolve(at(53)),
        Probe::Resolve(at(5353)),
        Probe::Fetch(at(80)),
        Probe::Fetch(at(8080)),
    ];
    let wanted: Vec<_> = [Wanted::Gateway, Wanted::NameServers].into_iter().chain(hosts.map(Wanted::Host)).collect();
    assert_eq!(health.targets.as_deref(), Some(&wanted[..]));
    let reservation = &config.reservations[0];
    assert!(matches!(reservation.hosts[1], HostIdentity::Mac(_)));
    assert_eq!(reservation.hosts[2].to_string(), "laptop");
    let (from, until) = (TimeOfDay { hour: 8, minute: 30 }, TimeOfDay { hour: 18, minute: 0 });
    assert_eq!((reservation.hours, reservation.when_down), (Some(Hours { from, until }), Fallback::Refuse));
    assert_eq!(config.lan.leases.as_deref(), Some(Path::new("/var/lib/misc/dnsmasq.leases")));
    assert_eq!(config.rules[0].matches.destination_ports, [22..=22]);
    let forward = &config.forwards[0];
    assert_eq!(
        (&forward.lines, &forward.protocols[..], &forward.ports),
        (&ForwardedLines::Any, &[Protocol::Tcp][..], &(8080..=8080))
    );
    assert_eq!((forward.to, forward.to_port.get()), (ForwardTarget::Host(Ipv4Addr::new(192, 168, 10, 10)), 80));
    assert_eq!(config.web.unwrap().listen.port(), 8080);
}

#[test]
fn what_has_no_effect_yet_is_said_with_its_line() {
    let warnings: Vec<_> =
        parse(FULL).unwrap().warnings.into_iter().map(|warning| (warning.line, warning.what)).collect();
    assert_eq!(warnings, []);
}

#[test]
fn least_file_gets_the_defaults() {
    let config = parse(LEAST).unwrap();
    assert_eq!(config.router.run_dir, Path::new("/run/potato"));
    assert_eq!(config.router.state_dir, Path::new("/var/lib/potato"));
    assert_eq!(config.router.workers, Workers::Auto);
    assert_eq!(config.router.flows.get(), 1_000_000);
    assert_eq!(config.lan.capture, Capture::Auto);
    assert_eq!(config.lan.tun.as_str(), "potato0");
    assert_eq!((config.uplinks[0].role, config.uplinks[0].tariff), (Role::Balanced, Tariff::Flat));
    assert_eq!(config.uplinks[0].drain, Drain::Never);
    assert_eq!([443, 51_820, 53, 0].map(|port| config.router.movable_udp.contains(port)), [true, true, false, false]);
    assert!(config.warnings.is_empty());
    assert_eq!(Workers::Auto.count(2).get(), 2);
    assert_eq!(Workers::Auto.count(500).get(), 64);
    assert_eq!(Workers::Auto.count(0).get(), 1);
}

#[test]
fn lines_in_reserve_drain_in_five_minutes_unless_the_file_says_otherwise() {
    let drain = |lines: &str| parse(&format!("{LEAST}{lines}")).unwrap().uplinks[0].drain;
    for lines in ["role = \"standby\"\n", "metered = true\n"] {
        assert_eq!(drain(lines), Drain::After(Duration::from_secs(300)));
        assert_eq!(drain(&format!("{lines}drain = \"30s\"\n")), Drain::After(Duration::from_secs(30)));
        assert_eq!(drain(&format!("{lines}drain = \"never\"\n")), Drain::Never);
        assert_refused(&format!("{LEAST}{lines}drain = \"soon\"\n"), 11, &["`drain`", "\"10m\"", "\"never\""]);
        assert_refused(&format!("{LEAST}{lines}drain = 30\n"), 11, &["`drain`", "a whole number", "\"never\""]);
    }
    assert_refused(&format!("{LEAST}drain = \"30s\"\n"), 10, &["`drain`", "always in use", "role = \"standby\""]);
    assert_refused(&format!("{LEAST}metered = \"yes\"\n"), 10, &["`metered`", "true or false"]);
}

#[test]
fn isolated_line_is_named_by_its_role_or_picked() {
    assert_eq!(parse(LEAST).unwrap().router.isolated, IsolatedLines::Roles);
    let with = |value: &str| format!("[router]\nisolated = {value}\n{LEAST}");
    assert_eq!(parse(&with("\"auto\"")).unwrap().router.isolated, IsolatedLines::Auto);
    assert_eq!(parse(&with("\"roles\"")).unwrap().router.isolated, IsolatedLines::Roles);
    assert_refused(&with("\"dsl1\""), 2, &["`isolated`", "unknown word \"dsl1\"", "auto", "roles"]);
    assert_refused(&with("true"), 2, &["`isolated`"]);
}

#[test]
fn movable_ports_are_a_list_that_may_be_empty() {
    let with = |value: &str| format!("[router]\nmovable_udp = {value}\n{LEAST}");
    let movable = |value: &str| parse(&with(value)).unwrap().router.movable_udp;
    assert!(!movable("[]").contains(443));
    assert!(movable("4500").contains(4_500));
    for (value, parts) in [
        ("[0]", ["out of range", "1 to 65535"]),
        ("[65536]", ["out of range", "1 to 65535"]),
        ("[\"quic\"]", ["text", "1 to 65535"]),
        ("[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]", ["17 ports are too many", "at most 16"]),
    ] {
        assert_refused(&with(value), 2, &["`movable_udp`", parts[0], parts[1]]);
    }
}

#[test]
fn weights_come_from_rates_only_when_every_uplink_names_one() {
    let weights =
        |text: &str| parse(text).unwrap().uplinks.iter().map(|uplink| uplink.weight.get()).collect::<Vec<_>>();
    let second =
        "name = \"b\"\ninterface = \"wan2\"\nkind = \"static\"\naddress = \"10.77.2.2/24\"\ngateway = \"10.77.2.1\"\n";
    let first = "download = \"20mbit\"\n";
    assert_eq!(weights(&format!("{LEAST}{first}\n[[uplink]]\n{second}")), [1, 1]);
    assert_eq!(weights(&format!("{LEAST}{first}\n[[uplink]]\n{second}download = \"512kbit\"\n")), [20, 1]);
    assert_eq!(weights(&format!("{LEAST}{first}\n[[uplink]]\n{second}download = \"1gbit\"\nweight = 3\n")), [20, 3]);
}

#[test]
fn two_uplinks_may_share_network_and_gateway() {
    let second =
        "name = \"b\"\ninterface = \"wan2\"\nkind = \"static\"\naddress = \"10.77.1.3/24\"\ngateway = \"10.77.1.1\"\n";
    assert_eq!(parse(&with_second(second)).unwrap().uplinks.len(), 2);
}

#[test]
fn a_pair_of_hosts_is_a_network() {
    // RFC 3021: both addresses of a /31 are hosts'.
    let text = with("10.77.1.2/24", "10.77.1.0/31");
    let UplinkKind::Static { gateway, .. } = &parse(&text).unwrap().uplinks[0].kind else { panic!("not static") };
    assert_eq!(gateway.to_string(), "10.77.1.1");
}

#[test]
fn a_number_of_many_lines_shows_the_right_one() {
    assert_refused("[lan]\r\ninterface = \"lan0\"\r\ncaptrue = \"tun\"\r\n", 3, &["captrue", "capture"]);
}

#[test]
fn limits_are_numbers_or_none() {
    let with = |line: &str| format!("[limits]\n{line}\n{LEAST}");
    let limits = |line: &str| parse(&with(line)).unwrap().limits;
    let usual = parse(LEAST).unwrap().limits;
    assert_eq!((usual.sessions, usual.new_per_second, usual.ports), (Some(16_384), Some(500), Some(16_384)));
    assert_eq!(limits("sessions = 10"), Limits { sessions: Some(10), ..usual });
    assert_eq!(limits("new_per_second = \"none\""), Limits { new_per_second: None, ..usual });
    assert_eq!(limits("ports = 0"), Limits { ports: None, ..usual });
    let right = "a whole number up to 16777216, or \"none\"";
    for value in ["-1", "16777217", "\"all\"", "1.5", "true"] {
        assert_refused(&with(&format!("ports = {value}")), 2, &["`ports`", right]);
    }
    assert_refused(&with("session = 1"), 2, &["`session`", "did you mean `sessions`?"]);
}

/// Asserts that the least file with `section` behind it is refused at this line of the section.
fn refused(section: &str, line: usize, parts: &[&str]) {
    assert_refused(&format!("{LEAST}{section}\n"), 9 + line, parts);
}
