//! What a container sees as its files: its volumes on the host's disk, and scratch of its own.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use world::{Disk, FileKind};

/// A longer file is refused, and so is more scratch than this in one container.
const LONGEST_FILE: usize = 8 << 20;
const SCRATCH: usize = 16 << 20;
/// PATH_MAX.
const LONGEST_PATH: usize = 4096;

/// A directory or file of the host that a container sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mount {
    /// Where the container sees it.
    pub path: String,
    /// Where it is on the host.
    pub source: String,
    /// Whether writing is refused.
    pub read_only: bool,
}

/// What a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    File(u64),
    Dir,
}

/// See the module. Errors are the words after the path: `No such file or directory`.
pub(crate) struct Files {
    disk: Disk,
    mounts: Vec<Mount>,
    scratch: Mutex<BTreeMap<String, Option<Vec<u8>>>>,
}

const NOT_FOUND: &str = "No such file or directory";

enum Place {
    Scratch(String),
    Host { path: String, read_only: bool },
}

impl Files {
    pub(crate) fn new(disk: Disk, mounts: Vec<Mount>, hostname: &str) -> Self {
        let dir = |path: &str| (path.to_owned(), None);
        let mut scratch: BTreeMap<String, Option<Vec<u8>>> =
            ["/bin", "/dev", "/etc", "/home", "/proc", "/root", "/tmp", "/usr", "/var"].map(dir).into();
        scratch.insert("/etc/hostname".into(), Some(format!("{hostname}\n").into_bytes()));
        Self { disk, mounts, scratch: Mutex::new(scratch) }
    }

