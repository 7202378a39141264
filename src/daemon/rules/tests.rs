//! Rules from the file to the decision about a flow.

use std::path::Path;

use super::*;
use crate::config;
use crate::flow::{EndpointV4, FlowKey, Protocol};
use crate::placement::{Fallback, Opening, Policy, Stickiness};

/// Four lines, the last one isolated.
fn config(rules: &str) -> Config {
    let line = |number: u8| {
        let role = if number == 4 { "isolated" } else { "balanced" };
        format!("[[uplink]]\nname = \"dsl{number}\"\ninterface = \"wan{number}\"\nkind = \"dhcp\"\nrole = \"{role}\"\n")
    };
    let lines: String = (1..=4).map(line).collect();
    config::parse(Path::new("f"), &format!("[lan]\ninterface = \"lan0\"\n{lines}{rules}")).unwrap()
}

fn rule(name: &str, rest: &str) -> String {
    format!("[[rule]]\nname = \"{name}\"\n{rest}\n")
}

/// Line 1 is 0, and so on; nobody has line 3's place.
fn id_of(name: &UplinkName) -> Option<UplinkId> {
    let number: u8 = name.as_str().strip_prefix("dsl")?.parse().ok()?;
    (number != 3).then(|| UplinkId(number - 1))
}

fn rules(config: &Config, isolated: UplinkSet) -> Vec<Rule> {
    compiled(config, id_of, &Hosts::default(), &RuleIds::new(config), isolated)
}

fn only(number: u8) -> UplinkSet {
    UplinkSet::of(UplinkId(number - 1))
}

/// The name of the rule that decides, and the lines of the first tier.
fn decided(text: &str, from: &str, to: &str, dscp: u8) -> (Option<String>, Vec<u8>) {
    let config = config(text);
    let policy = Policy { rules: rules(&config, only(4)), isolated: only(4), ..Policy::default() };
    let (to, protocol) = to.split_once('/').unwrap();
    let protocol = Protocol::ALL.into_iter().find(|known| known.to_string() == protocol).unwrap();
    let end = |text: &str| {
        let end: std::net::SocketAddrV4 = text.parse().unwrap();
        EndpointV4 { address: *end.ip(), port: end.port() }
    };
    let key = FlowKey { protocol, internal: end(from), remote: end(to) };
    let decision = policy.decide(&Opening { key, dscp });
    let name = policy.rules.iter().find(|rule| Some(rule.id) == decision.rule).map(|rule| rule.name.to_string());
    let first = decision.tiers.iter().next().unwrap_or_default();
    (name, (1..=4).filter(|number| first.contains(UplinkId(number - 1))).collect())
}

/// Whether a rule of class bulk with these lines decides about a flow. It is the only one but for the router's own, which are off.
#[track_caller]
fn check(lines: &str, from: &str, to: &str, dscp: u8, is_for: bool) {
    let text = format!("[router]\ndefault_rules = false\n{}", rule("r", &format!("class = \"isolated\"\n{lines}")));
    let (name, first) = decided(&text, from, to, dscp);
    assert_eq!(name.is_some(), is_for, "{lines}: {from} to {to}, DSCP {dscp}");
    assert_eq!(first, if is_for { vec![4] } else { vec![1, 2, 3] });
}

const HOST: &str = "192.168.10.20:40000";
const WEB: &str = "203.0.113.9:443/tcp";

#[test]
fn every_key_of_a_rule_tells_flows_apart() {
    for (lines, other_from, other_to) in [
        ("protocol = \"tcp\"", HOST, "203.0.113.9:443/udp"),
        ("source = \"192.168.10.0/24\"", "192.168.20.20:40000", WEB),
        ("source = [\"192.168.10.20\", \"192.168.11.0/24\"]", "192.168.10.21:40000", WEB),
        ("except_source = \"192.168.10.21\"", "192.168.10.21:40000", WEB),
        ("destination = [\"203.0.113.0/28\"]", HOST, "203.0.113.16:443/tcp"),
        ("destination = \"203.0.113.9\"", HOST, "203.0.113.8:443/tcp"),
        ("except_destination = [\"203.0.113.7\"]", HOST, "203.0.113.7:443/tcp"),
        ("protocol = \"tcp\"\nsource_port = \"40000-40010\"", "192.168.10.20:40011", WEB),
        ("protocol = \"tcp\"\ndestination_port = [80, \"440-443\"]", HOST, "203.0.113.9:444/tcp"),
        ("protocol = \"tcp\"\ndestination_port = 443", HOST, "203.0.113.9:443/udp"),
    ] {
        check(lines, HOST, WEB, 0, true);
        check(lines, other_from, other_to, 0, false);
    }
    check("protocol = \"icmp\"", HOST, "203.0.113.9:0/icmp", 0, true);
    check("dscp = [\"ef\", 34]", HOST, WEB, 46, true);
    check("dscp = [\"ef\", 34]", HOST, WEB, 34, true);
    check("dscp = [\"ef\", 34]", HOST, WEB, 0, false);
}

