//! A host's files: real ones under a root, or memory with the semantics of a crash.
//!
//! Paths are absolute as the host sees them (`/etc/kubernetes/pki/ca.crt`).

use std::{
    any::Any,
    fmt, io,
    path::{Component, Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::Clock;

mod memory;
mod watch;

pub use memory::{Durability, Fsync, MemoryDisk};

/// What went wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskErrorKind {
    /// There is no such file.
    NotFound,
    /// Something is there already.
    Exists,
    /// The disk has no room left.
    Full,
    /// The disk is mounted read-only, or the file may not be touched.
    Denied,
    /// Anything else, in the system's words.
    Other(String),
}

/// A file operation that failed, in the words of Go's `os` package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskError {
    /// The operation, such as `open`.
    pub op: &'static str,
    /// The path as the host sees it.
    pub path: PathBuf,
    /// What went wrong.
    pub kind: DiskErrorKind,
}

impl DiskError {
    /// Whether the file was simply not there.
    pub fn is_not_found(&self) -> bool {
        self.kind == DiskErrorKind::NotFound
    }
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match &self.kind {
            DiskErrorKind::NotFound => "no such file or directory",
            DiskErrorKind::Exists => "file exists",
            DiskErrorKind::Full => "no space left on device",
            DiskErrorKind::Denied => "permission denied",
            DiskErrorKind::Other(why) => why,
        };
        write!(f, "{} {}: {why}", self.op, self.path.display())
    }
}

impl std::error::Error for DiskError {}

/// What a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink,
}

/// What is known of a path without following a final symbolic link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: FileKind,
    /// Permission bits, such as `0o600`.
    pub mode: u32,
    /// Length in bytes; 0 for directories.
    pub len: u64,
}

type Result<T> = std::result::Result<T, DiskError>;

/// The files of one host. Clones share them. Calls do not block for long: files are small.
#[derive(Clone)]
pub struct Disk(Backend);

#[derive(Clone)]
enum Backend {
    Memory(Arc<MemoryDisk>),
    Real(Arc<PathBuf>),
}

impl Disk {
    /// Files in memory.
    pub fn memory(disk: Arc<MemoryDisk>) -> Self {
        Self(Backend::Memory(disk))
    }

    /// Real files under `root`: `/etc/x` is `<root>/etc/x`.
    pub fn real(root: PathBuf) -> Self {
        Self(Backend::Real(Arc::new(root)))
    }

    /// Where `path` really is, if it is a real file; engines that manage files themselves need it.
    pub fn real_path(&self, path: impl AsRef<Path>) -> Option<PathBuf> {
        match &self.0 {
            Backend::Memory(_) => None,
            Backend::Real(root) => Some(under(root, path.as_ref())),
        }
    }

