//! Days of an office, in simulated time.

use std::path::Path;

use super::*;
use crate::config;
use crate::daemon::rfc3339;

/// 2026-11-26 12:00:00 UTC.
const NOON: u64 = 1_795_694_400_000;
const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// The channels of these sections, in a file with the lines dsl1 to dsl3.
fn channels(sections: &str) -> Vec<Channel> {
    let line = |n: u8| format!("[[uplink]]\nname = \"dsl{n}\"\ninterface = \"wan{n}\"\nkind = \"dhcp\"\n");
    let lines: String = (1..=3).map(line).collect();
    let text = format!("[lan]\ninterface = \"lan0\"\n{lines}{sections}");
    config::parse(Path::new("potato.toml"), &text).unwrap().channels
}

/// A channel with these terms.
fn channel(terms: &str) -> Vec<Channel> {
    channels(&format!("[[notify]]\nname = \"office\"\nkind = \"ntfy\"\nurl = \"http://192.0.2.1/t\"\n{terms}\n"))
}

/// A desk whose clock is moved by hand.
struct Office {
    desk: Desk,
    now: u64,
    events: u64,
    /// When what was said.
    said: Vec<(u64, String)>,
}

impl Office {
    /// All three lines work.
    fn open(channels: &[Channel]) -> Self {
        let mut office = Self { desk: Desk::default(), now: NOON, events: 0, said: Vec::new() };
        office.desk.handle_settings(channels);
        let up = ["dsl1", "dsl2", "dsl3"].map(|line| (line, "up"));
        office.desk.handle_status(office.moment(), up.into_iter());
        office
    }

    fn moment(&self) -> Moment {
        Moment { now: self.now, utc_offset: 0 }
    }

    fn tell(&mut self, event: EventReport) {
        self.events += 1;
        let event = EventReport { id: self.events, time: rfc3339(self.now), ..event };
        self.desk.handle_event(self.moment(), &event);
        self.work();
    }

    fn line(&mut self, line: &str, to: &str, cause: &str) {
        let of = |text: &str| Some(text.to_owned());
        let event = "uplink-changed".to_owned();
        self.tell(EventReport { event, uplink: of(line), to: of(to), cause: of(cause), ..EventReport::default() });
    }

    /// Lets time pass, as the shell does: from one timeout to the next.
    fn pass(&mut self, span: u64) {
        let end = self.now + span;
        self.work();
        while let Some(next) = self.desk.poll_timeout(self.now).filter(|next| *next <= end) {
            assert!(next > self.now, "it is done with what is due");
            self.now = next;
            self.work();
        }
        self.now = end;
        self.work();
    }

    fn work(&mut self) {
        self.desk.handle_timeout(self.moment());
        while let Some((channel, message)) = self.desk.poll_transmit(self.now) {
            self.said.push((self.now - NOON, message.text(self.now, 0)));
            self.desk.handle_outcome(self.now, &channel, &message.id, Ok(()));
        }
    }

    /// A restart: what is on disk is all that is left.
    fn restart(&mut self, channels: &[Channel]) {
        let memory = serde_json::to_string(self.desk.memory()).unwrap();
        self.desk = Desk::restored(serde_json::from_str(&memory).unwrap(), BTreeMap::new());
        self.desk.handle_settings(channels);
        self.tell(EventReport { event: "router-started".to_owned(), ..EventReport::default() });
    }

    /// What was said since the last call, and how many seconds after noon.
    fn said(&mut self) -> Vec<(u64, String)> {
        std::mem::take(&mut self.said).into_iter().map(|(at, text)| (at / SECOND, text)).collect()
    }
}

fn said(at: u64, text: &str) -> (u64, String) {
    (at, text.to_owned())
}

#[test]
fn line_that_is_away_for_less_than_is_tolerated_is_nobodys_business() {
    let mut office = Office::open(&channel(""));
    office.line("dsl2", "no-carrier", "carrier lost");
    office.pass(119 * SECOND);
    office.line("dsl2", "up", "targets answer");
    office.pass(HOUR);
    assert_eq!(office.said(), []);
}

#[test]
fn line_that_stays_away_is_told_and_so_is_its_return() {
    let mut office = Office::open(&channel(""));
    office.line("dsl2", "no-carrier", "carrier lost");
    office.pass(10 * SECOND);
    office.line("dsl2", "connecting", "carrier found");
    office.pass(14 * MINUTE - 10 * SECOND);
    office.line("dsl2", "up", "targets answer");
    office.pass(HOUR);
    let expected = [said(120, "dsl2 is lost for 2 min: carrier lost"), said(850, "dsl2 is up again after 14 min")];
    assert_eq!(office.said(), expected);
}

