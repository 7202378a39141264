//! The demo's table: numbers in, lines of text out, 80 columns by 24 rows.

use std::time::Duration;

/// Columns of a bar of downloads.
const DOWN_BAR: usize = 9;
/// Columns of a bar of uploads.
const UP_BAR: usize = 5;

/// How an internet line does.
#[derive(Clone, Debug, Default)]
pub(super) struct LineRow {
    pub(super) name: String,
    pub(super) state: String,
    pub(super) address: String,
    pub(super) down_bits_per_second: u64,
    pub(super) up_bits_per_second: u64,
    pub(super) down_mbit: u32,
    pub(super) up_mbit: u32,
    pub(super) flows: u64,
    pub(super) bytes: u64,
    pub(super) connections: u64,
}

/// What a LAN host has had.
#[derive(Clone, Debug, Default)]
pub(super) struct HostRow {
    pub(super) name: String,
    pub(super) address: String,
    pub(super) downloads: u64,
    pub(super) uploads: u64,
    pub(super) requests: u64,
    pub(super) names: u64,
    pub(super) cut_off: u64,
    pub(super) failed: u64,
    pub(super) bytes: u64,
}

/// How bars are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bars {
    /// Eighths of a block.
    Blocks,
    /// For terminals that know no more than ASCII.
    Ascii,
}

/// All that the screen shows.
#[derive(Clone, Debug)]
pub(super) struct Picture {
    pub(super) lines: Vec<LineRow>,
    pub(super) hosts: Vec<HostRow>,
    /// Where the router's pages are.
    pub(super) url: String,
    /// What has befallen a line, the last time.
    pub(super) news: Option<String>,
    /// How often a line was in trouble.
    pub(super) outages: usize,
    pub(super) elapsed: Duration,
    pub(super) remaining: Option<Duration>,
}

impl Picture {
    /// The screen, without trailing line end.
    pub(super) fn screen(&self, bars: Bars) -> Vec<String> {
        let (down, up) = self.rates();
        let mut screen = vec![
            format!(
                " Potato: {} LAN hosts share {} internet lines, every connection on one of them",
                self.hosts.len(),
                self.lines.len()
            ),
            String::new(),
            format!(
                " {:<5} {:<10} {:<11} {:<19} {:<13} {:>5} {:>8}",
                "LINE", "STATE", "ADDRESS", "DOWN Mbit/s", "UP Mbit/s", "FLOWS", "TOTAL"
            ),
        ];
        screen.extend(self.lines.iter().map(|line| line_row(line, bars)));
        screen.push(format!(
            " {:<28} {:>5}/{:<3} {} {:>4}/{:<2} {} {:>5} {:>8}",
            "all",
            mbit(down),
            self.down_mbit(),
            bar(down, self.down_mbit(), DOWN_BAR, bars),
            mbit(up),
            self.up_mbit(),
            bar(up, self.up_mbit(), UP_BAR, bars),
            self.lines.iter().map(|line| line.flows).sum::<u64>(),
            bytes(self.lines.iter().map(|line| line.bytes).sum()),
        ));
        screen.push(String::new());
        screen.push(format!(
            " {:<5} {:<14} {:>9} {:>8} {:>9} {:>6} {:>4} {:>7} {:>9}",
            "HOST", "ADDRESS", "DOWNLOADS", "UPLOADS", "REQUESTS", "NAMES", "CUT", "FAILED", "TOTAL"
        ));
        screen.extend(self.hosts.iter().map(host_row));
        screen.push(self.news.as_ref().map_or_else(String::new, |news| format!(" {news}")));
        screen.push(format!(" The page of potatoes: {} (operator, password: potato)", self.url));
        screen.push(self.footer());
        screen
    }

    fn footer(&self) -> String {
        let seconds = self.elapsed.as_secs();
        let left = self.remaining.map_or_else(String::new, |left| format!(", {} s to go", left.as_secs()));
        format!(" {}:{:02} running{left}. Ctrl-C ends it and removes everything.", seconds / 60, seconds % 60)
    }

