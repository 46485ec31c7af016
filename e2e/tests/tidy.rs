//! The architecture's rules as ordinary tests: who may import whom, every file says why it exists,
//! and the bans carry their reasons.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Crate folder, and what of ours its product code may depend on. The table of ARCHITECTURE.md.
const IMPORTS: &[(&str, &[&str])] = &[
    ("crates/world", &[]),
    ("crates/api", &[]),
    ("crates/macros", &[]),
    ("crates/pki", &["world", "api"]),
    ("crates/wire", &["world", "pki"]),
    ("store", &["world", "pki", "wire"]),
    ("crates/client", &["world", "api", "pki", "wire"]),
    ("apiserver", &["world", "api", "pki", "wire", "store", "client"]),
    ("crates/controllers", &["world", "api", "pki", "wire", "client"]),
    ("kubelet-sim", &["world", "api", "pki", "wire", "client"]),
    ("kubeadm-sim", &["world", "api", "pki", "wire", "client"]),
    (
        "crates/harness",
        &[
            "world",
            "api",
            "macros",
            "pki",
            "wire",
            "store",
            "client",
            "apiserver",
            "controllers",
            "kubelet-sim",
            "kubeadm-sim",
        ],
    ),
    (
        "e2e",
        &[
            "world",
            "api",
            "macros",
            "pki",
            "wire",
            "store",
            "client",
            "apiserver",
            "controllers",
            "kubelet-sim",
            "kubeadm-sim",
            "chronoplane",
        ],
    ),
];

/// Names of our crates in one table (`[dependencies]`, …) of a manifest.
fn dependencies(manifest: &str, table: &str) -> BTreeSet<String> {
    let ours: BTreeSet<&str> = IMPORTS.iter().flat_map(|(_, may)| may.iter().copied()).collect();
    manifest
        .lines()
        .skip_while(|line| line.trim() != format!("[{table}]"))
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', '=', ' ']).next())
        .filter(|name| ours.contains(name))
        .map(str::to_owned)
        .collect()
}

#[test]
fn each_crate_imports_only_what_the_table_allows() {
    for (folder, may) in IMPORTS {
        let found = dependencies(&read(format!("{folder}/Cargo.toml")), "dependencies");
        let may: BTreeSet<String> = may.iter().map(|s| (*s).to_owned()).collect();
        let extra: Vec<_> = found.difference(&may).collect();
        assert!(extra.is_empty(), "{folder} imports {extra:?}, which ARCHITECTURE.md does not allow");
    }
}

#[test]
fn the_table_covers_every_member_of_the_workspace() {
    let manifest = read("Cargo.toml");
    let members: BTreeSet<&str> = manifest
        .lines()
        .skip_while(|line| *line != "members = [")
        .skip(1)
        .take_while(|line| *line != "]")
        .map(|line| line.trim().trim_matches(['"', ',']))
        .collect();
    assert_eq!(members, IMPORTS.iter().map(|(folder, _)| *folder).collect());
}

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut todo: Vec<PathBuf> = IMPORTS.iter().map(|(folder, _)| root().join(folder)).collect();
    while let Some(at) = todo.pop() {
        for entry in fs::read_dir(&at).expect("readable").flatten() {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("target") {
                todo.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(found.len() > 50, "the walk found only {} files", found.len());
    found
}

#[test]
fn every_file_opens_with_why_it_exists() {
    let silent: Vec<_> =
        sources().into_iter().filter(|p| !fs::read_to_string(p).expect("UTF-8").starts_with("//!")).collect();
    assert!(silent.is_empty(), "files without a module doc: {silent:#?}");
}

#[test]
fn every_ban_and_every_skip_carries_its_reason() {
    let entries = |file: &str, marks: &[&str]| -> Vec<String> {
        let text = read(file);
        let lines = text.lines().map(str::trim).filter(|l| marks.iter().any(|m| l.starts_with(m)));
        lines.map(str::to_owned).collect()
    };
    let mut all = entries("clippy.toml", &["{ path"]);
    all.extend(entries("deny.toml", &["{ crate", "{ id"]));
    assert!(all.len() > 10, "found only {all:?}");
    let silent: Vec<_> = all.iter().filter(|l| !l.contains("reason = \"")).collect();
    assert!(silent.is_empty(), "{silent:#?}");
}

/// Product code: what is built into a program, but for the tests inside.
fn product() -> impl Iterator<Item = (PathBuf, String)> {
    let tests = |p: &PathBuf| p.components().any(|part| part.as_os_str() == "tests");
    let read = |p: PathBuf| fs::read_to_string(&p).ok().map(|text| (p, text));
    sources().into_iter().filter(move |p| !tests(p)).filter_map(read)
}

/// Which of several ready branches is taken is chance otherwise, and not of any seed.
#[test]
fn every_select_is_biased() {
    let mut found = 0;
    let mut wrong = Vec::new();
    for (path, text) in product() {
        for after in text.split("select! {").skip(1) {
            found += 1;
            if !after.trim_start().starts_with("biased;") {
                wrong.push(path.clone());
            }
        }
    }
    assert!(found > 20, "found only {found}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Their order is another one in each process. Where speed asks for one, the place says that nobody sees its order.
#[test]
fn hashed_maps_say_why_their_order_does_not_show() {
    let hashed = ["HashMap<", "HashSet<"];
    let all: Vec<_> = product().filter(|(_, text)| hashed.iter().any(|name| text.contains(name))).collect();
    let silent: Vec<_> =
        all.iter().filter(|(_, text)| !text.contains("must not show")).map(|(path, _)| path).collect();
    assert!(!all.is_empty() && silent.is_empty(), "{silent:#?}");
}

#[test]
fn no_file_holds_marks_of_unfinished_work() {
    // Put together here so that this file does not find itself.
    let marks = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["XX", "X:"].concat()];
    let found: Vec<_> = sources()
        .into_iter()
        .filter(|p| {
            let text = fs::read_to_string(p).expect("UTF-8");
            marks.iter().any(|m| text.contains(m.as_str()))
        })
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}
