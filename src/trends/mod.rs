//! Trends: what lines carry, lose and take, for the page's plots and for Prometheus.
//!
//! Theory of operation: a task beside the router looks at the lines each second and at the hosts' accounts every five. What has
//! happened between two looks goes into buckets of a second, a minute, ten minutes and an hour (`rollup`, which knows
//! neither clocks nor disks), and those into `state_dir/trends.db` (`store`), a ring for each length. One thread has both
//! for its own (`keeper`); a disk that is full, slow, read-only or broken makes the plots shorter and stops nothing.
//! `routes` are `GET /v1/history` and `/v1/history/hosts`. The task hands them to the API, because whoever serves the API
//! (the control socket, the page) then has them, and knows nothing of trends.
//!
//! `metrics` are the numbers of now, for Prometheus, on a listener of their own.

mod bucket;
mod hosts;
mod keeper;
mod metrics;
pub mod report;
mod rollup;
mod routes;
mod store;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use crossbeam::channel::{Sender, bounded};
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;
use utoipa::OpenApi;

use self::keeper::{Keeper, Message};
use self::report::{HistoryQuery, HistoryReport, HostDaysQuery, HostDaysReport};
use self::rollup::{Look, Sample};
use crate::daemon::Handle;
use crate::daemon::report::{DayReport, StatusReport, UplinkReport};
use crate::engine::HostAccount;
use crate::placement::Availability;
use crate::sys::clock;

pub use metrics::serve as serve_metrics;

/// The file in the state directory.
const FILE: &str = "trends.db";
/// How often lines are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Accounts are looked at each time that lines have been so often.
const LOOKS_AN_ACCOUNT: u32 = 5;
/// Looks, and questions, that may wait for the disk.
const WAITING: usize = 64;
/// At the end the disk has this long for what waits.
const LONGEST_END: Duration = Duration::from_millis(1_500);
/// Days of hosts that are told when nobody says how many, and at most.
const DAYS: u32 = 7;
const MOST_DAYS: u32 = 31;
/// Seconds of a day.
const DAY: i64 = 86_400;

/// Keeps the trends until it is dropped.
#[must_use]
pub fn serve(router: Handle) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    let state_dir = router.config().borrow().router.state_dir.clone();
    let told = router.clone();
    let started = Trends::start(&state_dir, move |today| told.tell_today(today));
    if let Ok(trends) = &started {
        router.add_paths(&routes::routes(trends.clone()), &routes::Document::openapi());
    }
    Box::pin(async move {
        match started {
            Ok(trends) => look_on(&router, &trends).await,
            Err(error) => warn!(%error, "no thread for the lines' history; none is kept"),
        }
    })
}

/// Looks at the router again and again, until that stops.
async fn look_on(router: &Handle, trends: &Trends) {
    let _end = End(trends);
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for looks in 0_u32.. {
        ticks.tick().await;
        let Some(status) = router.status().await else { return };
        trends.look(status);
        if looks % LOOKS_AN_ACCOUNT == 0 {
            let Some(accounts) = router.accounts().await else { return };
            trends.look_at_accounts(accounts);
        }
    }
}

/// Has everything kept when the looking ends.
struct End<'t>(&'t Trends);

impl Drop for End<'_> {
    fn drop(&mut self) {
        let (answer, answered) = bounded(1);
        let asked = self.0.queue.send_timeout(Message::Finish(answer), LONGEST_END);
        if asked.is_err() || answered.recv_timeout(LONGEST_END).is_err() {
            warn!("the lines' last half minute is not kept: the disk of state_dir is too slow for it");
        }
    }
}

/// The way to the trends. Clones lead to the same ones.
#[derive(Clone, Debug)]
struct Trends {
    queue: Sender<Message>,
}

impl Trends {
    /// `tell` is told what hosts have used today, each time that accounts were looked at.
    fn start(state_dir: &Path, tell: impl Fn(BTreeMap<Ipv4Addr, DayReport>) + Send + 'static) -> std::io::Result<Self> {
        let (queue, waiting) = bounded(WAITING);
        let keeper = Keeper::new(state_dir.join(FILE), tell);
        std::thread::Builder::new().name("trends".to_owned()).spawn(move || keeper.run(&waiting))?;
        Ok(Self { queue })
    }

    /// Takes in how the lines are now. Does not wait: a look that finds no room is left out.
    fn look(&self, status: StatusReport) {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (wall, monotonic) = (milliseconds(clock::wall()), milliseconds(clock::monotonic()));
        let lines = status.uplinks.into_iter().map(sample).collect();
        let _left_out = self.queue.try_send(Message::Look(Look { wall, monotonic, lines }));
    }

    /// Takes in the accounts as they are now; does not wait either.
    fn look_at_accounts(&self, accounts: Vec<HostAccount>) {
        let _left_out = self.queue.try_send(Message::Accounts(local_day(), accounts));
    }

    async fn history(&self, query: HistoryQuery) -> Result<HistoryReport, String> {
        self.ask(|answer| Message::History(clock::wall().as_secs(), query, answer)).await
    }

    async fn host_days(&self, query: HostDaysQuery) -> Result<HostDaysReport, String> {
        let (today, days) = (local_day(), query.days.unwrap_or(DAYS).clamp(1, MOST_DAYS));
        self.ask(|answer| Message::HostDays(today + 1 - i64::from(days), today, answer)).await
    }

    async fn ask<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> Result<T, String> {
        let (answer, answered) = oneshot::channel();
        let busy = |_| "the disk of state_dir is too slow for the lines' history; try again".to_owned();
        self.queue.try_send(message(answer)).map_err(busy)?;
        answered.await.map_err(|_| "the lines' history has ended".to_owned())
    }
}

/// The day by the router's clock, since 1970.
fn local_day() -> i64 {
    let now = clock::wall().as_secs();
    now.saturating_add_signed(clock::utc_offset(now)).cast_signed() / DAY
}

/// What matters of a line here.
fn sample(uplink: UplinkReport) -> Sample {
    let health = uplink.health.unwrap_or_default();
    Sample {
        state: Availability::ALL.into_iter().find(|state| state.name() == uplink.state),
        name: uplink.name,
        in_bytes: uplink.back.bytes,
        out_bytes: uplink.out.bytes,
        loss_percent: health.loss_15s_percent,
        round_trips: health.round_trips.count(),
        round_trip_total: u64::try_from(health.round_trips.total.as_micros()).unwrap_or(u64::MAX),
    }
}
