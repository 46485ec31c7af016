//! The trait that everybody programs against.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{
    Compare, Kv, ListOptions, Listing, Op, OpResult, Range, Revision, StoreError, Txn, TxnResult, Watch,
    WatchOptions,
};

/// A store of keys with revisions: etcd's contract.
///
/// Reads see every write that was acknowledged before they began. A write is acknowledged when the
/// engine holds it durably.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// One key as of `at` (`None`: now), and the store's revision.
    async fn get(&self, key: &[u8], at: Option<Revision>) -> Result<(Option<Kv>, Revision), StoreError>;

    /// The keys of a range.
    async fn list(&self, range: Range, options: ListOptions) -> Result<Listing, StoreError>;

    /// Carries out a transaction.
    async fn txn(&self, txn: Txn) -> Result<TxnResult, StoreError>;

    /// Watches a range: all that happened from revision `from` on, then what happens. 0: from now on.
    /// A `from` that is compacted shows as the watch's first item.
    async fn watch(&self, range: Range, from: Revision, options: WatchOptions) -> Result<Watch, StoreError>;

    /// Forgets history before `at`: reads and watches from before get `Compacted`.
    async fn compact(&self, at: Revision) -> Result<(), StoreError>;

    /// The revision of the last committed transaction.
    async fn revision(&self) -> Result<Revision, StoreError>;

    /// A new lease; `id` 0 lets the store pick one.
    async fn lease_grant(&self, id: i64, ttl: Duration) -> Result<Lease, StoreError>;

    /// Ends a lease and deletes its keys, all in one transaction; gives its revision.
    async fn lease_revoke(&self, id: i64) -> Result<Revision, StoreError>;

    /// The lease lives for its full time from now on; gives that time.
    async fn lease_keepalive(&self, id: i64) -> Result<Duration, StoreError>;

    /// What is known of a lease.
    async fn lease_status(&self, id: i64) -> Result<LeaseStatus, StoreError>;

    /// What is known of the store.
    async fn status(&self) -> Result<Status, StoreError>;

    /// Writes `key` if it was last written at `expected` (0: if it does not exist).
    async fn put_if(
        &self,
        key: Bytes,
        value: Bytes,
        expected: Revision,
        lease: i64,
    ) -> Result<Outcome, StoreError> {
        let op = Op::Put { key: key.clone(), value, lease };
        self.txn(conditional(key, expected, op)).await.map(Outcome::from)
    }

    /// Deletes `key` if it was last written at `expected`.
    async fn delete_if(&self, key: Bytes, expected: Revision) -> Result<Outcome, StoreError> {
        let op = Op::delete(key.clone());
        self.txn(conditional(key, expected, op)).await.map(Outcome::from)
    }

    /// Writes `key` without a condition; gives the revision.
    async fn put(&self, key: Bytes, value: Bytes) -> Result<Revision, StoreError> {
        Ok(self.txn(Txn::unconditional(vec![Op::put(key, value)])).await?.revision)
    }

    /// Deletes all keys of a range without a condition; gives the revision and how many there were.
    async fn delete(&self, range: Range) -> Result<(Revision, usize), StoreError> {
        let done = self.txn(Txn::unconditional(vec![Op::Delete { range }])).await?;
        let deleted = match done.results.first() {
            Some(OpResult::Delete { prev }) => prev.len(),
            _ => 0,
        };
        Ok((done.revision, deleted))
    }
}

fn conditional(key: Bytes, expected: Revision, op: Op) -> Txn {
    Txn {
        compares: vec![Compare::mod_revision(key.clone(), expected)],
        success: vec![op],
        failure: vec![Op::get(key)],
    }
}

/// What became of a conditional write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done, at this revision.
    Committed(Revision),
    /// It was not: this is what is there instead.
    Conflict(Option<Kv>),
}

impl From<TxnResult> for Outcome {
    fn from(done: TxnResult) -> Self {
        if done.succeeded {
            return Self::Committed(done.revision);
        }
        Self::Conflict(match done.results.into_iter().next() {
            Some(OpResult::Get(found)) => found.kvs.into_iter().next(),
            _ => None,
        })
    }
}

/// A lease just granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Its id.
    pub id: i64,
    /// How long it lives unless kept alive.
    pub ttl: Duration,
}

/// What is known of a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseStatus {
    /// Its id.
    pub id: i64,
    /// How long it lives when kept alive.
    pub granted: Duration,
    /// How long it has left.
    pub remaining: Duration,
    /// The keys that die with it, ascending.
    pub keys: Vec<Bytes>,
}

/// What is known of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// What serves it: `memory`, `sled`, or the version of the etcd behind.
    pub engine: String,
    /// The revision of the last committed transaction.
    pub revision: Revision,
    /// The oldest revision that can be read.
    pub oldest: Revision,
    /// How many bytes it takes.
    pub size: u64,
}
