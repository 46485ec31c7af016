//! Files in memory, with the faults of a real disk.

use std::{
    any::Any,
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

use crate::{Clock, Trace};

use super::{DiskError, DiskErrorKind, FileKind, Result, Stat, target_of, under};

#[derive(Clone, Debug)]
enum Node {
    File { data: Vec<u8>, mode: u32, written: Written },
    Dir,
    Symlink(PathBuf),
    Resident(Resident),
}

/// How far the contents of a file have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    Down,
    /// In the system's cache since then.
    Dirty(Instant),
    /// In the drive's own cache, which said that it is down.
    LiedAbout,
}

/// How long contents stay in the system's cache before they are written back (Linux's `dirty_expire_centisecs`; from
/// memory).
const WRITEBACK: Duration = Duration::from_secs(30);

#[allow(clippy::disallowed_methods, reason = "the cache is written back in the simulated world's true time")]
fn true_now() -> Instant {
    Instant::now()
}

#[derive(Clone)]
struct Resident(Arc<dyn Any + Send + Sync>);

impl fmt::Debug for Resident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resident")
    }
}

/// Files in memory, with the faults of a real disk.
#[derive(Debug)]
pub struct MemoryDisk {
    nodes: Mutex<BTreeMap<PathBuf, Node>>,
    faults: Durability,
    /// Where its faults are recorded: the trace, the clock and the name of the host that it is in.
    recorded: Option<(Trace, Clock, String)>,
    pub(super) changes: Notify,
    /// How many there were.
    changed: AtomicU64,
}

#[derive(Debug, Default, Clone, Copy)]
struct Faults {
    full: bool,
    read_only: bool,
    fsync: Fsync,
    power_failures: u64,
}

/// What a disk makes of fsync. The default takes no time and is honest.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Fsync {
    /// How long it takes, on the host's monotonic clock. Only who can wait does: a database's append, not a program
    /// that writes a small file and syncs it.
    pub takes: Duration,
    /// It ends with an I/O error: nobody knows what of the bytes is on the disk.
    pub fails: bool,
    /// It says that it is done while the bytes are in a cache that the next power failure empties.
    pub lies: bool,
}

/// What becomes of what is written to a disk, without the files. Clones are of the same disk.
#[derive(Clone, Debug, Default)]
pub struct Durability(Arc<Mutex<Faults>>);

impl Durability {
    /// What the disk would make of an fsync now.
    pub fn fsync(&self) -> Fsync {
        self.0.lock().fsync
    }

    /// How often its power has failed: what was not synced is gone each time.
    pub fn power_failures(&self) -> u64 {
        self.0.lock().power_failures
    }
}

impl Default for MemoryDisk {
    fn default() -> Self {
        let nodes = BTreeMap::from([(PathBuf::from("/"), Node::Dir)]);
        Self {
            nodes: Mutex::new(nodes),
            faults: Durability::default(),
            recorded: None,
            changes: Notify::new(),
            changed: AtomicU64::new(0),
        }
    }
}

impl MemoryDisk {
    /// A disk whose faults are recorded as those of the host of that name.
    pub(crate) fn recorded(trace: Trace, clock: Clock, host: &str) -> Self {
        Self { recorded: Some((trace, clock, host.to_owned())), ..Self::default() }
    }

    fn record(&self, fault: &'static str, is: &str) {
        if let Some((trace, clock, host)) = &self.recorded {
            trace.record(clock, host, "init", "disk", vec![(fault, is.to_owned())]);
        }
    }

    /// While set, every write fails with "no space left on device".
    pub fn set_full(&self, full: bool) {
        self.faults.0.lock().full = full;
        self.record("full", if full { "begins" } else { "ends" });
    }

    /// While set, every change fails with "permission denied".
    pub fn set_read_only(&self, read_only: bool) {
        self.faults.0.lock().read_only = read_only;
        self.record("read_only", if read_only { "begins" } else { "ends" });
    }

    /// From now on an fsync takes that long.
    pub fn set_fsync_takes(&self, takes: Duration) {
        self.faults.0.lock().fsync.takes = takes;
    }

    /// While set, an fsync fails with "input/output error".
    pub fn set_fsync_fails(&self, fails: bool) {
        self.faults.0.lock().fsync.fails = fails;
        self.record("fsync_fails", if fails { "begins" } else { "ends" });
    }

    /// While set, an fsync says that it is done and is not.
    pub fn set_fsync_lies(&self, lies: bool) {
        self.faults.0.lock().fsync.lies = lies;
    }

    pub(super) fn durability(&self) -> Durability {
        self.faults.clone()
    }

    /// The power is cut before anything was written back: what was written and not synced is an empty file, as a
    /// journalling file system leaves it whose names reach the disk before the data.
    pub fn lose_unsynced(&self) {
        self.lose(|written| written != Written::Down);
    }

