//! `[[rule]]` as people write it, right and wrong.

use std::path::Path;

use super::*;
use crate::config::{self, Config};

/// Seven lines without an end of the file, then the rules.
const BEFORE: &str =
    "[lan]\ninterface = \"lan0\"\n[[uplink]]\nname = \"dsl1\"\ninterface = \"wan1\"\nkind = \"dhcp\"\n";
/// The line in which the first rule's keys begin.
const FIRST: usize = 9;

fn parse(rules: &str) -> Result<Config, String> {
    config::parse(Path::new("f"), &format!("{BEFORE}{rules}")).map_err(|error| error.to_string())
}

/// A rule of class bulk with these lines, of which the last is refused with all of `parts`.
#[track_caller]
fn refused(lines: &str, parts: &[&str]) {
    refused_at(&format!("[[rule]]\nname = \"r\"\n{lines}"), FIRST + lines.lines().count() - 1, parts);
}

#[track_caller]
fn refused_at(rules: &str, line: usize, parts: &[&str]) {
    let said = parse(rules).expect_err(&format!("accepted: {rules}"));
    assert!(said.starts_with(&format!("f:{line}:")), "should be in line {line}: {said}");
    parts.iter().for_each(|part| assert!(said.contains(part), "should say {part}: {said}"));
}

#[test]
fn everything_that_a_rule_can_say_is_read() {
    let text = r#"[[rule]]
name = "tv"
protocol = "udp"
source = "192.168.10.0/24"
except_source = ["192.168.10.1"]
mac = ["02:00:5e:10:00:01", "02:00:5e:10:00:02"]
destination = ["203.0.113.0/24", "198.51.100.7"]
except_destination = "203.0.113.128/25"
source_port = 5004
destination_port = [443, "8000-8100"]
dscp = ["af41", 46, "CS5"]
uplink = ["dsl1"]
fallback = "refuse"
sticky = "soft"
"#;
    let config = parse(text).unwrap();
    let rule = &config.rules[0];
    assert_eq!((rule.name.as_str(), rule.macs.len(), rule.stickiness), ("tv", 2, Stickiness::Soft));
    let matches = &rule.matches;
    assert_eq!(matches.sources.as_ref().unwrap()[0].to_string(), "192.168.10.0/24");
    assert_eq!(matches.except_sources[0].to_string(), "192.168.10.1/32");
    assert_eq!(matches.destinations[1].to_string(), "198.51.100.7/32");
    assert_eq!(matches.except_destinations[0].to_string(), "203.0.113.128/25");
    assert_eq!(
        (&matches.source_ports[..], &matches.destination_ports[..]),
        (&[5_004..=5_004][..], &[443..=443, 8_000..=8_100][..])
    );
    assert_eq!(matches.dscp, [34, 46, 40]);
    assert!(matches!(&rule.action, RuleAction::Uplinks(names, Fallback::Refuse) if names[0].as_str() == "dsl1"));
    assert!(config.warnings.is_empty() && config.advice.is_empty());
    let direct = parse("[[rule]]\nname = \"lab\"\ndirect = true\ndestination = \"10.50.0.0/16\"\n").unwrap();
    assert_eq!(direct.rules[0].action, RuleAction::Direct);
    // What is not said: anything.
    let least = parse("[[rule]]\nname = \"all\"\nclass = \"bulk\"\ndirect = false\n").unwrap();
    assert_eq!((&least.rules[0].matches, least.rules[0].stickiness), (&Match::default(), Stickiness::Default));
}

