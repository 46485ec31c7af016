//! The one task that writes: applies what waits, lets the engine keep it, publishes it.
//!
//! Who waits at the same time shares one append. Those whom the last one has answered are about to write again, and who
//! comes first must not go alone, with all the others waiting for its append and then for theirs: so a group of half
//! of them is waited for, for as long as a few appends take. What the others need meanwhile they need anyhow, and each
//! append less is a sync less.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Notify, mpsc, oneshot};
use world::Host;

use super::{
    Shared,
    state::{Applied, State},
};
use crate::{Batch, Engine, Lease, Op, Range, Record, Revision, StoreError, Txn, TxnResult};

/// Transactions that share one flush at most.
pub(crate) const GROUP: usize = 256;
/// How long a group is waited for at most, however slow the disk is; and in appends.
const PATIENCE: Duration = Duration::from_millis(1);
const APPENDS: u32 = 4;

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// What the committer can be asked for.
pub(super) enum Command {
    Txn(Txn, Reply<TxnResult>),
    Grant { id: i64, ttl: Duration, reply: Reply<Lease> },
    Revoke { id: i64, reply: Reply<Revision> },
}

/// Where a committer waits for a group.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    /// How many commands make the group; 0 while nobody waits.
    wanted: AtomicUsize,
    complete: Notify,
}

impl Gathering {
    /// There are so many commands now. Only the one that makes the group complete wakes who waits for it.
    pub(super) fn queued(&self, commands: usize) {
        let wanted = self.wanted.load(Ordering::SeqCst);
        if wanted != 0 && commands >= wanted {
            self.complete.notify_one();
        }
    }
}

/// See the module.
pub(super) struct Committer<E> {
    host: Host,
    shared: Arc<Shared<E>>,
    queue: mpsc::Receiver<Command>,
    /// Half of those who were there at the end of the last append: whom it has answered, and who had come meanwhile.
    expected: usize,
    /// How long that took.
    took: Duration,
}

impl<E> Drop for Committer<E> {
    // Also when the process is killed: nobody waits for a store that nobody writes to.
    fn drop(&mut self) {
        if !self.shared.lasting {
            self.shared.state.write().close();
        }
    }
}

impl<E: Engine> Committer<E> {
    pub(super) fn new(host: &Host, shared: Arc<Shared<E>>, queue: mpsc::Receiver<Command>) -> Self {
        Self { host: host.clone(), shared, queue, expected: 0, took: Duration::ZERO }
    }

    pub(super) async fn run(mut self) {
        let mut held = None;
        loop {
            let command = match held.take() {
                Some(command) => command,
                None => match self.next().await {
                    Ok(Some(command)) => command,
                    Ok(None) => return,
                    Err(expired) => {
                        self.expire(expired).await;
                        continue;
                    }
                },
            };
            match command {
                Command::Txn(txn, reply) => {
                    self.gather().await;
                    let mut group = vec![(txn, reply)];
                    while group.len() < GROUP {
                        match self.queue.try_recv() {
                            Ok(Command::Txn(txn, reply)) => group.push((txn, reply)),
                            Ok(other) => {
                                held = Some(other);
                                break;
                            }
                            Err(_) => break,
                        }
                    }
                    let (began, answered) = (self.host.clock().monotonic(), group.len());
                    self.commit(group).await;
                    self.took = self.host.clock().monotonic().since(began);
                    self.expected = (answered + self.queue.len()) / 2;
                }
                Command::Grant { id, ttl, reply } => {
                    let granted = self.grant(id, ttl).await;
                    let _ = reply.send(granted);
                }
                Command::Revoke { id, reply } => {
                    let revoked = self.revoke(id).await;
                    let _ = reply.send(revoked);
                }
            }
            self.shared.engine.settle();
        }
    }

    /// Waits until those who are expected have come, the first of whom is here.
    async fn gather(&self) {
        let wanted = self.expected.min(GROUP).saturating_sub(1);
        if self.queue.len() >= wanted || !self.shared.engine.waits() {
            return;
        }
        let Gathering { wanted: told, complete } = &self.shared.gathering;
        told.store(wanted, Ordering::SeqCst);
        // Whoever came before that was written down has not told.
        if self.queue.len() < wanted {
            let _ = self.host.clock().timeout((self.took * APPENDS).min(PATIENCE), complete.notified()).await;
        }
        told.store(0, Ordering::SeqCst);
    }