#[test]
fn pulled_stick_is_told_at_once() {
    let mut office = Office::open(&channel(""));
    office.line("dsl3", "missing", "interface removed");
    assert_eq!(office.said(), [said(0, "dsl3 is missing: stick pulled (interface removed)")]);
    office.pass(HOUR);
    assert_eq!(office.said(), []);
    office.line("dsl3", "connecting", "carrier found");
    office.line("dsl3", "up", "targets answer");
    office.pass(10 * SECOND);
    assert_eq!(office.said(), [said(3_610, "dsl3 is up again after 1 h 0 min")]);
}

#[test]
fn lines_that_fail_together_are_one_message() {
    let mut office = Office::open(&channel("tolerance = \"0s\""));
    office.line("dsl1", "no-carrier", "carrier lost");
    office.pass(4 * SECOND);
    office.line("dsl2", "lame", "12 % loss");
    office.pass(MINUTE);
    assert_eq!(office.said(), [said(10, "dsl1 is lost: carrier lost\ndsl2 is lame: 12 % loss")]);
    // With a tolerance that is longer than the group's time, nobody waits for others in vain.
    let mut office = Office::open(&channel(""));
    office.line("dsl1", "no-carrier", "carrier lost");
    office.pass(9 * SECOND);
    office.line("dsl2", "no-carrier", "carrier lost");
    office.pass(11 * SECOND);
    office.line("dsl3", "no-carrier", "carrier lost");
    office.pass(HOUR);
    let both = "dsl1 is lost for 2 min: carrier lost\ndsl2 is lost for 2 min: carrier lost";
    assert_eq!(office.said(), [said(129, both), said(140, "dsl3 is lost for 2 min: carrier lost")]);
}

#[test]
fn outside_the_hours_nothing_is_told_and_what_still_is_so_is_told_when_they_begin() {
    let channels = channel("hours = \"13:00-18:00\"\nevents = [\"lost\", \"missing\", \"orders\"]");
    let mut office = Office::open(&channels);
    office.line("dsl1", "missing", "interface removed");
    office.line("dsl2", "no-carrier", "carrier lost");
    office.tell(EventReport { event: "link-ordered".to_owned(), ..EventReport::default() });
    office.pass(10 * MINUTE);
    office.line("dsl2", "up", "targets answer");
    office.pass(50 * MINUTE);
    assert_eq!(office.said(), [said(3_600, "dsl1 is missing: stick pulled (interface removed)")]);
    // It comes back in the night.
    office.pass(10 * HOUR);
    office.line("dsl1", "up", "targets answer");
    office.pass(10 * HOUR);
    assert_eq!(office.said(), []);
    office.pass(4 * HOUR);
    assert_eq!(office.said(), [said(25 * 3_600, "dsl1 is up again after 11 h 0 min")]);
}

#[test]
fn line_that_comes_and_goes_is_told_of_no_more_than_people_can_stand() {
    let mut office = Office::open(&channel("tolerance = \"10s\"\ngroup = \"0s\""));
    for _ in 0..20 {
        office.line("dsl1", "lame", "40 % loss");
        office.pass(20 * SECOND);
        office.line("dsl1", "up", "targets answer");
        office.pass(20 * SECOND);
    }
    let told = office.said();
    let often = " (3 times within an hour: that it is back is told once it has lasted for 5 min)";
    assert_eq!((told.len(), &told[4]), (5, &said(90, &format!("dsl1 is lame: 40 % loss{often}"))), "{told:?}");
    office.pass(HOUR);
    assert_eq!(office.said().len(), 1, "it is back for good");
}

#[test]
fn what_was_taken_down_by_hand_is_no_news_of_a_loss() {
    let mut office = Office::open(&channel(""));
    office.line("dsl1", "down", "taken down by hand");
    office.pass(HOUR);
    office.line("dsl1", "connecting", "put back by hand");
    office.pass(20 * SECOND);
    office.line("dsl1", "up", "targets answer");
    office.pass(HOUR);
    assert_eq!(office.said(), []);
}

#[test]
fn restart_in_between_loses_nothing_and_tells_nothing_twice() {
    let channels = channel("tolerance = \"60s\"");
    let mut office = Office::open(&channels);
    office.line("dsl1", "no-carrier", "carrier lost");
    office.line("dsl2", "missing", "interface removed");
    assert_eq!(office.said().len(), 1);
    office.pass(30 * SECOND);
    office.restart(&channels);
    office.line("dsl3", "up", "targets answer");
    office.pass(5 * SECOND);
    office.line("dsl2", "missing", "interface removed");
    office.pass(5 * MINUTE);
    assert_eq!(office.said(), [said(90, "dsl1 is lost for 1 min")], "that dsl2 is missing is known");
    office.restart(&channels);
    for line in ["dsl1", "dsl2", "dsl3"] {
        office.line(line, "up", "targets answer");
    }
    office.pass(HOUR);
    let back = office.said();
    assert_eq!((back.len(), back[0].1.lines().count()), (1, 2), "{back:?}");
}

