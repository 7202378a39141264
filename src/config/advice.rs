//! What is right in a file and still cannot have the effect that its owner expects: rules that never match, rules about lines
//! that are somebody else's, reservations that leave nothing for the others.

use ipnet::Ipv4Net;

use super::{HostIdentity, IsolatedLines, Reservation, Role, Rule, RuleAction, Uplink};
use crate::placement::{Class, Fallback, Ranges};
use crate::wire::MacAddress;

/// One such thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// Its line, from 1.
    pub line: usize,
    /// What the owner should know.
    pub text: String,
}

/// What is to be said of a file, in the order of its lines. Rules and reservations come with the lines of theirs.
pub(super) fn advice<'c>(
    isolated: IsolatedLines,
    uplinks: &[Uplink],
    rules: impl Iterator<Item = (&'c usize, &'c Rule)>,
    reservations: impl Iterator<Item = (&'c usize, &'c Reservation)>,
) -> Vec<Advice> {
    let rules: Vec<_> = rules.map(|(line, rule)| (*line, rule)).collect();
    let reservations: Vec<_> = reservations.map(|(line, reservation)| (*line, reservation)).collect();
    let mut found = Vec::new();
    for (at, &(line, rule)) in rules.iter().enumerate() {
        let why_never = never_matches(rule, &rules[..at]).or_else(|| is_the_kernels(rule, &rules));
        let reserved = || taken_lines(rule, &reservations);
        let texts = match why_never {
            Some(why) => vec![why],
            None => without_isolated(rule, isolated, uplinks).into_iter().chain(reserved()).collect(),
        };
        found.extend(texts.into_iter().map(|text| Advice { line, text: format!("rule \"{}\": {text}", rule.name) }));
    }
    found.extend(empty_pool(uplinks, &reservations));
    found.sort_by_key(|advice| advice.line);
    found
}

/// Why a rule can never match, if that is so for the rules `before` it or for itself.
fn never_matches(rule: &Rule, before: &[(usize, &Rule)]) -> Option<String> {
    if rule.matches.is_for_none() {
        return Some("it can never match: its exceptions take all that it names".to_owned());
    }
    let is_direct = |rule: &Rule| rule.action == RuleAction::Direct;
    // What stays with the kernel does so whatever other rules say.
    let mut asked_before = before.iter().filter(|(_, earlier)| is_direct(earlier) == is_direct(rule));
    let (line, covering) = asked_before.find(|(_, earlier)| covers(earlier, rule))?;
    let name = &covering.name;
    Some(format!("it can never match: rule \"{name}\" in line {line} stands before it and is for all its flows"))
}

/// Why a rule can never match, if a `direct` one leaves all its destinations to the kernel.
fn is_the_kernels(rule: &Rule, rules: &[(usize, &Rule)]) -> Option<String> {
    let direct = |(_, other): &&(usize, &Rule)| other.action == RuleAction::Direct && other.name != rule.name;
    let (line, covering) = rules.iter().filter(direct).find(|(_, direct)| covers(direct, rule))?;
    let name = &covering.name;
    (rule.action != RuleAction::Direct).then(|| {
        format!("it can never match: rule \"{name}\" in line {line} leaves all its destinations to the kernel")
    })
}

fn covers(earlier: &Rule, later: &Rule) -> bool {
    let macs_cover =
        earlier.macs.is_empty() || (!later.macs.is_empty() && later.macs.iter().all(|mac| earlier.macs.contains(mac)));
    macs_cover && earlier.matches.covers(&later.matches)
}

fn without_isolated(rule: &Rule, isolated: IsolatedLines, uplinks: &[Uplink]) -> Option<String> {
    let has_isolated = isolated == IsolatedLines::Auto || uplinks.iter().any(|uplink| uplink.role == Role::Isolated);
    (rule.action == RuleAction::Class(Class::Isolated) && !has_isolated).then(|| {
        "it makes no difference: no uplink has role = \"isolated\", so its flows get a line like all others".to_owned()
    })
}

