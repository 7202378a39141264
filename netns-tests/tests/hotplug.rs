//! Interfaces that come late, go, come back as others, and change their names.
//!
//! ```text
//!  h1 .21 --+                                    wan1 -- 10.77.1.1 --+
//!           +-- lan -- lan0 192.168.10.1 [potato]                    [internet] 203.0.113.1: echo servers
//!                                                wan2 -- 10.77.2.1 --+
//! ```

use std::fs;
use std::io::ErrorKind;

use netns_tests::connection::Connection;
use netns_tests::programs::run;
use netns_tests::waiting::wait_for;
use netns_tests::world::lab;
use netns_tests::{Capture, Lab, LabOptions, Must, World, binary, over_both_captures};
use serde_json::Value;

over_both_captures!(
    an_interface_that_comes_late_and_goes_is_told_and_used,
    an_interface_that_loses_its_name_is_given_back_and_found_again,
    an_interface_known_by_its_address_keeps_its_flows_through_every_name,
    two_interfaces_that_swap_their_names_swap_their_lines,
);

const MAC: &str = "02:00:5e:10:00:01";

/// The uplink's changes of state: to what, and why.
fn changes(world: &World, uplink: &str) -> Vec<(String, String)> {
    let text = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
    let events = world.events();
    let its = events.iter().filter(|event| event["event"] == "uplink-changed" && event["uplink"] == uplink);
    its.map(|event| (text(event, "to"), text(event, "cause"))).collect()
}

/// Runs `ip` commands in the router.
fn ip(lab: &Lab, commands: &[&str]) {
    lab.router().ip(&commands.iter().map(|command| (*command).to_owned()).collect::<Vec<_>>()).must();
}

fn index(lab: &Lab, interface: &str) -> String {
    let said = lab.router().exec("ip", &["-o", "link", "show", "dev", interface]).must();
    said.split(':').next().unwrap_or_default().to_owned()
}

/// The lines of the router's journal that are about this interface.
fn journal_of(lab: &Lab, index: &str) -> Vec<String> {
    let journal = fs::read_to_string(lab.directory().join("run/journal")).must();
    let is_its = |line: &&str| line.split(' ').nth(1) == Some(index);
    journal.lines().filter(is_its).map(str::to_owned).collect()
}

fn an_interface_that_comes_late_and_goes_is_told_and_used(capture: Capture) {
    let lab = lab(LabOptions::new(1, 2));
    lab.delete_uplink(1).must();
    let mut world = World::launched(capture, lab);
    world.wait_for_state(2, "up");
    assert_eq!(world.uplink(1)["state"], "missing");
    run(world.host(1), "ping -c 2 -i 0.05 -W 2 203.0.113.1");
    world.lab.remake_uplink(1).must();
    world.wait_for_state(1, "up");
    let [mut first, mut second] = Connection::on_each_uplink(&world);
    let before = index(&world.lab, "wan1");
    assert!(!journal_of(&world.lab, &before).is_empty());

    world.lab.delete_uplink(1).must();
    world.wait_for_state(1, "missing");
    second.still_works();
    assert_eq!(first.end(), ErrorKind::ConnectionReset);
    world.lab.remake_uplink(1).must();
    world.wait_for_state(1, "up");
    assert_eq!(Connection::on_each_uplink(&world)[0].uplink, 1);
    second.still_works();
    let after = index(&world.lab, "wan1");
    assert_ne!(before, after);
    assert_eq!(journal_of(&world.lab, &before), [""; 0], "what is gone needs no undoing");
    assert!(!journal_of(&world.lab, &after).is_empty());
    let told = changes(&world, "dsl1");
    assert!(told.contains(&("missing".to_owned(), "interface removed".to_owned())), "{told:?}");
    assert!(world.potato(&["events"]).1.contains("dsl1: up -> missing: interface removed\n"));
    world.finish();
}

