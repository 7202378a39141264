//! What people see and do, on a terminal of letters.

use std::collections::BTreeMap;
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::{Color, Modifier};

use super::draw::{Colours, draw};
use super::state::{Command, Input, Key, Pane, Top};
use crate::daemon::report::{
    EngineReport, FlowReport, FlowTraffic, HealthReport, HostLineReport, HostReport, HostsReport, LinkOrder, LinkState,
    StatusReport, TrafficReport, UplinkReport, UsageReport,
};

fn uplink(name: &str, state: &str, (out, back): (u64, u64), flows: u64) -> UplinkReport {
    let traffic = |bits_per_second| TrafficReport { bits_per_second, ..TrafficReport::default() };
    UplinkReport {
        name: name.to_owned(),
        state: state.to_owned(),
        out: traffic(out),
        back: traffic(back),
        flows,
        health: Some(HealthReport {
            loss_15s_percent: Some(0),
            last_round_trip_ms: Some(23),
            ..HealthReport::default()
        }),
        drops: BTreeMap::from([("no_mapping".to_owned(), 1_234)]),
        ..UplinkReport::default()
    }
}

fn host(last: u8, rate: u64, sessions: u32) -> HostReport {
    let line = HostLineReport { uplink: "dsl1".to_owned(), sessions: sessions.into(), ..HostLineReport::default() };
    HostReport {
        address: Some([192, 168, 10, last].into()),
        sessions,
        back: UsageReport { bytes: 3_000_000, bits_per_second: rate },
        lines: vec![line],
        ..HostReport::default()
    }
}

fn flow(port: u16, bytes: u64) -> FlowReport {
    FlowReport {
        protocol: "tcp".to_owned(),
        host: format!("192.168.10.20:{port}"),
        remote: "203.0.113.1:443".to_owned(),
        external: "10.77.1.2:40000".to_owned(),
        uplink: "dsl1".to_owned(),
        direction: "outbound".to_owned(),
        class: "bulk".to_owned(),
        state: "established".to_owned(),
        out: FlowTraffic::default(),
        back: FlowTraffic { packets: 1, bytes },
        age_seconds: 5,
        expires_in_seconds: 300,
        ..FlowReport::default()
    }
}

fn top() -> Top {
    let mut top = Top::default();
    let lines = vec![
        uplink("dsl1", "up", (1_200_000, 14_000_000), 412),
        uplink("dsl2", "no-carrier", (0, 0), 0),
        uplink("cable", "up", (300_000, 62_000_000), 88),
    ];
    let engine = EngineReport { flows: 500, ..EngineReport::default() };
    let status = StatusReport {
        version: "0.1.0".to_owned(),
        uptime_seconds: 3_700,
        uplinks: lines,
        engine,
        ..StatusReport::default()
    };
    top.handle(Input::Status(status));
    let hosts = vec![host(20, 9_000_000, 12), host(21, 55_000_000, 3)];
    top.handle(Input::Hosts(HostsReport { hosts, ..HostsReport::default() }));
    top
}

fn press(top: &mut Top, keys: &[Key]) -> Vec<Command> {
    keys.iter().filter_map(|key| top.handle(Input::Key(*key))).collect()
}

fn terminal(top: &mut Top, (width, height): (u16, u16), colours: Colours) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, top, colours)).unwrap();
    terminal
}

/// The picture as text, without the spaces at the ends of lines.
fn picture(top: &mut Top, size: (u16, u16)) -> String {
    let terminal = terminal(top, size, Colours::None);
    let buffer = terminal.backend().buffer();
    let row = |y: u16| (0..size.0).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned() + "\n";
    (0..size.1).map(row).collect()
}

#[test]
fn lines_fit_a_small_window() {
    let expected = "\
Potato 0.1.0  up 1h 1m  2 of 3 lines up  500 flows  out 1.5 Mbit/s  in 76 Mbit/s
[Lines]  Hosts   Flows                                                  by name
  LINE          STATE             OUT         IN   FLOWS  LOSS     RTT   DROPPED
> dsl1          up         1.2 Mbit/s  14 Mbit/s     412    0%   23 ms     1,234
  dsl2          no-carrier    0 bit/s    0 bit/s       0    0%   23 ms     1,234
  cable         up         300 kbit/s  62 Mbit/s      88    0%   23 ms     1,234


line dsl1, host 192.168.10.21
q quit  tab pane  arrows select  s sort  t line up/down  r reserve line for host
";
    assert_eq!(picture(&mut top(), (80, 10)), expected);
}

