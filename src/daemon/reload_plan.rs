//! What a changed configuration means for a running router: which lines come, go, or go on with other settings.
//!
//! Pure: two configurations in, a [`Plan`] or the reason why not out. An uplink is known by its name. Its weight, rates, role and
//! interface change in place; what decides about its address makes it a new line, whose old flows end. What the workers, their
//! memory or the LAN side are built from cannot change while they run: that is one clear refusal, and nothing of the file is applied.

use std::fmt;

use crate::config::{Config, Drain, InterfaceName, Rate, Tariff, Uplink, UplinkKind, Web, Workers};
use crate::engine::MovablePorts;

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Uplinks that are no more.
    pub(super) removed: Vec<String>,
    /// Uplinks that become new lines under their old names, and what about them is new.
    pub(super) replaced: Vec<(Uplink, String)>,
    /// Uplinks that were not there.
    pub(super) added: Vec<Uplink>,
    /// Uplinks that go on, and what about them is new.
    pub(super) changed: Vec<(Uplink, String)>,
    /// Names of uplinks that are as they were.
    pub(super) unchanged: Vec<String>,
}

impl Plan {
    /// Whether there is nothing to do for any uplink.
    pub(super) fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.replaced.is_empty() && self.added.is_empty() && self.changed.is_empty()
    }
}

/// A change that needs a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NeedsRestart {
    /// As in the file: section and key.
    key: &'static str,
    from: String,
    to: String,
}

impl fmt::Display for NeedsRestart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, from, to } = self;
        write!(
            f,
            "{key} cannot change from {from} to {to} while the router runs, and nothing was applied; restart the router, \
             which keeps its connections, or put the old value back"
        )
    }
}

/// What leads from `old` to `new`.
///
/// # Errors
/// When something is different that cannot change in a running router: the first such thing.
pub(super) fn plan(old: &Config, new: &Config) -> Result<Plan, NeedsRestart> {
    fixed(old, new)?;
    let named = |uplinks: &[Uplink], name| uplinks.iter().find(|uplink| uplink.name == name).cloned();
    let removed = old.uplinks.iter().filter(|uplink| named(&new.uplinks, uplink.name.clone()).is_none());
    let mut plan = Plan { removed: removed.map(|uplink| uplink.name.to_string()).collect(), ..Plan::default() };
    for uplink in &new.uplinks {
        match named(&old.uplinks, uplink.name.clone()) {
            None => plan.added.push(uplink.clone()),
            Some(before) if before.kind != uplink.kind => {
                let what = match (kind(&before), kind(uplink)) {
                    (before, after) if before == after => "another way to sign in".to_owned(),
                    (before, after) => format!("{before} -> {after}"),
                };
                plan.replaced.push((uplink.clone(), what));
            }
            Some(before) if before != *uplink => plan.changed.push((uplink.clone(), differences(&before, uplink))),
            Some(_) => plan.unchanged.push(uplink.name.to_string()),
        }
    }
    Ok(plan)
}

/// What must be as it was.
fn fixed(old: &Config, new: &Config) -> Result<(), NeedsRestart> {
    let same = |key, from: String, to: String| if from == to { Ok(()) } else { Err(NeedsRestart { key, from, to }) };
    let workers = |config: &Config| match config.router.workers {
        Workers::Auto => "auto".to_owned(),
        Workers::Count(count) => count.to_string(),
    };
    let lans = |config: &Config| {
        let names: Vec<_> = config.lan.interfaces.iter().map(InterfaceName::as_str).collect();
        names.join(", ")
    };
    let ports = |ports: MovablePorts| {
        let all: Vec<_> = ports.iter().map(|port| port.to_string()).collect();
        if all.is_empty() { "none".to_owned() } else { all.join(", ") }
    };
    let (a, b) = (&old.router, &new.router);
    same("[router] state_dir", a.state_dir.display().to_string(), b.state_dir.display().to_string())?;
    same("[router] run_dir", a.run_dir.display().to_string(), b.run_dir.display().to_string())?;
    same("[router] workers", workers(old), workers(new))?;
    same("[router] flows", a.flows.to_string(), b.flows.to_string())?;
    same("[router] shortcut", a.shortcut.to_string(), b.shortcut.to_string())?;
    same("[router] movable_udp", ports(a.movable_udp), ports(b.movable_udp))?;
    let listen = |web: &Option<Web>| web.as_ref().map_or("none".to_owned(), |web| web.listen.to_string());
    same("[web] listen", listen(&old.web), listen(&new.web))?;
    let tls = |web: &Option<Web>| web.as_ref().map_or("none".to_owned(), |web| web.tls.to_string());
    same("[web] tls", tls(&old.web), tls(&new.web))?;
    same("[lan] tun", old.lan.tun.to_string(), new.lan.tun.to_string())?;
    same("[lan] capture", old.lan.capture.name().to_owned(), new.lan.capture.name().to_owned())?;
    same("[lan] interface", lans(old), lans(new))
}

fn kind(uplink: &Uplink) -> String {
    match &uplink.kind {
        UplinkKind::Static { address, gateway } => format!("{address} by {gateway}"),
        UplinkKind::Pppoe(login) => format!("pppoe as {}", login.account.username),
        UplinkKind::Dhcp => "dhcp".to_owned(),
        UplinkKind::Adopted { gateway: Some(gateway) } => format!("adopted by {gateway}"),
        UplinkKind::Adopted { gateway: None } => "adopted".to_owned(),
    }
}