    /// One line for a log: when the output is no terminal.
    pub(super) fn plain(&self) -> String {
        let (down, up) = self.rates();
        let lines: Vec<_> = self
            .lines
            .iter()
            .map(|line| format!("{} {} {}", line.name, line.state, mbit(line.down_bits_per_second)))
            .collect();
        format!(
            "{:>4} s  down {} Mbit/s  up {} Mbit/s  flows {}  [{}]",
            self.elapsed.as_secs(),
            mbit(down),
            mbit(up),
            self.lines.iter().map(|line| line.flows).sum::<u64>(),
            lines.join(", ")
        )
    }

    /// What to say at the end; the rates are those of the whole time.
    pub(super) fn summary(&self) -> Vec<String> {
        let total: u64 = self.lines.iter().map(|line| line.bytes).sum();
        let mut summary =
            vec![" LINE   SPEED Mbit/s      BYTES   SHARE   CONNECTIONS (seen by the servers)".to_owned()];
        summary.extend(self.lines.iter().map(|line| {
            let share = line.bytes.saturating_mul(100).checked_div(total).unwrap_or(0);
            let speed = format!("{}/{}", line.down_mbit, line.up_mbit);
            format!(" {:<6} {speed:<12} {:>10} {share:>5} %   {:>6}", line.name, bytes(line.bytes), line.connections)
        }));
        let (down, up) = self.rates();
        let connections: u64 = self.lines.iter().map(|line| line.connections).sum();
        let speed = format!("{}/{}", self.down_mbit(), self.up_mbit());
        summary.push(format!(" {:<6} {speed:<12} {:>10}   100 %   {connections:>6}", "all", bytes(total)));
        summary.push(String::new());
        summary.push(format!(
            " {} s: {} Mbit/s down, {} % of the {} that the lines have together; {} up.",
            self.elapsed.as_secs(),
            mbit(down),
            percent(down, self.down_mbit()),
            self.down_mbit(),
            mbit(up),
        ));
        let done: u64 = self.hosts.iter().map(|host| host.downloads + host.uploads + host.requests + host.names).sum();
        let failed: u64 = self.hosts.iter().map(|host| host.failed).sum();
        summary.push(format!(" The hosts' requests of all kinds: {done} done, {failed} failed."));
        if self.outages > 0 {
            let cut_off: u64 = self.hosts.iter().map(|host| host.cut_off).sum();
            let times = if self.outages == 1 { "once".to_owned() } else { format!("{} times", self.outages) };
            summary.push(format!(" A line was in trouble {times}; {cut_off} more requests were cut off by that."));
        }
        summary
    }

    fn rates(&self) -> (u64, u64) {
        let down = self.lines.iter().map(|line| line.down_bits_per_second).sum();
        let up = self.lines.iter().map(|line| line.up_bits_per_second).sum();
        (down, up)
    }

    fn down_mbit(&self) -> u32 {
        self.lines.iter().map(|line| line.down_mbit).sum()
    }

    fn up_mbit(&self) -> u32 {
        self.lines.iter().map(|line| line.up_mbit).sum()
    }
}

fn line_row(line: &LineRow, bars: Bars) -> String {
    format!(
        " {:<5} {:<10} {:<11} {:>5}/{:<3} {} {:>4}/{:<2} {} {:>5} {:>8}",
        line.name,
        line.state,
        line.address,
        mbit(line.down_bits_per_second),
        line.down_mbit,
        bar(line.down_bits_per_second, line.down_mbit, DOWN_BAR, bars),
        mbit(line.up_bits_per_second),
        line.up_mbit,
        bar(line.up_bits_per_second, line.up_mbit, UP_BAR, bars),
        line.flows,
        bytes(line.bytes),
    )
}

fn host_row(host: &HostRow) -> String {
    format!(
        " {:<5} {:<14} {:>9} {:>8} {:>9} {:>6} {:>4} {:>7} {:>9}",
        host.name,
        host.address,
        host.downloads,
        host.uploads,
        host.requests,
        host.names,
        host.cut_off,
        host.failed,
        bytes(host.bytes)
    )
}

