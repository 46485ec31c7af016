//! One member: a [`Store`] that answers while a majority of the members is with it.

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::Notify;
use world::Host;

use super::{Cluster, Entry, Leader, Serving, watched::Watched};
use crate::{
    Kv, Lease, LeaseStatus, ListOptions, Listing, Medium, Memory, Mvcc, Range, Revision, Status, Store,
    StoreError, Txn, TxnResult, Watch, WatchOptions,
};

/// How long a request waits for a leader: etcd's 5 s and two election timeouts.
const PATIENCE: Duration = Duration::from_secs(7);
/// How often it looks (`readIndexRetryTime`).
const RETRY: Duration = Duration::from_millis(500);

/// See the module.
pub(in crate::server) struct Member {
    host: Host,
    id: u64,
    cluster: Arc<Cluster>,
    /// The cluster's medium with the faults of this member's disk.
    medium: Medium,
    /// Reads the history without asking anybody.
    local: Mvcc<Memory>,
    /// While this member leads.
    commits: Mutex<Option<Arc<Mvcc<Memory>>>>,
    removed: Arc<Notify>,
    sync_failed: Arc<Notify>,
}

impl Member {
    pub(super) fn new(host: &Host, id: u64, cluster: Arc<Cluster>, dir: &Path) -> Self {
        let medium = cluster.medium.at(host, dir);
        Self {
            host: host.clone(),
            id,
            local: Mvcc::reading(host, Memory::on(&medium), &cluster.history),
            medium,
            cluster,
            commits: Mutex::default(),
            removed: Arc::default(),
            sync_failed: Arc::default(),
        }
    }

    pub(in crate::server) fn id(&self) -> u64 {
        self.id
    }

    pub(in crate::server) fn cluster_id(&self) -> u64 {
        self.cluster.id
    }

    pub(super) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    pub(super) fn host(&self) -> &Host {
        &self.host
    }

    /// From now on the others may count on this member; it tells them where clients find it.
    pub(in crate::server) fn serve(&self, client_urls: &[String]) {
        self.medium.add_copy(self.id, &self.host, self.sync_failed.clone());
        let mut state = self.cluster.state.lock();
        if let Some(own) = state.members.get_mut(&self.id) {
            own.client_urls = client_urls.to_vec();
        }
        state
            .serving
            .insert(self.id, Serving { net: self.host.net().clone(), removed: self.removed.clone() });
    }

    /// Waits until the member is removed from its cluster.
    pub(in crate::server) async fn removed(&self) {
        let removed = self.removed.notified();
        if self.cluster.state.lock().members.contains_key(&self.id) {
            removed.await;
        }
    }

    /// Waits until a sync of this member's disk has failed: nobody knows what is on it then.
    pub(in crate::server) async fn sync_failed(&self) {
        self.sync_failed.notified().await;
    }

    /// All members, ascending by id.
    pub(in crate::server) fn members(&self) -> Vec<Entry> {
        self.cluster.state.lock().members.values().cloned().collect()
    }

    pub(in crate::server) fn is_learner(&self) -> bool {
        self.cluster.state.lock().members.get(&self.id).is_some_and(|own| own.learner)
    }

    /// The leader that this member knows of, and how often it changed.
    pub(in crate::server) fn leader(&self) -> (Option<u64>, u64) {
        let id = self.led_by().map(|(id, _)| id);
        (id, self.cluster.state.lock().term)
    }

    /// Who commits for this member now. When nobody does and a majority is here, this member does from now on.
    pub(super) fn led_by(&self) -> Option<(u64, Arc<Mvcc<Memory>>)> {
        let mut state = self.cluster.state.lock();
        if let Some((leader, commits)) = state.leader() {
            return state.connected(self.id, leader).then_some((leader, commits));
        }
        let votes = state.members.get(&self.id).is_some_and(|own| !own.learner);
        if !votes || !state.has_quorum(self.id) {
            return None;
        }
        // Whoever led before can write no more: its engine's time is over.
        self.cluster.medium.crash();
        let commits = Arc::new(Mvcc::resume(&self.host, Memory::on(&self.medium), &self.cluster.history));
        state.leader = Some(Leader { id: self.id, commits: Arc::downgrade(&commits) });
        state.term = state.term.max(1) + 1;
        let alone = state.members.len() == 1;
        let term = state.term;
        drop(state);
        if !alone {
            self.host.record("etcd", vec![("leads", format!("{:x}", self.id)), ("term", term.to_string())]);
        }
        *self.commits.lock() = Some(commits.clone());
        Some((self.id, commits))
    }

    /// Who commits for this member, waited for as long as etcd does.
    pub(super) async fn led(&self) -> Result<Arc<Mvcc<Memory>>, StoreError> {
        if self.is_learner() {
            return Err(StoreError::Learner);
        }
        let deadline = self.host.clock().monotonic() + PATIENCE;
        loop {
            if let Some((_, commits)) = self.led_by() {
                return Ok(commits);
            }
            if self.host.clock().monotonic() >= deadline {
                return Err(StoreError::TimedOut);
            }
            self.host.clock().sleep(RETRY).await;
        }
    }

    /// The history as it is here, without asking the others.
    pub(in crate::server) fn local(&self) -> &dyn Store {
        &self.local
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut state = self.cluster.state.lock();
        // A member that was started again has a place of its own by now.
        if state.serving.get(&self.id).is_some_and(|serving| Arc::ptr_eq(&serving.removed, &self.removed)) {
            state.serving.remove(&self.id);
        }
    }
}

#[async_trait]
impl Store for Member {
    async fn get(&self, key: &[u8], at: Option<Revision>) -> Result<(Option<Kv>, Revision), StoreError> {
        self.led().await?;
        self.local.get(key, at).await
    }

    async fn list(&self, range: Range, options: ListOptions) -> Result<Listing, StoreError> {
        self.led().await?;
        self.local.list(range, options).await
    }

    async fn txn(&self, txn: Txn) -> Result<TxnResult, StoreError> {
        self.led().await?.txn(txn).await
    }

    async fn watch(&self, range: Range, from: Revision, options: WatchOptions) -> Result<Watch, StoreError> {
        self.led().await?;
        let watch = self.local.watch(range, from, options).await?;
        Ok(Watch::new(Watched::new(watch, &self.cluster, self.id)))
    }

    async fn compact(&self, at: Revision) -> Result<(), StoreError> {
        self.led().await?.compact(at).await
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        self.led().await?;
        self.local.revision().await
    }

    async fn lease_grant(&self, id: i64, ttl: Duration) -> Result<Lease, StoreError> {
        self.led().await?.lease_grant(id, ttl).await
    }

    async fn lease_revoke(&self, id: i64) -> Result<Revision, StoreError> {
        self.led().await?.lease_revoke(id).await
    }

    async fn lease_keepalive(&self, id: i64) -> Result<Duration, StoreError> {
        self.led().await?.lease_keepalive(id).await
    }

    async fn lease_status(&self, id: i64) -> Result<LeaseStatus, StoreError> {
        self.led().await?.lease_status(id).await
    }

    async fn status(&self) -> Result<Status, StoreError> {
        self.local.status().await
    }
}
