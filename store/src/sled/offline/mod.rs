//! A store's directory while nobody works in it: looked at, repaired, written out, read in.
//!
//! ```text
//! check    what is in there, and what is wrong with it
//! repair   keeps what is provably as it was written, and says what it had to drop
//! load     everything of a sound directory   ──> lines::write
//! create   a new directory                   <── lines::read
//! ```
//!
//! The directory is taken as a store takes it: none of this works beside a running one. Real gear only.

mod examine;
mod lines;
mod repair;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use world::{Clock, Host};

use super::{
    blocking,
    core::Core,
    directory::{Directory, io_error, remove_dir, sync},
    patiently,
};
use crate::{Batch, Event, EventKind, Image, Kv, Record, Revision, StoreError};

pub use examine::Findings;
pub use lines::{LinesError, read as read_lines, write as write_lines};
pub use repair::Repair;

/// Keys written at once: one append stays small beside what sled holds in memory.
const CHUNK: usize = 256;

/// The store's directory that `path` names: itself, or `member` below it, where etcd's data directory has it.
///
/// # Errors
/// Neither is a store's.
pub fn locate(path: &Path) -> Result<PathBuf, StoreError> {
    let candidates = [path.to_owned(), path.join("member")];
    let found = candidates.into_iter().find(|path| Directory::is_store(path));
    found.ok_or_else(|| StoreError::Missing { path: path.to_owned() })
}

/// Looks at everything in the directory, and changes nothing.
///
/// # Errors
/// The directory is in use, is none of ours, or cannot be read. That it is damaged is no error.
pub async fn check(host: &Host, path: &Path) -> Result<Findings, StoreError> {
    with(host, path, |path, clock| Ok(examine::examine(&Directory::take(path)?, clock)?.findings)).await
}

/// Makes a damaged directory sound again with what is left. What was there before is kept beside it. A sound one is
/// left as it is.
///
/// # Errors
/// As for [`check()`].
pub async fn repair(host: &Host, path: &Path) -> Result<Repair, StoreError> {
    with(host, path, |path, clock| repair::repair(Directory::take(path)?, clock)).await
}

/// All that a sound directory holds.
///
/// # Errors
/// The directory is in use, none of ours, or damaged.
pub async fn load(host: &Host, path: &Path) -> Result<Image, StoreError> {
    with(host, path, |path, clock| Ok(Core::open(path, clock)?.1)).await
}

async fn with<T: Send + 'static>(
    host: &Host,
    path: &Path,
    work: fn(&Path, &Clock) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let (path, clock) = (locate(path)?, host.clock().clone());
    let attempt = || {
        let (path, clock) = (path.clone(), clock.clone());
        blocking(move || work(&path, &clock))
    };
    patiently(host, attempt).await
}

/// Makes a directory with a store that holds `image`. All of it is durable when this returns; before, there is none.
///
/// # Errors
/// Something is there already, or it cannot be written.
pub async fn create(host: &Host, path: &Path, image: Image) -> Result<(), StoreError> {
    let (path, clock) = (path.to_owned(), host.clock().clone());
    blocking(move || {
        let fail = |op, e: &io::Error| io_error(op, &path, &path, e);
        match fs::read_dir(&path).map(|mut entries| entries.next().is_some()) {
            Ok(false) => {}
            Ok(true) => {
                let found = if Directory::is_store(&path) { "a store already" } else { "files already" };
                return Err(StoreError::Occupied { path: path.clone(), found });
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(fail("open", &e)),
        }
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let partial = path.with_file_name(format!("{name}.import"));
        remove_dir(&partial).map_err(|e| fail("remove", &e))?;
        fill(&partial, &clock, &image)?;
        fs::rename(&partial, &path).map_err(|e| fail("rename", &e))?;
        path.parent()
            .map_or(Ok(()), |parent| {
                sync(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
            })
            .map_err(|e| fail("sync", &e))
    })
    .await
}

/// Writes `image` into the new directory `path`.
fn fill(path: &Path, clock: &Clock, image: &Image) -> Result<(), StoreError> {
    let (mut core, _) = Core::open(path, clock)?;
    let put = |kv: &Kv| Event { kind: EventKind::Put, kv: kv.clone(), prev: None };
    // Each key keeps its own revisions; the head has the store's from the first append on.
    let commit = |events: Arc<[Event]>| Record::Commit(Batch::changes(image.revision, events));
    let grants = image.leases.iter().map(|(id, ttl)| Record::Grant { id: *id, ttl: *ttl });
    core.append(&std::iter::once(commit(Arc::new([]))).chain(grants).collect::<Vec<_>>())?;
    let mut keys = image.keys.values().map(put).peekable();
    while keys.peek().is_some() {
        core.append(&[commit(keys.by_ref().take(CHUNK).collect())])?;
    }
    core.finish()
}

/// The newest revision that anything in `image` speaks of.
fn newest(image: &Image) -> Revision {
    image.keys.values().map(|kv| kv.mod_revision).max().unwrap_or(Image::EMPTY).max(image.revision)
}
