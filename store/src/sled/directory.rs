//! The directory of a store on disk: whose it is, who works in it, and that opening it harms nothing.
//!
//! ```text
//! <path>/FORMAT       what this is; the last thing that a first open makes
//! <path>/FORMAT.new   in its place while a first open is not done: nothing beside it was ever acknowledged
//! <path>/LOCK         locked while a store works here; names the process
//! <path>/high-water   see `mark`
//! <path>/journal      see `journal`; as good as empty after a store was closed
//! <path>/sled/        sled's own files
//! <path>/untouched/   sled's files as they were, while an open has not yet proved them sound
//! <path>/repaired/    what a repair kept, until it is in its place
//! <path>/damaged-1/   what a repair took away
//! ```

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::segments;
use crate::StoreError;

/// In bytes (sled's default).
pub(super) const SEGMENT: usize = 512 << 10;
const FORMAT: &str = "chronoplane store 2\n";
/// Without a journal; read, and brought up to the present one.
const FORMER: &str = "chronoplane store 1\n";

/// A directory that this process has to itself until it drops this.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    _lock: File,
}

/// What a first open makes before `FORMAT`.
const FIRST: [&str; 4] = ["sled", "high-water", "high-water.new", "journal"];

/// An error of the system on `path`, in our terms; `store` is the directory that it belongs to.
pub(super) fn io_error(op: &'static str, path: &Path, store: &Path, e: &io::Error) -> StoreError {
    match e.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            StoreError::Full { path: store.to_owned() }
        }
        _ => StoreError::Io { op, path: path.to_owned(), why: words(e) },
    }
}

/// A sync has failed: never a full disk, which goes on by itself.
pub(super) fn sync_error(path: &Path, e: &io::Error) -> StoreError {
    StoreError::Io { op: "sync", path: path.to_owned(), why: words(e) }
}

