//! The demonstration: a LAN of four hosts, six internet lines of different speeds and an internet, all in network
//! namespaces, with the router between them and live traffic through it.
//!
//! [`run`] builds the lab, starts this same program as the router, lets the hosts work, has lines fail and recover now and
//! then, shows a table that is redrawn each second (plain lines when the output is no terminal), and at the end says what each
//! line has carried, and what has become of everybody's requests. It leaves nothing behind, and touches nothing outside its
//! namespaces.

pub mod lab;
pub mod server;

mod fault;
mod outages;
mod pages;
mod schedule;
mod table;
mod task;
mod traffic;
mod troubles;
mod variety;

use std::io::{self, IsTerminal, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::Value;

use crate::sys::clock;
use lab::{
    Capture, Lab, LabError, LabOptions, NAME_SERVER, PAGES_PORT, ROUTER_ADDRESS, Router, SERVER, StopSignals,
    UplinkOptions, host_address, router::uplinks_of,
};
use outages::Outages;
use pages::Pages;
use server::Servers;
use table::{Bars, HostRow, LineRow, Picture};
use traffic::{BusyHost, Witness};
use troubles::Troubles;

pub use troubles::Mood;

use crate::web::people::password::Password;
use crate::web::people::{PeopleError, Role, Store};

/// LAN hosts.
const HOSTS: u8 = 4;
/// Down and up, in Mbit/s: two good lines, and the rest as villages have them.
const SPEEDS: [(u32, u32); 6] = [(50, 10), (20, 5), (20, 5), (10, 2), (6, 1), (16, 4)];
/// Between two looks at the router.
const REDRAW_EVERY: Duration = Duration::from_secs(1);
/// Who may take lines down in the demo.
const USER: &str = "operator";
const PASSWORD: &str = "potato";

/// Why the demo could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The lab could not be built, or the router did not start in it.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// Nobody can sign in.
    #[error(transparent)]
    People(#[from] PeopleError),
    /// The output is gone, or this program cannot find itself.
    #[error("{action}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The system's answer.
        source: io::Error,
    },
}

