//! The one task that follows the store and tells all caches.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use store::{EventKind, ListOptions, Range, StoreError, Watch, WatchOptions};
use tokio::sync::mpsc;

use super::{Change, Command, Shared, budget::Budget, cache::Delayed, slot};

/// Between two attempts to start over.
const RETRY: Duration = Duration::from_secs(1);
/// So many batches of a burst are passed on before watchers get to take theirs: who keeps up is not overrun.
const AT_A_TIME: usize = 100;

impl Shared {
    pub(super) async fn run(self: Arc<Self>, mut inbox: mpsc::UnboundedReceiver<Command>) {
        loop {
            let error = match self.begin().await {
                Ok(watch) => self.follow(watch, &mut inbox).await,
                Err(e) => e,
            };
            tracing::warn!(error = %error, "watch of the store ended, starting over");
            {
                let mut feed = self.feed.lock();
                feed.ready = false;
                feed.last_error = error.to_string();
                let revision = feed.applied;
                feed.caches.values_mut().for_each(|cache| cache.reset(revision));
            }
            self.advanced.notify_waiters();
            if matches!(error, StoreError::Closed) {
                return;
            }
            self.host.clock().sleep(RETRY).await;
        }
    }

    /// Loads everything and opens the watch that goes on from there.
    async fn begin(&self) -> Result<Watch, StoreError> {
        let listing = self.store.list(Range::all(), ListOptions::default()).await?;
        let revision = listing.revision;
        {
            let mut feed = self.feed.lock();
            feed.caches.values_mut().for_each(|cache| cache.reset(revision));
            for kv in listing.kvs {
                let Ok(key) = std::str::from_utf8(&kv.key) else { continue };
                let Some((slots, rest)) = feed.owners(key) else { continue };
                for slot in slots {
                    if let Some(cache) = feed.caches.get_mut(&slot) {
                        cache.load(rest, kv.mod_revision, kv.value.clone());
                    }
                }
            }
        }
        let watch = self.store.watch(Range::all(), revision + 1, WatchOptions::default()).await?;
        {
            let mut feed = self.feed.lock();
            feed.applied = feed.applied.max(revision);
            feed.delivered = feed.applied;
            feed.ready = true;
        }
        self.advanced.notify_waiters();
        Ok(watch)
    }

    async fn follow(&self, mut watch: Watch, inbox: &mut mpsc::UnboundedReceiver<Command>) -> StoreError {
        enum Turn {
            Batch(Option<Result<store::Batch, StoreError>>),
            Command(Command),
            Impatient,
        }
        let mut budget = Budget::new(self.host.clock().monotonic());
        let mut passed_on = 0;
        loop {
            let turn = tokio::select! {
                biased;
                Some(command) = inbox.recv() => Turn::Command(command),
                batch = watch.next() => Turn::Batch(batch),
                () = self.impatient.notified() => Turn::Impatient,
            };
            match turn {
                Turn::Batch(Some(Ok(batch))) => {
                    self.take(batch, &mut budget).await;
                    passed_on += 1;
                    if passed_on % AT_A_TIME == 0 {
                        tokio::task::yield_now().await;
                    }
                }
                Turn::Batch(Some(Err(error))) => return error,
                Turn::Batch(None) => return StoreError::Transport("the watch was closed".to_owned()),
                Turn::Command(command) => {
                    if let Err(error) = self.obey(command).await {
                        return error;
                    }
                }
                Turn::Impatient => watch.request_progress(),
            }
        }
    }

    async fn take(&self, batch: store::Batch, budget: &mut Budget) {
        let now = self.host.clock().monotonic();
        let mut delayed: Vec<Delayed> = Vec::new();
        {
            let mut feed = self.feed.lock();
            for event in batch.events.iter() {
                let Ok(key) = std::str::from_utf8(&event.kv.key) else { continue };
                let Some((slots, rest)) = feed.owners(key) else { continue };
                let raw: Option<Bytes> = match event.kind {
                    EventKind::Put => Some(event.kv.value.clone()),
                    EventKind::Delete => None,
                };
                for slot in slots {
                    if let Some(cache) = feed.caches.get_mut(&slot) {
                        cache.apply(rest, event.kv.mod_revision, raw.clone(), now, &mut delayed);
                    }
                }
            }
            // With the items: a view's revision is never older than what it shows.
            feed.applied = feed.applied.max(batch.revision);
        }
        self.advanced.notify_waiters();
        // Watchers with a full buffer get what is left of the budget, then they are closed.
        let mut closed: Vec<mpsc::Sender<Arc<Change>>> = Vec::new();
        for Delayed { sender, change } in delayed {
            // Who has lost one event gets none after it, or would never know.
            if closed.iter().any(|lost| lost.same_channel(&sender)) {
                continue;
            }
            let patience = budget.take(self.host.clock().monotonic());
            let sent = self.host.clock().timeout(patience, sender.send(change)).await;
            budget.give_back(self.host.clock().monotonic());
            if !matches!(sent, Ok(Ok(()))) {
                let mut feed = self.feed.lock();
                feed.caches.values_mut().for_each(|cache| cache.drop_watcher(&sender));
                closed.push(sender);
            }
        }
        let mut feed = self.feed.lock();
        feed.delivered = feed.delivered.max(batch.revision);
    }

    async fn obey(&self, command: Command) -> Result<(), StoreError> {
        match command {
            Command::Register { served, done } => {
                let (slot, prefix) = (slot(&served), served.prefix(""));
                let at = self.feed.lock().applied;
                let options = ListOptions { at: Some(at), ..ListOptions::default() };
                let listing = self.store.list(Range::prefix(prefix.clone()), options).await;
                {
                    let mut feed = self.feed.lock();
                    feed.add(&served);
                    let listing = match listing {
                        Ok(listing) => listing,
                        Err(error) => {
                            // The feed starts over, and loads this resource with all others.
                            feed.ready = false;
                            return Err(error);
                        }
                    };
                    if let Some(cache) = feed.caches.get_mut(&slot) {
                        cache.reset(at);
                        for kv in listing.kvs {
                            let Ok(key) = std::str::from_utf8(&kv.key) else { continue };
                            let Some(rest) = key.strip_prefix(&prefix) else { continue };
                            cache.load(rest, kv.mod_revision, kv.value);
                        }
                    }
                }
                let _ = done.send(());
            }
            Command::Forget { slot } => {
                let mut feed = self.feed.lock();
                feed.caches.remove(&slot);
                feed.prefixes.values_mut().for_each(|slots| slots.retain(|s| *s != slot));
            }
        }
        Ok(())
    }
}