    /// The next command (`None`: nobody is left to give any), or as an error the lease that has ended.
    async fn next(&mut self) -> Result<Option<Command>, i64> {
        loop {
            let first = self.shared.state.read().leases.first();
            let Some((deadline, id)) = first else { return Ok(self.queue.recv().await) };
            tokio::select! {
                biased;
                command = self.queue.recv() => return Ok(command),
                () = self.host.clock().sleep_until(deadline) => {}
            }
            // It may have been kept alive meanwhile.
            if self.shared.state.read().leases.first() == Some((deadline, id)) {
                return Err(id);
            }
        }
    }

    async fn commit(&self, group: Vec<(Txn, Reply<TxnResult>)>) {
        let mut applied = Vec::with_capacity(group.len());
        for (txn, reply) in group {
            // Locked anew for each: readers get in between.
            let done = self.shared.state.write().apply(&txn);
            match done {
                Ok(done) => applied.push((done, reply)),
                Err(e) => drop(reply.send(Err(e))),
            }
        }
        let batches: Vec<Batch> = applied.iter().filter_map(|(done, _)| done.changes.clone()).collect();
        let kept = self.keep(batches, Vec::new()).await;
        for (done, reply) in applied {
            // Also a transaction that only read is void now: it may have read what was taken back.
            let _ = reply.send(kept.clone().map(|()| done.result));
        }
    }

    /// Lets the engine keep what was applied, then publishes it; or takes it back.
    async fn keep(&self, batches: Vec<Batch>, after: Vec<Record>) -> Result<(), StoreError> {
        let records: Vec<Record> = batches.iter().cloned().map(Record::Commit).chain(after).collect();
        if records.is_empty() {
            return Ok(());
        }
        let kept = self.shared.engine.append(records).await;
        let mut state = self.shared.state.write();
        match &kept {
            Ok(()) => batches.iter().for_each(|batch| state.publish(batch)),
            Err(e) => {
                tracing::error!(error = %e, "the store's engine refused a write");
                state.take_back(batches.iter());
            }
        }
        kept
    }

    async fn grant(&self, id: i64, ttl: Duration) -> Result<Lease, StoreError> {
        let id = match id {
            0 => loop {
                let id = (self.host.entropy().u64() & (i64::MAX as u64)) as i64;
                if id != 0 && !self.shared.state.read().leases.contains(id) {
                    break id;
                }
            },
            id if self.shared.state.read().leases.contains(id) => return Err(StoreError::LeaseExists { id }),
            id => id,
        };
        self.shared.engine.append(vec![Record::Grant { id, ttl }]).await?;
        self.shared.state.write().leases.insert(id, ttl, self.host.clock().monotonic());
        Ok(Lease { id, ttl })
    }

    async fn revoke(&self, id: i64) -> Result<Revision, StoreError> {
        let applied = begin_end(&mut self.shared.state.write(), id);
        self.end(id, applied).await
    }

    /// Brings the end of a lease, which is under way from `applied` on, to its end.
    async fn end(&self, id: i64, applied: Result<Applied, StoreError>) -> Result<Revision, StoreError> {
        let Applied { result, changes } = applied?;
        let kept = self.keep(changes.into_iter().collect(), vec![Record::Revoke { id }]).await;
        let mut state = self.shared.state.write();
        match &kept {
            Ok(()) => state.leases.remove(id),
            Err(_) => state.leases.live_on(id),
        }
        kept.map(|()| result.revision)
    }

    async fn expire(&self, id: i64) {
        let now = self.host.clock().monotonic();
        let applied = {
            let mut state = self.shared.state.write();
            // Kept alive since it was looked at: whoever did that was told that it lives.
            if !state.leases.is_over(id, now) {
                return;
            }
            begin_end(&mut state, id)
        };
        match self.end(id, applied).await {
            Ok(revision) => tracing::debug!(lease = id, revision, "lease expired"),
            Err(e) => {
                // The keys live on until the engine takes their deletion: try again, not at once.
                tracing::warn!(lease = id, error = %e, "lease could not be expired");
                self.shared.state.write().leases.postpone(id, self.host.clock().monotonic());
            }
        }
    }
}

/// From now on nobody is told that the lease lives; its keys are deleted with the next append.
fn begin_end(state: &mut State, id: i64) -> Result<Applied, StoreError> {
    let keys = state.leases.begin_end(id)?;
    let ops = keys.into_iter().map(|key| Op::Delete { range: Range::key(key) }).collect();
    let applied = state.apply_unlimited(&Txn::unconditional(ops));
    if applied.is_err() {
        state.leases.live_on(id);
    }
    applied
}