    /// The contents, following symbolic links.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Vec<u8>> {
        let path = path.as_ref();
        match &self.0 {
            Backend::Memory(m) => m.read(path),
            Backend::Real(root) => {
                let real = self.resolve_real(root, path);
                std::fs::read(real).map_err(|e| wrap("open", path, &e))
            }
        }
    }

    /// The contents as UTF-8; invalid bytes are an error.
    pub fn read_to_string(&self, path: impl AsRef<Path>) -> Result<String> {
        let path = path.as_ref();
        String::from_utf8(self.read(path)?).map_err(|_| DiskError {
            op: "read",
            path: path.to_owned(),
            kind: DiskErrorKind::Other("not valid UTF-8".into()),
        })
    }

    /// Replaces the contents atomically (a reader sees the old or the new file, never a part) and
    /// syncs them. Creates missing parent directories (0755). `mode` holds from the first byte.
    pub fn write(&self, path: impl AsRef<Path>, contents: impl AsRef<[u8]>, mode: u32) -> Result<()> {
        self.write_as(path.as_ref(), contents.as_ref(), mode, Durable::Name)
    }

    fn write_as(&self, path: &Path, contents: &[u8], mode: u32, durable: Durable) -> Result<()> {
        match &self.0 {
            Backend::Memory(m) => m.write(path, contents, mode, durable != Durable::Nothing),
            Backend::Real(root) => write_real(&self.resolve_real(root, path), contents, mode, durable)
                .map_err(|e| wrap("open", path, &e)),
        }
    }

    /// As [`Disk::write`], but only the contents are synced, before the file has its name: what Go's
    /// `File.Sync` does for a new file. After a power cut the name may lead to nothing yet, but never to a
    /// part.
    pub fn write_contents(
        &self,
        path: impl AsRef<Path>,
        contents: impl AsRef<[u8]>,
        mode: u32,
    ) -> Result<()> {
        self.write_as(path.as_ref(), contents.as_ref(), mode, Durable::Contents)
    }

    /// As [`Disk::write`], but the system decides when the contents reach the disk: what Go's
    /// `os.WriteFile` leaves, and so most of upstream's programs. A reader sees the old or the new file
    /// all the same; after a power cut it may be there and empty.
    pub fn write_unsynced(
        &self,
        path: impl AsRef<Path>,
        contents: impl AsRef<[u8]>,
        mode: u32,
    ) -> Result<()> {
        self.write_as(path.as_ref(), contents.as_ref(), mode, Durable::Nothing)
    }

    /// Adds to the end of a file, which is made if it is not there: logs. The system decides when the
    /// contents reach the disk.
    pub fn append(&self, path: impl AsRef<Path>, contents: impl AsRef<[u8]>, mode: u32) -> Result<()> {
        let (path, contents) = (path.as_ref(), contents.as_ref());
        match &self.0 {
            Backend::Memory(m) => m.append(path, contents, mode),
            Backend::Real(root) => append_real(&self.resolve_real(root, path), contents, mode)
                .map_err(|e| wrap("open", path, &e)),
        }
    }

    /// Removes a file or a symbolic link.
    pub fn remove(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        match &self.0 {
            Backend::Memory(m) => m.remove(path),
            Backend::Real(root) => {
                std::fs::remove_file(under(root, path)).map_err(|e| wrap("remove", path, &e))
            }
        }
    }

    /// Removes a directory and all in it; fine if it is not there.
    pub fn remove_all(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        match &self.0 {
            Backend::Memory(m) => m.remove_all(path),
            Backend::Real(root) => match std::fs::remove_dir_all(under(root, path)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => Err(wrap("remove", path, &e)),
                _ => Ok(()),
            },
        }
    }

    /// Makes a directory and its missing parents.
    pub fn create_dir_all(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        match &self.0 {
            Backend::Memory(m) => m.create_dir_all(path),
            Backend::Real(root) => {
                std::fs::create_dir_all(under(root, path)).map_err(|e| wrap("mkdir", path, &e))
            }
        }
    }

    /// Names in a directory, sorted.
    pub fn list(&self, dir: impl AsRef<Path>) -> Result<Vec<String>> {
        let dir = dir.as_ref();
        match &self.0 {
            Backend::Memory(m) => m.list(dir),
            Backend::Real(root) => {
                let entries = std::fs::read_dir(under(root, dir)).map_err(|e| wrap("open", dir, &e))?;
                let mut names: Vec<String> =
                    entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
                names.sort();
                Ok(names)
            }
        }
    }

    /// Makes `link` a symbolic link to `target` (a host path). Fails if `link` exists.
    pub fn symlink(&self, target: impl AsRef<Path>, link: impl AsRef<Path>) -> Result<()> {
        let (target, link) = (target.as_ref(), link.as_ref());
        match &self.0 {
            Backend::Memory(m) => m.symlink(target, link),
            Backend::Real(root) => {
                let at = under(root, link);
                // Real links hold the host's path, as on a real host; reads resolve it under the root.
                std::os::unix::fs::symlink(target, at).map_err(|e| wrap("symlink", link, &e))
            }
        }
    }

    /// Where a symbolic link points, as written.
    pub fn read_link(&self, path: impl AsRef<Path>) -> Result<PathBuf> {
        let path = path.as_ref();
        match &self.0 {
            Backend::Memory(m) => m.read_link(path),
            Backend::Real(root) => {
                std::fs::read_link(under(root, path)).map_err(|e| wrap("readlink", path, &e))
            }
        }
    }

    /// Renames, replacing what was at `to`.
    pub fn rename(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<()> {
        let (from, to) = (from.as_ref(), to.as_ref());
        match &self.0 {
            Backend::Memory(m) => m.rename(from, to),
            Backend::Real(root) => {
                std::fs::rename(under(root, from), under(root, to)).map_err(|e| wrap("rename", from, &e))
            }
        }
    }

    /// What the path is, not following a final symbolic link; `None` if there is nothing.
    pub fn stat(&self, path: impl AsRef<Path>) -> Option<Stat> {
        let path = path.as_ref();
        match &self.0 {
            Backend::Memory(m) => m.stat(path),
            Backend::Real(root) => {
                use std::os::unix::fs::PermissionsExt;
                let meta = std::fs::symlink_metadata(under(root, path)).ok()?;
                let kind = match meta.file_type() {
                    t if t.is_symlink() => FileKind::Symlink,
                    t if t.is_dir() => FileKind::Dir,
                    _ => FileKind::File,
                };
                let len = if meta.is_dir() { 0 } else { meta.len() };
                Some(Stat { kind, mode: meta.permissions().mode() & 0o7777, len })
            }
        }
    }

    /// Whether a file is readable there, following symbolic links.
    pub fn exists(&self, path: impl AsRef<Path>) -> bool {
        let path = path.as_ref();
        match &self.0 {
            Backend::Memory(m) => m.exists(path),
            Backend::Real(root) => self.resolve_real(root, path).exists(),
        }
    }

    /// What a program keeps at `path` of a disk in memory in place of bytes, as a database keeps its
    /// pages there; made by `make` if there is nothing yet. To everybody else it is an empty file:
    /// seen by `stat`, gone with `remove`. `None` on a real disk, which holds bytes only.
    pub fn resident<T: Any + Send + Sync>(
        &self,
        path: impl AsRef<Path>,
        make: impl FnOnce() -> T,
    ) -> Result<Option<Arc<T>>> {
        match &self.0 {
            Backend::Memory(m) => m.resident(path.as_ref(), || Arc::new(make())).map(Some),
            Backend::Real(_) => Ok(None),
        }
    }

    /// Whether the disk would take a write at `path` now; asked on behalf of what is
    /// [resident](Disk::resident) there. A real disk tells when it is written to.
    pub fn probe(&self, path: impl AsRef<Path>) -> Result<()> {
        match &self.0 {
            Backend::Memory(m) => m.writable("open", path.as_ref()),
            Backend::Real(_) => Ok(()),
        }
    }

    /// What becomes of what is written; asked on behalf of what is [resident](Disk::resident). A real disk is honest as
    /// far as anybody can tell.
    pub fn durability(&self) -> Durability {
        match &self.0 {
            Backend::Memory(m) => m.durability(),
            Backend::Real(_) => Durability::default(),
        }
    }

    /// Waits until something below `path` may have changed since this call began: at once when the
    /// disk is in memory or the kernel tells, else by looking every 100 ms. May wake for nothing.
    pub async fn changed(&self, path: impl AsRef<Path>, clock: &Clock) {
        match &self.0 {
            Backend::Memory(m) => m.changes.notified().await,
            Backend::Real(root) => {
                let dir = under(root, path.as_ref());
                if let Some(watching) = watch::Watching::begin(&dir) {
                    return watching.changed().await;
                }
                let before = fingerprint(&dir);
                loop {
                    clock.sleep(Duration::from_millis(100)).await;
                    if fingerprint(&dir) != before {
                        return;
                    }
                }
            }
        }
    }

    fn resolve_real(&self, root: &Path, path: &Path) -> PathBuf {
        let mut at = path.to_owned();
        for _ in 0..16 {
            match std::fs::read_link(under(root, &at)) {
                Ok(target) => at = target_of(&at, &target),
                Err(_) => break,
            }
        }
        under(root, &at)
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Backend::Memory(_) => f.write_str("Disk(memory)"),
            Backend::Real(root) => write!(f, "Disk({})", root.display()),
        }
    }
}

