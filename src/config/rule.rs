//! `[[rule]]`: which flows get which lines.

use std::ops::RangeInclusive;

use ipnet::Ipv4Net;

use super::Uplink;
use super::error::Mistake;
use super::section::{Section, Value, list, switch, text};
use super::selectors;
use super::values::{self, UplinkName};
use crate::flow::Protocol;
use crate::placement::{Class, Fallback, Match, Stickiness, default_rules};
use crate::wire::MacAddress;

/// Keys of the section.
pub(super) const KEYS: [&str; 15] = [
    "name",
    "protocol",
    "source",
    "except_source",
    "mac",
    "destination",
    "except_destination",
    "source_port",
    "destination_port",
    "dscp",
    "class",
    "uplink",
    "fallback",
    "direct",
    "sticky",
];
/// What `direct` may have beside it.
const KEYS_OF_DIRECT: [&str; 3] = ["name", "destination", "direct"];
/// Every new flow is held against all rules, one after the other.
const MOST_RULES: usize = 1_000;
/// Longest name, in characters, so that tables stay readable.
const LONGEST_NAME: usize = 64;

/// `[[rule]]`: some flows, and what becomes of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name: unique.
    pub name: String,
    /// The flows, as far as addresses tell; never for none by an empty list of sources.
    pub matches: Match,
    /// Of these, only flows of the hosts with these Ethernet addresses; empty: of all.
    pub macs: Vec<MacAddress>,
    /// What becomes of them.
    pub action: RuleAction,
    /// How they stick to the line of their host's flows to the same site.
    pub stickiness: Stickiness,
}

/// What a rule wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleAction {
    /// The lines of a class.
    Class(Class),
    /// These lines, at least one.
    Uplinks(Vec<UplinkName>, Fallback),
    /// No line: the kernel's routes, untranslated. The rule has destinations and nothing else.
    Direct,
}

/// Reads every `[[rule]]`.
pub(super) fn rules(sections: &[Section<'_, '_>], uplinks: &[Uplink]) -> Result<Vec<Rule>, Mistake> {
    if let Some(first_beyond) = sections.get(MOST_RULES) {
        let wrong = format!("{} rules are too many", sections.len());
        return Err(Mistake::new(first_beyond.span.clone(), wrong, format!("at most {MOST_RULES}")));
    }
    let mut rules: Vec<Rule> = Vec::with_capacity(sections.len());
    for section in sections {
        let rule = rule(section, uplinks)?;
        if rules.iter().any(|before| before.name == rule.name) {
            let wrong = format!("another rule is named \"{}\"", rule.name);
            return Err(Mistake::new(section.place("name"), wrong, "a name of its own for every rule").of_key("name"));
        }
        rules.push(rule);
    }
    Ok(rules)
}

fn rule(section: &Section<'_, '_>, uplinks: &[Uplink]) -> Result<Rule, Mistake> {
    let name = section.required("name", "\"ssh\"", name)?;
    let action = action(section, uplinks)?;
    if action == RuleAction::Direct {
        goes_by_destination_alone(section)?;
    }
    let networks = |key| section.optional(key, |value| list(value, selectors::network));
    let protocol = section.optional("protocol", |value| values::word(value, &values::PROTOCOLS))?;
    let matches = Match {
        sources: networks("source")?,
        except_sources: networks("except_source")?.unwrap_or_default(),
        destinations: networks("destination")?.unwrap_or_default(),
        except_destinations: networks("except_destination")?.unwrap_or_default(),
        protocol,
        source_ports: ports(section, "source_port", protocol)?,
        destination_ports: ports(section, "destination_port", protocol)?,
        dscp: section.optional("dscp", |value| list(value, selectors::mark))?.unwrap_or_default(),
    };
    let macs = section.optional("mac", |value| list(value, selectors::host_mac))?.unwrap_or_default();
    let stickiness = section.optional("sticky", stickiness)?.unwrap_or_default();
    Ok(Rule { name, matches, macs, action, stickiness })
}

