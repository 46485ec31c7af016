//! Revisions, history and watches over any [`Engine`].
//!
//! ```text
//!  txn ──> committer (one task)                            readers, at the visible revision
//!            1 apply: versions beyond the visible revision      │
//!            2 engine.append: one flush for all that waited     v
//!            3 publish: visible revision, log, watchers ───> State (one short lock)
//! ```
//!
//! Between 1 and 3 nobody sees the new versions; if the engine fails, they are taken back. With an engine that need
//! not wait, the three are one step of whoever asks, unless the committer is between two of them.

mod commit;
mod feeds;
mod history;
mod lease;
mod state;
mod subscription;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use parking_lot::RwLock;
use tokio::sync::{mpsc, oneshot};
use world::Host;

use crate::{
    Engine, Image, Kv, Lease, LeaseStatus, ListOptions, Listing, Range, Record, Revision, Status, Store,
    StoreError, Txn, TxnResult, Watch, WatchOptions,
};
pub(crate) use commit::GROUP;
use commit::{Command, Committer, Gathering};
pub(crate) use history::History;
use state::{Applied, State};
use subscription::Subscription;

/// Keys looked at under one hold of the lock by a list: readers do not keep writers waiting.
const CHUNK: usize = 1024;

/// etcd's upper bound for a lease's time to live, in seconds.
const MAX_TTL_SECONDS: u64 = 9_000_000_000;

/// What a store refuses to take. The default is etcd's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of keys and values in one transaction (`--max-request-bytes`).
    pub request_bytes: usize,
    /// Operations in one branch of a transaction (`--max-txn-ops`).
    pub txn_ops: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { request_bytes: 1_572_864, txn_ops: 128 }
    }
}

/// See the module.
pub struct Mvcc<E> {
    shared: Arc<Shared<E>>,
    commands: mpsc::Sender<Command>,
    host: Host,
}

struct Shared<E> {
    engine: E,
    state: Arc<RwLock<State>>,
    /// The history outlives who commits to it: another member goes on.
    lasting: bool,
    gathering: Gathering,
}

impl<E: Engine> Mvcc<E> {
    /// Continues with what `engine` holds.
    ///
    /// # Errors
    /// The engine could not be read.
    pub async fn open(host: &Host, engine: E, limits: Limits) -> Result<Self, StoreError> {
        let image = engine.load().await?;
        Ok(Self::start(host, engine, image, limits))
    }

    /// Continues with `image`, which is what `engine` holds. The committing task belongs to `host`'s
    /// process: when that is killed, the store is closed.
    pub fn start(host: &Host, engine: E, image: Image, limits: Limits) -> Self {
        let state = Arc::new(RwLock::new(State::new(image, limits, host.clock().monotonic())));
        let shared = Arc::new(Shared { engine, state, lasting: false, gathering: Gathering::default() });
        let (commands, queue) = mpsc::channel(1024);
        let committer = Committer::new(host, shared.clone(), queue).run();
        if shared.engine.blocks() {
            host.spawn_apart(committer)
        } else {
            host.spawn(committer)
        };
        Self { shared, commands, host: host.clone() }
    }

    /// Goes on with a history whose former committer has ended. What that one did not publish never happened;
    /// leases live for their full time from now on, as after an election.
    pub(crate) fn resume(host: &Host, engine: E, history: &History) -> Self {
        history.0.write().resume(host.clock().monotonic());
        let shared = Arc::new(Shared {
            engine,
            state: history.0.clone(),
            lasting: true,
            gathering: Gathering::default(),
        });
        let (commands, queue) = mpsc::channel(1024);
        host.spawn(Committer::new(host, shared.clone(), queue).run());
        Self { shared, commands, host: host.clone() }
    }

    /// Reads and watches a history that somebody else commits to. Writes find it closed.
    pub(crate) fn reading(host: &Host, engine: E, history: &History) -> Self {
        let shared = Arc::new(Shared {
            engine,
            state: history.0.clone(),
            lasting: true,
            gathering: Gathering::default(),
        });
        let (commands, _) = mpsc::channel(1);
        Self { shared, commands, host: host.clone() }
    }

