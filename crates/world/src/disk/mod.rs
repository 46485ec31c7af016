//! A host's files: real ones under a root, or memory with the semantics of a crash.
//!
//! Paths are absolute as the host sees them (`/etc/kubernetes/pki/ca.crt`).

use std::{
    any::Any,
    fmt,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use crate::Clock;

mod error;
mod memory;
mod real;
mod watch;

pub use error::{DiskError, DiskErrorKind};
pub use memory::{Durability, Fsync, MemoryDisk};
use real::RealDisk;

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

/// What of a written file is on the disk when the call returns.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Durable {
    Nothing,
    Contents,
    Name,
}

type Result<T> = std::result::Result<T, DiskError>;

/// The files of one host. Clones share them. Calls do not block for long: files are small.
#[derive(Clone)]
pub struct Disk(Backend);

#[derive(Clone)]
enum Backend {
    Memory(Arc<MemoryDisk>),
    Real(Arc<RealDisk>),
}

impl Disk {
    /// Files in memory.
    pub fn memory(disk: Arc<MemoryDisk>) -> Self {
        Self(Backend::Memory(disk))
    }

    /// Real files under `root`: `/etc/x` is `<root>/etc/x`.
    pub fn real(root: PathBuf) -> Self {
        Self(Backend::Real(Arc::new(RealDisk::new(root))))
    }

    /// Where `path` really is, if it is a real file; engines that manage files themselves need it.
    pub fn real_path(&self, path: impl AsRef<Path>) -> Option<PathBuf> {
        match &self.0 {
            Backend::Memory(_) => None,
            Backend::Real(r) => Some(r.at(path.as_ref())),
        }
    }

    /// The contents, following symbolic links.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Vec<u8>> {
        let path = path.as_ref();
        match &self.0 {
            Backend::Memory(m) => m.read(path),
            Backend::Real(r) => r.read(path),
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
            Backend::Real(r) => r.write(path, contents, mode, durable),
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
            Backend::Real(r) => r.append(path, contents, mode),
        }
    }

    /// Removes a file or a symbolic link.
    pub fn remove(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        match &self.0 {
            Backend::Memory(m) => m.remove(path),
            Backend::Real(r) => r.remove(path),
        }
    }

    /// Removes a directory and all in it; fine if it is not there.
    pub fn remove_all(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        match &self.0 {
            Backend::Memory(m) => m.remove_all(path),
            Backend::Real(r) => r.remove_all(path),
        }
    }

    /// Makes a directory and its missing parents.
    pub fn create_dir_all(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        match &self.0 {
            Backend::Memory(m) => m.create_dir_all(path),
            Backend::Real(r) => r.create_dir_all(path),
        }
    }

    /// Names in a directory, sorted.
    pub fn list(&self, dir: impl AsRef<Path>) -> Result<Vec<String>> {
        let dir = dir.as_ref();
        match &self.0 {
            Backend::Memory(m) => m.list(dir),
            Backend::Real(r) => r.list(dir),
        }
    }

    /// Makes `link` a symbolic link to `target` (a host path). Fails if `link` exists.
    pub fn symlink(&self, target: impl AsRef<Path>, link: impl AsRef<Path>) -> Result<()> {
        let (target, link) = (target.as_ref(), link.as_ref());
        match &self.0 {
            Backend::Memory(m) => m.symlink(target, link),
            Backend::Real(r) => r.symlink(target, link),
        }
    }

    /// Where a symbolic link points, as written.
    pub fn read_link(&self, path: impl AsRef<Path>) -> Result<PathBuf> {
        let path = path.as_ref();
        match &self.0 {
            Backend::Memory(m) => m.read_link(path),
            Backend::Real(r) => r.read_link(path),
        }
    }

    /// Renames, replacing what was at `to`.
    pub fn rename(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<()> {
        let (from, to) = (from.as_ref(), to.as_ref());
        match &self.0 {
            Backend::Memory(m) => m.rename(from, to),
            Backend::Real(r) => r.rename(from, to),
        }
    }

    /// What the path is, not following a final symbolic link; `None` if there is nothing.
    pub fn stat(&self, path: impl AsRef<Path>) -> Option<Stat> {
        let path = path.as_ref();
        match &self.0 {
            Backend::Memory(m) => m.stat(path),
            Backend::Real(r) => r.stat(path),
        }
    }

    /// Whether a file is readable there, following symbolic links.
    pub fn exists(&self, path: impl AsRef<Path>) -> bool {
        let path = path.as_ref();
        match &self.0 {
            Backend::Memory(m) => m.exists(path),
            Backend::Real(r) => r.exists(path),
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

    /// How often anything on a disk in memory has changed; always 0 on a real one.
    pub(crate) fn changes(&self) -> u64 {
        match &self.0 {
            Backend::Memory(m) => m.changes_so_far(),
            Backend::Real(_) => 0,
        }
    }

    /// Waits until [`Disk::changes`] is no longer `seen`; for ever on a real disk.
    pub(crate) async fn changed_since(&self, seen: u64) {
        match &self.0 {
            Backend::Memory(m) => m.changed_since(seen).await,
            Backend::Real(_) => std::future::pending().await,
        }
    }

    /// Waits until something below `path` may have changed since this call began: at once when the
    /// disk is in memory or the kernel tells, else by looking every 100 ms. May wake for nothing.
    pub async fn changed(&self, path: impl AsRef<Path>, clock: &Clock) {
        match &self.0 {
            Backend::Memory(m) => m.changes.notified().await,
            Backend::Real(r) => r.changed(path.as_ref(), clock).await,
        }
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Backend::Memory(_) => f.write_str("Disk(memory)"),
            Backend::Real(r) => write!(f, "Disk({})", r.root().display()),
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
