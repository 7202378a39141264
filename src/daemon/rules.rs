//! The configuration's rules as the policy has them, and the router's own behind them.
//!
//! A rule is known to flows by a number, which stays its name's while the router runs: a changed configuration may put others
//! before it, take it away and bring it back.

use std::collections::HashMap;
use std::sync::Arc;

use ipnet::Ipv4Net;

use super::hosts::{HostIdentity, Hosts};
use super::places;
use super::uplink::UplinkState;
use crate::config::{self, Config, RuleAction};
use crate::placement::{Action, Class, Match, Rule, RuleId, Stickiness, UplinkSet, default_rules};

/// The numbers of rules, by their names.
#[derive(Debug, Default)]
pub(super) struct RuleIds {
    /// The first is that of number 1: 0 is none.
    names: Vec<Arc<str>>,
    ids: HashMap<Arc<str>, RuleId>,
}

impl RuleIds {
    /// The numbers of a configuration's rules and the router's own.
    pub(super) fn new(config: &Config) -> Self {
        let mut ids = Self::default();
        ids.learn(config);
        ids
    }

    /// Gives the rules that are new a number. When all are given away, further ones have none: 65,535 names in one run.
    pub(super) fn learn(&mut self, config: &Config) {
        let own = default_rules().map(|(name, _)| name);
        for name in own.chain(config.rules.iter().map(|rule| rule.name.as_str())) {
            if !self.ids.contains_key(name)
                && let Ok(number) = u16::try_from(self.names.len() + 1)
            {
                let name: Arc<str> = name.into();
                self.names.push(Arc::clone(&name));
                self.ids.insert(name, RuleId(number));
            }
        }
    }

    /// The number of a rule.
    pub(super) fn of(&self, name: &str) -> RuleId {
        self.ids.get(name).copied().unwrap_or_default()
    }

    /// The rule of a number; `None`: no rule.
    pub(super) fn name(&self, id: RuleId) -> Option<&Arc<str>> {
        self.names.get(usize::from(id.0).checked_sub(1)?)
    }
}

/// The rules as things are now: where lines are, and which addresses hosts have.
pub(super) fn compiled(
    config: &Config,
    uplinks: &[UplinkState],
    hosts: &Hosts,
    ids: &RuleIds,
    isolated: UplinkSet,
) -> Vec<Rule> {
    let rule = |name: &str, matches, action, stickiness| {
        let (id, name) = (ids.of(name), name.into());
        Rule { id, name, matches, action, stickiness }
    };
    let of_file = config.rules.iter().filter_map(|configured| {
        let action = match &configured.action {
            RuleAction::Class(class) => Action::Class(*class),
            RuleAction::Uplinks(names, fallback) => {
                let known = names.iter().filter_map(|name| places::named(uplinks, name));
                Action::Uplinks(known.map(|uplink| uplink.id).collect(), *fallback)
            }
            // The kernel's: no such packet comes here.
            RuleAction::Direct => return None,
        };
        Some(rule(&configured.name, matches(configured, hosts), action, configured.stickiness))
    });
    // Without a line of their own, these flows are like others.
    let has_own = config.router.default_rules && !isolated.is_empty();
    let own = default_rules()
        .filter(|_| has_own)
        .map(|(name, matches)| rule(name, matches, Action::Class(Class::Isolated), Stickiness::Default));
    of_file.chain(own).collect()
}

/// Which flows a rule is for, its hosts by the addresses that they have now.
fn matches(rule: &config::Rule, hosts: &Hosts) -> Match {
    if rule.macs.is_empty() {
        return rule.matches.clone();
    }
    let named = rule.macs.iter().flat_map(|mac| hosts.addresses(&HostIdentity::Mac(*mac)));
    let is_meant = |address: &std::net::Ipv4Addr| {
        rule.matches.sources.as_ref().is_none_or(|networks| networks.iter().any(|network| network.contains(address)))
    };
    let sources = named.filter(is_meant).map(Ipv4Net::from).collect();
    Match { sources: Some(sources), ..rule.matches.clone() }
}

/// Where rules with `direct = true` lead to: the kernel's, as if it had routes of its own there.
pub(super) fn direct_networks(config: &Config) -> Vec<Ipv4Net> {
    let direct = config.rules.iter().filter(|rule| rule.action == RuleAction::Direct);
    direct.flat_map(|rule| &rule.matches.destinations).copied().collect()
}

/// What is different about the rules of two configurations, a line of text each.
pub(super) fn changes(old: &Config, new: &Config) -> Vec<String> {
    fn named<'c>(config: &'c Config, name: &str) -> Option<&'c config::Rule> {
        config.rules.iter().find(|rule| rule.name == name)
    }
    let removed = old.rules.iter().filter(|rule| named(new, &rule.name).is_none());
    let mut said: Vec<_> = removed.map(|rule| format!("removed rule {}", rule.name)).collect();
    for rule in &new.rules {
        match named(old, &rule.name) {
            None => said.push(format!("added rule {}", rule.name)),
            Some(before) if before != rule => said.push(format!("rule {} set", rule.name)),
            Some(_) => {}
        }
    }
    let stayed = |config: &Config, other: &Config| -> Vec<String> {
        let both = config.rules.iter().filter(|rule| named(other, &rule.name).is_some());
        both.map(|rule| rule.name.clone()).collect()
    };
    if stayed(old, new) != stayed(new, old) {
        said.push("rules in another order".to_owned());
    }
    if old.router.default_rules != new.router.default_rules {
        said.push(format!("default rules {}", if new.router.default_rules { "on" } else { "off" }));
    }
    said
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config(rules: &str) -> Config {
        let text = format!(
            "[lan]\ninterface = \"lan0\"\n[[uplink]]\nname = \"dsl1\"\ninterface = \"wan1\"\nkind = \"dhcp\"\n{rules}"
        );
        config::parse(Path::new("f"), &text).unwrap()
    }

    fn rule(name: &str, rest: &str) -> String {
        format!("[[rule]]\nname = \"{name}\"\n{rest}\n")
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
        let compile = |isolated| compiled(&config, &[], &Hosts::default(), &RuleIds::new(&config), isolated);
        let rules = compile(UplinkSet::NONE);
        assert_eq!(rules.iter().map(|rule| &*rule.name).collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(rules[0].matches.destination_ports, [22..=22, 8_000..=8_100]);
        // A line that has no place has no flows.
        assert_eq!(rules[1].action, Action::Uplinks(UplinkSet::NONE, crate::placement::Fallback::Refuse));
        assert_eq!(rules[1].stickiness, Stickiness::Hard);
        let rules = compile(UplinkSet::ALL);
        assert!(rules.len() > 2 && rules[2..].iter().all(|rule| rule.name.starts_with("default:")));
        let mut off = config.clone();
        off.router.default_rules = false;
        assert_eq!(compiled(&off, &[], &Hosts::default(), &RuleIds::new(&off), UplinkSet::ALL).len(), 2);
    }

    #[test]
    fn rule_for_a_host_that_nobody_has_seen_is_for_nobody() {
        let config = config(&rule("tv", "mac = \"02:00:5e:10:00:01\"\nsource = \"192.168.10.0/24\"\nclass = \"bulk\""));
        let rules = compiled(&config, &[], &Hosts::default(), &RuleIds::new(&config), UplinkSet::NONE);
        assert_eq!(rules[0].matches.sources, Some(Vec::new()));
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
}
