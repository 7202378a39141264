//! The command line: what can be asked of the program, and how the answers look to people and to programs.
//!
//! Answers go to standard output, errors and warnings to standard error. A reader that goes away (`potato flows | head`)
//! ends the program in peace. The exit status is 0 when all went well, 1 when something failed, 2 when the
//! configuration or the command itself is wrong.

mod check;
mod cleanup;
mod client;
mod events;
mod explain;
mod flows;
mod hosts;
mod link;
mod notify;
mod order;
mod people;
mod redial;
mod reload;
mod reserve;
mod role;
mod status;
mod table;
mod top;
mod units;
mod why;

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::config::{self, ConfigError};
use crate::daemon::rehearsal::{self, ExplainQuery};
use crate::daemon::report::{
    EventsQuery, FlowsQuery, LinkOrder, LinkState, RedialOrder, ReleaseOrder, ReserveOrder, RoleOrder, RoleWanted,
    WhenDown, WhyQuery,
};
use crate::daemon::{self, DaemonError, LogFormat};
use crate::demo::{self, DemoError, Mood};
use crate::host::{FlowFile, HostError};
use crate::web::people::PeopleError;
use crate::{notify as notifications, trends, web};

/// Something failed while it ran.
const EXIT_FAILED: u8 = 1;
/// The configuration or the command line is wrong.
const EXIT_WRONG: u8 = 2;

