//! What is right in a file and still cannot have the effect that its owner expects: rules that never match, rules about lines
//! that are somebody else's, reservations that leave nothing for the others.

use ipnet::Ipv4Net;

use super::{Reservation, ReservedHost, Role, Rule, RuleAction, Uplink};
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
            None => without_isolated(rule, uplinks).into_iter().chain(reserved()).collect(),
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

fn without_isolated(rule: &Rule, uplinks: &[Uplink]) -> Option<String> {
    let has_isolated = uplinks.iter().any(|uplink| uplink.role == Role::Isolated);
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
        let hosts: Vec<&ReservedHost> = its.iter().flat_map(|(_, reservation)| &reservation.hosts).collect();
        (!is_for_these_alone(rule, &hosts)).then(|| {
            format!("uplink \"{name}\" is reserved in line {line}; flows of this rule from other hosts {otherwise}")
        })
    });
    said.collect()
}

fn is_for_these_alone(rule: &Rule, hosts: &[&ReservedHost]) -> bool {
    let mut addresses: Vec<Ipv4Net> = Vec::new();
    let mut macs: Vec<MacAddress> = Vec::new();
    for host in hosts {
        if let ReservedHost::Address(address) = host {
            addresses.push(Ipv4Net::from(*address));
        }
        if let ReservedHost::Mac(mac) = host {
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
