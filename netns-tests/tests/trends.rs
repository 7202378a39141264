//! What the router remembers of its lines, and what it tells Prometheus.
//!
//! ```text
//!  h1 .21 --+                                    wan1 -- 10.77.1.1 --+
//!           +-- lan -- lan0 192.168.10.1 [potato]                    [internet] 203.0.113.1
//!                                                wan2 -- 10.77.2.1 --+
//! ```

use netns_tests::programs::shell;
use netns_tests::waiting::wait_for;
use netns_tests::world::lab;
use netns_tests::{Capture, LabOptions, Must, World, binary};
use potato::demo::lab::Router;
use serde_json::Value;

/// What is fetched over the first line.
const BYTES: f64 = 5e6;
/// What headers and the like may come to beside.
const BESIDE: f64 = 1e6;

/// What the control socket answers.
fn ask(world: &World, path: &str) -> Value {
    let socket = world.lab.directory().join("run/control.sock");
    let line =
        format!("curl --silent --show-error --max-time 10 --unix-socket {} 'http://potato{path}'", socket.display());
    serde_json::from_str(&shell(world.lab.router(), &line)).must()
}

/// Bytes that came by a line in the last hour, as its history has them.
fn bytes_in(world: &World, uplink: &str) -> f64 {
    let report = ask(world, &format!("/v1/history?uplink={uplink}&span=hour"));
    assert_eq!(report["step_seconds"], 1, "{report}");
    let points = report["points"].as_array().expect("there are points");
    points.iter().filter_map(|point| point["in_bps"].as_f64()).sum::<f64>() / 8.0
}

/// A sample of `/metrics`, as the host sees it.
fn metric(world: &World, sample: &str) -> f64 {
    let accept = "Accept: application/openmetrics-text;version=1.0.0";
    let page =
        shell(world.host(1), &format!("curl -sS --fail --max-time 10 -H '{accept}' http://192.168.10.1:9464/metrics"));
    assert!(page.ends_with("# EOF\n"), "{page}");
    let value = page.lines().find_map(|line| line.strip_prefix(sample)?.trim().parse().ok());
    value.unwrap_or_else(|| panic!("{sample} is not in {page}"))
}

fn is_what_was_fetched(bytes: f64) -> bool {
    (BYTES..BYTES + BESIDE).contains(&bytes)
}

#[test]
fn traffic_is_in_history_and_metrics_with_its_line_and_size_and_history_outlives_the_router() {
    let lab = lab(LabOptions::new(1, 2));
    let text = lab.configuration(Capture::Packet) + "\n[metrics]\nlisten = \"192.168.10.1:9464\"\n";
    let mut world = World::configured(lab, &text).with_servers();
    world.router.wait_until_up(2).must();
    // Of the second in which the router was started only a part is known.
    wait_for("a whole second in the history", || {
        let report = ask(&world, "/v1/history?uplink=dsl1");
        if report["points"].as_array().is_some_and(|points| points.len() > 1) {
            Ok(())
        } else {
            Err(report.to_string())
        }
    });
    assert_eq!(world.potato(&["link", "down", "dsl2"]).0, Some(0));
    shell(world.host(1), "curl -sS --fail --max-time 20 -o /dev/null http://203.0.113.1/bytes/5000000");

    wait_for("the transfer in the history", || {
        let (first, second) = (bytes_in(&world, "dsl1"), bytes_in(&world, "dsl2"));
        if is_what_was_fetched(first) && second < BESIDE { Ok(()) } else { Err(format!("{first} and {second} bytes")) }
    });
    // Until then ARP may have answered before anything that round trips are measured by.
    wait_for("what the lines are like in the history", || {
        let all = ask(&world, "/v1/history?span=day&most=100");
        let last = |uplink: &str| all["uplinks"][uplink].as_array().and_then(|points| points.last()).cloned();
        let (first, second) = (last("dsl1").unwrap_or_default(), last("dsl2").unwrap_or_default());
        let is_told = first["rtt_ms"].is_number() && first["loss_percent"].is_number() && second["out_bps"].is_number();
        if is_told && first["state"] == "up" { Ok(()) } else { Err(all.to_string()) }
    });
    let used = wait_for("the host's day", || {
        let hosts = ask(&world, "/v1/hosts");
        let used = hosts["hosts"][0]["today"]["in_bytes"].as_f64();
        used.filter(|used| *used >= BYTES).ok_or_else(|| format!("{hosts}"))
    });
    assert!(is_what_was_fetched(used), "{used} bytes");

    let counted = metric(&world, "potato_uplink_bytes_total{uplink=\"dsl1\",direction=\"in\"}");
    assert!(is_what_was_fetched(counted), "{counted} bytes");
    assert!(metric(&world, "potato_uplink_bytes_total{uplink=\"dsl2\",direction=\"in\"}") < BESIDE);
    for (sample, value) in [
        ("potato_uplink_state{uplink=\"dsl2\",state=\"down\"}", 1.0),
        ("potato_uplink_state{uplink=\"dsl1\",state=\"up\"}", 1.0),
        ("potato_events_total{event=\"link-ordered\"}", 1.0),
        ("potato_api_answers_total{path=\"/v1/link\",code=\"200\"}", 1.0),
    ] {
        assert!((metric(&world, sample) - value).abs() < 0.1, "{sample}");
    }
    assert!(metric(&world, "potato_uplink_rtt_seconds_count{uplink=\"dsl1\"}") > 0.0);
    assert!(metric(&world, "potato_worker_cpu_seconds_total{worker=\"0\"}") > 0.0);
    let document = ask(&world, "/v1/openapi.json");
    assert!(document["paths"]["/v1/history"].is_object() && document["paths"]["/v1/status"].is_object(), "{document}");
    let wrong = ask(&world, "/v1/history?span=decade");
    assert_eq!((&wrong["status"], &wrong["title"]), (&400.into(), &"Bad Request".into()), "{wrong}");

    assert!(world.router.terminate().must().success());
    let config = world.lab.directory().join("potato.toml");
    world.router = Router::start(world.lab.router(), binary(), &config, world.lab.directory()).must();
    world.wait_for_state(1, "up");
    let kept = bytes_in(&world, "dsl1");
    assert!(is_what_was_fetched(kept), "{kept} bytes are left");
    wait_for("the host's day, still", || {
        let used = ask(&world, "/v1/history/hosts?days=1");
        let of_host = &used["days"][0]["hosts"][0];
        let is_it =
            of_host["address"] == "192.168.10.21" && of_host["in_bytes"].as_f64().is_some_and(is_what_was_fetched);
        if is_it { Ok(()) } else { Err(used.to_string()) }
    });
    world.finish();
}
