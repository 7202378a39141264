//! The hand-written manual of the configuration says what the parser knows: every section, every key, and no other.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use potato::config;

/// A section and one of its keys; or the section alone.
type Entry = (String, Option<String>);

fn packaged(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What the page has a heading for: `.SS [lan]`, and below it `.TP` with `.B interface`.
fn documented(page: &str) -> BTreeSet<Entry> {
    let mut entries = BTreeSet::new();
    let (mut section, mut before) = (String::new(), "");
    for line in page.lines() {
        if let Some(name) = line.strip_prefix(".SS ") {
            section = name.to_owned();
            entries.insert((section.clone(), None));
        }
        if let Some(key) = line.strip_prefix(".B ").filter(|_| before == ".TP") {
            entries.insert((section.clone(), Some(key.to_owned())));
        }
        before = line;
    }
    entries
}

#[test]
fn every_key_of_the_configuration_is_in_its_manual() {
    let mut known = BTreeSet::new();
    for (section, keys) in config::keys() {
        known.insert((section.to_owned(), None));
        known.extend(keys.iter().map(|key| (section.to_owned(), Some((*key).to_owned()))));
    }
    let documented = documented(&packaged("potato.toml.5"));
    let missing: Vec<_> = known.difference(&documented).collect();
    let unknown: Vec<_> = documented.difference(&known).collect();
    assert!(missing.is_empty(), "packaging/potato.toml.5 does not explain {missing:?}");
    assert!(unknown.is_empty(), "packaging/potato.toml.5 explains what the parser does not know: {unknown:?}");
}

#[test]
fn the_example_is_right_as_it_stands_and_with_all_that_is_commented_out() {
    let example = packaged("potato.toml");
    let parse = |text: &str| config::parse(Path::new("potato.toml"), text).map_err(|error| error.to_string());
    let config = parse(&example).unwrap();
    assert!(config.warnings.is_empty() && config.advice.is_empty(), "{:?} {:?}", config.warnings, config.advice);
    let whole: String = example
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line).to_owned() + "\n")
        .collect();
    let config = parse(&whole).unwrap();
    assert_eq!((config.uplinks.len(), config.rules.len(), config.forwards.len()), (4, 1, 1));
    assert!(config.web.is_some() && config.advice.is_empty(), "{:?}", config.advice);
}
