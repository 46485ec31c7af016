//! What an engine must do for [`crate::Mvcc`]: keep the newest state, atomically and durably.
//!
//! History (older versions, watches from the past) is kept above, in memory: after a restart it
//! begins anew at the revision that the engine returns.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Batch, EventKind, Kv, Revision, StoreError};

/// A durable home of the newest state.
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// Everything that is durable.
    async fn load(&self) -> Result<Image, StoreError>;

    /// Takes the records, in order, all or none. After `Ok` they survive any crash. After an error
    /// none of them may show up, neither now nor after a restart, once a later append has succeeded.
    async fn append(&self, records: Vec<Record>) -> Result<(), StoreError>;

    /// Whether [`Engine::append`] waits for anything, such as a disk.
    fn waits(&self) -> bool {
        true
    }

    /// Whether it blocks its thread while it waits: then who calls it has a thread of its own.
    fn blocks(&self) -> bool {
        false
    }

    /// What is left to do after an append and need not be done before its writers are answered. It is called when they
    /// have been.
    fn settle(&self) {}

    /// [`Engine::append`] for an engine that does not wait. `None`: for once it would have to, and nothing was taken.
    fn append_at_once(&self, _records: &[Record]) -> Option<Result<(), StoreError>> {
        None
    }

    /// How many bytes it takes.
    fn size(&self) -> u64;

    /// What it is called.
    fn name(&self) -> &'static str;
}

/// One thing to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A committed transaction.
    Commit(Batch),
    /// A granted lease.
    Grant {
        /// Its id.
        id: i64,
        /// How long it lives unless kept alive.
        ttl: Duration,
    },
    /// A lease that ended. The deletion of its keys is a commit of the same append.
    Revoke {
        /// Its id.
        id: i64,
    },
}

/// The newest state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The revision of the last committed transaction.
    pub revision: Revision,
    /// All keys.
    pub keys: BTreeMap<Bytes, Kv>,
    /// All leases with their time to live. It begins anew at a restart, as in etcd.
    pub leases: BTreeMap<i64, Duration>,
}

impl Default for Image {
    fn default() -> Self {
        Self { revision: Self::EMPTY, keys: BTreeMap::new(), leases: BTreeMap::new() }
    }
}

impl Image {
    /// The revision of a store that nothing was ever written to.
    pub const EMPTY: Revision = 1;

    /// Carries out one record.
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::Commit(batch) => {
                self.revision = batch.revision;
                for event in batch.events.iter() {
                    match event.kind {
                        EventKind::Put => drop(self.keys.insert(event.kv.key.clone(), event.kv.clone())),
                        EventKind::Delete => drop(self.keys.remove(&event.kv.key)),
                    }
                }
            }
            Record::Grant { id, ttl } => drop(self.leases.insert(*id, *ttl)),
            Record::Revoke { id } => drop(self.leases.remove(id)),
        }
    }
}
