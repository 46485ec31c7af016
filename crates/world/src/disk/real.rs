//! Real files below a directory, which is the root of a host's files.

use std::{
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::Clock;

use super::{DiskError, Durable, FileKind, Result, Stat, target_of, under, watch};

/// Real files: a host's `/etc/x` is `<root>/etc/x`.
pub(super) struct RealDisk {
    root: PathBuf,
}

impl RealDisk {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Where the host's `path` really is.
    pub(super) fn at(&self, path: &Path) -> PathBuf {
        under(&self.root, path)
    }

    /// As [`RealDisk::at`], with symbolic links followed as on the host: they hold the host's paths.
    fn resolved(&self, path: &Path) -> PathBuf {
        let mut at = path.to_owned();
        for _ in 0..16 {
            match std::fs::read_link(self.at(&at)) {
                Ok(target) => at = target_of(&at, &target),
                Err(_) => break,
            }
        }
        self.at(&at)
    }

    pub(super) fn read(&self, path: &Path) -> Result<Vec<u8>> {
        std::fs::read(self.resolved(path)).map_err(failed("open", path))
    }

    pub(super) fn write(&self, path: &Path, contents: &[u8], mode: u32, durable: Durable) -> Result<()> {
        replace(&self.resolved(path), contents, mode, durable).map_err(failed("open", path))
    }

    pub(super) fn append(&self, path: &Path, contents: &[u8], mode: u32) -> Result<()> {
        append(&self.resolved(path), contents, mode).map_err(failed("open", path))
    }

    pub(super) fn remove(&self, path: &Path) -> Result<()> {
        std::fs::remove_file(self.at(path)).map_err(failed("remove", path))
    }

    pub(super) fn remove_all(&self, path: &Path) -> Result<()> {
        match std::fs::remove_dir_all(self.at(path)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(e)),
            _ => Ok(()),
        }
    }

    pub(super) fn create_dir_all(&self, path: &Path) -> Result<()> {
        std::fs::create_dir_all(self.at(path)).map_err(failed("mkdir", path))
    }

    pub(super) fn list(&self, dir: &Path) -> Result<Vec<String>> {
        let entries = std::fs::read_dir(self.at(dir)).map_err(failed("open", dir))?;
        let mut names: Vec<String> =
            entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        Ok(names)
    }

    pub(super) fn symlink(&self, target: &Path, link: &Path) -> Result<()> {
        std::os::unix::fs::symlink(target, self.at(link)).map_err(failed("symlink", link))
    }

    pub(super) fn read_link(&self, path: &Path) -> Result<PathBuf> {
        std::fs::read_link(self.at(path)).map_err(failed("readlink", path))
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        std::fs::rename(self.at(from), self.at(to)).map_err(failed("rename", from))
    }

    pub(super) fn stat(&self, path: &Path) -> Option<Stat> {
        use std::os::unix::fs::PermissionsExt;
        let meta = std::fs::symlink_metadata(self.at(path)).ok()?;
        let kind = match meta.file_type() {
            t if t.is_symlink() => FileKind::Symlink,
            t if t.is_dir() => FileKind::Dir,
            _ => FileKind::File,
        };
        let len = if meta.is_dir() { 0 } else { meta.len() };
        Some(Stat { kind, mode: meta.permissions().mode() & 0o7777, len })
    }

    pub(super) fn exists(&self, path: &Path) -> bool {
        self.resolved(path).exists()
    }

    /// Waits for the kernel's word, or looks every 100 ms where it gives none.
    pub(super) async fn changed(&self, path: &Path, clock: &Clock) {
        let dir = self.at(path);
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

fn failed(op: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DiskError {
    move |e| DiskError::from_system(op, path, &e)
}

fn replace(path: &Path, contents: &[u8], mode: u32, durable: Durable) -> io::Result<()> {
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

fn append(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
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