#[test]
fn hosts_and_flows_are_sorted_by_rate_first() {
    let mut top = top();
    assert_eq!(press(&mut top, &[Key::Tab]), [Command::Refresh]);
    let text = picture(&mut top, (80, 9));
    let expected = "\
 Lines  [Hosts]  Flows                                                  by rate
  HOST            NAME              OUT         IN    BYTES  FLOWS LINES
> 192.168.10.21   -             0 bit/s  55 Mbit/s  2.8 MiB      3 dsl1 3
  192.168.10.20   -             0 bit/s 9.0 Mbit/s  2.8 MiB     12 dsl1 12
";
    assert!(text.contains(expected), "{text}");
    press(&mut top, &[Key::Tab]);
    top.handle(Input::Flows(Duration::from_secs(1), vec![flow(1, 0), flow(2, 0)]));
    top.handle(Input::Flows(Duration::from_secs(3), vec![flow(1, 250_000), flow(2, 750_000), flow(3, 9_000_000)]));
    let text = picture(&mut top, (80, 9));
    let expected = "\
> tcp  192.168.10.20:2       203.0.113.1:443       dsl1      3.0 Mbit/s  732 KiB
  tcp  192.168.10.20:1       203.0.113.1:443       dsl1      1.0 Mbit/s  244 KiB
  tcp  192.168.10.20:3       203.0.113.1:443       dsl1         0 bit/s  8.5 MiB
";
    assert!(text.contains(expected), "a flow that is new has no rate yet: {text}");
}

#[test]
fn selected_row_stays_selected_whatever_the_order() {
    let mut top = top();
    press(&mut top, &[Key::Down, Key::Down, Key::Down]);
    assert_eq!(top.selected(Pane::Lines).as_deref(), Some("cable"));
    press(&mut top, &[Key::Char('s')]);
    assert_eq!((top.list().2, top.sort_name()), (Some(0), "rate"));
    press(&mut top, &[Key::Char('s')]);
    assert_eq!((top.list().2, top.sort_name()), (Some(1), "flows"));
    press(&mut top, &[Key::Home]);
    assert_eq!(top.selected(Pane::Lines).as_deref(), Some("dsl1"));
    top.handle(Input::Status(StatusReport::default()));
    assert_eq!(press(&mut top, &[Key::End, Key::PageDown, Key::Up, Key::Char('t')]), [], "nothing is there to select");
    assert!(top.question.is_none());
}

#[test]
fn line_is_taken_down_only_after_a_yes() {
    let mut top = top();
    assert_eq!(press(&mut top, &[Key::Char('t')]), []);
    let text = picture(&mut top, (80, 10));
    assert!(text.contains("Take dsl1 down? It has 412 flows, which go on; new ones get other lines. y/n"), "{text}");
    assert_eq!(press(&mut top, &[Key::Down, Key::Char('x')]), [], "a slip is no answer");
    assert_eq!(press(&mut top, &[Key::Char('n'), Key::Char('y')]), []);
    let down = Command::Link(LinkOrder::new("dsl1".to_owned(), LinkState::Down));
    assert_eq!(press(&mut top, &[Key::Char('t'), Key::Char('y')]), [down]);
    top.handle(Input::Answered("dsl1: ordered down, its state is down".to_owned()));
    assert!(picture(&mut top, (80, 10)).contains("its state is down"));
    top.status.uplinks[0].taken_down_by = Some("uid 0".to_owned());
    let up = Command::Link(LinkOrder::new("dsl1".to_owned(), LinkState::Up));
    assert_eq!(press(&mut top, &[Key::Char('t'), Key::Char('y')]), [up]);
}

#[test]
fn line_is_reserved_for_the_host_that_is_selected_in_its_pane() {
    let mut top = top();
    press(&mut top, &[Key::End, Key::Tab, Key::Down, Key::Char('r')]);
    assert!(picture(&mut top, (80, 10)).contains("Reserve cable for 192.168.10.20? y/n"));
    let order = Command::Reserve { uplink: "cable".to_owned(), host: "192.168.10.20".to_owned() };
    assert_eq!(press(&mut top, &[Key::Char('y')]), [order]);
    let mut empty = Top::default();
    assert_eq!(press(&mut empty, &[Key::Char('r'), Key::Char('y')]), []);
}

#[test]
fn router_that_is_gone_is_said_until_it_is_back() {
    let mut top = top();
    top.handle(Input::Failed("no router is running: \u{1b}[2J".to_owned()));
    assert!(picture(&mut top, (80, 10)).contains("no router is running:  [2J\n"));
    let status = top.status.clone();
    top.handle(Input::Status(status));
    assert!(!picture(&mut top, (80, 10)).contains("no router"));
    top.handle(Input::Answered("long words of the router ".repeat(5)));
    let text = picture(&mut top, (80, 10));
    let expected = "\nlong words of the router long words of the router long words of the router long\nwords of the";
    assert!(text.contains(expected), "{text}");
    assert_eq!(top.handle(Input::Stop), Some(Command::Quit));
    assert_eq!(press(&mut top, &[Key::Char('q')]), [Command::Quit]);
}

#[test]
fn every_size_of_window_is_drawn() {
    let mut top = top();
    for size in [(1, 1), (10, 3), (40, 6), (79, 23), (200, 60)] {
        for _pane in Pane::ALL {
            press(&mut top, &[Key::Tab, Key::PageDown]);
            terminal(&mut top, size, Colours::Some);
        }
    }
}

#[test]
fn colours_are_left_out_where_nobody_wants_them() {
    let mut top = top();
    for (colours, of_dead_line) in [(Colours::Some, Color::Red), (Colours::None, Color::Reset)] {
        let terminal = terminal(&mut top, (80, 10), colours);
        let buffer = terminal.backend().buffer();
        assert_eq!(buffer[(2, 4)].fg, of_dead_line);
        assert!(buffer[(2, 3)].modifier.contains(Modifier::REVERSED), "the selected row is seen without colours");
    }
}