/// What is different about an uplink that goes on, in words.
fn differences(before: &Uplink, after: &Uplink) -> String {
    let rate =
        |rate: Option<Rate>| rate.map_or("unknown".to_owned(), |rate| format!("{} bit/s", rate.bits_per_second()));
    let drain = |drain| match drain {
        Drain::After(span) => format!("{} s", span.as_secs()),
        Drain::Never => "never".to_owned(),
    };
    let facts = |uplink: &Uplink| {
        [
            ("interface", uplink.interface.to_string()),
            ("weight", uplink.weight.to_string()),
            ("download", rate(uplink.download)),
            ("upload", rate(uplink.upload)),
            ("role", uplink.role.name().to_owned()),
            ("metered", (uplink.tariff == Tariff::Metered).to_string()),
            ("drain", drain(uplink.drain)),
        ]
    };
    let pairs = facts(before).into_iter().zip(facts(after));
    let differ = pairs.filter(|(from, to)| from != to);
    let mut said: Vec<_> = differ.map(|((key, from), (_, to))| format!("{key} {from} -> {to}")).collect();
    if said.is_empty() {
        said.push("other settings".to_owned());
    }
    said.join(", ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config;

    const ROUTER: &str = "[router]\nworkers = 2\n[lan]\ninterface = \"lan0\"\n";

    fn config(text: &str) -> Config {
        config::parse(Path::new("f"), text).unwrap()
    }

    fn uplink(number: u8, more: &str) -> String {
        format!(
            "[[uplink]]\nname = \"dsl{number}\"\ninterface = \"wan{number}\"\nkind = \"static\"\n\
             address = \"10.77.{number}.2/24\"\ngateway = \"10.77.{number}.1\"\n{more}\n"
        )
    }

    fn with(uplinks: &[String]) -> Config {
        config(&format!("{ROUTER}{}", uplinks.concat()))
    }

    #[test]
    fn lines_come_go_and_change_by_name() {
        let old = with(&[uplink(1, ""), uplink(2, ""), uplink(3, ""), uplink(4, "")]);
        let moved = uplink(3, "").replace("10.77.3.2", "10.77.3.9");
        let new = with(&[uplink(7, ""), moved, uplink(2, "weight = 3\nupload = \"2mbit\""), uplink(4, "")]);
        let plan = plan(&old, &new).unwrap();
        assert_eq!(plan.removed, ["dsl1"]);
        assert_eq!(plan.added.iter().map(|uplink| uplink.name.to_string()).collect::<Vec<_>>(), ["dsl7"]);
        let said = |lines: &[(Uplink, String)]| lines.iter().map(|(_, what)| what.clone()).collect::<Vec<_>>();
        assert_eq!(said(&plan.replaced), ["10.77.3.2/24 by 10.77.3.1 -> 10.77.3.9/24 by 10.77.3.1"]);
        assert_eq!(said(&plan.changed), ["weight 1 -> 3, upload unknown -> 2000000 bit/s"]);
        assert_eq!(plan.unchanged, ["dsl4"]);
        assert!(super::plan(&old, &old).unwrap().is_empty());
    }

    #[test]
    fn interface_changes_in_place_and_a_rate_may_change_the_weights_of_all() {
        let old = with(&[uplink(1, "download = \"50mbit\""), uplink(2, "download = \"16mbit\"")]);
        let renamed = uplink(1, "download = \"50mbit\"").replace("\"wan1\"", "\"usb7\"");
        let new = with(&[renamed, uplink(2, "")]);
        let plan = plan(&old, &new).unwrap();
        let said: Vec<_> = plan.changed.iter().map(|(_, what)| what.as_str()).collect();
        let second = "weight 16 -> 1, download 16000000 bit/s -> unknown";
        assert_eq!(said, ["interface wan1 -> usb7, weight 50 -> 1", second]);
    }

    #[test]
    fn what_needs_a_restart_is_named_with_its_key() {
        let old = with(&[uplink(1, "")]);
        let text = format!("{ROUTER}{}", uplink(1, "weight = 9"));
        for (from, to, key) in [
            ("workers = 2", "workers = 3", "[router] workers cannot change from 2 to 3"),
            ("workers = 2", "workers = 2\nflows = 2048", "[router] flows"),
            (
                "workers = 2",
                "workers = 2\nrun_dir = \"/run/x\"",
                "[router] run_dir cannot change from /run/potato to /run/x",
            ),
            ("workers = 2", "workers = 2\nstate_dir = \"/x\"", "[router] state_dir"),
            ("workers = 2", "workers = 2\nshortcut = false", "[router] shortcut"),
            ("\"lan0\"", "[\"lan0\", \"lan1\"]", "[lan] interface cannot change from lan0 to lan0, lan1"),
            ("\"lan0\"", "\"lan0\"\ncapture = \"tun\"", "[lan] capture cannot change from auto to tun"),
            ("\"lan0\"", "\"lan0\"\ntun = \"x\"", "[lan] tun"),
        ] {
            let said = plan(&old, &config(&text.replace(from, to))).unwrap_err().to_string();
            assert!(said.starts_with(key) && said.contains("restart"), "{said}");
        }
    }
}
