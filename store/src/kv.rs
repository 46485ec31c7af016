//! A key with its value and revisions, and what happened to it.

use std::sync::Arc;

use bytes::Bytes;

/// The number of a committed transaction. An empty store is at 1, its first transaction makes 2.
pub type Revision = i64;

/// A key with its value, as of some revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kv {
    /// The key.
    pub key: Bytes,
    /// The value; shared with the store, not copied.
    pub value: Bytes,
    /// The revision that created the key (again, after a deletion).
    pub create_revision: Revision,
    /// The revision that wrote this value.
    pub mod_revision: Revision,
    /// How many times the key was written since its creation; 1 when just created.
    pub version: i64,
    /// The lease that the key dies with; 0 for none.
    pub lease: i64,
}

/// What happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It was written.
    Put,
    /// It was deleted.
    Delete,
}

/// A change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// The key as it is now. Of a deletion: the key and the deleting revision, nothing else.
    pub kv: Kv,
    /// The key as it was before, if it was.
    pub prev: Option<Kv>,
}

impl Event {
    /// Whether this put created the key.
    pub fn is_create(&self) -> bool {
        self.kind == EventKind::Put && self.kv.version == 1
    }
}

/// What a watch delivers: all that one transaction did in the watched range, or a mark of progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The transaction's revision; of a mark, the revision up to which everything was delivered.
    pub revision: Revision,
    /// The changes, in the transaction's order; empty in a mark.
    pub events: Arc<[Event]>,
    /// Whether this is a mark of progress.
    pub progress: bool,
}

impl Batch {
    /// The changes of one transaction.
    pub fn changes(revision: Revision, events: impl Into<Arc<[Event]>>) -> Self {
        Self { revision, events: events.into(), progress: false }
    }

    /// A mark: everything up to `revision` was delivered.
    pub fn progress(revision: Revision) -> Self {
        Self { revision, events: Arc::new([]), progress: true }
    }
}

/// What a list found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The keys, ascending.
    pub kvs: Vec<Kv>,
    /// Whether the limit cut some off.
    pub more: bool,
    /// How many keys the whole range holds, limit or not.
    pub count: usize,
    /// The revision of the list: the one asked for, else the store's.
    pub revision: Revision,
}
