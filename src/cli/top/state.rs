//! What `potato top` shows and what keys do to it: a state machine that reads no key and asks nobody itself.

use std::time::Duration;

use super::super::hosts::Sort;
use super::rows::{self, Column, Flows, Row};
use crate::daemon::report::{FlowReport, HostsReport, LinkOrder, LinkState, StatusReport};

/// Rows of flows that are worth a look.
const MOST_FLOWS: usize = 500;

/// A key that means something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    Tab,
    BackTab,
    Escape,
    Char(char),
}

/// Something that happens.
#[derive(Debug)]
pub(super) enum Input {
    /// Somebody presses a key.
    Key(Key),
    /// The window has another size.
    Resized,
    /// The router says how it is.
    Status(StatusReport),
    /// The router says who has how much.
    Hosts(HostsReport),
    /// The router lists its flows, at this time since boot.
    Flows(Duration, Vec<FlowReport>),
    /// The router does not answer a question.
    Failed(String),
    /// What the router says to an order.
    Answered(String),
    /// Somebody ends the program from outside.
    Stop,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Leave.
    Quit,
    /// Ask for what is shown now, soon.
    Refresh,
    /// Tell the router to take a line down, or to put it back.
    Link(LinkOrder),
    /// Tell the router that a line is for a host alone.
    Reserve { uplink: String, host: String },
}

/// A list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Pane {
    #[default]
    Lines,
    Hosts,
    Flows,
}

impl Pane {
    /// From left to right.
    pub(super) const ALL: [Self; 3] = [Self::Lines, Self::Hosts, Self::Flows];

    /// Its title.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Lines => "Lines",
            Self::Hosts => "Hosts",
            Self::Flows => "Flows",
        }
    }

    fn after(self, steps: usize) -> Self {
        Self::ALL[(self as usize + steps) % Self::ALL.len()]
    }
}

/// An order that waits for a yes, and how it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) text: String,
    command: Command,
}

/// All that is shown.
#[derive(Debug, Default)]
pub(super) struct Top {
    pub(super) pane: Pane,
    pub(super) status: StatusReport,
    hosts: HostsReport,
    flows: Flows,
    line_sort: usize,
    host_sort: Sort,
    flow_sort: usize,
    /// The selected row of each pane, by what names it.
    selected: [Option<String>; 3],
    pub(super) question: Option<Question>,
    /// What the router has said last to an order.
    pub(super) notice: Option<String>,
    /// Why what is shown is old.
    pub(super) failure: Option<String>,
    /// Rows that fit the window, for whole pages.
    pub(super) page: usize,
}

impl Top {
    /// Takes in what happens; gives what is to be done about it.
    pub(super) fn handle(&mut self, input: Input) -> Option<Command> {
        match input {
            Input::Key(key) => return self.handle_key(key),
            Input::Stop => return Some(Command::Quit),
            Input::Resized => {}
            Input::Status(status) => (self.status, self.failure) = (status, None),
            Input::Hosts(hosts) => (self.hosts, self.failure) = (hosts, None),
            Input::Flows(at, flows) => self.flows.look(at, flows),
            Input::Failed(why) => self.failure = Some(why),
            Input::Answered(answer) => self.notice = Some(answer),
        }
        None
    }

    fn handle_key(&mut self, key: Key) -> Option<Command> {
        if let Some(question) = self.question.take() {
            self.notice = None;
            return match key {
                Key::Char('y' | 'Y') => Some(question.command),
                Key::Char('n' | 'N' | 'q') | Key::Escape => None,
                // A slip of the finger is no answer.
                _ => {
                    self.question = Some(question);
                    None
                }
            };
        }
        match key {
            Key::Char('q') => return Some(Command::Quit),
            Key::Tab => return self.show(self.pane.after(1)),
            Key::BackTab => return self.show(self.pane.after(Pane::ALL.len() - 1)),
            Key::Char('s') => self.sort_otherwise(),
            Key::Char('t') => self.ask_to_toggle(),
            Key::Char('r') => self.ask_to_reserve(),
            Key::Escape => self.notice = None,
            Key::Up | Key::Char('k') => self.select(|at, _| at.saturating_sub(1)),
            Key::Down | Key::Char('j') => self.select(|at, _| at + 1),
            Key::PageUp => self.select(usize::saturating_sub),
            Key::PageDown => self.select(|at, page| at + page),
            Key::Home => self.select(|_, _| 0),
            Key::End => self.select(|_, _| usize::MAX),
            Key::Char(_) => {}
        }
        None
    }

