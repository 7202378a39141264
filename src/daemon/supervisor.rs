//! What the service manager is told: sd_notify(3), the protocol of systemd's `Type=notify`.
//!
//! Theory of operation: whoever starts us may name a datagram socket (`NOTIFY_SOCKET`) and a time within which it wants to hear
//! of us (`WATCHDOG_USEC`). We are ready as soon as a line works, for then packets are carried; where none does, after
//! [`READY_WITHOUT_LINES`], for a router without internet is still one that has started. The loop tells that it is alive, so a
//! loop that hangs is noticed. Nobody is ever waited for: a message that does not fit into the socket is lost, and the next one
//! says the same.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use tracing::{debug, warn};

use crate::flow::Timestamp;

/// We say that we are ready when no line has worked for so long: less than the 90 s that systemd waits by itself.
const READY_WITHOUT_LINES: Duration = Duration::from_secs(10);
/// We say that we are alive so many times in the time that the service manager allows.
const SIGNS_OF_LIFE: u32 = 3;

/// What the service manager has put into the environment.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    /// `NOTIFY_SOCKET`.
    socket: Option<OsString>,
    /// `WATCHDOG_USEC`, if it is meant for us.
    watchdog: Option<Duration>,
}

impl Wishes {
    /// Those of this process's environment.
    pub(super) fn of_environment() -> Self {
        let own = std::process::id();
        Self::new(|name| std::env::var_os(name), own)
    }

    fn new(variable: impl Fn(&str) -> Option<OsString>, own: u32) -> Self {
        let number = |name| variable(name).and_then(|text| text.to_str()?.parse::<u64>().ok());
        let is_ours = variable("WATCHDOG_PID").is_none() || number("WATCHDOG_PID") == Some(own.into());
        let watchdog = number("WATCHDOG_USEC").filter(|span| is_ours && *span > 0).map(Duration::from_micros);
        Self { socket: variable("NOTIFY_SOCKET"), watchdog }
    }
}

/// Where we are in our life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Leaves by: a line works, or none has for too long -> Ready.
    Starting { since: Timestamp },
    /// For good.
    Ready,
}

/// The service manager, if there is one that listens.
#[derive(Debug)]
pub(super) struct Supervisor {
    listener: Option<(UnixDatagram, SocketAddr)>,
    phase: Phase,
    /// How often to say that we are alive.
    sign_every: Option<Duration>,
    signed_at: Option<Timestamp>,
    /// Lines that work and all lines, as last told.
    told: Option<(usize, usize)>,
}

impl Supervisor {
    /// One with these wishes. A socket that cannot be reached is none.
    pub(super) fn new(now: Timestamp, wishes: &Wishes) -> Self {
        let open = |name: &OsString| match open(name) {
            Ok(listener) => Some(listener),
            Err(error) => {
                warn!(socket = %name.display(), %error, "the service manager cannot be told anything");
                None
            }
        };
        Self {
            listener: wishes.socket.as_ref().and_then(open),
            phase: Phase::Starting { since: now },
            sign_every: wishes.watchdog.map(|within| within / SIGNS_OF_LIFE),
            signed_at: None,
            told: None,
        }
    }

    /// Whether somebody listens; else nothing need be found out for him.
    pub(super) fn is_there(&self) -> bool {
        self.listener.is_some()
    }

    /// The loop has taken another turn, and so many lines of all work.
    pub(super) fn handle_turn(&mut self, now: Timestamp, working: usize, all: usize) {
        let mut words = Vec::new();
        if let Phase::Starting { since } = self.phase
            && (working > 0 || now.since(since) >= READY_WITHOUT_LINES)
        {
            self.phase = Phase::Ready;
            words.push("READY=1".to_owned());
        }
        if self.told != Some((working, all)) {
            self.told = Some((working, all));
            words.push(format!("STATUS={}", lines_up(working, all)));
        }
        if let Some(every) = self.sign_every
            && self.signed_at.is_none_or(|before| now.since(before) >= every)
        {
            self.signed_at = Some(now);
            words.push("WATCHDOG=1".to_owned());
        }
        self.tell(&words);
    }

    /// The configuration is being read again; `at` is the monotonic clock's time.
    pub(super) fn reload_begins(&self, at: Duration) {
        // Before we are ready, "ready again" would come too early.
        if self.phase == Phase::Ready {
            self.tell(&["RELOADING=1".to_owned(), format!("MONOTONIC_USEC={}", at.as_micros())]);
        }
    }

    /// It has been read, whatever has come of that.
    pub(super) fn reload_ends(&self) {
        if self.phase == Phase::Ready {
            self.tell(&["READY=1".to_owned()]);
        }
    }

    /// The router ends.
    pub(super) fn stopping(&self) {
        self.tell(&["STOPPING=1".to_owned(), "STATUS=stopping".to_owned()]);
    }

    fn tell(&self, words: &[String]) {
        let Some((socket, address)) = self.listener.as_ref().filter(|_| !words.is_empty()) else { return };
        if let Err(error) = socket.send_to_addr(words.join("\n").as_bytes(), address) {
            debug!(%error, "the service manager was not told");
        }
    }
}

/// As `systemctl status` shows it.
fn lines_up(working: usize, all: usize) -> String {
    format!("{working} of {all} {} up", if all == 1 { "line" } else { "lines" })
}