/// Shows the demo for `time`, or until SIGINT or SIGTERM; its lines fail now and then, or do not, as `mood` says.
///
/// # Errors
/// When not root, without `/dev/net/tun` or `ip`, or when the router fails; the message says what to do.
pub fn run(time: Option<Duration>, mood: Mood) -> Result<(), DemoError> {
    let failed = |action| move |source| DemoError::Io { action, source };
    let binary = std::env::current_exe().map_err(failed("finding this program"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(failed("starting"))?;
    say("Building 4 hosts, 6 lines and an internet ...").map_err(failed("standard output"))?;
    // From here on a signal is kept until the table asks for it, so nothing is left half-built.
    let mut stop = runtime.block_on(async { StopSignals::take() })?;
    let lab = Lab::build(options())?;
    let servers = Servers::start(lab.internet())?;
    add_user(&lab)?;
    let router = lab.start_router(&binary, Capture::Auto)?;
    let pages = Pages::open(lab.router(), SocketAddr::from((ROUTER_ADDRESS, PAGES_PORT)))?;
    let sign_in = format!("sign in as {USER} with the password {PASSWORD} to take lines down and put them back");
    say(&format!("The page of potatoes: {}\n({sign_in})", pages.url())).map_err(failed("standard output"))?;
    let outages = Outages::default();
    let witness = Witness { visitors: servers.visitors(), outages: outages.clone(), lines: addresses(&lab) };
    let start = |number| BusyHost::start(lab.host(number), number, witness.clone());
    let hosts = (1..=HOSTS).map(start).collect::<Result<Vec<_>, _>>()?;
    let mut show = Show::new(&lab, &servers, router, hosts, (time, pages.url()), (mood, outages));
    let shown = runtime.block_on(async {
        tokio::select! { shown = show.run() => shown, () = stop.wait() => Ok(()) }
    });
    let summary = show.end(shown.is_ok())?;
    drop((pages, servers, lab));
    shown?;
    say(&format!("\n{summary}\n Everything is removed again.")).map_err(failed("standard output"))
}

/// Adds the one whom everybody may be.
fn add_user(lab: &Lab) -> Result<(), DemoError> {
    let mut store = Store::open(&lab.directory().join("state"))?;
    // Too short for anything but a demo.
    let password = Password::typed(PASSWORD.to_owned()).hash().map_err(PeopleError::from)?;
    let name = USER.parse().map_err(PeopleError::from)?;
    Ok(store.add_user(&name, Role::Operator, &password, clock::wall().as_secs())?)
}

/// Six lines of different speeds.
fn options() -> LabOptions {
    let mut options = LabOptions::new(HOSTS, 0);
    options.uplinks = (1..)
        .zip(SPEEDS)
        .map(|(number, (down, up))| UplinkOptions {
            download_mbit: Some(down),
            upload_mbit: Some(up),
            ..UplinkOptions::numbered(number)
        })
        .collect();
    options.pages = true;
    options.pages_settings += "look = \"anyone\"\n";
    // The internet of the lab has no others.
    options.health_targets = vec!["gateway".to_owned(), NAME_SERVER.to_string(), SERVER.to_string()];
    options
}

/// The addresses of the lines, in their order.
fn addresses(lab: &Lab) -> Arc<[IpAddr]> {
    lab.options().uplinks.iter().map(|uplink| IpAddr::V4(uplink.address)).collect()
}

/// Bytes of an uplink, each way.
#[derive(Clone, Copy, Debug, Default)]
struct Carried {
    down: u64,
    up: u64,
}

/// The running demo.
struct Show<'a> {
    lab: &'a Lab,
    servers: &'a Servers,
    router: Router,
    hosts: Vec<BusyHost>,
    time: Option<Duration>,
    url: String,
    started: Duration,
    screen: Screen,
    before: Vec<Carried>,
    looked: Duration,
    troubles: Troubles,
    outages: Outages,
    /// What has befallen a line, the last time.
    news: Option<String>,
}

impl<'a> Show<'a> {
    fn new(
        lab: &'a Lab,
        servers: &'a Servers,
        router: Router,
        hosts: Vec<BusyHost>,
        (time, url): (Option<Duration>, String),
        (mood, outages): (Mood, Outages),
    ) -> Self {
        let (started, lines) = (clock::monotonic(), lab.options().uplinks.len());
        Self {
            lab,
            servers,
            router,
            hosts,
            time,
            url,
            started,
            screen: Screen::open(),
            before: vec![Carried::default(); lines],
            looked: started,
            troubles: Troubles::new(mood, lines, outages.clone()),
            outages,
            news: None,
        }
    }

    /// Redraws each second, and has lines fail and recover, until the time is up.
    async fn run(&mut self) -> Result<(), DemoError> {
        let mut ticks = tokio::time::interval(REDRAW_EVERY);
        loop {
            let due = self.troubles.poll_timeout().map(|due| due.saturating_sub(self.elapsed()));
            tokio::select! {
                _ = ticks.tick() => {}
                () = tokio::time::sleep(due.unwrap_or_default()), if due.is_some() => {
                    self.make_trouble()?;
                    continue;
                }
            }
            let (status, now) = (self.router.status()?, clock::monotonic());
            let picture = self.picture(&status, now, self.looked);
            self.screen.draw(&picture).map_err(|source| DemoError::Io { action: "standard output", source })?;
            if picture.remaining == Some(Duration::ZERO) {
                return Ok(());
            }
            self.before = uplinks_of(&status).map(carried).collect();
            self.looked = now;
        }
    }

    fn elapsed(&self) -> Duration {
        clock::monotonic().saturating_sub(self.started)
    }

    /// Has befall the lines what is due, and says so.
    fn make_trouble(&mut self) -> Result<(), DemoError> {
        let elapsed = self.elapsed();
        for news in self.troubles.handle_timeout(self.lab, elapsed, clock::monotonic())? {
            self.screen.tell(elapsed, &news).map_err(|source| DemoError::Io { action: "standard output", source })?;
            self.news = Some(news);
        }
        Ok(())
    }

    /// Stops all, and gives the summary if all went `well`.
    fn end(mut self, well: bool) -> Result<String, DemoError> {
        if !well {
            return Ok(String::new());
        }
        let (status, now) = (self.router.status()?, clock::monotonic());
        self.before.fill(Carried::default());
        let picture = self.picture(&status, now, self.started);
        drop(self.screen);
        self.hosts.clear();
        self.router.terminate()?;
        Ok(picture.summary().join("\n"))
    }

    /// All that is to be shown `now`; rates are those since `since`.
    fn picture(&self, status: &Value, now: Duration, since: Duration) -> Picture {
        let elapsed = now.saturating_sub(self.started);
        let span = now.saturating_sub(since);
        let lines = uplinks_of(status).enumerate().map(|(index, uplink)| self.line_row(index, uplink, span)).collect();
        let hosts = (1..).zip(&self.hosts).map(|(number, host)| host_row(number, host)).collect();
        Picture {
            lines,
            hosts,
            url: self.url.clone(),
            news: self.news.clone(),
            outages: self.outages.count(),
            elapsed,
            remaining: self.time.map(|time| time.saturating_sub(elapsed)),
        }
    }

    fn line_row(&self, index: usize, uplink: &Value, span: Duration) -> LineRow {
        let options = &self.lab.options().uplinks[index];
        let (now, before) = (carried(uplink), self.before.get(index).copied().unwrap_or_default());
        LineRow {
            name: text(&uplink["name"]),
            state: text(&uplink["state"]),
            address: options.address.to_string(),
            down_bits_per_second: bits_per_second(before.down, now.down, span),
            up_bits_per_second: bits_per_second(before.up, now.up, span),
            down_mbit: options.download_mbit.unwrap_or(0),
            up_mbit: options.upload_mbit.unwrap_or(0),
            flows: uplink["flows"].as_u64().unwrap_or(0),
            bytes: now.down + now.up,
            connections: self.servers.connections_from(IpAddr::V4(options.address)),
        }
    }
}

fn host_row(number: u8, host: &BusyHost) -> HostRow {
    let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let counters = &host.counters;
    HostRow {
        name: format!("h{number}"),
        address: host_address(number).to_string(),
        downloads: read(&counters.downloads),
        uploads: read(&counters.uploads),
        requests: read(&counters.requests),
        names: read(&counters.names),
        cut_off: read(&counters.cut_off),
        failed: read(&counters.failed),
        bytes: read(&counters.received_bytes) + read(&counters.sent_bytes),
    }
}

fn carried(uplink: &Value) -> Carried {
    Carried { down: uplink["in"]["bytes"].as_u64().unwrap_or(0), up: uplink["out"]["bytes"].as_u64().unwrap_or(0) }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("?").to_owned()
}

fn bits_per_second(before: u64, now: u64, span: Duration) -> u64 {
    let milliseconds = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    now.saturating_sub(before).saturating_mul(8_000).checked_div(milliseconds).unwrap_or(0)
}

fn say(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{text}")?;
    output.flush()
}

/// Standard output: a terminal's alternate screen, given back when dropped, or plain lines.
#[derive(Debug)]
enum Screen {
    Terminal(Bars),
    Plain,
}

impl Screen {
    fn open() -> Self {
        if !io::stdout().is_terminal() {
            return Self::Plain;
        }
        let _ = say("\x1b[?1049h\x1b[?25l\x1b[2J");
        let locale =
            ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| std::env::var(name).ok()).unwrap_or_default();
        let blocks = locale.to_uppercase().replace('-', "").contains("UTF8");
        Self::Terminal(if blocks { Bars::Blocks } else { Bars::Ascii })
    }

    /// Says what has befallen a line, where that scrolls away; the picture has it otherwise.
    fn tell(&self, elapsed: Duration, news: &str) -> io::Result<()> {
        match self {
            Self::Plain => say(&format!("{:>4} s  {news}", elapsed.as_secs())),
            Self::Terminal(_) => Ok(()),
        }
    }

    fn draw(&self, picture: &Picture) -> io::Result<()> {
        match self {
            Self::Plain => say(&picture.plain()),
            Self::Terminal(bars) => {
                // To the top left; each row clears what it had before, the last one all below.
                let rows = picture.screen(*bars).join("\x1b[K\r\n");
                let mut output = io::stdout().lock();
                write!(output, "\x1b[H{rows}\x1b[K\x1b[J")?;
                output.flush()
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if matches!(self, Self::Terminal(_)) {
            let _ = say("\x1b[?25h\x1b[?1049l");
        }
    }
}