#[test]
fn rule_says_exactly_one_thing() {
    refused_at("[[rule]]\nname = \"r\"\nprotocol = \"tcp\"", 7, &["does not say what becomes", "direct = true"]);
    refused_at("[[rule]]\nname = \"r\"\ndirect = false", 7, &["does not say what becomes"]);
    refused("class = \"bulk\"\nuplink = \"dsl1\"", &["`uplink`", "`class` too"]);
    refused("uplink = \"dsl1\"\ndirect = true", &["`direct`", "`uplink` too"]);
    refused("class = \"bulk\"\nfallback = \"pool\"", &["`fallback`", "names none"]);
    refused("uplink = \"dsl7\"", &["`uplink`", "no uplink named \"dsl7\"", "`dsl1`"]);
    refused("uplink = []", &["`uplink`", "empty"]);
    refused("uplink = \"dsl1\"\nfallback = \"drop\"", &["`fallback`", "`pool` or `refuse`"]);
    refused("class = \"bulk\"\nsticky = \"sometimes\"", &["`sticky`", "`never`, `soft` or `hard`"]);
}

#[test]
fn direct_rule_goes_by_its_destination_alone() {
    for line in [
        "source = \"192.168.10.5\"",
        "protocol = \"tcp\"",
        "dscp = 46",
        "mac = \"02:00:5e:10:00:01\"",
        "sticky = \"hard\"",
    ] {
        let key = line.split(' ').next().unwrap();
        let lines = format!("direct = true\ndestination = \"10.50.0.0/16\"\n{line}");
        refused(&lines, &[&format!("`{key}`"), "by their destination alone", "take this line out"]);
    }
    refused_at("[[rule]]\nname = \"r\"\ndirect = true", 7, &["no `destination`", "10.50.0.0/16"]);
    refused("direct = true\ndestination = \"0.0.0.0/0\"", &["`destination`", "nothing to the router"]);
}

#[test]
fn names_are_the_rules_own() {
    let rule = |name: &str| format!("[[rule]]\nname = \"{name}\"\nclass = \"bulk\"\n");
    refused_at(&[rule("a"), rule("b"), rule("a")].concat(), 14, &["`name`", "another rule is named \"a\""]);
    for name in ["", "default:ssh", "a\\nb", &"x".repeat(65)] {
        refused_at(&rule(name), 8, &["`name`"]);
    }
}

#[test]
fn bad_values_are_refused_with_what_would_be_right() {
    for (line, parts) in [
        ("source = \"192.168.10.5/24\"", ["in a network", "\"192.168.10.0/24\""]),
        ("source = \"lan0\"", ["not an address or network", "192.168.20.0/24"]),
        ("source = \"fe80::/64\"", ["IPv6", "192.168.20.0/24"]),
        ("destination = \"224.0.0.1\"", ["not the address of one host", "192.168.20.0/24"]),
        ("destination = \"10.0.0.0/33\"", ["not an address or network", "192.168.20.0/24"]),
        ("destination = 7", ["a whole number", "192.168.20.0/24"]),
        ("mac = \"ff:ff:ff:ff:ff:ff\"", ["not the Ethernet address of one host", "02:00:5e"]),
        ("mac = \"router\"", ["not the Ethernet address of one host", "02:00:5e"]),
        ("dscp = 64", ["out of range", "\"ef\""]),
        ("dscp = \"fast\"", ["not a DSCP", "\"cs5\""]),
        ("dscp = 1.5", ["fraction", "\"cs5\""]),
    ] {
        let key = line.split(' ').next().unwrap();
        refused(&format!("class = \"bulk\"\n{line}"), &[&format!("`{key}`"), parts[0], parts[1]]);
    }
    for (value, part) in [
        ("0", "out of range"),
        ("65536", "out of range"),
        ("\"22\"", "not a range"),
        ("\"8100-8000\"", "begins behind its end"),
        ("\"0-5\"", "not a range"),
        ("\"ssh\"", "not a range"),
        ("true", "true or false"),
    ] {
        for key in ["source_port", "destination_port"] {
            refused(
                &format!("class = \"bulk\"\nprotocol = \"tcp\"\n{key} = {value}"),
                &[&format!("`{key}`"), part, "65535"],
            );
        }
    }
    refused("class = \"bulk\"\nsource_port = 22", &["`source_port`", "protocol = \"tcp\" or \"udp\""]);
}