/// What to say of each line of a rule that is reserved, unless the rule is for the hosts of the reservation alone.
fn taken_lines(rule: &Rule, reservations: &[(usize, &Reservation)]) -> Vec<String> {
    let RuleAction::Uplinks(names, fallback) = &rule.action else { return Vec::new() };
    let otherwise = match fallback {
        Fallback::Pool => "get a line of the pool",
        Fallback::Refuse => "are refused",
    };
    let said = names.iter().filter_map(|name| {
        let its: Vec<_> = reservations.iter().filter(|(_, reservation)| reservation.uplink == *name).collect();
        let (line, _) = its.first()?;
        let hosts: Vec<&HostIdentity> = its.iter().flat_map(|(_, reservation)| &reservation.hosts).collect();
        (!is_for_these_alone(rule, &hosts)).then(|| {
            format!("uplink \"{name}\" is reserved in line {line}; flows of this rule from other hosts {otherwise}")
        })
    });
    said.collect()
}

fn is_for_these_alone(rule: &Rule, hosts: &[&HostIdentity]) -> bool {
    let mut addresses: Vec<Ipv4Net> = Vec::new();
    let mut macs: Vec<MacAddress> = Vec::new();
    for host in hosts {
        if let HostIdentity::Address(address) = host {
            addresses.push(Ipv4Net::from(*address));
        }
        if let HostIdentity::Mac(mac) = host {
            macs.push(*mac);
        }
    }
    let sources = rule.matches.sources.as_deref();
    let by_address = sources.is_some_and(|sources| {
        let sources = Ranges::of_networks(sources).without(&Ranges::of_networks(&rule.matches.except_sources));
        Ranges::of_networks(&addresses).cover(&sources)
    });
    by_address || (!rule.macs.is_empty() && rule.macs.iter().all(|mac| macs.contains(mac)))
}

