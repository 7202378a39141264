//! The house has storeys: a module imports only what stands above it, files of a folder import each other one way, and
//! `unsafe` lives in `sys` alone. Reads the sources, so that a wrong arrow fails here and not in a review.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Top to bottom; see the list in `src/lib.rs`.
const STOREYS: [&str; 16] = [
    "sys",
    "wire",
    "flow",
    "placement",
    "nat",
    "engine",
    "link",
    "io",
    "host",
    "config",
    "daemon",
    "trends",
    "notify",
    "web",
    "demo",
    "cli",
];

/// A source file as its module path, with the code of it that is not test code, comments and strings blanked.
struct Source {
    path: PathBuf,
    module: Vec<String>,
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    let read = |path: PathBuf| {
        let relative = path.strip_prefix(&root).unwrap().with_extension("");
        let mut module: Vec<String> =
            relative.iter().map(|part| part.to_str().unwrap().to_owned()).filter(|part| part != "mod").collect();
        if module == ["lib"] || module == ["main"] {
            module.clear();
        }
        let code = without_tests(&without_comments(&fs::read_to_string(&path).unwrap()));
        Source { path, module, code }
    };
    let mut sources: Vec<Source> = files.into_iter().map(read).collect();
    sources.retain(|source| !source.module.iter().any(|part| part == "tests") && !is_test_module(&source.path));
    sources
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Whether its parent declares the file under `#[cfg(test)]`.
fn is_test_module(path: &Path) -> bool {
    let name = path.file_stem().unwrap().to_str().unwrap();
    let folder = path.parent().unwrap();
    let parents = [folder.join("mod.rs"), folder.with_extension("rs")];
    let declaration = format!("#[cfg(test)]\nmod {name};");
    parents.iter().filter_map(|parent| fs::read_to_string(parent).ok()).any(|text| text.contains(&declaration))
}

/// Blanks line comments and the contents of plain strings; the sources use no block comments.
fn without_comments(text: &str) -> String {
    let mut code = String::new();
    for line in text.lines() {
        let (mut in_string, mut escaped, mut previous) = (false, false, ' ');
        for character in line.chars() {
            if in_string {
                in_string = escaped || character != '"';
                escaped = !escaped && character == '\\';
                continue;
            }
            if character == '/' && previous == '/' {
                code.pop();
                break;
            }
            in_string = character == '"' && previous != '\'';
            code.push(character);
            previous = character;
        }
        code.push('\n');
    }
    code
}

/// Test modules stand at the end of a file.
fn without_tests(code: &str) -> String {
    code.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned()
}

/// What follows each `crate::` or `super::`, as an absolute path; the braces of a `use` are opened.
fn imports(source: &Source) -> BTreeSet<Vec<String>> {
    let mut found = BTreeSet::new();
    for (keyword, base) in [("crate::", &[][..]), ("super::", parent(&source.module))] {
        for (at, _) in source.code.match_indices(keyword) {
            if source.code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == ':') {
                continue;
            }
            let (mut base, mut rest) = (base, &source.code[at + keyword.len()..]);
            while let Some(higher) = rest.strip_prefix("super::") {
                (base, rest) = (parent(base), higher);
            }
            for first in first_names(rest) {
                found.insert(base.iter().cloned().chain(first).collect());
            }
        }
    }
    found
}

fn parent(module: &[String]) -> &[String] {
    module.split_last().map_or(&[], |(_, parent)| parent)
}

/// The first names of a path, or of each path in braces.
fn first_names(rest: &str) -> Vec<Vec<String>> {
    let Some(inner) = rest.strip_prefix('{') else { return vec![names(rest)] };
    let (mut depth, mut start, mut paths) = (1, 0, Vec::new());
    for (at, character) in inner.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && character == ',') {
            paths.push(names(inner[start..at].trim()));
            start = at + 1;
        }
        if depth == 0 {
            break;
        }
    }
    paths
}

fn names(path: &str) -> Vec<String> {
    let is_name = |part: &&str| part.starts_with(|first: char| first.is_ascii_lowercase());
    let part = |part: &str| -> String { part.chars().take_while(|&c| c.is_alphanumeric() || c == '_').collect() };
    path.split("::").take_while(is_name).take(4).map(part).collect()
}

fn storey(module: &str) -> Option<usize> {
    STOREYS.iter().position(|&storey| storey == module)
}

#[test]
fn every_module_has_its_storey() {
    for source in sources() {
        if let Some(module) = source.module.first() {
            assert!(storey(module).is_some(), "{}: `{module}` is not in the list", source.path.display());
        }
    }
}

#[test]
fn modules_import_only_what_stands_above_them() {
    let mut wrong = Vec::new();
    for source in sources() {
        let Some(own) = source.module.first().and_then(|module| storey(module)) else { continue };
        for import in imports(&source) {
            if let Some(theirs) = import.first().and_then(|module| storey(module))
                && theirs > own
            {
                wrong.push(format!("{} imports {}", source.path.display(), import.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn unsafe_code_lives_in_sys_alone() {
    for source in sources() {
        let has_unsafe = source.code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe");
        assert!(!has_unsafe || source.module[0] == "sys", "{} is not in sys", source.path.display());
    }
}

#[test]
fn files_of_a_folder_import_each_other_one_way() {
    // Files and folders that stand side by side; a folder's mod.rs, which re-exports, is not one of them.
    let mut arrows: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    let sources = sources();
    let modules: BTreeSet<&[String]> = sources.iter().map(|source| &source.module[..]).collect();
    for source in &sources {
        for import in imports(source) {
            let shared = import.iter().zip(&source.module).take_while(|(other, own)| other == own).count();
            if let (Some(own), Some(other)) = (source.module.get(shared), import.get(shared))
                && shared > 0
                && modules.contains(&import[..=shared])
            {
                let folder = source.module[..shared].join("::");
                arrows.entry((folder, own.clone())).or_default().insert(other.clone());
            }
        }
    }
    let mut circles = BTreeSet::new();
    for (folder, file) in arrows.keys() {
        let mut reached = BTreeSet::new();
        let mut open = vec![file];
        while let Some(next) = open.pop() {
            for other in arrows.get(&(folder.clone(), next.clone())).into_iter().flatten() {
                if other == file {
                    circles.insert(format!("{folder}: {file} -> .. -> {next} -> {file}"));
                }
                if reached.insert(other) {
                    open.push(other);
                }
            }
        }
    }
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn readers_of_this_test_see_real_arrows() {
    let sources = sources();
    let worker = sources.iter().find(|source| source.module == ["engine", "worker"]).unwrap();
    let imports: Vec<String> = imports(worker).into_iter().map(|import| import.join("::")).collect();
    for expected in ["engine::parse", "flow::tcp", "wire"] {
        assert!(imports.iter().any(|import| import == expected), "{expected} is missing in {imports:?}");
    }
}
