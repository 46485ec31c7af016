//! The reads of all resources: one watch on the store's history feeds a cache per resource.
//!
//! Writers notify nobody; what a watcher sees is what the store says happened. Because the one
//! watch covers everything, the feed knows the store's revision and a consistent read is: ask the
//! store for its revision, wait until the feed has come so far, read here.

mod budget;
mod cache;
mod change;
mod feed;
mod item;
mod watchers;

use std::{collections::BTreeMap, ops::Bound, sync::Arc, time::Duration};

use api::status::Status;
use parking_lot::Mutex;
use store::{Store, StoreError};
use tokio::sync::{Notify, mpsc, oneshot};
use world::Host;

use cache::Cache;
pub use cache::Subscription;
pub use change::{Change, EventType, Filter};
pub use item::{Item, decode, encode, encode_stored};

use crate::catalog::{Served, Text};

/// How long a read waits for the cache to catch up with the store.
const FRESHNESS_TIMEOUT: Duration = Duration::from_secs(3);
/// Between two requests that ask the store how far it is, for one who waits (upstream's period).
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// Group, version, plural.
type Slot = (Text, Text, Text);

fn slot(served: &Served) -> Slot {
    served.key_in_catalog()
}

/// All caches. Clones share them.
#[derive(Clone)]
pub struct Caches(Arc<Shared>);

struct Shared {
    host: Host,
    store: Arc<dyn Store>,
    feed: Mutex<Feed>,
    /// The feed's revision has moved, or its readiness.
    advanced: Notify,
    /// Somebody waits for a revision that no event may bring.
    impatient: Notify,
    commands: mpsc::UnboundedSender<Command>,
}

#[derive(Default)]
struct Feed {
    ready: bool,
    /// Up to here the caches hold what happened: the revision of every view.
    applied: i64,
    /// Up to here every watcher was told: what a bookmark may say.
    delivered: i64,
    last_error: String,
    caches: BTreeMap<Slot, Cache>,
    prefixes: BTreeMap<String, Vec<Slot>>,
}

enum Command {
    Register { served: Arc<Served>, done: oneshot::Sender<()> },
    Forget { slot: Slot },
}

impl Feed {
    /// The resources whose objects live under `key`, and the key's rest.
    fn owners<'k>(&self, key: &'k str) -> Option<(Vec<Slot>, &'k str)> {
        let (prefix, slots) =
            self.prefixes.range::<str, _>((Bound::Unbounded, Bound::Included(key))).next_back()?;
        Some((slots.clone(), key.strip_prefix(prefix.as_str())?))
    }

    fn add(&mut self, served: &Arc<Served>) {
        let slot = slot(served);
        self.caches.insert(slot.clone(), Cache::new(served.clone()));
        let slots = self.prefixes.entry(served.prefix("")).or_default();
        if !slots.contains(&slot) {
            slots.push(slot);
        }
    }
}

