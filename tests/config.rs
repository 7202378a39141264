//! Every mistake that a configuration can have gives one error: the place, what is wrong, what would be right.

use std::path::Path;
use std::time::Duration;

use potato::config::{self, Capture, Config, HealthTarget, InterfaceName, ReservedHost, Role, UplinkKind, Workers};

/// A file in which everything that may stand there stands there.
const FULL: &str = r#"[router]
state_dir = "/var/lib/potato"
run_dir = "/run/potato"
workers = 2
flows = 65536

[lan]
interface = ["lan0", "lan1"]
capture = "packet"
tun = "potato1"

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

[health]
interval = "500ms"
targets = ["gateway", "192.0.2.53"]

[[reserve]]
uplink = "cable_2-b"
hosts = ["192.168.10.50", "02:00:5e:10:00:01"]
until = "18:00"

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
    let UplinkKind::Static { address, .. } = config.uplinks[0].kind else { panic!("not static") };
    assert_eq!(address.to_string(), "10.77.1.2/24");
    assert_eq!(config.uplinks[0].upload.unwrap().bits_per_second(), 512_000);
    assert_eq!(config.uplinks[1].role, Role::Standby);
    let health = config.health.unwrap();
    assert_eq!(health.interval, Duration::from_millis(500));
    assert_eq!(health.targets[0], HealthTarget::Gateway);
    assert!(matches!(config.reservations[0].hosts[1], ReservedHost::Mac(_)));
    assert_eq!(config.rules[0].destination_ports[0].get(), 22);
    assert_eq!(config.forwards[0].uplink, None);
    assert_eq!(config.web.unwrap().listen.port(), 8080);
}

#[test]
fn what_has_no_effect_yet_is_said_with_its_line() {
    let warnings: Vec<_> =
        parse(FULL).unwrap().warnings.into_iter().map(|warning| (warning.line, warning.what)).collect();
    let expected = [
        (30, "role = \"standby\""),
        (32, "[health]"),
        (36, "[[reserve]]"),
        (41, "[[rule]]"),
        (48, "[[forward]]"),
        (54, "[web]"),
    ];
    assert_eq!(warnings, expected.map(|(line, what)| (line, what.to_owned())));
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
    assert_eq!(config.uplinks[0].role, Role::Balanced);
    assert!(config.warnings.is_empty());
    assert_eq!(Workers::Auto.count(2).get(), 2);
    assert_eq!(Workers::Auto.count(500).get(), 64);
    assert_eq!(Workers::Auto.count(0).get(), 1);
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
    let UplinkKind::Static { gateway, .. } = parse(&text).unwrap().uplinks[0].kind else { panic!("not static") };
    assert_eq!(gateway.to_string(), "10.77.1.1");
}

#[test]
fn a_number_of_many_lines_shows_the_right_one() {
    assert_refused("[lan]\r\ninterface = \"lan0\"\r\ncaptrue = \"tun\"\r\n", 3, &["captrue", "capture"]);
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
    assert_refused(&with("\"static\"", "\"pppoe\""), 7, &["`kind`", "this version cannot", "pppoe", "\"static\""]);
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
fn mistakes_in_sections_for_later_are_found_now() {
    let refused =
        |section: &str, line: usize, parts: &[&str]| assert_refused(&format!("{LEAST}{section}\n"), 9 + line, parts);
    refused("[health]\ntargets = [\"gatway\"]", 2, &["`targets`", "\"gateway\" or an IPv4 address"]);
    refused(
        "[[reserve]]\nuplink = \"dsl2\"\nhosts = [\"192.168.10.50\"]",
        2,
        &["`uplink`", "no uplink named \"dsl2\"", "dsl1"],
    );
    refused("[[reserve]]\nuplink = \"dsl1\"\nhosts = [\"192.168.10\"]", 3, &["`hosts`", "Ethernet address"]);
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
    let forward = "[[forward]]\nuplink = \"any\"\nprotocol = \"tcp\"\nport = 8080\nto = \"192.168.10.10:80\"";
    refused(&forward.replace("any", "nobody"), 2, &["`uplink`", "no uplink named \"nobody\""]);
    refused(&forward.replace("\"tcp\"", "\"icmp\""), 3, &["`protocol`", "`tcp` or `udp`"]);
    refused(&forward.replace("8080", "80800"), 4, &["`port`", "from 1 to 65535"]);
    refused(&forward.replace(":80\"", "\""), 5, &["`to`", "\"192.168.10.10:80\""]);
    refused("[web]\nlisten = \"8080\"", 2, &["`listen`", "\"192.168.10.1:8080\""]);
    refused("[web]\nport = 8080", 2, &["`port`", "`listen`"]);
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