    fn show(&mut self, pane: Pane) -> Option<Command> {
        self.pane = pane;
        Some(Command::Refresh)
    }

    fn sort_otherwise(&mut self) {
        match self.pane {
            Pane::Lines => self.line_sort = (self.line_sort + 1) % rows::LINE_SORTS.len(),
            Pane::Hosts => self.host_sort = self.host_sort.next(),
            Pane::Flows => self.flow_sort = (self.flow_sort + 1) % rows::FLOW_SORTS.len(),
        }
    }

    /// What the pane is sorted by.
    pub(super) fn sort_name(&self) -> &'static str {
        match self.pane {
            Pane::Lines => rows::LINE_SORTS[self.line_sort],
            Pane::Hosts => self.host_sort.name(),
            Pane::Flows => rows::FLOW_SORTS[self.flow_sort],
        }
    }

    fn rows_of(&self, pane: Pane) -> Vec<Row> {
        match pane {
            Pane::Lines => rows::lines(&self.status, self.line_sort),
            Pane::Hosts => rows::hosts(&self.hosts, self.host_sort),
            Pane::Flows => self.flows.rows(self.flow_sort, MOST_FLOWS),
        }
    }

    /// What the pane shows: its columns, its rows, which of these is selected.
    pub(super) fn list(&self) -> (&'static [Column], Vec<Row>, Option<usize>) {
        let columns = match self.pane {
            Pane::Lines => rows::LINES,
            Pane::Hosts => rows::HOSTS,
            Pane::Flows => rows::FLOWS,
        };
        let rows = self.rows_of(self.pane);
        let at = self.place(self.pane, &rows);
        (columns, rows, at)
    }

    /// Where the selected row is: the first as long as none was selected, or when it has gone.
    fn place(&self, pane: Pane, rows: &[Row]) -> Option<usize> {
        let selected = self.selected[pane as usize].as_ref();
        let found = selected.and_then(|id| rows.iter().position(|row| row.id == *id));
        found.or_else(|| (!rows.is_empty()).then_some(0))
    }

    fn select(&mut self, step: impl FnOnce(usize, usize) -> usize) {
        let rows = self.rows_of(self.pane);
        if let Some(at) = self.place(self.pane, &rows) {
            let at = step(at, self.page.max(1)).min(rows.len() - 1);
            self.selected[self.pane as usize] = Some(rows[at].id.clone());
        }
    }

    /// What names the selected row of a pane.
    pub(super) fn selected(&self, pane: Pane) -> Option<String> {
        let rows = self.rows_of(pane);
        self.place(pane, &rows).map(|at| rows[at].id.clone())
    }

    fn ask_to_toggle(&mut self) {
        let Some(name) = self.selected(Pane::Lines) else { return };
        let Some(uplink) = self.status.uplinks.iter().find(|uplink| uplink.name == name) else { return };
        let is_down = uplink.taken_down_by.is_some() || uplink.state == LinkState::Down.name();
        let state = if is_down { LinkState::Up } else { LinkState::Down };
        let flows = match uplink.flows {
            0 => "no flows".to_owned(),
            1 => "1 flow, which goes on".to_owned(),
            flows => format!("{} flows, which go on", super::super::units::count(flows)),
        };
        let text = match state {
            LinkState::Down => format!("Take {name} down? It has {flows}; new ones get other lines."),
            LinkState::Up | LinkState::Toggle => format!("Put {name} back? It has {flows}."),
        };
        self.question = Some(Question { text, command: Command::Link(LinkOrder::new(name, state)) });
    }

    fn ask_to_reserve(&mut self) {
        let (Some(uplink), Some(host)) = (self.selected(Pane::Lines), self.selected(Pane::Hosts)) else {
            self.notice = Some("select a line and a host first".to_owned());
            return;
        };
        let text = format!("Reserve {uplink} for {host}?");
        self.question = Some(Question { text, command: Command::Reserve { uplink, host } });
    }
}
