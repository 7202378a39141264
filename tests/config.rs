//! Every mistake that a configuration can have gives one error: the place, what is wrong, what would be right.

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

#[test]
fn unknown_keys_get_the_nearest_known_one() {
    assert_refused(&format!("{LEAST}wieght = 3\n"), 10, &["`wieght`", "[[uplink]]", "did you mean `weight`?"]);
    assert_refused(
        &with("interface = \"lan0\"", "interfaces = \"lan0\""),
        2,
        &["`interfaces`", "did you mean `interface`?"],
    );
    assert_refused(&format!("{LEAST}[router]\nworker = 2\n"), 11, &["`worker`", "[router]", "did you mean `workers`?"]);
    assert_refused(&format!("{LEAST}[uplinks]\n"), 10, &["`uplinks`", "unknown section", "did you mean `uplink`?"]);
    assert_refused(&format!("colour = 3\n{LEAST}"), 1, &["`colour`", "`router`, `lan`, `uplink`"]);
}

#[test]
fn syntax_errors_are_shown() {
    assert_refused(&with("\"lan0\"", "\"lan0"), 2, &["TOML"]);
    assert_refused(&with("interface = \"wan1\"", "interface \"wan1\""), 6, &["TOML"]);
    assert_refused(&with("kind = \"static\"", "kind = \"static\"\nkind = \"static\""), 8, &["duplicate"]);
    assert_refused(&with("[lan]", "[lan"), 1, &["TOML"]);
    assert_refused(&with("[[uplink]]", "[uplink]"), 4, &["`uplink`", "[[uplink]], with two brackets"]);
}

#[test]
fn missing_keys_are_asked_for() {
    assert_refused("", 1, &["no [lan] section", "interface = "]);
    assert_refused(&with("[lan]\ninterface = \"lan0\"\n", ""), 1, &["no [lan] section"]);
    assert_refused(&with("interface = \"lan0\"\n", ""), 1, &["[lan] has no `interface`", "interface = \"lan0\""]);
    for (key, line) in [("name", 5), ("interface", 6), ("kind", 7), ("address", 8), ("gateway", 9)] {
        let without: Vec<_> =
            LEAST.lines().enumerate().filter(|(at, _)| at + 1 != line).map(|(_, line)| line).collect();
        assert_refused(&without.join("\n"), 4, &[&format!("[[uplink]] has no `{key}`"), &format!("{key} = ")]);
    }
    assert_refused("[lan]\ninterface = \"lan0\"\n", 1, &["there is no uplink", "[[uplink]]"]);
}

#[test]
fn wrong_types_are_named() {
    assert_refused(&with("\"dsl1\"", "1"), 5, &["`name`", "a whole number", "text in double quotes"]);
    assert_refused(&with("\"lan0\"", "true"), 2, &["`interface`", "true or false"]);
    assert_refused(&with("\"lan0\"", "[\"lan0\", 3]"), 2, &["`interface`", "a whole number"]);
    assert_refused(&with("\"lan0\"", "[]"), 2, &["`interface`", "empty"]);
    assert_refused(&format!("{LEAST}weight = \"3\"\n"), 10, &["`weight`", "text", "from 1 to 1000000"]);
    assert_refused(&format!("{LEAST}weight = 1.5\n"), 10, &["`weight`", "fraction"]);
    assert_refused(&format!("{LEAST}download = 20\n"), 10, &["`download`", "a whole number"]);
    assert_refused(&format!("lan = 3\n{}", LEAST.replace("[lan]\ninterface = \"lan0\"\n", "")), 1, &["[lan]"]);
}

#[test]
fn numbers_out_of_range_are_refused() {
    assert_refused(&format!("{LEAST}weight = 0\n"), 10, &["`weight`", "0 is out of range", "from 1 to 1000000"]);
    assert_refused(&format!("{LEAST}weight = -1\n"), 10, &["`weight`", "-1"]);
    assert_refused(&format!("{LEAST}weight = 99999999999999999999\n"), 10, &["`weight`"]);
    for workers in ["0", "65", "\"many\"", "1.5"] {
        let text = format!("{LEAST}[router]\nworkers = {workers}\n");
        assert_refused(&text, 11, &["`workers`", "\"auto\" or a whole number from 1 to 64"]);
    }
    assert_refused(&format!("{LEAST}[router]\nflows = 10\n"), 11, &["`flows`", "from 1024"]);
}

#[test]
fn bad_addresses_are_refused() {
    for (address, says) in [
        ("10.77.1.2", "no prefix length"),
        ("10.77.1.2/33", "not an address with a prefix length"),
        ("10.77.1.2/", "not an address with a prefix length"),
        ("10.77.1/24", "not an address with a prefix length"),
        ("10.77.1.2/32", "no room for a gateway"),
        ("10.77.1.2/0", "no room for a gateway"),
        ("10.77.1.0/24", "10.77.1.0 is the network address of 10.77.1.0/24"),
        ("10.77.1.255/24", "broadcast address of 10.77.1.0/24"),
        ("127.0.0.1/8", "not the address of one host"),
        ("224.0.0.5/24", "not the address of one host"),
        ("0.0.0.1/24", "not the address of one host"),
        ("2001:db8::2/64", "IPv6"),
        ("", "not an address"),
    ] {
        assert_refused(&with("10.77.1.2/24", address), 8, &["`address`", says]);
    }
}

