//! `potato top`: lines, hosts and flows as they are now, and the few orders that somebody who looks at them may want to give.
//!
//! Three threads bring in what happens (keys, answers of the router, signals), and one draws after each. What that does to
//! the picture is in `state`, how it looks in `draw`: both without a terminal.

mod draw;
mod rows;
mod state;
#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use self::draw::Colours;
use self::state::{Command, Input, Key, Pane, Top};
use super::{CommandError, client};
use crate::daemon::report::{FlowsReport, HostsReport, LinkOrder, LinkReport, StatusReport};
use crate::sys::clock;

/// The picture is a new one this often.
const INTERVAL: Duration = Duration::from_secs(1);
/// Flows that are looked at for the fastest ones.
const FLOWS: &str = "/v1/flows?limit=10000";

/// What the thread that asks is told.
#[derive(Debug)]
enum Wanted {
    Pane(Pane),
    Order(Command),
}

/// Shows the router of `run_dir` until somebody has seen enough.
pub(super) fn run(run_dir: &Path) -> Result<(), CommandError> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(CommandError::NoTerminal);
    }
    // Without a router there is nothing to show, and the reason belongs on a plain screen.
    let status: StatusReport = client::ask(run_dir, "/v1/status")?;
    let (inputs, happened) = channel();
    let (wants, wanted) = channel();
    let first = inputs.send(Input::Status(status));
    drop(first);
    start(inputs, wanted, run_dir.to_owned()).map_err(CommandError::Runtime)?;
    let colours =
        if std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty()) { Colours::None } else { Colours::Some };
    // From here on a panic, too, puts the terminal back.
    let mut terminal = ratatui::try_init().map_err(CommandError::Output)?;
    let mut top = Top::default();
    let shown =
        show(&mut top, &happened, &wants, |top| terminal.draw(|frame| draw::draw(frame, top, colours)).map(drop));
    ratatui::try_restore().and(shown).map_err(CommandError::Output)
}

/// Draws after whatever happens, until somebody wants to leave.
fn show(
    top: &mut Top,
    happened: &Receiver<Input>,
    wants: &Sender<Wanted>,
    mut draw: impl FnMut(&mut Top) -> io::Result<()>,
) -> io::Result<()> {
    draw(top)?;
    while let Ok(input) = happened.recv() {
        let mut commands: Vec<_> = top.handle(input).into_iter().collect();
        // What has come meanwhile needs no picture of its own.
        while let Ok(input) = happened.try_recv() {
            commands.extend(top.handle(input));
        }
        for command in commands {
            let wanted = match command {
                Command::Quit => return Ok(()),
                Command::Refresh => Wanted::Pane(top.pane),
                order => Wanted::Order(order),
            };
            if wants.send(wanted).is_err() {
                return Ok(());
            }
        }
        draw(top)?;
    }
    Ok(())
}

/// Starts the threads. They end with the program.
fn start(inputs: Sender<Input>, wanted: Receiver<Wanted>, run_dir: PathBuf) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (keys, signals) = (inputs.clone(), inputs.clone());
    thread::Builder::new().name("keys".to_owned()).spawn(move || read_keys(&keys))?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        // Without them only `q` ends the program.
        if runtime.block_on(ended_from_outside()).is_ok() {
            drop(signals.send(Input::Stop));
        }
    })?;
    thread::Builder::new().name("questions".to_owned()).spawn(move || ask_on(&inputs, &wanted, &run_dir))?;
    Ok(())
}

async fn ended_from_outside() -> io::Result<()> {
    let [mut terminate, mut interrupt, mut hang_up] =
        [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?];
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        _ = hang_up.recv() => {}
    }
    Ok(())
}

/// Passes keys on until nobody wants them, or there is no keyboard any more.
fn read_keys(inputs: &Sender<Input>) {
    loop {
        let input = match event::read() {
            Ok(Event::Key(event)) if event.kind != KeyEventKind::Release => key(event),
            Ok(Event::Resize(..)) => Some(Input::Resized),
            Ok(_) => None,
            Err(_) => Some(Input::Stop),
        };
        if let Some(input) = input {
            let is_end = matches!(input, Input::Stop);
            if inputs.send(input).is_err() || is_end {
                return;
            }
        }
    }
}

fn key(event: KeyEvent) -> Option<Input> {
    let key = match event.code {
        KeyCode::Char('c' | 'd') if event.modifiers.contains(KeyModifiers::CONTROL) => return Some(Input::Stop),
        KeyCode::Char(character) => Key::Char(character),
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::Tab | KeyCode::Right => Key::Tab,
        KeyCode::BackTab | KeyCode::Left => Key::BackTab,
        KeyCode::Esc => Key::Escape,
        _ => return None,
    };
    Some(Input::Key(key))
}

/// Asks the router each second for what is shown, and gives it orders as they come.
fn ask_on(inputs: &Sender<Input>, wanted: &Receiver<Wanted>, run_dir: &Path) {
    let (mut pane, mut next) = (Pane::default(), clock::monotonic());
    loop {
        match wanted.recv_timeout(next.saturating_sub(clock::monotonic())) {
            Ok(Wanted::Pane(shown)) => pane = shown,
            Ok(Wanted::Order(order)) => {
                let answer = tell(run_dir, &order).unwrap_or_else(|error| error.to_string());
                if inputs.send(Input::Answered(answer)).is_err() {
                    return;
                }
            }
            Err(RecvTimeoutError::Timeout) => next = clock::monotonic() + INTERVAL,
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let asked = ask(run_dir, pane, |input| inputs.send(input).is_ok());
        if asked.is_err_and(|error| inputs.send(Input::Failed(error.to_string())).is_err()) {
            return;
        }
    }
}

fn ask(run_dir: &Path, pane: Pane, give: impl Fn(Input) -> bool) -> Result<(), client::ClientError> {
    give(Input::Status(client::ask(run_dir, "/v1/status")?));
    if pane == Pane::Flows {
        let found: FlowsReport = client::ask(run_dir, FLOWS)?;
        give(Input::Flows(clock::monotonic(), found.flows));
    }
    let hosts: HostsReport = client::ask(run_dir, "/v1/hosts")?;
    give(Input::Hosts(hosts));
    Ok(())
}

/// Gives the router an order; what it says, in a line.
fn tell(run_dir: &Path, order: &Command) -> Result<String, client::ClientError> {
    match order {
        Command::Link(order) => tell_link(run_dir, order),
        Command::Reserve { uplink, host } => {
            let order = json!({ "uplink": uplink, "hosts": [host], "until": null });
            let answer: Value = client::tell(run_dir, "/v1/reserve", &order)?;
            Ok(format!("{uplink} is reserved for {host}: {}", in_words(&answer)))
        }
        Command::Quit | Command::Refresh => Ok(String::new()),
    }
}

fn tell_link(run_dir: &Path, order: &LinkOrder) -> Result<String, client::ClientError> {
    let done: LinkReport = client::tell(run_dir, "/v1/link", order)?;
    let warnings: String = done.warnings.iter().map(|warning| format!("; {warning}")).collect();
    Ok(format!("{}: ordered {}, its state is {}{warnings}", done.uplink, order.state.name(), done.state))
}

/// An answer of whatever shape in a line.
fn in_words(answer: &Value) -> String {
    match answer {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => items.iter().map(in_words).collect::<Vec<_>>().join(" "),
        Value::Object(fields) => {
            let field = |(key, value): (&String, &Value)| format!("{key} {}", in_words(value));
            fields.iter().map(field).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}