/// The system's words without Rust's `(os error N)`.
fn words(e: &io::Error) -> String {
    let text = e.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

impl Directory {
    /// Takes the directory, making it if it is not there or empty. Anything else that is not ours is
    /// refused, and stays as it is.
    pub(super) fn take(path: &Path) -> Result<Self, StoreError> {
        let fail = |op, at: &Path, e: &io::Error| io_error(op, at, path, e);
        let format = path.join("FORMAT");
        match fs::read(&format) {
            Ok(found) if found == FORMAT.as_bytes() || found == FORMER.as_bytes() => {}
            Ok(found) => {
                let found = describe_format(&String::from_utf8_lossy(&found));
                return Err(StoreError::Format { path: path.to_owned(), found });
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                make_private(path).map_err(|e| fail("mkdir", path, &e))?;
                if let Some(found) = stranger(path).map_err(|e| fail("open", path, &e))? {
                    return Err(StoreError::Format { path: path.to_owned(), found });
                }
            }
            Err(e) if e.kind() == io::ErrorKind::NotADirectory => {
                return Err(StoreError::Format { path: path.to_owned(), found: "a file".into() });
            }
            Err(e) => return Err(fail("open", &format, &e)),
        }
        let this = Self { path: path.to_owned(), _lock: Self::lock(path)? };
        this.put_back_interrupted()?;
        if !format.exists() {
            this.begin().map_err(|e| fail("open", &this.new_format(), &e))?;
        }
        Ok(this)
    }

    fn lock(path: &Path) -> Result<File, StoreError> {
        let at = path.join("LOCK");
        let open =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&at);
        let mut lock = open.map_err(|e| io_error("open", &at, path, &e))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let pid = fs::read_to_string(&at).ok().and_then(|text| text.trim().parse().ok());
                return Err(StoreError::Locked { path: path.to_owned(), pid });
            }
            Err(TryLockError::Error(e)) => return Err(io_error("lock", &at, path, &e)),
        }
        // For the words of whoever comes second; the lock itself does not depend on it.
        let _ = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
        Ok(lock)
    }

    /// Removes what a first open that was cut short has left, and begins with the next.
    fn begin(&self) -> io::Result<()> {
        for name in FIRST {
            remove(&self.path.join(name))?;
        }
        sync(&self.path)?;
        remove(&self.new_format())?;
        write_synced(&self.new_format(), FORMAT.as_bytes())
    }

    fn new_format(&self) -> PathBuf {
        self.path.join("FORMAT.new")
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// From now on it is a store, of the present format, and programs that know the former one only refuse it.
    pub(super) fn upgrade(&self) -> Result<(), StoreError> {
        let format = self.path.join("FORMAT");
        let upgraded = match fs::read(&format) {
            Ok(found) if found == FORMAT.as_bytes() => Ok(()),
            Ok(_) => replace(&format, FORMAT.as_bytes()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                fs::rename(self.new_format(), &format).and_then(|()| sync(&self.path))
            }
            Err(e) => Err(e),
        };
        upgraded.map_err(|e| io_error("write", &format, &self.path, &e))
    }

    /// Whether this is a store of ours, of whatever format.
    pub(super) fn is_store(path: &Path) -> bool {
        path.join("FORMAT").is_file()
    }

    pub(super) fn sled(&self) -> PathBuf {
        self.path.join("sled")
    }

    /// What is wrong with sled's log before sled itself has looked at it.
    pub(super) fn complaint_of_log(&self) -> Result<Option<String>, StoreError> {
        let log = self.sled().join("db");
        let damaged = segments::first_damaged(&log).map_err(|e| io_error("read", &log, &self.path, &e))?;
        Ok(damaged.map(|number| format!("the header of segment {number} of {} is damaged", log.display())))
    }

    pub(super) fn mark(&self) -> PathBuf {
        self.path.join("high-water")
    }

    pub(super) fn journal(&self) -> PathBuf {
        self.path.join("journal")
    }

    fn untouched(&self) -> PathBuf {
        self.path.join("untouched")
    }

    /// For copies that nobody misses: removed whenever the directory is taken.
    pub(super) fn scratch(&self) -> PathBuf {
        self.path.join("untouched.partial")
    }

    /// What a repair kept; there only while the repair is not done.
    pub(super) fn repaired(&self) -> PathBuf {
        self.path.join("repaired")
    }

    /// A name for what a repair takes away.
    pub(super) fn damaged(&self) -> PathBuf {
        let mut names = (1_u32..).map(|n| self.path.join(format!("damaged-{n}")));
        names.find(|path| !path.exists()).unwrap_or_else(|| self.path.join("damaged"))
    }

    /// Keeps a copy of sled's files: sled repairs what it opens, and a repair may destroy what somebody
    /// could have saved. Without room for a copy the store opens all the same.
    pub(super) fn preserve(&self) -> Result<(), StoreError> {
        let (from, partial) = (self.sled(), self.scratch());
        if !from.exists() {
            return Ok(());
        }
        let copied = remove_dir(&partial)
            .and_then(|()| copy_dir(&from, &partial))
            .and_then(|()| fs::rename(&partial, self.untouched()))
            .and_then(|()| sync(&self.path));
        match copied.map_err(|e| io_error("copy", &from, &self.path, &e)) {
            Err(StoreError::Full { .. }) => {
                tracing::warn!(path = %self.path.display(), "no room for a safety copy of the store while it is opened");
                let _ = fs::remove_dir_all(&partial);
                Ok(())
            }
            other => other,
        }
    }

    /// The files have proved sound: the copy is not needed.
    pub(super) fn accept(&self) -> Result<(), StoreError> {
        let (copy, partial) = (self.untouched(), self.scratch());
        // Renamed durably first: a copy that comes back after a power failure would undo what follows.
        let forgotten = match fs::rename(&copy, &partial) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(e),
            Ok(()) => sync(&self.path).and_then(|()| remove_dir(&partial)),
        };
        forgotten.map_err(|e| io_error("remove", &copy, &self.path, &e))
    }

    /// The files are damaged: puts back what was there before sled touched them.
    pub(super) fn put_back(&self) -> Result<(), StoreError> {
        if !self.untouched().exists() {
            return Ok(());
        }
        remove_dir(&self.sled())
            .and_then(|()| fs::rename(self.untouched(), self.sled()))
            .and_then(|()| sync(&self.path))
            .map_err(|e| io_error("rename", &self.untouched(), &self.path, &e))
    }

    /// sled's files were not there before, and there is nothing in them.
    pub(super) fn take_away(&self) -> Result<(), StoreError> {
        remove_dir(&self.sled()).map_err(|e| io_error("remove", &self.sled(), &self.path, &e))
    }

    /// An open that was cut short: nothing was written since, so the copy is the truth.
    fn put_back_interrupted(&self) -> Result<(), StoreError> {
        let partial = self.scratch();
        remove_dir(&partial).map_err(|e| io_error("remove", &partial, &self.path, &e))?;
        self.put_back()
    }

    /// What an error comes from. On a full disk sled takes what it could not write itself for damage; whether there is
    /// any shows when there is room again, before anything else is done.
    pub(super) fn blame(&self, e: StoreError) -> StoreError {
        match e {
            StoreError::Corrupt { .. } if self.is_full() => StoreError::Full { path: self.path.clone() },
            other => other,
        }
    }

    /// Whether there is no room for one of sled's segments.
    fn is_full(&self) -> bool {
        let probe = self.path.join("room");
        let written = fs::write(&probe, vec![0; SEGMENT]);
        let _ = fs::remove_file(&probe);
        let is_full =
            |e: &io::Error| matches!(io_error("write", &probe, &self.path, e), StoreError::Full { .. });
        written.as_ref().is_err_and(is_full)
    }

    pub(super) fn corrupt(&self, what: impl Into<String>) -> StoreError {
        StoreError::Corrupt { path: self.path.clone(), what: what.into() }
    }
}

