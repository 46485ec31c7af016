//! What several tests of the store need: a host of the real gear, a picture of a directory.

#[allow(dead_code, reason = "not every test plays random stories")]
pub mod model;
#[allow(dead_code, reason = "not every test needs certificates")]
pub mod tls;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use world::{
    Host,
    real::{Block, Real},
};

/// A host whose files are below `root`.
#[allow(dead_code, reason = "not every test has a real gear")]
pub fn real_host(root: &Path) -> Host {
    Real::new(root.to_owned(), Block::reserve().unwrap()).host("cp1").unwrap()
}

/// All files below `dir` with their bytes, except the lock, whose text names the last to come.
#[allow(dead_code, reason = "not every test looks at directories")]
pub fn picture(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(at) = todo.pop() {
        if at.is_dir() {
            todo.extend(fs::read_dir(&at).unwrap().map(|entry| entry.unwrap().path()));
        } else if at.file_name().is_some_and(|name| name != "LOCK") {
            files.insert(at.clone(), fs::read(&at).unwrap());
        }
    }
    files
}