    fn place(&self, path: &str) -> Place {
        let within = |mount: &&Mount| {
            let at = mount.path.trim_end_matches('/');
            path.strip_prefix(at).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        match self.mounts.iter().filter(within).max_by_key(|m| m.path.len()) {
            Some(mount) => {
                let rest = &path[mount.path.trim_end_matches('/').len()..];
                Place::Host { path: format!("{}{rest}", mount.source), read_only: mount.read_only }
            }
            None => Place::Scratch(path.to_owned()),
        }
    }

    /// What is no text comes as if it were.
    pub(crate) fn read(&self, path: &str) -> Result<String, String> {
        Ok(String::from_utf8_lossy(&self.read_bytes(path)?).into_owned())
    }

    pub(crate) fn read_bytes(&self, path: &str) -> Result<Vec<u8>, String> {
        match self.node(path) {
            None => return Err(NOT_FOUND.into()),
            Some(Node::Dir) => return Err("Is a directory".into()),
            Some(Node::File(_)) => {}
        }
        match self.place(path) {
            Place::Scratch(path) => self.scratch.lock().get(&path).cloned().flatten().ok_or(NOT_FOUND.into()),
            Place::Host { path, .. } => {
                let mut bytes = self.disk.read(&path).map_err(|_| NOT_FOUND.to_owned())?;
                bytes.truncate(LONGEST_FILE);
                Ok(bytes)
            }
        }
    }

    pub(crate) fn write(&self, path: &str, bytes: &[u8], append: bool) -> Result<(), String> {
        if path == "/dev/null" {
            return Ok(());
        }
        if self.node(path) == Some(Node::Dir) {
            return Err("Is a directory".into());
        }
        if path.len() > LONGEST_PATH {
            return Err("File name too long".into());
        }
        let mut whole = if append { self.read_bytes(path).unwrap_or_default() } else { Vec::new() };
        if whole.len() + bytes.len() > LONGEST_FILE {
            return Err("File too large".into());
        }
        let parent = path.rsplit_once('/').map_or("/", |(dir, _)| dir);
        if !matches!(self.node(parent), Some(Node::Dir)) {
            return Err("nonexistent directory".into());
        }
        whole.extend_from_slice(bytes);
        match self.place(path) {
            Place::Host { read_only: true, .. } => Err("Read-only file system".into()),
            Place::Host { path, .. } => self.disk.write(&path, whole, 0o644).map_err(|e| e.to_string()),
            Place::Scratch(path) => {
                let mut scratch = self.scratch.lock();
                if used(&scratch) + path.len() + bytes.len() > SCRATCH {
                    return Err("No space left on device".into());
                }
                scratch.insert(path, Some(whole));
                Ok(())
            }
        }
    }

    pub(crate) fn make_dir(&self, path: &str) -> Result<(), String> {
        if path.len() > LONGEST_PATH {
            return Err("File name too long".into());
        }
        match self.place(path) {
            Place::Host { read_only: true, .. } => Err("Read-only file system".into()),
            Place::Host { path, .. } => self.disk.create_dir_all(&path).map_err(|e| e.to_string()),
            Place::Scratch(path) => {
                let mut scratch = self.scratch.lock();
                if used(&scratch) > SCRATCH {
                    return Err("No space left on device".into());
                }
                for (end, _) in path.match_indices('/').skip(1).chain([(path.len(), "")]) {
                    scratch.entry(path[..end].to_owned()).or_insert(None);
                }
                Ok(())
            }
        }
    }

    pub(crate) fn remove(&self, path: &str) -> Result<(), String> {
        if self.node(path).is_none() {
            return Err(NOT_FOUND.into());
        }
        match self.place(path) {
            Place::Host { read_only: true, .. } => Err("Read-only file system".into()),
            Place::Host { path, .. } => {
                self.disk.remove_all(&path).or_else(|_| self.disk.remove(&path)).map_err(|e| e.to_string())
            }
            Place::Scratch(path) => {
                let below = format!("{path}/");
                self.scratch.lock().retain(|p, _| *p != path && !p.starts_with(&below));
                Ok(())
            }
        }
    }

    /// What is at `path`; `None` for nothing.
    pub(crate) fn node(&self, path: &str) -> Option<Node> {
        if path == "/" || path.is_empty() {
            return Some(Node::Dir);
        }
        if path == "/dev/null" {
            return Some(Node::File(0));
        }
        let found = match self.place(path) {
            Place::Host { path, .. } => {
                let stat = self.disk.stat(&path)?;
                return Some(match stat.kind {
                    FileKind::Dir => Node::Dir,
                    _ => Node::File(stat.len),
                });
            }
            Place::Scratch(path) => self.scratch.lock().get(&path).cloned(),
        };
        match found {
            Some(Some(text)) => Some(Node::File(text.len() as u64)),
            Some(None) => Some(Node::Dir),
            // A directory that only a mount below it makes exist.
            None => {
                let below = format!("{path}/");
                self.mounts.iter().any(|m| m.path.starts_with(&below)).then_some(Node::Dir)
            }
        }
    }

    /// Names in a directory, sorted.
    pub(crate) fn list(&self, path: &str) -> Result<Vec<String>, String> {
        if self.node(path) != Some(Node::Dir) {
            return Err(NOT_FOUND.into());
        }
        let below = format!("{}/", path.trim_end_matches('/'));
        let mut names: Vec<String> = match self.place(path) {
            Place::Host { path, .. } => self.disk.list(&path).map_err(|e| e.to_string())?,
            Place::Scratch(_) => {
                let scratch = self.scratch.lock();
                scratch.keys().filter_map(|p| p.strip_prefix(&below)).filter_map(first).collect()
            }
        };
        names.extend(self.mounts.iter().filter_map(|m| m.path.strip_prefix(&below)).filter_map(first));
        names.sort();
        names.dedup();
        Ok(names)
    }
}

fn first(rest: &str) -> Option<String> {
    rest.split('/').next().filter(|name| !name.is_empty()).map(str::to_owned)
}

/// `path` as seen from `cwd`, without `.` and `..`.
pub(crate) fn absolute(cwd: &str, path: &str) -> String {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{cwd}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// What the scratch of a container takes: names count too, or nothing would bound empty files.
fn used(scratch: &BTreeMap<String, Option<Vec<u8>>>) -> usize {
    scratch.iter().map(|(path, file)| path.len() + file.as_ref().map_or(0, Vec::len)).sum()
}