/// A socket to talk to `name`: a path, or `@` and a name that is in no directory.
fn open(name: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.as_bytes() {
        [b'@', abstract_name @ ..] => SocketAddr::from_abstract_name(abstract_name)?,
        [b'/', ..] => SocketAddr::from_pathname(name)?,
        _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "neither a path nor an abstract name")),
    };
    let socket = UnixDatagram::unbound()?;
    // The loop waits for nobody.
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_000_000);

    fn after(milliseconds: u64) -> Timestamp {
        START + Duration::from_millis(milliseconds)
    }

    /// A real socket, and a supervisor that talks to it.
    fn pair(watchdog: Option<Duration>) -> (tempfile::TempDir, UnixDatagram, Supervisor) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();
        listener.set_nonblocking(true).unwrap();
        let supervisor = Supervisor::new(START, &Wishes { socket: Some(path.into()), watchdog });
        (folder, listener, supervisor)
    }

    /// What has come, message by message.
    fn heard(listener: &UnixDatagram) -> Vec<String> {
        let mut buffer = [0; 256];
        let next =
            || listener.recv(&mut buffer).ok().map(|length| String::from_utf8_lossy(&buffer[..length]).into_owned());
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn ready_is_told_once_and_when_a_line_works() {
        let (_folder, listener, mut supervisor) = pair(None);
        supervisor.handle_turn(after(10), 0, 6);
        assert_eq!(heard(&listener), ["STATUS=0 of 6 lines up"]);
        supervisor.handle_turn(after(20), 0, 6);
        assert!(heard(&listener).is_empty());
        supervisor.handle_turn(after(30), 1, 6);
        assert_eq!(heard(&listener), ["READY=1\nSTATUS=1 of 6 lines up"]);
        supervisor.handle_turn(after(40), 4, 6);
        supervisor.handle_turn(after(50), 4, 6);
        assert_eq!(heard(&listener), ["STATUS=4 of 6 lines up"]);
    }

    #[test]
    fn without_any_line_the_router_is_ready_after_a_while() {
        let (_folder, listener, mut supervisor) = pair(None);
        supervisor.handle_turn(after(9_999), 0, 1);
        supervisor.handle_turn(after(10_000), 0, 1);
        assert_eq!(heard(&listener), ["STATUS=0 of 1 line up", "READY=1"]);
    }

    #[test]
    fn signs_of_life_come_three_times_as_often_as_asked_for() {
        let (_folder, listener, mut supervisor) = pair(Some(Duration::from_secs(30)));
        (0..=30).for_each(|second| supervisor.handle_turn(after(second * 1_000), 1, 1));
        let signs = heard(&listener).into_iter().filter(|message| message.contains("WATCHDOG=1")).count();
        assert_eq!(signs, 4, "at 0, 10, 20 and 30 s");
    }

    #[test]
    fn reload_is_told_with_its_time_and_its_end() {
        let (_folder, listener, mut supervisor) = pair(None);
        supervisor.reload_begins(Duration::from_micros(5));
        supervisor.reload_ends();
        assert!(heard(&listener).is_empty(), "it is not even ready");
        supervisor.handle_turn(START, 1, 1);
        supervisor.reload_begins(Duration::new(12, 345_678_000));
        supervisor.reload_ends();
        supervisor.stopping();
        assert_eq!(
            heard(&listener)[1..],
            ["RELOADING=1\nMONOTONIC_USEC=12345678", "READY=1", "STOPPING=1\nSTATUS=stopping"]
        );
    }

    #[test]
    fn abstract_names_are_heard_too() {
        let name = format!("potato-supervisor-{}", std::process::id());
        let listener = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let mut supervisor =
            Supervisor::new(START, &Wishes { socket: Some(format!("@{name}").into()), watchdog: None });
        supervisor.handle_turn(START, 1, 1);
        listener.set_nonblocking(true).unwrap();
        assert_eq!(heard(&listener), ["READY=1\nSTATUS=1 of 1 line up"]);
    }

    #[test]
    fn nobody_who_is_missing_deaf_or_full_is_waited_for() {
        let mut alone = Supervisor::new(START, &Wishes::default());
        assert!(!alone.is_there());
        alone.handle_turn(START, 1, 1);
        let nonsense = Supervisor::new(START, &Wishes { socket: Some("vsock:2:1234".into()), watchdog: None });
        assert!(!nonsense.is_there());

        let (folder, listener, mut supervisor) = pair(Some(Duration::from_micros(3)));
        // Nobody reads: thousands of messages fill any socket, and none makes us wait.
        (0..10_000).for_each(|turn| supervisor.handle_turn(after(turn), 1, 1));
        assert!(!heard(&listener).is_empty());
        drop((listener, folder));
        supervisor.handle_turn(after(20_000), 2, 2);
        supervisor.stopping();
    }

    #[test]
    fn a_watchdog_is_for_the_process_that_it_names() {
        let watchdog = |pid: Option<&str>, span: &str| {
            let variable = |name: &str| match name {
                "WATCHDOG_USEC" => Some(span.into()),
                "WATCHDOG_PID" => pid.map(OsString::from),
                _ => None,
            };
            Wishes::new(variable, 77).watchdog
        };
        assert_eq!(watchdog(Some("77"), "30000000"), Some(Duration::from_secs(30)));
        assert_eq!(watchdog(None, "2000"), Some(Duration::from_millis(2)));
        for (pid, span) in [(Some("78"), "30000000"), (Some("x"), "30000000"), (None, "0"), (None, "soon")] {
            assert_eq!(watchdog(pid, span), None, "{pid:?} {span}");
        }
    }
}