fn an_interface_that_loses_its_name_is_given_back_and_found_again(capture: Capture) {
    let mut world = World::new(capture, 1, 2);
    let [mut first, mut second] = Connection::on_each_uplink(&world);
    let number = index(&world.lab, "wan1");
    ip(&world.lab, &["link set wan1 down", "link set wan1 name spare", "link set spare up"]);
    world.wait_for_state(1, "missing");
    second.still_works();
    world.wait_for_event("uplink-changed", "interface removed: it is called spare now");
    // It is the kernel's again, as it was.
    wait_for("an interface without traces of ours", || {
        let filters = world.lab.router().exec("tc", &["filter", "show", "dev", "spare", "ingress"]).must();
        let journal = journal_of(&world.lab, &number);
        if filters.is_empty() && journal.is_empty() { Ok(()) } else { Err(format!("{filters}{journal:?}")) }
    });
    assert_eq!(first.end(), ErrorKind::ConnectionReset);
    ip(&world.lab, &["link set spare down", "link set spare name wan1", "link set wan1 up"]);
    world.wait_for_state(1, "up");
    second.still_works();
    assert_eq!(Connection::on_each_uplink(&world)[0].uplink, 1);
    world.finish();
}

/// Two uplinks, the first known by its Ethernet address.
fn known_by_address(capture: Capture) -> World {
    let lab = lab(LabOptions::new(1, 2));
    ip(&lab, &[&format!("link set wan1 address {MAC}")]);
    let configuration = lab.configuration(capture).replace("interface = \"wan1\"", &format!("mac = \"{MAC}\""));
    let mut world = World::configured(lab, &configuration);
    world.router.wait_until_up(2).must();
    world
}

fn an_interface_known_by_its_address_keeps_its_flows_through_every_name(capture: Capture) {
    let mut world = known_by_address(capture);
    let [mut first, mut second] = Connection::on_each_uplink(&world);
    assert_eq!(world.uplink(1)["interface"], "wan1");
    // While it is up, which Linux allows since 6.2: its flows have no reason to end.
    ip(&world.lab, &["link set wan1 name usb7"]);
    world.wait_for_uplink(1, netns_tests::waiting::SOON, "is called usb7", |uplink| uplink["interface"] == "usb7");
    world.wait_for_state(1, "up");
    first.still_works();
    assert!(changes(&world, "dsl1").iter().all(|(to, _)| to != "missing"), "{:?}", changes(&world, "dsl1"));

    // Pulled, and plugged in again under a third name.
    ip(&world.lab, &["link delete usb7"]);
    world.wait_for_uplink(1, netns_tests::waiting::SOON, "is missing", |uplink| {
        uplink["state"] == "missing" && uplink["interface"] == format!("mac {MAC}")
    });
    second.still_works();
    assert_eq!(first.end(), ErrorKind::ConnectionReset);
    world.lab.remake_uplink(1).must();
    assert_eq!(world.uplink(1)["state"], "missing", "another address, another stick");
    ip(&world.lab, &["link set wan1 down", "link set wan1 name usb8"]);
    ip(&world.lab, &[&format!("link set usb8 address {MAC}"), "link set usb8 up"]);
    world.wait_for_state(1, "up");
    second.still_works();
    assert_eq!(Connection::on_each_uplink(&world)[0].uplink, 1);
    // Nobody carries such an address; whoever looks for it is told what there is.
    let config = world.lab.directory().join("check.toml");
    let text = world.lab.configuration(capture).replace("interface = \"wan1\"", "mac = \"02:00:5e:10:00:09\"");
    fs::write(&config, text).must();
    let arguments = ["check", &config.to_string_lossy()];
    let output = world.lab.router().command(&binary().to_string_lossy(), &arguments).output().must();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains(&format!("usb8 (mac {MAC})")), "{said}");
    world.finish();
}

fn two_interfaces_that_swap_their_names_swap_their_lines(capture: Capture) {
    let mut world = World::new(capture, 1, 2);
    // A gateway is found on its own line only.
    world.internet().sysctl(&[("net/ipv4/conf/all/arp_ignore", "1")]).must();
    let mut connections = Connection::on_each_uplink(&world);
    let swap = ["link set wan1 down", "link set wan2 down", "link set wan1 name other", "link set wan2 name wan1"];
    let back = ["link set other name wan2", "link set wan1 up", "link set wan2 up"];
    ip(&world.lab, &[swap.as_slice(), &back].concat());
    // Each asks for its gateway where the other's is.
    for number in [1, 2] {
        world.wait_for_state(number, "connecting");
    }
    ip(&world.lab, &[swap.as_slice(), &back].concat());
    for number in [1, 2] {
        world.wait_for_state(number, "up");
    }
    connections.iter_mut().for_each(Connection::still_works);
    world.finish();
}