#[test]
fn bad_gateways_are_refused() {
    for (gateway, says) in [
        ("10.77.2.1", "outside 10.77.1.0/24"),
        ("10.77.1.2", "this uplink's own address"),
        ("10.77.1.0", "network address"),
        ("10.77.1.255", "broadcast address"),
        ("10.77.1.1/24", "not an address"),
        ("router", "not an address"),
        ("fe80::1", "IPv6"),
    ] {
        assert_refused(&with("\"10.77.1.1\"", &format!("\"{gateway}\"")), 9, &["`gateway`", says]);
    }
    let far = parse(&with("10.77.1.2/24", "10.77.1.2/1").replace("10.77.1.1", "192.0.2.1")).unwrap_err();
    assert!(far.contains("from 0.0.0.1 to 127.255.255.254"), "{far}");
}

#[test]
fn uplinks_do_not_share_what_must_be_their_own() {
    let rest = "kind = \"static\"\naddress = \"10.77.2.2/24\"\ngateway = \"10.77.2.1\"\n";
    assert_refused(
        &with_second(&format!("name = \"dsl1\"\ninterface = \"wan2\"\n{rest}")),
        12,
        &["`name`", "\"dsl1\""],
    );
    assert_refused(
        &with_second(&format!("name = \"b\"\ninterface = \"wan1\"\n{rest}")),
        13,
        &["`interface`", "uplink \"dsl1\""],
    );
    assert_refused(&with_second(&format!("name = \"b\"\ninterface = \"lan0\"\n{rest}")), 13, &["`interface`", "LAN's"]);
    assert_refused(
        &with_second(&format!("name = \"b\"\ninterface = \"potato0\"\n{rest}")),
        13,
        &["`interface`", "TUN"],
    );
    let same =
        "name = \"b\"\ninterface = \"wan2\"\nkind = \"static\"\naddress = \"10.77.1.2/24\"\ngateway = \"10.77.1.1\"\n";
    assert_refused(&with_second(same), 15, &["`address`", "uplink \"dsl1\""]);
    assert_refused(&with("\"lan0\"", "[\"lan0\", \"lan0\"]"), 2, &["`interface`", "twice"]);
    assert_refused(&with("\"lan0\"", "\"lan0\"\ntun = \"lan0\""), 3, &["`tun`", "LAN's"]);
}

#[test]
fn bad_names_are_refused() {
    for name in ["sixteen-letters-", "wan 1", "wan/1", "", ".", "..", "a:1", "wan\\u0007"] {
        assert_refused(&with("\"wan1\"", &format!("\"{name}\"")), 6, &["`interface`", "1 to 15 characters"]);
    }
    for name in ["DSL", "dsl 1", "dsl.1", "", "any", "dsl\\u0007", "a-name-that-is-longer-than-a-name-may-be"] {
        assert_refused(&with("\"dsl1\"", &format!("\"{name}\"")), 5, &["`name`", "a-z, 0-9"]);
    }
}

#[test]
fn too_many_are_refused() {
    let mut text = "[lan]\ninterface = \"lan0\"\n".to_owned();
    for n in 0..33 {
        text += &format!(
            "[[uplink]]\nname = \"u{n}\"\ninterface = \"w{n}\"\nkind = \"static\"\naddress = \"10.0.{n}.2/24\"\ngateway = \"10.0.{n}.1\"\n"
        );
    }
    assert_refused(&text, 3 + 32 * 6, &["33 uplinks are too many", "at most 32"]);
    let lans: Vec<_> = (0..8).map(|n| format!("\"l{n}\"")).collect();
    assert_refused(&with("\"lan0\"", &format!("[{}]", lans.join(", "))), 2, &["`interface`", "too many", "at most 7"]);
}

