//! Word from the kernel when something in a real directory changes, so that a thousand kubelets need not
//! look into a thousand directories ten times a second.
//!
//! One inotify instance serves the process: a user may only have some hundred of them.

use std::{
    collections::BTreeMap,
    mem::MaybeUninit,
    os::fd::OwnedFd,
    path::Path,
    sync::{Arc, OnceLock},
};

use parking_lot::Mutex;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::sync::Notify;

/// What makes a difference to somebody who reads the files of a directory.
const CHANGES: WatchFlags = WatchFlags::ATTRIB
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);

struct Watches {
    kernel: OwnedFd,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    /// Who waits, by the kernel's number of the directory.
    waiting: BTreeMap<i32, BTreeMap<u64, Arc<Notify>>>,
}

/// Interest in one directory, until dropped.
pub(super) struct Watching {
    all: &'static Watches,
    directory: i32,
    id: u64,
    told: Arc<Notify>,
}

impl Watching {
    /// Begins to listen; `None` where the kernel cannot tell all: the directory is not there, or has
    /// directories in it.
    pub(super) fn begin(dir: &Path) -> Option<Self> {
        let all = watches()?;
        let told = Arc::<Notify>::default();
        let this = {
            let mut state = all.state.lock();
            let directory = inotify::add_watch(&all.kernel, dir, CHANGES).ok()?;
            state.next += 1;
            let id = state.next;
            state.waiting.entry(directory).or_default().insert(id, told.clone());
            Self { all, directory, id, told }
        };
        let mut entries = std::fs::read_dir(dir).ok()?.flatten();
        let nested = entries.any(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        (!nested).then_some(this)
    }

    /// Waits until something has changed since the beginning.
    pub(super) async fn changed(&self) {
        self.told.notified().await;
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let mut state = self.all.state.lock();
        let Some(waiting) = state.waiting.get_mut(&self.directory) else { return };
        waiting.remove(&self.id);
        if waiting.is_empty() {
            state.waiting.remove(&self.directory);
            // It may have ended with its directory.
            let _ = inotify::remove_watch(&self.all.kernel, self.directory);
        }
    }
}

fn watches() -> Option<&'static Watches> {
    static WATCHES: OnceLock<Option<&'static Watches>> = OnceLock::new();
    *WATCHES.get_or_init(|| {
        let kernel = inotify::init(CreateFlags::CLOEXEC).ok()?;
        let all: &'static Watches = Box::leak(Box::new(Watches { kernel, state: Mutex::default() }));
        std::thread::Builder::new().name("inotify".to_owned()).spawn(|| listen(all)).ok()?;
        Some(all)
    })
}

fn listen(all: &Watches) {
    let mut buffer = [const { MaybeUninit::uninit() }; 4096];
    let mut events = inotify::Reader::new(&all.kernel, &mut buffer);
    loop {
        match events.next() {
            Ok(event) => {
                let overflow = event.wd() < 0;
                let state = all.state.lock();
                if overflow {
                    state.waiting.values().flat_map(BTreeMap::values).for_each(|told| told.notify_one());
                } else if let Some(waiting) = state.waiting.get(&event.wd()) {
                    waiting.values().for_each(|told| told.notify_one());
                }
            }
            Err(rustix::io::Errno::INTR) => {}
            // The descriptor lives as long as the process: nothing more will come from it.
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn wait(watching: &Watching) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        #[allow(clippy::disallowed_methods, reason = "the kernel's word comes in real time")]
        let told = async { tokio::time::timeout(Duration::from_secs(10), watching.changed()).await };
        runtime.block_on(told).is_ok()
    }

    #[test]
    fn every_kind_of_change_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let check = |change: &dyn Fn()| {
            let watching = Watching::begin(dir.path()).expect("a plain directory");
            change();
            assert!(wait(&watching));
        };
        check(&|| std::fs::write(at("a"), "1").unwrap());
        check(&|| std::fs::write(at("a"), "2").unwrap());
        check(&|| std::fs::rename(at("a"), at("b")).unwrap());
        check(&|| std::os::unix::fs::symlink("b", at("c")).unwrap());
        check(&|| std::fs::remove_file(at("b")).unwrap());
        check(&|| std::fs::create_dir(at("d")).unwrap());
        assert!(Watching::begin(dir.path()).is_none(), "what changes below is not told");
        assert!(Watching::begin(&at("nothing")).is_none());
    }
}