    /// Whether nobody commits any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.commands.is_closed()
    }

    async fn list_at(
        &self,
        revision: Revision,
        range: Range,
        options: &ListOptions,
    ) -> Result<Listing, StoreError> {
        let mut listing = Listing { revision, ..Listing::default() };
        let mut left = Some(range);
        while let Some(range) = left {
            left = {
                let state = self.shared.state.read();
                state.readable(Some(revision))?;
                state.list_chunk(&range, options, CHUNK, &mut listing)
            };
            if left.is_some() {
                tokio::task::yield_now().await;
            }
        }
        Ok(listing)
    }

    /// Commits on the caller's own task. `None`: that is not possible, and nothing has happened.
    fn commit_at_once(&self, txn: &Txn) -> Option<Result<TxnResult, StoreError>> {
        if self.shared.engine.waits() || self.commands.is_closed() {
            return None;
        }
        let mut state = self.shared.state.write();
        if !state.is_settled() {
            return None;
        }
        let Applied { result, changes } = match state.apply(txn) {
            Ok(applied) => applied,
            Err(e) => return Some(Err(e)),
        };
        let Some(batch) = changes else { return Some(Ok(result)) };
        let kept = self.shared.engine.append_at_once(&[Record::Commit(batch.clone())]);
        match &kept {
            Some(Ok(())) => state.publish(&batch),
            Some(Err(_)) | None => state.take_back(std::iter::once(&batch)),
        }
        kept.map(|kept| kept.map(|()| result))
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Command,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| StoreError::Closed)?;
        self.shared.gathering.queued(self.commands.max_capacity() - self.commands.capacity());
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

#[async_trait]
impl<E: Engine> Store for Mvcc<E> {
    async fn get(&self, key: &[u8], at: Option<Revision>) -> Result<(Option<Kv>, Revision), StoreError> {
        let state = self.shared.state.read();
        let revision = state.readable(at)?;
        Ok((state.get(key, revision).cloned(), state.visible()))
    }

    async fn list(&self, range: Range, options: ListOptions) -> Result<Listing, StoreError> {
        loop {
            let revision = self.shared.state.read().readable(options.at)?;
            match self.list_at(revision, range.clone(), &options).await {
                // A compaction between two chunks has overtaken a list that asked for "now": begin again.
                Err(StoreError::Compacted { .. }) if options.at.is_none_or(|at| at == 0) => {}
                done => return done,
            }
        }
    }

    async fn txn(&self, txn: Txn) -> Result<TxnResult, StoreError> {
        if let Some(done) = self.commit_at_once(&txn) {
            return done;
        }
        self.ask(|reply| Command::Txn(txn, reply)).await
    }

    async fn watch(&self, range: Range, from: Revision, options: WatchOptions) -> Result<Watch, StoreError> {
        let clock = self.host.clock().clone();
        Ok(Watch::new(Subscription::new(self.shared.state.clone(), clock, range, from, options)))
    }

    async fn compact(&self, at: Revision) -> Result<(), StoreError> {
        let dropped = self.shared.state.write().compact(at)?;
        // Freed here, outside the lock.
        drop(dropped);
        Ok(())
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        self.shared.state.read().readable(None)
    }

    async fn lease_grant(&self, id: i64, ttl: Duration) -> Result<Lease, StoreError> {
        if ttl.as_secs() > MAX_TTL_SECONDS {
            return Err(StoreError::LeaseTooLong { seconds: ttl.as_secs() });
        }
        self.ask(|reply| Command::Grant { id, ttl, reply }).await
    }

    async fn lease_revoke(&self, id: i64) -> Result<Revision, StoreError> {
        self.ask(|reply| Command::Revoke { id, reply }).await
    }

    async fn lease_keepalive(&self, id: i64) -> Result<Duration, StoreError> {
        let now = self.host.clock().monotonic();
        self.shared.state.write().open()?.leases.keep_alive(id, now)
    }

    async fn lease_status(&self, id: i64) -> Result<LeaseStatus, StoreError> {
        let now = self.host.clock().monotonic();
        self.shared.state.write().open()?.leases.status(id, now)
    }

    async fn status(&self) -> Result<Status, StoreError> {
        let (engine, size) = (self.shared.engine.name().to_owned(), self.shared.engine.size());
        let state = self.shared.state.read();
        Ok(Status { engine, revision: state.readable(None)?, oldest: state.oldest(), size })
    }
}

impl<E> std::fmt::Debug for Mvcc<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mvcc(revision {})", self.shared.state.read().visible())
    }
}