#[test]
fn bad_words_and_what_this_version_cannot_do_are_refused() {
    assert_refused(
        &with("\"lan0\"", "\"lan0\"\ncapture = \"pakcet\""),
        3,
        &["`capture`", "`auto`, `tun`", "`packet`?"],
    );
    assert_refused(
        &with("\"lan0\"", "\"lan0\"\ncapture = \"xdp\""),
        3,
        &["`capture`", "this version cannot", "`packet`"],
    );
    assert_refused(&with("\"static\"", "\"statik\""), 7, &["`kind`", "`static`, `dhcp`, `pppoe` or `adopted`"]);
    assert_refused(&format!("{LEAST}role = \"spare\"\n"), 10, &["`role`", "`balanced`, `isolated` or `standby`"]);
    assert_refused(&format!("{LEAST}username = \"me\"\n"), 10, &["`username`", "pppoe"]);
    let dhcp = with("\"static\"", "\"dhcp\"");
    assert_refused(&dhcp, 8, &["`address`", "this is for kind = \"static\"", "take the line out"]);
    let without_address = dhcp.replace("address = \"10.77.1.2/24\"\n", "");
    assert_refused(&without_address, 8, &["`gateway`", "this is for kind = \"static\""]);
    let dhcp = without_address.replace("gateway = \"10.77.1.1\"\n", "");
    assert_refused(&format!("{dhcp}password_file = \"/etc/p\"\n"), 8, &["`password_file`", "pppoe"]);
    assert_refused(&format!("{LEAST}[router]\nrun_dir = \"run\"\n"), 11, &["`run_dir`", "absolute"]);
    let long = format!("{LEAST}[router]\nrun_dir = \"/{}\"\n", "x".repeat(100));
    assert_refused(&long, 11, &["`run_dir`", "too long"]);
}

/// An uplink by PPPoE in place of the static one, with more lines from line 10 on.
fn pppoe(lines: &str) -> String {
    let addresses = "kind = \"static\"\naddress = \"10.77.1.2/24\"\ngateway = \"10.77.1.1\"\n";
    let login = "kind = \"pppoe\"\nusername = \"me@provider\"\npassword_file = \"/etc/potato/dsl1.password\"\n";
    with(addresses, login) + lines
}

#[test]
fn line_by_pppoe_is_read_whole() {
    let config = parse(&pppoe("service = \"internet\"\nconcentrator = \"lab\"\n")).unwrap();
    let UplinkKind::Pppoe(login) = &config.uplinks[0].kind else { panic!("not pppoe") };
    assert_eq!(login.password_file, Path::new("/etc/potato/dsl1.password"));
    let account = &login.account;
    assert_eq!((account.username.as_str(), account.service.as_str()), ("me@provider", "internet"));
    assert_eq!(account.concentrator.as_deref(), Some("lab"));
    let config = parse(&pppoe("")).unwrap();
    let UplinkKind::Pppoe(login) = &config.uplinks[0].kind else { panic!("not pppoe") };
    assert_eq!((login.account.service.as_str(), &login.account.concentrator), ("", &None));
}

#[test]
fn mistakes_of_a_line_by_pppoe_are_refused() {
    let without = |key: &str| pppoe("").lines().filter(|line| !line.starts_with(key)).collect::<Vec<_>>().join("\n");
    assert_refused(&without("username"), 4, &["no `username`", "username = \"me@provider\""]);
    assert_refused(&without("password_file"), 4, &["no `password_file`"]);
    assert_refused(&pppoe("address = \"10.77.1.2/24\"\n"), 10, &["`address`", "static", "take the line out"]);
    assert_refused(&pppoe("service = \"\"\n"), 10, &["`service`", "empty"]);
    assert_refused(&pppoe("concentrator = \"a\\nb\"\n"), 10, &["`concentrator`", "control character"]);
    let relative = pppoe("").replace("/etc/potato/", "");
    assert_refused(&relative, 9, &["`password_file`", "absolute"]);
    let long = pppoe("").replace("me@provider", &"x".repeat(256));
    assert_refused(&long, 8, &["`username`", "longer than 255"]);
}