    /// As [`MemoryDisk::lose_unsynced`], but what was written half a minute ago was written back by itself.
    pub(crate) fn power_failure(&self) {
        let (now, lies) = (true_now(), self.faults.fsync().lies);
        self.lose(|written| match written {
            Written::Down => false,
            Written::Dirty(since) => lies || now.saturating_duration_since(since) < WRITEBACK,
            Written::LiedAbout => true,
        });
    }

    fn lose(&self, is_lost: impl Fn(Written) -> bool) {
        self.faults.0.lock().power_failures += 1;
        self.record("unsynced", "lost");
        for node in self.nodes.lock().values_mut() {
            let Node::File { data, written, .. } = node else { continue };
            if is_lost(*written) {
                data.clear();
            }
            *written = Written::Down;
        }
        self.changed();
    }

    pub(super) fn changed(&self) {
        self.changed.fetch_add(1, Ordering::SeqCst);
        self.changes.notify_waiters();
    }

    pub(super) fn changes_so_far(&self) -> u64 {
        self.changed.load(Ordering::SeqCst)
    }

    /// Returns once there were more changes than `seen`.
    pub(super) async fn changed_since(&self, seen: u64) {
        loop {
            let next = self.changes.notified();
            if self.changes_so_far() != seen {
                return;
            }
            next.await;
        }
    }

    pub(super) fn writable(&self, op: &'static str, path: &Path) -> Result<()> {
        let faults = *self.faults.0.lock();
        let kind = match faults {
            Faults { read_only: true, .. } => DiskErrorKind::Denied,
            Faults { full: true, .. } if op == "open" => DiskErrorKind::Full,
            _ => return Ok(()),
        };
        Err(DiskError { op, path: path.to_owned(), kind })
    }

    fn resolve(nodes: &BTreeMap<PathBuf, Node>, path: &Path) -> PathBuf {
        let mut at = under(Path::new("/"), path);
        for _ in 0..16 {
            match nodes.get(&at) {
                Some(Node::Symlink(target)) => at = under(Path::new("/"), &target_of(&at, target)),
                _ => break,
            }
        }
        at
    }

    pub(super) fn read(&self, path: &Path) -> Result<Vec<u8>> {
        let nodes = self.nodes.lock();
        match nodes.get(&Self::resolve(&nodes, path)) {
            Some(Node::File { data, .. }) => Ok(data.to_vec()),
            Some(Node::Resident(_)) => Ok(Vec::new()),
            Some(_) => Err(DiskError {
                op: "read",
                path: path.to_owned(),
                kind: DiskErrorKind::Other("is a directory".into()),
            }),
            None => Err(DiskError { op: "open", path: path.to_owned(), kind: DiskErrorKind::NotFound }),
        }
    }

    pub(super) fn write(&self, path: &Path, contents: &[u8], mode: u32, synced: bool) -> Result<()> {
        self.writable("open", path)?;
        if synced && self.faults.fsync().fails {
            let kind = DiskErrorKind::Other("input/output error".into());
            return Err(DiskError { op: "fsync", path: path.to_owned(), kind });
        }
        let written = match synced {
            true if self.faults.fsync().lies => Written::LiedAbout,
            true => Written::Down,
            false => Written::Dirty(true_now()),
        };
        {
            let mut nodes = self.nodes.lock();
            let at = Self::resolve(&nodes, path);
            if let Some(dir) = at.parent() {
                Self::make_dirs(&mut nodes, dir);
            }
            nodes.insert(at, Node::File { data: contents.into(), mode, written });
        }
        self.changed();
        Ok(())
    }

    pub(super) fn append(&self, path: &Path, contents: &[u8], mode: u32) -> Result<()> {
        self.writable("open", path)?;
        {
            let mut nodes = self.nodes.lock();
            let at = Self::resolve(&nodes, path);
            if let Some(dir) = at.parent() {
                Self::make_dirs(&mut nodes, dir);
            }
            let dirty = Written::Dirty(true_now());
            let new = Node::File { data: Vec::new(), mode, written: dirty };
            match nodes.entry(at).or_insert(new) {
                Node::File { data, written, .. } => {
                    data.extend_from_slice(contents);
                    *written = dirty;
                }
                _ => {
                    let kind = DiskErrorKind::Other("is a directory".into());
                    return Err(DiskError { op: "open", path: path.to_owned(), kind });
                }
            }
        }
        self.changed();
        Ok(())
    }