#[test]
fn fixed_lines_come_before_the_pool_and_those_that_are_gone_do_not_count() {
    let first = |rest: &str| decided(&rule("r", rest), HOST, WEB, 0);
    assert_eq!(first("uplink = \"dsl2\""), (Some("r".to_owned()), vec![2]));
    assert_eq!(first("uplink = [\"dsl1\", \"dsl2\", \"dsl3\"]").1, [1, 2]);
    // Nothing but a line that has no place: the pool, or nothing.
    assert_eq!(first("uplink = \"dsl3\"").1, [1, 2, 3]);
    assert_eq!(first("uplink = \"dsl3\"\nfallback = \"refuse\"").1, Vec::<u8>::new());
}

#[test]
fn bulk_in_the_file_is_an_exception_from_the_routers_own_rules() {
    let backup =
        rule("backup", "protocol = \"tcp\"\ndestination_port = 22\ndestination = \"203.0.113.7\"\nclass = \"bulk\"");
    assert_eq!(decided(&backup, HOST, "203.0.113.7:22/tcp", 0), (Some("backup".to_owned()), vec![1, 2, 3]));
    assert_eq!(decided(&backup, HOST, "203.0.113.9:22/tcp", 0), (Some("default:ssh".to_owned()), vec![4]));
    assert_eq!(decided(&backup, HOST, WEB, 46), (Some("default:marked".to_owned()), vec![4]));
}

#[test]
fn number_of_a_rule_stays_its_names_whatever_comes_and_goes() {
    let (ssh, web) = (rule("ssh", "class = \"bulk\""), rule("web", "class = \"isolated\""));
    let mut ids = RuleIds::new(&config(&ssh));
    let number = ids.of("ssh");
    assert_ne!(number, RuleId::default());
    assert_eq!(ids.of("web"), RuleId::default());
    ids.learn(&config(&[web, ssh].concat()));
    ids.learn(&config(""));
    assert_eq!(ids.of("ssh"), number);
    assert_eq!(ids.name(number).map(AsRef::as_ref), Some("ssh"));
    assert_ne!(ids.of("web"), number);
    assert_eq!(ids.name(ids.of("default:dns")).map(AsRef::as_ref), Some("default:dns"));
    assert_eq!((ids.name(RuleId(0)), ids.name(RuleId(999))), (None, None));
}

#[test]
fn rules_come_in_their_order_and_the_routers_own_behind_them_while_a_line_is_isolated() {
    let text = [
        rule("lab", "direct = true\ndestination = \"10.50.0.0/16\""),
        rule("b", "class = \"bulk\"\nprotocol = \"tcp\"\ndestination_port = [22, \"8000-8100\"]"),
        rule("a", "uplink = \"dsl1\"\nfallback = \"refuse\"\nsticky = \"hard\""),
    ];
    let config = config(&text.concat());
    assert_eq!(direct_networks(&config), ["10.50.0.0/16".parse().unwrap()]);
    let bare = rules(&config, UplinkSet::NONE);
    assert_eq!(bare.iter().map(|rule| &*rule.name).collect::<Vec<_>>(), ["b", "a"]);
    assert_eq!(bare[0].matches.destination_ports, [22..=22, 8_000..=8_100]);
    assert_eq!(bare[1].action, Action::Uplinks(only(1), Fallback::Refuse));
    assert_eq!(bare[1].stickiness, Stickiness::Hard);
    let with_own = rules(&config, only(4));
    assert!(with_own.len() > 2 && with_own[2..].iter().all(|rule| rule.name.starts_with("default:")));
    let mut off = config.clone();
    off.router.default_rules = false;
    assert_eq!(rules(&off, only(4)).len(), 2);
}

#[test]
fn rule_for_a_host_that_nobody_has_seen_is_for_nobody() {
    let config = config(&rule("tv", "mac = \"02:00:5e:10:00:01\"\nsource = \"192.168.10.0/24\"\nclass = \"bulk\""));
    assert_eq!(rules(&config, UplinkSet::NONE)[0].matches.sources, Some(Vec::new()));
}

#[test]
fn changes_of_rules_are_told_by_name() {
    let (ssh, web) = (rule("ssh", "class = \"bulk\""), rule("web", "class = \"isolated\""));
    let told = |old: &[&str], new: &[&str]| changes(&config(&old.concat()), &config(&new.concat()));
    assert_eq!(told(&[&ssh, &web], &[&ssh, &web]), Vec::<String>::new());
    assert_eq!(told(&[&ssh, &web], &[&web, &ssh]), ["rules in another order"]);
    assert_eq!(told(&[&ssh], &[&web]), ["removed rule ssh", "added rule web"]);
    let other = ssh.replace("bulk", "isolated");
    assert_eq!(told(&[&ssh, &web], &[&web, &other]), ["rule ssh set", "rules in another order"]);
}