fn name(value: &Value<'_>) -> Result<String, Mistake> {
    let given = text(value)?;
    let wrong = if given.starts_with(default_rules::PREFIX) {
        format!(
            "names that begin with `{}` are those of the rules that the router has by itself",
            default_rules::PREFIX
        )
    } else if given.trim().is_empty() {
        "the name is empty".to_owned()
    } else if given.chars().count() > LONGEST_NAME || given.chars().any(char::is_control) {
        format!("\"{}\" cannot be the name of a rule", given.escape_debug())
    } else {
        return Ok(given.to_owned());
    };
    Err(Mistake::new(value.span(), wrong, format!("1 to {LONGEST_NAME} characters in one line, as in \"ssh\"")))
}

/// What the rule wants: exactly one of `class`, `uplink` and `direct`.
fn action(section: &Section<'_, '_>, uplinks: &[Uplink]) -> Result<RuleAction, Mistake> {
    let class = section
        .optional("class", |value| values::word(value, &[("isolated", Class::Isolated), ("bulk", Class::Bulk)]))?;
    let names = section.optional("uplink", |value| list(value, |item| values::known_uplink(item, uplinks)))?;
    let direct = section.optional("direct", switch)?.filter(|direct| *direct);
    let fallback = section
        .optional("fallback", |value| values::word(value, &[("pool", Fallback::Pool), ("refuse", Fallback::Refuse)]))?;
    let given = [("class", class.is_some()), ("uplink", names.is_some()), ("direct", direct.is_some())];
    let given: Vec<&str> = given.into_iter().filter(|(_, given)| *given).map(|(key, _)| key).collect();
    let right = "one of class = \"isolated\", uplink = \"dsl1\" and direct = true";
    if let [first, second, ..] = given[..] {
        let wrong = format!("the rule has `{first}` too, and can do one thing only");
        return Err(Mistake::new(section.place(second), wrong, right).of_key(second));
    }
    if fallback.is_some() && names.is_none() {
        let wrong = "this says what flows of `uplink` do while it does not work, and the rule names none";
        return Err(Mistake::new(section.place("fallback"), wrong, "add uplink = \"dsl1\", or take the line out")
            .of_key("fallback"));
    }
    match (class, names, direct) {
        (Some(class), ..) => Ok(RuleAction::Class(class)),
        (_, Some(names), _) => Ok(RuleAction::Uplinks(names, fallback.unwrap_or(Fallback::Pool))),
        (.., Some(_)) => Ok(RuleAction::Direct),
        (None, None, None) => {
            let wrong = "the rule does not say what becomes of its flows";
            Err(Mistake::new(section.span.clone(), wrong, format!("add {right}")))
        }
    }
}

/// Refuses what a `direct` rule cannot have: the kernel takes these packets before anybody looks at more than where they go.
fn goes_by_destination_alone(section: &Section<'_, '_>) -> Result<(), Mistake> {
    let direct =
        "packets of a rule with direct = true stay with the kernel, which routes them by their destination alone";
    for key in KEYS.iter().filter(|key| !KEYS_OF_DIRECT.contains(key)) {
        let right = "take this line out; `destination` is all that such a rule may have";
        section.optional(key, |value| Err::<(), _>(Mistake::new(value.span(), direct, right)))?;
    }
    let any = Ipv4Net::default();
    let whole = |value: &Value<'_>| match selectors::network(value)? {
        network if network == any => {
            let right = "the networks that the kernel is to reach, as in \"10.50.0.0/16\"";
            Err(Mistake::new(value.span(), "this is everything, and would leave nothing to the router", right))
        }
        network => Ok(network),
    };
    section.required("destination", "\"10.50.0.0/16\"", |value| list(value, whole)).map(drop)
}

fn ports(
    section: &Section<'_, '_>,
    key: &str,
    protocol: Option<Protocol>,
) -> Result<Vec<RangeInclusive<u16>>, Mistake> {
    let ports = section.optional(key, |value| list(value, selectors::ports))?.unwrap_or_default();
    if !ports.is_empty() && !matches!(protocol, Some(Protocol::Tcp | Protocol::Udp)) {
        let wrong = "ports are of a protocol, and the rule names none that has them";
        return Err(Mistake::new(section.place(key), wrong, "add protocol = \"tcp\" or \"udp\"").of_key(key));
    }
    Ok(ports)
}

fn stickiness(value: &Value<'_>) -> Result<Stickiness, Mistake> {
    values::word(value, &[("never", Stickiness::Never), ("soft", Stickiness::Soft), ("hard", Stickiness::Hard)])
}

#[cfg(test)]
mod tests;
