//! The page of potatoes in a real browser, which runs on a LAN host. What the browser does: see `browser-tests/run.mjs`.
//!
//! ```text
//!  h1 .21 (browser) --+                                    wan1 -- 10.77.1.1 --+
//!                     +-- lan -- lan0 192.168.10.1 [potato] wan2 -- 10.77.2.1 --+-- [internet] 203.0.113.1
//!  h2 .22 (flows) ----+                                    wan3 -- 10.77.3.1 --+
//! ```

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use netns_tests::sockets::udp;
use netns_tests::waiting::wait_for;
use netns_tests::world::lab;
use netns_tests::{Capture, LabOptions, Must, SERVER, World, binary};
use potato::demo::lab::{Process, Router};

const PAGE: &str = "http://192.168.10.1:8080/";

#[test]
fn people_work_with_the_page_in_a_browser() {
    let mut options = LabOptions::new(2, 3);
    options.pages = true;
    let lab = lab(options);
    let configuration = lab.configuration(Capture::Packet) + "\n[limits]\nnew_per_second = \"none\"\n";
    let mut world = World::configured(lab, &configuration);
    world.router.wait_until_up(3).must();
    let code = claim_code(&world);
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../browser-tests");
    let screenshots = screenshots();
    let script = tests.join("run.mjs");
    let (script, folder) = (script.to_string_lossy(), screenshots.to_string_lossy());
    let mut command = world.host(1).command("node", &[&script, PAGE, &code, &folder]);
    // What it says on standard error is of use when it fails.
    let mut node = Process::start(command.stdin(Stdio::piped()).stdout(Stdio::piped())).must();
    let mut answers = node.child().stdin.take().expect("it is piped");
    let orders = BufReader::new(node.child().stdout.take().expect("it is piped"));
    for order in orders.lines() {
        obey(&mut world, &order.must());
        writeln!(answers, "done").must();
    }
    let status = node.child().wait().must();
    assert!(status.success(), "the browser's tests: {status}; screenshots are in {}", screenshots.display());
    world.finish();
}

/// The code with which the router is claimed, as its log shows it.
fn claim_code(world: &World) -> String {
    wait_for("the code for the claim", || {
        let log = world.router.log();
        let code = log.split_once("code=").and_then(|(_, rest)| rest.split_whitespace().next());
        code.map(|code| code.trim_matches('"').to_owned()).ok_or(log.clone())
    })
}

/// Where the screenshots go: `target/screenshots`, emptied.
fn screenshots() -> PathBuf {
    let target = binary().ancestors().nth(2).expect("the program stands in target/<profile>");
    let folder = target.join("screenshots");
    // There may be none.
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder).must();
    folder
}

/// What the browser's tests want of the lab.
fn obey(world: &mut World, order: &str) {
    match order.split_whitespace().collect::<Vec<_>>()[..] {
        ["restart"] => {
            assert!(world.router.terminate().must().success());
            let config = world.lab.directory().join("potato.toml");
            let (router, directory) = (world.lab.router(), world.lab.directory());
            world.router = Router::start(router, binary(), &config, directory).must();
        }
        ["flows", number] => open_flows(world, number.parse().must()),
        ["carrier", line, state] => {
            world.internet().ip(&[format!("link set isp{line} {state}")]).must();
        }
        _ => panic!("the browser's tests want \"{order}\""),
    }
}

/// `number` datagram flows of host 2, all of one socket.
fn open_flows(world: &World, number: u16) {
    let socket = udp(world.host(2), Ipv4Addr::UNSPECIFIED, 0);
    wait_for(&format!("{number} flows"), || {
        for port in 20_000..20_000 + number {
            // A host that was told that nobody listens has an error to fetch first.
            drop(socket.send_to(b"potato", SocketAddrV4::new(SERVER, port)));
        }
        let flows = world.router.status().must()["engine"]["flows"].as_u64().unwrap_or(0);
        if flows >= u64::from(number) { Ok(()) } else { Err(format!("{flows} flows")) }
    });
}