impl Caches {
    /// Starts the feed for `served`; more may be registered later.
    pub fn start(host: &Host, store: Arc<dyn Store>, served: &[Arc<Served>]) -> Self {
        let mut feed = Feed::default();
        for served in served.iter().filter(|s| s.is_stored()) {
            feed.add(served);
        }
        let (commands, inbox) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            host: host.clone(),
            store,
            feed: Mutex::new(feed),
            advanced: Notify::new(),
            impatient: Notify::new(),
            commands,
        });
        let task = shared.clone();
        host.spawn(async move { task.run(inbox).await });
        Self(shared)
    }

    /// Caches one more resource, from the revision at which the feed is.
    pub async fn register(&self, served: &Arc<Served>) {
        let (done, wait) = oneshot::channel();
        let _ = self.0.commands.send(Command::Register { served: served.clone(), done });
        let _ = wait.await;
    }

    /// Ends the caching of a resource and all its watches.
    pub fn forget(&self, served: &Served) {
        let _ = self.0.commands.send(Command::Forget { slot: slot(served) });
    }

    /// The revision up to which every watcher was told.
    pub fn revision(&self) -> i64 {
        self.0.feed.lock().delivered
    }

    /// Whether the feed has the store's state.
    pub fn is_ready(&self) -> bool {
        self.0.feed.lock().ready
    }

    /// Waits until the feed has the store's state.
    pub async fn ready(&self) {
        loop {
            let advanced = self.0.advanced.notified();
            tokio::pin!(advanced);
            advanced.as_mut().enable();
            if self.is_ready() {
                return;
            }
            advanced.await;
        }
    }

    /// Waits until everything up to `revision` is known here.
    ///
    /// # Errors
    /// 504 after three seconds, as upstream's "Too large resource version".
    pub async fn wait_for(&self, revision: i64) -> Result<(), Status> {
        let shared = &self.0;
        let clock = shared.host.clock();
        let caught_up = async {
            let mut ask_at = clock.monotonic();
            loop {
                let advanced = shared.advanced.notified();
                tokio::pin!(advanced);
                advanced.as_mut().enable();
                {
                    let feed = shared.feed.lock();
                    if !feed.ready {
                        return Err(reinitialising(&feed.last_error));
                    }
                    if feed.applied >= revision {
                        return Ok(());
                    }
                }
                // The answer wakes everybody who waits, whether it is news to them or not.
                if clock.monotonic() >= ask_at {
                    shared.impatient.notify_one();
                    ask_at = clock.monotonic() + ASK_AGAIN;
                }
                tokio::select! {
                    biased;
                    () = advanced => {}
                    () = clock.sleep_until(ask_at) => {}
                }
            }
        };
        match shared.host.clock().timeout(FRESHNESS_TIMEOUT, caught_up).await {
            Ok(result) => result,
            Err(_) => Err(Status::version_too_large(revision.unsigned_abs(), self.revision().unsigned_abs())),
        }
    }

    /// Waits until the caches are as new as the store is now.
    ///
    /// # Errors
    /// The store cannot be asked, or the feed does not catch up.
    pub async fn catch_up(&self) -> Result<i64, Status> {
        let revision = self.0.store.revision().await.map_err(|e| store_status(&e))?;
        self.wait_for(revision).await?;
        Ok(revision)
    }

    /// Ends so many watches, after what they have still to hear: the server goes. How many there were.
    pub fn end_watches(&self, most: usize) -> usize {
        let mut ended = 0;
        for cache in self.0.feed.lock().caches.values_mut() {
            ended += cache.end_watches(most - ended);
        }
        ended
    }

    /// One object as the cache has it.
    pub fn get(&self, served: &Served, key: &str) -> Option<Arc<Item>> {
        self.0.feed.lock().caches.get(&slot(served))?.get(key)
    }

    /// All objects that `filter` lets through and the revision of that view.
    ///
    /// # Errors
    /// 429 while the cache starts over.
    pub fn select(&self, served: &Served, filter: &Filter) -> Result<(Vec<Arc<Item>>, i64), Status> {
        let (mut items, revision) = {
            let feed = self.0.feed.lock();
            match feed.caches.get(&slot(served)) {
                Some(cache) if feed.ready => (cache.select(filter), feed.applied),
                _ => return Err(reinitialising(&feed.last_error)),
            }
        };
        // Outside of the lock: an object may have to be parsed for it.
        if !filter.is_open() {
            items.retain(|item| filter.matches(item));
        }
        Ok((items, revision))
    }

    /// All objects of a namespace (empty: of all) and the revision of that view.
    ///
    /// # Errors
    /// 429 while the cache starts over.
    pub fn list(&self, served: &Served, namespace: &str) -> Result<(Vec<Arc<Item>>, i64), Status> {
        let feed = self.0.feed.lock();
        match feed.caches.get(&slot(served)) {
            Some(cache) if feed.ready => Ok((cache.list(namespace), feed.applied)),
            _ => Err(reinitialising(&feed.last_error)),
        }
    }

    /// Begins a watch after revision `from`, or with the state when `None`.
    ///
    /// # Errors
    /// 410 when the history does not reach back so far, 429 while the cache starts over.
    pub fn subscribe(
        &self,
        served: &Served,
        filter: &Filter,
        from: Option<i64>,
    ) -> Result<Subscription, Status> {
        let mut feed = self.0.feed.lock();
        let revision = feed.applied;
        let (ready, error) = (feed.ready, feed.last_error.clone());
        match feed.caches.get_mut(&slot(served)) {
            Some(cache) if ready => cache.subscribe(filter, from, revision),
            _ => Err(reinitialising(&error)),
        }
    }
}

fn reinitialising(error: &str) -> Status {
    let message = match error {
        "" => "storage is (re)initializing".to_owned(),
        error => format!("storage is (re)initializing: {error}"),
    };
    Status::too_many_requests(message, 1)
}

/// A failure of the store as a client may see it.
pub fn store_status(error: &StoreError) -> Status {
    match error {
        StoreError::Compacted { .. } => {
            Status::expired("The resourceVersion for the provided list is too old.")
        }
        StoreError::FutureRevision { requested, current } => {
            Status::version_too_large(requested.unsigned_abs(), current.unsigned_abs())
        }
        other => Status::internal(other.to_string()),
    }
}

#[cfg(test)]
mod tests;
