//! The pages for people: README, the others at the root, and the book below docs.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

mod blocks;
mod commands;
mod elsewhere;
mod executed;
mod generated;
mod links;
mod syntax;

use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Every page, by its path from the root.
fn pages() -> Vec<String> {
    let at_root = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"];
    let mut found: Vec<String> = at_root.map(str::to_owned).into();
    let mut todo = vec![root().join("docs")];
    while let Some(at) = todo.pop() {
        for entry in fs::read_dir(&at).expect("readable").flatten() {
            let path = entry.path();
            if path.is_dir() {
                todo.push(path);
            } else if path.extension().is_some_and(|e| e == "md") {
                found.push(path.strip_prefix(root()).expect("below").to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    assert!(found.len() > 80, "found only {found:?}");
    found
}
