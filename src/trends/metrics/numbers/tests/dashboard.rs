//! The dashboard for Grafana: it asks only for metrics, labels and values that there are, and Grafana 10 and later read it.

use serde_json::Value;

use super::*;

/// The labels that Prometheus gives to all that it fetches.
const OF_PROMETHEUS: [&str; 2] = ["instance", "job"];
/// What reads it: Grafana 10.2.
const SCHEMA: u64 = 39;

fn dashboard() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/grafana/potato.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// All panels that ask for something.
fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row")
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} in {value}"))
}

/// All words of a text that begin as our metrics do, with what stands behind each.
fn metrics_in(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices("potato_").map(move |(start, _)| {
        let rest = &text[start..];
        rest.split_at(rest.find(|c| !is_part(c)).unwrap_or(rest.len()))
    })
}

/// A selector's conditions. `rest` begins behind the metric's name.
fn conditions(rest: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    let inside = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(inside, _)| inside);
    inside.split(',').map(str::trim).filter(|part| !part.is_empty()).map(condition)
}

/// Label, operator and value of a condition.
fn condition(text: &str) -> (&str, &str, &str) {
    let (left, value) = text.split_once('"').unwrap_or_else(|| panic!("{text}"));
    let label = left.trim_end_matches(['=', '!', '~']);
    (label, &left[label.len()..], value.trim_end_matches('"'))
}

/// The labels that are named between each `open` and the next `close`.
fn labels_between<'t>(text: &'t str, open: &'t str, close: char) -> impl Iterator<Item = &'t str> {
    let lists = text.split(open).skip(1).filter_map(move |rest| rest.split(close).next());
    lists.flat_map(|list| list.split(',').map(str::trim))
}

/// What is wrong with an expression and the labels that are shown of it.
fn mistakes(page: &Page, expression: &str, shown: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let names: Vec<_> = metrics_in(expression).map(|(name, _)| name).collect();
    if names.is_empty() {
        wrong.push(format!("{expression} asks for nothing"));
    }
    for (name, rest) in metrics_in(expression) {
        if !page.samples.iter().any(|(own, ..)| own == name) {
            wrong.push(format!("{name} is not told"));
        }
        for (label, operator, value) in conditions(rest) {
            let values = page.values(name, label);
            let is_there = OF_PROMETHEUS.contains(&label) || values.is_some();
            let is_one = operator != "=" || value.starts_with('$') || values.is_some_and(|all| all.contains(value));
            if !(is_there && is_one) {
                wrong.push(format!("{name} has no {label}{operator}{value}"));
            }
        }
    }
    let grouped = ["by (", "ignoring(", "on("].into_iter().flat_map(|open| labels_between(expression, open, ')'));
    for label in grouped.chain(labels_between(shown, "{{", '}')) {
        if !names.iter().any(|name| page.values(name, label).is_some()) {
            wrong.push(format!("{expression} has no {label}"));
        }
    }
    wrong
}

#[test]
fn dashboard_asks_only_for_what_there_is() {
    let (page, dashboard) = (read(&numbers().text(Format::Open).unwrap(), Format::Open), dashboard());
    let mut wrong = Vec::new();
    for panel in panels(&dashboard) {
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{panel}");
        for target in targets {
            wrong.extend(mistakes(&page, text(target, "expr"), text(target, "legendFormat")));
        }
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap().iter().filter(|one| one["type"] == "query") {
        let asked = text(&variable["query"], "query");
        let inside = asked.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')')).unwrap();
        let (selector, label) = inside.rsplit_once(", ").unwrap();
        let shown = if OF_PROMETHEUS.contains(&label) { String::new() } else { format!("{{{{{label}}}}}") };
        wrong.extend(mistakes(&page, selector, &shown));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn mistakes_of_a_dashboard_are_found() {
    let page = read(&numbers().text(Format::Open).unwrap(), Format::Open);
    let right = "sum by (reason) (rate(potato_uplink_drops_total{instance=\"$instance\", uplink=~\"$uplink\"}[5m]))";
    assert_eq!(mistakes(&page, right, "{{reason}}"), Vec::<String>::new());
    for (expression, shown) in [
        ("sum(up)", ""),
        ("potato_flow", ""),
        ("potato_flows{uplink=\"$uplink\"}", ""),
        ("potato_uplink_bytes_total{direction=\"up\"}", ""),
        ("sum by (cause) (potato_uplink_drops_total)", ""),
        ("potato_uplink_flows", "{{line}}"),
    ] {
        assert_eq!(mistakes(&page, expression, shown).len(), 1, "{expression} {shown}");
    }
}

#[test]
fn dashboard_is_one_that_grafana_reads() {
    let dashboard = dashboard();
    assert_eq!(dashboard["schemaVersion"], SCHEMA);
    assert!(panels(&dashboard).count() >= 8);
    let numbers = dashboard["panels"].as_array().unwrap().iter().map(|panel| panel["id"].as_u64().unwrap());
    assert_eq!(numbers.clone().collect::<BTreeSet<_>>().len(), numbers.count(), "every panel has a number of its own");
    for panel in panels(&dashboard) {
        let unit = text(&panel["fieldConfig"]["defaults"], "unit");
        assert!(!text(panel, "title").is_empty() && !unit.is_empty(), "{panel}");
        // Which one it is people choose: the file knows none by its name.
        for source in panel["targets"].as_array().unwrap().iter().chain([panel]).map(|asking| &asking["datasource"]) {
            assert_eq!((text(source, "type"), text(source, "uid")), ("prometheus", "${datasource}"), "{panel}");
        }
    }
}
