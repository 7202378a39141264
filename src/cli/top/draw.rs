//! How `potato top` looks.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Cell, Paragraph, Row as TableRow, Table, TableState, Wrap};

use super::super::table::Align;
use super::super::units;
use super::rows::{Column, Row};
use super::state::{Pane, Top};

/// Whether colours are wanted (<https://no-color.org>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colours {
    Some,
    None,
}

impl Colours {
    fn of(self, colour: Color) -> Style {
        match self {
            Self::Some => Style::new().fg(colour),
            Self::None => Style::new(),
        }
    }
}

const KEYS: &str = "q quit  tab pane  arrows select  s sort  t line up/down  r reserve line for host";

/// Draws all of it, whatever the size of the window.
pub(super) fn draw(frame: &mut Frame<'_>, top: &mut Top, colours: Colours) {
    let message = message(top, colours);
    let areas: [Rect; 5] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(2),
        Constraint::Length(height(&message, frame.area().width)),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let [title, tabs, list, said, keys] = areas;
    frame.render_widget(Paragraph::new(headline(top)), title);
    draw_tabs(frame, tabs, top, colours);
    // The rows' titles take one.
    top.page = usize::from(list.height).saturating_sub(1);
    draw_list(frame, list, top, colours);
    frame.render_widget(Paragraph::new(message).wrap(Wrap { trim: true }), said);
    frame.render_widget(Paragraph::new(KEYS).style(Style::new().add_modifier(Modifier::DIM)), keys);
}

fn headline(top: &Top) -> Line<'static> {
    let status = &top.status;
    let up = status.uplinks.iter().filter(|uplink| uplink.state == "up").count();
    let sum = |read: fn(&crate::daemon::report::UplinkReport) -> u64| status.uplinks.iter().map(read).sum();
    Line::from(vec![
        Span::styled(format!("Potato {}", status.version), Style::new().add_modifier(Modifier::BOLD)),
        Span::raw(format!(
            "  up {}  {up} of {} lines up  {} flows  out {}  in {}",
            units::seconds(status.uptime_seconds),
            status.uplinks.len(),
            units::count(status.engine.flows),
            units::rate(sum(|uplink| uplink.out.bits_per_second)),
            units::rate(sum(|uplink| uplink.back.bits_per_second)),
        )),
    ])
}

fn draw_tabs(frame: &mut Frame<'_>, area: Rect, top: &Top, colours: Colours) {
    let tab = |pane: Pane| {
        if pane == top.pane {
            let style = colours.of(Color::Cyan).add_modifier(Modifier::BOLD);
            Span::styled(format!("[{}] ", pane.name()), style)
        } else {
            Span::raw(format!(" {}  ", pane.name()))
        }
    };
    let sorted = format!("by {} ", top.sort_name());
    #[expect(clippy::cast_possible_truncation, reason = "a few words")]
    let [left, right] = Layout::horizontal([Constraint::Min(1), Constraint::Length(sorted.len() as u16)]).areas(area);
    frame.render_widget(Line::from(Pane::ALL.map(tab).to_vec()), left);
    frame.render_widget(Paragraph::new(sorted).alignment(Alignment::Right), right);
}

fn draw_list(frame: &mut Frame<'_>, area: Rect, top: &Top, colours: Colours) {
    let (columns, rows, selected) = top.list();
    let widths = columns.iter().map(|&(_, _, width)| match width {
        0 => Constraint::Fill(1),
        width => Constraint::Length(width),
    });
    let titles = columns.iter().map(|&(title, align, _)| cell(title, align));
    let header = TableRow::new(titles).style(Style::new().add_modifier(Modifier::UNDERLINED));
    let shown = rows.iter().map(|row| table_row(row, columns, colours));
    let table = Table::new(shown, widths)
        .header(header)
        .column_spacing(1)
        .highlight_symbol("> ")
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = TableState::default().with_selected(selected);
    frame.render_stateful_widget(table, area, &mut state);
}

fn table_row(row: &Row, columns: &[Column], colours: Colours) -> TableRow<'static> {
    let cells = row.cells.iter().zip(columns).map(|(text, &(_, align, _))| cell(text, align));
    let style = if row.is_bad { colours.of(Color::Red) } else { Style::new() };
    TableRow::new(cells).style(style)
}

/// What others have named is not to speak to the terminal.
fn cell(text: &str, align: Align) -> Cell<'static> {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let side = match align {
        Align::Left => Alignment::Left,
        Align::Right => Alignment::Right,
    };
    Cell::from(Text::from(text).alignment(side))
}

/// Rows that a message may have: as many as it needs, or what a small window can spare.
fn height(message: &Line<'_>, width: u16) -> u16 {
    let needed = message.width().div_ceil(usize::from(width.max(1)));
    // Words are not broken, which may take one more.
    u16::try_from(needed + usize::from(needed > 1)).unwrap_or(u16::MAX).clamp(1, 3)
}

fn message(top: &Top, colours: Colours) -> Line<'static> {
    let clean = |text: &str| -> String { text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect() };
    if let Some(question) = &top.question {
        let style = colours.of(Color::Yellow).add_modifier(Modifier::BOLD);
        return Line::styled(format!("{} y/n", clean(&question.text)), style);
    }
    if let Some(failure) = &top.failure {
        return Line::styled(clean(failure), colours.of(Color::Red));
    }
    if let Some(notice) = &top.notice {
        return Line::raw(clean(notice));
    }
    let of = |pane| top.selected(pane).unwrap_or_else(|| "none".to_owned());
    Line::raw(format!("line {}, host {}", clean(&of(Pane::Lines)), clean(&of(Pane::Hosts))))
}