#[test]
fn password_file_is_read_with_the_file_and_its_mistakes_are_told_there() {
    let folder = tempfile::tempdir().unwrap();
    let (path, password) = (folder.path().join("potato.toml"), folder.path().join("dsl1.password"));
    let text = pppoe("").replace("/etc/potato/dsl1.password", &password.to_string_lossy());
    std::fs::write(&path, text).unwrap();
    let refused = |parts: &[&str]| {
        let error = config::load(&path).unwrap_err().to_string();
        assert!(error.contains(":9:"), "should name line 9: {error}");
        parts.iter().for_each(|part| assert!(error.contains(part), "should say {part}: {error}"));
        assert!(!error.contains("hunter2"), "{error}");
    };
    refused(&["`password_file`", "dsl1.password", "cannot be read"]);
    let write = |content: &str, mode| {
        std::fs::write(&password, content).unwrap();
        std::fs::set_permissions(&password, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    write("hunter2\n", 0o640);
    refused(&["others than its owner", "640", "chmod 600"]);
    write("hunter2\nmore\n", 0o600);
    refused(&["more than one line"]);
    write("hunter2\n", 0o600);
    let config = config::load(&path).unwrap();
    let shown = format!("{config:?}");
    assert!(!shown.contains("hunter2") && shown.contains("not shown"), "{shown}");
    let UplinkKind::Pppoe(login) = &config.uplinks[0].kind else { panic!("not pppoe") };
    assert_eq!(login.account.password, potato::link::pppoe::Secret::new(b"hunter2".to_vec()));
}

#[test]
fn bad_rates_and_spans_are_refused() {
    for rate in ["20", "20 mbit", "mbit", "20mb", "-1mbit", "0mbit", "1.5mbit", "99999999999gbit", "20mbit/s"] {
        assert_refused(
            &format!("{LEAST}download = \"{rate}\"\n"),
            10,
            &["`download`", "\"512kbit\", \"20mbit\" or \"1gbit\""],
        );
    }
    for span in ["500", "500 ms", "ms", "0s", "1.5s", "99h", "2d"] {
        assert_refused(&format!("{LEAST}[health]\ninterval = \"{span}\"\n"), 11, &["`interval`", "\"500ms\""]);
    }
}

#[test]
fn mistakes_about_health_are_found() {
    let refused = |lines: &str, line: usize, parts: &[&str]| {
        assert_refused(&format!("{LEAST}[health]\n{lines}\n"), 10 + line, parts);
    };
    for target in ["gatway", "0.0.0.0", "dns.example.org", "icmp://192.0.2.1", "192.0.2.1:80", "::1"] {
        let lines = format!("targets = [\"gateway\", \"{target}\"]");
        refused(&lines, 1, &["`targets`", target, "is no target", "an IPv4 address to ping"]);
    }
    for target in
        ["tcp://192.0.2.1", "tcp://192.0.2.1:0", "dns://one.one", "http://192.0.2.1/index.html", "http://::1/"]
    {
        let lines = format!("targets = [\"{target}\"]");
        refused(&lines, 1, &["`targets`", target, "names no host by its address", "\"tcp://192.0.2.1:443\""]);
    }
    refused("targets = \"https://192.0.2.1/\"", 1, &["certificate", "tcp://192.0.2.1:443"]);
    refused("targets = [53]", 1, &["`targets`", "a whole number", "\"gateway\""]);
    refused("targets = []", 1, &["`targets`", "the list is empty"]);
    refused("targets = [\"192.0.2.1\", \"192.0.2.1\"]", 1, &["`targets`", "named twice"]);
    let many: Vec<_> = (1..=13).map(|host| format!("\"192.0.2.{host}\"")).collect();
    refused(&format!("targets = [{}]", many.join(", ")), 1, &["`targets`", "13 targets are too many", "at most 12"]);
    refused(
        "targets = [\"gateway\", \"192.0.2.1\"]\nneed = 2",
        2,
        &["`need`", "names 1 beyond the gateway", "at most 1"],
    );
    for (line, right) in [
        ("need = 0", "a whole number from 1 to 12"),
        ("down_after = 0", "a whole number from 1 to 100"),
        ("up_after = 101", "a whole number from 1 to 100"),
        ("max_loss_percent = 101", "a whole number from 1 to 100"),
        ("interval = \"50ms\"", "from \"100ms\" to \"60s\""),
        ("interval = \"2m\"", "from \"100ms\" to \"60s\""),
        ("down_afer = 2", "did you mean `down_after`?"),
    ] {
        refused(line, 1, &[line.split(' ').next().unwrap(), right]);
    }
}

#[test]
fn without_a_health_section_lines_are_watched_as_usual() {
    let health = parse(LEAST).unwrap().health;
    assert_eq!((health.interval, health.targets, health.need), (Duration::from_millis(500), None, 1));
    assert_eq!((health.down_after, health.up_after, health.max_loss_percent), (2, 3, 20));
}

/// Asserts that the least file with `section` behind it is refused at this line of the section.
fn refused(section: &str, line: usize, parts: &[&str]) {
    assert_refused(&format!("{LEAST}{section}\n"), 9 + line, parts);
}

#[test]
fn mistakes_in_reservations_rules_and_pages_are_named() {
    refused(
        "[[reserve]]\nuplink = \"dsl2\"\nhosts = [\"192.168.10.50\"]",
        2,
        &["`uplink`", "no uplink named \"dsl2\"", "dsl1"],
    );
    refused("[[reserve]]\nuplink = \"dsl1\"\nhosts = [\"192.168.10\"]", 3, &["`hosts`", "Ethernet address"]);
    let reserve = |lines: &str| format!("[[reserve]]\nuplink = \"dsl1\"\n{lines}");
    refused(&reserve("hosts = [\"laptop\"]"), 3, &["`hosts`", "\"laptop\" is a hostname", "add leases = ", "to [lan]"]);
    let known = "hosts = [\"10.0.0.1\"]\n";
    refused(&reserve(&format!("{known}when_down = \"queue\"")), 4, &["`when_down`", "`pool` or `refuse`"]);
    refused(
        &reserve(&format!("{known}from = \"18:00\"\nuntil = \"18:00\"")),
        5,
        &["`until`", "end when it begins", "neither"],
    );
    refused(&reserve(&format!("{known}from = \"00:00\"")), 4, &["`from`", "end when it begins"]);
    refused("[[reserve]]\nuplink = \"dsl1\"", 1, &["[[reserve]] has no `hosts`"]);
    for time in ["\"25:00\"", "\"18:60\"", "\"18\"", "\"6pm\"", "\"1:00\"", "\"+1:00\"", "18:00:00", "18"] {
        refused(
            &format!("[[reserve]]\nuplink = \"dsl1\"\nhosts = [\"10.0.0.1\"]\nuntil = {time}"),
            4,
            &["`until`", "\"18:00\""],
        );
    }
    for port in ["0", "65536", "\"ssh\"", "-1"] {
        refused(
            &format!("[[rule]]\nname = \"r\"\nprotocol = \"tcp\"\ndestination_port = [{port}]\nclass = \"bulk\""),
            4,
            &["`destination_port`", "from 1 to 65535"],
        );
    }
    refused(
        "[[rule]]\nname = \"r\"\ndestination_port = 22\nclass = \"bulk\"",
        3,
        &["`destination_port`", "protocol = \"tcp\""],
    );
    refused("[[rule]]\nname = \"r\"\nclass = \"slow\"", 3, &["`class`", "`isolated` or `bulk`"]);
    refused("[[rule]]\nname = \"r\"\nprotocol = \"sctp\"\nclass = \"bulk\"", 3, &["`protocol`", "`tcp`"]);
    refused("[[rule]]\nname = \"r\"\nexcept_destination = [\"x\"]\nclass = \"bulk\"", 3, &["`except_destination`"]);
    refused("[web]\nlisten = \"8080\"", 2, &["`listen`", "\"192.168.10.1:8080\""]);
    refused("[web]\nport = 8080", 2, &["`port`", "`listen`"]);
    for listen in ["9464", "0.0.0.0:9464", "[::]:9464", "224.0.0.1:9464", "192.168.10.1:0", "router:9464"] {
        refused(&format!("[metrics]\nlisten = \"{listen}\""), 2, &["`listen`", "\"192.168.10.1:9464\""]);
    }
    refused("[metrics]", 1, &["[metrics] has no `listen`"]);
    let both = "[web]\nlisten = \"192.168.10.1:80\"\n[metrics]\nlisten = \"192.168.10.1:80\"";
    refused(both, 4, &["`listen`", "where the pages are served"]);
}

#[test]
fn channels_are_read() {
    let channels = parse(FULL).unwrap().channels;
    let kinds: Vec<_> = channels.iter().map(|channel| channel.kind.name()).collect();
    assert_eq!(kinds, ["webhook", "slack", "ntfy", "matrix", "mail", "xmpp"]);
    let (first, second) = (&channels[0].terms, &channels[1].terms);
    assert_eq!(
        (&first.topics[..], first.lines.len(), first.recovery),
        (&[Topic::Lost, Topic::Orders][..], 1, Recovery::NotTold)
    );
    assert_eq!((first.tolerance, first.group), (Duration::from_secs(120), Duration::ZERO));
    assert_eq!((&second.topics[..], second.hours), (&[Topic::Lost, Topic::Missing, Topic::NoLine][..], None));
    assert_eq!((second.tolerance, second.group), (Duration::from_secs(120), Duration::from_secs(10)));
    let ChannelKind::Webhook(hook) = &channels[0].kind else { panic!("not a webhook") };
    assert_eq!((hook.url.authority().as_str(), hook.url.path.as_str()), ("hooks.example.net:8443", "/potato?key=1"));
    assert!(!format!("{channels:?}").contains("key=1"), "addresses of hooks are secrets");
    let ChannelKind::Ntfy(ntfy) = &channels[2].kind else { panic!("not ntfy") };
    assert_eq!((ntfy.url.server.host.as_str(), ntfy.url.authority().as_str()), ("fd00::1", "[fd00::1]"));
    let ChannelKind::Mail(mail) = &channels[4].kind else { panic!("not mail") };
    assert_eq!((mail.server.port, mail.server.security, mail.to.len()), (465, Security::Tls, 2));
    let ChannelKind::Xmpp(chat) = &channels[5].kind else { panic!("not xmpp") };
    assert_eq!((chat.user.as_str(), chat.domain.as_str(), chat.server.port), ("potato", "example.net", 5223));
}

/// Lines: 2 name, 3 kind.
fn channel(kind: &str, rest: &str) -> String {
    format!("[[notify]]\nname = \"office\"\nkind = \"{kind}\"\n{rest}")
}

#[test]
fn mistakes_in_channels_are_named() {
    let hook = |rest: &str| channel("webhook", &format!("url = \"http://192.0.2.1\"\n{rest}"));
    parse(&format!("{LEAST}{}", hook(""))).unwrap();
    refused("[[notify]]\nkind = \"ntfy\"", 1, &["[[notify]] has no `name`"]);
    refused("[[notify]]\nname = \"The Office\"", 2, &["`name`", "a-z"]);
    refused(&channel("icq", ""), 3, &["`kind`", "`webhook`", "`xmpp`"]);
    refused(&hook("room = \"!a:b\""), 5, &["`room`", "kind \"webhook\" has none", "matrix, xmpp"]);
    refused(&hook("rooms = 1"), 5, &["`rooms`", "did you mean `room`"]);
    refused(&hook("url_file = \"/x\""), 5, &["`url_file`", "`url` says it already"]);
    refused(&channel("slack", ""), 1, &["has no `url`"]);
    for url in ["ftp://a/b", "hooks.example.net", "https://anna:secret@example.net/", "http://", "https://a:0/"] {
        refused(&channel("ntfy", &format!("url = \"{url}\"")), 4, &["`url`", "https://"]);
    }
    refused(
        &hook("template = \"{lines} is\""),
        5,
        &["`template`", "{lines} stands for nothing", "did you mean `line`"],
    );
    refused(&hook("events = [\"lost\", \"found\"]"), 5, &["`events`", "`no-line`"]);
    refused(&hook("lines = \"dsl9\""), 5, &["`lines`", "no uplink named \"dsl9\""]);
    for hours in ["8-18", "08:00", "08:00-24:00", "08:00-08:00", ""] {
        refused(&hook(&format!("hours = \"{hours}\"")), 5, &["`hours`", "\"08:00-18:00\""]);
    }
    refused(&hook("tolerance = 120"), 5, &["`tolerance`", "text in double quotes"]);
    refused(&hook("recovery = \"yes\""), 5, &["`recovery`", "true or false"]);
    let two = format!("{}\n{}", hook(""), hook(""));
    refused(&two, 7, &["`name`", "another channel is named \"office\""]);
    refused(&channel("matrix", "server = \"https://m\"\nroom = \"office\""), 5, &["`room`", "!abc:example.net"]);
    let mail = "server = \"m\"\nfrom = \"a@b\"\nto = \"c@d\"\n";
    refused(&channel("mail", &mail.replace("c@d", "c")), 6, &["`to`", "anna@example.net"]);
    refused(&channel("mail", &format!("{mail}username = \"u\"")), 1, &["has no `password_file`"]);
    let open = format!("{mail}username = \"u\"\npassword_file = \"/p\"\ntls = \"off\"");
    refused(&channel("mail", &open), 9, &["`tls`", "for all to read"]);
    let xmpp = "jid = \"a@b\"\npassword_file = \"/p\"\n";
    refused(&channel("xmpp", xmpp), 1, &["has no `people`"]);
    refused(&channel("xmpp", &format!("{xmpp}people = [\"c@d/phone\"]")), 6, &["`people`", "without a resource"]);
    refused(&channel("xmpp", &format!("{xmpp}people = \"c@d\"\nserver = \"x:y\"")), 7, &["`server`"]);
}

/// Lines: 2 uplink, 3 protocol, 4 port, 5 to.
const FORWARD: &str = "[[forward]]\nuplink = \"any\"\nprotocol = \"tcp\"\nport = 8080\nto = \"192.168.10.10:80\"\n";

#[test]
fn forwards_are_read() {
    let read = |port: &str, to: &str| {
        let text = FORWARD.replace("8080", port).replace("192.168.10.10:80", to);
        let forward = parse(&format!("{LEAST}{text}")).unwrap().forwards.remove(0);
        (forward.ports, forward.to, forward.to_port.get())
    };
    let host = ForwardTarget::Host(Ipv4Addr::new(192, 168, 10, 10));
    assert_eq!(read("\"8080\"", "192.168.10.10"), (8080..=8080, host, 8080));
    assert_eq!(read("\"8000-8010\"", "192.168.10.10"), (8000..=8010, host, 8000));
    assert_eq!(read("\"8000-8010\"", "192.168.10.10:9000"), (8000..=8010, host, 9000));
    assert_eq!(read("\"8000-8010\"", "192.168.10.10:9000-9010"), (8000..=8010, host, 9000));
    assert_eq!(read("2222", "router:22"), (2222..=2222, ForwardTarget::Router, 22));
    assert_eq!(read("22", "router"), (22..=22, ForwardTarget::Router, 22));
    let more = "uplink = [\"dsl1\"]\nsource = [\"203.0.113.0/24\", \"198.51.100.7\"]\nname = \"web\"\nprotocol = [\"udp\", \"tcp\"]";
    let text = FORWARD.replace("uplink = \"any\"\nprotocol = \"tcp\"", more);
    let forward = parse(&format!("{LEAST}{text}")).unwrap().forwards.remove(0);
    assert!(matches!(&forward.lines, ForwardedLines::Named(names) if names.len() == 1 && names[0].as_str() == "dsl1"));
    assert_eq!(forward.protocols, [Protocol::Tcp, Protocol::Udp]);
    let sources: Vec<_> = forward.sources.iter().map(ToString::to_string).collect();
    assert_eq!(
        (sources.as_slice(), forward.name.as_deref()),
        (&["203.0.113.0/24".to_owned(), "198.51.100.7/32".to_owned()][..], Some("web"))
    );
}

#[test]
fn mistakes_in_forwards_are_named() {
    let with = |from: &str, to: &str| FORWARD.replace(from, to);
    refused(&with("any", "nobody"), 2, &["`uplink`", "no uplink named \"nobody\""]);
    refused(&with("\"any\"", "[\"dsl1\", \"any\"]"), 2, &["`uplink`", "every line already"]);
    refused(&with("\"any\"", "[]"), 2, &["`uplink`", "the list is empty"]);
    refused(&with("\"tcp\"", "\"icmp\""), 3, &["`protocol`", "`tcp` or `udp`"]);
    refused(&with("8080", "80800"), 4, &["`port`", "from 1 to 65535"]);
    refused(&with("8080", "true"), 4, &["`port`", "\"8000-8010\""]);
    for port in ["\"8000-\"", "\"0-5\"", "\"http\"", "\"1-70000\"", "\"1-2-3\""] {
        refused(&with("8080", port), 4, &["`port`", "no range of ports", "\"8000-8010\""]);
    }
    refused(&with("8080", "\"8010-8000\""), 4, &["`port`", "ends before it starts", "\"8000-8010\""]);
    for port in ["61440", "61503", "\"60000-62000\""] {
        refused(&with("8080", port), 4, &["`port`", "61440 to 61503 are the router's own"]);
    }
    refused(&with("8080", "\"60-70\"").replace("tcp", "udp"), 4, &["`port`", "UDP port 68 is the router's own"]);
    refused(&with("192.168.10.10:80", "web:80"), 5, &["`to`", "\"192.168.10.10:80\"", "\"router:22\""]);
    refused(&with("192.168.10.10:80", "192.168.10.10:0"), 5, &["`to`", "no port"]);
    refused(&with("192.168.10.10:80", "127.0.0.1:80"), 5, &["`to`", "not the address of one host"]);
    refused(&with("192.168.10.10:80", "10.77.1.2:80"), 5, &["`to`", "own address on dsl1", "\"router\""]);
    refused(&with("192.168.10.10:80", "10.77.1.9:80"), 5, &["`to`", "outside, in the network of dsl1"]);
    refused(&with("8080", "\"1-100\"").replace(":80", ":1-50"), 5, &["`to`", "50 ports inside for 100 outside"]);
    refused(&with("8080", "\"1-100\"").replace(":80", ":65500"), 5, &["`to`", "beyond port 65535", "at most 65436"]);
    refused(&format!("{FORWARD}source = [\"office\"]"), 6, &["`source`", "\"203.0.113.0/24\""]);
    refused(&format!("{FORWARD}source = \"203.0.113.9/24\""), 6, &["`source`", "\"203.0.113.0/24\" for the network"]);
    refused(&with("8080", "\"1-50000\""), 4, &["`port`", "only 15536 tcp ports of dsl1", "16384 are left"]);
    refused(&format!("{FORWARD}uplinks = \"any\""), 6, &["`uplinks`", "`uplink`"]);
}

#[test]
fn two_forwards_of_one_port_are_refused() {
    let second = FORWARD.replace("8080", "\"8000-8100\"");
    let named = format!("{FORWARD}name = \"web\"\n");
    refused(
        &format!("{named}{second}"),
        10,
        &["`port`", "tcp port 8080 is forwarded by the forward \"web\" of line", "other ports"],
    );
    let text = format!("{FORWARD}{}", second.replace("tcp", "udp"));
    assert_eq!(parse(&format!("{LEAST}{text}")).unwrap().forwards.len(), 2);
    let line = |name: &str| FORWARD.replace("any", name);
    let apart = format!("{FULL}{}{}", line("dsl1").replace("8080", "80"), line("cable_2-b").replace("8080", "80"));
    assert_eq!(parse(&apart).unwrap().forwards.len(), 3);
}

#[test]
fn adopted_lines_forward_nothing() {
    let adopted = "[[uplink]]\nname = \"lte\"\ninterface = \"wwan0\"\nkind = \"adopted\"\n";
    let all = parse(&format!("{LEAST}{adopted}{FORWARD}")).unwrap();
    assert!(all.warnings.iter().any(|warning| warning.what.contains("adopted")), "{:?}", all.warnings);
    let text = format!("{adopted}{}", FORWARD.replace("any", "lte"));
    refused(&text, 6, &["`uplink`", "\"lte\" is of kind \"adopted\"", "the kernel's"]);
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("none.toml");
    let error = config::load(&missing).unwrap_err().to_string();
    assert!(error.contains("none.toml: cannot be read: No such file"), "{error}");
    let error = config::load(directory.path()).unwrap_err().to_string();
    assert!(error.contains("cannot be read: Is a directory"), "{error}");
    let latin1 = directory.path().join("latin1.toml");
    std::fs::write(&latin1, b"[lan]\ninterface = \"caf\xe9\"\n").unwrap();
    let error = config::load(&latin1).unwrap_err().to_string();
    assert!(error.contains("latin1.toml:2:17: not UTF-8"), "{error}");
    assert!(error.contains("save the file as UTF-8"), "{error}");
}

#[test]
fn every_cut_of_a_right_file_is_right_or_refused() {
    for end in (0..FULL.len()).filter(|at| FULL.is_char_boundary(*at)) {
        if let Err(error) = parse(&FULL[..end]) {
            assert!(error.starts_with("potato.toml:"), "{error}");
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_change_of_a_right_file_is_right_or_refused_with_its_place(at in 0..FULL.len(), cut in 0..40_usize, put in "[\\PC\n]{0,12}") {
        let end = FULL.len().min(at + cut);
        if let Err(error) = parse(&format!("{}{put}{}", &FULL[..at], &FULL[end..])) {
            assert!(error.starts_with("potato.toml:"), "{error}");
        }
    }
}

#[test]
fn dhcp_uplinks_stand_beside_static_ones_without_addresses() {
    let dhcp = |n| format!("[[uplink]]\nname = \"cable{n}\"\ninterface = \"eth{n}\"\nkind = \"dhcp\"\nweight = {n}\n");
    let config = parse(&format!("{LEAST}\n{}\n{}", dhcp(1), dhcp(2))).unwrap();
    let kinds: Vec<_> = config.uplinks.iter().map(|uplink| uplink.kind.name()).collect();
    assert_eq!(kinds, ["static", "dhcp", "dhcp"]);
    assert_eq!(config.uplinks[2].kind.static_address(), None);
    assert_eq!(config.uplinks[2].weight.get(), 2);
}

#[test]
fn uplink_names_its_interface_in_one_of_three_ways() {
    let config = parse(&with("interface = \"wan1\"", "mac = \"02:00:5E:10:00:01\"")).unwrap();
    assert_eq!(config.uplinks[0].interface.to_string(), "mac 02:00:5e:10:00:01");
    let config = parse(&with("interface = \"wan1\"", "path = \"pci-0000:00:14.0-usb-0:2:1.0\"")).unwrap();
    assert_eq!(config.uplinks[0].interface.to_string(), "path pci-0000:00:14.0-usb-0:2:1.0");
    assert_eq!(config.uplinks[0].interface.name(), None);
    let one = "one of `interface`, `mac` and `path`";
    let both = with("interface = \"wan1\"", "interface = \"wan1\"\nmac = \"02:00:5e:10:00:01\"");
    assert_refused(&both, 7, &["`mac`: the interface is given by `interface` already", one]);
    let both = with("interface = \"wan1\"", "mac = \"02:00:5e:10:00:01\"\npath = \"pci-0000:00:14.0\"");
    assert_refused(&both, 7, &["`path`: the interface is given by `mac` already", one]);
    assert_refused(&with("interface = \"wan1\"\n", ""), 4, &["no `interface`", "`mac` or `path`"]);
    for wrong in ["02:00:5e:10:00", "01:00:5e:10:00:01", "00:00:00:00:00:00", "wan1"] {
        assert_refused(&with("interface = \"wan1\"", &format!("mac = \"{wrong}\"")), 6, &["`mac`", "six hexadecimal"]);
    }
    for wrong in ["", "/sys/devices/pci0000:00", "usb2", "pci-0000:00:14.0 "] {
        assert_refused(&with("interface = \"wan1\"", &format!("path = \"{wrong}\"")), 6, &["`path`", "ID_PATH"]);
    }
    let second = |key: &str| format!("name = \"dsl2\"\n{key}\nkind = \"dhcp\"\n");
    let first = with("interface = \"wan1\"", "mac = \"02:00:5e:10:00:01\"");
    let same = format!("{first}\n[[uplink]]\n{}", second("mac = \"02:00:5e:10:00:01\""));
    assert_refused(&same, 13, &["`mac`", "the interface of uplink \"dsl1\""]);
    parse(&format!("{first}\n[[uplink]]\n{}", second("mac = \"02:00:5e:10:00:02\""))).unwrap();
}

#[test]
fn uplink_whose_address_is_the_kernels_has_at_most_a_gateway() {
    let least = LEAST.replace("\"static\"", "\"adopted\"");
    assert_refused(&least, 8, &["`address`", "kind = \"static\"", "the kernel has the address"]);
    let config = parse(&least.replace("address = \"10.77.1.2/24\"\n", "")).unwrap();
    assert_eq!(config.uplinks[0].kind, UplinkKind::Adopted { gateway: Some("10.77.1.1".parse().unwrap()) });
    let bare = least.lines().filter(|line| !line.starts_with("address") && !line.starts_with("gateway"));
    let config = parse(&bare.collect::<Vec<_>>().join("\n")).unwrap();
    assert_eq!(config.uplinks[0].kind, UplinkKind::Adopted { gateway: None });
}