/// Potato, a multi-WAN router: gives every new connection of a LAN one of several internet lines.
#[derive(Debug, Parser)]
#[command(
    name = "potato",
    version,
    propagate_version = true,
    max_term_width = 100,
    after_help = "Exit status: 0 when all went well, 1 when something failed, 2 when the configuration or the command \
                  is wrong.\n\nTo see it at work on this machine, without touching its network:\n  potato demo"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the router in the foreground, until Ctrl-C or SIGTERM; then put the machine back as it was
    ///
    /// Logs to standard error; RUST_LOG chooses what (error, warn, info, debug). SIGHUP applies a changed configuration,
    /// as `potato reload` does.
    #[command(after_help = "Example:\n  potato run --config /etc/potato/potato.toml")]
    Run {
        /// The configuration file
        #[arg(long, value_name = "FILE", default_value = config::DEFAULT_PATH)]
        config: PathBuf,
        /// How log lines look
        #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
        log_format: LogFormat,
    },
    /// Check a configuration file; touches nothing on the machine
    #[command(after_help = "Example:\n  potato check /etc/potato/potato.toml")]
    Check {
        /// The configuration file
        #[arg(value_name = "FILE", default_value = config::DEFAULT_PATH)]
        config: PathBuf,
    },
    /// Undo what a router that was killed left on the machine
    ///
    /// A router that starts in the same run directory does this by itself.
    #[command(after_help = "Example:\n  potato cleanup --run-dir /run/potato")]
    Cleanup {
        #[command(flatten)]
        place: Place,
        /// Leave the connections to a router that starts again
        #[arg(long)]
        keep_flows: bool,
    },
    /// Show how the running router and its uplinks are
    #[command(after_help = "Examples:\n  potato status\n  potato status --json | jq '.uplinks[] | {name, state}'")]
    Status {
        #[command(flatten)]
        place: Place,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// List the connections that the running router carries
    #[command(
        after_help = "Examples:\n  potato flows --host 192.168.10.21\n  potato flows --uplink dsl1 --protocol tcp --json"
    )]
    Flows {
        #[command(flatten)]
        place: Place,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        filter: Filter,
    },
    /// Say why a connection has the uplink that it has
    ///
    /// Shows the rule, the class, and what the uplinks were compared by when it began, while that is remembered.
    #[command(
        after_help = "Examples:\n  potato why 192.168.10.20:40000\n  potato why 192.168.10.20:40000 203.0.113.9:443/tcp"
    )]
    Why {
        /// The LAN host and its port, as `potato flows` shows them
        #[arg(value_name = "HOST")]
        host: SocketAddrV4,
        /// The far end, with its protocol or without; any if left out
        #[arg(value_name = "REMOTE", value_parser = why::remote)]
        remote: Option<(SocketAddrV4, Option<String>)>,
        #[command(flatten)]
        place: Place,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Say which rule, class and line a connection would get now; sends nothing
    #[command(after_help = "Examples:\n  potato explain --from 192.168.10.20 --to 203.0.113.9:443/tcp\n  \
                      potato explain --from 192.168.10.20:5060 --to 198.51.100.7:5060/udp --dscp ef --json")]
    Explain {
        /// The LAN host, with its port where that matters to a rule
        #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = rehearsed(rehearsal::parse_from))]
        from: String,
        /// The far end; for ICMP without a port: 203.0.113.9/icmp
        #[arg(long, value_name = "ADDRESS:PORT/PROTOCOL", value_parser = rehearsed(rehearsal::parse_to))]
        to: String,
        /// The DSCP of its first packet: a number, or a name such as ef
        #[arg(long, value_name = "DSCP", value_parser = rehearsed(rehearsal::parse_dscp))]
        dscp: Option<String>,
        #[command(flatten)]
        place: Place,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// List the hosts of the LAN: who uses how much, and by which lines
    ///
    /// Takes a second, to see how fast everybody is.
    #[command(
        after_help = "Examples:\n  potato hosts --sort bytes\n  potato hosts --json | jq '.hosts[] | {address, lines}'"
    )]
    Hosts {
        #[command(flatten)]
        place: Place,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
        /// Who comes first
        #[arg(long, value_name = "WHAT", value_enum, default_value_t)]
        sort: hosts::Sort,
    },
    /// Watch lines, hosts and flows, each second anew
    ///
    /// Keys: tab shows another pane, arrows select, s sorts otherwise, t takes the selected line down or puts it back, r reserves
    /// the selected line for the selected host, q ends it. NO_COLOR in the environment makes it plain.
    #[command(after_help = "Example:\n  potato top")]
    Top {
        #[command(flatten)]
        place: Place,
    },
    /// Show what has happened to the lines, and who has ordered what
    ///
    /// Without --since, the newest hundred events. Events are kept over restarts.
    #[command(after_help = "Examples:\n  potato events\n  potato events --follow --json --since 812")]
    Events {
        #[command(flatten)]
        place: Place,
        /// As JSON, for programs; with --follow an object a line
        #[arg(long)]
        json: bool,
        /// Go on with the events to come
        #[arg(long)]
        follow: bool,
        /// All events after the one with this number
        #[arg(long, value_name = "ID")]
        since: Option<u64>,
    },
    /// Apply a changed configuration to the running router
    ///
    /// The router reads the file that it was started with. Uplinks that are as they were notice nothing. A file with a mistake
    /// in it, or a change that needs a restart, changes nothing.
    #[command(after_help = "Example:\n  potato check /etc/potato/potato.toml && potato reload")]
    Reload {
        #[command(flatten)]
        place: Place,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Take an uplink of the running router down by hand, or put it back
    ///
    /// An uplink that is down gets no new connections; those that it has go on. It stays down when the router is started
    /// again.
    #[command(after_help = "Examples:\n  potato link down dsl3\n  potato link up dsl3")]
    Link {
        /// What it should be
        #[arg(value_name = "up|down|toggle", value_enum)]
        state: LinkState,
        /// The uplink
        #[arg(value_name = "NAME", value_parser = uplink_name)]
        uplink: String,
        #[command(flatten)]
        place: Place,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Have an uplink of the running router get its address anew
    ///
    /// A PPPoE session is ended and dialled again, a lease by DHCP is given back and asked for again; where the address is the
    /// configuration's or the kernel's, its gateway is asked for and the line is tested. Its connections wait for up to 15 seconds
    /// for their address; when it gets another one they are ended, and their hosts are told.
    #[command(after_help = "Example:\n  potato redial dsl3")]
    Redial {
        /// The uplink
        #[arg(value_name = "NAME", value_parser = uplink_name)]
        uplink: String,
        #[command(flatten)]
        place: Place,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Give an uplink of the running router another role, until it is said otherwise
    ///
    /// It holds for new connections; those that the uplink has stay until they end. It outlives a restart of the router, and a
    /// reload, unless the configuration itself gives the uplink another role then.
    #[command(after_help = "Examples:\n  potato role dsl3 standby\n  potato role dsl3 configured")]
    Role {
        /// The uplink
        #[arg(value_name = "NAME", value_parser = uplink_name)]
        uplink: String,
        /// What it should be for
        #[arg(value_name = "ROLE", value_enum)]
        role: RoleWanted,
        #[command(flatten)]
        place: Place,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Reserve an uplink of the running router for some hosts
    ///
    /// New connections of these hosts get it, and nobody else's. Connections of other hosts that it has stay until they end. It
    /// ends by itself at its time, by the router's clock, and outlives a restart of the router. To reserve once more adds
    /// hosts, or sets another time.
    #[command(
        after_help = "Examples:\n  potato reserve dsl3 192.168.10.50 --until 18:00\n  potato reserve dsl3 laptop 02:00:5e:10:00:01 --for 2h\n  \
                      potato reserve dsl3 192.168.10.50 --when-down refuse"
    )]
    Reserve {
        /// The uplink
        #[arg(value_name = "NAME", value_parser = uplink_name)]
        uplink: String,
        /// Addresses, Ethernet addresses or names (from DHCP leases) of hosts
        #[arg(value_name = "HOST", required = true)]
        hosts: Vec<String>,
        /// End at this time of day, the next time that it is so late
        #[arg(long, value_name = "HH:MM", conflicts_with = "span")]
        until: Option<String>,
        /// End after this time, as in 90s, 30m, 2h or 1d
        #[arg(long = "for", value_name = "SPAN", value_parser = reserve::span, id = "span")]
        span: Option<u64>,
        /// What the hosts do while the uplink does not work
        #[arg(long, value_name = "WHAT", value_enum, default_value_t)]
        when_down: WhenDown,
        #[command(flatten)]
        place: Place,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// End a reservation that was ordered by `potato reserve`
    ///
    /// What the configuration reserves stays reserved: take it out of the file and `potato reload`.
    #[command(after_help = "Examples:\n  potato release dsl3\n  potato release dsl3 192.168.10.50")]
    Release {
        /// The uplink
        #[arg(value_name = "NAME", value_parser = uplink_name)]
        uplink: String,
        /// Only these hosts, as they were named
        #[arg(value_name = "HOST")]
        hosts: Vec<String>,
        #[command(flatten)]
        place: Place,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Say who may sign in at the pages, and as what
    ///
    /// Works on the users' file in the router's state directory, whether the router runs or not.
    #[command(after_help = "Examples:\n  potato user add anna --role admin\n  potato user list")]
    User {
        #[command(subcommand)]
        command: people::UserCommand,
    },
    /// Say what scripts may come with instead of signing in
    #[command(after_help = "Examples:\n  potato token add backup --role viewer\n  potato token remove backup")]
    Token {
        #[command(subcommand)]
        command: people::TokenCommand,
    },
    /// List the channels by which people are told what happens, or test one
    ///
    /// Channels are the [[notify]] sections of the configuration. Without `test`, says what waits to be sent, and what is wrong.
    #[command(
        args_conflicts_with_subcommands = true,
        after_help = "Examples:\n  potato notify\n  potato notify test office"
    )]
    Notify {
        #[command(subcommand)]
        what: Option<NotifyCommand>,
        #[command(flatten)]
        place: Place,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Show a router with six lines at work, in network namespaces of its own; needs root
    ///
    /// Builds a LAN with hosts, six internet lines of different speeds and an internet, lets traffic run, and shows a
    /// table of it each second, and the router's page on 127.0.0.1. From the fifteenth second on lines fail and recover now
    /// and then. Touches nothing outside, and removes everything at its end.
    #[command(after_help = "Examples:\n  sudo potato demo --seconds 60\n  sudo potato demo --calm")]
    Demo {
        /// End after so many seconds; without it, at Ctrl-C
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
        seconds: Option<u64>,
        /// No line fails
        #[arg(long)]
        calm: bool,
    },
}

#[derive(Debug, Subcommand)]
enum NotifyCommand {
    /// Send a message by a channel at once, and say whether it was taken
    #[command(after_help = "Example:\n  potato notify test office")]
    Test {
        /// The channel's name
        #[arg(value_name = "CHANNEL")]
        channel: String,
        #[command(flatten)]
        place: Place,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
}

/// Which router is meant.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct Place {
    /// The router's run directory
    #[arg(long, value_name = "DIRECTORY", default_value = config::DEFAULT_RUN_DIR)]
    run_dir: PathBuf,
    /// The router's configuration file, which names its run directory
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Place {
    fn run_dir(self) -> Result<PathBuf, ConfigError> {
        match self.config {
            None => Ok(self.run_dir),
            Some(path) => config::load(&path).map(|config| config.router.run_dir),
        }
    }
}

/// Which flows are meant. Everything that is given must match.
#[derive(Debug, Args)]
struct Filter {
    /// Only those of this LAN host
    #[arg(long, value_name = "ADDRESS")]
    host: Option<Ipv4Addr>,
    /// Only those on this uplink
    #[arg(long, value_name = "NAME", value_parser = uplink_name)]
    uplink: Option<String>,
    /// Only those of this protocol
    #[arg(long, value_name = "PROTOCOL", value_parser = ["tcp", "udp", "icmp"])]
    protocol: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    limit: usize,
}

/// A value that the router will read in this way: what is wrong with it is said here.
fn rehearsed<T>(
    read: impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static,
) -> impl Fn(&str) -> Result<String, String> + Clone + Send + Sync + 'static {
    move |text| read(text).map(|_| text.to_owned())
}

fn uplink_name(name: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
    if !name.is_empty() && name.chars().all(allowed) {
        return Ok(name.to_owned());
    }
    Err("an uplink's name has only a-z, 0-9, `_` and `-`".to_owned())
}

/// For whom an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Table,
    Json,
}

impl Format {
    fn of(json: bool) -> Self {
        if json { Self::Json } else { Self::Table }
    }
}

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    /// The log has it already.
    #[error(transparent)]
    Logged(DaemonError),
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    Client(#[from] client::ClientError),
    #[error(transparent)]
    Demo(#[from] DemoError),
    #[error("the router has no flow of {0}; `potato flows` lists those that there are")]
    NoSuchFlow(SocketAddrV4),
    #[error("cannot start: {0}")]
    Runtime(io::Error),
    #[error("cannot write JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("standard output: {0}")]
    Output(io::Error),
    #[error("standard input: {0}")]
    Input(io::Error),
    #[error("these were two different passwords; nothing is changed")]
    NotTheSame,
    #[error(transparent)]
    People(#[from] PeopleError),
    #[error(
        "potato top needs a terminal for its keys and its picture; `potato status`, `potato hosts` and `potato flows` say the \
         same once, with --json for programs"
    )]
    NoTerminal,
}

impl CommandError {
    fn exit_status(&self) -> u8 {
        match self {
            Self::NoTerminal | Self::Client(client::ClientError::WrongFile(_)) => EXIT_WRONG,
            Self::Config(_) | Self::Daemon(DaemonError::Config(_)) | Self::Logged(DaemonError::Config(_)) => EXIT_WRONG,
            // The reader has seen enough.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            _ => EXIT_FAILED,
        }
    }
}

/// All commands and options, for whoever writes manuals and completions of them.
#[must_use]
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the program; its exit status is the process's.
#[must_use]
pub fn main() -> ExitCode {
    // clap itself exits with 2 on a wrong command line and with 0 after --help.
    let arguments = Arguments::parse();
    match run(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let status = error.exit_status();
            if status != 0 && !matches!(error, CommandError::Logged(_)) {
                complain(&error.to_string());
            }
            ExitCode::from(status)
        }
    }
}

