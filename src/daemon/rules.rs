//! The configuration's rules as the policy has them, and the router's own behind them.
//!
//! A rule is known to flows by a number, which stays its name's while the router runs: a changed configuration may put others
//! before it, take it away and bring it back.

use std::collections::HashMap;
use std::sync::Arc;

use ipnet::Ipv4Net;

use super::hosts::{HostIdentity, Hosts};
use crate::config::{self, Config, RuleAction, UplinkName};
use crate::placement::{Action, Class, Match, Rule, RuleId, Stickiness, UplinkId, UplinkSet, default_rules};

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

/// The rules as things are now: where lines are (`id_of`; a line that has no place has no flows), and which addresses hosts have.
pub(super) fn compiled(
    config: &Config,
    id_of: impl Fn(&UplinkName) -> Option<UplinkId>,
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
                Action::Uplinks(names.iter().filter_map(&id_of).collect(), *fallback)
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
mod tests;