/// What to say when reservations leave no line that is there for everybody.
fn empty_pool(uplinks: &[Uplink], reservations: &[(usize, &Reservation)]) -> Option<Advice> {
    let (line, _) = reservations.first()?;
    let state = |uplink: &Uplink| {
        let is_reserved = reservations.iter().any(|(_, reservation)| reservation.uplink == uplink.name);
        match uplink.role {
            _ if is_reserved => Some("reserved"),
            Role::Isolated => Some("isolated"),
            Role::Standby => Some("standby"),
            Role::Balanced => None,
        }
    };
    let taken: Option<Vec<_>> =
        uplinks.iter().map(|uplink| Some(format!("{} is {}", uplink.name, state(uplink)?))).collect();
    let text = format!("no uplink is left for all other hosts: {}; leave them a balanced one", taken?.join(", "));
    Some(Advice { line: *line, text })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config;

    /// Lines 1 to 14: three balanced lines. What follows begins in line 15.
    fn advised(rest: &str) -> Vec<String> {
        let line = |number: u8, role: &str| {
            format!("[[uplink]]\nname = \"dsl{number}\"\ninterface = \"wan{number}\"\nkind = \"dhcp\"{role}\n")
        };
        let lines = [line(1, ""), line(2, ""), line(3, "")].concat();
        let text = format!("[lan]\ninterface = \"lan0\"\n{lines}{rest}");
        let advice = config::parse(Path::new("f"), &text).unwrap().advice;
        advice.into_iter().map(|advice| format!("{}: {}", advice.line, advice.text)).collect()
    }

    fn rule(name: &str, rest: &str) -> String {
        format!("[[rule]]\nname = \"{name}\"\n{rest}\n")
    }

    #[track_caller]
    fn expect(rest: &str, expected: &[&str]) {
        let advice = advised(rest);
        assert_eq!(advice.len(), expected.len(), "{advice:#?}");
        advice.iter().zip(expected).for_each(|(said, part)| assert!(said.contains(part), "{said} should say {part}"));
    }

    #[test]
    fn rule_behind_a_wider_one_never_matches() {
        let web = rule("web", "class = \"bulk\"\nprotocol = \"tcp\"\ndestination_port = [80, 443]");
        let https =
            rule("https", "uplink = \"dsl2\"\nprotocol = \"tcp\"\ndestination_port = 443\nsource = \"192.168.10.5\"");
        expect(
            &[web.clone(), https.clone()].concat(),
            &["20: rule \"https\": it can never match: rule \"web\" in line 15 "],
        );
        expect(&[https, web.clone()].concat(), &[]);
        let tv = web.replace("\"web\"", "\"tv\"") + "mac = \"02:00:5e:10:00:01\"\n";
        expect(&[tv.clone(), web.clone()].concat(), &[]);
        expect(&[web, tv].concat(), &["rule \"tv\": it can never match"]);
    }

    #[test]
    fn rule_whose_exceptions_take_everything_never_matches() {
        let rest = "class = \"bulk\"\ndestination = \"203.0.113.7\"\nexcept_destination = \"203.0.113.0/24\"";
        expect(&rule("r", rest), &["15: rule \"r\": it can never match: its exceptions"]);
    }

    #[test]
    fn what_a_direct_rule_leaves_to_the_kernel_no_other_rule_gets() {
        let direct = rule("lab", "direct = true\ndestination = \"10.50.0.0/16\"");
        let inside = rule("in", "class = \"bulk\"\ndestination = \"10.50.7.0/24\"");
        expect(
            &[inside.clone(), direct.clone()].concat(),
            &["rule \"in\": it can never match: rule \"lab\" in line 19"],
        );
        expect(&[inside.replace("10.50.7.0/24", "10.0.0.0/8"), direct].concat(), &[]);
    }

    #[test]
    fn class_isolated_without_a_line_for_it_makes_no_difference() {
        expect(&rule("r", "class = \"isolated\""), &["no uplink has role = \"isolated\""]);
    }

    #[test]
    fn rule_about_a_line_of_others_is_told_unless_it_is_about_them() {
        let reserve = "[[reserve]]\nuplink = \"dsl3\"\nhosts = [\"192.168.10.50\", \"02:00:5e:10:00:01\"]\n";
        let of = |rest: &str| [rule("r", &format!("uplink = \"dsl3\"\n{rest}")), reserve.to_owned()].concat();
        expect(
            &of(""),
            &["uplink \"dsl3\" is reserved in line 19; flows of this rule from other hosts get a line of the pool"],
        );
        expect(&of("fallback = \"refuse\""), &["are refused"]);
        expect(&of("source = \"192.168.10.0/24\""), &["is reserved"]);
        expect(&of("source = \"192.168.10.50\""), &[]);
        expect(&of("mac = \"02:00:5e:10:00:01\""), &[]);
        expect(&of("mac = \"02:00:5e:10:00:02\""), &["is reserved"]);
    }

    #[test]
    fn rule_for_an_isolated_line_that_the_router_picks_makes_a_difference() {
        let urgent = rule("urgent", "class = \"isolated\"\nprotocol = \"udp\"");
        expect(&urgent, &["it makes no difference"]);
        expect(&[urgent, "[router]\nisolated = \"auto\"\n".to_owned()].concat(), &[]);
    }

    #[test]
    fn reservations_that_leave_nothing_are_told() {
        let reserve = |number: u8| format!("[[reserve]]\nuplink = \"dsl{number}\"\nhosts = [\"192.168.10.50\"]\n");
        expect(&[reserve(1), reserve(2)].concat(), &[]);
        let all = "15: no uplink is left for all other hosts: dsl1 is reserved, dsl2 is reserved, dsl3 is reserved";
        expect(&[reserve(1), reserve(2), reserve(3)].concat(), &[all]);
    }
}