fn run(command: Command) -> Result<(), CommandError> {
    match command {
        Command::Run { config, log_format } => run_router(&config, log_format),
        Command::Check { config } => check::run(&config),
        Command::Cleanup { place, keep_flows } => {
            let flow_file = if keep_flows { FlowFile::Keep } else { FlowFile::Delete };
            cleanup::run(&place.run_dir()?, flow_file)
        }
        Command::Status { place, json } => status::run(&place.run_dir()?, Format::of(json)),
        Command::Flows { place, json, filter } => {
            let Filter { host, uplink, protocol, limit } = filter;
            let query = FlowsQuery { host, uplink, protocol, limit: Some(limit) };
            flows::run(&place.run_dir()?, Format::of(json), &query)
        }
        Command::Explain { from, to, dscp, place, json } => {
            explain::run(&place.run_dir()?, Format::of(json), &ExplainQuery { from, to, dscp })
        }
        Command::Hosts { place, json, sort } => hosts::run(&place.run_dir()?, Format::of(json), sort),
        Command::Top { place } => top::run(&place.run_dir()?),
        Command::Why { host, remote, place, json } => {
            let (remote, protocol) = remote.map_or((None, None), |(remote, protocol)| (Some(remote), protocol));
            why::run(&place.run_dir()?, Format::of(json), &WhyQuery { host, remote, protocol })
        }
        Command::Events { place, json, follow, since } => {
            events::run(&place.run_dir()?, Format::of(json), EventsQuery { since, follow })
        }
        Command::Link { state, uplink, place, json } => {
            link::run(&place.run_dir()?, Format::of(json), &LinkOrder::new(uplink, state))
        }
        Command::Redial { uplink, place, json } => {
            redial::run(&place.run_dir()?, Format::of(json), &RedialOrder::new(uplink))
        }
        Command::Role { uplink, role, place, json } => {
            role::run(&place.run_dir()?, Format::of(json), &RoleOrder::new(uplink, role))
        }
        Command::Reserve { uplink, hosts, until, span, when_down, place, json } => {
            let order = ReserveOrder { uplink, hosts, until, for_seconds: span, when_down };
            reserve::reserve(&place.run_dir()?, Format::of(json), &order)
        }
        Command::Release { uplink, hosts, place, json } => {
            reserve::release(&place.run_dir()?, Format::of(json), &ReleaseOrder { uplink, hosts })
        }
        Command::Notify { what: None, place, json } => notify::list(&place.run_dir()?, Format::of(json)),
        Command::Notify { what: Some(NotifyCommand::Test { channel, place, json }), .. } => {
            notify::test(&place.run_dir()?, Format::of(json), channel)
        }
        Command::Reload { place, json } => reload::run(&place.run_dir()?, Format::of(json)),
        Command::User { command } => people::user(command),
        Command::Token { command } => people::token(command),
        Command::Demo { seconds, calm } => {
            let mood = if calm { Mood::Calm } else { Mood::Eventful };
            Ok(demo::run(seconds.map(Duration::from_secs), mood)?)
        }
    }
}

fn run_router(config: &Path, log_format: LogFormat) -> Result<(), CommandError> {
    daemon::start_log(log_format);
    daemon::run(config, &[trends::serve, trends::serve_metrics, notifications::serve, web::serve]).map_err(|error| {
        match log_format {
            LogFormat::Text => error.into(),
            LogFormat::Json => {
                // Whoever reads the log expects nothing but JSON.
                tracing::error!(%error, "router ended");
                CommandError::Logged(error)
            }
        }
    })
}

/// As an indented object, with a line break at the end.
fn in_json(report: &impl serde::Serialize) -> Result<String, CommandError> {
    Ok(serde_json::to_string_pretty(report)? + "\n")
}

/// Writes a whole answer to standard output.
fn answer(text: &str) -> Result<(), CommandError> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes()).and_then(|()| output.flush()).map_err(CommandError::Output)
}

/// Says something on standard error; if nobody can hear it, nothing is to be done about that.
fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