/// Megabits with one decimal: `48.2`.
fn mbit(bits: u64) -> String {
    let tenths = (bits + 50_000) / 100_000;
    format!("{}.{}", tenths / 10, tenths % 10)
}

fn percent(bits: u64, of_mbit: u32) -> u64 {
    bits.saturating_mul(100).checked_div(u64::from(of_mbit) * 1_000_000).unwrap_or(0)
}

/// Bytes in three digits or so: `12.3 MB`.
fn bytes(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..=999_999 => (1_000, "kB"),
        1_000_000..=999_999_999 => (1_000_000, "MB"),
        _ => (1_000_000_000, "GB"),
    };
    let tenths = bytes / (unit / 10);
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

/// How much of `of_mbit` is used, `width` columns long.
fn bar(bits: u64, of_mbit: u32, width: usize, bars: Bars) -> String {
    let eighths = width as u64 * 8;
    let full = u64::from(of_mbit) * 1_000_000;
    let filled = bits.saturating_mul(eighths).checked_div(full).unwrap_or(0).min(eighths);
    let (whole, rest) = (usize::try_from(filled / 8).unwrap_or(width), usize::try_from(filled % 8).unwrap_or(0));
    let text = match bars {
        Bars::Ascii => "#".repeat(whole),
        Bars::Blocks => {
            let parts = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
            let mut text = "█".repeat(whole);
            text.extend((whole < width).then_some(parts[rest]));
            text
        }
    };
    format!("{text:<width$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Picture {
        let line = LineRow {
            name: "dsl1".into(),
            state: "no-carrier".into(),
            address: "10.77.1.2".into(),
            down_bits_per_second: 48_230_000,
            up_bits_per_second: 10_000_000,
            down_mbit: 50,
            up_mbit: 10,
            flows: 12_345,
            bytes: 999_900_000,
            connections: 99_999,
        };
        let host = HostRow { name: "h1".into(), address: "192.168.10.21".into(), ..HostRow::default() };
        let elapsed = Duration::from_secs(61);
        Picture {
            lines: vec![line; 6],
            hosts: vec![host; 4],
            url: "http://127.0.0.1:8080/".into(),
            news: Some("dsl1: its modem has a carrier again".into()),
            outages: 1_000,
            elapsed,
            remaining: Some(elapsed),
        }
    }

    #[test]
    fn the_screen_fits_a_small_terminal() {
        for bars in [Bars::Blocks, Bars::Ascii] {
            let screen = picture().screen(bars);
            assert!(screen.len() < 24);
            screen.iter().for_each(|row| assert!(row.chars().count() <= 80, "{row}"));
        }
        picture().summary().iter().for_each(|row| assert!(row.chars().count() <= 80, "{row}"));
    }

    #[test]
    fn what_lines_cut_off_is_told_apart_from_what_failed() {
        let mut picture = picture();
        picture.hosts.iter_mut().for_each(|host| (host.requests, host.cut_off, host.failed) = (100, 5, 0));
        let summary = picture.summary().join("\n");
        assert!(
            summary.contains("400 done, 0 failed.\n A line was in trouble 1000 times; 20 more requests"),
            "{summary}"
        );
        picture.outages = 0;
        assert!(picture.summary().join("\n").ends_with("400 done, 0 failed."));
    }

    #[test]
    fn bars_fill_as_the_line_does() {
        assert_eq!(bar(0, 50, 4, Bars::Ascii), "    ");
        assert_eq!(bar(25_000_000, 50, 4, Bars::Ascii), "##  ");
        assert_eq!(bar(60_000_000, 50, 4, Bars::Blocks), "████");
        assert_eq!(bar(1, 0, 4, Bars::Blocks), "    ");
    }

    #[test]
    fn numbers_are_rounded_to_read() {
        assert_eq!(mbit(48_249_999), "48.2");
        assert_eq!(bytes(12_345_678), "12.3 MB");
        assert_eq!(bytes(0), "0.0 kB");
    }
}