fn describe_format(found: &str) -> String {
    match found.trim().strip_prefix("chronoplane store ") {
        Some(format) => format!("a chronoplane store of format {format}"),
        None => "a FORMAT file of another program".into(),
    }
}

/// What a directory without our FORMAT file holds; `None`: nothing that anybody would miss, or a store that another
/// process is making.
fn stranger(path: &Path) -> io::Result<Option<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    let has = |name: &str| names.iter().any(|n| n == name);
    let begun = if has("FORMAT.new") { fs::read(path.join("FORMAT.new")).ok() } else { None };
    let is_ours = |name: &str| match &begun {
        _ if name == "LOCK" => true,
        // By half: nothing else was made yet.
        Some(begun) if FORMAT.as_bytes().starts_with(begun) => {
            name == "FORMAT.new" || (begun.len() == FORMAT.len() && FIRST.contains(&name))
        }
        _ => false,
    };
    Ok(match names.iter().find(|name| !is_ours(name)) {
        None => None,
        // Another process has just made it: the lock decides.
        Some(_) if has("FORMAT") => None,
        Some(_) if has("wal") || has("snap") => Some("data of etcd itself".into()),
        Some(_) if has("conf") && has("db") => Some("a sled database of another program".into()),
        Some(first) => Some(format!("other files ({first})")),
    })
}

/// 0700, as etcd has it: everybody's secrets are in there. The names of all that were not there are durable when this
/// returns.
fn make_private(path: &Path) -> io::Result<()> {
    let new: Vec<&Path> = path.ancestors().take_while(|path| !is_there(path)).collect();
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    new.into_iter().try_for_each(|path| sync(parent(path)))
}

fn is_there(path: &Path) -> bool {
    path.as_os_str().is_empty() || path.exists()
}

/// The directory that `path` is a name in.
pub(super) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) => Path::new("."),
        None => path,
    }
}

/// Removes a file or a directory, if it is there.
fn remove(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

pub(super) fn remove_dir(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

pub(super) fn copy_dir(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy_dir(&from, &to)?;
        } else {
            fs::copy(&from, &to)?;
            sync(&to)?;
        }
    }
    sync(to)
}

/// `step` was done to a file: the tests look at the order.
pub(super) fn note(_step: &'static str) {
    #[cfg(test)]
    super::faults::note(_step);
}

/// What was written to the file is durable when this returns; `step` is what that is called.
pub(super) fn sync_data(file: &File, step: &'static str) -> io::Result<()> {
    file.sync_data()?;
    note(step);
    Ok(())
}

/// A file's contents, or a directory's names, are durable when this returns.
pub(super) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

pub(super) fn write_synced(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(contents)?;
    file.sync_all()?;
    sync(parent(path))
}

/// Makes the file, or puts it in the place of what was there: after a crash it is whole, or as it was.
pub(super) fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    remove(&new)?;
    write_synced(&new, contents)?;
    fs::rename(&new, path)?;
    sync(parent(path))
}