#[test]
fn router_that_starts_again_with_all_its_lines_is_no_news() {
    let channels = channel("tolerance = \"0s\"\ngroup = \"0s\"");
    let mut office = Office::open(&channels);
    office.restart(&channels);
    office.pass(20 * SECOND);
    for line in ["dsl1", "dsl2", "dsl3"] {
        office.line(line, "testing", "gateway answered");
        office.line(line, "up", "targets answer");
    }
    office.pass(HOUR);
    assert_eq!(office.said(), []);
}

#[test]
fn no_line_at_all_is_told_and_its_end() {
    let mut office = Office::open(&channel("tolerance = \"30s\"\nevents = \"no-line\""));
    for line in ["dsl1", "dsl2", "dsl3"] {
        office.line(line, "no-carrier", "carrier lost");
    }
    let cause = Some("dsl1 no-carrier".to_owned());
    office.tell(EventReport { event: "no-uplink".to_owned(), cause, ..EventReport::default() });
    office.pass(5 * MINUTE);
    assert_eq!(office.said(), [said(30, "no line works: dsl1 no-carrier")]);
    office.line("dsl2", "up", "targets answer");
    office.pass(MINUTE);
    assert_eq!(office.said(), [said(310, "the internet can be reached again, after 5 min")]);
}

#[test]
fn channel_hears_of_its_lines_and_topics_only() {
    let of_one =
        "lines = \"dsl1\"\nevents = [\"lost\", \"orders\"]\nrecovery = false\ntolerance = \"0s\"\ngroup = \"0s\"";
    let mut office = Office::open(&channel(of_one));
    office.line("dsl2", "lame", "40 % loss");
    office.line("dsl1", "lame", "50 % loss");
    office.pass(MINUTE);
    office.line("dsl1", "up", "targets answer");
    let of = |text: &str| Some(text.to_owned());
    let order = |line| EventReport {
        event: "link-ordered".to_owned(),
        uplink: of(line),
        to: of("down"),
        by: of("anna"),
        ..EventReport::default()
    };
    office.tell(order("dsl2"));
    office.tell(order("dsl1"));
    office.pass(MINUTE);
    let expected = [said(0, "dsl1 is lame: 50 % loss"), said(60, "link down dsl1 ordered (by anna)")];
    assert_eq!(office.said(), expected);
}

#[test]
fn what_no_event_has_told_is_seen_in_the_routers_state() {
    let mut office = Office::open(&channel("tolerance = \"10s\"\ngroup = \"0s\""));
    let state = [("dsl1", "up"), ("dsl2", "no-carrier"), ("dsl3", "up")];
    office.desk.handle_status(office.moment(), state.into_iter());
    office.pass(MINUTE);
    assert_eq!(office.said(), [said(10, "dsl2 is lost")]);
    // Its events come late.
    office.line("dsl2", "connecting", "carrier found");
    office.line("dsl2", "up", "targets answer");
    office.desk.handle_status(office.moment(), state.map(|(line, _)| (line, "up")).into_iter());
    office.pass(MINUTE);
    assert_eq!(office.said(), [said(60, "dsl2 is up again after 1 min")]);
}

#[test]
fn channels_that_go_lose_what_waits_and_others_keep_it() {
    let two = |first: &str| {
        let section = |name: &str| {
            format!(
                "[[notify]]\nname = \"{name}\"\nkind = \"ntfy\"\nurl = \"http://192.0.2.1/t\"\ntolerance = \"0s\"\ngroup = \"0s\"\n"
            )
        };
        channels(&format!("{}{}", section(first), section("b")))
    };
    let mut desk = Desk::default();
    desk.handle_settings(&two("a"));
    let moment = Moment { now: NOON, utc_offset: 0 };
    desk.handle_status(moment, [("dsl1", "up")].into_iter());
    let lost = EventReport {
        id: 1,
        event: "uplink-changed".to_owned(),
        uplink: Some("dsl1".to_owned()),
        to: Some("lame".to_owned()),
        time: rfc3339(NOON),
        ..EventReport::default()
    };
    desk.handle_event(moment, &lost);
    desk.handle_event(moment, &lost);
    desk.handle_timeout(moment);
    assert_eq!((desk.state("a").unwrap().queued, desk.state("b").unwrap().queued), (1, 1));
    assert_eq!(desk.handle_settings(&two("c")), ["a"]);
    assert_eq!((desk.state("a"), desk.state("b").unwrap().queued, desk.state("c").unwrap().queued), (None, 1, 0));
}
