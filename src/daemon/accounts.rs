//! The hosts' accounts in the loop: who asks is told, who wants too much is named, who is away is let go.

use std::time::Duration;

use tokio::sync::oneshot;

use super::history::{Kind, Record};
use super::offenders::{Offence, does};
use super::places;
use super::report::HostsReport;
use super::router::Router;
use super::uplink::UplinkState;
use crate::engine::Accounts;
use crate::flow::Timestamp;
use crate::placement::UplinkId;

/// How often accounts of hosts that are away are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

fn name_of(uplinks: &[UplinkState], id: UplinkId) -> String {
    places::configured(uplinks)
        .find(|uplink| uplink.id == id)
        .map(|uplink| uplink.config.name.to_string())
        .unwrap_or_default()
}

impl Router<'_> {
    /// Tells who has how much: at once if somebody asked a moment ago, else after the next tick.
    pub(super) fn tell_hosts(&mut self, now: Timestamp, answer: oneshot::Sender<HostsReport>) {
        self.hosts_watch.ask(now, || self.workers.accounts().list());
        self.hosts_watch.waiting.push(answer);
        self.answer_hosts();
    }

    /// Looks at the accounts, if somebody wants to know.
    pub(super) fn look_at_accounts(&mut self, now: Timestamp) {
        self.hosts_watch.tick(now, || self.workers.accounts().list());
        self.answer_hosts();
    }

    fn answer_hosts(&mut self) {
        if self.hosts_watch.waiting.is_empty() {
            return;
        }
        let accounts: &Accounts = self.workers.accounts();
        let Some(view) = self.hosts_watch.view() else { return };
        let mut report = view.report(accounts.limits(), &|id| name_of(&self.uplinks, id));
        for host in &mut report.hosts {
            let Some(address) = host.address else { continue };
            host.name = self.hosts.name_of(address);
            host.mac = self.hosts.mac_of(address).map(|mac| mac.to_string());
        }
        // Whoever asked may have gone away.
        self.hosts_watch.waiting.drain(..).for_each(|answer| drop(answer.send(report.clone())));
    }

    /// Names hosts that were refused something since the last look, and lets go of hosts that are away.
    pub(super) fn watch_limits(&mut self, now: Timestamp) {
        let accounts: &Accounts = self.workers.accounts();
        if now.since(self.offenders.swept) >= SWEEP_INTERVAL {
            self.offenders.swept = now;
            accounts.forget_away(now);
        }
        let refusals = accounts.refusals();
        if refusals == self.offenders.refusals && !self.offenders.has_more {
            return;
        }
        self.offenders.refusals = refusals;
        for Offence { host, limit, refused } in self.offenders.news(now, accounts.refused()) {
            let others = || "a host without an account".to_owned();
            let address = accounts.address_of(host);
            let by = address.map_or_else(others, |address| {
                self.hosts.name_of(address).map_or(address.to_string(), |name| format!("{address} ({name})"))
            });
            let what = does(limit, accounts.limits());
            tracing::warn!(host = %by, refused, "{what}");
            let (by, cause, count) = (Some(by), Some(what), Some(refused));
            self.history.record(Record { kind: Kind::HostLimited, by, cause, count, ..Record::default() });
        }
    }
}