    pub(super) fn resident<T: Any + Send + Sync>(
        &self,
        path: &Path,
        make: impl FnOnce() -> Arc<T>,
    ) -> Result<Arc<T>> {
        let fail = |kind| Err(DiskError { op: "open", path: path.to_owned(), kind });
        {
            let nodes = self.nodes.lock();
            match nodes.get(&Self::resolve(&nodes, path)) {
                Some(Node::Resident(Resident(there))) => {
                    return there.clone().downcast().or_else(|_| fail(DiskErrorKind::Exists));
                }
                Some(_) => return fail(DiskErrorKind::Exists),
                None => {}
            }
        }
        self.writable("open", path)?;
        let made = make();
        {
            let mut nodes = self.nodes.lock();
            let at = Self::resolve(&nodes, path);
            if let Some(dir) = at.parent() {
                Self::make_dirs(&mut nodes, dir);
            }
            nodes.insert(at, Node::Resident(Resident(made.clone())));
        }
        self.changed();
        Ok(made)
    }

    fn make_dirs(nodes: &mut BTreeMap<PathBuf, Node>, dir: &Path) {
        for at in dir.ancestors() {
            nodes.entry(at.to_owned()).or_insert(Node::Dir);
        }
    }

    pub(super) fn remove(&self, path: &Path) -> Result<()> {
        self.writable("remove", path)?;
        let removed = self.nodes.lock().remove(&under(Path::new("/"), path));
        self.changed();
        removed.map(drop).ok_or(DiskError {
            op: "remove",
            path: path.to_owned(),
            kind: DiskErrorKind::NotFound,
        })
    }

    pub(super) fn remove_all(&self, path: &Path) -> Result<()> {
        self.writable("remove", path)?;
        let at = under(Path::new("/"), path);
        self.nodes.lock().retain(|p, _| !p.starts_with(&at));
        self.changed();
        Ok(())
    }

    pub(super) fn create_dir_all(&self, path: &Path) -> Result<()> {
        self.writable("mkdir", path)?;
        Self::make_dirs(&mut self.nodes.lock(), &under(Path::new("/"), path));
        Ok(())
    }

    pub(super) fn list(&self, dir: &Path) -> Result<Vec<String>> {
        let nodes = self.nodes.lock();
        let at = Self::resolve(&nodes, dir);
        if !nodes.contains_key(&at) {
            return Err(DiskError { op: "open", path: dir.to_owned(), kind: DiskErrorKind::NotFound });
        }
        let children = nodes.keys().filter(|p| p.parent() == Some(at.as_path()));
        Ok(children.filter_map(|p| p.file_name()).map(|n| n.to_string_lossy().into_owned()).collect())
    }

    pub(super) fn symlink(&self, target: &Path, link: &Path) -> Result<()> {
        self.writable("symlink", link)?;
        {
            let mut nodes = self.nodes.lock();
            let at = under(Path::new("/"), link);
            if nodes.contains_key(&at) {
                return Err(DiskError { op: "symlink", path: link.to_owned(), kind: DiskErrorKind::Exists });
            }
            if let Some(dir) = at.parent() {
                Self::make_dirs(&mut nodes, dir);
            }
            nodes.insert(at, Node::Symlink(target.to_owned()));
        }
        self.changed();
        Ok(())
    }

    pub(super) fn read_link(&self, path: &Path) -> Result<PathBuf> {
        match self.nodes.lock().get(&under(Path::new("/"), path)) {
            Some(Node::Symlink(target)) => Ok(target.clone()),
            Some(_) => Err(DiskError {
                op: "readlink",
                path: path.to_owned(),
                kind: DiskErrorKind::Other("invalid argument".into()),
            }),
            None => Err(DiskError { op: "readlink", path: path.to_owned(), kind: DiskErrorKind::NotFound }),
        }
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.writable("rename", from)?;
        {
            let mut nodes = self.nodes.lock();
            let Some(node) = nodes.remove(&under(Path::new("/"), from)) else {
                return Err(DiskError { op: "rename", path: from.to_owned(), kind: DiskErrorKind::NotFound });
            };
            nodes.insert(under(Path::new("/"), to), node);
        }
        self.changed();
        Ok(())
    }

    pub(super) fn stat(&self, path: &Path) -> Option<Stat> {
        self.nodes.lock().get(&under(Path::new("/"), path)).map(|node| match node {
            Node::File { data, mode, .. } => {
                Stat { kind: FileKind::File, mode: *mode, len: data.len() as u64 }
            }
            Node::Dir => Stat { kind: FileKind::Dir, mode: 0o755, len: 0 },
            Node::Resident(_) => Stat { kind: FileKind::File, mode: 0o600, len: 0 },
            Node::Symlink(_) => Stat { kind: FileKind::Symlink, mode: 0o777, len: 0 },
        })
    }

    pub(super) fn exists(&self, path: &Path) -> bool {
        let nodes = self.nodes.lock();
        nodes.contains_key(&Self::resolve(&nodes, path))
    }
}