/// `path` below `root`, with `..` kept from leaving it.
fn under(root: &Path, path: &Path) -> PathBuf {
    let mut at = root.to_owned();
    let mut depth = 0;
    for part in path.components() {
        match part {
            Component::Normal(name) => {
                at.push(name);
                depth += 1;
            }
            Component::ParentDir if depth > 0 => {
                at.pop();
                depth -= 1;
            }
            _ => {}
        }
    }
    at
}

fn target_of(link: &Path, target: &Path) -> PathBuf {
    if target.is_absolute() {
        target.to_owned()
    } else {
        link.parent().unwrap_or(Path::new("/")).join(target)
    }
}

/// What of a written file is on the disk when the call returns.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Durable {
    Nothing,
    Contents,
    Name,
}

fn write_real(path: &Path, contents: &[u8], mode: u32, durable: Durable) -> io::Result<()> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let dir = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    // Two who write one file at the same time must not share it: the last rename wins.
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let temporary = dir.join(format!(".{name}.{}.{serial}.tmp", std::process::id()));
    let create = || std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary);
    let created = create().or_else(|e| match e.kind() {
        io::ErrorKind::NotFound => std::fs::create_dir_all(dir).and_then(|()| create()),
        // What another process of that number left behind.
        io::ErrorKind::AlreadyExists => std::fs::remove_file(&temporary).and_then(|()| create()),
        _ => Err(e),
    });
    let mut file = created?;
    let written = (|| {
        file.write_all(contents)?;
        if durable != Durable::Nothing {
            waiting(|| file.sync_all())?;
        }
        std::fs::rename(&temporary, path)?;
        if durable == Durable::Name { waiting(|| std::fs::File::open(dir)?.sync_all()) } else { Ok(()) }
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

fn append_real(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    std::fs::OpenOptions::new().append(true).create(true).mode(mode).open(path)?.write_all(contents)
}

/// Waits for the drive. Where there are other threads, they take over what this one would have run.
fn waiting<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

fn fingerprint(path: &Path) -> Vec<(PathBuf, Option<std::time::SystemTime>, u64)> {
    let mut seen = Vec::new();
    let mut todo = vec![path.to_owned()];
    while let Some(at) = todo.pop() {
        let Ok(meta) = std::fs::symlink_metadata(&at) else { continue };
        if meta.is_dir()
            && let Ok(entries) = std::fs::read_dir(&at)
        {
            todo.extend(entries.flatten().map(|e| e.path()));
        }
        seen.push((at, meta.modified().ok(), meta.len()));
    }
    seen.sort();
    seen
}

fn wrap(op: &'static str, path: &Path, e: &io::Error) -> DiskError {
    let kind = match e.kind() {
        io::ErrorKind::NotFound => DiskErrorKind::NotFound,
        io::ErrorKind::AlreadyExists => DiskErrorKind::Exists,
        io::ErrorKind::StorageFull => DiskErrorKind::Full,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => DiskErrorKind::Denied,
        _ => DiskErrorKind::Other(e.to_string()),
    };
    DiskError { op, path: path.to_owned(), kind }
}
